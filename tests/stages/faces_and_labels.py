"""Faces that are one colour each, with noise, and labels that say which."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from genga.store import StoreWriter, picture_id
from genga.tags import Labels, flags

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
TERMS = {"source": "a test", "licence": "CC0-1.0"}
SPLITS = ("train", "train", "train", "train", "val", "test")


def write_faces(store_dir: Path, count: int, seed: int, size: int = 32) -> list[tuple[str, str]]:
    """A store of `count` faces with their splits and, as a drawn sample has, the truth; returns the id and hair colour of each."""
    rng = np.random.default_rng(seed)
    hair = [list(COLOURS)[face_idx % len(COLOURS)] for face_idx in range(count)]
    pictures = np.stack([np.clip(rng.normal(COLOURS[colour], 30, (size, size, 3)), 0, 255) for colour in hair]).astype(np.uint8)
    ids = [picture_id(picture) for picture in pictures]
    rows = [
        {
            "id": id_,
            "imported_id": id_,
            "crop_id": f"cut-out-as-{id_}",
            "split": SPLITS[face_idx % len(SPLITS)],
            "labels": json.dumps(truth(colour, face_idx)),
            **TERMS,
        }
        for face_idx, (id_, colour) in enumerate(zip(ids, hair, strict=True))
    ]
    with StoreWriter(store_dir, {str(size): (size, size, 3)}) as writer:
        writer.append(rows, **{str(size): pictures})
    return list(zip(ids, hair, strict=True))


def truth(colour: str, face_idx: int) -> Labels:
    """Every flag is a yes on some faces and a no on others, every group has two values or more."""
    groups: Labels = {"hair_length": "long", "eye_color": "blue", "skin_tone": "fair"}
    if face_idx % 7 < 3:
        groups = {"hair_length": "short", "eye_color": "red", "skin_tone": "tan"}
    return {"hair_color": colour, "glasses": face_idx % 2 == 0, **groups, **{flag: (face_idx + at) % 5 < 2 for at, flag in enumerate(flags()[1:])}}


def write_labels(labels_dir: Path, rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Rows of id, name, value, origin."""
    labels_dir.mkdir(parents=True, exist_ok=True)
    columns = list(zip(*rows, strict=True)) or [()] * 4
    table = pa.table({name: pa.array(column, pa.string()) for name, column in zip(("id", "name", "value", "origin"), columns, strict=True)})
    pq.write_table(table, labels_dir / "tags.parquet")
