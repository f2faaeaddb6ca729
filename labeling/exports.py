"""Label Studio's JSON, both ways: rows of a manifest -> tasks with annotations, and exports -> what each person said about each picture.

A task names its picture by id: {"data": {"image": <where Label Studio finds it>, "id": <sha256 of the decoded picture>}}.
A one-of group is a `choices` region whose from_name is the group. Yes/no tags are one region `flags` with those that are ticked; what
`data.asks` names and nobody ticked is a no, also where all groups were left open. (In older exports each flag is a question of its own, answered
yes or no.) An answer that says nothing at all is listed. So is a word that genga/tags.yaml has no more; the rest of that answer is kept.
A joint is a `keypointlabels` region, see labeling/keypoints.py; whether one sees it is the choice `sight` with the keypoint's id. A joint without it
is seen, unless `data.unasked` names `sight`: nobody was asked.
"unsure" and "bad picture" (`verdict`) keep an answer out of the labels: it is listed instead. A bad picture is also kept out of training.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genga import tags
from genga.errors import DataError
from genga.skeleton import from_vector
from genga.tags import Labels
from labeling.keypoints import (
    BAD,
    SIGHT,
    VERDICT,
    JsonObject,
    Problem,
    annotator,
    hidden_joints,
    is_starred,
    keypoints_of,
    named,
    pose_fault,
    read_pose,
    read_tasks,
    size_of,
    time_of,
    verdict_fault,
    verdicts_of,
    where_of,
)
from labeling.tasks import FLAGS, label_regions, pose_regions

YES_NO = {"yes": True, "no": False}
UNTOLD = (1, 1)  # a picture's width and height where nobody tells them


@dataclass(frozen=True)
class Annotation:
    """What one person said about one picture. `at` orders two answers of the same person; `decides`: a reviewer's word over all others'.
    `hidden`: joints that one does not see, None where nobody was asked; `size`: the picture's width and height, where joints tell it; `bad`: it
    should not be learned from at all; `asks`: the tags that the task asks for, None where it says nothing of tags."""

    picture_id: str
    task: str
    annotator: str
    at: str
    labels: Labels
    pose: NDArray[np.float64] | None
    hidden: frozenset[str] | None = frozenset()
    decides: bool = False
    size: tuple[int, int] = UNTOLD
    bad: bool = False
    asks: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Exports:
    annotations: list[Annotation]
    problems: list[Problem]


def write_tasks(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Manifest rows (id, name, width, height; labels as JSON and/or pose as 22 numbers) -> one Label Studio JSON export."""
    path.write_text(json.dumps([_task(number, row) for number, row in enumerate(rows, start=1)], ensure_ascii=False), encoding="utf-8")


def _task(number: int, row: Mapping[str, Any]) -> JsonObject:
    labels: Labels = json.loads(row.get("labels") or "{}")
    pose = row.get("pose")
    regions = label_regions(labels) + ([] if pose is None else pose_regions(from_vector(pose), row["width"], row["height"]))
    data = {"image": row["name"], "id": row["id"], "asks": [flag for flag in tags.flags() if flag in labels]}
    return {"id": number, "data": data, "annotations": [{"id": number, "result": regions}] if regions else []}


def read_annotations(annotations_dir: Path) -> Exports:
    """All that people have said, as far as the last pull knows."""
    return read_exports(sorted(annotations_dir.glob("*.json")))


def read_exports(paths: Sequence[Path]) -> Exports:
    """Every submitted annotation of every file, in order. Skipped tasks and predictions are no answers."""
    exports = Exports([], [])
    for path in paths:
        add_answers(exports, read_tasks(path), path)
    return exports


def add_answers(exports: Exports, tasks: Iterable[JsonObject], path: Path) -> None:
    """Those of tasks that stand, or are to stand, in this file. What is wrong with a task that was pulled is listed with its link, since anybody may
    add one there, and answer it; what is wrong with another is the fault of its file, and stops."""
    for task in tasks:
        where = where_of(task, path)
        for annotation in task["annotations"]:
            if annotation.get("was_cancelled"):
                continue
            try:
                _read_answer(annotation, task.get("data"), where, exports)
            except DataError as error:
                if "url" not in task:
                    raise
                exports.problems.append(Problem(where, "", str(error).removeprefix(where).lstrip(": ")))


