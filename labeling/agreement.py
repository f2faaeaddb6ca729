"""What several people said about the same picture: how far they agree, what they differ on, and which value then counts.

The rule, in this order: a reviewer's word (Label Studio's star, "ground truth") counts over all others, also over newer ones of
that person. Of one person the newest answer counts. Of several people the majority does; for joints the median, where more than half placed the
joint within the tolerance of it. Where they tie, `labels.ties` of params.yaml says: the newest answer, or none.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from genga.params import LabelFaces
from genga.skeleton import JOINTS
from labeling.exports import Annotation
from labeling.keypoints import BAD, Pose, distances, hidden_by_most, settle_pose

Ties = Literal["newest", "leave_out"]
POSE, HIDDEN = "pose", "hidden"
NEWEST, LEFT_OUT = TIES = ("the newest answer counts", "left out")
# Spread of people's answers for each joint, in the order of JOINTS: COCO's (https://cocodataset.org/#keypoints-eval), head = nose, neck = shoulder
SIGMAS = np.array([0.026, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.087, 0.087, 0.089, 0.089])


class Key(NamedTuple):
    """Which question about which picture; the name of a tag, "pose" or "hidden"."""

    picture_id: str
    name: str


class Answer(NamedTuple):
    """One person's that counts. `value`: a word, yes or no, a pose (11, 2), or the set of hidden joints."""

    annotator: str
    at: str
    value: Any
    decides: bool
    task: str
    size: tuple[int, int]


class Settled(NamedTuple):
    """`value`: None where nothing counts. `dispute`: what people differ on, "" where they do not; `rule`: why this value counts."""

    value: Any
    dispute: str
    rule: str


def answers_of(annotations: Iterable[Annotation]) -> dict[Key, list[Answer]]:
    """Question -> of each person the answer that counts, the newest last; those with a star after all others."""
    return _newest(annotations, _given)


def _given(said: Annotation) -> dict[str, Any]:
    if said.pose is None:
        return dict(said.labels)
    return {**said.labels, POSE: said.pose, **({} if said.hidden is None else {HIDDEN: said.hidden})}


def _newest(annotations: Iterable[Annotation], given: Callable[[Annotation], Mapping[str, Any]]) -> dict[Key, list[Answer]]:
    by_person: dict[Key, dict[str, Answer]] = defaultdict(dict)
    for said in sorted(annotations, key=lambda said: (said.decides, said.at)):
        for name, value in given(said).items():
            of_key = by_person[Key(said.picture_id, name)]
            of_key.pop(said.annotator, None)
            of_key[said.annotator] = Answer(said.annotator, said.at, value, said.decides, said.task, said.size)
    return {key: list(answers.values()) for key, answers in by_person.items()}


def settle(name: str, answers: Sequence[Answer], tolerance: float, ties: Ties) -> Settled:
    values = [answer.value for answer in answers]
    size = answers[-1].size
    dispute, majority = _compare(name, values, size, tolerance)
    if decided := [answer.value for answer in answers if answer.decides]:
        return Settled(decided[-1], dispute, "a reviewer decided")
    if majority is not None:
        return Settled(majority, dispute, "the majority" if len(answers) > 1 else "one answer")
    if ties == "leave_out":
        return Settled(hidden_by_most(values, frozenset()) if name == HIDDEN else None, dispute, LEFT_OUT)  # the other joints are not in dispute
    if name == POSE:
        return Settled(_newest_where_apart(values, size, tolerance), dispute, NEWEST)
    return Settled(hidden_by_most(values, values[-1]) if name == HIDDEN else values[-1], dispute, NEWEST)


def bad_pictures(annotations: Iterable[Annotation], params: LabelFaces) -> list[str]:
    """The pictures that people call bad, by the same rule as any other question; of each person the newest answer counts."""
    answers = _newest(annotations, lambda said: {BAD: said.bad})
    return sorted(key.picture_id for key, given in answers.items() if settle(BAD, given, params.pose_tolerance, params.ties).value)


def _compare(name: str, values: Sequence[Any], size: tuple[int, int], tolerance: float) -> tuple[str, Any]:
    """What they differ on in words, and what most of them say; None where there is no such thing."""
    if name == POSE:
        middle, fault = settle_pose(values, size, tolerance)
        return fault, middle
    if name == HIDDEN:
        numbers = {joint: sum(joint in value for value in values) for joint in JOINTS}
        dispute = ", ".join(f"{number} of {len(values)} say {joint}" for joint, number in numbers.items() if 0 < number < len(values))
        tied = any(2 * number == len(values) for number in numbers.values())
        return dispute, None if tied else hidden_by_most(values, frozenset())
    (value, count), *others = Counter(values).most_common()
    if not others:
        return "", value
    dispute = " and ".join(sorted(f"{number} say {word(said)}" for said, number in Counter(values).items()))
    return (f"a tie, {dispute}", None) if others[0][1] == count else (dispute, value)


def _newest_where_apart(poses: Sequence[Pose], size: tuple[int, int], tolerance: float) -> Pose:
    """The median where most agree; the newest answer's place for the other joints."""
    stack = np.stack(poses)
    middle: Pose = np.median(stack, axis=0)
    agreed = (distances(stack, middle, size) <= tolerance).mean(axis=0) > 0.5
    return np.where(agreed[:, None], middle, stack[-1])


