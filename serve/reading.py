"""From any picture of a drawn figure to what the pose networks read: ink on paper, cut out square around the figure.

Ink is float32 in [0, 1], 0 = paper.
"""

from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from genga.errors import DataError

Array = NDArray[Any]
Ink = NDArray[np.float32]
Kind = Literal["stick", "figure"]
# the longer side that drawings are read at: ten times what the networks see
WORKING_SIDE = 640
MIN_CONTRAST = 40
INK = 0.35
MARGIN = 0.1  # paper around the figure, as a share of its longer side
# How kinds are told apart, at this side in pixels: gaps up to GAP are closed; lines that are then this much thicker were outlines.
# About 98 % of the stick figures and 99 % of the figures that Genga draws are then told right; SOLID, in pixels, is more than any pen.
KIND_SIDE, GAP, OUTLINES, SOLID = 160, 9, 1.6, 6.5
THINNEST = 0.02  # pens thinner than this share of the frame are taken for one as thick


class Frame(NamedTuple):
    """A square in pixels of the ink; it may reach over the edge, where there is paper."""

    left: int
    top: int
    side: int

    def cut(self, ink: Ink, resolution: int) -> Ink:
        """(resolution, resolution)"""
        square = np.zeros((self.side, self.side), dtype=np.float32)
        top, left = max(self.top, 0), max(self.left, 0)
        inside = ink[top : self.top + self.side, left : self.left + self.side]
        square[top - self.top :, left - self.left :][: inside.shape[0], : inside.shape[1]] = inside
        return np.asarray(cv2.resize(square, (resolution, resolution), interpolation=cv2.INTER_AREA), dtype=np.float32)

    def to_picture(self, pose: Array, ink: Ink) -> Array:
        """Joints in [0, 1] of the square -> in [0, 1] of the whole picture."""
        height, width = ink.shape
        whole: Array = (pose * self.side + (self.left, self.top)) / (width, height)
        return whole.clip(0, 1)


def fit_square(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The largest centred square of a picture, at this side: what the faces that networks learned from are."""
    height, width = picture.shape[:2]
    length = min(height, width)
    top, left = (height - length) // 2, (width - length) // 2
    middle = picture[top : top + length, left : left + length]
    return np.asarray(cv2.resize(middle, (side, side), interpolation=cv2.INTER_AREA if length > side else cv2.INTER_CUBIC), dtype=np.uint8)


def read_ink(picture: NDArray[np.uint8]) -> Ink:
    """RGB (H, W, 3) -> ink of the same proportions. The paper is what the border is made of, be it light or dark."""
    gray = _shrunk(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)).astype(np.float32)
    paper = float(np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])))
    difference = np.maximum(paper - gray if paper >= 128 else gray - paper, 0)
    darkest = float(difference.max())
    if darkest < MIN_CONTRAST:
        raise DataError("no drawing was found in this picture, it is all of one shade; send a figure or a stick figure on plain paper")
    return np.asarray(difference / darkest, dtype=np.float32)


def _shrunk(gray: Array) -> Array:
    height, width = gray.shape
    scale = WORKING_SIDE / max(height, width)
    return cv2.resize(gray, (max(round(width * scale), 1), max(round(height * scale), 1)), interpolation=cv2.INTER_AREA) if scale < 1 else gray


def frame_of(ink: Ink) -> Frame:
    (top, bottom), (left, right) = ((int(places.min()), int(places.max()) + 1) for places in np.nonzero(ink > INK))
    side = round(max(bottom - top, right - left) * (1 + 2 * MARGIN))
    return Frame((left + right - side) // 2, (top + bottom - side) // 2, side)


def kind_of_drawing(ink: Ink) -> Kind:
    """A stick figure is made of single strokes; a figure of outlines, which lie close together in pairs, or it is a solid shape."""
    frame = frame_of(ink)
    drawn = (frame.cut(_thickened(ink, frame), round(KIND_SIDE * (1 + 2 * MARGIN))) > INK).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GAP, GAP))
    thickness, closed = _thickness(drawn), _thickness(cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, disc))
    return "figure" if thickness > SOLID or closed > OUTLINES * thickness else "stick"


def _thickened(ink: Ink, frame: Frame) -> Ink:
    missing = THINNEST * frame.side - 2 * _thickness((ink > INK).astype(np.uint8))
    if missing < 1:
        return ink
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (1 + round(missing), 1 + round(missing)))
    return np.asarray(cv2.dilate(ink, pen), dtype=np.float32)


def _thickness(shape: Array) -> float:
    """Area over length of its edges, inner ones too: half the width of a stroke."""
    edges, _ = cv2.findContours(shape, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return float(shape.sum()) / max(sum(cv2.arcLength(edge, True) for edge in edges), 1.0)
