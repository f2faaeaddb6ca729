"""Steps of the face generators' training, on one small fixed batch."""

from typing import Any

import numpy as np
import pytest
import torch
from one_batch import flat_faces, train
from small_models import PLAIN, STYLEGAN2, TRAINED_DCGAN

from genga.errors import ParamsError
from genga.params import Adapt, Style, TrainFace
from models import parallel
from models.augment import Probability, augment, cut_out, move, recolour
from models.batches import to_signed
from models.metrics import sampling
from models.networks import build
from models.recipes import gan
from models.recipes.faces import face_recipe, model_of
from models.recipes.style import DECAY, PathLength, mixed

TRAINING = {"batch_size": 8, "total_kimg": 1.0, "log_kimg": 1.0, "sample_kimg": 1.0, "checkpoint_kimg": 1.0, "precision": "fp32", "seed": 0}
STYLE = {"mixing": 0.0, "path_weight": 0.0, "path_interval": 4, "residual": False}
RATES = {"g_lr": 0.002, "d_lr": 0.002, "beta1": 0.0, "beta2": 0.99}
COMMON: dict[str, Any] = PLAIN | RATES | {"training": TRAINING, "ema_kimg": 0.1, "r1_gamma": 1.0}
GROWTH = {"side": 16, "until_kimg": 0.016, "fade_kimg": 0.0}
MODELS: dict[str, dict[str, Any]] = {
    "dcgan": TRAINED_DCGAN | {"resolution": 16, "dropout": 0.0},
    "fastgan": {"arch": "fastgan", "resolution": 16, "z_dim": 6, "channel_base": 256, "channel_max": 16},
    "stylegan2": STYLEGAN2 | {"resolution": 16, "noise": False},
}


def params_for(arch: str, **changes: Any) -> TrainFace:
    return TrainFace.model_validate({"model": MODELS[arch], **COMMON, "style": STYLE if arch == "stylegan2" else None, **changes})


@pytest.fixture
def faces() -> torch.Tensor:
    return flat_faces()


@pytest.mark.parametrize("arch", MODELS)
def test_the_discriminator_learns_to_tell_a_fixed_batch_from_what_is_made(arch: str, faces: torch.Tensor) -> None:
    recipe = face_recipe(params_for(arch, g_lr=1e-9))
    heard = train(recipe, faces, 60)
    assert heard[-1]["d_loss"] < 0.5 * heard[0]["d_loss"]
    assert heard[-1]["d_real"] > heard[-1]["d_made"]


def test_a_residual_discriminator_is_had_for_the_asking_and_learns(faces: torch.Tensor) -> None:
    recipe = face_recipe(params_for("stylegan2", g_lr=1e-9, style=STYLE | {"residual": True}))
    assert recipe.D.trunk.residual and not face_recipe(params_for("stylegan2")).D.trunk.residual
    heard = train(recipe, faces, 60)
    assert heard[-1]["d_loss"] < 0.5 * heard[0]["d_loss"]


def test_batch_norm_in_the_discriminator_compares_pictures_that_are_all_made_or_all_real(faces: torch.Tensor) -> None:
    params = params_for("dcgan", model=MODELS["dcgan"] | {"d_batch_norm": True}, r1_gamma=0.0, g_lr=1e-9)
    recipe = face_recipe(params)
    heard = train(recipe, faces, 60)
    assert heard[-1]["d_loss"] < 0.5 * heard[0]["d_loss"]
    made, real = torch.rand(8, 3, 16, 16) - 0.5, to_signed(faces[:8])
    level = recipe._level_at(0)
    with torch.no_grad():
        together = recipe._judged(made, real, tags=None, level=level)
        apart = [recipe.D(images) for images in (made, real)]
        mixed = recipe.D(torch.cat([made, real])).chunk(2)
    for theirs, alone, among_others in zip(together, apart, mixed, strict=True):
        assert torch.allclose(theirs, alone, atol=1e-4) and not torch.allclose(theirs, among_others, atol=1e-2)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in face_recipe(params_for("dcgan")).D.modules())
    assert "d_batch_norm" not in model_of(params, None) and build(model_of(params, None)).state_dict().keys() == recipe.G.state_dict().keys()
    with pytest.raises(ValueError, match="d_batch_norm lets pictures of a batch see each other"):
        params_for("dcgan", model=MODELS["dcgan"] | {"d_batch_norm": True})


