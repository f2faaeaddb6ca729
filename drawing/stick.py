"""Stick figures as people draw them: dark ink on white paper, ten strokes that waver a little, and a circle for the head."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from genga.skeleton import STICKS, J, reference_length

Array = NDArray[Any]
STEPS = np.linspace(0, 1, 9)
# slow waves along a stroke, zero at both ends so that strokes meet at the joints
WAVES = np.sin(np.pi * np.outer((1, 2, 3), STEPS)) / np.array([[1], [2], [3]])
RING = np.stack([np.cos(np.linspace(0, 2 * np.pi, 33)), np.sin(np.linspace(0, 2 * np.pi, 33))], axis=1)
SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class StickStyle:
    """Lengths are shares of the picture's side."""

    name: str
    width: float
    wobble: float
    ink: int
    head: float  # radius as a share of the pose's longer side
    filled: bool


def sample_style(rng: np.random.Generator) -> StickStyle:
    tip, low, high = (("thin", 0.007, 0.013), ("medium", 0.013, 0.022), ("bold", 0.022, 0.035))[int(rng.integers(3))]
    filled = bool(rng.random() < 0.3)
    return StickStyle(
        name=f"{tip}-{'filled' if filled else 'open'}",
        width=float(rng.uniform(low, high)),
        wobble=float(rng.uniform(0, 0.012)),
        ink=int(rng.integers(0, 90)),
        head=float(rng.uniform(0.045, 0.09)),
        filled=filled,
    )


def draw_stick(pose: Array, size: int, style: StickStyle, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A pose (11, 2) in [0, 1] -> gray (size, size). The rng moves the hand; the same state draws the same picture."""
    oversampling = max(2, round(512 / size))
    side = size * oversampling
    paper = np.full((side, side), 255, np.uint8)
    head, radius = pose[J["head"]], style.head * float(reference_length(pose, "bbox"))
    ring = head + radius * RING * (1 + 4 * style.wobble * rng.normal(size=2))
    strokes = waver(pose, style.wobble, rng)
    if style.filled:
        cv2.fillPoly(paper, [fixed_point(ring, side)], style.ink, cv2.LINE_AA, SUBPIXEL_BITS)
    else:
        strokes[0] = from_the_rim(strokes[0], head, radius)
    lines = [fixed_point(line, side) for line in (*strokes, ring)]
    cv2.polylines(paper, lines, False, style.ink, max(1, round(style.width * side)), cv2.LINE_AA, SUBPIXEL_BITS)
    return np.asarray(cv2.resize(paper, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def waver(pose: Array, wobble: float, rng: np.random.Generator) -> list[Array]:
    """The sticks as polylines (9, 2) that start and end at their joints."""
    start, end = pose[[a for a, _ in STICKS]], pose[[b for _, b in STICKS]]
    along = end - start
    across = along[:, ::-1] * (1, -1) / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    # long strokes waver more than short ones
    swing = wobble * rng.normal(size=(len(STICKS), len(WAVES))) @ WAVES * np.minimum(1, 5 * np.linalg.norm(along, axis=1, keepdims=True))
    lines: Array = start[:, None] + STEPS[:, None] * along[:, None] + swing[..., None] * across[:, None]
    return list(lines)


def from_the_rim(stroke: Array, head: Array, radius: float) -> Array:
    """The neck of an open head starts at the circle; it stays whole where the neck joint lies inside the circle."""
    outside = np.linalg.norm(stroke - head, axis=1) > radius
    return stroke[int(outside.argmax()) :] if outside.any() else stroke[-1:]


def fixed_point(line: Array, side: int) -> NDArray[np.int32]:
    """[0, 1] -> OpenCV's fixed-point coordinates, whose whole numbers are pixel centres."""
    fixed: NDArray[np.int32] = np.round((line * side - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)
    return fixed
