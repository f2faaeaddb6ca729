"""Figures searchable by pose: the nearest ones to a pose, wherever and however large it stands in its picture.

reads   data/gallery/   store; its manifest has id, source, licence, kind and pose (22 numbers)

The distance of two poses a, b (11, 2) under weights w (11,) whose sum is 1, the confidences of the asked pose's joints:

    fit(p) = (p - c) / r                                    c = sum_j w_j p_j, the centre; r^2 = sum_j w_j |p_j - c|^2, the radius
    distance^2 = sum_j w_j |fit(a)_j - fit(b)_j|^2 = 2 - 2 cos                          cos = sum_j w_j fit(a)_j . fit(b)_j

It is the root mean square distance of the joints after both poses were brought to one centre and one radius, in radii: 0.1 means that
joints lie a tenth of the radius apart; 2 is the most. A pose's longer side is 2.9 radii (2.5 to 3.2 in 8 of 10 real poses).
The order is that of the best fit: one pose laid over the other by the best shift and scale leaves sqrt(1 - cos^2) radii.
A joint of weight 0 has no part in it, one of little weight a small one; the box of a pose would follow a joint that was read wrong.
Joints that all lie in one place (those that weigh) have no shape: their cos is 0.
No index takes over from some size on: of 1,000,000 poses the scan takes 4.0 ms, FAISS's exact one in float32 6.4 (bench/nearest.py).
"""

from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genga.errors import DataError
from genga.skeleton import JOINTS, MIRRORED, from_vector, mirror
from genga.store import Store

Array = NDArray[Any]

EVEN = np.full(len(JOINTS), 1 / len(JOINTS))
FLAT = 1e-9  # of the picture's side: a radius below it is none
UNIT = 2.0**-24  # float32 rounds by at most this share
SAMPLE = 16  # one figure of so many says how near the nearest ones are at least
CHUNK = 2**17
UNEVEN = 0.3  # with weights that lie so far apart the first test lets too many figures pass

_EYE = np.eye(len(JOINTS))
_MIDDLE = _EYE[[joint for joint, other in enumerate(MIRRORED) if joint == other]]
_LEFT, _RIGHT = (_EYE[list(side)] for side in zip(*((joint, other) for joint, other in enumerate(MIRRORED) if joint < other), strict=True))
SUMS, DIFFERENCES = np.vstack([_MIDDLE, (_LEFT + _RIGHT) / 2**0.5]), (_LEFT - _RIGHT) / 2**0.5  # (7, 11) and (4, 11)


class Nearest(NamedTuple):
    """Nearest first, the lower row where two are as near. A picture that is `mirrored` has to be flipped to show the pose asked for."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]
    mirrored: NDArray[np.bool_]


class Gallery:
    def __init__(self, store_dir: Path) -> None:
        self.store = Store(store_dir)
        self.poses = _read_poses(self.store)
        (size,) = self.store.sizes
        self._pictures = self.store.images(size)  # open from here on: a server may outlive the folder
        self._scan = Scan(self.poses)

    def __len__(self) -> int:
        return len(self.poses)

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Gray, dark on white."""
        return np.asarray(self._pictures[row])

    def nearest(self, pose: ArrayLike, count: int, *, mirroring: bool = False, confidence: ArrayLike | None = None) -> Nearest:
        """The `count` rows nearest to a pose (11, 2), or all where there are fewer; with `mirroring`, flipped figures count too.

        `confidence` (11,) weighs the joints; 0 leaves a joint out. The answer is that of all distances in float64.
        """
        asked, weights = check_pose(pose)[None], check_confidence(confidence)[None]
        if mirroring:
            asked, weights = np.concatenate([asked, mirror(asked)]), np.concatenate([weights, weights[:, MIRRORED]])
        rows = self._candidates(asked, weights, count)
        distances = distance(asked[:, None], self.poses[rows], weights[:, None])
        nearest = distances.min(axis=0)
        best = np.argsort(nearest, kind="stable")[:count]
        return Nearest(rows[best], nearest[best], distances.argmin(axis=0)[best] == 1)

    def _candidates(self, asked: Array, weights: Array, count: int) -> Array:
        """Rows among which the `count` nearest are, in order."""
        if 0 < count < len(self) // SAMPLE:
            look = Look(asked[0], weights[0], mirroring=len(asked) == 2)
            if (t2 := self._scan.bound(look, count)) > 0:
                return self._scan.within(look, t2, count)
        return np.arange(len(self))


