"""Real faces with labels, ../shared/data/faces96.zip, as the stages take them in, and drawn ones; what several benches measure on."""

import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.real_poses import with_profiles
from genga.params import Params, parse_params
from stages.draw_faces import draw_faces
from stages.import_faces import import_faces
from stages.labels import labels
from stages.prepare_faces import prepare_faces

REAL = Path(os.environ.get("GENGA_SHARED", "../shared/data")) / "faces96.zip"
HELD_OUT = 0.2


def params_for(profile: str, changes: dict[str, dict[str, Any]]) -> Params:
    document = with_profiles(profile)
    for section, values in changes.items():
        document[section] |= values
    return parse_params(document, f"params.yaml with profiles/{profile}.yaml")


def take_in(params: Params, root: Path, source: Path | None) -> None:
    """`root` / sample, imported, faces and labels, of the archive or, where there is none, of the drawn sample."""
    if not (root / "sample").is_dir():
        draw_faces(params.draw_faces, root / "sample")
    import_faces(params.import_faces, source or root / "sample", root / "imported")
    (root / "annotations").mkdir(exist_ok=True)
    labels(params.labels, root / "imported", root / "sample", root / "annotations", root / "labels")
    prepare_faces(params.prepare_faces, root / "imported", root / "labels" / "bad-faces.csv", root / "faces")


def real_faces(profile: str, root: Path) -> Params:
    """faces96 with a fifth of it held out."""
    source = {"kind": "archive", "path": str(REAL)}
    params = params_for(profile, {"import_faces": {"source": source, "licence": "unknown", "origin": REAL.name}, "prepare_faces": {"test": HELD_OUT}})
    take_in(params, root, REAL)
    return params


def no_labels(root: Path) -> Path:
    """A folder of labels, as root / labels, in which nobody has said anything."""
    empty = root / "no-labels"
    empty.mkdir(exist_ok=True)
    pq.write_table(pq.read_table(root / "labels" / "tags.parquet").slice(0, 0), empty / "tags.parquet")
    return empty


def drawn_faces(profile: str, root: Path) -> Params:
    """The drawn sample, as the graph has it."""
    params = params_for(profile, {})
    take_in(params, root, None)
    return params
