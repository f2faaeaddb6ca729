"""Motion as BVH: places by hand and by scipy's rotations, rigs of many names, frames far from one another."""

from pathlib import Path

import numpy as np
import pytest
from rigs import CMU, NUM_CHANNELS, RIGS, STILL, Rig, bvh, rig
from scipy.spatial.transform import Rotation

from drawing.bvh import HEIGHT, NAMES, find, parse, positions, read_bvh, spread, upright
from genga.errors import DataError
from genga.skeleton import J

# the T-pose in its own unit, y up: what the tests compare with
T_POSE = {
    "head": (0, 11, 0), "neck": (0, 8, 0), "l_elbow": (5, 8, 0), "r_elbow": (-5, 8, 0), "l_wrist": (7.5, 8, 0), "r_wrist": (-7.5, 8, 0),
    "hip": (0, -1, 0), "l_knee": (1, -6, 0), "r_knee": (-1, -6, 0), "l_ankle": (1, -10.5, 0), "r_ankle": (-1, -10.5, 0),
}  # fmt: skip


def expected(points: dict[str, tuple[float, float, float]] | np.ndarray) -> np.ndarray:
    """y down, the hip at 0, as long as a body is."""
    array = np.array([points[name] for name in J]) if isinstance(points, dict) else points
    array = (array - array[J["hip"]]) * (1, -1, -1)
    legs = np.linalg.norm(array[J["l_knee"]] - array[J["hip"]]) + np.linalg.norm(array[J["l_ankle"]] - array[J["l_knee"]])
    trunk = np.linalg.norm(array[J["head"]] - array[J["neck"]]) + np.linalg.norm(array[J["neck"]] - array[J["hip"]])
    return array * HEIGHT / (legs + trunk)


def saved(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "walk.bvh"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", RIGS)
def test_every_rig_stands_in_its_t_pose(tmp_path: Path, name: str) -> None:
    motion = read_bvh(saved(tmp_path, bvh(rig(RIGS[name]), STILL)))
    np.testing.assert_allclose(motion.joints[0], expected(T_POSE), atol=1e-9)


@pytest.mark.parametrize("name", RIGS)
def test_the_left_arm_of_every_rig_is_the_subjects_left(tmp_path: Path, name: str) -> None:
    frames = STILL.copy()
    names = [node.name for node in parse(bvh(rig(RIGS[name]), STILL), "a")[0] if not node.end]
    frames[0, 3 + 3 * names.index(RIGS[name]["l_shoulder"])] = 90  # about z: from the side upward
    motion = read_bvh(saved(tmp_path, bvh(rig(RIGS[name]), frames)))
    np.testing.assert_allclose(motion.joints[0], expected(T_POSE | {"l_elbow": (2, 11, 0), "l_wrist": (2, 13.5, 0)}), atol=1e-9)


def test_names_in_shift_jis_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path, "")
    path.write_bytes(bvh(rig(RIGS["mmd"]), STILL).encode("shift_jis"))
    np.testing.assert_allclose(read_bvh(path).joints[0], expected(T_POSE), atol=1e-9)


