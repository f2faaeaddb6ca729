"""What poses come from files: each once, with its own terms and an id that stays."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from rigs import CMU, NUM_CHANNELS, STILL, bvh, rig

from drawing.lift import Lifted, gallery
from drawing.pool import FilePose, PosePool, apart, flip, found_bodies, pose_id, read_poses, twin_id, vary_flat
from drawing.pose_files import PoseFile
from genga.errors import DataError
from genga.params import PoseFiles
from genga.skeleton import STICKS, J, mirror, normalise

PARAMS = PoseFiles(path="poses", share=0.5, source="my poses", licence="CC-BY-4.0", motion_frames=12, vary=0.0)
POSES = np.random.default_rng(0).uniform(0, 100, (9, 11, 2))


def no_labels(path: Path) -> PoseFile:
    raise AssertionError(f"{path} is no export")


def saved(folder: Path, name: str, poses: np.ndarray) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    np.savez(folder / name, hand=poses)


def test_a_folder_of_notes_holds_no_poses(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("poses go here")
    (tmp_path / ".gitignore").write_text("*")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    assert read_poses(PARAMS, tmp_path, no_labels) == []


def test_every_file_below_the_folder_is_read_and_keeps_its_terms(tmp_path: Path) -> None:
    saved(tmp_path, "b/two.npz", POSES[4:])
    saved(tmp_path, "a.npz", POSES[:4])
    (tmp_path / "sources.csv").write_text("file,source,licence\nb/two.npz,a friend,CC0-1.0\n")
    found = read_poses(PARAMS, tmp_path, no_labels)
    assert {pose.kind for pose in found} == {"hand"}
    assert [(pose.source, pose.licence) for pose in found] == [("my poses", "CC-BY-4.0")] * 4 + [("a friend", "CC0-1.0")] * 5
    np.testing.assert_allclose([pose.joints for pose in found], POSES)
    assert [pose.id for pose in read_poses(PARAMS, tmp_path / "a.npz", no_labels)] == [twin_id(pose) for pose in POSES[:4]]


def test_a_file_that_is_named_alone_has_the_terms_of_the_table_beside_it(tmp_path: Path) -> None:
    saved(tmp_path, "a.npz", POSES)
    (tmp_path / "sources.csv").write_text("file,source,licence\na.npz,a studio,CC-BY-NC-4.0\nb.npz,,\n")
    said = r"sources.csv says a studio, CC-BY-NC-4.0 of a.npz, draw_figures.poses in params.yaml says my poses, CC-BY-4.0, .*name its folder"
    with pytest.raises(DataError, match=said):
        read_poses(PARAMS, tmp_path / "a.npz", no_labels)
    params = PARAMS.model_copy(update={"source": "a studio", "licence": "CC-BY-NC-4.0"})
    assert {pose.licence for pose in read_poses(params, tmp_path / "a.npz", no_labels)} == {"CC-BY-NC-4.0"}


def test_an_id_follows_from_the_pose_and_not_from_where_or_how_large_it_stands() -> None:
    assert pose_id(POSES[0]) == pose_id(POSES[0] * 3.7 + (90, -4))
    assert len({pose_id(pose) for pose in POSES}) == len(POSES)
    nudged = POSES[0].copy()
    nudged[3, 0] += 1
    assert pose_id(nudged) != pose_id(POSES[0])


def test_a_pose_that_comes_twice_is_taken_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved(tmp_path, "a.npz", POSES)
    saved(tmp_path, "b.npz", POSES[:2] * 2)
    with caplog.at_level(logging.INFO):
        assert len(read_poses(PARAMS, tmp_path, no_labels)) == 9
    assert "9 from 2 files, left out: 2 a pose twice" in caplog.text


def test_a_pose_and_its_mirror_image_are_one_pose(tmp_path: Path) -> None:
    saved(tmp_path, "a.npz", POSES)
    saved(tmp_path, "b.npz", flip_all(POSES) * 3 + (400, 0))
    assert [pose.id for pose in read_poses(PARAMS, tmp_path, no_labels)] == [twin_id(flip(pose)) for pose in POSES]
    assert len({twin_id(pose) for pose in POSES}) == len(POSES)
    pixels = np.random.default_rng(3).integers(0, 161, (300, 11, 2))
    pixels[:, 0], pixels[:, 1] = 0, 160  # a box whose halves and tenths of thousandths fall together
    assert all(twin_id(pose) == twin_id(mirror(pose / 1000) * 1000) for pose in pixels)


def flip_all(poses: np.ndarray) -> np.ndarray:
    return np.stack([flip(pose) for pose in poses])


def test_label_studio_exports_are_read_by_whom_the_caller_names(tmp_path: Path) -> None:
    (tmp_path / "project-1.json").write_text(json.dumps([{"id": 1, "annotations": []}]))
    found = read_poses(PARAMS, tmp_path, lambda path: PoseFile(POSES[:2], ["labeled"] * 2))
    assert [pose.kind for pose in found] == ["labeled"] * 2


def test_a_motion_gives_frames_that_differ_and_near_ones_share_their_id(tmp_path: Path) -> None:
    frames = np.zeros((200, NUM_CHANNELS))
    frames[:, 6:] = np.linspace(0, 60, 200)[:, None] * np.random.default_rng(0).uniform(-1, 1, NUM_CHANNELS - 6)
    (tmp_path / "dance.bvh").write_text(bvh(rig(CMU), frames))
    found = read_poses(PARAMS, tmp_path, no_labels)
    assert len(found) == 12
    assert all(pose.joints.shape == (11, 3) and pose.kind == "dance" for pose in found)
    assert len({pose.id for pose in found}) == 4  # 6.7 seconds in pieces of 2
    assert len({pose.joints.tobytes() for pose in found}) == 12


def test_frames_of_a_motion_without_extent_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spot = re.sub("OFFSET .*", "OFFSET 0 0 0", bvh(rig(CMU), STILL))
    (tmp_path / "spot.bvh").write_text(spot)
    with pytest.raises(DataError, match=r"no pose in .*: 1 all joints on one spot; give poses with all 11 joints"):
        read_poses(PARAMS, tmp_path, no_labels)
    (tmp_path / "still.bvh").write_text(bvh(rig(CMU), STILL))
    with caplog.at_level(logging.INFO):
        assert [pose.kind for pose in read_poses(PARAMS, tmp_path, no_labels)] == ["still"]
    assert "1 from 2 files, left out: 1 all joints on one spot" in caplog.text


def test_frames_that_openpose_wrote_one_after_another_share_their_id(tmp_path: Path) -> None:
    start, step = np.random.default_rng(1).uniform(1, 99, (2, 18, 3))
    for clip in ("walk", "more/walk", "run"):
        for frame in range(0, 180, 6):
            (tmp_path / clip).parent.mkdir(exist_ok=True)
            person = {"pose_keypoints_2d": (start + step * frame / 180).ravel().tolist()}
            (tmp_path / f"{clip}_{frame:012}_keypoints.json").write_text(json.dumps({"people": [person]}))
        start = start[::-1]
    found = read_poses(PARAMS, tmp_path, no_labels)
    assert len(found) == 60  # the third clip is the first one again
    assert len({pose.id for pose in found}) == 6  # 6 seconds of each in pieces of 2


# --- a motion on both sides of a split


def clip(name: str, phases: np.ndarray, strays: float = 0.0) -> list[FilePose]:
    """Ten frames a second of a motion in pieces of two seconds, at these phases of one step; with `strays` it never comes back."""
    start, swing, off = np.random.default_rng(2).normal(size=(3, 11, 3))
    return [
        FilePose(f"{name} {idx // 20}", name, "me", "CC0", start + 0.5 * np.sin(phase) * swing + strays * idx * off, name)
        for idx, phase in enumerate(phases)
    ]


def distance(pose: FilePose, other: FilePose) -> float:
    """Root mean square over the joints, of the longer side of the box, to it or its mirror image."""
    return min(float(np.sqrt(((normalise(pose.joints) - normalise(joints)) ** 2).sum() / 11)) for joints in (other.joints, flip(other.joints)))


def test_frames_to_learn_from_that_are_near_a_held_out_one_of_their_motion_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    poses = clip("dance", np.linspace(0, 9, 100), strays=0.02)
    alike = [poses[45]._replace(id="other 0", motion="other"), poses[45]._replace(id="alone", motion=""), poses[45]._replace(id="dance 9")]
    mirrored = poses[45]._replace(id="dance 9", joints=flip(poses[45].joints))
    with caplog.at_level(logging.INFO):
        kept = apart([*poses, *alike, mirrored], lambda id_: id_ == "dance 2")
    held_out = [pose for pose in kept if pose.id == "dance 2"]
    learned = [pose for pose in kept if pose.motion == "dance" and pose.id != "dance 2"]
    assert held_out == poses[40:60]
    assert min(distance(pose, other) for pose in learned for other in held_out) > 0.05
    assert 50 < len(learned) < 80 and all(pose.id != "dance 9" for pose in learned)
    assert [pose.id for pose in kept if pose.motion != "dance"] == ["other 0", "alone"]
    assert f"motion: {len(poses) + 2 - len(learned) - 20} frames left out that would be both learned from and held out; 0 of 2 motions" in caplog.text


def test_a_motion_that_repeats_itself_is_not_held_out(caplog: pytest.LogCaptureFixture) -> None:
    poses = clip("walk", np.arange(100) * 2 * np.pi / 11)
    with caplog.at_level(logging.INFO):
        kept = apart(poses, lambda id_: id_ == "walk 2")
    assert kept == poses[:40] + poses[60:]
    assert "motion: 20 frames left out that would be both learned from and held out; 1 of 1 motions repeat themselves" in caplog.text
    assert apart(poses, lambda id_: False) == apart(poses, lambda id_: True) == poses


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("walk.fbx", b"", r"walk.fbx is no pose file that we read, expected .bvh, .json, .npz; convert it or take it away"),
        ("sources.csv", b"file,source\na.npz,me\n", "expected the columns file, source and licence, all filled"),
        ("sources.csv", b"file,source,licence\na.npz,,CC0\n", "expected the columns file, source and licence, all filled"),
        ("sources.csv", b"file,source,licence\nother.npz,me,CC0\n", "names 'other.npz', which is no pose file"),
        ("sources.csv", "file,source,licence\na.npz,Zoë,CC0\n".encode("latin-1"), "sources.csv is no table in UTF-8 .*; save it again as UTF-8"),
    ],
)
def test_what_is_wrong_with_the_folder_is_said(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    saved(tmp_path, "a.npz", POSES)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_poses(PARAMS, tmp_path, no_labels)


def test_files_without_one_whole_pose_stop(tmp_path: Path) -> None:
    saved(tmp_path, "a.npz", np.full((3, 11, 2), np.nan))
    with pytest.raises(DataError, match=r"no pose in .*: 3 a joint is missing; give poses with all 11 joints"):
        read_poses(PARAMS, tmp_path, no_labels)


def test_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing at .*correct draw_figures.poses.path in params.yaml"):
        read_poses(PARAMS, tmp_path / "none", no_labels)


def file_poses(count: int) -> list[FilePose]:
    return [FilePose(pose_id(POSES[row]), "hand", "me", "CC0-1.0", POSES[row]) for row in range(count)]


def test_a_share_of_the_figures_takes_poses_half_of_them_mirrored() -> None:
    pool = PosePool(file_poses(5), 0.4)
    picks = [pool.pick(np.random.default_rng((1, number))) for number in range(2000)]
    taken = [pick for pick in picks if pick is not None]
    assert abs(len(taken) / 2000 - 0.4) < 0.04
    assert abs(np.mean([mirrored for _, mirrored in taken]) - 0.5) < 0.06
    assert all(abs(sum(row == other for other, _ in taken) / len(taken) - 0.2) < 0.06 for row in range(5))
    assert [pool.pick(np.random.default_rng((1, number))) for number in range(50)] == picks[:50]


def test_without_poses_all_come_from_the_limits() -> None:
    pool = PosePool([], 1.0)
    assert pool.pick(np.random.default_rng(0)) is None
    assert pool.ask(3, None).pose is None


def test_a_mirrored_pose_keeps_its_id() -> None:
    pool = PosePool(file_poses(2), 1.0)
    asked, plain = pool.ask(0, (1, True)), pool.ask(0, (1, False))
    assert asked.pose is not None and plain.pose is not None
    assert asked.pose.id == plain.pose.id
    assert (plain.pose.joints == POSES[1]).all()
    np.testing.assert_allclose(asked.pose.joints + np.array([1, 0]), mirror(POSES[1]))
    spatial = np.random.default_rng(0).normal(size=(11, 3))
    np.testing.assert_allclose(flip(flip(spatial)), spatial)


def test_where_no_body_takes_a_pose_the_next_one_is_taken() -> None:
    bodies = gallery((6.0, 6.0))[:40]
    lifted = Lifted(bodies[:4], np.array([0.01, 0.5, 0.5, 0.02]), np.zeros(4), np.zeros(4, bool))
    found = found_bodies([10, 11, 12, 13], lifted)
    assert {row: taken for row, (taken, _) in found.items()} == {10: 10, 11: 13, 12: 13, 13: 13}
    assert (found[11][1].angles == bodies.angles[[3]]).all()
    hopeless = lifted._replace(collides=np.ones(4, bool))
    assert found_bodies([10, 11, 12, 13], hopeless) == {}
    assert PosePool(file_poses(9), 1.0).ask_with_body(0, (1, False), {}).pose is None


def test_a_mirrored_pose_has_a_mirrored_body() -> None:
    pool = PosePool(file_poses(3), 1.0)
    body = gallery((6.0, 6.0))[[5]]
    asked = pool.ask_with_body(0, (1, True), {1: (2, body)})
    assert asked.pose is not None and asked.body is not None
    assert (asked.pose.joints == flip(POSES[2])).all()
    assert (asked.body.angles == body.mirrored().angles).all()


def test_poses_are_lifted_in_the_same_company_flat_and_spatial_apart() -> None:
    flat, spatial = file_poses(9), [FilePose("m", "walk", "me", "CC0", np.zeros((11, 3)))] * 70
    stacks = PosePool([*spatial[:1], *flat, *spatial[1:]], 1.0).stacks()
    assert [len(stack) for stack in stacks] == [9, 64, 6]
    assert sorted(row for stack in stacks for row in stack) == list(range(79))
    assert stacks[0] == list(range(1, 10))


def test_a_varied_pose_strays_by_the_spread_that_is_asked_for() -> None:
    rng, starts, ends = np.random.default_rng(0), [start for start, _ in STICKS], [end for _, end in STICKS]
    np.testing.assert_allclose(vary_flat(POSES[0], 0.0, rng), POSES[0])
    before = (POSES[0][ends] - POSES[0][starts]) @ (1, 1j)
    varied = np.array([vary_flat(POSES[0], 10.0, rng) for _ in range(2000)])
    change = ((varied[:, ends] - varied[:, starts]) @ (1, 1j)) / before
    np.testing.assert_allclose(np.degrees(np.angle(change)).std(axis=0), 10, rtol=0.1)
    np.testing.assert_allclose(np.log(np.abs(change)).std(axis=0), 0.1, rtol=0.1)
    assert (varied[:, J["head"]] == POSES[0][J["head"]]).all()
