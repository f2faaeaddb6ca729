import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from models.metrics import distance
from models.metrics.distance import Reference, compare, density_coverage, frechet, kid, near_identical, precision_recall


@pytest.fixture
def normal() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(400, 8))


def test_kid_and_frechet_are_those_of_torchmetrics(normal: np.ndarray) -> None:
    class AsTheyAre(nn.Module):
        num_features = 8

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features

    made = normal[::-1] * 1.3 + 0.2
    judges = KernelInceptionDistance(AsTheyAre(), subsets=1, subset_size=400), FrechetInceptionDistance(AsTheyAre())
    for judge in judges:
        judge.update(torch.from_numpy(normal).float(), real=True)
        judge.update(torch.from_numpy(made.copy()).float(), real=False)
    assert kid(normal, made) == pytest.approx(float(judges[0].compute()[0]), rel=1e-3)
    assert frechet(normal, made) == pytest.approx(float(judges[1].compute()), rel=1e-3)


def test_the_same_set_is_nearer_than_a_shifted_one_and_a_shifted_one_nearer_than_a_far_one(normal: np.ndarray) -> None:
    other = np.random.default_rng(1).normal(size=(400, 8))
    for measure in (kid, frechet):
        near, shifted, far = (measure(normal, other + shift) for shift in (0, 0.5, 2))
        assert near < shifted < far
    assert kid(normal, other) == pytest.approx(0, abs=0.02)


def test_the_frechet_distance_of_two_known_gaussians_is_the_one_by_hand() -> None:
    points = np.random.default_rng(0).normal(size=(200_000, 2))
    # |m|^2 + sum (s1 - s2)^2 = 9 + (1 - 2)^2 + (1 - 3)^2
    assert frechet(points, points[::-1] * [2, 3] + [3, 0]) == pytest.approx(14, rel=0.02)


def test_the_scale_of_the_features_does_not_matter(normal: np.ndarray) -> None:
    made = np.random.default_rng(1).normal(size=(400, 8)) + 0.3
    small, large = (compare(Reference.of(normal * factor), made * factor) for factor in (1e-3, 1e3))
    assert small == pytest.approx(large, rel=1e-6)


def test_a_feature_that_never_moves_says_nothing(normal: np.ndarray) -> None:
    made = np.random.default_rng(1).normal(size=(400, 8))
    dead = np.concatenate([normal, np.full((400, 1), 3.0)], axis=1)
    noisy = np.concatenate([made, np.random.default_rng(2).normal(size=(400, 1))], axis=1)
    scores = compare(Reference.of(dead), noisy)
    assert np.isfinite(list(scores.values())).all()
    assert scores["fd"] == pytest.approx(compare(Reference.of(normal), made)["fd"], rel=1e-6)


def test_a_collapsed_set_shows_in_recall_and_in_near_identical_samples(normal: np.ndarray) -> None:
    healthy = np.random.default_rng(1).normal(size=(400, 8))
    collapsed = np.repeat(normal[:4], 100, axis=0) + np.random.default_rng(2).normal(size=(400, 8)) * 0.01
    assert near_identical(normal, healthy) < 0.05
    assert near_identical(normal, collapsed) == 1
    assert near_identical(np.concatenate([normal, normal[:50]]), collapsed) == 1  # pictures that are there twice
    assert near_identical(np.ones((5, 8)), collapsed) == 0
    assert min(precision_recall(normal, healthy)) > 0.75
    precision, recall = precision_recall(normal, collapsed)
    assert precision == 1 and recall < 0.1


def test_pictures_unlike_the_real_ones_have_no_precision(normal: np.ndarray) -> None:
    precision, recall = precision_recall(normal, normal[::-1] + 50)
    assert precision == 0 and recall == 0


def test_density_and_coverage_by_hand() -> None:
    real = np.arange(20.0)[:, None]  # in a row: inside, the fifth neighbour is 3 away
    made = np.array([[10.0], [10.0], [40.0]])
    density, coverage = density_coverage(real, made)
    assert density == pytest.approx(2 * 7 / (3 * 5))  # the real ones from 7 to 13 have 10 within reach, none has 40
    assert coverage == pytest.approx(7 / 20)


def test_one_outlier_among_the_real_ones_does_not_make_everything_precise(normal: np.ndarray) -> None:
    """What density was made for: an outlier's wide neighbourhood holds whatever is made."""
    real = np.concatenate([normal, np.full((1, 8), 40.0)])
    made = np.random.default_rng(1).normal(size=(400, 8)) + 8
    assert precision_recall(real, made)[0] > 0.9
    assert density_coverage(real, made)[0] < 0.3


def test_the_same_kind_of_set_is_as_dense_and_covers_all_and_a_collapsed_one_covers_little(normal: np.ndarray) -> None:
    density, coverage = density_coverage(normal, np.random.default_rng(1).normal(size=(400, 8)))
    assert density == pytest.approx(1, abs=0.15) and coverage > 0.9
    assert density_coverage(normal, np.repeat(normal[:4], 100, axis=0))[1] < 0.2


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
def test_pairs_in_blocks_give_the_numbers_of_all_pairs_at_once(normal: np.ndarray, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    made = np.random.default_rng(1).normal(size=(150, 8)) * 0.8 + 0.3
    made[:20] = made[20:40] + 1e-3
    real, n, m = normal[:190], 190, 150

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / 8 + 1) ** 3

    def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(a[:, None] - b[None], axis=2)

    def radii(points: np.ndarray, neighbours: int) -> np.ndarray:
        return np.sort(apart(points, points), axis=1)[:, neighbours]

    def closest(points: np.ndarray) -> np.ndarray:
        return (apart(points, points) + np.diag(np.full(len(points), np.inf))).min(axis=1)

    within = [(kernel(each, each).sum() - np.trace(kernel(each, each))) / (len(each) * (len(each) - 1)) for each in (real, made)]
    near, dense = apart(real, made), apart(real, made) <= radii(real, 5)[:, None]
    monkeypatch.setattr(distance, "BLOCK", block)
    assert kid(real, made) == pytest.approx(sum(within) - 2 * kernel(real, made).mean(), rel=1e-9)
    expected = (near <= radii(real, 3)[:, None]).any(axis=0).mean(), (near <= radii(made, 3)[None]).any(axis=1).mean()
    assert precision_recall(real, made) == pytest.approx(expected)
    assert density_coverage(real, made) == pytest.approx((dense.sum() / m / 5, dense.any(axis=1).sum() / n))
    assert near_identical(real, made) == pytest.approx((closest(made) < np.quantile(closest(real), 0.01)).mean())
    assert near_identical(real, made) >= 40 / 150


@pytest.mark.parametrize("measure", [kid, precision_recall, density_coverage, near_identical])
def test_no_measure_holds_all_pairs_at_once(monkeypatch: pytest.MonkeyPatch, measure: Callable[..., object]) -> None:
    real, made = np.random.default_rng(0).normal(size=(2, 1500, 8))
    monkeypatch.setattr(distance, "BLOCK", 100)
    tracemalloc.start()
    try:
        measure(real, made)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6 * 100 * 1500 * 8, "a few blocks of pairs; all of them are 15"


def test_shares_of_neighbours_are_those_of_sets_of_one_size() -> None:
    rng = np.random.default_rng(0)
    reference, made = Reference.of(rng.normal(size=(300, 4))), rng.normal(size=(60, 4))
    whole = compare(reference, made)
    few = compare(Reference(reference.features[:60], reference.mean, reference.scale), made)
    shares = ("precision", "recall", "density", "coverage", "near_identical")
    assert [whole[name] for name in shares] == [few[name] for name in shares]
