"""Labels go out and come back in other people's formats unchanged."""

import json
import os
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genga.errors import DataError
from genga.skeleton import JOINTS
from labeling.agreement import NEWEST, Key, answers_of, settle
from labeling.exports import Annotation, read_annotations, read_exports
from labeling.formats import READERS, WRITERS, Labeled, import_labels, labeled_of, lost
from labeling.keypoints import Problem
from labeling.names import Here

NOWHERE = Here([], {})
RNG = np.random.default_rng(0)
POSED = [
    Labeled("a" * 64, "ann@example.com", (300, 200), {}, RNG.uniform(0.1, 0.9, (11, 2)), frozenset({"r_wrist", "head"})),
    Labeled("a" * 64, "ben", (300, 200), {}, RNG.uniform(0.1, 0.9, (11, 2))),
]
TAGGED = [Labeled("b" * 64, "ann@example.com", (96, 96), {"hair_color": "blue", "glasses": True, "smile": False}, None)]


def same(found: list[Labeled], expected: list[Labeled]) -> None:
    assert [(each.picture, each.by, each.labels, each.hidden) for each in found] == [
        (each.picture, each.by, each.labels, each.hidden) for each in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert (one.pose is None) == (other.pose is None)
        if one.pose is not None and other.pose is not None:
            np.testing.assert_allclose(one.pose, other.pose, atol=1e-7)
            assert one.size == other.size


@pytest.mark.parametrize(("form", "expected"), [("coco", POSED), ("cvat", [*POSED, *TAGGED])])
def test_what_is_written_reads_back(form: str, expected: list[Labeled]) -> None:
    read = READERS[form](WRITERS[form]([*POSED, *TAGGED]))
    same(read.found, expected)
    assert read.problems == []


def test_label_studios_json_is_what_the_labels_stage_reads(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(WRITERS["label-studio"]([*POSED, *TAGGED]))
    exports = read_exports([tmp_path / "x.json"])
    assert exports.problems == []
    same(labeled_of(exports.annotations, {}), [*POSED, *TAGGED])


def test_poses_that_leave_open_what_is_hidden_stay_so_where_the_format_has_room_for_that(tmp_path: Path) -> None:
    said = [replace(POSED[0], hidden=None), POSED[1]]
    (tmp_path / "x.json").write_text(WRITERS["label-studio"](said))
    same(labeled_of(read_exports([tmp_path / "x.json"]).annotations, {}), said)
    assert [each.hidden for each in READERS["coco"](WRITERS["coco"](said)).found] == [frozenset(), frozenset()]
    assert lost(said, "coco") == lost(said, "cvat") == ["1 poses that leave open what is hidden"]
    tasks = json.loads((tmp_path / "x.json").read_text())
    (other,) = json.loads(WRITERS["label-studio"]([replace(POSED[0], hidden=frozenset({"hip"}))]))
    (hidden,) = (region for region in other["annotations"][0]["result"] if region["from_name"] == "sight")
    tasks[0]["annotations"][0]["result"].append(hidden)  # somebody has said so in Label Studio since
    (tmp_path / "x.json").write_text(json.dumps(tasks))
    assert read_exports([tmp_path / "x.json"]).annotations[0].hidden == frozenset({"hip"})


def test_an_export_that_is_corrected_and_imported_again_is_the_newest_word(tmp_path: Path) -> None:
    mine, wrong = replace(TAGGED[0], at="2026-01-01T10:00:00Z"), replace(TAGGED[0], by="ben", at="2026-01-02T10:00:00Z")
    (tmp_path / "project-1.json").write_text(WRITERS["label-studio"]([mine, wrong]))
    export = tmp_path / "x.xml"
    export.write_text(WRITERS["cvat"]([replace(mine, labels={"hair_color": "red"})]))
    out = import_labels(export, "cvat", tmp_path, NOWHERE).path
    answers = answers_of(read_annotations(tmp_path).annotations)[Key("b" * 64, "hair_color")]
    assert [(answer.annotator, answer.value) for answer in answers] == [("ben", "blue"), ("ann@example.com", "red")]
    before = out.read_bytes()
    os.utime(export, (0, 0))
    assert import_labels(export, "cvat", tmp_path, NOWHERE).path.read_bytes() == before  # the same file once more


@pytest.mark.parametrize("form", ["coco", "cvat"])
def test_an_import_lands_among_the_annotations(tmp_path: Path, form: str) -> None:
    (tmp_path / "in").write_text(WRITERS[form](POSED))
    os.utime(tmp_path / "in", (1e9, 1e9))
    (tmp_path / "annotations").mkdir()
    out = import_labels(tmp_path / "in", form, tmp_path / "annotations", NOWHERE).path
    assert out.name == f"{form}-in.json"
    said = read_exports([out]).annotations
    same(labeled_of(said, {}), POSED)
    assert {each.at for each in said} == {"2001-09-09T01:46:40.000+00:00"}  # said when the file was written, not when it came in


@pytest.mark.parametrize("form", ["coco", "cvat"])
def test_a_pose_that_leaves_its_picture_is_listed_and_kept_out(tmp_path: Path, form: str) -> None:
    assert POSED[0].pose is not None
    outside = POSED[0].pose.copy()
    outside[4] = (-0.3, 0.5)
    (tmp_path / "in").write_text(WRITERS[form]([replace(POSED[0], pose=outside), POSED[1]]))
    (tmp_path / "annotations").mkdir()
    done = import_labels(tmp_path / "in", form, tmp_path / "annotations", NOWHERE)
    assert done.problems == [Problem(f"{form}-in.json task 1", "a" * 64, "l_wrist outside the picture")]
    same(labeled_of(read_exports([done.path]).annotations, {}), POSED[1:])


@pytest.mark.parametrize("form", ["coco", "cvat"])
def test_two_figures_of_one_person_on_one_picture_are_both_kept_out(tmp_path: Path, form: str) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "in").write_text(WRITERS[form]([*POSED, replace(POSED[1], by="benjamin")]).replace("benjamin", "ben"))
    done = import_labels(tmp_path / "in", form, tmp_path / "annotations", NOWHERE)
    assert done.problems == [Problem("a" * 64, "a" * 64, "2 figures by ben, expected one of each annotator; take the others away")]
    same(labeled_of(read_exports([done.path]).annotations, {}), POSED[:1])


def test_coco_annotations_of_other_categories_are_passed_over() -> None:
    document = json.loads(WRITERS["coco"](POSED))
    document["categories"].append({"id": 2, "name": "hat"})
    document["annotations"].append({"id": 9, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]})
    same(READERS["coco"](json.dumps(document)).found, POSED)


