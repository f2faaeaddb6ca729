"""How far a set of made pictures stands from a set of real ones, by the features of a network: N real, M made, F features.

Features are standardised by the real ones first, so that the numbers do not depend on how large an extractor's outputs happen to be.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]

NEIGHBOURS = 3  # Kynkaanniemi et al. 2019, section 3


@dataclass(frozen=True)
class Reference:
    """The real pictures' features, standardised, and how they were."""

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

    def standardised(self, made: NDArray[np.floating]) -> Features:
        return (made.astype(np.float64) - self.mean) / self.scale


def kid(real: Features, made: Features) -> float:
    """Kernel distance, lower is better: the unbiased estimate of the squared MMD with a cubic kernel over all pairs; may be below 0.

    Binkowski et al. 2018 (https://arxiv.org/abs/1801.01401), section 4 and eq. 4.
    """
    n, m, num_features = len(real), len(made), real.shape[1]

    def kernel(a: Features, b: Features) -> Features:
        return (a @ b.T / num_features + 1) ** 3

    real_real, made_made = kernel(real, real), kernel(made, made)
    within_real = (real_real.sum() - np.trace(real_real)) / (n * (n - 1))
    within_made = (made_made.sum() - np.trace(made_made)) / (m * (m - 1))
    return float(within_real + within_made - 2 * kernel(real, made).mean())


def frechet(real: Features, made: Features) -> float:
    """Frechet distance of two Gaussians, lower is better (Heusel et al. 2017, https://arxiv.org/abs/1706.08500, eq. 6)."""
    real_covariance, made_covariance = np.cov(real, rowvar=False), np.cov(made, rowvar=False)
    # the trace of a product's root is the sum of the roots of its eigenvalues
    roots = np.sqrt(np.linalg.eigvals(real_covariance @ made_covariance).astype(np.complex128)).real.sum()
    apart = ((real.mean(axis=0) - made.mean(axis=0)) ** 2).sum()
    return float(max(0.0, apart + np.trace(real_covariance) + np.trace(made_covariance) - 2 * roots))


def distances(a: Features, b: Features) -> Features:
    """(len(a), len(b)), Euclidean."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * (a @ b.T)
    roots: Features = np.sqrt(np.maximum(squares, 0))
    return roots


def precision_recall(real: Features, made: Features) -> tuple[float, float]:
    """Share of made pictures that lie among the real ones, and of real ones that lie among the made: low recall is a generator that
    makes few kinds of pictures (Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991, eq. 2).
    """
    real_real, made_made, across = distances(real, real), distances(made, made), distances(real, made)
    # column 0 of the sorted row is the point itself
    real_radius, made_radius = (np.sort(own, axis=1)[:, min(NEIGHBOURS, len(own) - 1)] for own in (real_real, made_made))
    precision = (across <= real_radius[:, None]).any(axis=0).mean()
    recall = (across <= made_radius[None]).any(axis=1).mean()
    return float(precision), float(recall)


def near_identical(real: Features, made: Features) -> float:
    """Share of made pictures that lie closer to another made one than 99 of 100 real ones to another real one.

    About 0.01 in a set as varied as the real one; near 1 where a generator has collapsed.
    """
    closest_real, closest_made = (_closest(features) for features in (real, made))
    return float((closest_made < np.quantile(closest_real, 0.01)).mean())


def _closest(features: Features) -> Features:
    own = distances(features, features)
    np.fill_diagonal(own, np.inf)
    closest: Features = own.min(axis=1)
    return closest


def compare(real: Reference, made: NDArray[np.floating]) -> dict[str, float]:
    """All of the above by name."""
    features = real.standardised(made)
    count = min(len(real.features), len(features))  # shares of neighbours mean the same only in sets of one size
    precision, recall = precision_recall(real.features[:count], features[:count])
    return {
        "kid": kid(real.features, features),
        "fd": frechet(real.features, features),
        "precision": precision,
        "recall": recall,
        "near_identical": near_identical(real.features[:count], features[:count]),
    }
