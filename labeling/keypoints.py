"""Joints in Label Studio's JSON: `keypointlabels` regions, one for each joint, x and y in percent of the picture's original size."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from genga.errors import DataError
from genga.skeleton import JOINTS, reference_length

Pose = NDArray[np.float64]
JsonObject = dict[str, Any]

ODD = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)  # other people's data that is not as its format has it raises one
SIGHT, VERDICT = "sight", "verdict"  # questions beside those for joints and tags
_, BAD = VERDICTS = ("unsure", "bad picture")


class Problem(NamedTuple):
    """An answer that cannot be used: listed for people to mend in Label Studio, kept out of the labels."""

    task: str
    picture_id: str
    reason: str


class Posed(NamedTuple):
    """Where one person says that one picture's joints are, and which of them one does not see; `size`: the picture's width and height, where the
    export tells; `decides`: a reviewer's word over all others'."""

    picture: str
    task: str
    annotator: str
    at: str
    decides: bool
    pose: Pose
    hidden: frozenset[str]
    size: tuple[int, int] | None


class Called(NamedTuple):
    """One person's word that one picture is a bad one."""

    picture: str
    task: str
    annotator: str
    at: str
    decides: bool


@dataclass(frozen=True)
class PosedExports:
    poses: list[Posed]
    bad: list[Called]
    problems: list[Problem]


def read_poses(paths: Sequence[Path]) -> PosedExports:
    """Every pose and every bad picture of every file, in order; pictures by the names that `picture_of` gives. Skipped tasks and predictions are no
    answers."""
    found = PosedExports([], [], [])
    for path in paths:
        for task in read_tasks(path):
            where = where_of(task, path)
            with named(where):
                picture = picture_of(task.get("data"))
                for annotation in task["annotations"]:
                    if annotation.get("was_cancelled"):
                        continue
                    points, verdicts = keypoints_of(annotation["result"]), verdicts_of(annotation["result"])
                    by = picture, where, annotator(annotation), time_of(annotation), is_starred(annotation)
                    if BAD in verdicts:
                        found.bad.append(Called(*by))
                    elif points and (fault := verdict_fault(verdicts) or pose_fault(points)):
                        found.problems.append(Problem(where, picture, fault))
                    elif points:
                        found.poses.append(Posed(*by, read_pose(points), hidden_joints(annotation["result"]), size_of(points)))
    return found


@contextmanager
def named(where: str) -> Iterator[None]:
    """What is wrong with an answer is said with the task that it is in."""
    try:
        yield
    except ODD as error:
        raise DataError(f"{where} has a region that Label Studio would not write ({error!r}); export the project again as JSON") from error
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def read_tasks(path: Path) -> list[JsonObject]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not readable JSON ({error}); export the project again as JSON") from error
    if not isinstance(document, list) or not all(isinstance(task, dict) and isinstance(task.get("annotations"), list) for task in document):
        raise DataError(f"{path} is not a list of tasks with annotations; in Label Studio export the project as JSON (not JSON-MIN)")
    for task in document:
        if odd := [annotation for annotation in task["annotations"] if not isinstance(annotation, dict)]:
            raise DataError(f"{where_of(task, path)} has an annotation that is none ({repr(odd[0])[:60]}); export it from Label Studio again")
    return document


def picture_of(data: Any) -> str:
    """data.id where it is a sha256, else the path in data.image without what Label Studio puts before it: server, storage, upload number."""
    given = data if isinstance(data, dict) else {}
    if re.fullmatch(r"[0-9a-f]{64}", str(given.get("id"))):
        return str(given["id"])
    image = given.get("image")
    if not isinstance(image, str) or not image:
        raise DataError("no picture is named, expected a path in data.image; label with labeling/configs/poses.xml")
    name = unquote(re.sub(r"^\w+://[^/]*/", "", image)).replace("\\", "/")
    return re.sub(r"^/?data/upload/\d+/(?:[0-9a-f]{8}-)?", "", name.rpartition("?d=")[2]).lstrip("/")


def where_of(task: JsonObject, path: Path) -> str:
    """The link to the task where the export has one (labeling/pull.py writes it), else the file and the task's number."""
    return str(task.get("url") or f"{path.name} task {task.get('id')}")


def hidden_joints(result: Sequence[JsonObject]) -> frozenset[str]:
    """The joints that one does not see: the choice `hidden` has the id of its keypoint."""
    hidden = {region.get("id") for region in result if region.get("from_name") == SIGHT and region["value"]["choices"] == ["hidden"]}
    return frozenset(point["value"]["keypointlabels"][0] for point in keypoints_of(result) if point.get("id") in hidden - {None})


