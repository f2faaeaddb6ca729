"""Line art bent from one pose to another, its lines as wide as before.

Each stick takes the picture around it along (Beier and Neely 1992, "Feature-based image metamorphosis", section 3.3: pairs of lines, weights by
distance). Difference: across a stick, and beyond its ends, lengths change as the whole figure's do, so that a foreshortened arm is not thin.
What is bent is not ink but the distance to its edge, which may be read between pixels; a line is then drawn where it is near enough.
N batch, J = 11 joints, S = 10 sticks, R side of a drawing, H side of what is drawn.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from genga.skeleton import STICKS

Picture = NDArray[Any]

MEASURED = 4  # times as large are drawings when distances are measured
KEPT = 2  # and when these are kept
DARK = 140  # a gray below it is ink
THINNEST, THICKEST = 0.4, 2.0  # pixels: half the width of a line
NEAR, STEEP = 0.003, 1.7  # weight of a stick: (squared distance + NEAR) ** -STEEP, in mean sticks
SHORTEST = 1e-3  # mean sticks: no stick is shorter
MOST = 3.0  # times smaller or larger may a place become
FARTHER, STRAY = 1.5, 0.15  # from the nearest stick may ink get so many times farther, and so many mean sticks: what strays more is a second image

STARTS, ENDS = ([stick[n] for stick in STICKS] for n in (0, 1))


class Fields(NamedTuple):
    """Signed distance to the edge of the ink (N, 1, KEPT R, KEPT R), below 0 within, and half the width of lines (N, 1, 1, 1); in pixels."""

    distance: Tensor
    half_width: Tensor


def fields_of(drawings: Iterable[Picture], like: Tensor) -> Fields:
    """Gray (R, R) each, dark on white; of the kind and at the place of `like`."""
    distances, half_widths = zip(*map(_field_of, drawings), strict=True)
    return Fields(torch.from_numpy(np.stack(distances))[:, None].to(like), torch.tensor(half_widths)[:, None, None, None].to(like))


def _field_of(drawing: Picture) -> tuple[Picture, float]:
    side = len(drawing)
    large = cv2.resize(drawing, (side * MEASURED, side * MEASURED), interpolation=cv2.INTER_CUBIC)
    ink = (large < DARK).astype(np.uint8)
    without, within = (cv2.distanceTransform(of, cv2.DIST_L2, 5) for of in (1 - ink, ink))
    depths: Picture = within[ink > 0]
    # along a line half of the ink lies deeper than a quarter of its width
    half_width = float(np.clip(2 * np.median(depths) / MEASURED, THINNEST, THICKEST)) if len(depths) else THINNEST
    distance = np.minimum(without, side * MEASURED) - within  # an empty sheet is infinitely far from ink
    return cv2.resize(distance, (side * KEPT, side * KEPT), interpolation=cv2.INTER_AREA) / MEASURED, half_width


def unit_of(pose: Tensor) -> Tensor:
    """(N, 11, 2) -> (N,): the mean length of its sticks."""
    unit: Tensor = (pose[:, ENDS] - pose[:, STARTS]).norm(dim=2).mean(dim=1).clamp_min(SHORTEST)
    return unit


def bend(fields: Fields, source: Tensor, target: Tensor, wider: Tensor | None = None) -> Tensor:
    """Drawings of poses `source` (N, 11, 2) as drawings of `target` -> ink (N, 1, R, R) in [0, 1], 1 = ink.
    `wider` (N, S): how many times as wide what lies around each stick becomes."""
    side = fields.distance.shape[-1] // KEPT
    # smooth, so half the size is enough
    places, strayed = (F.interpolate(maps, size=(side, side), mode="bilinear") for maps in places_in(source, target, side // 2, wider))
    found = F.grid_sample(fields.distance, places.permute(0, 2, 3, 1) * 2 - 1, padding_mode="border", align_corners=False)
    (x_across, y_across), (x_down, y_down) = (_slope(places, dim).unbind(dim=1) for dim in (3, 2))
    # pixels of the source in one of these, along a line
    shrunk = (x_across * y_down - x_down * y_across).abs().sqrt()[:, None].clamp(1 / MOST, MOST)
    from_middle = (found + fields.half_width) / shrunk + side * strayed
    return (fields.half_width + 0.5 - from_middle).clamp(0, 1)


def _slope(places: Tensor, dim: int) -> Tensor:
    """By how much of a picture's side places change from pixel to pixel, in pixels."""
    side = places.shape[dim]
    steps = places.diff(dim=dim) * side
    return (torch.cat([steps.narrow(dim, 0, 1), steps], dim) + torch.cat([steps, steps.narrow(dim, side - 2, 1)], dim)) / 2


def places_in(source: Tensor, target: Tensor, side: int, wider: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """For each pixel of a picture of `target`: x and y in [0, 1] in the picture of `source` (N, 2, side, side), and how much farther from all
    sticks than there it is than it may be, in mean sticks (N, 1, side, side)."""
    centres = (torch.arange(side, device=target.device, dtype=target.dtype) + 0.5) / side
    unit, old_unit = unit_of(target)[:, None], unit_of(source)[:, None]
    zoom, sticks, old = old_unit / unit, _sticks(target, unit), _sticks(source, old_unit)
    upon, beyond, left = _along(sticks, centres, centres[:, None])
    away2 = (beyond**2 + left**2) / _each(unit**2)
    weight = (away2 + NEAR) ** -STEEP
    weight = weight / weight.sum(dim=1, keepdim=True)
    across = _each(zoom if wider is None else zoom / wider)
    old_forth, old_left = upon * _each(old.length / sticks.length) + beyond * across, left * across
    (ax, ay), (x, y) = (map(_each, way.unbind(dim=2)) for way in (old.way, old.start))
    x = (weight * (x + old_forth * ax - old_left * ay)).sum(dim=1, keepdim=True)
    y = (weight * (y + old_forth * ay + old_left * ax)).sum(dim=1, keepdim=True)
    _, old_beyond, old_left = _along(old, x, y)
    away, old_away = (d2.amin(dim=1, keepdim=True).sqrt() for d2 in (away2, (old_beyond**2 + old_left**2) / _each(old_unit**2)))
    return torch.cat([x, y], dim=1), (away - FARTHER * old_away - STRAY).relu()


class _Sticks(NamedTuple):
    """Starts (N, S, 2), lengths (N, S) and ways (N, S, 2)."""

    start: Tensor
    length: Tensor
    way: Tensor


def _sticks(pose: Tensor, unit: Tensor) -> _Sticks:
    start = pose[:, STARTS]
    way = pose[:, ENDS] - start
    length = way.norm(dim=2) + SHORTEST * unit
    return _Sticks(start, length, way / length[..., None])


def _along(sticks: _Sticks, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each place, for each stick (N, S, H, H): how far along it, how far before its start or beyond its end, how far to its left."""
    (sx, sy), (ax, ay) = (map(_each, way.unbind(dim=2)) for way in (sticks.start, sticks.way))
    dx, dy = x - sx, y - sy
    forth, left = dx * ax + dy * ay, dy * ax - dx * ay
    upon = torch.minimum(forth.clamp_min(0), _each(sticks.length))
    return upon, forth - upon, left


def _each(numbers: Tensor) -> Tensor:
    return numbers[..., None, None]