@pytest.mark.parametrize("arch", MODELS)
def test_the_generator_learns_to_please_a_fixed_discriminator(arch: str, faces: torch.Tensor) -> None:
    recipe = face_recipe(params_for(arch, d_lr=1e-9, g_lr=0.01))
    heard = train(recipe, faces, 30)
    assert heard[-1]["g_loss"] < heard[0]["g_loss"]


@pytest.mark.parametrize("arch", MODELS)
def test_the_warm_up_learns_to_rebuild_a_fixed_batch(arch: str, faces: torch.Tensor) -> None:
    recipe = face_recipe(params_for(arch, warm_up={"kimg": 0.9, "lr": 0.005, "kl_weight": 0.0001}))
    heard = train(recipe, faces, 60)
    assert heard[-1]["l1"] < 0.6 * heard[0]["l1"]


def test_after_the_warm_up_comes_the_contest_and_the_generator_goes_on_from_there(faces: torch.Tensor) -> None:
    recipe = face_recipe(params_for("stylegan2", warm_up={"kimg": 0.016, "lr": 0.005, "kl_weight": 0.0001}))
    heard = train(recipe, faces, 3)
    assert ["l1" in scalars for scalars in heard] == [True, True, False]
    assert "d_loss" in heard[2] and "g_loss" in heard[2]


def test_growth_begins_small_and_ends_at_the_model_s_resolution(faces: torch.Tensor) -> None:
    recipe = face_recipe(params_for("stylegan2", model=MODELS["stylegan2"] | {"resolution": 32}, growth=[GROWTH]))
    large = faces.repeat(1, 2, 2, 1)
    level_32 = [weight.clone() for weight in recipe.G.ups[-1].parameters()]
    train(recipe, large, 2)
    assert all(torch.equal(a, b) for a, b in zip(level_32, recipe.G.ups[-1].parameters(), strict=True))
    train(recipe, large, 3, start=2)
    assert not all(torch.equal(a, b) for a, b in zip(level_32, recipe.G.ups[-1].parameters(), strict=True))


def test_r1_comes_at_its_interval(faces: torch.Tensor) -> None:
    assert ["r1" in scalars for scalars in train(face_recipe(params_for("stylegan2")), faces, 9)] == [True, *[False] * 3] * 2 + [True]
    assert not any("r1" in scalars for scalars in train(face_recipe(params_for("stylegan2", r1_gamma=0.0)), faces, 4))


def test_r2_is_the_same_penalty_on_made_pictures(faces: torch.Tensor) -> None:
    heard = train(face_recipe(params_for("stylegan2", r1_gamma=0.0, r2_gamma=1.0)), faces, 4)
    assert ["r2" in scalars for scalars in heard] == [True, False, False, False]
    assert not any("r1" in scalars for scalars in heard)


def test_a_strong_r2_flattens_the_discriminator_on_made_pictures(faces: torch.Tensor) -> None:
    weak, strong = (
        train(face_recipe(params_for("stylegan2", g_lr=1e-9, r1_gamma=0.0, r2_gamma=gamma, r1_interval=1)), faces, 30) for gamma in (1e-6, 1000.0)
    )
    assert strong[-1]["r2"] < 0.3 * weak[-1]["r2"]


@pytest.mark.parametrize("arch", MODELS)
def test_the_relativistic_loss_looks_at_pairs_alone(arch: str, faces: torch.Tensor) -> None:
    recipe = face_recipe(params_for(arch, loss="relativistic", g_lr=1e-9))
    heard = train(recipe, faces, 30)
    assert heard[0]["d_loss"] == pytest.approx(np.log(2), abs=0.3)
    assert heard[-1]["d_loss"] < 0.7 * heard[0]["d_loss"]
    assert heard[-1]["d_real"] > heard[-1]["d_made"]
    with pytest.raises(ValueError, match="label_noise 0"):
        params_for(arch, loss="relativistic", label_noise=0.1)


def test_a_side_is_faded_in(faces: torch.Tensor) -> None:
    growth = [{"side": 16, "until_kimg": 0.016, "fade_kimg": 0.032}]
    recipe = face_recipe(params_for("stylegan2", model=MODELS["stylegan2"] | {"resolution": 32}, growth=growth))
    levels = [recipe._level_at(cur_nimg) for cur_nimg in (0, 8, 16, 24, 48, 800)]
    assert levels == [(16, 1.0), (16, 1.0), (32, 0.0), (32, 0.25), (32, 1.0), (32, 1.0)]
    train(recipe, faces.repeat(1, 2, 2, 1), 4)


