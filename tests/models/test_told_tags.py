"""StyleGAN2 that is told tags: it draws what it is asked for, and without tags it is what it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_gan import GROWTH, MODELS, STYLE, params_for
from torch import Tensor

from models.export import load_model, save_model
from models.loop import seed_step
from models.metrics.sampling import Sampling, draw_faces
from models.metrics.showing import ASKED, show, tag_table
from models.networks import build, stylegan2
from models.recipes.faces import Tagged, face_recipe, model_of

NAMES = ["hair_color=red", "hair_color=blue", "glasses"]
WARM_UP = {"kimg": 0.024, "lr": 0.005, "kl_weight": 0.0001}
RED, BLUE = torch.tensor([230, 30, 30], dtype=torch.uint8), torch.tensor([30, 30, 230], dtype=torch.uint8)


def two_colours(count: int = 64) -> tuple[Tensor, Tagged]:
    """Flat pictures (N, 16, 16, 3), red or blue; a third wear glasses, a dark bar."""
    torch.manual_seed(0)
    red, glasses = torch.rand(count) < 0.5, torch.rand(count) < 0.3
    pictures = torch.where(red[:, None], RED, BLUE)[:, None, None].repeat(1, 16, 16, 1)
    pictures[glasses, 6:10] = 0
    return pictures, Tagged(NAMES, torch.stack([red, ~red, glasses], dim=1).float())


def train(recipe: Any, pictures: Tensor, tagged: Tagged, steps: int, start: int = 0) -> list[dict[str, float]]:
    heard = []
    for step in range(start, start + steps):
        seed_step(0, step * 8)
        idxs = torch.randperm(len(pictures))[:8]
        heard.append(recipe.step((pictures[idxs], tagged.found[idxs]), step * 8))
    return heard


@pytest.fixture(scope="module")
def taught() -> Any:
    """Taught for a few hundred steps which of two colours is which."""
    pictures, tagged = two_colours()
    recipe = face_recipe(params_for("stylegan2", g_lr=0.004, d_lr=0.004, r1_gamma=0.1, faces="tagged"), tagged)
    train(recipe, pictures, tagged, 500)
    recipe.settle()
    return recipe.G_ema


def mean_colour(G: Any, shows: dict[str, str | bool]) -> Tensor:
    """(3,), in [-1, 1]."""
    z = torch.randn(64, G.z_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        images: Tensor = G(z, tags=G.asked(z, shows)).clamp(-1, 1)
    return images.mean(dim=(0, 2, 3))


def test_asked_for_a_colour_it_draws_that_colour(taught: Any) -> None:
    red, blue = mean_colour(taught, {"hair_color": "red"}), mean_colour(taught, {"hair_color": "blue"})
    assert red[0] - red[2] > 0.5 and blue[2] - blue[0] > 0.5
    bare, bars = mean_colour(taught, {"glasses": False}), mean_colour(taught, {"glasses": True})
    assert bars.sum() < bare.sum() - 0.15


def test_asked_for_nothing_it_draws_both_colours_as_often_as_it_saw_them(taught: Any) -> None:
    pictures, _ = two_colours()
    made = draw_faces(taught, Sampling(128, 0, 64))
    share_of = [(np.asarray(faces, np.int64)[:, 0, 0, 0] > np.asarray(faces, np.int64)[:, 0, 0, 2]).mean() for faces in (made, pictures)]
    assert abs(share_of[0] - share_of[1]) < 0.15


def test_what_is_asked_for_is_certain_and_the_rest_is_a_training_picture_s() -> None:
    _, tagged = two_colours()
    G = face_recipe(params_for("stylegan2", faces="tagged"), tagged).G_ema
    z = torch.randn(200, G.z_dim)
    drawn, asked = G.mapping.drawn(z), G.asked(z, {"hair_color": "blue"})
    assert torch.equal(drawn, G.mapping.drawn(z))
    assert {tuple(row) for row in drawn.tolist()} == {tuple(row) for row in tagged.found.tolist()}
    assert (asked[:, :2] == torch.tensor([0.0, 1.0])).all() and torch.equal(asked[:, 2], drawn[:, 2])
    assert (G.asked(z, {"glasses": False})[:, 2] == 0).all() and (G.asked(z, {"glasses": True})[:, 2] == 1).all()


def test_the_discriminator_s_logit_is_that_of_the_picture_and_the_projection_on_its_tags() -> None:
    torch.manual_seed(0)
    D = stylegan2.Discriminator(16, 256, 16, num_tags=3)
    images, tags = torch.rand(4, 3, 16, 16), torch.rand(4, 3)
    with torch.no_grad():
        features = D.head.features(stylegan2.minibatch_stddev(D.trunk(images)))
        projected = torch.stack([each @ D.embed(row[None])[0] for each, row in zip(features, tags, strict=True)]) / features.shape[1] ** 0.5
        assert torch.allclose(D(images, tags=tags)[:, 0], D.head.out(features)[:, 0] + projected, atol=1e-5)


@pytest.mark.parametrize("lowered", ["d_loss", "g_loss", "l1"])
def test_steps_on_a_fixed_batch_lower_each_loss(lowered: str) -> None:
    pictures, tagged = two_colours(8)
    changes: dict[str, Any] = {"d_loss": {"g_lr": 1e-9}, "g_loss": {"d_lr": 1e-9, "g_lr": 0.01}, "l1": {"warm_up": WARM_UP | {"kimg": 0.9}}}[lowered]
    heard = train(face_recipe(params_for("stylegan2", faces="tagged", **changes), tagged), pictures, tagged, 30)
    assert heard[-1][lowered] < 0.9 * heard[0][lowered]


def test_it_goes_on_from_its_state_as_if_never_stopped_through_warm_up_growth_mixing_and_path_lengths() -> None:
    pictures, tagged = two_colours()
    params = params_for(
        "stylegan2",
        faces="tagged",
        model=MODELS["stylegan2"] | {"resolution": 32, "noise": True},
        style={"mixing": 0.5, "path_weight": 2.0, "path_interval": 2, "residual": False},
        warm_up=WARM_UP,
        growth=[GROWTH | {"until_kimg": 0.04, "fade_kimg": 0.032}],
        augment=0.5,
    )
    large = pictures.repeat(1, 2, 2, 1)
    whole, first, second = (face_recipe(params, tagged) for _ in range(3))
    heard = train(whole, large, tagged, 12)
    train(first, large, tagged, 6)
    second.load_state_dict(first.state_dict())
    assert train(second, large, tagged, 6, start=6) == heard[6:]
    for name, mine in whole.G_ema.state_dict().items():
        assert torch.equal(mine, second.G_ema.state_dict()[name]), name
    assert np.array_equal(whole.sample(), second.sample())


@pytest.mark.parametrize("loss", ["logistic", "relativistic"])
def test_both_losses_and_both_penalties_are_told_the_tags(loss: str) -> None:
    pictures, tagged = two_colours()
    recipe = face_recipe(params_for("stylegan2", faces="tagged", loss=loss, r2_gamma=1.0), tagged)
    before = recipe.D.embed.weight.clone()
    assert {"r1", "r2"} <= train(recipe, pictures, tagged, 2)[0].keys()
    assert not torch.equal(recipe.D.embed.weight, before)


def test_saved_and_loaded_it_draws_the_same_and_knows_its_tags(tmp_path: Path, taught: Any) -> None:
    _, tagged = two_colours()
    save_model(tmp_path / "weights", taught, {"model": model_of(params_for("stylegan2", faces="tagged"), tagged)})
    loaded: Any = load_model(tmp_path / "weights")[0]
    z = torch.randn(3, loaded.z_dim)
    with torch.no_grad():
        for shows in ({}, {"glasses": True}):
            tags = taught.asked(z, shows)
            assert torch.equal(tags, loaded.asked(z, shows)) and torch.allclose(taught(z, tags=tags), loaded(z, tags=tags), atol=1e-5)
        assert torch.allclose(taught(z), loaded(z, tags=loaded.asked(z, {})), atol=1e-5)
    assert loaded.tags == NAMES


def test_a_sheet_shows_each_tag_asked_for(tmp_path: Path, taught: Any) -> None:
    sheet = tag_table(taught, seed=0)
    red, blue = sheet[:16, -ASKED * 16 :], sheet[16:32, -ASKED * 16 :]
    assert sheet.shape[0] == 3 * 16
    assert red[..., 0].mean() > blue[..., 0].mean() + 60
    assert "tags.png" in {path.name for path in show(taught, 0, tmp_path)}


def test_told_no_tags_the_networks_have_the_weights_and_random_numbers_that_they_had() -> None:
    told_nothing, told = ({"tags": names} for names in ([], NAMES))
    torch.manual_seed(0)
    G, D = build(MODELS["stylegan2"]), stylegan2.Discriminator(16, 256, 16)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    same = build(MODELS["stylegan2"] | told_nothing)
    stylegan2.Discriminator(16, 256, 16, 0)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(G.state_dict().values(), same.state_dict().values(), strict=True))
    more = build(MODELS["stylegan2"] | told).state_dict().keys() - G.state_dict().keys()
    assert more == {"mapping.embed.weight", "mapping.embed.bias", "mapping.kept"}
    assert not any("embed" in name for name in D.state_dict())
    z = torch.randn(2, 6)
    x = z * z.square().mean(dim=1, keepdim=True).add(1e-8).rsqrt()
    for layer in G.mapping.layers:  # type: ignore[union-attr]
        x = torch.nn.functional.leaky_relu(layer(x), 0.2) * 2**0.5
    assert torch.equal(G.mapping(z), x)  # type: ignore[operator]


def test_only_stylegan2_can_be_told_tags() -> None:
    with pytest.raises(ValueError, match="only stylegan2 can be told tags"):
        params_for("dcgan", faces="tagged")
    assert params_for("stylegan2", faces="tagged", style=STYLE).faces == "tagged"
