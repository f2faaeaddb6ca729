import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genga import tags
from genga.errors import DataError
from genga.skeleton import JOINTS
from labeling.configs import poses_config, tags_config
from labeling.exports import read_exports, write_tasks
from labeling.keypoints import Problem
from labeling.tasks import stick_region

POSE = np.random.default_rng(0).uniform(0.05, 0.95, (11, 2))


def choice(name: str, *choices: str) -> dict[str, Any]:
    """A region as Label Studio exports it."""
    return {
        "id": "aBcD",
        "from_name": name,
        "to_name": "image",
        "type": "choices",
        "origin": "manual",
        "value": {"choices": list(choices)},
    }


def point(joint: str, x: float, y: float, **changes: Any) -> dict[str, Any]:
    """A keypoint as Label Studio exports it; x and y in percent."""
    size = {"original_width": 600, "original_height": 300, "image_rotation": 0}
    value = {"x": x, "y": y, "width": 0.8, "keypointlabels": [joint]}
    return {"id": "eFgH", "from_name": "joints", "to_name": "image", "type": "keypointlabels", "origin": "manual", "value": value, **size, **changes}


def points(pose: np.ndarray = POSE) -> list[dict[str, Any]]:
    return [point(joint, *(xy * 100)) for joint, xy in zip(JOINTS, pose, strict=True)]


