"""Strokes of a pen as polygons, by loops that Numba compiles: a figure has a few dozen of them, too few for NumPy to be quick.

Units: 1 is the picture's side. A stroke is a polyline of STEPS points, its polygon has CORNERS corners in OpenCV's fixed-point coordinates.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

STEPS, CORNERS = 9, 24  # CORNERS: both sides of it and three at each of its ends
ARCS = 3  # a circle is drawn as so many strokes
SUBPIXEL_BITS = 4
# OpenCV's antialiased polygons come out this many pixels too wide, and never narrower than NARROWEST
SPILL, NARROWEST = 1.35, 1.9


@njit(cache=True, error_model="numpy")
def begin_and_end(pose: Array, head: int, neck: int, hip: int, reach: float, shoulders: float, ankles: Array, feet: Array) -> Array:
    """(J + 4, 2): the joints (J, 2); where a neck meets a head that reaches so far; where the arms leave the spine; and toes, which lie `feet` (2, 2)
    from the ankles (2,)."""
    count = len(pose)
    anchors = np.empty((count + 4, 2))
    anchors[:count] = pose
    up = pose[neck] - pose[head]
    anchors[count] = pose[head] + up * min(reach / max(math.sqrt(up[0] * up[0] + up[1] * up[1]), 1e-9), 0.95)
    anchors[count + 1] = pose[neck] + shoulders * (pose[hip] - pose[neck])
    for side in range(2):
        anchors[count + 2 + side] = pose[ankles[side]] + feet[side]
    return anchors


@njit(cache=True, error_model="numpy")
def in_one_swing(anchors: Array, rounding: float, bends: Array) -> Array:
    """Anchors (K, 2), but for the joint b of each bend (a, b, c) where the lines of a limb that is drawn in one swing would meet, beyond the joint,
    through which the swing goes."""
    meeting = anchors.copy()
    for a, b, c in bends:
        meeting[b] += rounding * (anchors[b] - (anchors[a] + anchors[c]) / 2)
    return meeting


@njit(cache=True, error_model="numpy")
def drawn_parts(free: Array, overshoot: float, shares: Array) -> Array:
    """(N, 2): which part of its way each stroke draws: at its ends, where they are not free (N, 2), `overshoot` times these shares (N, 2) more."""
    parts = np.empty(free.shape)
    for stroke in range(len(free)):
        for end in range(2):
            beyond = 0.0 if free[stroke, end] else overshoot * shares[stroke, end]
            parts[stroke, end] = 1 + beyond if end else -beyond
    return parts


@njit(cache=True, error_model="numpy")
def stroke_lines(anchors: Array, meeting: Array, bones: Array, misses: Array, waves: Array, spans: Array) -> Array:
    """N strokes (N, STEPS, 2) between two anchors (K, 2) each, those of `bones` (N, 2), which they miss by `misses` (N, 2, 2); of that way the part
    `spans` (N, 2). They lie on the line between the same two of `meeting` (K, 2), and near the ends leave it for the anchors.
    They swing across it in `waves` (N, W), of which the k-th has k half periods and a k-th of its height; long strokes do more than short ones."""
    paths = np.empty((len(bones), STEPS, 2))
    for stroke in range(len(bones)):
        a, b = bones[stroke]
        along_x, along_y = meeting[b, 0] - meeting[a, 0], meeting[b, 1] - meeting[a, 1]
        height = min(1 / max(math.sqrt(along_x * along_x + along_y * along_y), 1e-9), 5.0)
        begin, end = spans[stroke]
        for step in range(STEPS):
            t = begin + (end - begin) * step / (STEPS - 1)
            swing = 0.0
            for wave in range(waves.shape[1]):
                swing += waves[stroke, wave] / (wave + 1) * height * math.sin(t * math.pi * (wave + 1))
            near = min(max(t, 0.0), 1.0)
            for axis, across in ((0, along_y), (1, -along_x)):
                first = misses[stroke, 0, axis] + anchors[a, axis] - meeting[a, axis]
                last = misses[stroke, 1, axis] + anchors[b, axis] - meeting[b, axis]
                line = meeting[a, axis] + t * (meeting[b, axis] - meeting[a, axis])
                paths[stroke, step, axis] = line + swing * across + (1 - near) ** 3 * first + near**3 * last
    return paths


@njit(cache=True, error_model="numpy")
def circle_lines(middle: Array, up: tuple[float, float], radius: float, oval: float, begin: float, turns: float, hand: Array) -> Array:
    """P circles as strokes (ARCS x P, STEPS, 2): longer by `oval` in the direction `up`, from `begin` on, so many turns. `hand` (P, 6), as shares of
    the radius, makes each a little square, pear-shaped, its end miss its beginning, and its middle lie aside by the last two; one says nothing."""
    paths = np.empty((ARCS * len(hand), STEPS, 2))
    for stroke in range(len(paths)):
        circle, arc = divmod(stroke, ARCS)
        square, pear, missed, _, right, down = hand[circle]
        for step in range(STEPS):
            share = (arc * (STEPS - 1) + step) / (ARCS * (STEPS - 1))
            angle = 2 * math.pi * (begin + turns * share)
            around = radius * (1 + 0.5 * square * math.cos(2 * angle) + 0.5 * pear * math.sin(3 * angle) + missed * (share - 0.5))
            upward, aside = around * math.cos(angle) * oval, around * math.sin(angle)
            paths[stroke, step, 0] = middle[0] + min(max(right, -0.15), 0.15) * radius + upward * up[0] + aside * up[1]
            paths[stroke, step, 1] = middle[1] + min(max(down, -0.15), 0.15) * radius + upward * up[1] - aside * up[0]
    return paths


@njit(cache=True, error_model="numpy")
def outlines(paths: Array, width: float, taper: float, ends_thin: Array, side: int) -> NDArray[np.int32]:
    """Strokes (N, STEPS, 2) of this width -> polygons (N, CORNERS, 2) with round ends in a picture of so many pixels.
    With `taper` they thin out, by `ends_thin` (N,) from toward both ends, 0, to toward the last one alone, 1."""
    polygons = np.empty((len(paths), CORNERS, 2), np.int32)
    pixel = 2.0**SUBPIXEL_BITS
    for stroke in range(len(paths)):
        path = paths[stroke]
        for step in range(STEPS):
            before, after = path[max(step - 1, 0)], path[min(step + 1, STEPS - 1)]
            x, y = path[step]
            dx, dy = after[0] - before[0], after[1] - before[1]
            t = step / (STEPS - 1)
            both = (2 * t - 1) ** 2
            thinned = both + ends_thin[stroke] * (t * t - both)
            half = max(width - width * taper * thinned - SPILL / side, 0.4 / side) / (2 * math.sqrt(dx * dx + dy * dy) + 1e-9)
            dx, dy = dx * half, dy * half
            for corner, out in ((step, 1.0), (STEPS + 3 + STEPS - 1 - step, -1.0)):
                polygons[stroke, corner, 0] = round(((x + out * dy) * side - 0.5) * pixel)
                polygons[stroke, corner, 1] = round(((y - out * dx) * side - 0.5) * pixel)
            if step in (0, STEPS - 1):
                first, out = (2 * STEPS + 3, -1.0) if step == 0 else (STEPS, 1.0)
                for cap in range(3):
                    cos, sin = math.cos(math.pi / 4 * (cap + 1)), math.sin(math.pi / 4 * (cap + 1))
                    polygons[stroke, first + cap, 0] = round(((x + out * (cos * dy + sin * dx)) * side - 0.5) * pixel)
                    polygons[stroke, first + cap, 1] = round(((y + out * (-cos * dx + sin * dy)) * side - 0.5) * pixel)
    return polygons
