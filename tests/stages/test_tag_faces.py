"""Every face gets a probability for every tag, and what people said stands."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from faces_and_labels import write_faces, write_labels

from genga.errors import CheckpointError, DataError
from genga.params import TagFaces
from genga.store import Store
from genga.tags import column_slices, columns, groups
from models.export import read_card, save_model
from models.networks import build
from models.targets import names
from stages.tag_faces import tag_faces

MODEL = {"arch": "tagger", "resolution": 32, "width": 8, "dropout": 0.0, "mirrored": False}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    write_faces(tmp_path / "faces", 7, seed=0)
    write_tagger(tmp_path / "tagger", columns())
    return tmp_path


def write_tagger(tagger_dir: Path, learned: list[str]) -> None:
    torch.manual_seed(0)
    card = {"family": "tagger", "model": MODEL, "columns": learned, "temperatures": dict.fromkeys(names(), 1.0), "sure": {}}
    save_model(tagger_dir, build(MODEL), card)


def tagged(world: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """ids, probabilities (N, C), origins (N, C)."""
    tag_faces(TagFaces(batch_size=3), world / "faces", world / "labels", world / "tagger", world / "tagged")
    table = pq.read_table(world / "tagged" / "tags.parquet")
    shape = (-1, len(columns()))
    assert table["column"].to_pylist()[: len(columns())] == columns()
    return (
        table["id"].to_pylist()[:: len(columns())],
        table["probability"].to_numpy().reshape(shape),
        np.array(table["origin"].to_pylist()).reshape(shape),
    )


def test_without_labels_every_probability_is_the_models(world: Path) -> None:
    write_labels(world / "labels", [])
    ids, found, origins = tagged(world)
    assert ids == Store(world / "faces").column("id")
    assert (origins == "model").all()
    assert ((found > 0) & (found < 1)).all()
    for name in groups():
        assert np.allclose(found[:, column_slices()[name]].sum(axis=1), 1, atol=1e-5)


def test_what_people_said_stands_then_what_came_along_then_the_model(world: Path) -> None:
    ids = Store(world / "faces").column("id")
    hair, glasses = column_slices()["hair_color"], columns().index("glasses")
    write_labels(
        world / "labels",
        [
            (ids[0], "hair_color", "pink", "imported"),
            (ids[0], "hair_color", "blue", "human"),
            (f"cut-out-as-{ids[1]}", "hair_color", "green", "imported"),
            (ids[2], "glasses", "false", "human"),
            ("another picture", "hair_color", "red", "human"),
        ],
    )
    _, found, origins = tagged(world)
    assert columns()[int(found[0, hair].argmax()) + hair.start] == "hair_color=blue"
    assert sorted(found[0, hair])[-2:] == [0, 1]
    assert columns()[int(found[1, hair].argmax()) + hair.start] == "hair_color=green"
    assert found[2, glasses] == 0
    assert [origins[row, hair.start] for row in (0, 1, 2)] == ["human", "imported", "model"]
    assert (origins[2, glasses], origins[0, glasses]) == ("human", "model")
    assert (origins[3:] == "model").all()


def test_each_word_says_whose_it_is_and_the_models_which_model(world: Path) -> None:
    ids = Store(world / "faces").column("id")
    write_labels(world / "labels", [(ids[0], "glasses", "true", "human")])
    tagged(world)
    table = pq.read_table(world / "tagged" / "tags.parquet").to_pylist()
    versions = {(row["id"], row["column"]): row["version"] for row in table}
    sha256 = read_card(world / "tagger")["weights_sha256"]
    assert versions.pop((ids[0], "glasses")) is None
    assert set(versions.values()) == {f"tagger/{sha256[:12]}"}


def test_a_tagger_of_another_vocabulary_is_refused(world: Path) -> None:
    write_labels(world / "labels", [])
    write_tagger(world / "tagger", columns()[::-1])
    with pytest.raises(CheckpointError, match="another list of tags"):
        tagged(world)


def test_a_tagger_of_before_a_new_tag_is_refused_as_that(world: Path, add_a_tag: Callable[[], None]) -> None:
    write_labels(world / "labels", [])
    add_a_tag()
    with pytest.raises(CheckpointError, match="another list of tags"):
        tagged(world)


def test_faces_not_prepared_at_the_taggers_size_are_asked_for(world: Path) -> None:
    write_labels(world / "labels", [])
    write_faces(world / "faces", 3, seed=0, size=16)
    with pytest.raises(DataError, match="has no pictures of size 32, it has 16"):
        tagged(world)
