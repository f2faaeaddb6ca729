"""In which order people should label poses: the pictures in which the pose network is least sure of its joints come first.

The rule: a picture is as sure as the mean confidence of its three least sure joints. One hidden wrist alone does not push a picture
to the front, a lost arm does; the mean over all 11 would hide it behind the joints of the torso, which are always sure.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genga.errors import DataError
from genga.skeleton import JOINTS

LEAST_SURE = 3


def sureness(confidences: ArrayLike) -> NDArray[np.float64]:
    """Confidences (N, 11) in [0, 1] -> (N,): the mean of each picture's three lowest."""
    array = np.asarray(confidences, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != len(JOINTS):
        raise DataError(f"confidences of shape {array.shape} were found, expected (N, 11): one for each of {', '.join(JOINTS)}")
    if not ((array >= 0) & (array <= 1)).all():  # not a number is neither
        raise DataError("a confidence outside 0 to 1 was found; give the network's calibrated confidence of each joint")
    mean: NDArray[np.float64] = np.sort(array, axis=1)[:, :LEAST_SURE].mean(axis=1)
    return mean


def pose_order(confidences: ArrayLike, count: int) -> NDArray[np.int64]:
    """Confidences (N, 11) of unlabeled pictures -> at most `count` rows, the least sure first; as sure ones keep their order."""
    order: NDArray[np.int64] = np.argsort(sureness(confidences), kind="stable")[:count]
    return order