def task(picture_id: str, *results: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    annotations = [
        {
            "id": 50 + idx,
            "completed_by": idx + 1,
            "result": result,
            "was_cancelled": False,
            "created_at": "2026-11-01T10:00:00.000000Z",
            "updated_at": f"2026-11-01T10:0{idx}:00.000000Z",
            "lead_time": 8.1,
        }
        for idx, result in enumerate(results)
    ]
    data = {"image": "/data/local-files/?d=imgs/a.png", "id": picture_id}
    return {"id": 7, "data": data, "annotations": annotations, "predictions": [{"result": points()}], "project": 1} | changes


def written(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "project-1.json"
    path.write_text(json.dumps(document))
    return path


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    rows = [
        {"id": "one", "name": "1.png", "width": 128, "height": 128, "labels": '{"hair_color": "blue", "glasses": false, "smile": true}'},
        {"id": "two", "name": "2.png", "width": 128, "height": 64, "labels": None, "pose": POSE.reshape(22).tolist()},
        {"id": "three", "name": "3.png", "width": 128, "height": 64},
    ]
    write_tasks(tmp_path / "tasks.json", rows)
    exports = read_exports([tmp_path / "tasks.json"])
    assert [(annotation.picture_id, annotation.labels) for annotation in exports.annotations] == [
        ("one", {"hair_color": "blue", "glasses": False, "smile": True}),
        ("two", {}),
    ]
    assert exports.annotations[0].pose is None
    pose = exports.annotations[1].pose
    assert pose is not None
    np.testing.assert_allclose(pose, POSE, atol=1e-12)
    assert exports.problems == []


def test_tasks_are_written_as_label_studio_wants_them(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks.json", [{"id": "one", "name": "1.png", "width": 200, "height": 100, "labels": None, "pose": POSE.reshape(22)}])
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    assert task["data"] == {"image": "1.png", "id": "one", "asks": []}
    first = task["annotations"][0]["result"][0]
    assert (first["type"], first["from_name"], first["to_name"]) == ("keypointlabels", "joints", "image")
    assert (first["original_width"], first["original_height"]) == (200, 100)
    assert first["value"]["keypointlabels"] == ["head"]
    assert first["value"]["x"] == pytest.approx(POSE[0, 0] * 100)


def test_percent_becomes_a_share_of_the_picture(tmp_path: Path) -> None:
    pose = read_exports([written(tmp_path, [task("a", points())])]).annotations[0].pose
    assert pose is not None
    np.testing.assert_allclose(pose, POSE)


def test_joints_may_come_in_any_order(tmp_path: Path) -> None:
    pose = read_exports([written(tmp_path, [task("a", points()[::-1])])]).annotations[0].pose
    assert pose is not None
    np.testing.assert_allclose(pose, POSE)


def test_each_persons_answer_is_kept_with_name_and_time(tmp_path: Path) -> None:
    document = [task("a", [choice("hair_color", "blue")], [choice("hair_color", "aqua")])]
    document[0]["annotations"][1]["completed_by"] = {"id": 9, "email": "b@example.com"}
    annotations = read_exports([written(tmp_path, document)]).annotations
    assert [(annotation.annotator, annotation.labels) for annotation in annotations] == [
        ("1", {"hair_color": "blue"}),
        ("b@example.com", {"hair_color": "aqua"}),
    ]
    assert annotations[0].at < annotations[1].at


def test_flags_are_yes_or_no_and_what_was_not_asked_is_unknown(tmp_path: Path) -> None:
    annotation = read_exports([written(tmp_path, [task("a", [choice("glasses", "yes"), choice("smile", "no")])])]).annotations[0]
    assert annotation.labels == {"glasses": True, "smile": False}


def test_joints_alone_say_no_to_no_box(tmp_path: Path) -> None:
    data = {"image": "a.png", "id": "a", "asks": ["glasses"]}
    (annotation,) = read_exports([written(tmp_path, [task("a", points(), data=data)])]).annotations
    assert annotation.labels == {} and annotation.pose is not None


def test_skipped_tasks_and_predictions_are_no_answers(tmp_path: Path) -> None:
    skipped = task("a", [choice("glasses", "yes")])
    skipped["annotations"][0]["was_cancelled"] = True
    exports = read_exports([written(tmp_path, [skipped, task("b")])])
    assert (exports.annotations, exports.problems) == ([], [])


def test_an_empty_answer_is_listed_and_one_of_empty_boxes_is_a_no(tmp_path: Path) -> None:
    image = {"image": "a.png"}
    sticks = stick_region(POSE, 600, 300)
    tasks = [task("a", []), task("b", [sticks]), task("c", [], data=image | {"id": "c", "asks": []})]
    exports = read_exports([written(tmp_path, [*tasks, task("d", [], data=image | {"id": "d", "asks": ["glasses", "smile"]})])])
    missing = f"{', '.join(JOINTS)} missing"
    reasons = {"a": missing, "b": missing, "c": "nothing was answered"}
    assert exports.problems == [Problem("project-1.json task 7", id_, reason) for id_, reason in reasons.items()]
    assert [(said.picture_id, said.labels) for said in exports.annotations] == [("d", {"glasses": False, "smile": False})]


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (points()[:9], "l_ankle, r_ankle missing"),
        ([*points(), point("head", 1, 1)], "head placed more than once"),
        ([point("head", 101, 50), *points()[1:]], "head outside the picture"),
        ([point("head", 50, 50, image_rotation=90), *points()[1:]], "head on a rotated picture"),
        ([point("neck", 1, 1), *points()[1:]], "head missing; neck placed more than once"),
        (points(np.full((11, 2), 0.5)), "all joints lie in one place"),
    ],
)
def test_a_pose_that_is_not_whole_is_listed_and_kept_out(tmp_path: Path, result: list[dict[str, Any]], fault: str) -> None:
    exports = read_exports([written(tmp_path, [task("a", [*result, choice("glasses", "yes")])])])
    assert exports.problems == [Problem("project-1.json task 7", "a", fault)]
    assert [(annotation.labels, annotation.pose) for annotation in exports.annotations] == [({"glasses": True}, None)]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([choice("glasses", "perhaps")], r"project-1.json task 7: glasses is 'perhaps', expected true or false"),
        ([choice("hair_color", "blue", "red")], r"task 7: hair_color has 2 choices \(blue, red\), expected one"),
        ([point("tail", 1, 1)], r"task 7: unknown joint 'tail', expected head, neck"),
        ([{"type": "keypointlabels", "value": {"x": 1, "y": 1}}], "task 7 has a region that Label Studio would not write"),
        (["nonsense"], "task 7 has a region that Label Studio would not write"),
        ([{"type": "choices", "from_name": "glasses", "value": "yes"}], "task 7 has a region that Label Studio would not write"),
        ([point("head", 1, 1, original_width=float("inf"))], "task 7 has a region that Label Studio would not write"),
        ([[]], "task 7 has a region that Label Studio would not write"),
    ],
)
def test_answers_that_fit_no_tag_or_joint_stop_with_the_task(tmp_path: Path, result: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_exports([written(tmp_path, [task("a", result)])])


def test_words_that_are_no_tag_any_more_are_listed_and_the_rest_of_the_answer_is_kept(tmp_path: Path) -> None:
    answer = [choice("hair_color", "rainbow"), choice("wings", "two"), choice("eye_color", "red"), choice("flags", "smile", "tail")]
    asks = {"asks": ["hair_color", "eye_color", "wings", "smile", "tail", "glasses"]}
    image = {"image": "a.png"}
    tasks = [task("a", answer, data=image | {"id": "a"} | asks), task("b", [choice("wings", "two")], data=image | {"id": "b", "asks": ["wings"]})]
    exports = read_exports([written(tmp_path, tasks)])
    assert [(said.picture_id, said.labels) for said in exports.annotations] == [("a", {"eye_color": "red", "smile": True, "glasses": False})]
    wings, where = "wings is no tag any more", "project-1.json task 7"
    assert exports.problems == [
        Problem(where, "a", f"rainbow is no hair_color any more; {wings}; tail is no tag any more"),
        Problem(where, "b", wings),
    ]


def test_a_task_that_does_not_name_its_picture_stops(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"project-1.json task 7 does not name its picture, .* come in with `genga label import label-studio FILE`"):
        read_exports([written(tmp_path, [task("a", [], data={"image": "a.png"})])])


def test_what_is_wrong_with_a_pulled_task_is_listed_with_its_link_and_the_rest_comes_in(tmp_path: Path) -> None:
    """Somebody may have added it in Label Studio, with another screen perhaps."""
    url = "http://127.0.0.1:8090/projects/1/data?task=8"
    tasks = [
        task("a", [choice("glasses", "yes")], url=url),
        task("", [choice("glasses", "yes")], data={"image": "/data/upload/1/0a1b2c3d-mine.png"}, url=url),
        task("b", [point("tail", 1, 1)], [choice("smile", "yes")], url=url),
        task("c", [{"type": "keypointlabels", "value": {"x": 1, "y": 1}}], url=url),
    ]
    exports = read_exports([written(tmp_path, tasks)])
    assert [(said.picture_id, said.labels) for said in exports.annotations] == [("a", {"glasses": True}), ("b", {"smile": True})]
    assert {problem.task for problem in exports.problems} == {url}
    expected = ("does not name its picture, ", "unknown joint 'tail', ", "has a region that Label Studio would not write ")
    assert all(problem.reason.startswith(said) for problem, said in zip(exports.problems, expected, strict=True))


@pytest.mark.parametrize("odd", [{"unasked": 5}, {"asks": 5}])
def test_a_pulled_task_with_odd_data_is_listed_with_its_link_and_the_rest_comes_in(tmp_path: Path, odd: dict[str, Any]) -> None:
    """Somebody may have written it by hand."""
    answer, data, url = [choice("glasses", "yes")], {"image": "a.png"}, "http://127.0.0.1:8090/projects/1/data?task=8"
    nothing = data | {"id": "b", "unasked": None, "asks": None}
    exports = read_exports([written(tmp_path, [task("a", answer, data=data | {"id": "a"} | odd, url=url), task("b", answer, data=nothing, url=url)])])
    assert [(said.picture_id, said.labels) for said in exports.annotations] == [("b", {"glasses": True})]
    (problem,) = exports.problems
    assert problem.task == url and problem.reason.startswith("has a region that Label Studio would not write ")


@pytest.mark.parametrize("document", [{"tasks": []}, [{"image": "a.png", "choice": "blue"}], ["x"]])
def test_other_exports_of_label_studio_are_refused(tmp_path: Path, document: Any) -> None:
    with pytest.raises(DataError, match=r"project-1.json is not a list of tasks with annotations; .* as JSON \(not JSON-MIN\)"):
        read_exports([written(tmp_path, document)])


@pytest.mark.parametrize("text", ['[{"id": 1,', "[" * 100_000])
def test_half_a_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a.json is not readable JSON"):
        read_exports([tmp_path / "a.json"])


def test_an_annotation_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"project-1.json task 7 has an annotation that is none \('x'\); export it from Label Studio again"):
        read_exports([written(tmp_path, [task("a", annotations=["x"])])])


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = written(tmp_path, [task("a", points())])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [said.picture_id for said in read_exports([path]).annotations] == ["a"]


