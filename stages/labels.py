"""Labels from people, labels that came with the data, and the drawn sample's truth -> one table of tags and one of poses.

    reads   data/faces/imported/ (store), data/faces/sample/annotations.json, annotations/*.json (Label Studio exports)
    writes  data/labels/   tags.parquet (id, name, value, origin)   poses.parquet (id, x0, y0 ... x10, y10, hidden, origin)
                           problems.csv (task, id, reason)          revision.json (revision, counts, origins, agreement)
                           bad-faces.csv, bad-figures.csv (id): pictures that people call bad; nothing is learned from them

A person's word goes before the data's, and that before the drawn truth. What counts where people differ: labeling/agreement.py; what they differ
on stands in problems.csv, with a link to the task where Label Studio is known. `hidden`: names of the joints that one does not see.
Bad faces are those that are imported or that a task of tags shows, bad figures those that no task asks for tags: what may be either is in both.
The revision is the sha256 of what the two tables hold.
"""

import argparse
import csv
import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from genga import tags
from genga.door import run
from genga.params import LabelFaces, load_params
from genga.skeleton import JOINTS, to_vector
from genga.store import Store
from genga.tags import ORIGINS, Labels
from labeling.agreement import HIDDEN, POSE, TIES, Answer, Key, answers_of, bad_pictures, scores, settle, word
from labeling.exports import Annotation, read_annotations, read_exports
from labeling.keypoints import Problem

log = logging.getLogger(__name__)

COORDINATES = [f"{axis}{joint_idx}" for joint_idx in range(len(JOINTS)) for axis in "xy"]
POSE_COLUMNS = {"id": pa.string(), **dict.fromkeys(COORDINATES, pa.float64()), "hidden": pa.list_(pa.string()), "origin": pa.string()}


def labels(params: LabelFaces, imported_dir: Path, sample_dir: Path, annotations_dir: Path, out_dir: Path) -> None:
    exports = read_annotations(annotations_dir)
    sample = read_exports([sample_dir / "annotations.json"])
    problems = exports.problems + sample.problems
    answers = answers_of(exports.annotations)
    human = _settle(answers, params, problems)
    drawn = _settle(answers_of(sample.annotations), params, problems)
    store = Store(imported_dir)
    imported = {} if params.human_only else _labels_of_imported(store, drawn)
    bad = bad_pictures(exports.annotations, params)
    merged = _merge({"human": human, "imported": imported, "drawn": drawn}, disputed=answers.keys() - human.keys())
    found = {key: value for key, value in merged.items() if key.picture_id not in set(bad)}
    tag_rows = sorted((*key, word(value), origin) for key, (value, origin) in found.items() if key.name not in (POSE, HIDDEN))
    poses = {key.picture_id: said for key, said in found.items() if key.name == POSE}
    pose_rows = sorted((id_, *to_vector(pose).tolist(), _hidden(found, id_), origin) for id_, (pose, origin) in poses.items())
    revision = {
        "revision": hashlib.sha256(json.dumps([tag_rows, pose_rows]).encode()).hexdigest(),
        "counts": {
            "pictures": len({key.picture_id for key in found}),
            "tags": len(tag_rows),
            "poses": len(pose_rows),
            "problems": len(problems),
            "bad": len(bad),
        },
        "origins": _count_origins(found),
        "agreement": scores(answers, params.pose_tolerance),
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    _write_table(out_dir / "tags.parquet", tag_rows, dict.fromkeys(("id", "name", "value", "origin"), pa.string()))
    _write_table(out_dir / "poses.parquet", pose_rows, POSE_COLUMNS)
    _write_csv(out_dir / "problems.csv", [("task", "id", "reason"), *sorted(problems)])
    for name, ids in zip(("faces", "figures"), _by_kind(bad, exports.annotations, set(store.column("id"))), strict=True):
        _write_csv(out_dir / f"bad-{name}.csv", [("id",), *((id_,) for id_ in ids)])
    (out_dir / "revision.json").write_text(json.dumps(revision, indent=1) + "\n", encoding="utf-8")
    log.info("labels: %d tags, %d poses, %d problems", len(tag_rows), len(pose_rows), len(problems))


def _by_kind(bad: Sequence[str], annotations: Sequence[Annotation], imported: Set[str]) -> tuple[list[str], list[str]]:
    """Faces and figures. An imported answer may come without the tags that were asked for, or with a list of none (labeling/formats.py)."""
    offered = {said.picture_id for said in annotations if said.asks is not None}
    asked = {said.picture_id for said in annotations if said.asks}
    return [id_ for id_ in bad if id_ in imported or id_ in offered], [id_ for id_ in bad if id_ not in asked]


def _hidden(found: Mapping[Key, tuple[Any, str]], picture_id: str) -> list[str]:
    hidden, _ = found.get(Key(picture_id, HIDDEN), (frozenset(), ""))
    return sorted(hidden, key=JOINTS.index)


def _merge(by_origin: Mapping[str, Mapping[Key, Any]], disputed: Set[Key]) -> dict[Key, tuple[Any, str]]:
    """Question -> value and origin, the stronger origin over the weaker. What people dispute stays open."""
    found = {key: (value, origin) for origin in reversed(ORIGINS) for key, value in by_origin[origin].items()}
    return {key: value for key, value in found.items() if key not in disputed}


def _settle(answers: Mapping[Key, Sequence[Answer]], params: LabelFaces, problems: list[Problem]) -> dict[Key, Any]:
    """One value for each question. Ties are listed, with what counts nevertheless."""
    settled = {}
    for key, given in answers.items():
        found = settle(key.name, given, params.pose_tolerance, params.ties)
        if found.dispute and found.rule in TIES:
            problems.append(Problem(given[-1].task, key.picture_id, f"{key.name}: {found.dispute}; {found.rule}"))
        if found.value is not None:
            settled[key] = found.value
    return settled


def _labels_of_imported(imported: Store, drawn: Mapping[Key, Any]) -> dict[Key, Any]:
    """The labels that came with the data. The sample is imported too: what is drawn stays drawn."""
    found: dict[Key, Any] = {}
    for id_, text in zip(imported.column("id"), imported.column("labels"), strict=True):
        known: Labels = tags.check(json.loads(text or "{}"))
        found |= {key: value for name, value in known.items() if (key := Key(id_, name)) not in drawn}
    return found


def _count_origins(found: Mapping[Key, tuple[Any, str]]) -> dict[str, dict[str, int]]:
    """Tag group, flag or "pose" -> origin -> number of labels."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for key, (_, origin) in found.items():
        counts[key.name][origin] += 1
    return {name: dict(sorted(by_origin.items())) for name, by_origin in sorted(counts.items()) if name != HIDDEN}


def _write_table(path: Path, rows: Sequence[tuple[Any, ...]], columns: Mapping[str, pa.DataType]) -> None:
    values = zip(*rows, strict=True) if rows else [[] for _ in columns]
    pq.write_table(pa.table([list(column) for column in values], schema=pa.schema(list(columns.items()))), path)


def _write_csv(path: Path, rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


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
