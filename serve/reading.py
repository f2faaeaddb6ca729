"""What a drawing shows, a stick figure or a figure, and pictures as the face networks know them. Ink and frames: models/ink.py."""

import math
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from genga.pictures import on_paper
from models.ink import FRAME_MARGIN, INK, Frame, Ink, frame_of, read_ink, thickness

__all__ = ["Frame", "Ink", "Kind", "fit_square", "frame_of", "kind_of_drawing", "on_paper", "read_ink"]

Kind = Literal["stick", "figure"]
Array = NDArray[Any]
# Lengths below are pixels of a figure whose longer side is KIND_SIDE.
KIND_SIDE, GAP = 160, 5
# a blob HEAD pens wide that fills ROUND of its square, and no more than LARGEST of the figure's, is a filled head
WIDEST_PEN, HEAD, ROUND, LARGEST = 14.0, 1.6, 0.6, 0.5
# What a logistic regression makes of `shape_of`, fitted by bench/drawing_kinds.py; above 0 is a figure
KIND_WEIGHTS, KIND_BIAS = (19.43, -1.01, 7.45, 9.69, 6.54, 3.89, 6.04), -38.9


def fit_square(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The largest centred square of a picture, at this side: what the faces that networks learned from are."""
    height, width = picture.shape[:2]
    length = min(height, width)
    top, left = (height - length) // 2, (width - length) // 2
    middle = picture[top : top + length, left : left + length]
    return np.asarray(cv2.resize(middle, (side, side), interpolation=cv2.INTER_AREA if length > side else cv2.INTER_CUBIC), dtype=np.uint8)


def kind_of_drawing(ink: Ink) -> Kind:
    """A stick figure is made of single strokes and perhaps a filled head; a figure of outlines, close together in pairs, or of solid shapes."""
    return "figure" if float(np.dot(shape_of(ink), KIND_WEIGHTS)) + KIND_BIAS > 0 else "stick"


def shape_of(ink: Ink) -> Array:
    """(7,): how much of the drawing, its filled head aside, stays when what is narrow goes, and comes when gaps are filled."""
    drawn = np.pad((frame_of(ink).cut(ink, round(KIND_SIDE * (1 + 2 * FRAME_MARGIN))) > INK).astype(np.uint8), KIND_SIDE // 10)
    drawn = _without_head(_closed(drawn, GAP))
    pen, area = min(2 * thickness(drawn), WIDEST_PEN), max(float(drawn.sum()), 1.0)
    joined = _closed(drawn, 11)
    edges, _ = cv2.findContours(drawn, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return np.array(
        [
            _opened(joined, 9).sum() / max(float(joined.sum()), 1.0),
            _opened(drawn, 9).sum() / area,
            _opened(drawn, 1.3 * pen).sum() / area,
            _opened(drawn, 2.5 * pen).sum() / area,
            math.log(max(float(_closed(drawn, 19).sum()), 1.0) / area),
            math.log(1 + len(edges)),
            math.log(0.01 + sum(cv2.arcLength(edge, True) for edge in edges) / KIND_SIDE),
        ]
    )


def _disc(side: float) -> Array:
    odd = 2 * math.floor(side / 2) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (odd, odd)))


def _closed(shape: Array, side: float) -> Array:
    return np.asarray(cv2.morphologyEx(shape, cv2.MORPH_CLOSE, _disc(side)))


def _opened(shape: Array, side: float) -> Array:
    return np.asarray(cv2.morphologyEx(shape, cv2.MORPH_OPEN, _disc(side)))


def _without_head(drawn: Array) -> Array:
    pen = min(2 * thickness(drawn), WIDEST_PEN)
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(_opened(drawn, max(HEAD * pen, 9)))
    if count == 1:
        return drawn
    largest = 1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax())
    side = float(boxes[largest, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max())
    if side > LARGEST * KIND_SIDE or boxes[largest, cv2.CC_STAT_AREA] < ROUND * side**2:
        return drawn
    return np.asarray(drawn * (cv2.dilate((parts == largest).astype(np.uint8), _disc(GAP)) == 0))
