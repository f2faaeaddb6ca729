"""Which of the places that the heatmaps offer the limbs of a stick figure have: those whose sticks explain the drawing.

By their heat alone both arms often lie on one stroke while another is left over (PCK@0.1 of sticks .941 instead of .952). So, limb by limb
(coordinate ascent), of all pairs of places that an elbow and its wrist, a knee and its ankle are offered, the pair is taken that is hot, whose
sticks lie on ink, and which leaves least ink without a stick: analysis by synthesis (Yuille and Kersten 2006,
https://doi.org/10.1016/j.tics.2006.05.002).
N batch, J = 11 joints, K = PLACES, S = SIDE. Ink as in models/networks/pose.py, poses in [0, 1] of the picture.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from genga.skeleton import LIMBS, STICKS

PLACES = 5  # that a heatmap offers
SIDE = 48  # of the ink that is explained
STICK_SIGMA = 0.025  # how far from a stick ink is explained by it, as a share of the picture's side
UNEXPLAINED, UNDRAWN = 60.0, 12.0  # how much all of the ink, and the whole of a stick, weigh beside the log of the heat
COLDEST = 1e-3  # share of heat: what is colder is no worse
FULL = 0.5  # share of the darkest ink at which a stick lies on ink
SAMPLES = 16  # along a stick
UPPER = {end: start for start, end in STICKS}


def explaining(ink: Tensor, places: Tensor, heat: Tensor) -> tuple[Tensor, Tensor]:
    """ink (N, 1, R, R), places (N, J, K, 2) that the heatmaps offer, the hottest first, and how much heat (N, J, K) lies there ->
    joints (N, J, 2), and how likely they lie there (N, J)."""
    ink = F.interpolate(ink, size=(SIDE, SIDE), mode="area")
    ink = ink / ink.amax(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    whole = ink.sum(dim=(2, 3))[..., None].clamp_min(1e-6)
    strokes = (F.max_pool2d(ink, 3, 1, 1) / FULL).clamp_max(1)
    joints, likely = places[:, :, 0].clone(), heat[:, :, 0].clone()
    log_heat = heat.clamp_min(COLDEST).log()
    for limb in (limb for sides in LIMBS.values() for limb in sides):
        (middle, end), above = limb, UPPER[limb[0]]
        start, middles, ends = joints[:, above, None], places[:, middle], places[:, end]
        rest = torch.stack([squared_distance(joints[:, a], joints[:, b], SIDE) for a, b in STICKS if b not in limb]).amin(dim=0)
        upper, lower = squared_distance(start, middles, SIDE)[:, :, None], squared_distance(middles[:, :, None], ends[:, None], SIDE)
        nearest = torch.minimum(torch.minimum(upper, lower), rest[:, None, None])  # (N, K, K, S, S)
        unexplained = (ink[:, :, None] * (1 - torch.exp(nearest / (-2 * STICK_SIGMA**2)))).sum(dim=(3, 4)) / whole
        undrawn = 2 - drawn(strokes, start, middles)[:, :, None] - drawn(strokes, middles[:, :, None], ends[:, None])
        score = log_heat[:, middle, :, None] + log_heat[:, end, None] - UNEXPLAINED * unexplained - UNDRAWN * undrawn
        best = score.flatten(1).argmax(dim=1)
        chance = score.flatten(1).softmax(dim=1).view_as(score)
        every = torch.arange(len(ink), device=ink.device)
        for joint, place, sure in ((middle, best // PLACES, chance.sum(dim=2)), (end, best % PLACES, chance.sum(dim=1))):
            joints[:, joint] = places[every, joint, place]
            # neither alone tells right from wrong as well as both
            likely[:, joint] = (heat[every, joint, place] * heat[:, joint].sum(dim=1).clamp_max(1) * sure[every, place]).sqrt()
    return joints, likely


def cell_centres(side: int, like: Tensor) -> Tensor:
    """(side,): the middle of each cell of a picture whose side is 1."""
    return (torch.arange(side, device=like.device, dtype=torch.float32) + 0.5) / side


def squared_distance(start: Tensor, end: Tensor, side: int) -> Tensor:
    """(..., 2) -> (..., side, side): of each cell's middle to the stick between them."""
    centres = cell_centres(side, start)
    way = end - start
    start = start.expand_as(way)
    dx, dy = (centres - start[..., :1])[..., None, :], (centres - start[..., 1:])[..., :, None]
    wx, wy = (part[..., None, None] for part in way.unbind(dim=-1))
    along = ((dx * wx + dy * wy) / (wx * wx + wy * wy).clamp_min(1e-6)).clamp(0, 1)
    return (dx - along * wx) ** 2 + (dy - along * wy) ** 2


def drawn(strokes: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """(N, 1, S, S) and ends of sticks (N, ..., 2) -> (N, ...): the mean of what they lie on."""
    steps = (torch.arange(SAMPLES, device=start.device) + 0.5) / SAMPLES
    places = start[..., None, :] + (end - start)[..., None, :] * steps[:, None]
    under = F.grid_sample(strokes, places.flatten(1, -3) * 2 - 1, align_corners=False)
    return under.mean(dim=3).view(places.shape[:-2])