@pytest.mark.parametrize("residual", [False, True])
def test_growth_begins_at_4_px_and_doubles_up_to_the_model_s_resolution(residual: bool, faces: torch.Tensor) -> None:
    growth = [{"side": 4, "until_kimg": 0.032, "fade_kimg": 0.016}, {"side": 8, "until_kimg": 0.064, "fade_kimg": 0.016}]
    style = {"mixing": 0.9, "path_weight": 2.0, "path_interval": 1, "residual": residual}
    warm_up = {"kimg": 0.016, "lr": 0.005, "kl_weight": 0.0001}
    recipe = face_recipe(params_for("stylegan2", growth=growth, style=style, warm_up=warm_up, r2_gamma=1.0, r1_interval=1, augment=0.5))
    sides: list[int] = []
    recipe.D.trunk.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[2]))
    for start, side in ((0, 4), (4, 8), (8, 16)):
        sides.clear()
        untrained = [weight.clone() for weight in recipe.G.ups[side.bit_length() - 2 :].parameters()]
        train(recipe, faces, 4, start)
        assert set(sides) == {side}
        assert all(map(torch.equal, untrained, recipe.G.ups[side.bit_length() - 2 :].parameters()))
        tiles = recipe.sample().reshape(8, 16, 8, 16, 3).swapaxes(1, 2).reshape(64, -1)
        assert len(np.unique(tiles, axis=0)) > 60
    assert all(weight.grad is not None for weight in recipe.G.ups.parameters())


def test_mixed_styles_are_the_first_latent_s_up_to_a_layer_and_the_second_s_from_there_on() -> None:
    torch.manual_seed(0)
    one, other = torch.zeros(2, 3), torch.ones(2, 3)
    crossings = set()
    for _ in range(40):
        ws = mixed(one, other, 6)
        assert ws.shape == (2, 6, 3) and (ws == ws[:1, :, :1]).all()
        assert torch.equal(ws[0, :, 0], ws[0, :, 0].sort().values)
        crossings.add(int(ws[0, :, 0].sum()))
    assert crossings == {1, 2, 3, 4, 5}


def test_styles_lie_alike_whether_they_are_mixed_or_not() -> None:
    recipe = face_recipe(params_for("stylegan2", style=STYLE | {"mixing": 0.5}))
    ws = [recipe._latents(4, recipe._level_at(0)) for _ in range(16)]
    assert {torch.equal(w[:, 0], w[:, -1]) for w in ws} == {True, False}
    assert len({w.stride() for w in ws}) == 1


def test_while_the_network_is_small_styles_are_mixed_and_path_lengths_taken_among_the_layers_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    growth = [{"side": 4, "until_kimg": 0.008, "fade_kimg": 0.0}, {"side": 8, "until_kimg": 0.016, "fade_kimg": 0.0}]
    style = {"mixing": 1.0, "path_weight": 2.0, "path_interval": 1, "residual": False}
    recipe = face_recipe(params_for("stylegan2", style=style, growth=growth))
    for cur_nimg, num_ws in ((0, 2), (8, 4), (16, 6)):
        found = [recipe._latents(2, recipe._level_at(cur_nimg)) for _ in range(30)]
        assert all(ws.shape == (2, num_ws, 8) and not torch.equal(ws[:, 0], ws[:, -1]) for ws in found)
        assert {int((ws == ws[:, :1]).all(dim=(0, 2)).sum()) for ws in found} == set(range(1, num_ws))  # where they cross
    seen: list[int] = []
    penalty = PathLength.penalty
    monkeypatch.setattr(PathLength, "penalty", lambda paths, images, ws: seen.append(ws.shape[1]) or penalty(paths, images, ws))
    train(recipe, flat_faces(), 3)
    assert seen == [2, 4, 6]


def test_style_mixing_and_path_lengths_come_when_they_are_asked_for(faces: torch.Tensor) -> None:
    style = {"mixing": 1.0, "path_weight": 2.0, "path_interval": 4, "residual": False}
    heard = train(face_recipe(params_for("stylegan2", style=style)), faces, 9)
    assert ["path_length" in scalars for scalars in heard] == [True, *[False] * 3] * 2 + [True]
    with pytest.raises(ValueError, match="other archs have null"):
        params_for("dcgan", style=style)


