"""Which of the offered places of a limb explain a drawing of sticks."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from genga.skeleton import LIMBS, MIRRORED, STICKS, J
from models.networks.strokes import PLACES, SIDE, drawn, explaining, squared_distance
from models.views import mirror_image

STANDING = torch.tensor(
    [[0.5, 0.1], [0.5, 0.25], [0.3, 0.35], [0.7, 0.35], [0.2, 0.55], [0.8, 0.55], [0.5, 0.55], [0.4, 0.72], [0.6, 0.72], [0.35, 0.92], [0.65, 0.92]]
)


def ink_of(pose: Tensor, side: int = 128, without: tuple[int, ...] = ()) -> Tensor:
    """(1, 1, side, side): its sticks, but those that end in a joint of `without`."""
    ink = np.zeros((side, side), np.uint8)
    for start, end in STICKS:
        if end not in without:
            cv2.line(ink, *(np.rint(pose[joint].numpy() * side).astype(int).tolist() for joint in (start, end)), 255, 3)
    return torch.from_numpy(ink)[None, None].float() / 255


def offers(pose: Tensor, **hotter: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Each joint where `pose` has it, and as a second place, which is the first one of the joints in `hotter`, somewhere else."""
    places = torch.full((1, 11, PLACES, 2), 0.02)
    heat = torch.zeros(1, 11, PLACES)
    places[0, :, 0], heat[0, :, 0] = pose, 0.9
    for name, place in hotter.items():
        places[0, J[name], :2] = torch.stack([torch.tensor(place), pose[J[name]]])
        heat[0, J[name], :2] = torch.tensor([0.8, 0.1])
    return places, heat


@pytest.mark.parametrize("limb", sorted(LIMBS))
@pytest.mark.parametrize("taken", [0, 1])
def test_both_limbs_on_one_stroke_leave_the_other_unexplained(limb: str, taken: int) -> None:
    mine, others = LIMBS[limb][taken], LIMBS[limb][1 - taken]
    names = [list(J)[joint] for joint in mine]
    offered = offers(STANDING, **{name: tuple(STANDING[joint].tolist()) for name, joint in zip(names, others, strict=True)})
    joints, likely = explaining(ink_of(STANDING), *offered)
    assert torch.allclose(joints[0], STANDING)
    assert ((likely >= 0) & (likely <= 1)).all()
    sure = [joint for joint in range(11) if joint not in mine]
    assert likely[0, list(mine)].max() < likely[0, sure].min()  # what the heat said little for is doubted


@pytest.mark.parametrize("taken", [0, 1])
def test_a_drawing_and_its_mirror_image_are_explained_alike(taken: int) -> None:
    """Although limbs are explained one after the other, whichever of the two arms the heat has wrong."""
    leaning = STANDING + torch.tensor([0.12, 0.0]) * (1 - STANDING[:, 1:])  # no mirror image of itself
    mine, others = LIMBS["arm"][taken], LIMBS["arm"][1 - taken]
    places, heat = offers(leaning, **{list(J)[joint]: tuple(leaning[other].tolist()) for joint, other in zip(mine, others, strict=True)})
    ink, sides = ink_of(leaning), list(MIRRORED)
    joints, likely = explaining(ink, places, heat)
    mirrored = places[:, sides] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    there, as_likely = explaining(ink.flip(3), mirrored, heat[:, sides])
    assert torch.allclose(mirror_image(there), joints, atol=1e-5)
    assert torch.allclose(as_likely[:, sides], likely, atol=1e-3)


def test_a_limb_that_is_not_drawn_stays_where_the_heat_is() -> None:
    arm = LIMBS["arm"][0]
    hidden = {"l_elbow": (0.48, 0.35), "l_wrist": (0.49, 0.5)}  # behind the body
    joints, _ = explaining(ink_of(STANDING, without=arm), *offers(STANDING, **hidden))
    assert torch.allclose(joints[0, list(arm)], torch.tensor(list(hidden.values())))


def test_a_stick_lies_on_ink_or_the_place_is_not_taken() -> None:
    joints, _ = explaining(ink_of(STANDING), *offers(STANDING, r_wrist=(0.9, 0.2)))
    assert torch.allclose(joints[0], STANDING)


def test_what_is_said_of_one_drawing_does_not_depend_on_the_others() -> None:
    offered = [offers(STANDING), offers(STANDING, l_wrist=(0.8, 0.55), l_elbow=(0.7, 0.35))]
    inks = [ink_of(STANDING * 0.9), ink_of(STANDING)]
    together = explaining(torch.cat(inks), *(torch.cat(parts) for parts in zip(*offered, strict=True)))
    for at, (ink, offer) in enumerate(zip(inks, offered, strict=True)):
        for found, alone in zip(together, explaining(ink, *offer), strict=True):
            assert torch.allclose(found[at], alone[0], atol=1e-5)


def test_a_blank_picture_is_read_by_heat_alone() -> None:
    joints, likely = explaining(torch.zeros(1, 1, 64, 64), *offers(STANDING))
    assert torch.allclose(joints[0], STANDING)
    assert likely.isfinite().all()


def test_distances_are_those_to_the_stick_and_beyond_it_to_its_end() -> None:
    start, end = torch.tensor([0.25, 0.5]), torch.tensor([0.75, 0.5])
    away = squared_distance(start, end, SIDE).sqrt()
    centre = (torch.arange(SIDE) + 0.5) / SIDE
    x, y = torch.meshgrid(centre, centre, indexing="xy")
    beside = (x >= 0.25) & (x <= 0.75)
    assert torch.allclose(away[beside], (y - 0.5).abs()[beside], atol=1e-6)
    assert torch.allclose(away[x > 0.75], torch.hypot(x - 0.75, y - 0.5)[x > 0.75], atol=1e-6)


def test_how_much_of_a_stick_is_drawn() -> None:
    strokes = torch.zeros(1, 1, SIDE, SIDE)
    strokes[..., : SIDE // 2] = 1
    ends = torch.tensor([[[0.5, 0.5], [0.2, 0.9], [0.9, 0.5]]])
    start = torch.tensor([[[0.1, 0.5], [0.1, 0.1], [0.1, 0.5]]])
    assert torch.allclose(drawn(strokes, start, ends), torch.tensor([[1.0, 1.0, 0.5]]), atol=0.05)