def word(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value


# --- how far people agree


def oks(pose: Pose, other: Pose, size: tuple[int, int]) -> float:
    """Object keypoint similarity of two poses in one picture of this width and height: 1 = the same, over all joints; the area is that of
    both poses' box."""
    both = np.stack([pose, other]) * size
    width, height = np.ptp(both.reshape(-1, 2), axis=0)
    squared = ((both[0] - both[1]) ** 2).sum(axis=-1)
    return float(np.exp(-squared / (2 * max(width * height, 1.0) * (2 * SIGMAS) ** 2)).mean())


def kappa(pairs: Sequence[tuple[Any, Any]]) -> float:
    """Cohen's kappa of two people: 1 = always the same, 0 = as often as by chance. 1 where both always said one and the same word."""
    from sklearn.metrics import cohen_kappa_score

    one, other = ([str(value) for value in values] for values in zip(*pairs, strict=True))
    return 1.0 if len({*one, *other}) == 1 else float(cohen_kappa_score(one, other))


def scores(answers: Mapping[Key, Sequence[Answer]], tolerance: float) -> dict[str, dict[str, float]]:
    """Per question that two people answered: `pairs`, and for tags `equal` (share) and `kappa`, the mean over pairs of people, each weighing as
    much as they have in common; for poses `oks`, `pck` (share of joints within the tolerance) and `mean_distance`; for hidden joints `kappa`."""
    found: dict[str, dict[tuple[str, str], list[tuple[Answer, Answer]]]] = defaultdict(lambda: defaultdict(list))
    for key, given in answers.items():
        for one, other in combinations(sorted(given, key=lambda answer: answer.annotator), 2):
            found[key.name][one.annotator, other.annotator].append((one, other))
    return {name: _score(name, by_people, tolerance) for name, by_people in sorted(found.items())}


def _score(name: str, by_people: Mapping[tuple[str, str], Sequence[tuple[Answer, Answer]]], tolerance: float) -> dict[str, float]:
    pairs = [pair for several in by_people.values() for pair in several]
    if name == POSE:
        apart = np.stack([distances(one.value, other.value, one.size) for one, other in pairs])
        similar = [oks(one.value, other.value, one.size) for one, other in pairs]
        within = float((apart <= tolerance).mean())
        return {"pairs": len(pairs), "oks": float(np.mean(similar)), "pck": within, "mean_distance": float(apart.mean())}
    told = {people: _words(name, several) for people, several in by_people.items()}
    equal = [one == other for several in told.values() for one, other in several]
    agreed = sum(kappa(several) * len(several) for several in told.values()) / len(equal)
    return {"pairs": len(pairs), "equal": sum(equal) / len(equal), "kappa": agreed}


def _words(name: str, pairs: Sequence[tuple[Answer, Answer]]) -> list[tuple[Any, Any]]:
    """For hidden joints each joint is a question of its own."""
    if name == HIDDEN:
        return [(joint in one.value, joint in other.value) for one, other in pairs for joint in JOINTS]
    return [(one.value, other.value) for one, other in pairs]


class Disagreement(NamedTuple):
    task: str
    picture_id: str
    name: str
    dispute: str
    counts: str
    rule: str


@dataclass(frozen=True)
class Agreement:
    people: int
    pictures: int
    scores: dict[str, dict[str, float]]
    disagreements: list[Disagreement]

    def lines(self) -> list[str]:
        """For people to read."""
        if not self.people:
            return ["nobody has labeled anything yet, as far as annotations/ knows; pull or import some answers first"]
        if not self.scores:
            return [f"{self.people} people labeled {self.pictures} pictures, none of them two people: raise label_studio.annotators_per_task"]
        rows = [
            f"{name:14} {int(row['pairs']):5} pairs  " + "  ".join(f"{key} {value:.3f}" for key, value in row.items() if key != "pairs")
            for name, row in self.scores.items()
        ]
        listed = [f"{row.task}  {row.name}: {row.dispute} -> {row.counts} ({row.rule})" for row in self.disagreements]
        return [f"{self.people} people, {self.pictures} pictures", *rows, f"{len(listed)} disagreements", *listed]


def compare(annotations: Sequence[Annotation], params: LabelFaces) -> Agreement:
    answers = answers_of(annotations)
    disagreements = []
    for key, given in sorted(answers.items(), key=lambda item: item[0]):
        settled = settle(key.name, given, params.pose_tolerance, params.ties)
        if settled.dispute:
            disagreements.append(
                Disagreement(given[-1].task, key.picture_id, key.name, settled.dispute, _shown(key.name, settled.value), settled.rule)
            )
    people = {said.annotator for said in annotations}
    pictures = {said.picture_id for said in annotations}
    return Agreement(len(people), len(pictures), scores(answers, params.pose_tolerance), disagreements)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "nothing"
    if name == HIDDEN:
        return ", ".join(joint for joint in JOINTS if joint in value) or "no joint"
    return "a pose" if name == POSE else word(value)


def write_disagreements(path: Path, disagreements: Sequence[Disagreement]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([Disagreement._fields, *disagreements])