def test_the_path_length_penalty_is_that_of_a_picture_which_is_linear_in_w() -> None:
    torch.manual_seed(0)
    scale = torch.tensor([1.0, 3.0])
    ws = torch.randn(2, 1, 3 * 64 * 64, requires_grad=True)
    images = (ws * scale[:, None, None]).reshape(2, 3, 64, 64)
    paths = PathLength(Style(mixing=0.0, path_weight=2.0, path_interval=8, residual=False))
    penalty, length = paths.penalty(images, ws)
    each = scale * 3**0.5  # |J'y| where J is the scale, and y has a variance of 1 / (64 * 64)
    assert length == pytest.approx(each.mean().item(), rel=0.03)
    mean = DECAY * each.mean()
    assert penalty.item() == pytest.approx(2 * 8 * (each - mean).square().mean().item(), rel=0.06)
    assert paths.state_dict()["mean"] == pytest.approx(mean.item(), rel=0.03)


def test_the_probability_of_augmentation_follows_how_sure_the_discriminator_is() -> None:
    adaptive = Probability(0.5, Adapt(target=0.6, kimg=1.0))
    sure, unsure = torch.ones(100, 1), torch.tensor([1.0, -1.0]).repeat(50)[:, None]
    adaptive.heard(sure)
    assert adaptive.p == pytest.approx(0.6)
    for _ in range(3):
        adaptive.heard(unsure)
    assert adaptive.p == pytest.approx(0.3)
    for _ in range(20):
        adaptive.heard(unsure)
    assert adaptive.p == 0
    fixed = Probability(0.5, None)
    fixed.heard(sure)
    assert fixed.p == 0.5


def test_a_discriminator_that_knows_the_pictures_by_heart_is_shown_more_changed_ones(faces: torch.Tensor) -> None:
    heard = train(face_recipe(params_for("stylegan2", g_lr=1e-9, adapt={"target": 0.6, "kimg": 0.5})), faces, 30)
    assert heard[-1]["augment"] > heard[0]["augment"] + 0.1


def test_under_the_relativistic_loss_only_differences_say_how_sure_the_discriminator_is(faces: torch.Tensor) -> None:
    params = params_for("stylegan2", loss="relativistic", g_lr=1e-9, adapt={"target": 0.6, "kimg": 0.5})
    recipes = [face_recipe(params) for _ in range(2)]
    with torch.no_grad():
        recipes[1].D.head.out.bias += 50.0
    plain, lifted = (train(recipe, faces, 10) for recipe in recipes)
    assert lifted[0]["d_real"] > plain[0]["d_real"] + 40
    assert lifted[-1]["augment"] == pytest.approx(plain[-1]["augment"], abs=0.02)


def test_path_lengths_want_an_even_part_of_the_batch_in_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "size", lambda: 4)
    params = params_for("stylegan2", style=STYLE | {"path_weight": 2.0})
    odd = params.model_copy(update={"training": params.training.model_copy(update={"batch_size": 12})})
    with pytest.raises(ParamsError, match="3 pictures a process were found, expected a multiple of 2"):
        face_recipe(odd)


def test_noise_on_the_labels_of_half_of_them_leaves_the_discriminator_guessing(faces: torch.Tensor) -> None:
    heard = train(face_recipe(params_for("stylegan2", g_lr=1e-9, label_noise=0.5)), faces, 40)
    assert np.mean([scalars["d_loss"] for scalars in heard[20:]]) > 1.2


