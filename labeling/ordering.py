"""Which pictures people should label first.

Tags: those of which the tagger knows least, and of these no two alike. Uncertainty is the entropy of each group and flag (Settles 2009, Active
learning literature survey, section 3.1), diversity the distance to what is in the queue already, in the tagger's features (k-center greedy, Sener
and Savarese 2018, https://arxiv.org/abs/1708.00489); the next picture is the one with the largest product of both.

Poses: those in which the pose network is least sure of its joints. A picture is as sure as the mean confidence of its three least sure joints. One
hidden wrist alone does not push a picture to the front, a lost arm does; the mean over all 11 would hide it behind the joints of the torso, which
are always sure. Of those, too, no two alike: a picture whose read pose is near that of one that is chosen is passed over. How near two poses are,
wherever and however large they stand, is genga.gallery's distance, all joints weighing the same.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genga.errors import DataError
from genga.gallery import EVEN, distance
from genga.skeleton import JOINTS
from genga.tags import column_slices, columns, groups

Floats = NDArray[np.float32]

POOL = 8  # times as many of the least certain as are asked for are looked at: an odd but certain picture teaches little
NEAR = 0.2  # of the usual distance between two pictures: nearer ones count as one
LEAST_SURE = 3
# in radii of the pose, 0.1 being 3.4% of its longer side: one pose read twice, each joint 2% of that side off, is 0.07 apart; of 1,500 figures
# drawn at random fewer than one in ten stands so near another
NEAR_POSE = 0.1


def tag_order(probabilities: Floats, features: Floats, ids: Sequence[str], count: int) -> NDArray[np.int64]:
    """Row numbers, the most helpful first; at most `count`, fewer where the rest are near duplicates of what is chosen.

    `probabilities` (N, C) in the order of genga.tags.columns(), `features` (N, F) of the tagger; `ids` of the pictures decide between equals.
    Pictures that people have tagged already are left out by the caller. DataError where the shapes do not fit or a number is none.
    """
    _check(probabilities, features, ids, count)
    if not len(ids):
        return np.empty(0, np.int64)
    unsure = uncertainty(probabilities)
    by_need = np.lexsort((np.asarray(ids), -unsure))  # ids: the same pictures come in the same order, whatever their rows
    pool = by_need[: max(POOL * count, 1000)]
    return np.asarray(pool[_spread(_standardised(features)[pool], unsure[pool], count)], np.int64)


def uncertainty(probabilities: Floats) -> NDArray[np.float64]:
    """(N,) in [0, 1]: the mean over groups and flags of the entropy, 1 where all values are equally likely."""
    each = []
    for name, part in column_slices().items():
        found = probabilities[:, part].astype(np.float64)
        shares = found if name in groups() else np.concatenate([found, 1 - found], axis=1)
        each.append(-(shares * np.log(shares.clip(1e-12))).sum(axis=1) / np.log(shares.shape[1]))
    return np.asarray(np.mean(each, axis=0).clip(0, 1))


def _standardised(features: Floats) -> Floats:
    """Every feature counts the same, and two pictures are 1 apart in the root mean square."""
    spread = features.std(axis=0)
    centred = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return np.asarray(centred / np.sqrt(2 * max(1, (spread > 0).sum())), np.float32)


def _spread(points: Floats, unsure: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Places in the pool. What is nearer than NEAR to one that is chosen is passed over."""
    chosen: list[int] = []
    lengths = (points**2).sum(axis=1)
    away = np.full(len(points), np.inf)
    while len(chosen) < min(count, len(points)):
        # the first is the least certain of all; `away` is then known for every other
        best = int(np.argmax(np.where(away < NEAR, -1, unsure * np.minimum(away, 1e6)))) if chosen else 0
        if away[best] < NEAR:
            break
        chosen.append(best)
        squared = lengths + lengths[best] - 2 * (points @ points[best])
        away = np.minimum(away, np.sqrt(squared.clip(0)))
        away[best] = 0
    return np.array(chosen, np.int64)


def _check(probabilities: Floats, features: Floats, ids: Sequence[str], count: int) -> None:
    if count < 1:
        raise DataError(f"a queue of {count} pictures was asked for, expected 1 or more")
    if probabilities.ndim != 2 or probabilities.shape[1] != len(columns()):
        raise DataError(f"probabilities of shape {probabilities.shape} were found, expected (N, {len(columns())}): one for each tag")
    if features.ndim != 2 or not len(probabilities) == len(features) == len(ids):
        raise DataError(
            f"{len(probabilities)} rows of probabilities, features of shape {features.shape} and {len(ids)} ids were found, expected as many of each"
        )
    if not (np.isfinite(features).all() and ((probabilities >= 0) & (probabilities <= 1)).all()):
        raise DataError("a feature that is no number, or a probability outside 0 to 1, was found; tag the pictures again with `dvc repro tag_faces`")


def sureness(confidences: ArrayLike) -> NDArray[np.float64]:
    """Confidences (N, 11) in [0, 1] -> (N,): the mean of each picture's three lowest."""
    array = np.asarray(confidences, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != len(JOINTS):
        raise DataError(f"confidences of shape {array.shape} were found, expected (N, 11): one for each of {', '.join(JOINTS)}")
    if not ((array >= 0) & (array <= 1)).all():  # not a number is neither
        raise DataError("a confidence outside 0 to 1 was found; give the network's calibrated confidence of each joint")
    mean: NDArray[np.float64] = np.sort(array, axis=1)[:, :LEAST_SURE].mean(axis=1)
    return mean


def pose_order(confidences: ArrayLike, poses: ArrayLike, count: int) -> NDArray[np.int64]:
    """Confidences (N, 11) and read poses (N, 11, 2) of unlabeled pictures -> at most `count` rows, the least sure first, fewer where the rest are
    near duplicates of what is chosen; as sure ones keep their order.

    Poses are in pixels, or of square pictures. One whose joints all lie in one place, as where nothing was read, is no duplicate.
    """
    found, chosen = np.asarray(poses, dtype=np.float64), list[int]()
    left = np.argsort(sureness(confidences), kind="stable")
    if found.shape != (len(left), len(JOINTS), 2) or not np.isfinite(found).all():
        raise DataError(f"poses of shape {found.shape} for {len(left)} confidences were found, expected finite ({len(left)}, 11, 2): one for each")
    while len(left) and len(chosen) < count:
        best, left = left[0], left[1:]
        chosen.append(best)
        left = left[distance(found[left], found[best], EVEN) > NEAR_POSE]
    return np.array(chosen, np.int64)
