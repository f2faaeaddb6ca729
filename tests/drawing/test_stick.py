"""What a stick drawing shows: ink on the joints and along the sticks, paper elsewhere."""

import dataclasses

import numpy as np
import pytest

from drawing.stick import StickStyle, draw_stick, sample_style
from genga.skeleton import STICKS, J

# arms out, legs apart: no two limbs touch
POSE = np.array(
    [[0.5, 0.15], [0.5, 0.3], [0.7, 0.35], [0.3, 0.35], [0.85, 0.2], [0.15, 0.2], [0.5, 0.6], [0.65, 0.75], [0.35, 0.75], [0.7, 0.92], [0.3, 0.92]]
)
PLAIN = StickStyle(name="plain", width=0.015, wobble=0.0, ink=0, head=0.07, filled=False)


def drawn(style: StickStyle, size: int = 128, seed: int = 0) -> np.ndarray:
    return draw_stick(POSE, size, style, np.random.default_rng(seed))


def darkest_near(picture: np.ndarray, point: np.ndarray) -> int:
    x, y = (point * len(picture)).astype(int)
    return int(picture[y - 1 : y + 2, x - 1 : x + 2].min())


@pytest.mark.parametrize("size", [64, 128, 300])
def test_it_is_dark_ink_on_white_paper_at_any_size(size: int) -> None:
    picture = drawn(PLAIN, size)
    assert picture.shape == (size, size)
    assert picture.dtype == np.uint8
    assert np.median(picture) == 255
    assert picture.min() < 40


@pytest.mark.parametrize("wobble", [0.0, 0.012])
def test_ink_lies_on_every_joint_but_an_open_head(wobble: float) -> None:
    for seed in range(10):
        picture = drawn(dataclasses.replace(PLAIN, wobble=wobble), seed=seed)
        for joint_idx, joint in enumerate(POSE):
            assert (darkest_near(picture, joint) < 100) == (joint_idx != J["head"]), joint_idx


def test_without_wobble_ink_lies_all_along_every_stick() -> None:
    picture = drawn(dataclasses.replace(PLAIN, filled=True))
    for a, b in STICKS:
        for t in np.linspace(0, 1, 20):
            assert darkest_near(picture, POSE[a] + t * (POSE[b] - POSE[a])) < 100


def test_an_open_head_is_a_ring_around_the_joint_and_a_filled_one_a_disc() -> None:
    opened, filled = drawn(PLAIN), drawn(dataclasses.replace(PLAIN, filled=True))
    radius = PLAIN.head * (0.92 - 0.15)
    for angle in np.linspace(0, 2 * np.pi, 12):
        rim = POSE[J["head"]] + radius * np.array([np.cos(angle), np.sin(angle)])
        assert darkest_near(opened, rim) < 120
    assert darkest_near(opened, POSE[J["head"]]) == 255
    assert darkest_near(filled, POSE[J["head"]]) == 0


def test_ink_centres_on_the_stick_to_half_a_pixel() -> None:
    picture = drawn(PLAIN, size=200)
    row = 90  # between neck and hip, where nothing else lies
    ink = 255.0 - picture[row, 80:120]
    assert abs((ink * (np.arange(80, 120) + 0.5)).sum() / ink.sum() - 0.5 * 200) < 0.5


def test_a_wider_tip_leaves_more_ink_and_paler_ink_is_paler() -> None:
    assert (255 - drawn(dataclasses.replace(PLAIN, width=0.03)).astype(int)).sum() > 1.4 * (255 - drawn(PLAIN).astype(int)).sum()
    assert drawn(dataclasses.replace(PLAIN, ink=90)).min() >= 90


def test_the_same_seed_draws_the_same_picture_and_another_hand_another() -> None:
    wobbly = dataclasses.replace(PLAIN, wobble=0.01)
    assert (drawn(wobbly, seed=3) == drawn(wobbly, seed=3)).all()
    assert (drawn(wobbly, seed=3) != drawn(wobbly, seed=4)).any()


def test_styles_vary_and_name_themselves() -> None:
    rng = np.random.default_rng(0)
    styles = [sample_style(rng) for _ in range(100)]
    assert {style.name for style in styles} == {f"{tip}-{head}" for tip in ("thin", "medium", "bold") for head in ("open", "filled")}
    assert all(style.filled == style.name.endswith("filled") for style in styles)


def test_a_pose_whose_neck_lies_inside_the_head_is_drawn_whole() -> None:
    pose = POSE.copy()
    pose[J["neck"]] = pose[J["head"]] + [0, 0.01]
    assert draw_stick(pose, 128, PLAIN, np.random.default_rng(0)).min() < 40
