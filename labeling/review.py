"""Corrections made on the page of `genga serve` -> the same JSON as Label Studio's, so that one stage reads both.

annotations/review.jsonl    appended by the server, a line for each correction:
                            {"id", "at", "by", "width", "height", "labels"} or {... "pose": 11 pairs, "hidden": names of joints}; without
                            "hidden" nothing was said of which joints one sees
annotations/review.json     written from it by `genga label pull`: every correction; which of them counts, question by question, is decided in
                            labeling/agreement.py
"""

import json
from pathlib import Path

import numpy as np

from genga.documents import is_json
from genga.errors import DataError
from genga.skeleton import to_vector
from genga.whole import write_whole
from labeling.formats import Labeled, to_label_studio
from labeling.keypoints import ODD, JsonObject

REVIEW = "review.jsonl"


def snapshot_of_reviews(annotations_dir: Path) -> dict[str, str]:
    """{"review.json": its text}, which is written too; nothing where nobody has corrected anything."""
    source = annotations_dir / REVIEW
    if not source.is_file():
        return {}
    text = to_label_studio(_read(source))
    write_whole(annotations_dir / "review.json", text)
    return {"review.json": text}


def _read(source: Path) -> list[Labeled]:
    """By picture and person, the oldest first. A last line that is not whole was cut by a crash and is no correction."""
    *lines, last = source.read_bytes().split(b"\n")
    found = []
    for number, line in enumerate([*lines, last] if is_json(last) else lines, start=1):
        try:
            found.append(_labeled(json.loads(line.decode())))
        except (DataError, RecursionError, *ODD) as error:
            raise DataError(f"{source} line {number} is no correction ({error!r}); take the line away and pull again") from error
    return sorted(found, key=lambda said: (said.picture, said.by))


def _labeled(said: JsonObject) -> Labeled:
    size = (said["width"], said["height"])
    if "pose" in said:
        pose = np.asarray(to_vector(said["pose"])).reshape(11, 2)
        return Labeled(said["id"], said["by"], size, {}, pose, frozenset(said["hidden"]) if "hidden" in said else None, said["at"])
    return Labeled(said["id"], said["by"], size, dict(said["labels"]), None, at=said["at"])
