import copy
import re
from typing import Any

import numpy as np
import pytest
import torch
from one_batch import train_between as train

from genga.params import TrainUpscaler
from models.batches import to_signed
from models.networks.stylegan2 import Discriminator
from models.recipes.upscaler import UpscalerRecipe, shrink

PARAMS: dict[str, Any] = {
    "model": {"arch": "upscaler", "width": 16, "blocks": 2},
    "training": {"batch_size": 4, "total_kimg": 0.4, "log_kimg": 1.0, "sample_kimg": 1.0, "checkpoint_kimg": 1.0, "precision": "fp32", "seed": 0},
    "lr": 0.003,
    "ema_kimg": 0.02,
    "crop": 32,
    "adversarial": None,
    "srgan": None,
}
CONTEST = {"kimg": 0.2, "weight": 0.1, "lr": 0.003, "d_lr": 0.002, "r1_gamma": 1.0, "r1_interval": 4, "channel_base": 256, "channel_max": 16}


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


def params_for(**contest: float) -> TrainUpscaler:
    return TrainUpscaler.model_validate(PARAMS | {"adversarial": CONTEST | contest})


def test_training_beats_bicubic_on_a_fixed_batch(discs: torch.Tensor) -> None:
    heard = train(UpscalerRecipe(TrainUpscaler.model_validate(PARAMS), discs.numpy()), discs, 0, 400)
    assert heard[-1]["l1"] < 0.7 * heard[0]["l1"]  # it starts as bicubic enlarging


def test_the_contest_comes_last(discs: torch.Tensor) -> None:
    recipe = UpscalerRecipe(params_for(), discs.numpy())
    heard = train(recipe, discs, 192, 208)
    assert recipe.faithful_nimg == 200
    assert ["told_apart" in scalars for scalars in heard] == [False, False, True, True]
    assert ["r1" in scalars for scalars in train(recipe, discs, 208, 240)] == [True, False, False, False] * 2


def test_the_last_step_of_a_contest_that_begins_and_ends_amid_a_batch_learns(discs: torch.Tensor) -> None:
    params = params_for().model_copy(update={"training": params_for().training.model_copy(update={"total_kimg": 0.401})})
    recipe = UpscalerRecipe(params, discs.numpy())
    assert recipe.faithful_nimg == 204  # the step at 200 is of both parts
    before = copy.deepcopy(recipe.upscaler.state_dict())
    train(recipe, discs, 400, 404)
    assert any(not torch.equal(weight, before[name]) for name, weight in recipe.upscaler.state_dict().items())


def test_the_first_part_is_a_training_without_a_contest(discs: torch.Tensor) -> None:
    short = TrainUpscaler.model_validate(PARAMS | {"training": PARAMS["training"] | {"total_kimg": 0.2}})
    both, alone = (UpscalerRecipe(params, discs.numpy()) for params in (params_for(), short))
    assert train(both, discs, 0, 200) == train(alone, discs, 0, 200)


def test_the_discriminator_learns_to_tell_a_fixed_batch_from_its_enlargement(discs: torch.Tensor) -> None:
    heard = train(UpscalerRecipe(params_for(lr=1e-9, r1_gamma=0.0), discs.numpy()), discs, 200, 400)
    assert heard[-1]["told_apart"] < 0.7 * heard[0]["told_apart"]


def test_the_upscaler_learns_to_please_a_fixed_discriminator(discs: torch.Tensor) -> None:
    recipe = UpscalerRecipe(params_for(weight=10.0), discs.numpy())
    train(recipe, discs, 200, 280)  # the rival learns
    recipe._rival.optimizer.param_groups[0]["lr"] = 1e-12  # type: ignore[union-attr]
    heard = train(recipe, discs, 280, 360)
    assert heard[-1]["fooled"] < heard[0]["fooled"]


def test_stopped_in_the_contest_it_goes_on_to_the_same_bytes(discs: torch.Tensor) -> None:
    undisturbed, stopped, resumed = (UpscalerRecipe(params_for(), discs.numpy()) for _ in range(3))
    train(undisturbed, discs, 180, 300)
    train(stopped, discs, 180, 240)
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
    assert train(resumed, discs, 240, 300) == train(stopped, discs, 240, 300)
    for name, part in undisturbed.state_dict().items():
        assert str(part) == str(resumed.state_dict()[name]), name
    for a, b in zip(undisturbed.upscaler_ema.parameters(), resumed.upscaler_ema.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_contest_longer_than_the_training_is_refused() -> None:
    with pytest.raises(ValueError, match=r"adversarial\.kimg is the last part of training\.total_kimg and must be less"):
        params_for(kimg=0.4)


def test_a_crop_that_is_no_multiple_of_four_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        TrainUpscaler.model_validate(PARAMS | {"crop": 34})


@pytest.mark.parametrize("crop", range(32, 129, 4))
def test_a_crop_is_taken_where_the_discriminator_can_see_it_and_refused_where_not(crop: int) -> None:
    D = Discriminator(crop, 64, 8)
    assert TrainUpscaler.model_validate(PARAMS | {"crop": crop}).crop == crop
    try:
        assert D(torch.zeros(4, 3, crop, crop)).shape == (4, 1)
    except RuntimeError:
        with pytest.raises(ValueError, match=f"crop is {crop}, which is odd before it is halved to less than 8.*or adversarial null") as refused:
            TrainUpscaler.model_validate(PARAMS | {"crop": crop, "adversarial": CONTEST})
        for other in re.findall(r"make it (\d+) or (\d+)", str(refused.value))[0]:
            TrainUpscaler.model_validate(PARAMS | {"crop": int(other), "adversarial": CONTEST})
    else:
        assert TrainUpscaler.model_validate(PARAMS | {"crop": crop, "adversarial": CONTEST}).crop == crop


def test_a_contest_of_groups_that_mix_found_and_true_pictures_is_refused() -> None:
    of_six = PARAMS | {"training": PARAMS["training"] | {"batch_size": 6}}
    assert TrainUpscaler.model_validate(of_six).training.batch_size == 6
    with pytest.raises(ValueError, match=r"groups of 4 pictures.*it is 6"):
        TrainUpscaler.model_validate(of_six | {"adversarial": CONTEST})


def test_the_sample_shows_bicubic_ours_and_truth_side_by_side(discs: torch.Tensor) -> None:
    recipe = UpscalerRecipe(TrainUpscaler.model_validate(PARAMS), discs.numpy())
    sheet = recipe.sample()
    assert sheet.shape == (2 * 32, 6 * 32, 3)
    assert np.array_equal(sheet[:32, 64:96], discs[0].numpy())
    assert np.abs(sheet[:32, :32].astype(int) - sheet[:32, 32:64]).max() <= 1
