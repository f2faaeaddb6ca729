"""Label Studio's JSON, both ways: rows of a manifest -> tasks with annotations, and exports -> what each person said about each picture.

A task names its picture by id: {"data": {"image": <where Label Studio finds it>, "id": <sha256 of the decoded picture>}}.
A tag is a `choices` region: from_name is a group (the choice is its value) or a flag (the choice is yes or no).
A joint is a `keypointlabels` region; see labeling/keypoints.py.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genga import tags
from genga.errors import DataError
from genga.skeleton import JOINTS, from_vector
from genga.tags import Labels
from labeling.keypoints import JsonObject, Problem, annotator, pose_fault, read_pose, read_tasks, time_of

YES_NO = {"yes": True, "no": False}
KEYPOINT_WIDTH = 0.8


@dataclass(frozen=True)
class Annotation:
    """What one person said about one picture. `at` orders two answers of the same person."""

    picture_id: str
    task: str
    annotator: str
    at: str
    labels: Labels
    pose: NDArray[np.float64] | None


@dataclass(frozen=True)
class Exports:
    annotations: list[Annotation]
    problems: list[Problem]


def write_tasks(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Manifest rows (id, name, width, height; labels as JSON and/or pose as 22 numbers) -> one Label Studio JSON export."""
    tasks = [
        {"id": number, "data": {"image": row["name"], "id": row["id"]}, "annotations": [{"id": number, "result": result_of(row)}]}
        for number, row in enumerate(rows, start=1)
    ]
    path.write_text(json.dumps(tasks, ensure_ascii=False), encoding="utf-8")


def result_of(row: Mapping[str, Any]) -> list[JsonObject]:
    """The regions of one picture, as Label Studio wants them in annotations and predictions."""
    size = {"to_name": "image", "original_width": row["width"], "original_height": row["height"], "image_rotation": 0}
    labels: Labels = json.loads(row.get("labels") or "{}")
    words = {name: ("yes" if value else "no") if isinstance(value, bool) else value for name, value in labels.items()}
    regions = [size | {"id": name, "from_name": name, "type": "choices", "value": {"choices": [word]}} for name, word in words.items()]
    if row.get("pose") is not None:
        for joint, (x, y) in zip(JOINTS, (from_vector(row["pose"]) * 100).tolist(), strict=True):
            value = {"x": x, "y": y, "width": KEYPOINT_WIDTH, "keypointlabels": [joint]}
            regions.append(size | {"id": joint, "from_name": "joints", "type": "keypointlabels", "value": value})
    return regions


def read_exports(paths: Sequence[Path]) -> Exports:
    """Every submitted annotation of every file, in order. Skipped tasks and predictions are no answers."""
    exports = Exports([], [])
    for path in paths:
        for task in read_tasks(path):
            _read_task(task, path.name, exports)
    return exports


def _read_task(task: JsonObject, file_name: str, exports: Exports) -> None:
    where = f"{file_name} task {task.get('id')}"
    data = task.get("data")
    picture_id = data.get("id") if isinstance(data, dict) else None
    if not isinstance(picture_id, str):
        raise DataError(f"{where} does not name its picture, expected data.id with the picture's sha256; make the tasks with Genga and label those")
    for annotation in task["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        try:
            labels, pose, fault = _read_result(annotation["result"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"{where} has a region that Label Studio would not write ({error!r}); export the project again as JSON") from error
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        if fault:
            exports.problems.append(Problem(where, picture_id, fault))
        if labels or pose is not None:
            exports.annotations.append(Annotation(picture_id, where, annotator(annotation), time_of(annotation), labels, pose))


def _read_result(result: list[JsonObject]) -> tuple[Labels, NDArray[np.float64] | None, str]:
    """Labels, pose, and what is wrong with the pose in words ("" when nothing is)."""
    labels: Labels = {}
    points = []
    for region in result:
        if region["type"] == "choices":
            labels |= _read_choices(region["from_name"], region["value"]["choices"])
        elif region["type"] == "keypointlabels":
            points.append(region)
    if not points:
        return labels, None, ""
    fault = pose_fault(points)
    return labels, None if fault else read_pose(points), fault


def _read_choices(name: str, choices: list[str]) -> Labels:
    if len(choices) != 1:
        raise DataError(f"{name} has {len(choices)} choices ({', '.join(choices)}), expected one; correct it in Label Studio and export again")
    value = YES_NO.get(choices[0], choices[0]) if name in tags.flags() else choices[0]
    return tags.check({name: value})


def tags_config() -> str:
    """The labeling interface for tags, made from tags.yaml so that both always name the same."""
    questions = {**tags.groups(), **{flag: list(YES_NO) for flag in tags.flags()}}
    lines = ["<View>", '  <Image name="image" value="$image" maxWidth="384px" zoom="true"/>']
    for name, values in questions.items():
        lines.append(f'  <Header value="{escape(name.replace("_", " "))}" size="6"/>')
        lines.append(f'  <Choices name="{escape(name)}" toName="image" choice="single" showInline="true">')
        lines += [f'    <Choice value="{escape(value)}"/>' for value in values]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>", ""])