def _read_answer(annotation: JsonObject, data: Any, where: str, exports: Exports) -> None:
    picture_id = data.get("id") if isinstance(data, dict) else None
    if not isinstance(picture_id, str):
        raise DataError(
            f"{where} does not name its picture, expected data.id with its sha256, as `genga label push` gives it; other exports belong elsewhere "
            "and come in with `genga label import label-studio FILE`"
        )
    with named(where):
        asks = None if data.get("asks") is None else tuple(data["asks"])
        result, gone = words_of_today(annotation["result"])
        said = read_result(result, asks or ())
        hidden = None if SIGHT in (data.get("unasked") or ()) and not said.hidden else said.hidden
    answered = said.labels or said.pose is not None or said.bad
    nothing = "nothing was answered" if "asks" in data else pose_fault([])
    if reasons := [*gone, *([said.fault or nothing] if said.fault or not (answered or gone) else [])]:
        exports.problems.append(Problem(where, picture_id, "; ".join(reasons)))
    if answered:
        who, at, decides = annotator(annotation), time_of(annotation), is_starred(annotation)
        exports.annotations.append(Annotation(picture_id, where, who, at, said.labels, said.pose, hidden, decides, said.size, said.bad, asks))


def words_of_today(result: Sequence[JsonObject]) -> tuple[list[JsonObject], list[str]]:
    """The regions without the words that genga/tags.yaml has no more, and of each that it is none."""
    kept, gone = [], []
    for region in result:
        if region["type"] != "choices" or (name := region["from_name"]) in (SIGHT, VERDICT, *tags.flags()):
            kept.append(region)
        elif name == FLAGS:
            ticked = region["value"]["choices"]
            gone += [f"{word} is no tag any more" for word in ticked if word not in tags.flags()]
            kept.append(region | {"value": {"choices": [word for word in ticked if word in tags.flags()]}})
        elif name not in tags.groups():
            gone.append(f"{name} is no tag any more")
        elif missing := [word for word in region["value"]["choices"] if word not in tags.groups()[name]]:
            gone += [f"{word} is no {name} any more" for word in missing]
        else:
            kept.append(region)
    return kept, gone


@dataclass(frozen=True)
class Said:
    """One answer's labels and pose, and what is wrong with it in words ("" when nothing is)."""

    labels: Labels
    pose: NDArray[np.float64] | None
    hidden: frozenset[str]
    fault: str
    size: tuple[int, int] = UNTOLD
    bad: bool = False


def read_result(result: Sequence[JsonObject], asks: Sequence[str] = ()) -> Said:
    """`asks`: the yes/no tags that the screen offered."""
    choices = [region for region in result if region["type"] == "choices"]
    points = keypoints_of(result)
    if verdicts := verdicts_of(result):
        return Said({}, None, frozenset(), verdict_fault(verdicts), bad=BAD in verdicts)
    asked = [region for region in choices if region["from_name"] not in (SIGHT, VERDICT)]
    labels = _no_where_not_ticked(asks) if asked or not points else {}
    for region in asked:
        labels |= _read_choices(region["from_name"], region["value"]["choices"])
    if not points:
        return Said(labels, None, frozenset(), "")
    fault = pose_fault(points)
    return Said(labels, None if fault else read_pose(points), hidden_joints(result), fault, size_of(points) or UNTOLD)


def _no_where_not_ticked(asks: Sequence[str]) -> Labels:
    return {flag: False for flag in asks if flag in tags.flags()}


def _read_choices(name: str, choices: list[str]) -> Labels:
    if name == FLAGS:
        return tags.check(dict.fromkeys(choices, True))
    if len(choices) != 1:
        raise DataError(f"{name} has {len(choices)} choices ({', '.join(choices)}), expected one; correct it in Label Studio and export again")
    value = YES_NO.get(choices[0], choices[0]) if name in tags.flags() else choices[0]
    return tags.check({name: value})
