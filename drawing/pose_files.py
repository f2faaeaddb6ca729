"""Files of 2D poses -> poses (N, 11, 2) whose x and y are in one unit, y down.

.npz    arrays (N, 11, 2) of any name, which becomes their kind; `joints` names the 11 where they stand in another order than ours
.json   ours: {"joints": [...], "pose": 22 numbers or 11 pairs}, as the page saves it, with width and height where the picture is not square, or a
        list of these
        OpenPose: {"people": [{"pose_keypoints_2d": BODY_25 or COCO-18}]}, or a list of these
        COCO keypoints: {"annotations": [{"keypoints": [x, y, v ...]}], "categories": ...}, or a list of results
        Label Studio: a list of tasks, read by whom the caller names

Poses on which a joint is missing, and entries without a pose, are left out and counted. `head` is the middle of the head: between the ears where
both are there, else the mean of the points of the face.
"""

import json
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from genga.errors import DataError
from genga.skeleton import JOINTS, reference_length

Array = NDArray[Any]
JsonObject = dict[str, Any]

SHARES = 2  # coordinates up to it are shares of the picture, whose joints may lie outside, as some editors write them; others are pixels
# fmt: off
COCO_17 = ("nose", "l_eye", "r_eye", "l_ear", "r_ear", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow", "l_wrist", "r_wrist",
           "l_hip", "r_hip", "l_knee", "r_knee", "l_ankle", "r_ankle")
COCO_18 = ("nose", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist", "r_hip", "r_knee", "r_ankle",
           "l_hip", "l_knee", "l_ankle", "r_eye", "l_eye", "r_ear", "l_ear")
BODY_25 = ("nose", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist", "mid_hip", "r_hip", "r_knee", "r_ankle",
           "l_hip", "l_knee", "l_ankle", "r_eye", "l_eye", "r_ear", "l_ear", "l_big_toe", "l_small_toe", "l_heel", "r_big_toe", "r_small_toe",
           "r_heel")
# fmt: on
OPENPOSE = {len(names) * 3: names for names in (COCO_18, BODY_25)}
NOT_NPZ = (OSError, ValueError, TypeError, EOFError, RuntimeError, BadZipFile, zlib.error)  # TypeError: an .npy has no names
FACE = ("nose", "l_eye", "r_eye", "l_ear", "r_ear")


@dataclass(frozen=True)
class PoseFile:
    """Poses (N, 11, 2), the kind of each, and how many were left out for which reason."""

    poses: Array
    kinds: list[str]
    left_out: Counter[str] = field(default_factory=Counter)


def read_pose_file(path: Path, read_labels: Callable[[Path], PoseFile] | None = None) -> PoseFile:
    """`read_labels` reads Label Studio exports."""
    if path.suffix.lower() == ".npz":
        return _read_npz(path)
    if path.suffix.lower() == ".json":
        document = read_document(path)
        tasks = isinstance(document, list) and bool(document) and all(isinstance(entry, dict) and "annotations" in entry for entry in document)
        return read_labels(path) if tasks and read_labels else _read_json(document, path)
    raise DataError(f"{path} is no file of 2D poses that we read, expected .npz or .json; convert it or take it away")


def sound(poses: Array) -> tuple[NDArray[np.bool_], Counter[str]]:
    """Which of these (N, 11, 2 or 3) lack no joint (not a number) and have an extent, and why how many do not."""
    finite = np.isfinite(poses).all(axis=(1, 2))
    wide = finite & (reference_length(np.nan_to_num(poses), "bbox") > 0)
    return wide, Counter({"a joint is missing": int((~finite).sum()), "all joints on one spot": int((finite & ~wide).sum())})


def whole(poses: Array, kinds: Sequence[str], left_out: Iterable[str] = ()) -> PoseFile:
    """Without those that are not sound."""
    kept, lacking = sound(poses)
    return PoseFile(poses[kept], [kind for kind, taken in zip(kinds, kept, strict=True) if taken], Counter(left_out) + lacking)


# --- .npz


def _read_npz(path: Path) -> PoseFile:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}  # of a file that holds no array numpy gives the bytes
    except NOT_NPZ as error:
        raise DataError(f"{path} is not a readable .npz of plain arrays ({error}); save it again with numpy.savez") from error
    order = _order(arrays.pop("joints", np.array(JOINTS)).ravel().tolist(), path)
    stacks = {name: array for name, array in sorted(arrays.items()) if array.shape[1:] == (len(JOINTS), 2) and array.dtype.kind in "fiu"}
    if not stacks:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise DataError(f"{path} holds {found}, expected an array of poses (N, 11, 2); save the poses so")
    poses = np.concatenate([array[:, order].astype(np.float64) for array in stacks.values()])
    return whole(poses, [name for name, array in stacks.items() for _ in array])


