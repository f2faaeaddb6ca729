"""The drawn sample: a store whose labels are the truth, and the same again from the same seed."""

import json
from pathlib import Path

import numpy as np
import pytest

import stages.processes
from drawing.face import random_labels
from genga import tags
from genga.errors import ParamsError
from genga.params import DrawFaces, load_params, parse_params
from genga.store import Store, picture_id
from labeling.exports import read_exports
from stages.draw_faces import draw_faces, face

REPO = Path(__file__).parents[2]
PARAMS = DrawFaces(count=70, size=48, seed=2)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("faces") / "sample"
    draw_faces(PARAMS, out_dir)
    return out_dir


def test_the_store_has_what_was_asked_for(sample: Path) -> None:
    store = Store(sample)
    pictures = store.images(48)
    assert pictures.shape == (70, 48, 48, 3)
    assert store.column("id") == [picture_id(picture) for picture in pictures]
    assert len(set(store.column("id"))) == len(set(store.column("name"))) == 70
    assert set(store.column("width")) == set(store.column("height")) == {48}
    assert store.terms() == {"licences": ["CC0-1.0"], "sources": ["drawn by Genga"]}
    assert {path.name for path in sample.iterdir()} == {"images-48.npy", "manifest.parquet", "annotations.json"}


def test_labels_are_in_the_vocabulary_and_say_what_was_drawn(sample: Path) -> None:
    for face_idx, text in enumerate(Store(sample).column("labels")):
        assert tags.check(json.loads(text)) == random_labels(np.random.default_rng((PARAMS.seed, face_idx)))


def test_annotations_are_a_label_studio_export_of_the_same_labels(sample: Path) -> None:
    store, exports = Store(sample), read_exports([sample / "annotations.json"])
    assert exports.problems == []
    truth = dict(zip(store.column("id"), map(json.loads, store.column("labels")), strict=True))
    assert {annotation.picture_id: annotation.labels for annotation in exports.annotations} == truth


def test_any_number_of_processes_gives_the_same_bytes(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages.processes, "num_cores", lambda: 3)
    draw_faces(PARAMS, tmp_path / "sample")
    for path in sample.iterdir():
        assert (tmp_path / "sample" / path.name).read_bytes() == path.read_bytes()


def test_a_face_depends_on_its_number_and_the_seed_alone(sample: Path) -> None:
    manifest = Store(sample).manifest.to_pylist()
    for face_idx in (0, 33, 69):
        row, picture = face(PARAMS.seed, PARAMS.size, face_idx)
        assert row == manifest[face_idx]
        assert (picture == Store(sample).images(48)[face_idx]).all()
        assert face(PARAMS.seed + 1, PARAMS.size, face_idx)[0]["id"] != row["id"]


def test_an_error_leaves_no_folder_that_looks_complete(tmp_path: Path) -> None:
    (tmp_path / "sample.partial").write_text("a file stands in the way")
    with pytest.raises(OSError):  # noqa: PT011
        draw_faces(PARAMS, tmp_path / "sample")
    assert not (tmp_path / "sample").exists()


@pytest.mark.parametrize(("name", "value"), [("count", 0), ("size", 16), ("size", 4096), ("seed", -1), ("size", 64.5)])
def test_wrong_values_are_named(name: str, value: float) -> None:
    document = load_params(REPO / "params.yaml").model_dump(mode="json")
    document["draw_faces"][name] = value
    with pytest.raises(ParamsError, match=f"draw_faces.{name}"):
        parse_params(document, "params.yaml")
