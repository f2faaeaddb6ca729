"""Labels from people, labels that came with the data, and the drawn sample's truth -> one table of tags and one of poses.

    reads   data/faces/imported/ (store), data/faces/sample/annotations.json, annotations/*.json (Label Studio exports)
    writes  data/labels/   tags.parquet (id, name, value, origin)   poses.parquet (id, x0, y0 ... x10, y10, origin)
                           problems.csv (task, id, reason)          revision.json (revision, counts, origins, agreement)

A person's word goes before the data's, and that before the drawn truth. Of one person the newest answer counts; of several the majority.
Where they tie, the tag is left out; a pose on which most do not agree within `pose_tolerance` is left out too. Both stand in problems.csv.
The revision is the sha256 of what the two tables hold.
"""

import argparse
import csv
import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from genga import tags
from genga.door import run
from genga.params import LabelFaces, load_params
from genga.skeleton import JOINTS, to_vector
from genga.store import Store
from genga.tags import Labels
from labeling.exports import Annotation, read_exports
from labeling.keypoints import Problem, distances, settle_pose

log = logging.getLogger(__name__)

Answers = dict[str, Any]  # annotator -> value

ORIGINS = ("human", "imported", "drawn")  # the strongest first
COORDINATES = [f"{axis}{joint_idx}" for joint_idx in range(len(JOINTS)) for axis in "xy"]
SEVERAL = "several people"


class Key(NamedTuple):
    """Which question about which picture; the name of a tag, or "pose"."""

    picture_id: str
    name: str


def labels(params: LabelFaces, imported_dir: Path, sample_dir: Path, annotations_dir: Path, out_dir: Path) -> None:
    exports = read_exports(sorted(annotations_dir.glob("*.json")))
    sample = read_exports([sample_dir / "annotations.json"])
    problems = exports.problems + sample.problems
    answers = answers_of(exports.annotations)
    human = _settle(answers, params.pose_tolerance, problems)
    drawn = _settle(answers_of(sample.annotations), params.pose_tolerance, problems)
    imported = {} if params.human_only else _labels_of_imported(Store(imported_dir), drawn)
    found = _merge({"human": human, "imported": imported, "drawn": drawn}, disputed=answers.keys() - human.keys())
    tag_rows = sorted((*key, _word(value), origin) for key, (value, origin) in found.items() if key.name != "pose")
    pose_rows = sorted((key.picture_id, *to_vector(pose).tolist(), origin) for key, (pose, origin) in found.items() if key.name == "pose")
    revision = {
        "revision": hashlib.sha256(json.dumps([tag_rows, pose_rows]).encode()).hexdigest(),
        "counts": {"pictures": len({key.picture_id for key in found}), "tags": len(tag_rows), "poses": len(pose_rows), "problems": len(problems)},
        "origins": _count_origins(found),
        "agreement": agreement(answers, params.pose_tolerance),
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    _write_table(out_dir / "tags.parquet", tag_rows, dict.fromkeys(("id", "name", "value", "origin"), pa.string()))
    _write_table(out_dir / "poses.parquet", pose_rows, {"id": pa.string(), **dict.fromkeys(COORDINATES, pa.float64()), "origin": pa.string()})
    _write_problems(out_dir / "problems.csv", problems)
    (out_dir / "revision.json").write_text(json.dumps(revision, indent=1) + "\n", encoding="utf-8")
    log.info("labels: %d tags, %d poses, %d problems", len(tag_rows), len(pose_rows), len(problems))


def _merge(by_origin: Mapping[str, Mapping[Key, Any]], disputed: Set[Key]) -> dict[Key, tuple[Any, str]]:
    """Question -> value and origin, the stronger origin over the weaker. What people dispute stays open."""
    found = {key: (value, origin) for origin in reversed(ORIGINS) for key, value in by_origin[origin].items()}
    return {key: value for key, value in found.items() if key not in disputed}


def answers_of(annotations: Iterable[Annotation]) -> dict[Key, Answers]:
    """Question -> each person's newest answer."""
    answers: dict[Key, Answers] = defaultdict(dict)
    for annotation in sorted(annotations, key=lambda annotation: annotation.at):
        given: dict[str, Any] = dict(annotation.labels)
        if annotation.pose is not None:
            given["pose"] = annotation.pose
        for name, value in given.items():
            answers[Key(annotation.picture_id, name)][annotation.annotator] = value
    return dict(answers)


def _settle(answers: Mapping[Key, Answers], tolerance: float, problems: list[Problem]) -> dict[Key, Any]:
    """One value for each question; where people do not agree there is none, but a problem."""
    settled = {}
    for key, given in answers.items():
        value, fault = settle_pose(list(given.values()), tolerance) if key.name == "pose" else _settle_tag(list(given.values()))
        if fault:
            problems.append(Problem(SEVERAL, key.picture_id, f"{key.name}: {fault}"))
        else:
            settled[key] = value
    return settled


def _settle_tag(values: Sequence[str | bool]) -> tuple[str | bool | None, str]:
    (value, count), *others = Counter(values).most_common()
    if others and others[0][1] == count:
        return None, f"a tie, {' and '.join(sorted(f'{number} say {_word(word)}' for word, number in Counter(values).items()))}"
    return value, ""


def _labels_of_imported(imported: Store, drawn: Mapping[Key, Any]) -> dict[Key, Any]:
    """The labels that came with the data. The sample is imported too: what is drawn stays drawn."""
    found: dict[Key, Any] = {}
    for id_, text in zip(imported.column("id"), imported.column("labels"), strict=True):
        known: Labels = tags.check(json.loads(text or "{}"))
        found |= {key: value for name, value in known.items() if (key := Key(id_, name)) not in drawn}
    return found


def _word(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value


def agreement(answers: Mapping[Key, Answers], tolerance: float) -> dict[str, dict[str, float]]:
    """How often two people who answered the same question agree: equal tags; for poses PCK within `tolerance` and the mean distance."""
    pairs: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    for key, given in answers.items():
        pairs[key.name] += combinations(given.values(), 2)
    scores = {}
    for name, both in sorted(pairs.items()):
        if both and name == "pose":
            apart = np.stack([distances(one, other) for one, other in both])
            scores[name] = {"pairs": len(both), "pck": float((apart <= tolerance).mean()), "mean_distance": float(apart.mean())}
        elif both:
            scores[name] = {"pairs": len(both), "equal": sum(one == other for one, other in both) / len(both)}
    return scores


def _count_origins(found: Mapping[Key, tuple[Any, str]]) -> dict[str, dict[str, int]]:
    """Tag group, flag or "pose" -> origin -> number of labels."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for key, (_, origin) in found.items():
        counts[key.name][origin] += 1
    return {name: dict(sorted(by_origin.items())) for name, by_origin in sorted(counts.items())}


def _write_table(path: Path, rows: Sequence[tuple[Any, ...]], columns: Mapping[str, pa.DataType]) -> None:
    values = zip(*rows, strict=True) if rows else [[] for _ in columns]
    pq.write_table(pa.table([list(column) for column in values], schema=pa.schema(list(columns.items()))), path)


def _write_problems(path: Path, problems: Sequence[Problem]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("task", "id", "reason"), *sorted(problems)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imported_dir", type=Path)
    parser.add_argument("sample_dir", type=Path)
    parser.add_argument("annotations_dir", type=Path)
    parser.add_argument("out_dir", type=Path)
    args = parser.parse_args()
    labels(load_params().labels, args.imported_dir, args.sample_dir, args.annotations_dir, args.out_dir)


if __name__ == "__main__":
    run(main)
