"""How far a set of made pictures stands from a set of real ones, by the features of a network: N real, M made, F features.

Features are standardised by the real ones first, so that the numbers do not depend on how large an extractor's outputs happen to be.
Pairs are looked at in blocks: all those of 50,000 pictures at once would take 20 GB.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]

NEIGHBOURS = 3  # Kynkaanniemi et al. 2019, section 3
DENSITY_NEIGHBOURS = 5  # Naeem et al. 2020, section 4.1
BLOCK = 1000  # pictures that are held against all others at a time


@dataclass(frozen=True)
class Reference:
    """The real pictures' features, standardised, and how they were: what was taken off them and what they were divided by."""

    features: Features
    mean: Features
    scale: Features

    @classmethod
    def of(cls, real: NDArray[np.floating]) -> "Reference":
        features = real.astype(np.float64)
        mean, scale = features.mean(axis=0), features.std(axis=0)
        # a feature that never moves says nothing; dividing by its zero would say everything
        scale = np.where(scale > 1e-6 * max(float(scale.max()), 1e-12), scale, np.inf)
        return cls((features - mean) / scale, mean, scale)

    @classmethod
    def as_it_is(cls, real: NDArray[np.floating]) -> "Reference":
        """Not standardised: where numbers are to be those that others publish."""
        features = real.astype(np.float64)
        return cls(features, np.zeros(features.shape[1]), np.ones(features.shape[1]))

    def standardised(self, made: NDArray[np.floating]) -> Features:
        return (made.astype(np.float64) - self.mean) / self.scale


def kid(real: Features, made: Features) -> float:
    """Kernel distance, lower is better: the unbiased estimate of the squared MMD with a cubic kernel over all pairs; may be below 0.

    Binkowski et al. 2018 (https://arxiv.org/abs/1801.01401), section 4 and eq. 4.
    """
    n, m = len(real), len(made)
    within_real = (_kernel_sum(real, real) - _kernel(_squares(real), real.shape[1]).sum()) / (n * (n - 1))
    within_made = (_kernel_sum(made, made) - _kernel(_squares(made), made.shape[1]).sum()) / (m * (m - 1))
    return float(within_real + within_made - 2 * _kernel_sum(real, made) / (n * m))


def _kernel_sum(a: Features, b: Features) -> float:
    """Over all pairs."""
    return float(sum(_kernel(a[block] @ b.T, a.shape[1]).sum() for block in _blocks(a)))


def _kernel(products: Features, num_features: int) -> Features:
    return (products / num_features + 1) ** 3


def _squares(features: Features) -> Features:
    """(N,): the squared length of each."""
    return np.asarray(np.einsum("nf,nf->n", features, features))


def _blocks(features: Features) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, len(features), BLOCK))


def frechet(real: Features, made: Features) -> float:
    """Frechet distance of two Gaussians, lower is better (Heusel et al. 2017, https://arxiv.org/abs/1706.08500, eq. 6)."""
    # a covariance is R'R, so the trace of the root of both covariances' product is the sum of the singular values of R R'
    real_root, made_root = _covariance_root(real), _covariance_root(made)
    shared = np.linalg.svd(real_root @ made_root.T, compute_uv=False).sum()
    apart = ((real.mean(axis=0) - made.mean(axis=0)) ** 2).sum()
    return float(max(0.0, apart + (real_root**2).sum() + (made_root**2).sum() - 2 * shared))


def _covariance_root(features: Features) -> Features:
    """(F or fewer, F): R of R'R, by QR."""
    return np.asarray(np.linalg.qr((features - features.mean(axis=0)) / np.sqrt(len(features) - 1), mode="r"))


def distances(a: Features, b: Features) -> Features:
    """(len(a), len(b)), Euclidean."""
    squares: Features = _squares(a)[:, None] + _squares(b)[None]
    squares -= 2 * a @ b.T
    roots: Features = np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
    return roots


def precision_recall(real: Features, made: Features) -> tuple[float, float]:
    """Share of made pictures that lie among the real ones, and of real ones that lie among the made: low recall is a generator that
    makes few kinds of pictures (Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991, eq. 2).
    """
    real_radii, made_radii = _radii(real, NEIGHBOURS), _radii(made, NEIGHBOURS)
    among_real, among_made = np.zeros(len(made), bool), np.zeros(len(real), bool)
    for block in _blocks(real):
        across = distances(real[block], made)
        among_real |= (across <= real_radii[block, None]).any(axis=0)
        among_made[block] = (across <= made_radii).any(axis=1)
    return float(among_real.mean()), float(among_made.mean())


def density_coverage(real: Features, made: Features) -> tuple[float, float]:
    """In how many real pictures' neighbourhoods a made one lies, of those expected, about 1 and above where they crowd; and the share of real
    pictures in whose neighbourhood a made one lies. Unlike precision and recall, one outlier moves neither (Naeem et al. 2020,
    https://arxiv.org/abs/2002.09797, eq. 3 and 4).
    """
    radii = _radii(real, DENSITY_NEIGHBOURS)
    held = np.concatenate([(distances(real[block], made) <= radii[block, None]).sum(axis=1) for block in _blocks(real)])
    return float(held.sum() / len(made) / min(DENSITY_NEIGHBOURS, len(real) - 1)), float((held > 0).mean())


def _radii(points: Features, neighbours: int) -> Features:
    """How far each point's k-th neighbour is."""
    k = min(neighbours, len(points) - 1)  # the nearest is the point itself
    return np.concatenate([np.partition(distances(points[block], points), k, axis=1)[:, k].copy() for block in _blocks(points)])


def near_identical(real: Features, made: Features) -> float:
    """Share of made pictures that lie closer to another made one than 99 of 100 real ones to another real one.

    About 0.01 in a set as varied as the real one; near 1 where a generator has collapsed. Real pictures that are there twice count once: they do
    not say how alike two can be. 0 where there is only one.
    """
    _, first = np.unique(real.round(3), axis=0, return_index=True)
    if len(first) < 2:
        return 0.0
    closest_real, closest_made = (_closest(features) for features in (real[first], made))
    return float((closest_made < np.quantile(closest_real, 0.01)).mean())


def _closest(features: Features) -> Features:
    closest = np.empty(len(features))
    for block in _blocks(features):
        own = distances(features[block], features)
        np.fill_diagonal(own[:, block], np.inf)
        closest[block] = own.min(axis=1)
    return closest


def compare(real: Reference, made: NDArray[np.floating]) -> dict[str, float]:
    """All of the above by name."""
    features = real.standardised(made)
    count = min(len(real.features), len(features))  # shares of neighbours mean the same only in sets of one size
    precision, recall = precision_recall(real.features[:count], features[:count])
    density, coverage = density_coverage(real.features[:count], features[:count])
    return {
        "kid": kid(real.features, features),
        "fd": frechet(real.features, features),
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "near_identical": near_identical(real.features[:count], features[:count]),
    }
