"""The frames of a body's parts, each turned in that of the one before, by loops that Numba compiles: 27 turns of 3 x 3 matrices, too small for NumPy
to be quick."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]


@njit(cache=True, error_model="numpy")
def turned_frames(angles: Array, turns: Array, num_frames: int) -> tuple[Array, Array]:
    """Angles (N, A) in degrees -> frames (F, N, 3, 3), of which the first is the world's, and the axis (A, N, 3) that each angle turns about.

    Each of the `turns` (A, 5) in turn: which angle, whose frame it turns, that of which it begins from, about which of its axes, and 1 or -1.
    """
    frames, axes = np.zeros((num_frames, len(angles), 3, 3)), np.empty((angles.shape[1], len(angles), 3))
    for body in range(len(angles)):
        for axis in range(3):
            frames[0, body, axis, axis] = 1.0
        for angle, to, before, axis, way in turns:
            radians = math.radians(way * angles[body, angle])
            cos, sin = math.cos(radians), math.sin(radians)
            second, third = (axis + 1) % 3, (axis + 2) % 3
            for row in range(3):
                a, b, c = frames[before, body, row, axis], frames[before, body, row, second], frames[before, body, row, third]
                axes[angle, body, row] = way * a
                frames[to, body, row, axis] = a
                frames[to, body, row, second] = cos * b + sin * c
                frames[to, body, row, third] = cos * c - sin * b
    return frames, axes
