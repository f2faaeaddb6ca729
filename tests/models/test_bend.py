"""Drawings bent from pose to pose: what is drawn goes with the sticks, lines stay as wide as they were."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from genga.skeleton import STICKS, J
from models.bend import bend, fields_of, places_in, unit_of

ARMS, LEGS = [[0.65, 0.4], [0.35, 0.4], [0.75, 0.55], [0.25, 0.55]], [[0.58, 0.7], [0.42, 0.7], [0.6, 0.85], [0.4, 0.85]]
STANDING = torch.tensor([[[0.5, 0.15], [0.5, 0.3], *ARMS, [0.5, 0.55], *LEGS]])
SIDE = 128
TURNED = torch.stack([1 - STANDING[..., 1], STANDING[..., 0]], dim=2)


def raised(pose: Tensor) -> Tensor:
    """The left forearm up instead of down."""
    up = pose.clone()
    up[:, J["l_wrist"]] = up[:, J["l_elbow"]] + torch.tensor([0.1, -0.15])
    return up


def sticks_drawn(pose: Tensor, thickness: int = 2) -> np.ndarray:
    sheet = np.full((SIDE * 4, SIDE * 4), 255, np.uint8)
    for start, end in STICKS:
        a, b = ((pose[0, joint] * SIDE * 4).int().tolist() for joint in (start, end))
        cv2.line(sheet, a, b, 0, 4 * thickness, cv2.LINE_AA)
    return cv2.resize(sheet, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def bent(drawing: np.ndarray, source: Tensor, target: Tensor) -> Tensor:
    return bend(fields_of([drawing], source), source, target)[0, 0]


def ink_of(drawing: np.ndarray) -> Tensor:
    return 1 - torch.from_numpy(drawing).float() / 255


def test_in_its_own_pose_a_drawing_stays_as_it_is() -> None:
    drawing = sticks_drawn(STANDING)
    found = bent(drawing, STANDING, STANDING)
    assert found.shape == (SIDE, SIDE)
    assert (found - ink_of(drawing)).abs().mean() < 0.1 * found.mean()


@pytest.mark.parametrize("target", [raised(STANDING), STANDING * 0.6 + 0.1, TURNED, STANDING * torch.tensor([0.5, 1.0]) + torch.tensor([0.25, 0.0])])
def test_what_is_drawn_goes_with_the_sticks(target: Tensor) -> None:
    found = bent(sticks_drawn(STANDING), STANDING, target)
    wanted = ink_of(sticks_drawn(target))
    near = torch.nn.functional.max_pool2d(wanted[None, None], 5, 1, 2)[0, 0]
    assert (found * (near < 0.5)).sum() < 0.02 * found.sum()
    for start, end in STICKS:
        for share in (0.25, 0.5, 0.75):
            x, y = (torch.lerp(target[0, start], target[0, end], share) * SIDE).int().tolist()
            assert found[y - 1 : y + 2, x - 1 : x + 2].max() > 0.8, (start, end, share)


@pytest.mark.parametrize("zoom", [0.5, 1.0, 1.5])
def test_lines_are_as_wide_as_before_however_large_the_figure_becomes(zoom: float) -> None:
    target = (STANDING - 0.5) * zoom + 0.5
    found = bent(sticks_drawn(STANDING), STANDING, target)
    x, y = (torch.lerp(target[0, J["neck"]], target[0, J["hip"]], 0.5) * SIDE).int().tolist()
    assert found[y, x - 8 : x + 8].sum() == pytest.approx(2, abs=0.4)


def test_an_empty_sheet_stays_empty_and_a_figure_without_any_size_is_no_trouble() -> None:
    paper = np.full((SIDE, SIDE), 255, np.uint8)
    assert bent(paper, STANDING, raised(STANDING)).max() == 0
    dot = torch.full((1, 11, 2), 0.5)
    for source, target in ((STANDING, dot), (dot, STANDING), (dot, dot)):
        ink = bent(sticks_drawn(STANDING), source, target)
        assert torch.isfinite(ink).all() and ink.min() >= 0 and ink.max() <= 1


def test_each_joint_finds_its_own_place() -> None:
    target = raised(STANDING)
    places = places_in(STANDING, target, 512)[0][0]
    for joint in range(11):
        x, y = (target[0, joint] * 512).int().tolist()
        # where sticks meet, all of them say the same
        assert (places[:, y, x] - STANDING[0, joint]).norm() < 0.1 * unit_of(STANDING)[0]


def test_what_lies_around_a_stick_becomes_wider_and_no_longer() -> None:
    drawing = sticks_drawn(STANDING)
    x, y = (STANDING[0, J["head"]] * SIDE).int().tolist()
    cv2.circle(drawing, (x, y), 8, 0, 1, cv2.LINE_AA)
    wider = torch.tensor([[1.4] + [1.0] * 9])
    plain, wide = (bend(fields_of([drawing], STANDING), STANDING, STANDING, by)[0, 0] for by in (None, wider))

    def widths(ink: Tensor) -> tuple[float, float]:
        head, hips = ((ink[row] > 0.5).nonzero() for row in (y, round(0.7 * SIDE)))
        return float(head.max() - head.min()), float(hips.max() - hips.min())

    (head, hips), (wide_head, same_hips) = widths(plain), widths(wide)
    assert wide_head == pytest.approx(1.4 * head, abs=2)
    assert same_hips == pytest.approx(hips, abs=1)