def test_what_label_studios_json_tells_settles_the_same_when_it_comes_back(tmp_path: Path) -> None:
    red, blue = ({"hair_color": colour} for colour in ("red", "blue"))
    said = [
        replace(TAGGED[0], picture="1" * 64, labels=red, at="2026-01-05"),
        replace(TAGGED[0], picture="1" * 64, labels=blue, by="ben", at="2026-01-01"),
        replace(TAGGED[0], picture="2" * 64, labels=red, at="2026-01-01", decides=True),
        replace(TAGGED[0], picture="2" * 64, labels=blue, by="ben", at="2026-01-02"),
        replace(TAGGED[0], picture="2" * 64, labels=blue, by="cat", at="2026-01-03"),
        replace(TAGGED[0], picture="3" * 64, labels={}, at="2026-01-01", bad=True),
    ]
    (tmp_path / "x.json").write_text(WRITERS["label-studio"](said))
    (tmp_path / "annotations").mkdir()
    found = read_exports([import_labels(tmp_path / "x.json", "label-studio", tmp_path / "annotations", NOWHERE).path]).annotations
    settled = {key.picture_id[0]: settle(key.name, given, 0.1, "newest") for key, given in answers_of(found).items()}
    assert {picture: (each.value, each.rule) for picture, each in settled.items()} == {"1": ("red", NEWEST), "2": ("red", "a reviewer decided")}
    assert [(each.at, each.decides, each.bad) for each in labeled_of(found, {})] == [(each.at, each.decides, each.bad) for each in said]


def test_what_coco_and_cvat_cannot_hold_is_counted() -> None:
    newest = replace(POSED[0], at="2", labels={"glasses": True})
    said = [newest, replace(newest, at="1", pose=POSED[1].pose), replace(TAGGED[0], labels={}, bad=True), replace(POSED[1], decides=True)]
    assert lost(said, "label-studio") == []
    assert lost(said, "cvat") == ["1 older poses", "1 bad pictures", "1 stars", "2 times"]
    assert lost(said, "coco") == ["2 answers' tags", *lost(said, "cvat")]
    same(READERS["coco"](WRITERS["coco"](said)).found, [replace(newest, labels={}), POSED[1]])
    same(READERS["cvat"](WRITERS["cvat"](said)).found, [replace(newest, pose=None, hidden=frozenset()), newest, POSED[1]])


