"""Every network in the table: shapes, ranges, and the same output after saving and loading."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genga.tags import columns
from models.export import load_model, save_model
from models.kinds import kind_of
from models.networks import NETWORKS, build, stylegan2
from models.networks.sketcher import Sketcher
from models.networks.upscaler import enlarge_bicubic

DCGAN = {"arch": "dcgan", "resolution": 32, "z_dim": 6, "width": 8, "kernel": 5, "bn_momentum": 0.5, "activation": "prelu", "dropout": 0.2}
SMALL: dict[str, dict[str, Any]] = {
    "began": {"arch": "began", "resolution": 32, "z_dim": 6, "width": 8},
    "dcgan": DCGAN,
    "pose": {"arch": "pose", "resolution": 32, "width": 8},
    "sketcher": {"arch": "sketcher", "resolution": 32, "z_dim": 4, "width": 8},
    "stick_unet": {"arch": "stick_unet", "resolution": 32, "z_dim": 4, "width": 8},
    "stylegan2": {"arch": "stylegan2", "resolution": 32, "z_dim": 6, "w_dim": 8, "mapping_layers": 2, "channel_base": 256, "channel_max": 16},
    "tagger": {"arch": "tagger", "resolution": 32, "width": 8, "dropout": 0.1, "mirrored": False},
    "transfer": {"arch": "transfer", "base": DCGAN, "width": 8},
    "upscaler": {"arch": "upscaler", "width": 8, "blocks": 2},
}
FACES = [arch for arch, model in SMALL.items() if kind_of({"model": model}) == "face"]


def small(arch: str) -> Any:
    torch.manual_seed(0)
    module = build(SMALL[arch])
    if isinstance(module, Sketcher):
        module.remember(np.random.default_rng(0).choice([0, 255], (12, 32, 32)).astype(np.uint8), torch.rand(12, 11, 2))
    return module


def awake(arch: str) -> Any:
    """As after some training: what starts at zero no longer is."""
    module = small(arch).eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return module


def inputs_for(arch: str, module: Any) -> tuple[Tensor, ...]:
    torch.manual_seed(1)
    kind = kind_of({"model": SMALL[arch]})
    if kind == "face":
        return (torch.randn(3, module.z_dim),)
    if kind == "sketcher":
        return torch.rand(3, 11, 2), torch.randn(3, module.z_dim)
    if kind == "pose":
        return (torch.rand(3, 1, module.resolution, module.resolution),)
    return (torch.rand(3, 3, 32, 32) * 2 - 1,)


def test_the_table_has_a_small_example_of_each() -> None:
    assert SMALL.keys() == NETWORKS.keys()


@pytest.mark.parametrize("arch", SMALL)
def test_saved_and_loaded_it_gives_the_same_output(arch: str, tmp_path: Path) -> None:
    module = awake(arch)
    save_model(tmp_path / arch, module, {"model": SMALL[arch]})
    loaded, card = load_model(tmp_path / arch)
    assert card["model"] == SMALL[arch]
    assert not loaded.training
    inputs = inputs_for(arch, module)
    with torch.no_grad():
        for before, after in zip(module(*inputs), loaded(*inputs), strict=True):
            assert torch.equal(before, after)


@pytest.mark.parametrize("arch", SMALL)
def test_one_input_is_not_changed_by_the_others_of_its_batch(arch: str) -> None:
    kind = torch.float64 if arch == "sketcher" else torch.float32  # thin lines enlarge float32's rounding, which follows the batch
    module = awake(arch).to(kind)
    inputs = tuple(part.to(kind) for part in inputs_for(arch, module))
    with torch.no_grad():
        whole, alone = module(*inputs), module(*(part[1:2] for part in inputs))
    first = (lambda made: made[0]) if isinstance(whole, tuple) else (lambda made: made)
    assert torch.allclose(first(whole)[1:2], first(alone), atol=1e-5)


@pytest.mark.parametrize("arch", FACES)
def test_a_face_generator_makes_pictures_from_latents(arch: str) -> None:
    G = awake(arch)
    z = torch.randn(3, G.z_dim)
    with torch.no_grad():
        w = G.mapping(z)
        images = G.synthesis(w)
        assert images.shape == (3, 3, G.resolution, G.resolution)
        assert w.shape[1:] == G.w_avg.shape
        assert torch.allclose(G(z), images, atol=1e-5)
        assert (images[0] - images[1]).abs().mean() > 1e-3


@pytest.mark.parametrize("arch", FACES)
def test_psi_zero_is_the_mean_face(arch: str) -> None:
    G = awake(arch)
    G.settle(torch.randn(64, G.z_dim))
    with torch.no_grad():
        images = G(torch.randn(2, G.z_dim), psi=0.0)
        assert torch.allclose(images[0], images[1])
        assert torch.allclose(images[0], G.synthesis(G.w_avg[None])[0], atol=1e-6)


def test_settling_stylegan2_puts_the_mean_of_w_into_w_avg() -> None:
    G = small("stylegan2")
    z = torch.randn(256, G.z_dim)
    G.settle(z)
    assert torch.allclose(G.w_avg, G.mapping(z).mean(dim=0))
    assert G.w_avg.abs().sum() > 0


def test_settling_dcgan_makes_eval_agree_with_a_batch_of_training() -> None:
    G = build(DCGAN | {"dropout": 0.0})
    z = torch.randn(512, 6)
    with torch.no_grad():
        in_training = G.train()(z)
        G.eval()
        before = (G(z) - in_training).abs().mean()
        G.settle(z)  # type: ignore[operator]
        after = (G(z) - in_training).abs().mean()
    assert after < 0.01 * before
    assert not any(module.training for module in G.modules())
    assert {norm.momentum for norm in G.modules() if isinstance(norm, torch.nn.BatchNorm2d)} == {0.5}


def test_modulation_on_activations_is_the_modulated_convolution_of_the_paper() -> None:
    torch.manual_seed(0)
    conv = stylegan2.ModulatedConv(5, 7, w_dim=4, kernel=3)
    x, w = torch.randn(2, 5, 8, 8), torch.randn(2, 4)
    style = conv.affine(w)
    for picture in range(2):
        weight = conv.weight * conv.scale * style[picture][None, :, None, None]  # eq. 1
        weight = weight * (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).rsqrt()  # eq. 3
        expected = torch.nn.functional.conv2d(x[picture : picture + 1], weight, padding=1) * stylegan2.GAIN
        assert torch.allclose(conv(x, w)[picture : picture + 1], expected, atol=1e-5)


def test_demodulated_activations_keep_their_variance_up_and_flat() -> None:
    torch.manual_seed(0)
    for up in (False, True):
        conv = stylegan2.ModulatedConv(64, 64, w_dim=8, kernel=3, up=up)
        with torch.no_grad():
            y = conv(torch.randn(16, 64, 16, 16), 3 * torch.randn(16, 8))[:, :, 2:-2, 2:-2]
        assert y.var().item() == pytest.approx(stylegan2.GAIN**2, rel=0.1)


def test_a_growing_stylegan2_makes_and_judges_smaller_pictures() -> None:
    G = small("stylegan2")
    D = stylegan2.Discriminator(32, 256, 16)
    w = G.mapping(torch.randn(4, G.z_dim))
    for side in (8, 16):
        images = G.synthesis(w, side)
        assert images.shape == (4, 3, side, side)
        assert D(images).shape == (4, 1)


def test_a_new_level_leaves_the_picture_as_it_was() -> None:
    G = small("stylegan2").eval()
    with torch.no_grad():
        for to_rgb in G.to_rgbs[:3]:  # 4, 8, 16; the level of 32 is new
            to_rgb.weight.normal_()
        w = G.mapping(torch.randn(2, G.z_dim))
        at_16, at_32 = G.synthesis(w, 16), G.synthesis(w)
    assert torch.allclose(torch.nn.functional.interpolate(at_16, scale_factor=2, mode="bilinear"), at_32, atol=1e-5)
    assert at_16.std() > 0.1


def test_minibatch_stddev_sees_whether_pictures_differ() -> None:
    same, different = torch.ones(4, 2, 4, 4), torch.randn(4, 2, 4, 4)
    assert stylegan2.minibatch_stddev(same)[:, -1].max() < 1e-3
    assert stylegan2.minibatch_stddev(different)[:, -1].min() > 0.3


def test_a_transferred_generator_starts_as_its_base_and_trains_only_what_was_appended() -> None:
    G = small("transfer").train()
    assert not G.base.training
    z = torch.randn(2, G.z_dim)
    with torch.no_grad():
        assert torch.equal(G(z), G.base(z))
    assert all(name.startswith("redraw.") for name, weight in G.named_parameters() if weight.requires_grad)


def test_the_upscaler_starts_as_bicubic_enlarging() -> None:
    images = torch.rand(1, 3, 9, 7) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(small("upscaler")(images), enlarge_bicubic(images))


def test_nothing_beyond_the_margin_changes_an_enlarged_pixel() -> None:
    upscaler = small("upscaler").eval()
    with torch.no_grad():
        for weight in upscaler.parameters():
            weight.normal_(0, 0.3)
        margin = upscaler.margin
        images = torch.rand(1, 3, 8, 4 * margin)
        changed = images.clone()
        changed[..., 2 * margin :] = -1
        same = upscaler(images) == upscaler(changed)
    reach = 4 * (2 * margin - margin)  # in enlarged pixels, from the left
    assert same[..., :reach].all()
    assert not same[..., reach + 16 :].all()


SHAPES = {"tagger": (3, len(columns())), "upscaler": (3, 3, 128, 128), "sketcher": (3, 1, 32, 32), "stick_unet": (3, 1, 32, 32)}


@pytest.mark.parametrize(("arch", "shape"), SHAPES.items())
def test_outputs_have_the_stated_shape(arch: str, shape: tuple[int, ...]) -> None:
    module = small(arch).eval()
    with torch.no_grad():
        assert module(*inputs_for(arch, module)).shape == shape


def test_the_fused_step_is_doubling_each_pixel_and_a_convolution() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 5, 8, 8), torch.randn(7, 5, 3, 3)
    doubled = torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    expected = torch.nn.functional.conv2d(doubled, weight, padding=1)
    up = torch.nn.functional.conv_transpose2d(x, stylegan2.fused(weight.flip(2, 3)).transpose(0, 1), stride=2, padding=1)
    assert torch.allclose(up, expected, atol=1e-4)
