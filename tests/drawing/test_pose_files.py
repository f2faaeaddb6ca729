"""Every layout of pose files gives the same 11 joints, and says what is wrong with it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from drawing.pose_files import BODY_25, COCO_17, COCO_18, PoseFile, read_pose_file
from genga.errors import DataError
from genga.skeleton import JOINTS, J

POSES = np.random.default_rng(0).uniform(10, 400, (3, 11, 2)).round(3)
# a person with 19 points, of which ours follow: ears level, shoulders and hips to both sides
POINTS = {
    "nose": (50, 22), "l_eye": (53, 18), "r_eye": (47, 18), "l_ear": (58, 20), "r_ear": (42, 20), "neck": (50, 40),
    "l_shoulder": (65, 41), "r_shoulder": (35, 39), "l_elbow": (75, 60), "r_elbow": (25, 62), "l_wrist": (80, 80), "r_wrist": (20, 85),
    "mid_hip": (50, 91), "l_hip": (60, 91), "r_hip": (40, 91), "l_knee": (62, 130), "r_knee": (38, 131), "l_ankle": (63, 170), "r_ankle": (37, 171),
}  # fmt: skip
OURS = {"head": (50, 20), "neck": (50, 40), "hip": (50, 91)} | {name: POINTS[name] for name in JOINTS if name[1] == "_"}


def ours(changes: dict[str, tuple[float, float]] | None = None) -> np.ndarray:
    return np.array([(OURS | (changes or {}))[name] for name in JOINTS], float)


def numbers(names: tuple[str, ...], missing: tuple[str, ...] = ()) -> list[float]:
    """x, y, confidence of each; points that nobody has (toes) and missing ones are 0, 0, 0."""
    return [value for name in names for value in ((*POINTS[name], 2) if name in POINTS and name not in missing else (0, 0, 0))]


def written(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "poses.json"
    path.write_text(json.dumps(document))
    return path


def test_every_array_of_an_npz_is_taken_and_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", photo=POSES[:2].astype(np.float32), drawing=POSES[2:], joints=np.array(JOINTS), drawing_wh=np.ones((1, 2)))
    found = read_pose_file(tmp_path / "a.npz")
    assert found.kinds == ["drawing", "photo", "photo"]
    np.testing.assert_allclose(found.poses, POSES[[2, 0, 1]], rtol=1e-6)


def test_joints_in_another_order_are_put_in_ours(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(11)
    np.savez(tmp_path / "a.npz", poses=POSES[:, order], joints=np.array(JOINTS)[order])
    assert (read_pose_file(tmp_path / "a.npz").poses == POSES).all()


def test_poses_without_a_joint_or_any_extent_are_left_out_and_counted(tmp_path: Path) -> None:
    poses = np.concatenate([POSES, POSES[:1], np.ones((1, 11, 2))])
    poses[3, 4] = np.nan
    np.savez(tmp_path / "a.npz", poses=poses)
    found = read_pose_file(tmp_path / "a.npz")
    assert (found.poses == POSES).all()
    assert found.left_out == Counter({"a joint is missing": 1, "all joints on one spot": 1})


@pytest.mark.parametrize("pose", [POSES[0] / 500, (POSES[0] / 500).ravel()])
def test_our_own_json_is_read_as_the_page_saves_it(tmp_path: Path, pose: np.ndarray) -> None:
    found = read_pose_file(written(tmp_path, {"joints": list(JOINTS), "pose": pose.tolist()}))
    np.testing.assert_allclose(found.poses, POSES[:1] / 500)
    assert found.kinds == ["pose"]


def test_a_list_of_our_own_poses_keeps_kinds_and_the_aspect_of_pictures(tmp_path: Path) -> None:
    size = {"width": 300, "height": 600}
    entries = [{"pose": POSES[0].tolist(), "kind": "dance"}, {"pose": (POSES[1] / (300, 600)).tolist(), **size}, {"pose": POSES[2].tolist(), **size}]
    found = read_pose_file(written(tmp_path, entries))
    np.testing.assert_allclose(found.poses, POSES[:3])
    assert found.kinds == ["dance", "pose", "pose"]


@pytest.mark.parametrize("names", [BODY_25, COCO_18])
def test_openpose_people_become_our_joints(tmp_path: Path, names: tuple[str, ...]) -> None:
    whole, legless = numbers(names), numbers(names, missing=("l_knee",))
    found = read_pose_file(written(tmp_path, {"version": 1.3, "people": [{"pose_keypoints_2d": person} for person in (whole, legless)]}))
    assert found.left_out == Counter({"a joint is missing": 1})
    assert (found.poses == ours()).all()


def test_shares_of_a_canvas_become_pixels(tmp_path: Path) -> None:
    person = (np.reshape(numbers(BODY_25), (-1, 3)) / (200, 400, 1)).ravel().tolist()
    found = read_pose_file(written(tmp_path, [{"people": [{"pose_keypoints_2d": person}], "canvas_width": 200, "canvas_height": 400}]))
    np.testing.assert_allclose(found.poses[0], ours())


def test_a_joint_outside_the_canvas_leaves_the_others_shares(tmp_path: Path) -> None:
    person = np.reshape(numbers(BODY_25), (-1, 3)) / (200, 400, 1)
    person[BODY_25.index("l_wrist"), :2] = 1.2, 0.5
    document = [{"people": [{"pose_keypoints_2d": person.ravel().tolist()}], "canvas_width": 200, "canvas_height": 400}]
    np.testing.assert_allclose(read_pose_file(written(tmp_path, document)).poses[0], ours({"l_wrist": (240, 200)}))


def test_coco_annotations_and_results_become_our_joints(tmp_path: Path) -> None:
    keypoints = numbers(COCO_17)
    found = read_pose_file(written(tmp_path, {"images": [], "annotations": [{"keypoints": keypoints, "category_id": 1}]}))
    np.testing.assert_allclose(found.poses[0], ours())  # the neck is between the shoulders, the hip between the hips
    assert (read_pose_file(written(tmp_path, [{"image_id": 3, "keypoints": keypoints, "score": 0.9}])).poses == found.poses).all()


def test_a_coco_category_names_its_own_keypoints(tmp_path: Path) -> None:
    names = tuple(reversed(COCO_17))
    category = {"id": 7, "keypoints": [name.replace("l_", "left_").replace("r_", "right_") for name in names]}
    found = read_pose_file(written(tmp_path, {"annotations": [{"keypoints": numbers(names), "category_id": 7}], "categories": [category]}))
    np.testing.assert_allclose(found.poses[0], ours())


@pytest.mark.parametrize("sign", [" ", "-", "_"])
def test_names_of_keypoints_may_be_written_with_blanks_or_hyphens(tmp_path: Path, sign: str) -> None:
    names = [name.replace("l_", f"Left{sign}").replace("r_", f"Right{sign}") for name in COCO_17]
    document = {"annotations": [{"keypoints": numbers(COCO_17), "category_id": 1}], "categories": [{"id": 1, "keypoints": names}]}
    np.testing.assert_allclose(read_pose_file(written(tmp_path, document)).poses[0], ours())


def test_entries_without_a_pose_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    keypoints = numbers(COCO_17)
    boxes: list[Any] = [{"bbox": [1, 2, 3, 4], "category_id": 2}, {"keypoints": [], "category_id": 1}]
    paws = {"id": 3, "keypoints": ["nose", "l_paw", "r_paw"]}
    annotations = [*boxes, {"keypoints": keypoints, "category_id": 1}, {"keypoints": [1, 2, 2] * 3, "category_id": 3}]
    found = read_pose_file(written(tmp_path, {"annotations": annotations, "categories": [{"id": 2}, paws]}))
    np.testing.assert_allclose(found.poses, [ours()])
    assert found.left_out == Counter({"0 keypoints": 2, "joints of other names": 1})
    assert len(read_pose_file(written(tmp_path, [*boxes, {"keypoints": keypoints}])).poses) == 1
    people = [{"hand_left_keypoints_2d": [1.0] * 63}, {"pose_keypoints_2d": numbers(BODY_25)}]
    found = read_pose_file(written(tmp_path, {"people": people}))
    assert (len(found.poses), found.left_out) == (1, Counter({"a person without a body": 1}))


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "poses.json"
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": numbers(BODY_25)}]}), encoding="utf-8-sig")
    assert len(read_pose_file(path).poses) == 1


def test_the_head_is_between_the_ears_or_else_the_middle_of_the_face(tmp_path: Path) -> None:
    profile = numbers(BODY_25, missing=("r_ear", "r_eye"))
    found = read_pose_file(written(tmp_path, {"people": [{"pose_keypoints_2d": profile}]}))
    np.testing.assert_allclose(found.poses[0, J["head"]], np.mean([POINTS["nose"], POINTS["l_eye"], POINTS["l_ear"]], axis=0))


def test_people_of_another_count_of_points_are_counted(tmp_path: Path) -> None:
    document = {"people": [{"pose_keypoints_2d": [1.0] * 45}, {"pose_keypoints_2d": numbers(BODY_25)}]}
    found = read_pose_file(written(tmp_path, document))
    assert (len(found.poses), found.left_out) == (1, Counter({"45 numbers": 1}))


def test_label_studio_exports_go_to_their_own_reader(tmp_path: Path) -> None:
    path = written(tmp_path, [{"id": 1, "data": {}, "annotations": []}])
    labeled = PoseFile(POSES, ["labeled"] * 3)
    assert read_pose_file(path, lambda given: labeled if given == path else PoseFile(POSES[:0], [])) is labeled
    with pytest.raises(DataError, match="no layout that we read"):
        read_pose_file(path)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"pose": [1, 2, 3]}, "poses.json has an entry that its layout does not have"),
        ({"pose": [10**400, *[0] * 21]}, "poses.json has an entry that its layout does not have"),
        ({"pose": POSES[0].tolist(), "joints": ["nose", *JOINTS[1:]]}, "names the joints nose, neck.* expected head, neck"),
        ({"frames": []}, "no layout that we read, expected our own poses, OpenPose, COCO keypoints"),
        ([], "no layout"),
        ("pose", "no layout|an entry"),
        ([1, 2], "an entry|no layout"),
    ],
)
def test_json_of_another_layout_is_refused(tmp_path: Path, document: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_pose_file(written(tmp_path, document))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('[{"pose": ')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "not.npz").write_bytes(b"no zip")
    np.savez(tmp_path / "other.npz", pictures=np.zeros((4, 8, 8)))
    np.savez(tmp_path / "objects.npz", poses=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "empty.npz").touch()
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, POSES)
    np.savez_compressed(tmp_path / "damaged.npz", poses=POSES)
    damaged = bytearray((tmp_path / "damaged.npz").read_bytes())
    start = damaged.index(b"poses.npy") + len("poses.npy")
    damaged[start + 20 : start + 40] = b"\xff" * 20
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with ZipFile(tmp_path / "letters.npz", "w") as archive:
        archive.writestr("letter.txt", "no array")
    for name, said in {
        "half.json": "half.json is not readable JSON",
        "deep.json": r"deep.json is not readable JSON \(maximum recursion depth exceeded.*; save it again",
        "not.npz": "not.npz is not a readable .npz",
        "other.npz": r"other.npz holds pictures \(4, 8, 8\), expected an array of poses \(N, 11, 2\)",
        "objects.npz": "objects.npz is not a readable .npz of plain arrays",
        "empty.npz": "empty.npz is not a readable .npz of plain arrays",
        "array.npz": "array.npz is not a readable .npz of plain arrays",
        "damaged.npz": "damaged.npz is not a readable .npz of plain arrays",
        "letters.npz": r"letters.npz holds letter.txt \(\), expected an array of poses \(N, 11, 2\)",
        "walk.fbx": "walk.fbx is no file of 2D poses that we read, expected .npz or .json",
    }.items():
        with pytest.raises(DataError, match=said):
            read_pose_file(tmp_path / name)
