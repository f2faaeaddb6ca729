"""Where the joints of a posed body lie, in space and in the picture."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from drawing.poses import (
    ANGLES,
    EASE,
    KINDS,
    LIMITS,
    PARTS,
    SIDED,
    WEIGHTS,
    WHOLE,
    Angles,
    Build,
    Camera,
    collides,
    look,
    looks,
    move,
    place,
    rotation,
    sample_angles,
    sample_bodies,
    sample_build,
    sample_camera,
)
from genga.skeleton import STICKS, J, mirror, normalise, to_vector

BUILD = sample_build(6.0, np.random.default_rng(0))
FRONT = Camera(turn=0, elevation=0, roll=0, distance=1e6)


def straight(**angles: float) -> Angles:
    """Every angle 0 but those given."""
    names = [*WHOLE, *(f"{side}_{name}" for side in "lr" for name in SIDED)]
    assert angles.keys() <= set(names)
    return dict.fromkeys(names, 0.0) | angles


def pose_2d(angles: Angles, camera: Camera = FRONT) -> np.ndarray:
    joints = move(BUILD, angles).joints()
    return look(camera, joints, joints.mean(axis=0)).xy


def test_at_rest_the_body_stands_head_up_with_its_left_on_the_viewers_right() -> None:
    pose = pose_2d(straight())
    assert pose[J["head"], 1] < pose[J["neck"], 1] < pose[J["hip"], 1] < pose[J["l_knee"], 1] < pose[J["l_ankle"], 1]
    assert pose[J["l_wrist"], 0] > 0 > pose[J["r_wrist"], 0]
    assert np.allclose(pose[[J["l_wrist"], J["l_ankle"]]] * [-1, 1], pose[[J["r_wrist"], J["r_ankle"]]])


def test_at_rest_the_body_is_as_tall_as_its_head_ratio_says() -> None:
    for ratio in (4.5, 6.0, 8.0):
        build = sample_build(ratio, np.random.default_rng(1))
        p = move(build, straight()).points
        sole = p["l_ankle"][1] + 0.05 * (1 - 1.3 * build.head)
        assert sole - (p["head"][1] - build.head / 2) == pytest.approx(1, abs=0.03)
        assert build.head == pytest.approx(1 / ratio)


def test_limbs_keep_their_lengths_in_every_pose() -> None:
    bodies, _ = sample_bodies([6.0] * 30, [np.random.default_rng(seed) for seed in range(30)])
    p, build = bodies.points, bodies.build
    for side in "lr":
        for a, b, length in (("shoulder", "elbow", build.upper_arm), ("elbow", "wrist", build.forearm), ("socket", "knee", build.thigh)):
            np.testing.assert_allclose(np.linalg.norm(p[f"{side}_{a}"] - p[f"{side}_{b}"], axis=1, keepdims=True), length)


def test_an_arm_swung_forward_points_at_the_viewer_and_a_raised_one_to_its_side() -> None:
    forward = move(BUILD, straight(l_swing=90)).points
    assert np.allclose(forward["l_wrist"] - forward["l_shoulder"], [0, 0, -BUILD.upper_arm - BUILD.forearm])
    raised = move(BUILD, straight(l_raise=90, r_raise=90)).points
    assert np.allclose(raised["l_wrist"] - raised["l_shoulder"], [BUILD.upper_arm + BUILD.forearm, 0, 0])
    assert np.allclose(raised["r_wrist"] - raised["r_shoulder"], [-BUILD.upper_arm - BUILD.forearm, 0, 0])


def test_a_bent_elbow_brings_the_hand_forward_and_a_bent_knee_the_foot_backward() -> None:
    points = move(BUILD, straight(r_elbow=90, r_knee=90)).points
    assert np.allclose(points["r_wrist"] - points["r_elbow"], [0, 0, -BUILD.forearm])
    assert np.allclose(points["r_ankle"] - points["r_knee"], [0, 0, BUILD.shank])


def test_a_bow_brings_the_head_forward_and_leaves_the_legs() -> None:
    upright, bowed = move(BUILD, straight()).points, move(BUILD, straight(pitch=90)).points
    assert bowed["head"][2] < -BUILD.torso
    assert bowed["head"][1] == pytest.approx(0, abs=1e-9)
    assert np.allclose(bowed["l_ankle"], upright["l_ankle"])


def test_a_turn_of_the_camera_by_180_degrees_shows_the_back() -> None:
    front, back = pose_2d(straight()), pose_2d(straight(), Camera(180, 0, 0, 1e6))
    assert np.allclose(back[:, 0], -front[:, 0], atol=1e-5)


def test_a_raised_camera_looks_down_on_the_body() -> None:
    crown, sole, behind = np.array([0, -0.5, 0]), np.array([0, 0.5, 0]), np.array([0, 0.5, 0.5])
    view = look(Camera(0, 30, 0, 5.0), np.stack([crown, sole, behind]), np.zeros(3))
    assert view.depth[0] < view.depth[1]  # the head is nearer than the feet
    assert view.xy[2, 1] < view.xy[1, 1]  # and the floor rises behind them


def test_perspective_enlarges_what_is_near() -> None:
    view = look(Camera(0, 0, 0, 2.0), np.array([[0.1, 0, -1.0], [0.1, 0, 0], [0.1, 0, 1.0]]), np.zeros(3))
    assert np.allclose(view.xy[:, 0], [0.2, 0.1, 0.1 * 2 / 3])
    assert np.allclose(view.scale, [2, 1, 2 / 3])


def test_rotations_are_rotations() -> None:
    for axis in range(3):
        turned = rotation(axis, 37)
        assert np.allclose(turned @ turned.T, np.eye(3))
        assert np.linalg.det(turned) == pytest.approx(1)


def test_every_kind_stays_in_its_ranges_and_can_be_taken() -> None:
    assert WEIGHTS.keys() == KINDS.keys()
    assert LIMITS.keys() == EASE.keys()
    for kind, own in KINDS.items():
        assert {name.removeprefix("l_").removeprefix("r_") for name in own} <= LIMITS.keys(), kind
        rng = np.random.default_rng(5)
        draws = [sample_angles(kind, rng) for _ in range(60)]
        for angle, name in enumerate(WHOLE):
            low, high = own.get(name, EASE[name])
            assert all(low <= draw[angle] <= high for draw in draws), (kind, name)
        assert any(not collides(move(BUILD, draw)) for draw in draws), kind


def test_one_sided_kinds_take_either_side() -> None:
    rng = np.random.default_rng(2)
    left, right = ANGLES.index("l_lift"), ANGLES.index("r_lift")
    lifted = [draw[left] > draw[right] for draw in (sample_angles("kick", rng) for _ in range(40))]
    assert 5 < sum(lifted) < 35


def test_a_stack_of_bodies_is_moved_as_each_one_alone() -> None:
    rng = np.random.default_rng(3)
    builds = [sample_build(6.0, rng) for _ in range(40)]
    angles = [sample_angles("free", rng) for _ in builds]
    stack = Build(**{field.name: np.array([[getattr(build, field.name)] for build in builds]) for field in fields(Build)})
    bodies = move(stack, np.stack(angles))
    collide = collides(bodies)
    assert 0 < collide.sum() < 40
    for row, (build, each) in enumerate(zip(builds, angles, strict=True)):
        alone = move(build, each)
        np.testing.assert_allclose(bodies.joints()[row], alone.joints(), atol=1e-12)
        for name, frame in alone.frames.items():
            np.testing.assert_allclose(bodies.frames[name][row], frame, atol=1e-12)
        assert collide[row] == collides(alone)


def test_each_part_is_turned_in_the_frame_of_the_one_before() -> None:
    angles = dict(zip(ANGLES, np.random.default_rng(0).uniform(-180, 180, len(ANGLES)).tolist(), strict=True))
    body, frames = move(BUILD, angles), {"world": np.eye(3)}
    for part, (before, turns) in PARTS.items():
        frame = frames[before]
        for angle, axis, way in turns:
            np.testing.assert_allclose(body.axes[angle], way * frame[:, axis], atol=1e-12)
            frame = frame @ rotation(axis, way * angles[angle])
        frames[part] = frame
        np.testing.assert_allclose(body.frames[part], frame, atol=1e-12)


def test_many_cameras_see_what_each_sees() -> None:
    rng = np.random.default_rng(5)
    cameras, bodies = [sample_camera(rng) for _ in range(12)], rng.normal(size=(12, 11, 3)) / 4
    each = [look(camera, joints, joints.mean(axis=0)).xy for camera, joints in zip(cameras, bodies, strict=True)]
    np.testing.assert_allclose(looks(cameras, bodies), each, atol=1e-12)


@pytest.mark.parametrize("camera", [Camera(0, 0, 0, 3), Camera(130, 20, -10, 4), Camera(-60, -70, 170, 2)])
def test_a_camera_is_found_from_its_rotation(camera: Camera) -> None:
    found = Camera.of(camera.rotation(), camera.distance)
    assert (found.turn, found.elevation, found.roll, found.distance) == pytest.approx((camera.turn, camera.elevation, camera.roll, camera.distance))


def test_a_hand_in_the_chest_collides() -> None:
    assert not collides(move(BUILD, straight(l_raise=15, r_raise=15, l_spread=5, r_spread=5)))
    assert collides(move(BUILD, straight(l_raise=15, r_raise=-60, r_swing=30, r_elbow=60, r_arm_twist=90, l_spread=5, r_spread=5)))


def test_a_body_is_the_same_alone_and_among_others_and_can_take_its_pose() -> None:
    ratios = np.linspace(4.5, 7.5, 40).tolist()
    bodies, kinds = sample_bodies(ratios, [np.random.default_rng(seed) for seed in range(40)])
    assert not collides(bodies).any()
    assert len(set(kinds)) > 10
    for row, ratio in enumerate(ratios):
        alone, kind = sample_bodies([ratio], [np.random.default_rng(row)])
        assert kind == [kinds[row]]
        assert (alone.joints()[0] == bodies.joints()[row]).all()
    assert sample_bodies([], [])[0].joints().shape == (0, 11, 3)


def test_a_placed_box_lies_in_the_picture_and_fills_what_was_asked() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        low = rng.normal(size=2)
        high = low + rng.random(2) + 0.01
        placement = place(low, high, (0.5, 0.9), rng)
        corners = np.stack([low, high]) * placement.zoom + placement.shift
        assert corners.min() >= 0.02 - 1e-9 and corners.max() <= 0.98 + 1e-9
        assert 0.5 * 0.96 - 1e-9 <= (corners[1] - corners[0]).max() <= 0.9 * 0.96 + 1e-9


def test_sampled_poses_lie_as_near_to_real_ones_as_other_real_ones_do(shared: Callable[[str], Path]) -> None:
    real = normalise(np.load(shared("poses11.npz"))["photo"].astype(float))
    drawn = []
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        joints = sample_bodies([float(rng.uniform(5, 7.5))], [rng])[0].joints()[0]
        drawn.append(look(sample_camera(rng), joints, joints.mean(axis=0)).xy)
    ours = normalise(np.array(drawn))

    def median_distance(gallery: np.ndarray) -> float:
        vectors, queries = to_vector(np.concatenate([gallery, normalise(mirror(gallery))])), to_vector(real[:500])
        squares = (queries**2).sum(1)[:, None] - 2 * queries @ vectors.T + (vectors**2).sum(1)
        return float(np.median(np.sqrt(squares.min(axis=1) / 11)))

    assert median_distance(ours) < 1.25 * median_distance(real[1000:2000])
    for a, b in STICKS:  # and no limb is systematically too long or too short
        ratio = [np.median(np.linalg.norm(poses[:, a] - poses[:, b], axis=1)) for poses in (ours, real)]
        assert 0.7 < ratio[0] / ratio[1] < 1.35, (a, b)
