"""Which face a label speaks of."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genga.store import Store, StoreWriter
from genga.tags import groups
from models.targets import UNKNOWN, names, read_labels


def faces(store_dir: Path, *rows: tuple[str, str, str], copies: Mapping[str, Sequence[str]] | None = None) -> Store:
    """`rows`: id, crop_id and imported_id; `copies`: id -> what its near duplicates were called."""
    with StoreWriter(store_dir, {"4": (4, 4, 3)}) as writer:
        about = [dict(zip(("id", "crop_id", "imported_id"), row, strict=True)) | {"source": "a test", "licence": "unknown"} for row in rows]
        writer.append(about, **{"4": np.zeros((len(rows), 4, 4, 3), np.uint8)})
        if copies is not None:
            writer.fill("duplicate_ids", [json.dumps(copies.get(id_, [])) for id_, *_ in rows])
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


def test_what_is_said_of_a_near_duplicate_is_said_of_the_face_that_stays(tmp_path: Path) -> None:
    store = faces(tmp_path / "faces", *((id_, id_, id_) for id_ in "abcz"), copies={"b": ["a2"], "c": ["c2"], "z": ["z2", "square-z2"]})
    said = [("a2", "red", "imported"), ("c", "green", "imported"), ("c2", "blue", "human"), ("square-z2", "black", "imported")]
    said += [("z", "white", "imported"), ("a", "pink", "drawn")]
    ids, values, origins = zip(*said, strict=True)
    columns = {"id": ids, "name": ["hair_color"] * len(said), "value": values, "origin": origins}
    pq.write_table(pa.table({name: list(column) for name, column in columns.items()}), tmp_path / "tags.parquet")
    found = read_labels(tmp_path, store)
    colours = found.targets[:, names().index("hair_color")]
    assert [groups()["hair_color"][value] for value in colours] == ["pink", "red", "blue", "white"]
    assert found.origins[:, names().index("hair_color")].tolist() == [2, 1, 0, 1]