@pytest.mark.parametrize("form", ["coco", "cvat", "label-studio"])
@pytest.mark.parametrize(("by", "expected"), [("", "{}"), ("1", "{}:1"), ("ann@example.com", "ann@example.com")])
def test_people_without_a_name_are_those_of_their_file(tmp_path: Path, form: str, by: str, expected: str) -> None:
    (tmp_path / "annotations").mkdir()
    for stem in ("north", "south"):
        path = tmp_path / f"{stem}.{form}"
        path.write_text(WRITERS[form]([replace(POSED[0], by=by)]))
        out = import_labels(path, form, tmp_path / "annotations", NOWHERE).path
        before = out.read_bytes()
        import_labels(path, form, tmp_path / "annotations", NOWHERE)
        assert out.read_bytes() == before
    found = [each.annotator for each in read_annotations(tmp_path / "annotations").annotations]
    assert found == [expected.format(stem) for stem in ("north", "south")]


@pytest.mark.parametrize(
    ("who", "expected"), [({}, "x"), ({"completed_by": None}, "x"), ({"completed_by": 3}, "x:3"), ({"completed_by": {"id": 3, "email": None}}, "x:3")]
)
def test_numbers_of_label_studios_people_are_those_of_their_file(tmp_path: Path, who: dict[str, Any], expected: str) -> None:
    (task,) = json.loads(WRITERS["label-studio"](TAGGED))
    del task["annotations"][0]["completed_by"]
    task["annotations"][0] |= who
    (tmp_path / "x.json").write_text(json.dumps([task]))
    (tmp_path / "annotations").mkdir()
    (read,) = read_exports([import_labels(tmp_path / "x.json", "label-studio", tmp_path / "annotations", NOWHERE).path]).annotations
    assert read.annotator == expected


def named(*names: str) -> list[Labeled]:
    return [replace(POSED[0], picture=name, labels={"hair_color": "blue"}) for name in names]


@pytest.mark.parametrize("form", ["coco", "cvat", "label-studio"])
def test_pictures_are_known_by_their_file_names_and_the_rest_is_told(tmp_path: Path, form: str) -> None:
    text = WRITERS[form](named("x/one.jpg", "two.jpg", "gone.jpg", "c" * 64, "both.jpg"))
    (tmp_path / "in").write_text(text.replace(".jpg.png", ".jpg"))
    (tmp_path / "annotations").mkdir()
    known = [("one.jpg", "a" * 64), ("deep/two.jpg", "b" * 64), ("1/both.jpg", "d" * 64), ("2/both.jpg", "e" * 64)]
    done = import_labels(tmp_path / "in", form, tmp_path / "annotations", Here(known, {}))
    assert (done.pictures, done.unknown) == (3, ["both.jpg", "gone.jpg"])
    said = read_exports([done.path]).annotations
    assert [each.picture_id for each in said] == ["a" * 64, "b" * 64, "c" * 64]
    for each in said:
        np.testing.assert_allclose(each.pose, POSED[0].pose, atol=1e-7)


@pytest.mark.parametrize("form", ["coco", "cvat", "label-studio"])
def test_joints_go_to_the_own_drawing_where_a_face_is_called_the_same(tmp_path: Path, form: str) -> None:
    (tmp_path / "in").write_text(WRITERS[form]([replace(POSED[0], picture="1.png")]).replace(".png.png", ".png"))
    (tmp_path / "annotations").mkdir()
    here = Here([("1.png", "f" * 64), ("figures/1.png", "d" * 64)], {"f" * 64: POSED[0].size, "d" * 64: POSED[0].size}, {"d" * 64})
    (said,) = read_exports([import_labels(tmp_path / "in", form, tmp_path / "annotations", here).path]).annotations
    assert said.picture_id == "d" * 64


@pytest.mark.parametrize("form", ["coco", "cvat", "label-studio"])
def test_ids_of_pictures_that_are_not_here_are_told_and_their_labels_kept(tmp_path: Path, form: str) -> None:
    (tmp_path / "in").write_text(WRITERS[form](POSED))
    (tmp_path / "annotations").mkdir()
    known, other = ({letter * 64: POSED[0].size} for letter in "ab")
    assert import_labels(tmp_path / "in", form, tmp_path / "annotations", Here([], known)).absent == []
    done = import_labels(tmp_path / "in", form, tmp_path / "annotations", Here([], other))
    assert (done.pictures, done.absent, done.problems) == (1, ["a" * 64], [])
    same(labeled_of(read_exports([done.path]).annotations, {}), POSED)


