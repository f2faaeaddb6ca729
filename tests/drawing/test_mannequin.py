"""The projected body: joints where the pose says, surfaces hidden by what is nearer, whole outlines."""

import cv2
import numpy as np
import pytest

from drawing.mannequin import HAIR, PAPER, SKIN, Mannequin, Solid, line_art, projection, render, sample_mannequin, tones_of, unit, visible
from drawing.poses import Camera, Placement, move, rotation, sample_build
from genga.skeleton import JOINTS, J

LIGHT = unit(np.array([0.0, -0.5, -1.0]))


def scene(*solids: Solid, pose: np.ndarray | None = None) -> Mannequin:
    return Mannequin("a test", np.full((11, 2), 0.5) if pose is None else pose, solids, 1.0, np.ones(6), LIGHT)


def ball(x: float, y: float, depth: float, radius: float, part: str = "torso", tone: int = SKIN) -> Solid:
    centre = np.array([x, y, depth])
    return Solid(part, tone, centre, centre, radius, radius)


def centroid(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5])


def sampled(seed: int) -> Mannequin:
    return sample_mannequin(6.0, (0.8, 1.0), np.random.default_rng(seed))


def test_a_ball_is_a_disc_around_its_centre_with_its_depth() -> None:
    buffers = render(scene(ball(0.4, 0.6, 0.1, 0.2)), 200)
    mask = buffers.solid == 0
    assert np.allclose(centroid(mask), [80, 120], atol=0.05)
    assert mask.sum() == pytest.approx(np.pi * 40**2, rel=0.01)
    assert buffers.depth[120, 80] == pytest.approx(0.1 * 200 - 40, abs=0.05)
    assert np.isinf(buffers.depth[~mask]).all()


def test_a_cone_is_the_hull_of_its_two_balls_and_nearest_where_its_axis_is() -> None:
    cone = Solid("torso", SKIN, np.array([0.2, 0.5, 0.1]), np.array([0.8, 0.5, -0.1]), 0.1, 0.05)
    buffers = render(scene(cone), 400)
    spheres = [ball(*(cone.start + t * (cone.end - cone.start)), 0.1 + t * (0.05 - 0.1)) for t in np.linspace(0, 1, 400)]
    truth = render(scene(*spheres), 400)
    assert ((buffers.solid == 0) != (truth.solid >= 0)).mean() < 0.001
    both = (buffers.solid == 0) & (truth.solid >= 0)
    assert np.abs(buffers.depth[both] - truth.depth[both]).max() < 0.6
    assert np.abs(buffers.lit[both] - truth.lit[both]).mean() < 0.02


def test_a_cone_that_points_at_the_viewer_is_a_disc() -> None:
    cone = Solid("torso", SKIN, np.array([0.5, 0.5, 0.3]), np.array([0.5, 0.5, -0.3]), 0.1, 0.2)
    buffers = render(scene(cone), 200)
    assert (buffers.solid == 0).sum() == pytest.approx(np.pi * 40**2, rel=0.02)


def test_a_formed_ball_is_the_ellipsoid_of_its_form() -> None:
    form = rotation(2, 30) @ rotation(0, 50) @ rotation(1, 20) @ np.diag([1.0, 0.4, 0.7])
    centre = np.array([0.5, 0.5, 0.0])
    buffers = render(scene(Solid("torso", SKIN, centre, centre, 0.3, 0.3, form)), 300)
    x, y = (grid.astype(float) + 0.5 - 150 for grid in (np.arange(300)[None, :], np.arange(300)[:, None]))
    Q = np.linalg.inv(form @ form.T) / 90**2
    slope, curve = 2 * (Q[2, 0] * x + Q[2, 1] * y), Q[0, 0] * x * x + 2 * Q[0, 1] * x * y + Q[1, 1] * y * y - 1
    discriminant = slope**2 - 4 * Q[2, 2] * curve
    assert ((buffers.solid == 0) != (discriminant > 0)).mean() < 0.001
    inside = discriminant > 0.001
    near = (-slope - np.sqrt(np.maximum(discriminant, 0))) / (2 * Q[2, 2])
    assert np.abs(buffers.depth[inside] - near[inside]).max() < 0.05
    normal = np.stack([Q[i, 0] * x + Q[i, 1] * y + Q[i, 2] * near for i in range(3)])
    lit = np.tensordot(LIGHT, normal, 1) / np.linalg.norm(normal, axis=0)
    assert np.abs(buffers.lit[inside] - lit[inside]).max() < 0.01


def test_what_is_nearer_hides_what_is_behind_in_any_order() -> None:
    near, far = ball(0.5, 0.5, -0.3, 0.1), ball(0.55, 0.5, 0.3, 0.3)
    assert (render(scene(near, far), 100).solid[50, 50], render(scene(far, near), 100).solid[50, 50]) == (0, 1)


def test_a_projected_head_is_centred_where_the_pose_says() -> None:
    for seed in range(12):
        figure = sampled(seed)
        (skull,) = [solid for solid in figure.solids if solid.part == "head" and solid.tone == SKIN and (solid.start == solid.end).all()]
        alone = render(scene(skull), 600)
        assert np.abs(centroid(alone.solid == 0) - figure.pose[J["head"]] * 600).max() < 0.5


def test_every_limb_starts_and_ends_at_its_joints() -> None:
    for seed in range(12):
        figure = sampled(seed)
        ends = np.array([end[:2] for solid in figure.solids for end in (solid.start, solid.end)])
        for name in ("head", "l_elbow", "r_elbow", "l_wrist", "r_wrist", "hip", "l_knee", "r_knee", "l_ankle", "r_ankle"):
            assert np.abs(ends - figure.pose[J[name]]).max(axis=1).min() * 600 < 0.5, name


