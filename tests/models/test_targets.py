"""Which face a label speaks of."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genga.store import Store, StoreWriter
from genga.tags import groups
from models.targets import UNKNOWN, names, read_labels


def faces(store_dir: Path, *rows: tuple[str, str, str]) -> Store:
    """`rows`: id, crop_id and imported_id."""
    with StoreWriter(store_dir, {"4": (4, 4, 3)}) as writer:
        about = [dict(zip(("id", "crop_id", "imported_id"), row, strict=True)) | {"source": "a test", "licence": "unknown"} for row in rows]
        writer.append(about, **{"4": np.zeros((len(rows), 4, 4, 3), np.uint8)})
    return Store(store_dir)


def test_labels_of_a_picture_are_those_of_its_only_face_and_of_no_face_of_several(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = faces(tmp_path / "faces", ("a", "square-a", "a"), ("left", "left", "b"), ("right", "right", "b"), ("c", "square-c", "c"))
    said = [("a", "red"), ("b", "green"), ("right", "blue"), ("square-c", "black"), ("gone", "red")]
    columns = {"id": [id_ for id_, _ in said], "name": ["hair_color"] * 5, "value": [value for _, value in said], "origin": ["human"] * 5}
    pq.write_table(pa.table(columns), tmp_path / "tags.parquet")
    with caplog.at_level(logging.WARNING):
        found = read_labels(tmp_path, store).targets[:, names().index("hair_color")]
    assert [None if value == UNKNOWN else groups()["hair_color"][value] for value in found] == ["red", None, "blue", "black"]
    assert "labels of 1 pictures with several faces are left out" in caplog.text