def _order(names: Sequence[Any], path: Path) -> list[int]:
    """Where each of our joints stands among `names`."""
    if sorted(map(str, names)) != sorted(JOINTS):
        raise DataError(f"{path} names the joints {', '.join(map(str, names))}, expected {', '.join(JOINTS)}; name them so")
    return [list(names).index(joint) for joint in JOINTS]


# --- .json


def read_document(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not readable JSON ({error}); save it again") from error


def _read_json(document: Any, path: Path) -> PoseFile:
    entries = document if isinstance(document, list) else [document]
    try:
        if entries and all("pose" in entry for entry in entries):
            return _read_own(entries, path)
        if entries and all("people" in entry for entry in entries):
            return _read_openpose(entries)
        if isinstance(document, dict) and "annotations" in document:
            return _read_coco(document["annotations"], document.get("categories", []))
        if any("keypoints" in entry for entry in entries):
            return _read_coco(entries, [])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} has an entry that its layout does not have ({error!r}); save it again") from error
    raise DataError(f"{path} has no layout that we read, expected our own poses, OpenPose, COCO keypoints or a Label Studio export; convert it")


def _read_own(entries: Sequence[JsonObject], path: Path) -> PoseFile:
    poses = []
    for entry in entries:
        points = np.asarray(entry["pose"], dtype=np.float64).reshape(len(JOINTS), 2)
        if points.max() <= SHARES:
            points *= (entry.get("width", 1), entry.get("height", 1))
        poses.append(points[_order(entry.get("joints", JOINTS), path)])
    return whole(np.stack(poses), [str(entry.get("kind", "pose")) for entry in entries])


def _read_openpose(entries: Sequence[JsonObject]) -> PoseFile:
    poses, strange = [], []
    for entry in entries:
        for person in entry["people"]:
            numbers = person.get("pose_keypoints_2d") or []
            if len(numbers) not in OPENPOSE:
                strange.append(f"{len(numbers)} numbers" if numbers else "a person without a body")
                continue
            points = np.array(numbers, dtype=np.float64).reshape(-1, 3)
            if points[:, :2].max() <= SHARES:
                points[:, :2] *= (entry.get("canvas_width", 1), entry.get("canvas_height", 1))
            poses.append(as_joints(points, OPENPOSE[len(numbers)]))
    return whole(np.array(poses).reshape(-1, len(JOINTS), 2), ["openpose"] * len(poses), strange)


def _read_coco(entries: Sequence[JsonObject], categories: Sequence[JsonObject]) -> PoseFile:
    names = {category["id"]: [_short(name) for name in category["keypoints"]] for category in categories if category.get("keypoints")}
    others = {id_ for id_, named in names.items() if not np.isfinite(as_joints(np.ones((len(named), 3)), named)).all()}
    poses, strange = [], []
    for entry in entries:
        points = np.array(entry.get("keypoints") or [], dtype=np.float64)
        category = entry.get("category_id")
        named = names.get(category, COCO_17)
        if points.size != 3 * len(named):
            strange.append(f"{points.size // 3} keypoints")
        elif category in others:
            strange.append("joints of other names")
        else:
            poses.append(as_joints(points.reshape(-1, 3), named))
    return whole(np.array(poses).reshape(-1, len(JOINTS), 2), ["coco"] * len(poses), strange)


def _short(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower()).replace("left_", "l_").replace("right_", "r_")


def as_joints(points: Array, names: Sequence[str]) -> Array:
    """Points (K, 3), the third 0 where one is missing -> our joints (11, 2), not a number where one is missing."""
    place = {name: point[:2] if point[2] > 0 else np.full(2, np.nan) for name, point in zip(names, points, strict=True)}
    missing = np.full(2, np.nan)

    def between(*parts: str) -> Array:
        middle: Array = np.mean([place.get(part, missing) for part in parts], axis=0)
        return middle

    face = np.array([place.get(part, missing) for part in FACE])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is not a number, as it should be
        found = {"head": first(between("l_ear", "r_ear"), np.nanmean(face, axis=0))}
    found["neck"] = first(place.get("neck", missing), between("l_shoulder", "r_shoulder"))
    found["hip"] = first(place.get("mid_hip", missing), between("l_hip", "r_hip"))
    return np.stack([found[joint] if joint in found else place.get(joint, missing) for joint in JOINTS])


def first(one: Array, other: Array) -> Array:
    """`one`, or `other` where that is missing."""
    return np.where(np.isfinite(one), one, other)