@pytest.mark.parametrize("form", ["coco", "cvat", "label-studio"])
def test_a_file_name_that_only_looks_like_an_id_is_that_of_its_picture(tmp_path: Path, form: str) -> None:
    (tmp_path / "in").write_text(WRITERS[form](named("a" * 64, "b" * 64)))
    (tmp_path / "annotations").mkdir()
    here = Here([(f"deep/{'a' * 64}.png", "c" * 64), (f"{'b' * 64}.png", "d" * 64)], {letter * 64: POSED[0].size for letter in "bcd"})
    done = import_labels(tmp_path / "in", form, tmp_path / "annotations", here)
    assert (done.unknown, done.absent) == ([], [])
    assert [each.picture_id[0] for each in read_exports([done.path]).annotations] == ["c", "b"]


def test_a_turned_figure_of_a_label_studio_task_that_names_its_picture_by_id_alone_is_listed(tmp_path: Path) -> None:
    tasks = json.loads(WRITERS["label-studio"](named("a" * 64, "b" * 64)))
    del tasks[0]["data"]["image"]
    (tmp_path / "in").write_text(json.dumps(tasks))
    (tmp_path / "annotations").mkdir()
    done = import_labels(tmp_path / "in", "label-studio", tmp_path / "annotations", Here([], {"a" * 64: (200, 300)}))
    assert [problem.task for problem in done.problems] == [f"the figure on {'a' * 64}"]


@pytest.mark.parametrize("form", ["coco", "cvat", "label-studio"])
@pytest.mark.parametrize(
    ("size", "is_ours"),
    [
        ((300, 200), True),
        ((150, 100), True),
        ((67, 44), True),
        ((67, 45), True),
        ((3000, 2001), True),
        ((200, 300), False),
        ((300, 150), False),
    ],
)
def test_a_figure_on_a_picture_that_was_turned_or_cropped_is_listed_and_the_rest_comes_in(
    tmp_path: Path, form: str, size: tuple[int, int], is_ours: bool
) -> None:
    tagged = {} if form == "coco" else TAGGED[0].labels
    said = [replace(POSED[0], size=size, labels=tagged), replace(POSED[0], picture="b" * 64, size=size)]
    (tmp_path / "in").write_text(WRITERS[form](said))
    (tmp_path / "annotations").mkdir()
    done = import_labels(tmp_path / "in", form, tmp_path / "annotations", Here([], {"a" * 64: (300, 200), "b" * 64: size}))
    reason = f"labeled as {size[0]}x{size[1]}, is 300x200; label it as it is here, neither turned nor cropped"
    assert done.problems == ([] if is_ours else [Problem(f"the figure on {'a' * 64}.png", "a" * 64, reason)])
    read = {each.picture_id[0]: each for each in read_exports([done.path]).annotations}
    assert read["b"].pose is not None
    assert ("a" in read and read["a"].pose is not None) == is_ours
    assert "a" not in read or read["a"].labels == tagged
    if not is_ours:
        (tmp_path / "alone").write_text(WRITERS[form](said[:1]) if form == "coco" else WRITERS[form]([replace(said[0], labels={})]))
        with pytest.raises(DataError, match=f"holds no pose and no tag .*{reason}"):
            import_labels(tmp_path / "alone", form, tmp_path / "annotations", Here([], {"a" * 64: (300, 200)}))


@pytest.mark.parametrize("form", ["coco", "cvat", "label-studio"])
def test_a_file_in_which_no_picture_is_known_is_refused_and_writes_nothing(tmp_path: Path, form: str) -> None:
    (tmp_path / "in").write_text(WRITERS[form](named("x", "y")))
    (tmp_path / "annotations").mkdir()
    with pytest.raises(DataError, match=r"none of the 2 pictures that .* names is known here \(x\.png, y\.png\), .* `genga repro import_faces`"):
        import_labels(tmp_path / "in", form, tmp_path / "annotations", Here([("z.png", "a" * 64)], {}))
    assert list((tmp_path / "annotations").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"id": "a" * 64, "image": "a.png", "asks": 5}}, "export.json task 1 has a region that Label Studio would not write"),
        ({"data": {"image": 5}}, "export.json task 1: no picture is named"),
        ({"annotations": ["x"]}, "export.json task 1 has an annotation that is none"),
    ],
)
def test_a_label_studio_file_that_is_refused_leaves_nothing_behind(tmp_path: Path, changes: Any, message: str) -> None:
    (task,) = json.loads(WRITERS["label-studio"](TAGGED))
    (tmp_path / "export.json").write_text(json.dumps([task | changes]))
    (tmp_path / "annotations").mkdir()
    with pytest.raises(DataError, match=message):
        import_labels(tmp_path / "export.json", "label-studio", tmp_path / "annotations", NOWHERE)
    assert list((tmp_path / "annotations").iterdir()) == []


