"""What people should label first: the pictures in which the pose network is least sure of its joints, with its guess to start from.

The rule: a picture is as sure as the mean confidence of its three least sure joints. One hidden wrist alone does not push a picture
to the front, a lost arm does; the mean over all 11 would hide it behind the joints of the torso, which are always sure.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genga.errors import DataError
from genga.skeleton import JOINTS, to_vector
from labeling.exports import result_of
from labeling.keypoints import JsonObject

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


def label_queue(
    rows: Sequence[Mapping[str, Any]], poses: ArrayLike, confidences: ArrayLike, labelled: Collection[str], model_version: str
) -> list[JsonObject]:
    """Label Studio tasks of the pictures that nobody labelled, the least sure first; each holds the network's guess as its prediction.

    `rows`: manifest rows (id, name, width, height), `name` is where Label Studio finds the picture; `poses` (N, 11, 2) in [0, 1];
    `labelled`: ids of pictures. Label Studio shows tasks in the order of the file, and each region's score beside it.
    """
    guesses, sure = to_vector(poses), sureness(confidences)
    if not len(rows) == len(guesses) == len(sure):
        raise DataError(
            f"{len(rows)} pictures, {len(guesses)} poses and {len(sure)} rows of confidences were found, expected one of each per picture"
        )
    if not np.isfinite(guesses).all():
        raise DataError("a pose with a joint that is not a finite number was found; read the joints of the pictures again")
    inside, done = np.clip(guesses, 0, 1), set(labelled)  # a joint outside the picture could not be dragged back
    return [
        {
            "data": {"image": rows[row]["name"], "id": rows[row]["id"]},
            "predictions": [
                {
                    "model_version": model_version,
                    "score": float(sure[row]),
                    "result": _scored({**rows[row], "labels": None, "pose": inside[row]}, np.asarray(confidences)[row]),
                }
            ],
        }
        for row in np.argsort(sure, kind="stable").tolist()
        if rows[row]["id"] not in done
    ]


def _scored(row: Mapping[str, Any], confidence: NDArray[Any]) -> list[JsonObject]:
    return [region | {"score": float(score)} for region, score in zip(result_of(row), confidence, strict=True)]


def write_queue(path: Path, tasks: Sequence[JsonObject]) -> None:
    """As Label Studio's import takes it: a JSON list of tasks."""
    path.write_text(json.dumps(tasks, ensure_ascii=False), encoding="utf-8")
