"""Does confidence mean what it says? Of answers that claim 0.8, four in five should be right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10

Array = NDArray[Any]
Flags = NDArray[np.bool_]


def reliability(confidence: Array, hit: Flags) -> list[tuple[float, float, int]]:
    """Per bin of confidence that holds any answer: its mean confidence, the share of its answers that are right, and how many they are."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [(float(confidence[chosen].mean()), float(hit[chosen].mean()), int(chosen.sum())) for chosen in (bins == each for each in np.unique(bins))]


def calibration_error(confidence: Array, hit: Flags) -> float:
    """ECE: how far confidence lies from the share that is right, averaged over answers (Guo et al. 2017, https://arxiv.org/abs/1706.04599, eq. 3)."""
    return sum(count * abs(sure - share) for sure, share, count in reliability(confidence, hit)) / confidence.size
