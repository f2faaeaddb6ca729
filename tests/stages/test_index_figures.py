"""From drawn mannequins to a gallery that is found by pose."""

from pathlib import Path

import numpy as np
import pytest

from genga.errors import DataError
from genga.gallery import Gallery
from genga.params import IndexFigures
from genga.store import Store, StoreWriter
from stages.index_figures import index_figures

rng = np.random.default_rng(0)
COUNT = 300


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    rows = [
        {
            "id": f"{row:064x}",
            "source": "a test",
            "licence": "CC0-1.0",
            "split": "train",
            "kind": ("stand", "run")[row % 2],
            "pose": rng.random(22).tolist(),
            "visible": [True] * 11,
        }
        for row in range(COUNT)
    ]
    with StoreWriter(tmp_path / "figures" / "mannequins", {"48": (48, 48), "32": (32, 32)}) as writer:
        writer.append(rows, **{size: rng.integers(0, 256, (COUNT, int(size), int(size)), dtype=np.uint8) for size in ("48", "32")})
    return tmp_path / "figures"


def test_every_figure_is_found_by_its_own_pose_with_its_own_picture(figures: Path, tmp_path: Path) -> None:
    index_figures(IndexFigures(size=32), figures, tmp_path / "gallery")
    gallery, mannequins = Gallery(tmp_path / "gallery"), Store(figures / "mannequins")
    assert len(gallery) == COUNT
    for row in (0, 128, 256, COUNT - 1):
        found = gallery.nearest(gallery.poses[row], 1)
        assert found.rows.tolist() == [row]
        assert found.distances[0] < 1e-9
        assert (gallery.picture(row) == mannequins.images(32)[row]).all()
    assert gallery.store.manifest.column_names == ["id", "source", "licence", "kind", "pose"]
    assert gallery.store.column("kind")[:3] == ["stand", "run", "stand"]
    assert gallery.store.column("id") == mannequins.column("id")
    assert gallery.store.terms() == {"licences": ["CC0-1.0"], "sources": ["a test"]}


def test_the_size_says_which_pictures_are_shown(figures: Path, tmp_path: Path) -> None:
    index_figures(IndexFigures(size=48), figures, tmp_path / "gallery")
    assert Gallery(tmp_path / "gallery").picture(7).shape == (48, 48)


def test_a_size_that_was_not_drawn_is_refused_and_leaves_nothing(figures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures of size 99, it has 32, 48"):
        index_figures(IndexFigures(size=99), figures, tmp_path / "gallery")
    assert not (tmp_path / "gallery").exists()


def test_a_figure_without_a_size_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    row = {"id": "c0ffee", "source": "own.json", "licence": "CC0-1.0", "kind": "own", "pose": [0.3, 0.7] * 11}
    with StoreWriter(tmp_path / "figures" / "mannequins", {"32": (32, 32)}) as writer:
        writer.append([row], **{"32": np.zeros((1, 32, 32), dtype=np.uint8)})
    with pytest.raises(DataError, match=r"figure c0ffee of own.json has all its joints in one place"):
        index_figures(IndexFigures(size=32), tmp_path / "figures", tmp_path / "gallery")
    assert not (tmp_path / "gallery").exists()


def test_without_figures_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dvc repro"):
        index_figures(IndexFigures(size=32), tmp_path, tmp_path / "gallery")


def test_a_second_run_gives_the_same_bytes(figures: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        index_figures(IndexFigures(size=32), figures, tmp_path / name)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
