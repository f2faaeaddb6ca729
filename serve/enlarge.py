"""Four times as wide and high, tile by tile, without seams, alpha kept.

Each tile is read with `margin` pixels of its surroundings, the network's receptive field, so that every kept pixel sees what it would
see in the whole picture. At the picture's border a tile ends where the picture ends: the network pads there as it always does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.batches import to_signed, to_uint8
from serve.schemas import UPSCALE_FACTOR

Picture = NDArray[np.uint8]
TILE = 192
# how far colour is spread into fully transparent places, in pixels: more than interpolation reaches
BLEED_SIGMA = 4.0


class Span(NamedTuple):
    """Along one axis: [start, stop) is kept, [low, high) is read."""

    start: int
    stop: int
    low: int
    high: int


@dataclass(frozen=True)
class Tile:
    rows: Span
    columns: Span


def spans(length: int, tile: int, margin: int) -> list[Span]:
    starts = range(0, length, tile)
    return [Span(a, min(a + tile, length), max(a - margin, 0), min(a + tile + margin, length)) for a in starts]


class Enlargement:
    """`for tile in work.tiles(): work.draw(tile)`, in any order; then `work.picture()`."""

    def __init__(self, upscaler: Any, picture: Picture, tile: int = TILE) -> None:
        self._upscaler, self._tile = upscaler, tile
        self._alpha = picture[:, :, 3] if picture.shape[2] == 4 else None
        colours = picture if self._alpha is None else _spread_colours(picture)
        self._signed = to_signed(torch.from_numpy(np.ascontiguousarray(colours[None])))
        self._enlarged = np.empty((UPSCALE_FACTOR * picture.shape[0], UPSCALE_FACTOR * picture.shape[1], 3), dtype=np.uint8)

    def tiles(self) -> Iterator[Tile]:
        height, width = self._signed.shape[2:]
        margin: int = self._upscaler.margin
        for rows in spans(height, self._tile, margin):
            for columns in spans(width, self._tile, margin):
                yield Tile(rows, columns)

    def draw(self, tile: Tile) -> None:
        rows, columns = tile.rows, tile.columns
        drawn = to_uint8(self._upscaler(self._signed[:, :, rows.low : rows.high, columns.low : columns.high]))[0]
        self._enlarged[_scaled(rows.start, rows.stop), _scaled(columns.start, columns.stop)] = drawn[
            _scaled(rows.start - rows.low, rows.stop - rows.low), _scaled(columns.start - columns.low, columns.stop - columns.low)
        ]

    def picture(self) -> Picture:
        if self._alpha is None:
            return self._enlarged
        height, width = self._enlarged.shape[:2]
        alpha = cv2.resize(self._alpha, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.dstack([self._enlarged, alpha])


def _scaled(start: int, stop: int) -> slice:
    return slice(UPSCALE_FACTOR * start, UPSCALE_FACTOR * stop)


def _spread_colours(picture: Picture) -> Picture:
    """RGBA -> RGB where transparent places take the colours around them: what stands there unseen must not bleed into the edges."""
    alpha = picture[:, :, 3:].astype(np.float32) / 255
    weights = cv2.GaussianBlur(alpha, (0, 0), BLEED_SIGMA)[:, :, None]
    around = cv2.GaussianBlur(picture[:, :, :3] * alpha, (0, 0), BLEED_SIGMA) / np.maximum(weights, 1e-6)
    return np.where(alpha > 0, picture[:, :, :3], np.clip(around, 0, 255)).astype(np.uint8)
