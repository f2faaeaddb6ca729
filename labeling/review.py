"""Corrections made on the page of `genga serve` -> the same JSON as Label Studio's, so that one stage reads both.

annotations/review.jsonl    appended by the server, a line for each correction:
                            {"id", "at", "by", "width", "height", "labels"} or {... "pose": 11 pairs, "hidden": names of joints}
annotations/review.json     written from it by `genga label pull`: of one person the newest correction of each picture
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from genga import tags
from genga.errors import DataError
from genga.skeleton import to_vector
from genga.whole import write_whole
from labeling.formats import Labeled, to_label_studio
from labeling.keypoints import JsonObject

REVIEW = "review.jsonl"


def snapshot_of_reviews(annotations_dir: Path) -> dict[str, str]:
    """{"review.json": its text}, which is written too; nothing where nobody has corrected anything."""
    source = annotations_dir / REVIEW
    if not source.is_file():
        return {}
    text = to_label_studio([_labeled(said) for said in _newest(source)])
    write_whole(annotations_dir / "review.json", text)
    return {"review.json": text}


def _newest(source: Path) -> list[JsonObject]:
    """A last line without its end was cut by a crash and is no correction."""
    found: dict[tuple[Any, ...], JsonObject] = {}
    for number, line in enumerate(source.read_text(encoding="utf-8").split("\n")[:-1], start=1):
        try:
            said = json.loads(line)
            found[said["id"], said["by"], "pose" in said] = said
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{source} line {number} is no correction ({error!r}); take the line away and pull again") from error
    return [found[key] for key in sorted(found)]


def _labeled(said: JsonObject) -> Labeled:
    try:
        size = (said["width"], said["height"])
        if "pose" in said:
            pose = np.asarray(to_vector(said["pose"])).reshape(11, 2)
            return Labeled(said["id"], said["by"], size, {}, pose, frozenset(said.get("hidden", ())), said["at"])
        return Labeled(said["id"], said["by"], size, tags.check(said["labels"]), None, at=said["at"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the correction of picture {said['id']} by {said['by']} is not whole ({error!r}); take its line away") from error
