"""What goes into Label Studio: a picture as a task, and the models' guess as its prediction, with a score for every region.

A task's data: `image` (where Label Studio finds it), `id` (sha256 of the decoded picture), `queue` (its place; see labeling/push.py), `guess` (false
where the models are to say nothing), and of tags `asks` (those that it is asked for: of these a box left empty is a no, and only these carry a guess,
so that nobody agrees unasked; a tag added later stays unknown) and `question` (the same in words, at the top of the screen). In a task without
`question`, of an older push, `asks` names the yes/no tags alone; it asks for all groups too.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genga import tags
from genga.skeleton import JOINTS, STICKS
from genga.tags import Labels
from labeling.keypoints import SIGHT, VERDICT, JsonObject

FLAGS = "flags"  # the question that holds every yes/no tag
EVERYTHING = "Asked: everything"
NOTHING = "Asked: nothing any more, the tags are gone; skip this"
KEYPOINT_WIDTH = 0.8  # percent of the picture's width


@dataclass(frozen=True)
class PoseGuess:
    """`pose` (11, 2) in [0, 1], `confidence` (11,)."""

    pose: NDArray[np.float64]
    confidence: NDArray[np.float64]


@dataclass(frozen=True)
class TagGuess:
    """`probabilities`: by column of genga.tags; `values`: what is ticked, a group's value or a flag's yes or no."""

    probabilities: Mapping[str, float]
    values: Labels


Guess = PoseGuess | TagGuess


def asking(names: Sequence[str] = ()) -> JsonObject:
    """What a task of tags says of itself; without `names` it asks for all."""
    every = [*tags.groups(), *tags.flags()]
    asks = [name for name in every if name in names] or every
    return {"asks": asks, "question": f"Asked: {', '.join(name.replace('_', ' ') for name in asks)}" if asks != every else EVERYTHING}


def is_ours(data: Mapping[str, Any]) -> bool:
    """As a push writes it; anybody may add another one in Label Studio."""
    asks, place = data.get("asks", []), re.fullmatch(r"(\d{5,}-.+)?", str(data.get("queue") or ""))
    return isinstance(data.get("id"), str) and place is not None and isinstance(asks, list) and all(isinstance(name, str) for name in asks)


def asked(data: Mapping[str, Any]) -> list[str]:
    """The tags of today that a task asks for; of one of poses all, which are said with them."""
    every: list[str] = asking()["asks"]
    if "asks" not in data:
        return every
    names = {*data["asks"], *(() if "question" in data else tags.groups())}
    return [name for name in every if name in names]


def may_guess(data: Mapping[str, Any]) -> bool:
    return data.get("guess") is not False


def about(guess: Guess, names: Sequence[str]) -> Guess:
    """Of a guess of tags what is asked for."""
    if isinstance(guess, PoseGuess):
        return guess
    return TagGuess(guess.probabilities, {name: value for name, value in guess.values.items() if name in names})


def prediction(guess: Guess, width: int, height: int, model_version: str) -> JsonObject:
    """`score` is that of the least sure region. A joint outside the picture comes to its edge, since it could not be dragged back."""
    if isinstance(guess, PoseGuess):
        pose = np.clip(guess.pose, 0, 1)
        regions, sticks = pose_regions(pose, width, height, guess.confidence), [stick_region(pose, width, height)]
    else:
        regions, sticks = tag_regions(guess), []
    scores = [region["score"] for region in regions if "score" in region]
    return {"model_version": model_version, "score": min(scores, default=0.0), "result": [*regions, *sticks]}


def no_guess(model_version: str) -> JsonObject:
    """The prediction of models that see nothing, or are to say nothing."""
    return {"model_version": model_version, "score": 0.0, "result": []}


def pose_regions(pose: NDArray[np.float64], width: int, height: int, scores: NDArray[np.float64] | None = None) -> list[JsonObject]:
    """One keypoint for each joint."""
    percent = (pose * 100).tolist()
    regions = [
        _on_picture(joint, "joints", "keypointlabels", {"x": x, "y": y, "width": KEYPOINT_WIDTH, "keypointlabels": [joint]}, width, height)
        for joint, (x, y) in zip(JOINTS, percent, strict=True)
    ]
    if scores is None:
        return regions
    return [region | {"score": float(score)} for region, score in zip(regions, scores, strict=True)]


def sight_regions(hidden: frozenset[str], regions: list[JsonObject]) -> list[JsonObject]:
    """For each hidden joint the choice that belongs to its keypoint: Label Studio joins the two by their id."""
    by_joint = {region["value"]["keypointlabels"][0]: region for region in regions}
    return [
        {**by_joint[joint], "from_name": SIGHT, "type": "choices", "value": {**_place(by_joint[joint]), "choices": ["hidden"]}}
        for joint in JOINTS
        if joint in hidden
    ]


def _place(region: JsonObject) -> JsonObject:
    return {name: region["value"][name] for name in ("x", "y", "width")}


def stick_region(pose: NDArray[np.float64], width: int, height: int) -> JsonObject:
    """The guess's sticks: lines under the joints that cannot be moved, a region that nobody reads back."""
    percent = (pose * 100).tolist()
    before = {end: start for start, end in STICKS}
    vertices = [
        {"id": JOINTS[joint], "prevPointId": JOINTS[before[joint]] if joint in before else None, "x": percent[joint][0], "y": percent[joint][1],
         "isBezier": False, "disconnected": False, "isBranching": False}
        for joint in (STICKS[0][0], *(end for _, end in STICKS))
    ]  # fmt: skip
    value = {"vertices": vertices, "closed": False, "vectorlabels": ["guess"]}
    return _on_picture("sticks", "sticks", "vectorlabels", value, width, height) | {"readonly": True}


def tag_regions(guess: TagGuess) -> list[JsonObject]:
    """One region for each group, one for all boxes that are ticked."""
    groups = [
        _choices(group, [str(value)]) | {"score": float(guess.probabilities[f"{group}={value}"])}
        for group, value in guess.values.items()
        if group in tags.groups()
    ]
    ticked = [flag for flag in tags.flags() if guess.values.get(flag)]
    return [*groups, *([_choices(FLAGS, ticked) | {"score": _flag_score(guess)}] if ticked else [])]


def _flag_score(guess: TagGuess) -> float:
    """How sure the least sure box is."""
    return min(max(guess.probabilities[flag], 1 - guess.probabilities[flag]) for flag in tags.flags() if flag in guess.values)


def label_regions(labels: Labels) -> list[JsonObject]:
    """What is known of a picture's tags, as the tags screen would hold it; a no alone is an answer too, with no box ticked. What is no tag any more
    stands there like a group, for the reader to list."""
    known = [flag for flag in tags.flags() if flag in labels]
    gone = labels.keys() - {*tags.groups(), *known}
    groups = [_choices(name, [str(labels[name])]) for name in (*tags.groups(), *sorted(gone)) if name in labels]
    return [*groups, *([_choices(FLAGS, [flag for flag in known if labels[flag]])] if known else [])]


def verdict_region(verdict: str) -> JsonObject:
    return _choices(VERDICT, [verdict])


def _choices(name: str, values: list[str]) -> JsonObject:
    return {"id": name, "from_name": name, "to_name": "image", "type": "choices", "value": {"choices": values}}


def _on_picture(region_id: str, name: str, kind: str, value: JsonObject, width: int, height: int) -> JsonObject:
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    return {"id": region_id, "from_name": name, "to_name": "image", "type": kind, "value": value, **size}