def test_the_whole_body_lies_in_the_picture() -> None:
    for seed in range(12):
        figure = sampled(seed)
        solid = render(figure, 200).solid
        assert (solid >= 0).any()
        assert (np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]]) == -1).all()
        assert ((figure.pose > 0) & (figure.pose < 1)).all()


def test_a_joint_is_visible_until_something_else_stands_before_it() -> None:
    pose = np.full((11, 2), 0.05)
    pose[J["l_wrist"]] = (0.5, 0.5)
    hand, chest = ball(0.5, 0.5, 0, 0.1, "l_arm"), ball(0.5, 0.5, 0.4, 0.2, "torso")
    wrist = J["l_wrist"]
    assert visible(scene(hand, chest, pose=pose), render(scene(hand, chest), 100))[wrist]
    cover = ball(0.5, 0.5, -0.4, 0.2, "torso")
    assert not visible(scene(hand, cover, pose=pose), render(scene(hand, cover), 100))[wrist]
    other_hand = ball(0.5, 0.5, -0.4, 0.2, "r_arm")
    assert not visible(scene(hand, other_hand, pose=pose), render(scene(hand, other_hand), 100))[wrist]


def test_most_joints_show_and_some_are_hidden() -> None:
    flags = np.array([visible(figure, render(figure, 300)) for figure in map(sampled, range(60))])
    assert flags.shape == (60, len(JOINTS))
    assert flags.mean() > 0.8
    assert not flags.all()


def test_the_projection_is_black_on_white_before_the_blur_and_soft_after_it() -> None:
    figure = sampled(3)
    buffers = render(figure, 600)
    hard, soft = projection(figure, buffers, 128, 0), projection(figure, buffers, 128, 1.5)
    assert set(np.unique(hard)) == {0, 255}
    assert (soft == cv2.GaussianBlur(hard, (0, 0), 1.5)).all()
    assert hard.shape == (600, 600) and (hard[buffers.solid == -1] == 255).mean() > 0.95


def test_a_higher_threshold_gives_more_shade() -> None:
    figure = sampled(3)
    buffers = render(figure, 300)
    black = [(projection(figure, buffers, threshold, 0) == 0).sum() for threshold in (60, 128, 200)]
    assert black[0] < black[1] < black[2]


def test_line_art_has_closed_outlines() -> None:
    """Water poured on the paper from outside the figure never reaches its inside."""
    for seed in range(12):
        figure = sampled(seed)
        art = line_art(figure, 128)
        paper = (art > 100).astype(np.uint8)
        cv2.floodFill(paper, None, (0, 0), 2)
        solid = render(figure, 512).solid
        inside = cv2.erode((solid >= 0).astype(np.uint8), np.ones((17, 17)))[2::4, 2::4] > 0
        assert inside.any()
        assert (paper[inside] != 2).all(), seed


def test_line_art_is_thin_dark_lines_on_white() -> None:
    for seed in range(6):
        art = line_art(sampled(seed), 128)
        assert art.shape == (128, 128) and art.dtype == np.uint8
        assert 0.01 < (art < 128).mean() < 0.15
        assert art.min() < 20
        assert (art == 255).mean() > 0.75


def test_hair_is_set_off_from_skin_by_a_line() -> None:
    hair, face = ball(0.5, 0.4, 0, 0.2, "head", HAIR), ball(0.5, 0.6, 0, 0.2, "head", SKIN)
    assert line_art(scene(hair, face), 128)[64, 60:68].max() < 128
    assert line_art(scene(face, face), 128)[70, 60:68].min() == 255


def test_both_pictures_show_the_same_figure() -> None:
    figure = sampled(5)
    large, small = (tones_of(figure, render(figure, size)) != PAPER for size in (600, 120))
    shrunk = cv2.resize(large.astype(np.float32), (120, 120), interpolation=cv2.INTER_AREA) > 0.5
    assert (shrunk & small).sum() / (shrunk | small).sum() > 0.97


def test_the_same_seed_draws_the_same_figure() -> None:
    one, two = sampled(7), sampled(7)
    assert (one.pose == two.pose).all()
    assert (line_art(one, 64) == line_art(two, 64)).all()
    assert (line_art(one, 64) != line_art(sampled(8), 64)).any()


def test_a_solid_is_seen_where_its_points_are_projected() -> None:
    body = move(sample_build(6.0, np.random.default_rng(0)), dict.fromkeys(ALL_ANGLES, 0.0))
    solid = Solid("l_arm", SKIN, body.points["l_elbow"], body.points["l_wrist"], 0.1, 0.1)
    seen = solid.seen(Camera(0, 0, 0, 4.0), np.zeros(3), Placement(0.5, np.array([0.5, 0.5])))
    assert np.allclose(seen.start[:2], body.points["l_elbow"][:2] * 0.5 + 0.5)  # the arm hangs at depth 0: no perspective
    assert seen.start_radius == pytest.approx(0.05)


ALL_ANGLES = [
    *("tumble", "pitch", "roll", "spine_nod", "spine_tilt", "spine_twist", "head_nod", "head_tilt", "head_twist"),
    *(f"{side}_{name}" for side in "lr" for name in ("raise", "swing", "arm_twist", "elbow", "lift", "spread", "turn", "knee", "point")),
]
