"""Which pictures people should label first, and for which of their tags.

Tags: those that teach most, of pictures no two of which are alike. How much a tag of a picture teaches is the variance p (1 - p) of each of its
values, its Fisher information (Settles 2009, Active learning literature survey, section 3.5), divided by how many labels that value has, since
macro-F1 counts a rare value as much as a common one; the mean over the tag's values. A picture is asked for its few most telling tags alone: what
the tagger knows of it, or knows from hundreds of others, takes no answer. Diversity is the distance to what people have labelled and to what is in
the queue already, in the tagger's features (k-center greedy, Sener and Savarese 2018, https://arxiv.org/abs/1708.00489); the next picture is the one
with the largest product of both.

Poses: those in which the pose network is least sure of its joints. A picture is as sure as the mean confidence of its three least sure joints. One
hidden wrist alone does not push a picture to the front, a lost arm does; the mean over all 11 would hide it behind the joints of the torso, which
are always sure. Of those, too, no two alike: a picture whose read pose is near that of one that is chosen, or near one that people have placed, is
passed over. How near two poses are, wherever and however large they stand, is genga.gallery's distance, all joints weighing the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genga.errors import DataError
from genga.gallery import EVEN, distance, fit
from genga.skeleton import JOINTS
from genga.tags import column_slices, columns, groups

Floats = NDArray[np.float32]

POOL = 8  # times as many of the most telling as are asked for are looked at, and no fewer than LOOKED_AT: an odd but certain picture teaches little
LOOKED_AT = 10_000
NEAR = 0.2  # of the usual distance between two pictures: nearer ones count as one
APART = 0.5  # of it: pictures so far apart are as different as need be
BLOCK = 1024  # labelled pictures compared at once
LEAST_SURE = 3
# in radii of the pose, 0.1 being 3.4% of its longer side: one pose read twice, each joint 2% of that side off, is 0.07 apart; of 1,500 figures
# drawn at random fewer than one in ten stands so near another
NEAR_POSE = 0.1


@dataclass(frozen=True)
class Wanted:
    """A picture by its row, and the tags that it should be asked for, the most telling first."""

    row: int
    tags: tuple[str, ...]


def tag_order(
    probabilities: Floats,
    features: Floats,
    ids: Sequence[str],
    count: int,
    known: Mapping[str, NDArray[np.int64]],
    open_tags: NDArray[np.bool_] | None = None,
    tags_each: int | None = None,
    labelled: Mapping[str, Floats] = MappingProxyType({}),
) -> list[Wanted]:
    """The most helpful first; at most `count`, fewer where the rest are near duplicates of what is chosen or labelled.

    `probabilities` (N, C) in the order of genga.tags.columns(), `features` (N, F) of the tagger; `ids` of the pictures decide between equals.
    `known`: group or flag -> how many labels each of its values has (a flag's: no, yes). `open_tags` (N, tags) in the order of column_slices():
    which tags of a picture may be asked for, None: all; `tags_each`: how many at most, None: all. Pictures with nothing open are left out by the
    caller. `labelled`: id -> features (F,) of each picture of which people have said something; one that is asked for more is no duplicate of itself.
    DataError where the shapes do not fit or a number is none.
    """
    may = np.ones((len(ids), len(column_slices())), bool) if open_tags is None else open_tags
    _check(probabilities, features, ids, count, known, may)
    if not len(ids):
        return []
    by_id = np.argsort(np.asarray(ids))  # the same pictures come in the same order, whatever their rows
    telling = _Telling(probabilities[by_id], known, may[by_id], tags_each).pictures()
    pool = by_id[np.argsort(-telling, kind="stable")[: max(POOL * count, LOOKED_AT)]]
    points = _standardised(np.concatenate([features, *(vector[None] for vector in labelled.values())]))
    away = _away(points[pool], [ids[row] for row in pool], points[len(ids) :], list(labelled))
    chosen = _spread(points[pool], away, _Telling(probabilities[pool], known, may[pool], tags_each), count)
    return [Wanted(int(pool[place]), tags) for place, tags in chosen]


class _Telling:
    """How much each tag of each picture teaches, while pictures are being chosen: what is asked for counts as known."""

    def __init__(self, probabilities: Floats, known: Mapping[str, NDArray[np.int64]], may: NDArray[np.bool_], tags_each: int | None) -> None:
        self._names = list(column_slices())
        self._tags_each = min(tags_each or len(self._names), len(self._names))
        self._may = may
        self._shares = [_shares(probabilities[:, part], name) for name, part in column_slices().items()]
        self._labels = [known[name].astype(np.float64) + 1 for name in self._names]
        self._each = np.stack([self._one(at) for at in range(len(self._names))], axis=1)

    def pictures(self) -> NDArray[np.float64]:
        """(N,): what the tags that it would be asked for teach together."""
        return np.asarray(-np.partition(-self._each, self._tags_each - 1, axis=1)[:, : self._tags_each].sum(axis=1))

    def ask(self, row: int) -> tuple[str, ...]:
        telling = np.where(self._may[row], self._each[row], -1)
        asked = [at for at in np.argsort(-telling, kind="stable")[: self._tags_each] if self._may[row, at]]
        for at in asked:
            self._labels[at] = self._labels[at] + self._shares[at][row]  # one label more, of the value that it probably has
            self._each[:, at] = self._one(at)
        return tuple(self._names[at] for at in asked)

    def _one(self, at: int) -> NDArray[np.float64]:
        shares = self._shares[at]
        return np.asarray((shares * (1 - shares) / self._labels[at]).mean(axis=1) * self._may[:, at])


def _shares(found: Floats, name: str) -> NDArray[np.float64]:
    """(N, values)"""
    shares = found.astype(np.float64)
    return shares if name in groups() else np.concatenate([1 - shares, shares], axis=1)


def _standardised(features: Floats) -> Floats:
    """Every feature counts the same, and two pictures are 1 apart in the root mean square."""
    spread = features.std(axis=0)
    centred = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return np.asarray(centred / np.sqrt(2 * max(1, (spread > 0).sum())), np.float32)


def _away(points: Floats, ids: Sequence[str], labelled: Floats, labelled_ids: Sequence[str]) -> Floats:
    """(N,): how far each is from the nearest labelled picture other than itself; infinite where there is none."""
    place = {id_: at for at, id_ in enumerate(labelled_ids)}
    own = np.array([place.get(id_, -1) for id_ in ids])
    lengths, squared = (points**2).sum(axis=1), np.full(len(points), np.inf, np.float32)
    for start in range(0, len(labelled), BLOCK):
        block = labelled[start : start + BLOCK]
        apart = lengths[:, None] + (block**2).sum(axis=1) - 2 * (points @ block.T)
        itself = np.flatnonzero((own >= start) & (own < start + len(block)))
        apart[itself, own[itself] - start] = np.inf
        squared = np.minimum(squared, apart.min(axis=1))
    return np.asarray(np.sqrt(squared.clip(0)))


def _spread(points: Floats, away: Floats, telling: _Telling, count: int) -> list[tuple[int, tuple[str, ...]]]:
    """Places in the pool, with what to ask. `away`: how far each is from what is labelled; what is nearer than NEAR to that, or to one that is
    chosen, is passed over."""
    chosen: list[tuple[int, tuple[str, ...]]] = []
    lengths = (points**2).sum(axis=1)
    while len(chosen) < min(count, len(points)):
        best = int(np.argmax(np.where(away < NEAR, -1, telling.pictures() * np.minimum(away, APART))))
        if away[best] < NEAR:
            break
        chosen.append((best, telling.ask(best)))
        squared = lengths + lengths[best] - 2 * (points @ points[best])
        away = np.minimum(away, np.sqrt(squared.clip(0)))
        away[best] = 0
    return chosen


def _check(
    probabilities: Floats, features: Floats, ids: Sequence[str], count: int, known: Mapping[str, NDArray[np.int64]], may: NDArray[np.bool_]
) -> None:
    if count < 1:
        raise DataError(f"a queue of {count} pictures was asked for, expected 1 or more")
    if missing := column_slices().keys() - known.keys():
        raise DataError(f"no number of labels was found for {', '.join(sorted(missing))}, expected that of each value, 0 where there are none")
    if may.shape != (len(ids), len(column_slices())):
        raise DataError(f"open tags of shape {may.shape} for {len(ids)} pictures were found, expected one for each picture and tag")
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


def pose_order(confidences: ArrayLike, poses: ArrayLike, count: int, labelled: ArrayLike = ()) -> NDArray[np.int64]:
    """Confidences (N, 11) and read poses (N, 11, 2) of unlabeled pictures -> at most `count` rows, the least sure first, fewer where the rest are
    near duplicates of what is chosen or of the poses that people have placed, `labelled` (M, 11, 2); as sure ones keep their order.

    Poses are in pixels, or of square pictures. One whose joints all lie in one place, as where nothing was read, is no duplicate.
    """
    found, chosen = np.asarray(poses, dtype=np.float64), list[int]()
    left = np.argsort(sureness(confidences), kind="stable")
    if found.shape != (len(left), len(JOINTS), 2) or not np.isfinite(found).all():
        raise DataError(f"poses of shape {found.shape} for {len(left)} confidences were found, expected finite ({len(left)}, 11, 2): one for each")
    left = left[~_near_any(found[left], np.asarray(labelled, dtype=np.float64).reshape(-1, len(JOINTS), 2))]
    while len(left) and len(chosen) < count:
        best, left = left[0], left[1:]
        chosen.append(best)
        left = left[distance(found[left], found[best], EVEN) > NEAR_POSE]
    return np.array(chosen, np.int64)


def _near_any(poses: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N, 11, 2), (M, 11, 2) -> (N,): whether one of the others is at most NEAR_POSE apart; genga.gallery's distance^2 is 2 - 2 cos."""
    mine, theirs = ((fit(each, EVEN) * np.sqrt(EVEN[:, None])).reshape(-1, 2 * len(JOINTS)) for each in (poses, others))
    cosines = [(mine @ theirs[start : start + BLOCK].T).max(axis=1) for start in range(0, len(theirs), BLOCK)]
    return np.asarray(np.max([np.zeros(len(poses)), *cosines], axis=0) >= 1 - NEAR_POSE**2 / 2)
