"""The third system's upscaler: its networks as the paper draws them, its two parts of training, its tiles."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from one_batch import train_between as train
from pydantic import ValidationError
from small_models import SRGAN
from torch import nn

from genga.params import SRGANParams, TrainUpscaler
from models.batches import to_signed, to_uint8
from models.kinds import kind_of, try_once
from models.networks import build
from models.networks.srgan import Discriminator, Generator
from models.recipes.srgan import SRGANRecipe
from serve.enlarge import Enlargement

PARAMS: dict[str, Any] = {
    "model": SRGAN,
    "training": {"batch_size": 4, "total_kimg": 0.4, "log_kimg": 1.0, "sample_kimg": 1.0, "checkpoint_kimg": 1.0, "precision": "fp32", "seed": 0},
    **{"lr": 0.001, "ema_kimg": 0.0, "crop": 32, "adversarial": None},
    "srgan": {"kimg": 0.2, "weight": 0.001, "d_lr": 0.001, "d_width": 8},
}


@pytest.fixture
def squares() -> torch.Tensor:
    """uint8 (4, 32, 32, 3): squares of a colour each."""
    pictures, rng = np.full((4, 32, 32, 3), 255, np.uint8), np.random.default_rng(0)
    for picture in pictures:
        left, top, side = rng.integers(4, 14, 3)
        picture[top : top + side, left : left + side] = rng.integers(0, 200, 3)
    return torch.from_numpy(pictures)


@pytest.fixture(scope="module")
def awake() -> Generator:
    """As after some training: contrasts, and batch norm's running statistics of pictures."""
    torch.manual_seed(0)
    G = Generator(width=8, blocks=3).requires_grad_(False)
    for _ in range(20):
        G.train()(torch.rand(4, 3, 16, 16) * 2 - 1)
    G.to_rgb.weight.mul_(5)
    return G.eval()


def params_for(**changed: Any) -> TrainUpscaler:
    return TrainUpscaler.model_validate(PARAMS | changed)


# --- the networks


def test_the_generator_is_the_paper_s() -> None:
    """Figure 4: k9n64s1, 16 blocks of two k3n64s1, one k3n64s1, two k3n256s1 with pixel shuffle, k9n3s1."""
    G = build(SRGANParams(arch="srgan", width=64, blocks=16))
    convs = [(layer.kernel_size[0], layer.out_channels, layer.stride[0]) for layer in G.modules() if isinstance(layer, nn.Conv2d)]
    assert convs == [(9, 64, 1), *[(3, 64, 1)] * 33, (3, 256, 1), (3, 256, 1), (9, 3, 1)]
    assert [sum(isinstance(layer, kind) for layer in G.modules()) for kind in (nn.BatchNorm2d, nn.PReLU, nn.PixelShuffle)] == [33, 19, 2]


def test_the_discriminator_is_the_paper_s() -> None:
    D = Discriminator(128, 64)
    convs = [(layer.out_channels, layer.stride[0]) for layer in D.modules() if isinstance(layer, nn.Conv2d)]
    assert convs == [(64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)]
    assert [layer.out_features for layer in D.modules() if isinstance(layer, nn.Linear)] == [1024, 1]
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in D.modules()) == 7


