import tracemalloc
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from models.metrics.fidelity import psnr, sharpness, sharpness_error, ssim
from models.metrics.sampling import Sampling
from models.metrics.scores import score_upscaler

Measure = Callable[[np.ndarray, np.ndarray], float]


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (3, 8, 8, 3)).repeat(6, axis=1).repeat(6, axis=2).astype(np.uint8)
    return np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8), truth


def nchw(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).double()


def test_psnr_and_ssim_are_those_of_torchmetrics(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found, truth = map(nchw, pair)
    expected = peak_signal_noise_ratio(found, truth, data_range=255.0, reduction="elementwise_mean", dim=(1, 2, 3))
    assert psnr(*pair) == pytest.approx(float(expected), rel=1e-6)
    assert ssim(*pair) == pytest.approx(float(structural_similarity_index_measure(found, truth, data_range=255.0)), rel=1e-3)


def test_a_known_error_gives_the_psnr_by_hand() -> None:
    truth = np.full((1, 16, 16, 3), 100, dtype=np.uint8)
    assert psnr(truth + 10, truth) == pytest.approx(20 * np.log10(255 / 10))


def test_equal_pictures_are_as_good_as_it_gets(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert psnr(pair[1], pair[1]) == 100
    assert ssim(pair[1], pair[1]) == pytest.approx(1)


def test_sharpness_is_the_steepness_beside_that_of_the_truth() -> None:
    ramp = np.arange(0, 160, 10, dtype=np.uint8)[None, None, :, None].repeat(16, axis=1).repeat(3, axis=3)
    assert sharpness(ramp // 2, ramp) == pytest.approx(0.5)
    assert sharpness(ramp + 40, ramp) == pytest.approx(1)
    assert sharpness(ramp.swapaxes(1, 2), ramp) == pytest.approx(1)


def test_blurred_pictures_are_less_sharp(pair: tuple[np.ndarray, np.ndarray]) -> None:
    blurred = np.stack([cv2.GaussianBlur(picture, (0, 0), 2) for picture in pair[1]])
    assert sharpness(blurred, pair[1]) < 0.8


def test_noise_is_not_as_sharp_as_the_truth_but_as_wrong_as_blur() -> None:
    ramp = np.arange(0, 160, 10, dtype=np.uint8)[None, None, :, None].repeat(16, axis=1).repeat(3, axis=3)
    assert sharpness_error(ramp + 40, ramp) == pytest.approx(0)
    assert sharpness_error(ramp // 2, ramp) == pytest.approx(np.log(2)) == pytest.approx(sharpness_error(ramp, ramp // 2))
    noisy = np.clip(ramp + np.random.default_rng(0).normal(0, 40, ramp.shape), 0, 255).astype(np.uint8)
    assert sharpness(noisy, ramp) > 2 and sharpness_error(noisy, ramp) > np.log(2)
    flat = np.full_like(ramp, 100)
    assert np.isfinite([sharpness_error(flat, ramp), sharpness_error(ramp, flat)]).all()


def test_more_noise_is_worse(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found, truth = pair
    worse = (found // 2 + 60).astype(np.uint8)
    assert psnr(worse, truth) < psnr(found, truth)
    assert ssim(worse, truth) < ssim(found, truth)


def peak_of(measure: Callable[[], object]) -> int:
    """Bytes that NumPy takes at most."""
    tracemalloc.start()
    try:
        measure()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("measure", [psnr, ssim, sharpness, sharpness_error])
def test_many_pictures_take_the_memory_of_a_few_and_have_the_mean_of_their_numbers(measure: Measure, pair: tuple[np.ndarray, np.ndarray]) -> None:
    few, many = pair, [pictures.repeat(100, axis=0) for pictures in pair]
    assert measure(*many) == pytest.approx(measure(*few), rel=1e-12)
    assert peak_of(lambda: measure(*many)) < 2 * peak_of(lambda: measure(*few))


class Enlarging(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.interpolate(images, scale_factor=4.0)


def test_an_upscaler_is_scored_in_the_memory_of_what_it_draws_and_bicubic_beside_it() -> None:
    truth = np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3), dtype=np.uint8)
    assert peak_of(lambda: score_upscaler(Enlarging(), truth, Sampling(10, 0, 16))) < 3 * truth.nbytes


def test_the_upscaler_s_sheet_shows_a_dozen_as_pixels_bicubic_ours_and_truth() -> None:
    truth = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    sheet = score_upscaler(Enlarging(), truth, Sampling(10, 0, 16)).sheet
    shown = sheet.reshape(6, 16, 2, 4, 16, 3).transpose(0, 2, 3, 1, 4, 5).reshape(12, 4, 16, 16, 3)
    assert (shown[:, 0] == shown[:, 2]).all() and (shown[:, 3] == truth[:12]).all() and (shown[:, 1] != shown[:, 2]).any()
