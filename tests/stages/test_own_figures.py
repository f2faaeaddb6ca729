"""The user's own drawings: which are taken, with which joints, and why others are not."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genga.errors import DataError
from genga.params import OwnFigures, load_params
from genga.pictures import Limits, encode_png
from genga.skeleton import JOINTS
from genga.store import picture_id
from labeling.exports import write_tasks
from labeling.keypoints import BAD as BAD_PICTURE
from labeling.tasks import verdict_region
from stages.own_figures import BAD, BLANK, WAITS, as_gray, as_line_art, exported, labeled_poses, opened, read_bad, read_own, read_placed

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").draw_figures.own


def params_with(**changes: Any) -> OwnFigures:
    return PARAMS.model_copy(update=changes)


def sketch(width: int, height: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """RGB with a dot of ink at each joint, and the joints in [0, 1]."""
    pose = np.random.default_rng(seed).uniform(0.15, 0.85, (11, 2))
    picture = np.full((height, width, 3), 255, np.uint8)
    for x, y in pose * (width, height):
        cv2.circle(picture, (int(x), int(y)), 4, (20, 20, 20), -1)
    return picture, pose


def write_drawings(folder: Path) -> Path:
    """Three sticks and two figures, labeled by their files in one export."""
    rows = []
    for number, (kind, width, height) in enumerate([("sticks", 300, 300), ("sticks", 200, 300), ("sticks", 90, 60), *[("figures", 400, 600)] * 2]):
        picture, pose = sketch(width, height, number)
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / f"{number}.png").write_bytes(encode_png(picture))
        rows.append({"id": None, "name": f"/data/upload/3/0a1b2c3d-{number}.png", "width": width, "height": height, "pose": pose.ravel()})
    write_tasks(folder / "project-1.json", rows)
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_drawings(tmp_path / "own")


def change(own: Path, path: str, value: Any) -> None:
    """One value of the export replaced; the path goes by keys and numbers."""
    tasks = json.loads((own / "project-1.json").read_text())
    *way, last = path.split("/")
    place = tasks
    for key in way:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    (own / "project-1.json").write_text(json.dumps(tasks))


def hide(own: Path, task_idx: int, joint: str, annotation_idx: int = 0) -> None:
    """What Label Studio adds where somebody says that one does not see a joint."""
    tasks = json.loads((own / "project-1.json").read_text())
    result = tasks[task_idx]["annotations"][annotation_idx]["result"]
    point = next(region for region in result if region["id"] == joint)
    result.append({**point, "from_name": "sight", "type": "choices", "value": {"choices": ["hidden"]}})
    (own / "project-1.json").write_text(json.dumps(tasks))


def call_bad(own: Path, task_idx: int, at: str, by: int = 0, *, without_joints: bool = False) -> None:
    """One more answer: a bad picture, with the joints of the first answer or without."""
    tasks = json.loads((own / "project-1.json").read_text())
    joints = [] if without_joints else tasks[task_idx]["annotations"][0]["result"]
    tasks[task_idx]["annotations"].append({"completed_by": by, "updated_at": at, "result": [*joints, verdict_region(BAD_PICTURE)]})
    (own / "project-1.json").write_text(json.dumps(tasks))


def all_but(*hidden: str) -> list[bool]:
    return [joint not in hidden for joint in JOINTS]


def reasons(own: Path, **changes: Any) -> dict[str, str]:
    return {row.name: row.reason for row in read_own(params_with(**changes), own).rejected}


def test_every_labeled_drawing_is_taken_by_its_folder(own: Path) -> None:
    found = read_own(PARAMS, own)
    assert [one.path.name for one in found.sticks] == ["0.png", "1.png", "2.png"]
    assert [one.path.name for one in found.figures] == ["3.png", "4.png"]
    assert found.rejected == []
    for number, one in enumerate([*found.sticks, *found.figures]):
        np.testing.assert_allclose(one.placed.pose, sketch(9, 9, number)[1], atol=1e-9)


def test_drawings_whose_joints_an_export_tells_are_those_that_are_taken(own: Path, tmp_path: Path) -> None:
    write_waiting(own, 2)
    change(own, "0/annotations/0/result/4/value/x", 101)
    sizes = ((200, 300), (90, 60), (400, 600), (400, 600))
    taken = {picture_id(sketch(*size, number)[0]) for number, size in enumerate(sizes, start=1)}
    assert exported(params_with(max_rejected=0.0), own).keys() == taken  # that stops the stage alone
    assert exported(PARAMS, tmp_path / "none") == {}


def test_joints_that_exports_tell_are_in_pixels_and_people_are_asked_where_these_differ(own: Path) -> None:
    tasks = json.loads((own / "project-1.json").read_text())
    apart = json.loads(json.dumps(tasks[0]["annotations"][0])) | {"completed_by": 2}
    apart["result"][4]["value"]["x"] = 1 if apart["result"][4]["value"]["x"] > 50 else 99
    tasks[0]["annotations"].append(apart)
    (own / "project-1.json").write_text(json.dumps(tasks))
    told = exported(PARAMS, own)
    assert len(told) == 4 and picture_id(sketch(300, 300, 0)[0]) not in told
    picture, pose = sketch(200, 300, 1)
    np.testing.assert_allclose(told[picture_id(picture)], pose * (200, 300))


def test_a_folder_of_notes_holds_no_drawings(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("drawings go here")
    (tmp_path / ".gitignore").write_text("*")
    found = read_own(PARAMS, tmp_path)
    assert (found.sticks, found.figures, found.rejected) == ([], [], [])


def test_files_that_are_no_drawing_are_listed_and_the_rest_is_taken(own: Path) -> None:
    (own / "sticks" / "copy.png").write_bytes((own / "sticks" / "0.png").read_bytes())
    (own / "sticks" / "torn.png").write_bytes((own / "sticks" / "0.png").read_bytes()[:200])
    (own / "sticks" / "tiny.png").write_bytes(encode_png(sketch(20, 20, 8)[0]))
    (own / "figures" / "new.png").write_bytes(encode_png(sketch(100, 100, 9)[0]))
    (own / "lost.png").write_bytes(encode_png(sketch(100, 100, 10)[0]))
    (own / "notes.txt").write_text("drawn in May")
    assert reasons(own) == {
        "sticks/copy.png": "duplicate of sticks/0.png",
        "sticks/torn.png": "damaged",
        "sticks/tiny.png": "too small",
        "figures/new.png": WAITS,
        "lost.png": "lies neither in sticks/ nor in figures/",
    }
    assert len(read_own(PARAMS, own).sticks) == 3


def test_what_lies_about_does_not_stop_drawings_that_wait(tmp_path: Path) -> None:
    write_waiting(tmp_path, 3)
    for name in ("sticks/Thumbs.db", "desktop.ini", "sticks/.DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sticks" / "0.PSD").write_bytes(b"8BPS")
    (tmp_path / "sticks" / "torn.png").write_bytes(b"x")
    found = reasons(tmp_path, max_rejected=0.3)
    assert {name: reason for name, reason in found.items() if reason != WAITS} == {
        "sticks/0.PSD": "work file of a drawing program, not a picture",
        "sticks/torn.png": "not a picture",
    }
    with pytest.raises(DataError, match=r"1 of 4 drawings in .* cannot be used \(1 not a picture; the first is sticks/torn.png\)"):
        reasons(tmp_path, max_rejected=0.2)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("0/annotations/0/result", [], {"sticks/0.png": WAITS}),
        ("0/annotations/0/result/4/value/x", 101, {"sticks/0.png": "l_wrist outside the picture"}),
        ("0/annotations/0/result/4/image_rotation", 90, {"sticks/0.png": "head on a rotated picture"}),
        ("0/annotations/0/result/4/value/keypointlabels", ["head"], {"sticks/0.png": "l_wrist missing; head placed more than once"}),
        ("0/annotations/0/result/0/original_width", 600, {"sticks/0.png": "labeled as 600x300, is 300x300"}),
        ("0/annotations/0/was_cancelled", True, {"sticks/0.png": WAITS}),
        (
            "3/data/image",
            "s3://pictures/gone.png",
            {"figures/3.png": WAITS, "gone.png": "named in project-1.json task 4, is no picture here"},
        ),
    ],
)
def test_what_is_wrong_with_the_labels_is_listed(own: Path, path: str, value: Any, expected: dict[str, str]) -> None:
    change(own, path, value)
    assert reasons(own) == expected


def test_a_name_that_fits_two_pictures_is_no_name(own: Path) -> None:
    (own / "figures" / "0.png").write_bytes(encode_png(sketch(300, 300, 30)[0]))
    assert reasons(own) == {
        "sticks/0.png": WAITS,
        "figures/0.png": WAITS,
        "0.png": "named in project-1.json task 1, fits several pictures",
    }
    change(own, "0/data/image", "/data/local-files/?d=own-figures/figures/0.png")
    assert reasons(own) == {"sticks/0.png": WAITS}


@pytest.mark.parametrize(
    "image", ["1.png", "http://host:8080/data/upload/12/0123abcd-1.png", "s3://bucket/own/sticks/1.png", "/data/local-files/?d=sticks/1%2Epng"]
)
def test_pictures_are_found_however_label_studio_reaches_them(own: Path, image: str) -> None:
    change(own, "1/data/image", image)
    assert reasons(own) == {}


@pytest.mark.parametrize(
    ("disk", "said", "other"),
    [("FIG.png", "fig.png", "Fig.png"), (unicodedata.normalize("NFD", "がか.png"), "がか.png", "がか.PNG")],
    ids=["case", "NFD"],
)
def test_drawings_are_found_by_other_letters_and_the_other_unicode_form_where_that_fits_one(own: Path, disk: str, said: str, other: str) -> None:
    (own / "sticks" / "0.png").rename(own / "sticks" / disk)
    change(own, "0/data/image", f"/data/upload/3/0a1b2c3d-{said}")
    assert reasons(own) == {}
    (own / "figures" / other).write_bytes(encode_png(sketch(300, 300, 30)[0]))
    assert reasons(own)[said] == "named in project-1.json task 1, fits several pictures"
    (own / "figures" / other).rename(own / "figures" / said)  # its own name goes first
    assert reasons(own) == {f"sticks/{disk}": WAITS}


def write_waiting(own: Path, count: int) -> None:
    (own / "sticks").mkdir(exist_ok=True)
    for number in range(count):
        (own / "sticks" / f"new-{number}.png").write_bytes(encode_png(sketch(100, 100, 20 + number)[0]))


def test_too_many_bad_drawings_stop_with_one_sentence_those_that_wait_may_be_good(own: Path) -> None:
    write_waiting(own, 9)
    for number in range(2):
        (own / "sticks" / f"torn-{number}.png").write_bytes((own / "sticks" / "0.png").read_bytes()[:200])
        change(own, f"{number}/annotations/0/result/4/value/x", 101)
    bad = "2 damaged, 2 l_wrist outside the picture; the first is sticks/torn-0.png"
    with pytest.raises(DataError, match=rf"4 of 16 drawings in .* cannot be used \({bad}\)"):
        read_own(params_with(max_rejected=0.2), own)
    assert len(read_own(params_with(max_rejected=0.6), own).sticks) == 1


def test_drawings_that_wait_for_their_joints_stop_nothing(tmp_path: Path) -> None:
    write_waiting(tmp_path, 6)
    found = read_own(PARAMS, tmp_path)
    assert found.sticks == [] and {row.reason for row in found.rejected} == {WAITS}


def test_a_few_labeled_drawings_are_taken_while_most_wait(own: Path) -> None:
    """Whoever has drawn much labels it bit by bit: an export of the first drawings says nothing against the others."""
    write_waiting(own, 20)
    found = read_own(PARAMS, own)
    assert (len(found.sticks), len(found.figures)) == (3, 2)
    assert {row.name: row.reason for row in found.rejected} == {f"sticks/new-{number}.png": WAITS for number in range(20)}


def test_exports_that_name_nothing_here_stop(own: Path) -> None:
    for file in [*own.glob("sticks/*"), *own.glob("figures/*")]:
        file.rename(file.with_name(f"renamed-{file.name}"))
    said = r"none of the 5 pictures that exports in .* name is a drawing there \(0.png: named in project-1.json task 1, is no picture here\)"
    with pytest.raises(DataError, match=said):
        read_own(PARAMS, own)


def write_labels(path: Path, id_: str, pose: np.ndarray, *hidden: str) -> None:
    """data/labels/poses.parquet with this one pose."""
    columns = {f"{axis}{joint}": [float(pose[joint, "xy".index(axis)])] for joint in range(11) for axis in "xy"}
    pq.write_table(pa.table({"id": [id_], **columns, "hidden": [list(hidden)], "origin": ["human"]}), path)


def test_joints_placed_in_label_studio_count_more_than_an_export(own: Path, tmp_path: Path) -> None:
    picture, pose = sketch(300, 300, 0)
    write_labels(tmp_path / "poses.parquet", picture_id(picture), pose / 2)
    found = read_own(PARAMS, own, read_placed(tmp_path / "poses.parquet"))
    assert found.sticks[0].path.name == "0.png"
    np.testing.assert_allclose(found.sticks[0].placed.pose, pose / 2)
    np.testing.assert_allclose(found.sticks[1].placed.pose, sketch(9, 9, 1)[1], atol=1e-9)


def test_what_people_call_a_bad_picture_waits_no_longer_and_is_not_taken_with_its_joints_either(own: Path, tmp_path: Path) -> None:
    write_waiting(own, 2)
    change(own, "3/annotations/0/result/4/value/x", 101)
    pictures = [sketch(100, 100, 20)[0], sketch(300, 300, 0)[0], sketch(400, 600, 3)[0]]
    (tmp_path / "bad.csv").write_text("\n".join(["id", *map(picture_id, pictures), ""]))
    found = read_own(params_with(max_rejected=0.0), own, bad=read_bad(tmp_path / "bad.csv"))
    assert [one.path.name for one in (*found.sticks, *found.figures)] == ["1.png", "2.png", "4.png"]
    assert {row.name: row.reason for row in found.rejected} == {
        **{"sticks/new-0.png": BAD, "sticks/0.png": BAD, "figures/3.png": BAD},
        "sticks/new-1.png": WAITS,
    }
    assert len(found.rejected) == 4


@pytest.mark.parametrize("without_joints", [True, False])
def test_a_drawing_that_an_export_calls_bad_neither_waits_nor_counts_nor_is_pushed(own: Path, *, without_joints: bool) -> None:
    call_bad(own, 0, "2026-01-01", without_joints=without_joints)
    change(own, "0/annotations/0/was_cancelled", True)
    call_bad(own, 3, "2026-01-01", without_joints=without_joints)  # a newer word of who placed the joints
    change(own, "3/annotations/0/completed_by", 0)
    found = read_own(params_with(max_rejected=0.0), own)
    assert [one.path.name for one in (*found.sticks, *found.figures)] == ["1.png", "2.png", "4.png"]
    assert {row.name: (row.reason, row.counts) for row in found.rejected} == {"sticks/0.png": (BAD, False), "figures/3.png": (BAD, False)}
    assert {picture_id(sketch(300, 300, 0)[0]), picture_id(sketch(400, 600, 3)[0])} <= exported(PARAMS, own).keys()


@pytest.mark.parametrize(
    ("answers", "is_bad"),
    [
        ([(1, "2026-01-02")], True),  # one for, one against, the newest says bad
        ([(1, "2026-01-00")], False),  # the newest placed the joints
        ([(0, "2026-01-00")], False),  # one person, who thought better of it
        ([(1, "2026-01-00"), (2, "2026-01-00")], True),
        ([(1, "2026-01-02"), (1, "2026-01-03"), (0, "2026-01-00")], True),
    ],
)
def test_a_drawing_is_bad_where_most_say_so_and_in_a_tie_the_newest_decides(own: Path, answers: list[tuple[int, str]], is_bad: bool) -> None:
    change(own, "0/annotations/0/completed_by", 0)
    change(own, "0/annotations/0/updated_at", "2026-01-01")
    for who, at in answers:
        call_bad(own, 0, at, who)
    assert reasons(own) == ({"sticks/0.png": BAD} if is_bad else {})


def test_joints_settled_in_label_studio_count_more_than_an_export_that_calls_the_drawing_bad(own: Path, tmp_path: Path) -> None:
    picture, pose = sketch(300, 300, 0)
    call_bad(own, 0, "2026-01-01")
    change(own, "0/annotations/0/was_cancelled", True)
    write_labels(tmp_path / "poses.parquet", picture_id(picture), pose)
    assert [one.path.name for one in read_own(PARAMS, own, read_placed(tmp_path / "poses.parquet")).sticks] == ["0.png", "1.png", "2.png"]


def test_exports_that_only_call_drawings_bad_name_something_here(own: Path) -> None:
    call_bad(own, 0, "2026-01-01", without_joints=True)
    tasks = json.loads((own / "project-1.json").read_text())
    tasks[0]["annotations"] = tasks[0]["annotations"][1:]
    tasks[1]["data"]["image"] = "gone.png"
    (own / "project-1.json").write_text(json.dumps(tasks[:2]))
    assert reasons(own)["sticks/0.png"] == BAD


def test_drawings_may_be_named_by_their_sha256_and_people_may_differ(own: Path) -> None:
    picture, pose = sketch(300, 300, 0)
    row = {"id": picture_id(picture), "name": "anywhere.png", "width": 300, "height": 300}
    write_tasks(own / "project-1.json", [row | {"pose": (pose + move).ravel()} for move in (0.004, -0.004)])
    for who in range(2):
        change(own, f"{who}/annotations/0/completed_by", who)
    (found,) = read_own(params_with(max_rejected=1.0), own).sticks
    np.testing.assert_allclose(found.placed.pose, pose, atol=1e-9)
    change(own, "1/annotations/0/result/0/value/x", 99.0)
    assert reasons(own, max_rejected=1.0)["sticks/0.png"] == "people differ on head"


def test_joints_that_people_do_not_see_are_not_visible(own: Path, tmp_path: Path) -> None:
    hide(own, 0, "l_wrist")
    hide(own, 1, "r_knee")
    write_labels(tmp_path / "poses.parquet", picture_id(sketch(300, 300, 0)[0]), sketch(300, 300, 0)[1], "head", "r_ankle")
    exported, settled = read_own(PARAMS, own), read_own(PARAMS, own, read_placed(tmp_path / "poses.parquet"))
    assert [one.placed.visible for one in exported.sticks] == [all_but("l_wrist"), all_but("r_knee"), all_but()]
    assert [one.placed.visible for one in settled.sticks] == [all_but("head", "r_ankle"), all_but("r_knee"), all_but()]


def test_a_joint_is_hidden_where_more_than_half_of_the_people_say_so(own: Path) -> None:
    tasks = json.loads((own / "project-1.json").read_text())
    tasks[0]["annotations"] = [tasks[0]["annotations"][0] | {"completed_by": who} for who in range(3)]
    (own / "project-1.json").write_text(json.dumps(tasks))
    for who, joint in ((0, "head"), (1, "head"), (1, "hip")):
        hide(own, 0, joint, who)
    assert read_own(PARAMS, own).sticks[0].placed.visible == all_but("head")


def test_where_half_of_the_people_say_that_a_joint_is_hidden_the_newest_answer_counts(own: Path) -> None:
    tasks = json.loads((own / "project-1.json").read_text())
    tasks[0]["annotations"] = [tasks[0]["annotations"][0] | {"completed_by": who, "updated_at": f"2026-11-0{who + 1}"} for who in range(2)]
    (own / "project-1.json").write_text(json.dumps(tasks))
    for who, joint in ((0, "head"), (1, "hip")):
        hide(own, 0, joint, who)
    assert read_own(PARAMS, own).sticks[0].placed.visible == all_but("hip")


def test_people_differ_by_what_one_sees_and_not_by_shares_of_a_picture_that_is_not_square(own: Path) -> None:
    """The figure stands, so that in a picture half as high again as it is wide a step aside is a larger share of the one than of the other."""
    _, pose = sketch(200, 300, 1)
    side, tolerance = max(np.ptp(pose * (200, 300), axis=0)), PARAMS.pose_tolerance
    joint = int(np.argmin(abs(pose[:, 0] - 0.5)))
    for step, reason in ((0.8, None), (1.2, f"people differ on {JOINTS[joint]}")):
        tasks = json.loads((own / "project-1.json").read_text())
        answers = [json.loads(json.dumps(tasks[1]["annotations"][0])) | {"completed_by": who} for who in range(3)]
        for who in range(3):
            answers[who]["result"][joint]["value"]["x"] = (pose[joint, 0] * 200 + (who - 1) * step * tolerance * side) / 200 * 100
        tasks[1]["annotations"] = answers
        (own / "project-1.json").write_text(json.dumps(tasks))
        assert reasons(own, max_rejected=1.0).get("sticks/1.png") == reason


def test_a_reviewers_star_decides(own: Path) -> None:
    tasks = json.loads((own / "project-1.json").read_text())
    answers = [json.loads(json.dumps(tasks[0]["annotations"][0])) | {"completed_by": who, "updated_at": f"2026-11-0{who + 1}"} for who in range(3)]
    answers[0] |= {"ground_truth": True}
    answers[0]["result"][0]["value"]["x"] = 42.0
    tasks[0]["annotations"] = answers
    (own / "project-1.json").write_text(json.dumps(tasks))
    assert read_own(PARAMS, own).sticks[0].placed.pose[0, 0] == pytest.approx(0.42)
    call_bad(own, 0, "2026-10-01", by=3)
    change(own, "0/annotations/3/ground_truth", value=True)
    change(own, "0/annotations/0/ground_truth", value=False)
    assert reasons(own)["sticks/0.png"] == BAD


def test_of_one_person_the_newest_answer_counts(own: Path) -> None:
    tasks = json.loads((own / "project-1.json").read_text())
    newer = json.loads(json.dumps(tasks[0]["annotations"][0])) | {"updated_at": "2026-11-02"}
    newer["result"][0]["value"]["x"] = 42.0
    tasks[0]["annotations"] = [newer, tasks[0]["annotations"][0] | {"updated_at": "2026-11-01"}]
    (own / "project-1.json").write_text(json.dumps(tasks))
    assert read_own(PARAMS, own).sticks[0].placed.pose[0, 0] == pytest.approx(0.42)


def test_no_folder_and_other_json_are_said(own: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder at .*correct draw_figures.own.path in params.yaml"):
        read_own(PARAMS, tmp_path / "none")
    (own / "project-2.json").write_text('{"tasks": []}')
    with pytest.raises(DataError, match=r"project-2.json is not a list of tasks with annotations"):
        read_own(PARAMS, own)
    (own / "project-2.json").write_text('[{"id": 7, "data": {}, "annotations": []}]')
    with pytest.raises(DataError, match=r"project-2.json task 7: no picture is named, expected a path in data.image"):
        read_own(PARAMS, own)


def test_a_wide_drawing_lies_in_the_middle_of_square_paper() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    paper, pose = as_gray(picture, np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]), 64)
    assert paper.shape == (64, 64)
    assert (paper[:16] == 255).all() and (paper[16:48] == 0).all() and (paper[48:] == 255).all()
    np.testing.assert_allclose(pose, [[0, 0.25], [1, 0.75], [0.5, 0.5]])


@pytest.mark.parametrize("laid", [as_gray, as_line_art])
def test_chalk_on_a_board_becomes_ink_on_paper(laid: Callable[..., tuple[np.ndarray, np.ndarray]]) -> None:
    picture, pose = sketch(200, 300, 5)
    paper, joints = laid(picture, pose, 128)
    board, same = laid(255 - picture, pose, 128)
    assert np.array_equal(board, paper) and np.array_equal(same, joints)
    assert paper[0, 0] == board[64, 2] == 255


def sheet(side: int, width: int, ink: int, paper: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """RGB with the outline of a circle, on paper that is darker on the left; and where its ink is, in a 128th."""
    light = np.tile(np.linspace(*paper, side) / 255, (side, 1))
    drawn = np.full((side, side), 255, np.uint8)
    cv2.circle(drawn, (side // 2, side // 2), side // 4, ink, width)
    places = cv2.circle(np.zeros((128, 128), np.uint8), (64, 64), 32, 1) > 0
    return np.dstack([np.rint(drawn * light).astype(np.uint8)] * 3), places


@pytest.mark.parametrize(
    ("side", "width", "ink", "paper"),
    [(300, 1, 0, (255, 255)), (300, 3, 150, (255, 255)), (2000, 5, 0, (255, 255)), (300, 3, 20, (90, 160))],
    ids=["thin", "pencil", "large", "dim"],
)
def test_line_art_of_a_drawing_is_black_on_white_whatever_it_was_drawn_with_on_and_how_large(
    side: int, width: int, ink: int, paper: tuple[int, int]
) -> None:
    picture, places = sheet(side, width, ink, paper)
    art, _ = as_line_art(picture, np.zeros((11, 2)), 128)
    assert np.median(art[places]) < 100 and (art[cv2.dilate(places.astype(np.uint8), np.ones((7, 7))) == 0] == 255).all()


def test_white_lines_on_nothing_are_a_drawing(own: Path) -> None:
    picture, _ = sketch(300, 300, 0)
    clear = np.dstack([np.full((300, 300, 3), 255, np.uint8), np.where(picture[..., :1] < 100, 255, 0).astype(np.uint8)])
    (own / "sticks" / "0.png").write_bytes(encode_png(clear))
    drawing = next(each for each in read_own(PARAMS, own).sticks if each.path.name == "0.png")
    _, laid = opened(drawing.path, Limits(10**6, 10**6, 32))
    art, pose = as_line_art(laid, drawing.placed.pose, 128)
    assert [art[int(y), int(x)] < 100 for x, y in pose * 128] == [True] * 11


def test_a_sheet_on_which_nothing_is_drawn_is_listed_and_shown_to_nobody(own: Path) -> None:
    blank = np.full((300, 300, 3), 255, np.uint8)
    (own / "sticks" / "0.png").write_bytes(encode_png(blank))
    assert exported(PARAMS, own)[picture_id(blank)] is None
    found = read_own(PARAMS, own)
    assert [row.reason for row in found.rejected if row.name == "sticks/0.png"] == [BLANK] and len(found.sticks) == 2


def test_poses_of_an_export_keep_the_aspect_of_their_pictures(own: Path) -> None:
    change(own, "2/annotations/0/result/4/value/x", 101)
    found = labeled_poses(own / "project-1.json")
    assert len(found.poses) == 4 and found.kinds == ["labeled"] * 4
    assert found.left_out == {"l_wrist outside the picture": 1}
    call_bad(own, 0, "2026-01-01", without_joints=True)
    assert labeled_poses(own / "project-1.json").left_out == {"l_wrist outside the picture": 1, BAD: 1}
    np.testing.assert_allclose(found.poses[1], sketch(9, 9, 1)[1] * (200, 300))