@pytest.mark.parametrize("arch", MODELS)
def test_a_recipe_goes_on_from_its_state_as_if_never_stopped(arch: str, faces: torch.Tensor) -> None:
    params = params_for(arch, warm_up={"kimg": 0.024, "lr": 0.005, "kl_weight": 0.0001}, augment=0.5)
    whole, first, second = (face_recipe(params) for _ in range(3))
    train(whole, faces, 6)
    train(first, faces, 4)
    second.load_state_dict(first.state_dict())
    train(second, faces, 2, start=4)
    for mine, theirs in zip(whole.G_ema.state_dict().values(), second.G_ema.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    assert np.array_equal(whole.sample(), second.sample())


@pytest.mark.parametrize("arch", MODELS)
def test_a_sample_grid_shows_64_faces_that_differ(arch: str, faces: torch.Tensor) -> None:
    recipe = face_recipe(params_for(arch))
    train(recipe, faces, 5)
    sheet = recipe.sample()
    assert sheet.shape == (8 * 16, 8 * 16, 3) and sheet.dtype == np.uint8
    tiles = sheet.reshape(8, 16, 8, 16, 3).swapaxes(1, 2).reshape(64, -1)
    assert len(np.unique(tiles, axis=0)) > 60


@pytest.mark.parametrize("arch", MODELS)
def test_a_sample_grid_of_large_faces_is_drawn_a_few_at_a_time(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = face_recipe(params_for(arch))
    whole = recipe.sample()
    monkeypatch.setattr(sampling, "AT_ONCE", 10 * 16**2)
    drawn: list[int] = []
    recipe.G_ema.register_forward_pre_hook(lambda _, inputs: drawn.append(len(inputs[0])))
    monkeypatch.setattr(recipe, "settle", lambda: None)
    assert np.abs(recipe.sample().astype(int) - whole).max() <= 1
    assert drawn == [10] * 6 + [4]


def test_a_family_that_cannot_grow_is_refused() -> None:
    with pytest.raises(ValueError, match="only stylegan2 can grow"):
        params_for("dcgan", growth=[GROWTH])
    with pytest.raises(ValueError, match="from small to large"):
        params_for("stylegan2", growth=[GROWTH])


@pytest.mark.parametrize("side", [4, 8, 16])
def test_augmentation_changes_what_is_seen_and_lets_gradients_through(side: int) -> None:
    torch.manual_seed(0)
    images = (torch.rand(16, 3, side, side) - 0.5).requires_grad_()
    assert augment(images, 0.0) is images
    seen = augment(images, 1.0)
    assert seen.shape == images.shape
    assert all(not torch.equal(before, after) for before, after in zip(images, seen, strict=True))
    seen.sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


@pytest.mark.parametrize(("change", "share"), [(recolour, 0.25), (move, 0.25), (cut_out, 0.25)])
def test_each_augmentation_meets_its_share_of_the_pictures(change: Any, share: float) -> None:
    torch.manual_seed(0)
    images = torch.rand(400, 3, 16, 16) - 0.5
    changed = (change(images, share) - images).abs().flatten(1).amax(dim=1) > 1e-4
    at_most = 1 - (1 - share) ** 3 if change is recolour else share
    assert 0.5 * share < changed.float().mean().item() < at_most + 0.06


def test_a_moved_picture_keeps_its_pixels() -> None:
    torch.manual_seed(0)
    image = torch.zeros(1, 3, 16, 16)
    image[:, :, 8, 8] = 1
    for _ in range(8):
        moved = move(image, 1.0)
        assert moved.sum() == 3
        row, column = (moved[0, 0] == 1).nonzero()[0].tolist()
        assert abs(row - 8) <= 2 and abs(column - 8) <= 2


def test_real_and_made_pictures_are_both_shown_changed(faces: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gan, "augment", lambda images, _: images * 0)
    heard = train(face_recipe(params_for("stylegan2", augment=0.5, r1_gamma=0.0)), faces, 1)
    assert heard[0]["d_real"] == pytest.approx(heard[0]["d_made"])


def test_a_penalty_taken_seldom_weighs_as_much_more(faces: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def weight(interval: int) -> float:
        lost = list[float]()
        monkeypatch.setattr(gan, "descend", lambda loss, _: lost.append(loss.item()))
        heard = train(face_recipe(params_for("stylegan2", r1_gamma=8.0, r1_interval=interval)), faces, 1)
        return (lost[0] - heard[0]["d_loss"]) / heard[0]["r1"]

    assert [weight(1), weight(16)] == pytest.approx([4.0, 64.0], rel=1e-3)


def test_pictures_are_mirrored_half_of_the_time() -> None:
    images = torch.arange(4.0).expand(400, 3, 4, 4)
    torch.manual_seed(0)
    seen = gan._mirrored(images)
    mirrored = (seen == images.flip(3)).flatten(1).all(dim=1)
    assert 0.4 < mirrored.float().mean() < 0.6 and torch.equal(seen[~mirrored], images[~mirrored])
