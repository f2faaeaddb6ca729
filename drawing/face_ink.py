"""Ink and paper of the drawn face: curves, brush strokes, locks of hair and layers.

A layer is drawn with OpenCV several times larger than the picture, in premultiplied RGBA, and shrunk by area averaging:
clean edges, and soft light and shadow can then be worked out cheaply on the small float32 layer.
Points are float (N, 2) in face units (see drawing/face_look.py); a layer's `place` puts them on its canvas.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Color = tuple[float, float, float]
Place = Callable[[Array, float | Array], Array]


class Tones(NamedTuple):
    """One surface: lit, in shadow, in deep shadow, shining, and its line."""

    base: Color
    shade: Color
    deep: Color
    light: Color
    line: Color


WHITE: Color = (255.0, 255.0, 255.0)
FRACTION_BITS = 4
CANVAS_SIDE = 384


def mix(a: Color, b: Color, share: float) -> Color:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def times(a: Color, b: Color) -> Color:
    """Multiplied as in paint programs: white leaves a color as it is."""
    return (a[0] * b[0] / 255, a[1] * b[1] / 255, a[2] * b[2] / 255)


def from_hsv(hue: float, saturation: float, value: float) -> Color:
    """`hue` in turns, the others in [0, 1]."""
    part = [abs((hue * 6 + offset) % 6 - 3) - 1 for offset in (0, 4, 2)]
    red, green, blue = (255 * value * (1 - saturation * (1 - min(max(p, 0), 1))) for p in part)
    return (red, green, blue)


# --- curves


def xy(x: float, y: float) -> Array:
    """One point, or a shift."""
    return np.array((x, y))


@cache
def _spline_weights(num_steps: int) -> Array:
    """Catmull-Rom: (num_steps, 4) weights of the 4 points around each step of one segment."""
    t = np.arange(num_steps) / num_steps
    return 0.5 * np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], axis=1)


def spline(points: ArrayLike, closed: bool = False, num_steps: int = 6) -> Array:
    """A smooth curve through all the points (..., D)."""
    knots = np.asarray(points, dtype=float)
    ends = (knots[-1:], knots[:2]) if closed else (2 * knots[:1] - knots[1:2], 2 * knots[-1:] - knots[-2:-1])
    padded = np.concatenate([ends[0], knots, ends[1]])
    windows = np.stack([padded[i : len(padded) - 3 + i] for i in range(4)], axis=1)
    curve = np.einsum("tk,skd->std", _spline_weights(num_steps), windows).reshape(-1, knots.shape[1])
    return curve if closed else np.concatenate([curve, knots[-1:]])


@cache
def _bend_weights(num_steps: int) -> Array:
    t = np.linspace(0, 1, num_steps)
    return np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=1)


def bend(start: ArrayLike, pull: ArrayLike, end: ArrayLike, num_steps: int = 9) -> Array:
    """A quadratic Bezier curve."""
    curve: Array = _bend_weights(num_steps) @ np.array([start, pull, end], dtype=float)
    return curve


def arc(center: ArrayLike, radii: ArrayLike, start: float, end: float, num_steps: int = 24) -> Array:
    """Part of an ellipse, angles in degrees: 0 is right, 90 is down."""
    curve: Array = np.asarray(center) + np.asarray(radii) * _circle(start, end, num_steps)
    return curve


@cache
def _circle(start: float, end: float, num_steps: int) -> Array:
    angles = np.radians(np.linspace(start, end, num_steps))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def turn(points: Array, angle: float, center: ArrayLike = (0.0, 0.0)) -> Array:
    """Turned clockwise by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    turned: Array = (points - np.asarray(center)) @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(center)
    return turned


def _normals(curve: Array) -> Array:
    ahead = np.empty_like(curve)
    ahead[1:-1] = curve[2:] - curve[:-2]
    ahead[0], ahead[-1] = curve[1] - curve[0], curve[-1] - curve[-2]
    length = np.sqrt((ahead * ahead).sum(axis=1)) + 1e-9
    normals: Array = ahead[:, ::-1] * (-1.0, 1.0) / length[:, None]
    return normals


@cache
def _pressure(num_points: int, start: float, end: float) -> Array:
    t = np.linspace(0, 1, num_points)
    pressed: Array = np.minimum(start + (1 - start) * (t / 0.45).clip(0, 1) ** 0.7, end + (1 - end) * ((1 - t) / 0.55).clip(0, 1) ** 0.7)
    return pressed[:, None] / 2


