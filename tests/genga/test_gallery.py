"""The nearest figures, against brute force in float64."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genga.errors import DataError
from genga.gallery import EVEN, Gallery, distance, fit
from genga.skeleton import MIRRORED, J, mirror
from genga.store import StoreWriter

rng = np.random.default_rng(0)
POSES = rng.random((50, 11, 2))
MANY = 6000  # enough that figures are left out by the first look


def make_gallery(gallery_dir: Path, poses: np.ndarray) -> Gallery:
    rows = [{"id": f"{row:064d}", "source": "a test", "licence": "CC0-1.0", "pose": pose.ravel().tolist()} for row, pose in enumerate(poses)]
    with StoreWriter(gallery_dir, {"16": (16, 16)}) as writer:
        writer.append(rows, **{"16": np.arange(len(rows), dtype=np.uint8)[:, None, None].repeat(16, 1).repeat(16, 2)})
    return Gallery(gallery_dir)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return make_gallery(tmp_path_factory.mktemp("few") / "gallery", POSES)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Figures of every kind of density: clusters of like ones, the same one twice, the same one elsewhere and smaller, one without a size."""
    centres = rng.random((MANY // 20, 11, 2))
    poses = np.concatenate([centres + rng.normal(0, noise, centres.shape) for noise in np.geomspace(1e-5, 0.3, 20)])
    poses[100:150] = poses[200:250]
    poses[300:350] = poses[400:450] * 0.25 + 0.5  # exact in binary: their distances are equal or nearly so
    poses[500] = 0.5
    return make_gallery(tmp_path_factory.mktemp("many") / "gallery", poses)


def brute_force(pose: np.ndarray, others: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The formula of the docstring, written on its own."""
    weights = confidence / confidence.sum()

    def fitted(poses: np.ndarray) -> np.ndarray:
        centred = poses - np.einsum("j,...jx->...x", weights, poses)[..., None, :]
        radius = np.sqrt(np.einsum("j,...jx->...", weights, centred**2))[..., None, None]
        return np.divide(centred, radius, out=np.zeros_like(centred), where=radius > 1e-9)

    a, b = fitted(pose), fitted(others)
    cos = np.einsum("j,jx,njx->n", weights, a, b)
    near = np.sqrt(np.einsum("j,njx->n", weights, (a - b) ** 2))
    return np.where(cos > 0.5, near, np.sqrt(2 - 2 * cos))


def random_query() -> tuple[np.ndarray, np.ndarray]:
    """Now a pose like none, now one near a figure, anywhere and of any size; confidences from none to full."""
    pose = rng.random((11, 2)) if rng.random() < 0.5 else POSES[rng.integers(50)] + rng.normal(0, 0.02, (11, 2))
    confidence = rng.random(11) ** rng.choice([0.2, 1, 4]) * (rng.random(11) > 0.2)
    confidence[rng.integers(11)] += 0.1
    return pose * rng.uniform(0.01, 2) + rng.uniform(-1, 1, 2), confidence


@pytest.mark.parametrize("mirroring", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_nearest_is_what_brute_force_finds(many: Gallery, mirroring: bool, weighted: bool) -> None:
    for _ in range(100):
        pose, confidence = random_query()
        if rng.random() < 0.3:
            pose = many.poses[rng.integers(MANY)] + rng.normal(0, 1e-3, (11, 2))
        truth = brute_force(pose, many.poses, confidence if weighted else np.ones(11))
        flipped = np.zeros(MANY, dtype=bool)
        if mirroring:
            other = brute_force(mirror(pose), many.poses, confidence[list(MIRRORED)] if weighted else np.ones(11))
            flipped = other < truth
            truth = np.minimum(truth, other)
        found = many.nearest(pose, 5, mirroring=mirroring, confidence=confidence if weighted else None)
        np.testing.assert_allclose(found.distances, np.sort(truth)[:5], atol=1e-12)
        np.testing.assert_allclose(truth[found.rows], found.distances, atol=1e-12)
        assert len(set(found.rows.tolist())) == 5
        assert found.mirrored.tolist() == flipped[found.rows].tolist()


def test_few_figures_are_looked_at_and_not_all(many: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    monkeypatch.setattr("genga.gallery.distance", lambda a, b, weights: looked_at.append(len(b)) or distance(a, b, weights))
    for _ in range(20):
        pose, confidence = random_query()
        many.nearest(pose, 5, mirroring=True, confidence=confidence + 0.2)
    assert np.median(looked_at) < MANY / 20


def test_of_figures_that_are_as_near_the_lower_row_comes_first(many: Gallery) -> None:
    for row in range(100, 150):
        found = many.nearest(many.poses[row], 2)
        assert found.rows.tolist() == [row, row + 100]
        assert found.distances[0] == found.distances[1] < 1e-9


def test_the_distance_is_that_of_the_joints_in_radii() -> None:
    pose = np.zeros((11, 2))
    pose[:4] = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    weights = np.array([1, 1, 1, 1, *[0] * 7]) / 4  # four joints on a circle of radius 1
    moved = pose.copy()
    moved[:4] *= np.sqrt([1.21, 1.21, 0.79, 0.79])[:, None]  # as wide as before
    apart = np.sqrt((0.1**2 + (1 - 0.79**0.5) ** 2) / 2)
    np.testing.assert_allclose(distance(pose, moved[None], weights), [apart])
    np.testing.assert_allclose(distance(pose, -pose[None], weights), [2])
    np.testing.assert_allclose(distance(pose, np.full((1, 11, 2), 0.3), weights), [2**0.5])
    np.testing.assert_allclose((fit(POSES, EVEN) ** 2).sum(axis=(1, 2)), 11)


def test_a_figure_of_the_gallery_finds_itself_at_distance_0(gallery: Gallery) -> None:
    found = gallery.nearest(POSES[17], 1)
    assert found.rows[0] == 17
    assert found.distances[0] < 1e-9


def test_where_and_how_large_a_pose_stands_makes_no_difference(gallery: Gallery) -> None:
    confidence = rng.random(11)
    for weights in (None, confidence):
        here, there = (gallery.nearest(pose, 50, confidence=weights) for pose in (POSES[3], POSES[3] * 0.2 + [0.7, -3]))
        assert (here.rows == there.rows).all()
        assert np.allclose(here.distances, there.distances, atol=1e-9)


def test_mirroring_finds_the_flipped_figure_and_says_so(gallery: Gallery) -> None:
    flipped = mirror(POSES[8])
    assert gallery.nearest(flipped, 1).distances[0] > 0.01
    found = gallery.nearest(flipped, 2, mirroring=True)
    assert found.rows[0] == 8
    assert found.distances[0] < 1e-9
    assert found.mirrored[0]


def test_the_confidence_of_a_flipped_pose_belongs_to_the_other_side(gallery: Gallery) -> None:
    flipped, confidence = mirror(POSES[8]), np.ones(11)
    flipped[J["l_wrist"]] += 5
    confidence[J["l_wrist"]] = 0
    found = gallery.nearest(flipped, 1, mirroring=True, confidence=confidence)
    assert (found.rows[0], found.mirrored[0]) == (8, True)
    assert found.distances[0] < 1e-9


def test_a_joint_left_out_may_lie_anywhere_and_an_unsure_one_matters_little(gallery: Gallery) -> None:
    pose, confidence = POSES[21].copy(), np.ones(11)
    pose[J["r_ankle"]] += [3, -1]
    confidence[J["r_ankle"]] = 0
    assert gallery.nearest(pose, 1).distances[0] > 0.3
    assert gallery.nearest(pose, 1, confidence=confidence).distances[0] < 1e-9
    confidence[J["r_ankle"]] = 1e-4
    found = gallery.nearest(pose, 1, confidence=confidence)
    assert found.rows[0] == 21 and 1e-4 < found.distances[0] < 0.2


def test_only_the_ratios_of_the_confidences_count(gallery: Gallery) -> None:
    pose, confidence = random_query()
    once, twice = gallery.nearest(pose, 50, confidence=confidence), gallery.nearest(pose, 50, confidence=1e-300 * confidence)
    assert (once.rows == twice.rows).all()
    np.testing.assert_allclose(once.distances, twice.distances)
    none, same = gallery.nearest(pose, 50), gallery.nearest(pose, 50, confidence=np.full(11, 0.3))
    assert (none.rows == same.rows).all() and (none.distances == same.distances).all()


@pytest.mark.parametrize("pose", [np.full((11, 2), 0.4), POSES[0]])
def test_without_a_shape_all_figures_are_as_far(many: Gallery, pose: np.ndarray) -> None:
    """One joint alone has no shape, nor have joints that lie in one place."""
    confidence = None if (pose == 0.4).all() else np.eye(11)[5]
    found = many.nearest(pose, 4, mirroring=True, confidence=confidence)
    assert found.rows.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found.distances, 2**0.5)


def test_more_than_there_are_gives_all_nearest_first(gallery: Gallery) -> None:
    found = gallery.nearest(POSES[0], 1000)
    assert sorted(found.rows.tolist()) == list(range(50))
    assert (np.diff(found.distances) >= 0).all()


def test_a_row_has_its_picture_and_what_is_known_of_it(gallery: Gallery) -> None:
    assert len(gallery) == 50
    assert (gallery.picture(31) == np.full((16, 16), 31)).all()
    assert gallery.store.manifest["id"][31].as_py() == f"{31:064d}"
    np.testing.assert_array_equal(gallery.poses, POSES)


@pytest.mark.parametrize("pose", [[[0.1, 0.2]] * 10, [0.5] * 22, [[[0.1, 0.2]] * 11]])
def test_a_pose_of_another_shape_is_refused(gallery: Gallery, pose: list) -> None:
    with pytest.raises(DataError, match=r"expected \(11, 2\)"):
        gallery.nearest(pose, 1)


def test_a_joint_that_is_no_number_is_refused(gallery: Gallery) -> None:
    pose = POSES[0].copy()
    pose[4, 1] = np.nan
    with pytest.raises(DataError, match="finite"):
        gallery.nearest(pose, 1)


@pytest.mark.parametrize(
    ("confidence", "message"),
    [
        ([1.0] * 10, r"confidences of shape \(10,\) were found, expected \(11,\)"),
        ([[1.0]] * 11, r"expected \(11,\): one for each of head"),
        ([0.0] * 11, "a confidence of 0 for every joint"),
        ([1.0] * 10 + [-0.1], "negative or not a finite number"),
        ([1.0] * 10 + [np.inf], "negative or not a finite number"),
        ([1.0] * 10 + [np.nan], "negative or not a finite number"),
    ],
)
def test_a_confidence_that_is_none_is_refused(gallery: Gallery, confidence: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        gallery.nearest(POSES[0], 1, confidence=confidence)


def test_a_store_whose_poses_are_short_of_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"21 numbers for 1 poses, expected 22 .* `dvc repro`"):
        make_gallery(tmp_path / "gallery", np.zeros((1, 21)))


def test_an_open_gallery_outlives_its_folder(tmp_path: Path) -> None:
    gallery = make_gallery(tmp_path / "gallery", POSES)
    shutil.rmtree(tmp_path / "gallery")
    assert (gallery.picture(7) == 7).all() and gallery.nearest(POSES[7], 1).rows[0] == 7