def fit(poses: Array, weights: Array) -> Array:
    """Poses (..., 11, 2) under weights (..., 11) with sum 1: centre 0, radius 1; all 0 where there is no shape."""
    share = weights[..., None]
    centred = poses - (share * poses).sum(axis=-2, keepdims=True)
    radius = np.sqrt((share * centred**2).sum(axis=(-2, -1), keepdims=True))
    fitted: Array = centred * ((radius > FLAT) / np.maximum(radius, FLAT))
    return fitted


def distance(a: Array, b: Array, weights: Array) -> Array:
    """Of poses (..., 11, 2) to poses (..., 11, 2) under weights (..., 11) with sum 1 -> (...)."""
    a, b = fit(a, weights), fit(b, weights)
    squares = (weights[..., None] * (a - b) ** 2).sum(axis=(-2, -1))
    shapes = a.any(axis=(-2, -1)) & b.any(axis=(-2, -1))
    apart: Array = np.sqrt(np.where(shapes, squares, 2.0))
    return apart


class Look:
    """A pose and its weights as Scan multiplies them with figures."""

    def __init__(self, pose: Array, weights: Array, *, mirroring: bool) -> None:
        self.sides = (np.add, np.subtract) if mirroring else (np.add,)
        self.slack = 128 * UNIT * float(weights.max()) ** 0.5
        x, y = (weights[:, None] * fit(pose, weights)).T
        self.even, self.odd = _basis(y, x), _basis(x, y)
        self.equal = bool((weights == weights[0]).all())
        if not self.equal:
            apart = np.abs(weights - np.sort(weights)[len(JOINTS) // 2])
            nu = weights - apart.sum() * apart
            self.weights = _basis(weights, weights)
            self.nu = [_basis(each, each) for each in (nu, nu[list(MIRRORED)])[: len(self.sides)] if apart.sum() < UNEVEN]


class Scan:
    """A first look at every figure in float32, with a bound of its error, so that no figure of the answer is missed.

    Let g be a figure as fit() gives it under equal weights, over sqrt 11, and a the asked pose as fit() gives it under w. Then

        cos = n / r      n = sum_j w_j a_j . g_j      r^2 = sum_j w_j |g_j|^2 - |c|^2      c = sum_j w_j g_j

    so where cos is t > 0 or more, n >= 0 and n^2 >= t^2 r^2. As sum_j g_j = 0, c = sum_j (w_j - m) g_j for any m, the median of w here, and
    with D = sum_j |w_j - m| Cauchy and Schwarz give r^2 >= sum_j nu_j |g_j|^2, nu_j = w_j - D |w_j - m|: a first test without c.
    What passes it, few figures where most joints are as sure, is tested with r^2 itself; where D is UNEVEN or more, all are at once. t comes
    from the `count` best of a sample, then from those of what passed.

    These inner products have factors whose norms are at most 1 and o = sqrt(max w) (n, c, sum_j w_j |g_j|^2) or 2 o (nu). One of k products
    of rounded numbers, summed in any order, is wrong by at most (k + 2) u of its absolute sum (Higham 2002, section 3.1), u = 2^-24. So
    n^2 - t^2 r^2 comes out wrong by less than 108 u o, and with nu by less than 70 u o; figures with >= -128 u o pass.

    A figure and its flipped picture share the work: in the basis of middle joints, (left + right) / sqrt 2 and (left - right) / sqrt 2
    every inner product is even + odd for the figure and even - odd for the flipped one, as x changes its sign and left becomes right.
    """

    def __init__(self, poses: Array) -> None:
        self._order = np.random.default_rng(0).permutation(len(poses))  # so that the first ones are a sample
        self._even, self._odd, self._sizes = (np.empty((len(JOINTS), len(poses)), dtype=np.float32) for _ in range(3))
        for start in range(0, len(poses), CHUNK):
            columns = slice(start, start + CHUNK)
            x, y = fit(poses[self._order[columns]], EVEN).transpose(2, 1, 0) / len(JOINTS) ** 0.5
            self._even[:, columns], self._odd[:, columns], self._sizes[:, columns] = _basis(y, x), _basis(x, y), _basis(x**2 + y**2, x**2 + y**2)

    def bound(self, look: Look, count: int) -> float:
        """A t^2 that the cos^2 of `count` figures of the sample reaches at least."""
        columns = slice(0, len(self._order) // SAMPLE)
        return _reached(self._n(look, columns), self._r2(look, columns), look, count)

    def within(self, look: Look, t2: float, count: int) -> Array:
        """All rows whose cos is t > 0 or more and among the `count` best, in order, and a few more."""
        found = []
        for start in range(0, len(self._order), CHUNK):
            columns = slice(start, start + CHUNK)
            sides = self._n(look, columns)
            if look.equal:
                passed = np.flatnonzero(reduce(np.maximum, sides) >= max(t2 * EVEN[0] - look.slack, 0) ** 0.5)
            else:
                least = [t2 * r2 for r2 in (self._nu if look.nu else self._r2)(look, columns)]
                first = [n * np.abs(n) - low for n, low in zip(sides, least, strict=True)]
                passed = np.flatnonzero(reduce(np.maximum, first) >= -look.slack)
                sides, r2s = [n[passed] for n in sides], self._r2(look, start + passed)
                if len(passed) >= count:
                    t2 = max(t2, _reached(sides, r2s, look, count))
                second = [n * np.abs(n) - t2 * r2 for n, r2 in zip(sides, r2s, strict=True)]
                passed = passed[reduce(np.maximum, second) >= -look.slack]
            found.append(start + passed)
        return np.sort(self._order[np.concatenate(found)])

    # each for the figures and, where asked for, for the flipped ones

    def _n(self, look: Look, columns: slice) -> list[Array]:
        even, odd = look.even @ self._even[:, columns], look.odd @ self._odd[:, columns]
        return [side(even, odd) for side in look.sides]

    def _nu(self, look: Look, columns: slice) -> list[Array]:
        """sum_j nu_j |g_j|^2, at most r^2."""
        return [nu @ self._sizes[:, columns] for nu in look.nu]

    def _r2(self, look: Look, columns: Array | slice) -> list[Array]:
        if look.equal:
            return [np.full(1, EVEN[0], dtype=np.float32)] * len(look.sides)
        even, odd, size, both = self._even[:, columns], self._odd[:, columns], self._sizes[:, columns], len(SUMS)
        sums, differences = look.weights[:both], look.weights[both:]
        x, y, sizes = (
            (differences @ even[both:], sums @ odd[:both]),
            (sums @ even[:both], differences @ odd[both:]),
            (sums @ size[:both], differences @ size[both:]),
        )
        return [side(*sizes) - side(*x) ** 2 - side(*y) ** 2 for side in look.sides]


def _reached(sides: list[Array], r2s: list[Array], look: Look, count: int) -> float:
    """A t^2 that the cos^2 of `count` of these figures reaches at least."""
    least = [(n * np.abs(n) - look.slack) / (np.maximum(r2, 0) + look.slack) for n, r2 in zip(sides, r2s, strict=True)]
    return float(np.partition(reduce(np.maximum, least), -count)[-count])


def _basis(of_sums: Array, of_differences: Array) -> Array:
    """(11, ...) twice -> (11, ...) float32: middle joints and sums of pairs of the one, differences of pairs of the other."""
    return np.concatenate([SUMS @ of_sums, DIFFERENCES @ of_differences]).astype(np.float32)


def check_pose(pose: ArrayLike) -> Array:
    """The pose as float64 (11, 2), or DataError."""
    array = np.asarray(pose, dtype=np.float64)
    if array.shape != (11, 2):
        raise DataError(f"a pose of shape {array.shape} was found, expected (11, 2): x and y of {', '.join(JOINTS)}")
    if not np.isfinite(array).all():
        raise DataError("a pose with a joint that is not a finite number was found; give x and y of all 11 joints as plain numbers")
    return array


def check_confidence(confidence: ArrayLike | None) -> Array:
    """Weights (11,) whose sum is 1, or DataError; equal ones where nothing is said."""
    if confidence is None:
        return EVEN
    array = np.asarray(confidence, dtype=np.float64)
    if array.shape != (11,):
        raise DataError(f"confidences of shape {array.shape} were found, expected (11,): one for each of {', '.join(JOINTS)}")
    if not (np.isfinite(array) & (array >= 0)).all():
        raise DataError("a confidence that is negative or not a finite number was found; give each joint a number from 0 (left out) to 1 (sure)")
    if not array.any():
        raise DataError("a confidence of 0 for every joint was found, expected more than 0 for those that should be alike; raise some of them")
    shares = array / array.max()  # before the sum: numbers as small as numbers get stay exact
    return EVEN if (shares == 1).all() else shares / shares.sum()


def _read_poses(store: Store) -> Array:
    """(N, 11, 2) float64, without a Python object for each number."""
    vectors = store.manifest["pose"].combine_chunks().flatten().to_numpy()
    if len(vectors) != 22 * len(store):
        raise DataError(f"{store.dir} has {len(vectors)} numbers for {len(store)} poses, expected 22 for each; index the figures with `dvc repro`")
    return from_vector(vectors.reshape(len(store), 22))
