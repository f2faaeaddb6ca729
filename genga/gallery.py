"""Figures searchable by pose: the nearest ones to a pose, wherever and however large it stands in its picture.

reads   data/gallery/   store; its manifest has id, source, licence and pose (22 numbers)

The distance of two poses is the root mean square distance of their joints, after both are normalised:
0.05 means that joints lie 5 % of the pose's longer side apart.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genga.errors import DataError
from genga.skeleton import JOINTS, from_vector, mirror, normalise, to_vector
from genga.store import Store

Array = NDArray[Any]


class Nearest(NamedTuple):
    """Nearest first. Where `mirrored`, the picture has to be flipped left to right to show the pose asked for."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]
    mirrored: NDArray[np.bool_]


class Gallery:
    def __init__(self, store_dir: Path) -> None:
        self.store = Store(store_dir)
        self.poses = from_vector(self.store.column("pose"))
        self._vectors = to_vector(normalise(self.poses))
        self._squares = (self._vectors**2).sum(axis=1)

    def __len__(self) -> int:
        return len(self._vectors)

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Gray, dark on white."""
        (size,) = self.store.sizes
        return np.asarray(self.store.images(size)[row])

    def nearest(self, pose: ArrayLike, count: int, *, mirroring: bool = False) -> Nearest:
        """The `count` rows nearest to a pose (11, 2), or all where there are fewer; with `mirroring`, flipped figures count too."""
        asked = check_pose(pose)
        queries = to_vector(normalise(np.stack([asked, mirror(asked)] if mirroring else [asked])))
        # |a - b|^2 = |a|^2 - 2ab + |b|^2; |a|^2 is the same for a pose and its mirror image, so it does not change the order
        scores = self._squares[:, None] - 2 * (self._vectors @ queries.T)
        sides = scores.argmin(axis=1)
        best = np.argsort(scores.min(axis=1), kind="stable")[:count]
        differences = self._vectors[best] - queries[sides[best]]  # the sum above loses digits near 0
        return Nearest(best, np.sqrt((differences**2).sum(axis=1) / len(JOINTS)), sides[best] == 1)


def check_pose(pose: ArrayLike) -> Array:
    """The pose as float64 (11, 2), or DataError."""
    array = np.asarray(pose, dtype=np.float64)
    if array.shape != (11, 2):
        raise DataError(f"a pose of shape {array.shape} was found, expected (11, 2): x and y of {', '.join(JOINTS)}")
    if not np.isfinite(array).all():
        raise DataError("a pose with a joint that is not a finite number was found; give x and y of all 11 joints as plain numbers")
    return array