def keypoints_of(result: Sequence[JsonObject]) -> list[JsonObject]:
    return [region for region in result if region["type"] == "keypointlabels"]


def verdicts_of(result: Sequence[JsonObject]) -> list[str]:
    """Why the annotator does not want the answer to count; nothing where it does."""
    verdicts = [verdict for region in result if region.get("from_name") == VERDICT for verdict in region["value"]["choices"]]
    if unknown := set(verdicts) - set(VERDICTS):
        raise DataError(f"unknown verdict {unknown.pop()!r}, expected {' or '.join(VERDICTS)}; label with the screens that Genga makes")
    return verdicts


def verdict_fault(verdicts: Sequence[str]) -> str:
    """In words, "" where there is none."""
    return f"the annotator says: {', '.join(verdicts)}" if verdicts else ""


def annotator(annotation: JsonObject) -> str:
    who = annotation.get("completed_by")
    return str(who.get("email") or who.get("id")) if isinstance(who, dict) else str(who)


def time_of(annotation: JsonObject) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def is_starred(annotation: JsonObject) -> bool:
    """Label Studio's "ground truth", which a reviewer sets."""
    return bool(annotation.get("ground_truth"))


def pose_fault(points: Sequence[JsonObject]) -> str:
    """What is wrong with a pose in words, "" when nothing is."""
    names = [name for point in points for name in point["value"]["keypointlabels"]]
    unknown = sorted(set(names) - set(JOINTS))
    if unknown:
        raise DataError(f"unknown joint {unknown[0]!r}, expected {', '.join(JOINTS)}; label with labeling/configs/poses.xml")
    missing = [joint for joint in JOINTS if joint not in names]
    doubled = [joint for joint in JOINTS if names.count(joint) > 1]
    outside = [point["value"]["keypointlabels"][0] for point in points if not all(0 <= point["value"][axis] <= 100 for axis in "xy")]
    places = {(point["value"]["x"], point["value"]["y"]) for point in points}
    faults = {
        "missing": missing,
        "placed more than once": doubled,
        "outside the picture": outside,
        "lie in one place": ["all joints"] if len(places) == 1 and not missing else [],
        "on a rotated picture": [names[0]] if any(point.get("image_rotation") for point in points) else [],
    }
    return "; ".join(f"{', '.join(joints)} {fault}" for fault, joints in faults.items() if joints)


def read_pose(points: Sequence[JsonObject]) -> Pose:
    placed = {point["value"]["keypointlabels"][0]: (point["value"]["x"] / 100, point["value"]["y"] / 100) for point in points}
    return np.array([placed[joint] for joint in JOINTS], dtype=np.float64)


def size_of(points: Sequence[JsonObject]) -> tuple[int, int] | None:
    told = [(int(point["original_width"]), int(point["original_height"])) for point in points if point.get("original_width")]
    return told[0] if told else None


def settle_pose(poses: Sequence[Pose], size: tuple[int, int], tolerance: float) -> tuple[Pose | None, str]:
    """The median of each joint, if more than half of the people placed it within the tolerance of that; else in words what they differ on."""
    middle: Pose = np.median(np.stack(poses), axis=0)
    near = distances(np.stack(poses), middle, size) <= tolerance
    apart = [joint for joint, share in zip(JOINTS, near.mean(axis=0), strict=True) if share <= 0.5]
    return (None, f"people differ on {', '.join(apart)}") if apart else (middle, "")


def hidden_by_most(values: Sequence[frozenset[str]], in_a_tie: frozenset[str]) -> frozenset[str]:
    """The joints that most do not see, and of those that half of them do not see which are `in_a_tie`."""
    numbers = Counter(joint for value in values for joint in value)
    return frozenset(joint for joint, number in numbers.items() if 2 * number > len(values) or (2 * number == len(values) and joint in in_a_tie))


def distances(poses: Pose, truth: Pose, size: tuple[int, int]) -> Pose:
    """(..., 11), in longer sides of the pose's box; poses are in shares of a picture of this width and height. The median of poses that mirror each
    other may be a point: from that all others are far."""
    apart: Pose = np.linalg.norm((poses - truth) * size, axis=-1) / np.maximum(reference_length(truth * size, "bbox"), 1e-9)[..., None]
    return apart