def test_a_spine_that_ends_below_the_arms_has_no_head(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no joint that we know as head, it has"):
        read_bvh(saved(tmp_path, bvh(rig(RIGS["rigify's own"] | {"neck": "DEF-neck", "head": "DEF-top"}), STILL)))


def test_the_arms_collar_is_no_shoulder_where_an_arm_is_named(tmp_path: Path) -> None:
    nodes, _, _ = parse(bvh(("Hips", (0, 0, 0), [("LeftShoulder", (1, 8, 0), [("LeftArm", (1, 0, 0), [])]), rig(CMU)]), np.zeros((1, 60))), "a")
    assert nodes[find(nodes, "a")["l_shoulder"]].name == "LeftArm"


@pytest.mark.parametrize("turns", ["Zrotation Xrotation Yrotation", "Xrotation Yrotation Zrotation", "Yrotation Zrotation Xrotation"])
def test_turns_are_taken_in_the_order_of_the_channels(turns: str) -> None:
    """The same chain by scipy: intrinsic rotations in the listed order, each in the frame of the joint before."""
    rng = np.random.default_rng(0)
    frames = rng.uniform(-60, 60, (4, NUM_CHANNELS))
    nodes, numbers, seconds = parse(bvh(rig(CMU), frames, turns), "a")
    assert seconds == pytest.approx(1 / 30, abs=1e-4)
    places = positions(nodes, numbers)
    names = [node.name for node in nodes]
    order = "".join(word[0] for word in turns.split())
    joints = [node for node in nodes if not node.end]
    for frame in range(4):
        turn = {node.name: Rotation.from_euler(order, frames[frame, 3 + 3 * at : 6 + 3 * at], degrees=True) for at, node in enumerate(joints)}
        hips = frames[frame, :3]
        spine = hips
        shoulder = spine + (turn["Hips"] * turn["LowerBack"]).apply((2, 8, 0))
        elbow = shoulder + (turn["Hips"] * turn["LowerBack"] * turn["LeftArm"]).apply((3, 0, 0))
        wrist = elbow + (turn["Hips"] * turn["LowerBack"] * turn["LeftArm"] * turn["LeftForeArm"]).apply((2.5, 0, 0))
        np.testing.assert_allclose(places[frame, names.index("LeftHand")], wrist, atol=1e-9)
        knee = hips + turn["Hips"].apply((-1, -1, 0)) + (turn["Hips"] * turn["RightUpLeg"]).apply((0, -5, 0))
        np.testing.assert_allclose(places[frame, names.index("RightLeg")], knee, atol=1e-9)


def test_by_hand_a_knee_bent_by_90_degrees_brings_the_foot_behind(tmp_path: Path) -> None:
    frames = STILL.copy()
    names = [node.name for node in parse(bvh(rig(CMU), STILL), "a")[0] if not node.end]
    frames[0, 3 + 3 * names.index("LeftLeg") + 1] = 90  # about x: y turns to z, so -y to -z, and the file faces +z
    motion = read_bvh(saved(tmp_path, bvh(rig(CMU), frames)))
    bent = T_POSE | {"l_ankle": (1, -6, -4.5)}
    np.testing.assert_allclose(motion.joints[0], expected(bent), atol=1e-9)
    assert motion.joints[0, J["l_ankle"], 2] > 0  # away from the viewer


def test_whichever_way_a_body_faces_and_walks_it_is_turned_to_the_viewer(tmp_path: Path) -> None:
    frames = np.repeat(STILL, 5, axis=0)
    frames[:, 0], frames[:, 2] = np.arange(5) * 30, 7
    frames[:, 5] = np.arange(5) * 70  # about y
    motion = read_bvh(saved(tmp_path, bvh(rig(CMU), frames)))
    np.testing.assert_allclose(motion.joints, np.repeat(expected(T_POSE)[None], 5, axis=0), atol=1e-9)
    np.testing.assert_allclose(motion.seconds, np.arange(5) / 30, atol=1e-4)


def test_a_file_with_z_up_stands_upright_too(tmp_path: Path) -> None:
    def tipped(rig: Rig) -> Rig:
        name, (x, y, z), children = rig
        return name, (x, -z, y), [tipped(child) for child in children]

    motion = read_bvh(saved(tmp_path, bvh(tipped(rig(CMU)), STILL, end=(0, 0, 2))))
    np.testing.assert_allclose(motion.joints[0], expected(T_POSE), atol=1e-9)


def test_a_motion_is_turned_over_where_it_and_its_rest_pose_are() -> None:
    """Some rigs have every bone along its own +y, and turn the legs down in each frame; and people stand on their hands."""
    found = {"head": 0, "l_ankle": 1, "r_ankle": 2}
    ankles_above, ankles_below = (np.array([[[0, 1.0, 0], [0.1, y, 0], [-0.1, y, 0]]]) for y in (2, -1))
    np.testing.assert_allclose(upright(ankles_below, ankles_above, found)[0, 0], (0, -1, 0))
    np.testing.assert_allclose(upright(ankles_above, ankles_below, found)[0, 0], (0, -1, 0))
    np.testing.assert_allclose(upright(ankles_above, ankles_above, found)[0, 0], (0, 1, 0))


@pytest.mark.parametrize("up", [(0, -1, 0), (0, 0, -1)])
def test_a_file_with_y_or_z_down_is_turned_over_and_not_mirrored(tmp_path: Path, up: tuple[int, int, int]) -> None:
    def tipped(rig: Rig) -> Rig:
        name, (x, y, z), children = rig
        return name, (x, up[1] * y - up[2] * z, up[2] * y + up[1] * z), [tipped(child) for child in children]

    motion = read_bvh(saved(tmp_path, bvh(tipped(rig(CMU)), STILL, end=(0, 2 * up[1], 2 * up[2]))))
    np.testing.assert_allclose(motion.joints[0], expected(T_POSE), atol=1e-9)


@pytest.mark.parametrize(("old", "new"), [("LowerBack", "LOCOMOTION"), ("End Site", "end site"), ("Hips", "MOTION")])
def test_joints_and_ends_may_be_called_so_too(tmp_path: Path, old: str, new: str) -> None:
    motion = read_bvh(saved(tmp_path, bvh(rig(CMU), STILL).replace(old, new)))
    np.testing.assert_allclose(motion.joints[0], expected(T_POSE), atol=1e-9)


def test_position_channels_of_any_joint_say_where_it_stands() -> None:
    text = (
        "HIERARCHY ROOT a { OFFSET 1 2 3 CHANNELS 3 Zrotation Yrotation Xrotation\nJOINT b { OFFSET 4 0 0\nCHANNELS 2 Yposition Xrotation\n"
        "End Site { OFFSET 0 1 0 } } }\nMOTION Frames: 1 Frame Time: .1\n90 0 0 5 0\n"
    ).replace("CHANNELS", "\nCHANNELS", 1)
    nodes, frames, _ = parse(text, "a")
    # b lies at (4, 5, 0) of a, and a is turned by 90 degrees about z; a end site stands one further along b's y
    np.testing.assert_allclose(positions(nodes, frames)[0], [(1, 2, 3), (-4, 6, 3), (-5, 6, 3)], atol=1e-9)


def test_a_head_without_an_end_reaches_on_as_the_neck_points(tmp_path: Path) -> None:
    text = bvh(rig(CMU), STILL).replace("End Site\n{\nOFFSET 0 2 0\n}\n", "")
    head = read_bvh(saved(tmp_path, text)).joints[0, J["head"]]
    neck = read_bvh(saved(tmp_path, text)).joints[0, J["neck"]]
    assert head[0] == pytest.approx(neck[0]) and head[1] < neck[1]


def test_missing_joints_are_named(tmp_path: Path) -> None:
    names = CMU | {"l_wrist": "LeftPaw", "r_wrist": "RightPaw", "head": "Top"}
    with pytest.raises(
        DataError, match=r"walk.bvh has no joint that we know as head, l_wrist, r_wrist, it has Hips, LeftUpLeg.*; name its joints as"
    ):
        read_bvh(saved(tmp_path, bvh(rig(names), STILL)))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("HIERARCHY", "SKELETON", "walk.bvh is no BVH file, expected HIERARCHY"),
        ("MOTION", "", "is no BVH file"),
        ("Frames: 1", "Frames: 2", "holds 51 numbers of motion, expected 2 frames of 51"),
        ("Frames: 1", "Frames: 0", "holds 51 numbers of motion, expected 0 frames"),
        ("OFFSET 0 2 0", "OFFSET 0 2", "is a damaged BVH file"),
        ("OFFSET 0 2 0", "OFFSET 0 inf 0", r"is a damaged BVH file \(the line 'OFFSET 0 inf 0'\)"),
        ("0.0333333", "nan", "has a Frame Time of nan, expected seconds from 0 to 3600; export the motion again"),
        ("0.0333333", "inf", "has a Frame Time of inf"),
        ("0.0333333", "-0.03", "has a Frame Time of -0.03"),
        ("0.0333333", "1e308", "has a Frame Time of 1e308"),
        ("CHANNELS 6", "CHANNELS 5", r"is a damaged BVH file \(5 channels announced, 6 named\)"),
        ("Zrotation", "Wrotation", "is a damaged BVH file"),
        ("JOINT LeftLeg", "BONE LeftLeg", "the line 'BONE LeftLeg'"),
        ("0.0 0.0 0.0", "0.0 x 0.0", "is a damaged BVH file"),
        ("0.0 0.0 0.0", "0.0 nan 0.0", "numbers of motion"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_bvh(saved(tmp_path, bvh(rig(CMU), STILL).replace(old, new, 1)))


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_bvh(tmp_path / "none.bvh")


def test_the_table_gives_no_name_to_two_joints() -> None:
    names = [name for known in NAMES.values() for name in known]
    assert len(names) == len(set(names))


def test_frames_are_spread_by_pose_and_not_by_time() -> None:
    """A body that stands for 900 frames, then moves for 100: most of what is chosen moves."""
    rng = np.random.default_rng(0)
    still = np.tile(rng.normal(size=(11, 3)), (900, 1, 1)) + rng.normal(0, 0.001, (900, 11, 3))
    moving = still[:100] + np.linspace(0, 1, 100)[:, None, None] * rng.normal(size=(11, 3))
    rows = spread(np.concatenate([still, moving]), 20)
    assert len(set(rows.tolist())) == 20
    assert (rows >= 900).sum() >= 18
    chosen = np.concatenate([still, moving])[rows].reshape(20, -1)
    gaps = np.linalg.norm(chosen[:, None] - chosen[None], axis=-1) + np.eye(20) * 9
    assert gaps.min() > 0.5 * np.linalg.norm(moving[-1] - moving[0]) / 20


def test_no_more_frames_are_chosen_than_differ() -> None:
    assert len(spread(np.zeros((50, 11, 3)), 10)) == 1
    assert sorted(spread(np.arange(6.0).reshape(3, 2, 1), 10).tolist()) == [0, 1, 2]


def test_limbs_keep_their_lengths_through_a_motion(tmp_path: Path) -> None:
    frames = np.random.default_rng(3).uniform(-50, 50, (6, NUM_CHANNELS))
    frames[:, 3:6] = 0
    names = [node.name for node in parse(bvh(rig(CMU), STILL), "a")[0] if not node.end]
    at = 3 + 3 * names.index("LowerBack")
    frames[:, at : at + 3] = 0
    joints = read_bvh(saved(tmp_path, bvh(rig(CMU), frames))).joints
    for a, b in (("elbow", "wrist"), ("knee", "ankle")):
        lengths = np.linalg.norm(joints[:, J[f"l_{a}"]] - joints[:, J[f"l_{b}"]], axis=-1)
        np.testing.assert_allclose(lengths, lengths[0], atol=1e-9)
