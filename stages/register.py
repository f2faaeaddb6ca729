"""Trained folders -> versions in the registry, each the challenger of its family. The same content is registered once.

reads   weights/<family>/, data/directions/<family>/, data/gallery/, data/labels/revision.json, reports/metrics.json
writes  data/registry/registered.json   {family: {"version", "sha256", "metrics", "protocol"}}, and the registry itself
"""

import argparse
import json
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from genga.documents import read_json, write_json
from genga.door import run
from genga.families import GALLERY, trained_families
from genga.params import load_params
from genga.progress import progress
from genga.registry import Registry
from genga.release import copy_files
from genga.store import Store


def register(
    faces: Collection[str],
    weights_dir: Path,
    directions_dir: Path,
    gallery_dir: Path,
    labels_dir: Path,
    reports_dir: Path,
    registered_path: Path,
    registry: Registry,
) -> None:
    """`faces`: the families of train_face."""
    scores = read_json(reports_dir / "metrics.json")
    label_revision = read_json(labels_dir / "revision.json")["revision"]
    registered = {}
    for family, parts, data_id in progress(list(_candidates(faces, weights_dir, directions_dir, gallery_dir)), what="register", unit="families"):
        with tempfile.TemporaryDirectory() as folder:
            model_dir = Path(folder) / family
            for part_dir in parts:
                copy_files(part_dir, model_dir)
            score = scores.get(family, {"metrics": {}, "protocol": {}})
            facts = {"data_id": data_id, "label_revision": label_revision, "protocol": json.dumps(score["protocol"], sort_keys=True)}
            version = registry.register(family, model_dir, score["metrics"], facts)
        registered[family] = {"version": version.number, "sha256": version.sha256, **score}
    write_json(registered_path, registered)


def _candidates(faces: Collection[str], weights_dir: Path, directions_dir: Path, gallery_dir: Path) -> Iterator[tuple[str, list[Path], str]]:
    """family, the folders whose files make one version, data id."""
    for family in trained_families(weights_dir, faces):
        parts = [folder for folder in (weights_dir / family, directions_dir / family) if folder.is_dir()]
        yield family, parts, read_json(weights_dir / family / "card.json")["data"]["id"]
    yield GALLERY, [gallery_dir], Store(gallery_dir).data_id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("weights_dir", "directions_dir", "gallery_dir", "labels_dir", "reports_dir", "registered_path"):
        parser.add_argument(name, type=Path)
    register(load_params().train_face.keys(), **vars(parser.parse_args()), registry=Registry())


if __name__ == "__main__":
    run(main)