def brush(curve: Array, width: float, start: float = 0.0, end: float = 0.0) -> Array:
    """The outline of a brush stroke along a curve: full width in the middle, `start` and `end` of it at its ends."""
    offset = _normals(curve) * (width * _pressure(len(curve), start, end))
    return np.concatenate([curve + offset, (curve - offset)[::-1]])


class Lock(NamedTuple):
    """A lock of hair between two edges that run from root to tip."""

    left: Array
    right: Array

    @property
    def outline(self) -> Array:
        return np.concatenate([self.left, self.right[::-1]])

    def along(self, share: float) -> Array:
        """The curve at `share` of the way from the left edge to the right one."""
        curve: Array = self.left + (self.right - self.left) * share
        return curve

    def band(self, left: float, right: float, start: float = 0.0, end: float = 1.0) -> Array:
        """A piece of the lock: between two shares of its width, from `start` to `end` of its length."""
        rows = slice(round(start * (len(self.left) - 1)), round(end * (len(self.left) - 1)) + 1)
        return np.concatenate([self.along(left)[rows], self.along(right)[rows][::-1]])


def lock(spine: Array | Sequence[ArrayLike], widths: ArrayLike) -> Lock:
    """`widths` at each point of the spine; 0 at the last one makes a pointed tip."""
    knots = np.concatenate([np.asarray(spine, dtype=float), np.asarray(widths, dtype=float)[:, None]], axis=1)
    curve = spline(knots)
    offset = _normals(curve[:, :2]) * curve[:, 2:].clip(0) / 2
    return Lock(curve[:, :2] + offset, curve[:, :2] - offset)


# --- layers


def fixed_point(points: Array) -> Array:
    """As OpenCV takes fractions of a pixel."""
    fixed: Array = np.rint(points * 2**FRACTION_BITS).astype(np.int32)
    return fixed


class Layer:
    """Transparent paper to draw on."""

    def __init__(self, side: int, place: Place, unit: float) -> None:
        """`unit`: canvas pixels in one face unit, for the width of lines."""
        self.canvas = np.zeros((side, side, 4), np.uint8)
        self.place, self.unit = place, unit

    def _fixed(self, points: Array, depth: float | Array) -> Array:
        return fixed_point(self.place(points, depth))

    def fill(self, points: Array, color: Color, depth: float | Array = 0.0) -> None:
        cv2.fillPoly(self.canvas, [self._fixed(points, depth)], (*color, 255), cv2.LINE_AA, FRACTION_BITS)

    def line(self, points: Array, color: Color, width: float, depth: float | Array = 0.0, closed: bool = False) -> None:
        thickness = max(1, round(width * self.unit))
        cv2.polylines(self.canvas, [self._fixed(points, depth)], closed, (*color, 255), thickness, cv2.LINE_AA, FRACTION_BITS)

    def stroke(self, curve: Array, color: Color, width: float, depth: float = 0.0, start: float = 0.0, end: float = 0.0) -> None:
        self.fill(brush(curve, width, start, end), color, depth)

    def shrunk(self, size: int) -> Array:
        """float32 (size, size, 4): premultiplied color 0..255, alpha 0..1."""
        small: Array = cv2.resize(self.canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
        small[..., 3] /= 255
        return small


def over(picture: Array, layer: Array, share: float = 1.0) -> None:
    """Lays a small layer onto the picture (H, W, 3), in place."""
    picture *= 1 - share * layer[..., 3:]
    picture += share * layer[..., :3]


def tint(picture: Array, color: Color, mask: Array) -> None:
    """Multiplies by `color` where `mask` (H, W) is 1, in place: shadows, blush and colored light."""
    picture[..., :3] *= 1 + mask[..., None] * (np.asarray(color, np.float32) / 255 - 1)


def stencil(size: int, shapes: list[Array]) -> Array:
    """A mask (size, size) in [0, 1] of shapes given in its pixels."""
    mask = np.zeros((size, size), np.uint8)
    for shape in shapes:
        cv2.fillPoly(mask, [fixed_point(shape)], 255, cv2.LINE_AA, FRACTION_BITS)
    return mask.astype(np.float32) / 255


def paint(picture: Array, color: Color, mask: Array) -> None:
    """Covers with `color` where `mask` (H, W) is 1, in place."""
    picture[..., :3] += mask[..., None] * (np.asarray(color, np.float32) - picture[..., :3])


def soften(mask: Array, sigma: float) -> Array:
    blurred: Array = cv2.GaussianBlur(mask, (0, 0), max(sigma, 0.3))
    return blurred
