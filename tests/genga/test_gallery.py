"""The nearest figures, against brute force in float64."""

from pathlib import Path

import numpy as np
import pytest

from genga.errors import DataError
from genga.gallery import Gallery
from genga.skeleton import mirror, normalise
from genga.store import StoreWriter

rng = np.random.default_rng(0)
POSES = rng.random((50, 11, 2))


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    rows = [{"id": f"{row:064d}", "source": "a test", "licence": "CC0-1.0", "pose": pose.ravel().tolist()} for row, pose in enumerate(POSES)]
    with StoreWriter(tmp_path / "gallery", {"16": (16, 16)}) as writer:
        writer.append(rows, **{"16": np.arange(50, dtype=np.uint8)[:, None, None].repeat(16, 1).repeat(16, 2)})
    return Gallery(tmp_path / "gallery")


def rms(pose: np.ndarray, others: np.ndarray) -> np.ndarray:
    distances: np.ndarray = np.sqrt(((normalise(others) - normalise(pose)) ** 2).sum(axis=2).mean(axis=1))
    return distances


def test_nearest_is_what_brute_force_finds(gallery: Gallery) -> None:
    for pose in rng.random((40, 11, 2)):
        truth = rms(pose, POSES)
        found = gallery.nearest(pose, 5)
        assert found.rows.tolist() == np.argsort(truth)[:5].tolist()
        assert np.allclose(found.distances, np.sort(truth)[:5], atol=1e-12)
        assert not found.mirrored.any()


def test_a_figure_of_the_gallery_finds_itself_at_distance_0(gallery: Gallery) -> None:
    found = gallery.nearest(POSES[17], 1)
    assert found.rows[0] == 17
    assert found.distances[0] < 1e-9


def test_where_and_how_large_a_pose_stands_makes_no_difference(gallery: Gallery) -> None:
    here, there = gallery.nearest(POSES[3], 50), gallery.nearest(POSES[3] * 0.2 + [0.7, -3], 50)
    assert (here.rows == there.rows).all()
    assert np.allclose(here.distances, there.distances, atol=1e-9)


def test_mirroring_finds_the_flipped_figure_and_says_so(gallery: Gallery) -> None:
    flipped = mirror(POSES[8])
    assert gallery.nearest(flipped, 1).distances[0] > 0.01
    found = gallery.nearest(flipped, 2, mirroring=True)
    assert found.rows[0] == 8
    assert found.distances[0] < 1e-9
    assert found.mirrored[0]
    both = np.minimum(rms(flipped, POSES), rms(POSES[8], POSES))
    assert found.rows.tolist() == np.argsort(both)[:2].tolist()


def test_more_than_there_are_gives_all_nearest_first(gallery: Gallery) -> None:
    found = gallery.nearest(POSES[0], 1000)
    assert sorted(found.rows.tolist()) == list(range(50))
    assert (np.diff(found.distances) >= 0).all()


def test_a_row_has_its_picture(gallery: Gallery) -> None:
    assert len(gallery) == 50
    assert (gallery.picture(31) == np.full((16, 16), 31)).all()


@pytest.mark.parametrize("pose", [[[0.1, 0.2]] * 10, [0.5] * 22, [[[0.1, 0.2]] * 11]])
def test_a_pose_of_another_shape_is_refused(gallery: Gallery, pose: list) -> None:
    with pytest.raises(DataError, match=r"expected \(11, 2\)"):
        gallery.nearest(pose, 1)


def test_a_joint_that_is_no_number_is_refused(gallery: Gallery) -> None:
    pose = POSES[0].copy()
    pose[4, 1] = np.nan
    with pytest.raises(DataError, match="finite"):
        gallery.nearest(pose, 1)
