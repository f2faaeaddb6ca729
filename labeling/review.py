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
from labeling.keypoints import JsonObject
from labeling.tasks import label_regions, pose_regions, sight_regions

REVIEW = "review.jsonl"


def snapshot_of_reviews(annotations_dir: Path) -> dict[str, str]:
    """{"review.json": its text}, which is written too; nothing where nobody has corrected anything."""
    source = annotations_dir / REVIEW
    if not source.is_file():
        return {}
    tasks = [_task(number, line) for number, line in enumerate(_newest(source), start=1)]
    text = json.dumps(tasks, indent=1, sort_keys=True, ensure_ascii=False)
    partial = annotations_dir / "review.json.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(annotations_dir / "review.json")
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


def _task(number: int, said: JsonObject) -> JsonObject:
    try:
        if "pose" in said:
            points = pose_regions(np.asarray(to_vector(said["pose"])).reshape(11, 2), said["width"], said["height"])
            regions, asks = points + sight_regions(frozenset(said.get("hidden", ())), points), []
        else:
            labels = tags.check(said["labels"])
            regions, asks = label_regions(labels), [flag for flag in tags.flags() if flag in labels]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the correction of picture {said['id']} by {said['by']} is not whole ({error!r}); take its line away") from error
    annotation = {"id": number, "completed_by": {"email": said["by"]}, "result": regions, "was_cancelled": False, "updated_at": said["at"]}
    return {"id": number, "data": {"id": said["id"], "image": said["id"], "asks": asks}, "annotations": [annotation]}