def test_another_projects_label_studio_json_comes_in_whole(tmp_path: Path) -> None:
    """Its pictures were uploaded; a star, a verdict and what is wrong with an answer stay in it, a skipped task and a prediction are none."""
    bad = {"id": "v", "from_name": "verdict", "to_name": "image", "type": "choices", "value": {"choices": ["bad picture"]}}
    (whole,) = json.loads(WRITERS["label-studio"](named("one.jpg")))
    star = {"id": 1, "completed_by": 3, "ground_truth": True, "updated_at": "2026-01-01", "result": whole["annotations"][0]["result"]}
    tasks = [
        {"id": 5, "data": {"image": "/data/upload/7/0a1b2c3d-one.jpg"}, "annotations": [star], "predictions": [{"result": [{}]}]},
        {"id": 6, "data": {"image": "s3://bucket/two.jpg"}, "annotations": [{"id": 2, "completed_by": 3, "result": [bad]}]},
        {"id": 7, "data": {"image": "three.jpg"}, "annotations": [{"id": 3, "completed_by": 3, "was_cancelled": True, "result": []}]},
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    (tmp_path / "annotations").mkdir()
    known = [("one.jpg", "a" * 64), ("two.jpg", "b" * 64), ("three.jpg", "c" * 64)]
    done = import_labels(tmp_path / "export.json", "label-studio", tmp_path / "annotations", Here(known, {}))
    assert (done.path.name, done.pictures, done.unknown) == ("label-studio-export.json", 2, [])
    one, two = read_exports([done.path]).annotations
    assert (one.picture_id, one.decides, one.at, two.picture_id, two.bad) == ("a" * 64, True, "2026-01-01", "b" * 64, True)


def test_words_of_a_label_studio_file_that_are_no_tags_are_listed_and_the_rest_comes_in(tmp_path: Path) -> None:
    (task,) = json.loads(WRITERS["label-studio"](named("one.jpg")))
    wings = {"id": "x", "type": "choices", "from_name": "wings", "to_name": "image", "value": {"choices": ["two"]}}
    task["annotations"][0]["result"].append(wings)
    (tmp_path / "export.json").write_text(json.dumps([task]))
    (tmp_path / "annotations").mkdir()
    done = import_labels(tmp_path / "export.json", "label-studio", tmp_path / "annotations", Here([("one.jpg", "a" * 64)], {}))
    assert [problem.reason for problem in done.problems] == ["wings is no tag any more"]
    (said,) = read_exports([done.path]).annotations
    assert said.labels == named("one.jpg")[0].labels


def test_an_import_of_another_file_of_the_same_name_takes_nothing_away(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for folder, found in (("one", POSED), ("two", TAGGED)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "annotations.xml").write_text(WRITERS["cvat"](found))
    out = import_labels(tmp_path / "one" / "annotations.xml", "cvat", tmp_path / "annotations", NOWHERE).path
    assert import_labels(tmp_path / "one" / "annotations.xml", "cvat", tmp_path / "annotations", NOWHERE).path == out
    with pytest.raises(DataError, match=r"take cvat-annotations\.json away first where annotations\.xml is the same file corrected"):
        import_labels(tmp_path / "two" / "annotations.xml", "cvat", tmp_path / "annotations", NOWHERE)
    same(labeled_of(read_exports([out]).annotations, {}), POSED)


@pytest.mark.parametrize("pose", [None, POSED[0].pose])
@pytest.mark.parametrize("form", ["label-studio", "cvat"])
def test_a_no_alone_is_an_answer(tmp_path: Path, form: str, pose: Any) -> None:
    said = Labeled("a" * 64, "ann", (300, 200), {"glasses": False}, pose)
    (tmp_path / "in").write_text(WRITERS[form]([said]))
    out = tmp_path / "in" if form == "label-studio" else import_labels(tmp_path / "in", form, tmp_path, NOWHERE).path
    (read,) = read_exports([out]).annotations
    assert read.labels == {"glasses": False} and (read.pose is None) == (pose is None)


def test_coco_is_in_pixels_with_visibility_and_one_based_sticks() -> None:
    document = json.loads(WRITERS["coco"](POSED))
    assert document["categories"][0]["keypoints"] == list(JOINTS)
    assert document["categories"][0]["skeleton"][0] == [1, 2]
    first = document["annotations"][0]
    assert POSED[0].pose is not None
    assert first["keypoints"][:3] == pytest.approx([*(POSED[0].pose[0] * (300, 200)), 1])
    assert first["keypoints"][5] == 2 and first["num_keypoints"] == 11
    assert [image["id"] for image in document["images"]] == [1]


def test_coco_joints_may_come_in_another_order() -> None:
    document = json.loads(WRITERS["coco"](POSED[:1]))
    turned = np.array(document["annotations"][0]["keypoints"]).reshape(11, 3)[::-1]
    document["categories"][0]["keypoints"] = list(JOINTS[::-1])
    document["annotations"][0]["keypoints"] = turned.ravel().tolist()
    same(READERS["coco"](json.dumps(document)).found, POSED[:1])


def test_odd_figures_of_a_coco_file_are_listed_and_the_rest_comes_in(tmp_path: Path) -> None:
    others = [replace(POSED[0], picture=letter * 64) for letter in "bcd"]
    document = json.loads(WRITERS["coco"]([*POSED, *others]))
    document["annotations"][1]["keypoints"][32] = 0
    document["annotations"][2]["keypoints"].pop()
    document["annotations"][3]["image_id"] = 99
    (tmp_path / "in.json").write_text(json.dumps(document))
    (tmp_path / "annotations").mkdir()
    done = import_labels(tmp_path / "in.json", "coco", tmp_path / "annotations", NOWHERE)
    assert [(problem.task, problem.picture_id) for problem in done.problems] == [
        (f"figure 2 on {'a' * 64}.png", "a" * 64),
        (f"figure 3 on {'b' * 64}.png", "b" * 64),
        ("figure 4 on no picture of the file", "no picture of the file"),
    ]
    assert done.problems[0].reason == "lacks r_ankle; place every joint, hidden ones with v = 1"
    assert done.problems[1].reason.startswith("cannot be read (ValueError")
    same(labeled_of(read_exports([done.path]).annotations, {}), [POSED[0], others[2]])
    document["annotations"] = document["annotations"][1:4]
    (tmp_path / "none.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"none.json holds no pose and no tag that can be taken \(figure 2 on a+.png: lacks r_ankle"):
        import_labels(tmp_path / "none.json", "coco", tmp_path / "annotations", NOWHERE)
    assert [path.name for path in (tmp_path / "annotations").iterdir()] == ["coco-in.json"]


@pytest.mark.parametrize(
    ("kind", "odd"),
    [
        ("images", None), ("images", {"file_name": "x.png"}), ("categories", "figure"), ("categories", {"id": 2, "keypoints": None}),
        ("categories", {"id": [2], "keypoints": list(JOINTS)}),
    ],
)  # fmt: skip
def test_entries_of_a_coco_file_that_no_figure_means_are_passed_over(kind: str, odd: Any) -> None:
    document = json.loads(WRITERS["coco"](POSED))
    document[kind].append(odd)
    read = READERS["coco"](json.dumps(document))
    same(read.found, POSED)
    assert read.problems == []


@pytest.mark.parametrize(
    ("image", "figure", "reason"),
    [
        ({"file_name": None}, {}, "is on a picture with the file_name None, expected text"),
        ({"file_name": 123}, {}, "is on a picture with the file_name 123, expected text"),
        ({"width": float("inf")}, {}, "cannot be read .OverflowError"),
        ({"width": 0}, {}, "is on a picture of 0x200, expected at least 1x1"),
        ({"height": -2}, {}, "is on a picture of 300x-2, expected at least 1x1"),
        ({"height": None}, {}, "cannot be read .TypeError"),
        ({"id": 1}, {}, "is of image 2, which stands in the file 0 times, expected once"),
        ({}, {"image_id": [2]}, "cannot be read .TypeError"),
        ({}, {"image_id": None}, "is of image None, which stands in the file 0 times, expected once"),
        ({}, {"category_id": {}}, "cannot be read .TypeError"),
        ({}, {"keypoints": None}, "cannot be read"),
        ({}, None, "cannot be read .TypeError"),
    ],
)
def test_one_odd_figure_of_a_coco_file_takes_no_other_away(image: Any, figure: Any, reason: str) -> None:
    others = [replace(POSED[0], picture=letter * 64) for letter in "abc"]
    document = json.loads(WRITERS["coco"](others))
    document["images"][1] |= image
    document["annotations"][1] = figure if figure is None else document["annotations"][1] | figure
    read = READERS["coco"](json.dumps(document))
    same(read.found, others[2:] if "id" in image else [others[0], others[2]])
    assert re.match(reason, read.problems[-1].reason) and len(read.problems) == (2 if "id" in image else 1)


def test_figures_of_an_image_id_that_stands_twice_are_listed() -> None:
    others = [replace(POSED[0], picture=letter * 64) for letter in "abc"]
    document = json.loads(WRITERS["coco"](others))
    document["images"][1]["id"] = document["annotations"][1]["image_id"] = 1
    read = READERS["coco"](json.dumps(document))
    same(read.found, others[2:])
    two = " or ".join(f"{letter * 64}.png" for letter in "ab")
    reason = "is of image 1, which stands in the file 2 times, expected once; mend the file"
    assert [(problem.task, problem.reason) for problem in read.problems] == [(f"figure {number} on {two}", reason) for number in (1, 2)]


def test_one_picture_labeled_in_two_sizes_has_one_in_coco() -> None:
    said = [POSED[0], replace(POSED[1], size=(600, 400))]
    same(READERS["coco"](WRITERS["coco"](said)).found, POSED)


def test_tags_that_contradict_each_other_in_a_cvat_file_are_listed_and_none_counts() -> None:
    root = ET.fromstring(WRITERS["cvat"](TAGGED))
    (image,) = root.findall("image")
    for label, value in (("hair_color", "red"), ("glasses", "false"), ("smile", "false")):
        ET.SubElement(ET.SubElement(image, "tag", {"label": label}), "attribute", {"name": "value"}).text = value
    (said,), problems = READERS["cvat"](ET.tostring(root, encoding="unicode"))
    assert said.labels == {"smile": False}
    assert [problem.reason for problem in problems] == [
        f"{told}, expected one; take the wrong ones away"
        for told in ("hair_color stands there as blue and as red", "glasses stands there as false and as true")
    ]


def test_a_cvat_picture_needs_its_size_for_a_figure_and_its_name_for_anything() -> None:
    root = ET.fromstring(WRITERS["cvat"]([replace(TAGGED[0], picture=letter * 64, pose=POSED[0].pose) for letter in "abcd"]))
    without_size, of_nothing, without_name, _ = root.findall("image")
    del without_size.attrib["width"], without_size.attrib["height"], without_name.attrib["name"]
    of_nothing.set("width", "0")
    found, problems = READERS["cvat"](ET.tostring(root, encoding="unicode"))
    assert [(said.picture[0], said.labels == TAGGED[0].labels, said.pose is None) for said in found] == [
        ("a", True, True), ("b", True, True), ("d", True, False)
    ]  # fmt: skip
    assert [problem.reason.partition(";")[0] for problem in problems] == [
        "cannot be read (KeyError('width'))",
        "is on a picture of 0x96, expected at least 1x1",
        "expected the file name of its picture",
    ]


def test_answers_without_a_size_are_written_in_that_of_the_picture_or_in_none() -> None:
    posed = Annotation("a" * 64, "task", "ann", "1", {}, POSED[0].pose, size=(300, 200))
    tagged = [replace(posed, picture_id=letter * 64, labels={"glasses": True}, pose=None, size=(1, 1)) for letter in "abc"]
    root = ET.fromstring(WRITERS["cvat"](labeled_of([*tagged, posed], {"b" * 64: (96, 64)})))
    sizes = [(image.attrib["name"][0], image.get("width"), image.get("height")) for image in root.findall("image")]
    assert sizes == [("a", "300", "200"), ("b", "96", "64"), ("c", None, None), ("a", "300", "200")]


def test_only_what_is_not_kept_out_counts_as_labeled(tmp_path: Path) -> None:
    in_one_place = np.full((11, 2), 0.5)
    (tmp_path / "in").write_text(WRITERS["coco"]([POSED[0], replace(POSED[0], picture="b" * 64, pose=in_one_place)]))
    (tmp_path / "annotations").mkdir()
    done = import_labels(tmp_path / "in", "coco", tmp_path / "annotations", NOWHERE)
    assert (done.pictures, done.absent) == (1, ["a" * 64])
    assert [(problem.picture_id, problem.reason) for problem in done.problems] == [("b" * 64, "all joints lie in one place")]


@pytest.mark.parametrize("form", ["coco", "cvat", "label-studio"])
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path, form: str) -> None:
    (tmp_path / "in").write_text(WRITERS[form](POSED), encoding="utf-8-sig")
    (tmp_path / "annotations").mkdir()
    assert import_labels(tmp_path / "in", form, tmp_path / "annotations", NOWHERE).pictures == 1


def test_odd_tags_and_figures_of_a_cvat_file_are_listed_and_the_rest_of_their_picture_comes_in(tmp_path: Path) -> None:
    root = ET.fromstring(WRITERS["cvat"]([replace(TAGGED[0], picture=letter * 64, pose=POSED[0].pose) for letter in "abcd"]))
    first, second, third, _ = root.findall("image")
    first.findall("tag")[1].set("label", "blurry")
    second.findall("tag/attribute")[0].text = "plaid"
    third.findall("skeleton/points")[6].set("label", "head")
    (tmp_path / "in.xml").write_text(ET.tostring(root, encoding="unicode"))
    (tmp_path / "annotations").mkdir()
    done = import_labels(tmp_path / "in.xml", "cvat", tmp_path / "annotations", NOWHERE)
    told = [(problem.task, problem.picture_id[0], problem.reason.partition(", expected")[0]) for problem in done.problems]
    assert told[:2] == [(f"a tag of {'a' * 64}.png", "a", "unknown tag 'blurry'"), (f"a tag of {'b' * 64}.png", "b", "hair_color is 'plaid'")]
    assert told[2][:2] == (f"the figure on {'c' * 64}.png", "c") and told[2][2].startswith("has the joints head, ") and len(told) == 3
    read = {said.picture_id[0]: said for said in read_exports([done.path]).annotations}
    assert {picture: len(said.labels) for picture, said in read.items()} == {"a": 2, "b": 2, "c": 3, "d": 3}
    assert [picture for picture, said in read.items() if said.pose is None] == ["c"]


def test_joints_and_flags_of_cvat_count_as_people_write_them() -> None:
    flag = next(name for name, value in TAGGED[0].labels.items() if value is True)
    root = ET.fromstring(WRITERS["cvat"]([replace(TAGGED[0], pose=POSED[0].pose, hidden=frozenset())]))
    joint = root.findall("image/skeleton/points")[3]
    ET.SubElement(joint, "attribute", {"name": "hidden"}).text = "true"
    (told,) = (attribute for tag in root.iter("tag") if tag.get("label") == flag for attribute in tag)
    told.text = "True"
    (said,), problems = READERS["cvat"](ET.tostring(root, encoding="unicode"))
    assert (said.hidden, said.labels[flag], problems) == ({joint.get("label")}, True, [])
    told.text = "yes"
    (said,), (problem,) = READERS["cvat"](ET.tostring(root, encoding="unicode"))
    assert flag not in said.labels and problem.reason == "has the value 'yes', expected true or false"


@pytest.mark.parametrize("form", ["coco", "cvat"])
def test_what_is_no_text_is_refused_without_its_bytes(tmp_path: Path, form: str) -> None:
    (tmp_path / "export.zip").write_bytes(b"PK\x03\x04" + bytes(range(256)) * 1000)
    with pytest.raises(DataError, match=rf"export\.zip is no text in UTF-8, expected a {form} file; unpack it") as refused:
        import_labels(tmp_path / "export.zip", form, tmp_path, NOWHERE)
    assert len(str(refused.value)) < 300
    with pytest.raises(DataError, match=r"no file .*none"):
        import_labels(tmp_path / "none", form, tmp_path, NOWHERE)


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("coco", "{", "is no coco file that we read"),
        ("coco", "[" * 100_000, "is no coco file that we read"),
        ("coco", '{"images": [], "annotations": [], "categories": ["figure"]}', "no category has the joints head"),
        ("coco", '{"images": [], "annotations": [], "categories": [{"id": 1, "keypoints": ["nose"]}]}', "no category has the joints head"),
        ("cvat", "<annotations><image", "is no cvat file that we read"),
        ("cvat", '<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', "is no cvat file that we read"),
        (
            "cvat",
            '<annotations><image name="a.png" width="9" height="9"><points label="head" points="1,2"/></image></annotations>',
            "joints head, exp",
        ),
        ("cvat", '<annotations><image name="a.png" width="9" height="9"><tag label="wings"/></image></annotations>', "unknown tag 'wings'"),
        ("cvat", "<annotations/>", "holds no pose and no tag"),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_name(tmp_path: Path, form: str, text: str, message: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(DataError, match=message):
        import_labels(tmp_path / "file", form, tmp_path, NOWHERE)
