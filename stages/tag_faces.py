"""every prepared face -> a probability for every tag; where people or the data have spoken, their word stands.

reads   data/faces/prepared/   store;   data/labels/;   weights/tagger/
writes  data/faces/tagged/     tags.parquet: id, column, probability, origin (human, imported, drawn or model), version (`tagger/` and the start of
                               its weights' sha256, where the origin is the model); a row per face and column
"""

import argparse
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from genga.door import run
from genga.params import TagFaces, load_params
from genga.store import Store
from genga.tags import ORIGINS, check_tagger, column_slices, columns, groups
from models.export import load_model, read_card
from models.metrics.tags import tag_logits
from models.networks.tagger import probabilities
from models.targets import UNKNOWN, Labelled, names, read_labels

MODEL = len(ORIGINS)  # the origin after those of labels


def tag_faces(params: TagFaces, prepared_dir: Path, labels_dir: Path, tagger_dir: Path, out_dir: Path) -> None:
    faces = Store(prepared_dir)
    check_tagger(read_card(tagger_dir), str(tagger_dir))
    tagger, card = load_model(tagger_dir)
    pictures = faces.images(cast(Any, tagger).resolution)
    logits = tag_logits(tagger, pictures, np.arange(len(faces)), batch_size=params.batch_size, precision="auto", what="tag faces")
    found, origins = spoken_for(probabilities(logits, card["temperatures"]).numpy(), read_labels(labels_dir, faces))

    out_dir.mkdir(parents=True, exist_ok=True)
    per_face = len(columns())
    table = pa.table(
        {
            "id": _repeated(np.repeat(np.arange(len(faces)), per_face), faces.column("id")),
            "column": _repeated(np.tile(np.arange(per_face), len(faces)), columns()),
            "probability": pa.array(found.ravel(), pa.float32()),
            "origin": _repeated(origins.ravel(), [*ORIGINS, "model"]),
            "version": _repeated(np.zeros(origins.size, np.int64), [f"tagger/{card['weights_sha256'][:12]}"], origins.ravel() != MODEL),
        }
    )
    pq.write_table(table, out_dir / "tags.parquet")


def spoken_for(found: NDArray[np.float32], labelled: Labelled) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities (N, C) with labels in their place, 1 or 0, and the origin of each."""
    found, origins = found.copy(), np.full(found.shape, MODEL)
    for at, name in enumerate(names()):
        known = labelled.targets[:, at] != UNKNOWN
        values, place = labelled.targets[known, at], column_slices()[name]
        found[known, place] = np.eye(place.stop - place.start)[values] if name in groups() else values[:, None]
        origins[known, place] = labelled.origins[known, at][:, None]
    return found, origins


def _repeated(idxs: NDArray[np.int64], words: list[str], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Words by number: a few megabytes where the words themselves would be hundreds."""
    return pa.DictionaryArray.from_arrays(pa.array(idxs, pa.int32(), mask=missing), pa.array(words, pa.string()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("prepared_dir", "labels_dir", "tagger_dir", "out_dir"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    tag_faces(load_params().tag_faces, args.prepared_dir, args.labels_dir, args.tagger_dir, args.out_dir)


if __name__ == "__main__":
    run(main)