@pytest.mark.parametrize("side", [32, 36, 100])
def test_crops_of_any_multiple_of_4_are_enlarged_and_judged(side: int, awake: Generator) -> None:
    assert awake(torch.zeros(2, 3, side // 4, side // 4)).shape == (2, 3, side, side)
    assert Discriminator(side, 8)(torch.zeros(2, 3, side, side)).shape == (2, 1)


def test_it_is_served_as_an_upscaler(awake: Generator) -> None:
    kind = kind_of({"model": SRGAN})
    assert kind == "upscaler"
    assert try_once(awake, kind).shape == (1, 3, 32, 32)


def test_margin_is_how_far_it_sees(awake: Generator) -> None:
    side = 2 * awake.margin + 5
    images = torch.zeros(1, 3, side, side, dtype=torch.float64).requires_grad_()
    made = copy.deepcopy(awake).double()(images)
    middle = slice(4 * (side // 2), 4 * (side // 2) + 4)  # the four of the middle pixel
    made[:, :, middle, middle].sum().backward()
    assert images.grad is not None
    seen = images.grad.abs().sum(dim=(0, 1, 2)).nonzero()[:, 0]
    assert (seen.min().item(), seen.max().item()) == (side // 2 - awake.margin, side // 2 + awake.margin)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 90), (1, 40)])
def test_tiles_give_what_the_whole_picture_gives(height: int, width: int, awake: Generator) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    whole = to_uint8(awake(to_signed(torch.from_numpy(picture[None]))))[0].astype(int)
    work = Enlargement(awake, picture, tile=32)
    for tile in work.tiles():
        work.draw(tile)
    assert work.picture().shape == (4 * height, 4 * width, 3)
    assert np.abs(work.picture().astype(int) - whole).max() <= 1
    assert whole.std() > 10


# --- the training


def test_the_first_part_lowers_the_squared_error_alone(squares: torch.Tensor) -> None:
    heard = train(SRGANRecipe(params_for(), squares.numpy()), squares, 0, 200)
    assert all(scalars.keys() == {"mse"} for scalars in heard)
    assert heard[-1]["mse"] < 0.3 * heard[0]["mse"]


def test_the_second_part_goes_on_lowering_it_against_a_discriminator_that_learns(squares: torch.Tensor) -> None:
    recipe = SRGANRecipe(params_for(), squares.numpy())
    before = train(recipe, squares, 0, 200)
    heard = train(recipe, squares, 200, 400)
    assert all(scalars.keys() == {"mse", "told_apart", "fooled"} for scalars in heard)
    assert heard[-1]["mse"] < before[-1]["mse"]
    assert heard[-1]["told_apart"] < 0.5 * heard[0]["told_apart"]


def test_the_upscaler_learns_to_please_a_fixed_discriminator(squares: torch.Tensor) -> None:
    recipe = SRGANRecipe(params_for(srgan=PARAMS["srgan"] | {"weight": 10.0}), squares.numpy())
    train(recipe, squares, 200, 240)  # the discriminator learns
    recipe._d_optimizer.param_groups[0]["lr"] = 1e-12
    heard = train(recipe, squares, 240, 320)
    assert heard[-1]["fooled"] < 0.5 * heard[0]["fooled"]


@pytest.mark.parametrize(("start", "stopped_at", "end"), [(0, 40, 60), (180, 192, 220), (200, 220, 240)])  # within a part, and before the second
def test_stopped_it_goes_on_to_the_same_bytes(squares: torch.Tensor, start: int, stopped_at: int, end: int) -> None:
    stopped, resumed = (SRGANRecipe(params_for(ema_kimg=0.02), squares.numpy()) for _ in range(2))
    train(stopped, squares, start, stopped_at)
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
    assert train(resumed, squares, stopped_at, end) == train(stopped, squares, stopped_at, end)
    for part in ("upscaler", "upscaler_ema", "discriminator"):
        one, other = (recipe.state_dict()[part] for recipe in (stopped, resumed))
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items()), part
    assert np.array_equal(resumed.sample(), stopped.sample())


def test_each_arch_has_the_contest_of_its_own() -> None:
    upscaler = {"model": {"arch": "upscaler", "width": 8, "blocks": 1}}
    adversarial = {"kimg": 0.2, "weight": 0.1, "lr": 0.003, "d_lr": 0.002, "r1_gamma": 1.0, "r1_interval": 4, "channel_base": 256, "channel_max": 16}
    for wrong in (upscaler, {"srgan": None}, {"adversarial": adversarial}):
        with pytest.raises(ValidationError, match="srgan has its contest in srgan and adversarial: null; the upscaler has srgan: null"):
            params_for(**wrong)
    with pytest.raises(ValidationError, match=r"srgan\.kimg is the last part of training\.total_kimg and must be less"):
        params_for(srgan=PARAMS["srgan"] | {"kimg": 0.4})
