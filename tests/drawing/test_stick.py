"""What a stick drawing shows: ink on the joints and along the sticks, paper elsewhere, in every style and at every size."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from drawing.stick import HEAD, PALETTES, STYLES, StickStyle, draw_stick, draw_stick_rgb, head_radius, sample_style, slide, visible
from genga.skeleton import JOINTS, STICKS, J

# arms out, legs apart: no two limbs touch
POSE = np.array(
    [[0.5, 0.15], [0.5, 0.3], [0.7, 0.35], [0.3, 0.35], [0.85, 0.2], [0.15, 0.2], [0.5, 0.6], [0.65, 0.75], [0.35, 0.75], [0.7, 0.92], [0.3, 0.92]]
)
HAND = {"width": 0.015, "taper": 0.0, "wobble": 0.0, "tremor": 0.0, "rounding": 0.0, "overshoot": 0.0, "stray": 0.0, "breaks": 0.0, "passes": 1.0}
FIGURE = {"shoulders": 0.0, "head": 0.07, "oval": 1.0, "closing": 0.0, "filled": False, "feet": -1.0, "dots": -1.0}
PEN = {"ink": 0.0, "tones": 0.0, "grain": 0.0, "paper": 255.0, "noise": 0.0, "shade": 0.0}
FLAGS = dict.fromkeys(("ruled", "squared", "desk", "dark", "blurred"), False)
LOOK: dict[str, Any] = HAND | FIGURE | PEN | FLAGS
PLAIN = StickStyle(name="plain", **LOOK, missing=(), cut=0.0)


def drawn(size: int = 128, seed: int = 0, pose: np.ndarray = POSE, **look: Any) -> np.ndarray:
    return draw_stick(pose, size, dataclasses.replace(PLAIN, **look), np.random.default_rng(seed))


def amount(picture: np.ndarray) -> float:
    return float((255 - picture.astype(int)).sum())


def darkest_near(picture: np.ndarray, point: np.ndarray) -> int:
    x, y = (point * len(picture)).astype(int)
    return int(picture[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].min())


def along(stick: int, t: float) -> np.ndarray:
    a, b = STICKS[stick]
    return POSE[a] + t * (POSE[b] - POSE[a])


# --- a steady hand


@pytest.mark.parametrize("size", [64, 128, 300, 700])
def test_it_is_dark_ink_on_white_paper_at_any_size(size: int) -> None:
    picture = drawn(size)
    assert picture.shape == (size, size)
    assert picture.dtype == np.uint8
    assert np.median(picture) == 255
    assert picture.min() < 40


@pytest.mark.parametrize("wobble", [0.0, 0.012])
def test_ink_lies_on_every_joint_but_an_open_head(wobble: float) -> None:
    for seed in range(10):
        picture = drawn(seed=seed, wobble=wobble)
        for joint_idx, joint in enumerate(POSE):
            assert (darkest_near(picture, joint) < 100) == (joint_idx != J["head"]), joint_idx


def test_without_wobble_ink_lies_all_along_every_stick() -> None:
    picture = drawn(filled=True)
    for stick in range(len(STICKS)):
        for t in np.linspace(0, 1, 20):
            assert darkest_near(picture, along(stick, t)) < 100


def test_an_open_head_is_a_ring_around_the_joint_and_a_filled_one_a_disc() -> None:
    opened, filled = drawn(), drawn(filled=True)
    radius = head_radius(POSE, PLAIN)
    assert radius == pytest.approx(PLAIN.head * (0.92 - 0.15))
    for angle in np.linspace(0, 2 * np.pi, 12):
        rim = POSE[J["head"]] + radius * np.array([np.cos(angle), np.sin(angle)])
        assert darkest_near(opened, rim) < 120
    assert darkest_near(opened, POSE[J["head"]]) == 255
    assert darkest_near(filled, POSE[J["head"]]) == 0


def test_an_oval_head_is_longer_than_wide_and_reaches_no_farther() -> None:
    picture = drawn(300, oval=1.5)
    x, y = (POSE[J["head"]] * 300).astype(int)
    rows, columns = np.nonzero(picture[y, :] < 128)[0], np.nonzero(picture[: int(0.25 * 300), x] < 128)[0]
    wide, high = rows.max() - rows.min(), 2 * (y - columns.min())
    assert high / wide == pytest.approx(1.5, abs=0.15)
    assert high / 2 <= 300 * (PLAIN.head * (0.92 - 0.15) + PLAIN.width / 2) + 1


@pytest.mark.parametrize("size", [96, 200])
def test_ink_centres_on_the_stick_to_half_a_pixel_and_is_as_wide_as_asked(size: int) -> None:
    for width in (0.01, 0.03):
        row = drawn(size, width=width)[int(0.45 * size)]  # between neck and hip, where nothing else lies
        ink = (255.0 - row) * (np.abs(np.arange(size) / size - 0.5) < 0.1)
        assert abs((ink * (np.arange(size) + 0.5)).sum() / ink.sum() - 0.5 * size) < 0.5
        assert ink.sum() / 255 == pytest.approx(width * size, abs=0.5)


def test_a_pose_whose_neck_lies_inside_the_head_is_drawn_whole() -> None:
    pose = POSE.copy()
    pose[J["neck"]] = pose[J["head"]] + [0, 0.01]
    assert drawn(pose=pose).min() < 40


def test_the_same_seed_draws_the_same_picture_and_another_hand_another() -> None:
    assert (drawn(seed=3, wobble=0.01) == drawn(seed=3, wobble=0.01)).all()
    assert (drawn(seed=3, wobble=0.01) != drawn(seed=4, wobble=0.01)).any()


# --- other hands, pens and papers


def test_a_wider_tip_leaves_more_ink_and_paler_ink_is_paler() -> None:
    assert amount(drawn(width=0.03)) > 1.7 * amount(drawn())
    assert drawn(ink=90.0).min() >= 88
    assert amount(drawn(passes=3.0, stray=0.01)) > 1.3 * amount(drawn())
    assert amount(drawn(grain=1.0, width=0.03)) < 0.9 * amount(drawn(width=0.03))


def test_a_tapered_stroke_is_thin_at_its_end() -> None:
    even, tapered = drawn(300, width=0.03), drawn(300, width=0.03, taper=0.95)
    for stick, t in ((3, 0.97), (4, 0.97), (8, 0.97)):
        x, y = (along(stick, t) * 300).astype(int)
        near = np.s_[y - 6 : y + 7, x - 6 : x + 7]
        assert amount(tapered[near]) < 0.7 * amount(even[near])


def test_overshooting_strokes_go_on_where_they_meet_others_and_end_at_hands_and_feet() -> None:
    beyond = {name: POSE[J[name]] + 0.2 * (POSE[J[name]] - POSE[J[before]]) for before, name in (("neck", "l_elbow"), ("l_elbow", "l_wrist"))}
    assert {darkest_near(drawn(), place) for place in beyond.values()} == {255}
    far = [drawn(seed=seed, overshoot=0.3) for seed in range(10)]
    assert min(darkest_near(picture, beyond["l_elbow"]) for picture in far) < 100
    assert min(darkest_near(picture, beyond["l_wrist"]) for picture in far) == 255
    forearm = STICKS.index((J["l_elbow"], J["l_wrist"]))
    assert min(darkest_near(drawn(seed=seed, overshoot=0.3, missing=(forearm,)), beyond["l_elbow"]) for seed in range(10)) == 255


def test_strokes_stop_short_where_they_meet_others_and_reach_hands_and_feet() -> None:
    short = drawn(300, overshoot=-0.3)
    assert all(darkest_near(short, POSE[J[name]]) < 100 for name in ("l_wrist", "r_wrist", "l_ankle", "r_ankle"))
    assert any(darkest_near(short, POSE[J[name]]) == 255 for name in ("l_elbow", "r_elbow", "l_knee", "r_knee"))


def test_a_limb_in_one_swing_goes_through_its_elbow_and_is_wider_there_than_a_corner() -> None:
    folded = POSE.copy()
    folded[[J["l_elbow"], J["l_wrist"]]] = folded[J["neck"]] + [[0.3, 0.02], [0.04, 0.06]]
    corner, swing = (drawn(300, pose=folded, rounding=rounding, width=0.005) for rounding in (0.0, 0.2))
    elbow, beyond = folded[J["l_elbow"]], folded[J["l_elbow"]].copy()
    beyond[0] += 0.02
    assert darkest_near(swing, elbow) < 100
    assert darkest_near(swing, beyond) == 255
    rows = [np.flatnonzero(picture[:, int(300 * (elbow[0] - 0.02))] < 128) for picture in (corner, swing)]
    assert np.ptp(rows[1]) > np.ptp(rows[0])


def test_broken_strokes_have_gaps_and_keep_their_ends() -> None:
    places = [along(stick, t) for stick in range(1, len(STICKS)) for t in np.linspace(0.1, 0.9, 60)]
    whole, broken = drawn(300), drawn(300, breaks=1.0)
    assert sum(darkest_near(whole, place) > 200 for place in places) == 0
    assert sum(darkest_near(broken, place) > 200 for place in places) > 5
    assert all(darkest_near(broken, POSE[JOINTS.index(name)]) < 100 for name in ("l_wrist", "r_wrist", "l_ankle", "r_ankle"))


def test_some_people_draw_feet_and_dots() -> None:
    assert amount(drawn(feet=1.0)) > amount(drawn()) + 255 * 2
    dotted = drawn(300, dots=0.35)
    for name in ("l_elbow", "r_knee", "hip"):
        x, y = (POSE[J[name]] * 300).astype(int)
        assert (dotted[y - 3 : y + 4, x - 3 : x + 4] < 60).all(), name


def test_light_on_dark_is_the_same_drawing_turned_over() -> None:
    np.testing.assert_array_equal(drawn(300, dark=True), 255 - drawn(300))


def test_papers_have_tone_noise_light_lines_and_a_table() -> None:
    assert drawn(paper=230.0).max() == 230
    assert drawn(300, noise=20.0)[:, :20].std() > 3
    lit = drawn(300, shade=0.6)
    assert np.percentile(lit, 95) - np.percentile(lit, 30) > 20
    assert drawn(300, ruled=True)[:, :5].min() < 245 <= drawn(300)[:, :5].min()
    assert min(drawn(300, desk=True, seed=seed)[:, :2].min() for seed in range(5)) < 140


def test_each_limb_may_have_its_colour_and_gray_stays_gray() -> None:
    palette = PALETTES["limbs"]
    picture = draw_stick_rgb(POSE, 300, dataclasses.replace(PLAIN, width=0.03), palette, np.random.default_rng(0))
    assert picture.shape == (300, 300, 3) and picture.dtype == np.uint8
    for stick in range(1, len(STICKS)):
        x, y = (along(stick, 0.6) * 300).astype(int)
        np.testing.assert_allclose(picture[y, x].astype(int), palette[stick], atol=3)
    noisy = dataclasses.replace(PLAIN, noise=8.0, shade=0.3, grain=0.5, desk=True, ruled=True, dots=0.2)
    black = draw_stick_rgb(POSE, 128, noisy, ((0, 0, 0),) * 11, np.random.default_rng(1))
    np.testing.assert_allclose(black[..., 0], draw_stick(POSE, 128, noisy, np.random.default_rng(1)), atol=1)
    assert all(len(colours) == len(STICKS) + 1 for colours in PALETTES.values())


def hue(colour: np.ndarray) -> np.ndarray:
    """Where a colour lies between gray and the purest of its kind."""
    above = colour.astype(float) - colour.min()
    return np.asarray(above / above.max())


@pytest.mark.parametrize("dark", [False, True])
def test_joints_have_the_colour_of_the_stick_that_ends_there_on_dark_grounds_too(dark: bool) -> None:
    palette = PALETTES["sides"]
    picture = draw_stick_rgb(POSE, 300, dataclasses.replace(PLAIN, width=0.01, dots=0.4, dark=dark), palette, np.random.default_rng(0))
    for joint, name in enumerate(JOINTS[1:], 1):
        x, y = (POSE[joint] * 300).astype(int)
        colour = np.array(palette[{"l": 1, "r": 2}.get(name.partition("_")[0], 5)])
        expected = (colour + 255) / 2 if dark else colour
        np.testing.assert_allclose(picture[y, x].astype(int), expected, atol=1, err_msg=name)


def test_limbs_keep_their_hue_on_a_dark_ground() -> None:
    palette = PALETTES["limbs"]
    for paper, noise in ((255.0, 0.0), (220.0, 5.0)):
        style = dataclasses.replace(PLAIN, width=0.03, dark=True, paper=paper, noise=noise)
        picture = draw_stick_rgb(POSE, 300, style, palette, np.random.default_rng(0))
        assert np.median(picture) < 60
        for stick in range(1, len(STICKS)):
            x, y = (along(stick, 0.6) * 300).astype(int)
            assert picture[y, x].max() > 200
            np.testing.assert_allclose(hue(picture[y, x]), hue(np.array(palette[stick])), atol=0.1)


# --- partial figures


def test_strokes_that_are_missing_leave_no_ink_and_hide_their_joints() -> None:
    style = dataclasses.replace(PLAIN, missing=(3, HEAD))
    picture = draw_stick(POSE, 300, style, np.random.default_rng(0))
    assert darkest_near(picture, along(3, 0.5)) == 255 and darkest_near(picture, along(4, 0.5)) < 100
    assert darkest_near(picture, POSE[J["head"]] - [0, head_radius(POSE, style)]) == 255
    assert [JOINTS[joint] for joint, shown in enumerate(visible(POSE, style)) if not shown] == ["head", "l_wrist"]
    assert visible(POSE, PLAIN) == [True] * 11


@pytest.mark.parametrize("cut", [0.1, 0.3])
def test_a_figure_that_is_cut_off_lies_beyond_one_edge_and_keeps_its_shape(cut: float) -> None:
    style = dataclasses.replace(PLAIN, cut=cut)
    for seed in range(10):
        moved = slide(POSE, style, np.random.default_rng(seed))
        np.testing.assert_allclose(moved - moved[0], POSE - POSE[0])
        low, high = moved.min(axis=0), moved.max(axis=0)
        beyond = np.concatenate([-low / (high - low), (high - 1) / (high - low)])
        assert beyond.max() == pytest.approx(cut)
        shown = visible(moved, style)
        assert 0 < sum(shown) < 11
        assert all(((moved[joint] >= 0) & (moved[joint] <= 1)).all() == seen for joint, seen in enumerate(shown))
        draw_stick(moved, 64, style, np.random.default_rng(seed))
    assert slide(POSE, PLAIN, np.random.default_rng(0)) is POSE


# --- families


def test_there_are_many_families_and_each_figure_of_one_looks_different() -> None:
    assert len(STYLES) >= 10
    for name in STYLES:
        rng = np.random.default_rng(0)
        styles = [sample_style([name], rng) for _ in range(20)]
        assert {style.name for style in styles} == {name}
        assert len({style.width for style in styles}) == 20


def test_styles_come_from_the_families_that_were_asked_for_alike() -> None:
    rng = np.random.default_rng(0)
    names = [sample_style(["chalk", "pencil", "brush"], rng).name for _ in range(900)]
    assert all(250 < names.count(name) < 350 for name in ("chalk", "pencil", "brush"))
    styles = [sample_style(list(STYLES), rng) for _ in range(2000)]
    assert {style.name for style in styles} == set(STYLES)
    assert 60 < sum(bool(style.missing) for style in styles) < 140
    assert 60 < sum(style.cut > 0 for style in styles) < 140


@pytest.mark.parametrize("name", list(STYLES))
def test_every_family_draws_the_figure_at_its_joints(name: str) -> None:
    """What lies near the limbs differs from its paper, and more than what lies far from them."""
    far = np.array([[0.08, 0.5], [0.92, 0.55], [0.5, 0.85], [0.2, 0.55], [0.8, 0.5]])
    limbs = np.array([along(stick, t) for stick in range(1, len(STICKS)) for t in (0.3, 0.5, 0.7)])
    contrasts = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        style = dataclasses.replace(sample_style([name], rng), missing=(), cut=0.0, desk=False, ruled=False, squared=False)
        picture = draw_stick(POSE, 160, style, rng).astype(int)
        ink, paper = ([np.ptp(picture[y - 4 : y + 5, x - 4 : x + 5]) for x, y in (points * 160).astype(int)] for points in (limbs, far))
        contrasts.append(np.median(ink) - np.median(paper))
    assert np.median(contrasts) > 60 and min(contrasts) > 15
