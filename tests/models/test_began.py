"""BEGAN's training: what its discriminator rebuilds, and the balance of the two networks."""

from typing import Any

import numpy as np
import pytest
import torch
from one_batch import flat_faces, train
from pydantic import ValidationError
from small_models import BEGAN, PLAIN

from genga.params import Began, TrainFace
from models.networks.began import Generator
from models.recipes.began import Balance, BeganRecipe
from models.recipes.faces import face_recipe

TRAINING = {"batch_size": 8, "total_kimg": 1.0, "log_kimg": 1.0, "sample_kimg": 1.0, "checkpoint_kimg": 1.0, "precision": "fp32", "seed": 0}
VALUES: dict[str, Any] = PLAIN | {
    "model": BEGAN | {"resolution": 16},
    "began": {"gamma": 0.5, "lambda_k": 0.01},
    "training": TRAINING,
    "ema_kimg": 0.1,
    **{"g_lr": 0.002, "d_lr": 0.002, "beta1": 0.5, "beta2": 0.99},
}


@pytest.fixture
def faces() -> torch.Tensor:
    return flat_faces()


def recipe_with(**changes: Any) -> BeganRecipe:
    recipe = face_recipe(TrainFace.model_validate(VALUES | changes))
    assert isinstance(recipe, BeganRecipe)
    return recipe


def test_the_discriminator_learns_to_rebuild_a_fixed_batch_and_the_generator_to_be_rebuilt(faces: torch.Tensor) -> None:
    heard = train(recipe_with(), faces, 100)
    assert heard[-1]["d_real"] < 0.6 * heard[0]["d_real"]
    pleased = train(recipe_with(d_lr=1e-9, g_lr=0.01), faces, 30)
    assert pleased[-1]["g_loss"] < 0.7 * pleased[0]["g_loss"]


def test_k_rises_while_what_is_made_is_rebuilt_better_than_gamma_asks_for_and_stays_within_0_and_1() -> None:
    balance = Balance(Began(gamma=0.5, lambda_k=0.1))
    assert balance.move(torch.tensor(1.0), torch.tensor(0.2)) == pytest.approx(1.3)  # M = L(x) + |gamma L(x) - L(G(z))|
    assert balance.k.item() == pytest.approx(0.03)
    balance.move(torch.tensor(1.0), torch.tensor(9.0))
    assert balance.k.item() == 0
    balance.move(torch.tensor(99.0), torch.tensor(0.0))
    assert balance.k.item() == 1


def test_a_larger_gamma_makes_the_discriminator_care_more(faces: torch.Tensor) -> None:
    small, large = (train(recipe_with(began={"gamma": gamma, "lambda_k": 0.05}), faces, 40)[-1]["k"] for gamma in (0.1, 1.0))
    assert small < large


def test_a_recipe_goes_on_from_its_state_as_if_never_stopped(faces: torch.Tensor) -> None:
    whole, first, second = (recipe_with() for _ in range(3))
    heard = train(whole, faces, 6)
    train(first, faces, 4)
    second.load_state_dict(first.state_dict())
    assert train(second, faces, 2, start=4) == heard[4:]
    assert np.array_equal(whole.sample(), second.sample())


def test_latents_are_uniform_whatever_normal_numbers_they_come_from() -> None:
    w = Generator(resolution=16, z_dim=4, width=8).mapping(torch.randn(20_000, 4, generator=torch.Generator().manual_seed(0)))
    assert w.min() >= -1 and w.max() <= 1
    assert torch.allclose(w.quantile(torch.tensor([0.25, 0.5, 0.75]), dim=0).mean(dim=1), torch.tensor([-0.5, 0.0, 0.5]), atol=0.02)


@pytest.mark.parametrize(
    "wrong", [{"began": None}, {"r1_gamma": 1.0}, {"warm_up": {"kimg": 1.0, "lr": 0.1, "kl_weight": 0.1}}, {"augment": 0.5}, {"loss": "relativistic"}]
)
def test_what_began_does_not_know_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="began"):
        TrainFace.model_validate(VALUES | wrong)