def test_the_screen_for_tags_asks_for_every_tag() -> None:
    root = ET.fromstring(tags_config())
    asked = {choices.attrib["name"]: [choice.attrib["value"] for choice in choices] for choices in root.iter("Choices")}
    assert asked == {**tags.groups(), "flags": tags.flags(), "verdict": ["unsure", "bad picture"]}
    assert [image.attrib["value"] for image in root.iter("Image")] == ["$image"]
    assert {choices.attrib["name"] for choices in root.iter("Choices") if choices.attrib["choice"] == "multiple"} == {"flags", "verdict"}


def test_every_answer_to_the_screen_for_tags_is_understood(tmp_path: Path) -> None:
    root = ET.fromstring(tags_config())
    for choices in (choices for choices in root.iter("Choices") if choices.attrib["name"] != "verdict"):
        for value in choices:
            document = [task("a", [choice(choices.attrib["name"], value.attrib["value"])])]
            (annotation,) = read_exports([written(tmp_path, document)]).annotations
            assert list(annotation.labels) == [value.attrib["value"] if choices.attrib["name"] == "flags" else choices.attrib["name"]]


def test_the_interface_for_poses_asks_for_the_11_joints_in_order() -> None:
    root = ET.fromstring(poses_config())
    labels = list(next(root.iter("KeyPointLabels")))
    assert [label.attrib["value"] for label in labels] == list(JOINTS)
    assert len({label.attrib["background"] for label in labels}) == len({label.attrib["hotkey"] for label in labels}) == 11
    assert next(root.iter("KeyPointLabels")).attrib["name"] == "joints"
