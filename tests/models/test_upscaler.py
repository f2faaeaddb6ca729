from typing import Any

import numpy as np
import pytest
import torch

from genga.params import TrainUpscaler
from models.batches import to_signed
from models.loop import seed_step
from models.recipes.upscaler import UpscalerRecipe, shrink

PARAMS: dict[str, Any] = {
    "model": {"arch": "upscaler", "width": 16, "blocks": 2},
    "training": {"batch_size": 4, "total_kimg": 0.4, "log_kimg": 1.0, "sample_kimg": 1.0, "checkpoint_kimg": 1.0, "precision": "fp32", "seed": 0},
    "lr": 0.003,
    "ema_kimg": 0.02,
    "crop": 32,
}


@pytest.fixture
def discs() -> torch.Tensor:
    """Discs with hard edges: something that bicubic enlarging blurs."""
    y, x = np.mgrid[:32, :32]
    rng = np.random.default_rng(0)
    pictures = [np.hypot(x - rng.uniform(8, 24), y - rng.uniform(8, 24)) < rng.uniform(4, 10) for _ in range(4)]
    return torch.from_numpy((np.stack(pictures)[..., None] * np.full(3, 255)).astype(np.uint8))


def test_making_small_is_the_mean_of_each_block_in_steps_of_a_picture_file(discs: torch.Tensor) -> None:
    truth = to_signed(discs)
    small = shrink(truth)
    assert small.shape == (4, 3, 8, 8)
    assert (small - truth.reshape(4, 3, 8, 4, 8, 4).mean(dim=(3, 5))).abs().max() <= 0.5 / 127.5 + 1e-6
    levels = (small + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-4)


def test_training_beats_bicubic_on_a_fixed_batch(discs: torch.Tensor) -> None:
    recipe = UpscalerRecipe(TrainUpscaler.model_validate(PARAMS), discs.numpy())
    heard = []
    for cur_nimg in range(0, 400, 4):
        seed_step(0, cur_nimg)
        heard.append(recipe.step(discs, cur_nimg)["l1"])
    assert heard[-1] < 0.7 * heard[0]  # it starts as bicubic enlarging


def test_the_sample_shows_bicubic_ours_and_truth_side_by_side(discs: torch.Tensor) -> None:
    recipe = UpscalerRecipe(TrainUpscaler.model_validate(PARAMS), discs.numpy())
    sheet = recipe.sample()
    assert sheet.shape == (2 * 32, 6 * 32, 3)
    assert np.array_equal(sheet[:32, 64:96], discs[0].numpy())
    assert np.abs(sheet[:32, :32].astype(int) - sheet[:32, 32:64]).max() <= 1
