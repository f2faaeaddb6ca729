"""Bodies whose joints look like a given pose."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drawing.lift import HIGH, LOW, MAX_ERROR, MAX_STRETCH, Bodies, begin, bodies_of, carried, gallery, lift, look_at, seen
from drawing.poses import ANGLES, Camera, collides, look, sample_bodies, sample_camera
from genga.skeleton import J, mirror, normalise

RATIO = (5.0, 7.0)


def drawn(count: int, seed: int = 0) -> np.ndarray:
    """Poses (N, 11, 2) of procedural bodies that are not in the gallery."""
    poses = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        joints = sample_bodies([6.0], [rng])[0].joints()[0]
        poses.append(look(sample_camera(rng), joints, joints.mean(axis=0)).xy)
    return np.array(poses)


def exact(bodies: Bodies, row: int) -> np.ndarray:
    """The pose of one body as sample_mannequin sees it."""
    joints = bodies.body(row).joints()
    return normalise(look(bodies.camera(row), joints, (joints.min(axis=0) + joints.max(axis=0)) / 2).xy)


def test_a_stack_of_bodies_stands_as_each_body_alone() -> None:
    bodies = gallery(RATIO)[:20]
    found = look_at(bodies, 2)
    for row in range(20):
        np.testing.assert_allclose(normalise(found[row]), exact(bodies, row), atol=1e-9)


@pytest.mark.parametrize("dims", [2, 3])
def test_slopes_are_what_small_steps_give(dims: int) -> None:
    start = gallery(RATIO)[:12]
    unknowns = begin(start, np.random.default_rng(0).normal(size=(12, 11, dims)))
    unknowns += np.random.default_rng(1).normal(0, 0.05, unknowns.shape)

    def at(unknowns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bodies = bodies_of(unknowns, start)
        return seen(*carried(bodies.move()), bodies, unknowns, dims)

    _, slopes = at(unknowns)
    step = 1e-5
    for column in range(unknowns.shape[1]):
        ahead, behind = unknowns.copy(), unknowns.copy()
        ahead[:, column] += step
        behind[:, column] -= step
        by_step = (at(ahead)[0] - at(behind)[0]) / (2 * step)
        np.testing.assert_allclose(slopes[:, column], by_step, atol=1e-5, err_msg=str(column))


def test_procedural_poses_are_found_again() -> None:
    found = lift(drawn(48), RATIO)
    assert np.median(found.error) < 0.01
    assert np.quantile(found.error, 0.95) < 0.03
    assert found.good().mean() > 0.9


def test_the_error_is_how_far_off_the_drawn_joints_are() -> None:
    poses = drawn(6, seed=1) * 300 + 50
    found = lift(poses, RATIO)
    for row in range(6):
        off = np.linalg.norm(exact(found.bodies, row) - normalise(poses[row]), axis=1).mean()
        assert off == pytest.approx(found.error[row], abs=0.005)  # boxes differ a little


def test_bodies_bend_no_further_than_bodies_can() -> None:
    angles = lift(drawn(32, seed=2), RATIO).bodies.angles
    assert (angles >= LOW - 3).all() and (angles <= HIGH + 3).all()
    assert (HIGH - LOW >= 20).all() and dict(zip(ANGLES, HIGH, strict=True))["l_knee"] <= 150


def test_a_pose_that_no_body_can_take_is_not_good() -> None:
    poses = drawn(3, seed=3)
    poses[1, J["l_wrist"]] += 5 * (poses[1].max(axis=0) - poses[1].min(axis=0))
    found = lift(poses, RATIO)
    assert found.error[1] > MAX_ERROR or found.stretch[1] > MAX_STRETCH
    assert found.good().tolist() == [True, False, True]


def test_joints_in_space_are_met_in_space() -> None:
    joints, targets = [], drawn(0)
    for number in range(16):
        body = sample_bodies([6.0], [np.random.default_rng((7, number))])[0].joints()[0]
        joints.append(body @ Camera(40.0 * (number % 3 - 1), 0, 0, 3).rotation().T)
    targets = np.array(joints)
    found = lift(targets, RATIO)
    assert np.median(found.error) < 0.015
    row = int(found.error.argmin())
    turned = found.bodies.body(row).joints() @ found.bodies.camera(row).rotation().T
    np.testing.assert_allclose(normalise(turned), normalise(targets[row]), atol=0.06)


def test_the_same_poses_give_the_same_bodies() -> None:
    poses = drawn(5, seed=4)
    one, two = lift(poses, RATIO), lift(poses.copy(), RATIO)
    assert (one.bodies.angles == two.bodies.angles).all() and (one.error == two.error).all()


def test_a_mirrored_body_looks_like_the_mirrored_picture() -> None:
    bodies = gallery(RATIO)[:10]
    there = bodies.mirrored()
    for row in range(10):
        np.testing.assert_allclose(exact(there, row), normalise(mirror(exact(bodies, row))), atol=1e-9)


def test_real_poses_are_met(shared: Callable[[str], Path]) -> None:
    archive = np.load(shared("poses11.npz"))
    for name in ("photo", "drawing"):
        found = lift(archive[name][:64].astype(np.float64), RATIO)
        assert np.median(found.error) < 0.02
        assert np.quantile(found.error, 0.95) < 0.06
        assert found.good().mean() > 0.85


def test_varied_bodies_stray_by_the_spread_within_the_limits_and_do_not_collide() -> None:
    rng = np.random.default_rng(0)
    bodies = gallery(RATIO)[:400]
    still = bodies.varied(0.0, rng)
    np.testing.assert_allclose(still.move().joints(), bodies.move().joints())
    varied = bodies.varied(8.0, rng)
    assert not collides(varied.move()).any()
    assert ((varied.angles >= np.minimum(LOW, bodies.angles)) & (varied.angles <= np.maximum(HIGH, bodies.angles))).all()
    moved = (varied.angles != bodies.angles).any(axis=1)
    assert moved.mean() > 0.5
    change = (varied.angles - bodies.angles)[moved]
    assert 5 < change.std() < 8
    np.testing.assert_allclose(np.log(varied.lengths / bodies.lengths)[moved].std(), 0.08, rtol=0.1)
    assert (varied.cameras[:, 3] == bodies.cameras[:, 3]).all() and 6 < (varied.cameras - bodies.cameras)[moved, :3].std() < 9
