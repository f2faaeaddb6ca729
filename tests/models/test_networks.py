"""Every network in the table: shapes, ranges, and the same output after saving and loading."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import BEGAN, DCGAN, FASTGAN, SRGAN, STYLEGAN2
from torch import Tensor

from genga.tags import columns
from models.export import load_model, save_model
from models.kinds import kind_of
from models.networks import NETWORKS, build, dcgan, stylegan2
from models.networks.sketcher import Sketcher
from models.networks.upscaler import enlarge_bicubic
from models.precision import channels_last

SMALL: dict[str, dict[str, Any]] = {
    "began": BEGAN,
    "dcgan": DCGAN,
    "fastgan": FASTGAN,
    "pose": {"arch": "pose", "resolution": 32, "width": 8, "strokes": False},
    "sketcher": {"arch": "sketcher", "resolution": 32, "z_dim": 4, "width": 8},
    "srgan": SRGAN,
    "stick_unet": {"arch": "stick_unet", "resolution": 32, "z_dim": 4, "width": 8},
    "stylegan2": STYLEGAN2,
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


@pytest.mark.parametrize("arch", ["dcgan", "fastgan"])
def test_settling_on_large_pictures_takes_fewer_of_them(arch: str) -> None:
    G, seen = small(arch), []
    G.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    for resolution in (64, 128, 1024):
        G.resolution = resolution
        G.settle(torch.randn(512, G.z_dim))
    assert seen == [512, 128, 64]


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
        expected = torch.nn.functional.conv2d(x[picture : picture + 1], weight, padding=1)
        made = conv(x, conv.style(w)) * conv.demodulation(conv.style(w))[:, :, None, None]
        assert torch.allclose(made[picture : picture + 1], expected, atol=1e-5)


def test_demodulated_activations_keep_their_variance_up_and_flat() -> None:
    torch.manual_seed(0)
    for up in (False, True):
        conv = stylegan2.ModulatedConv(64, 64, w_dim=8, kernel=3, up=up)
        x = torch.randn(16, 64, 16, 16)
        expected = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear").var().item() if up else 1.0
        with torch.no_grad():
            w = 3 * torch.randn(16, 8)
            y = (conv(x, conv.style(w)) * conv.demodulation(conv.style(w))[:, :, None, None])[:, :, 2:-2, 2:-2]
        assert y.var().item() == pytest.approx(expected, rel=0.1)


def test_a_growing_stylegan2_makes_and_judges_smaller_pictures() -> None:
    G = small("stylegan2")
    D = stylegan2.Discriminator(32, 256, 16)
    w = G.mapping(torch.randn(4, G.z_dim))
    for side in (8, 16):
        images = G.synthesis(w, side)
        assert images.shape == (4, 3, side, side)
        assert D(images).shape == (4, 1)


def test_a_new_level_is_faded_in_from_the_picture_as_it_was() -> None:
    G = awake("stylegan2").eval()
    w = G.mapping(torch.randn(2, G.z_dim))
    with torch.no_grad():
        before = torch.nn.functional.interpolate(G.synthesis(w, 16), scale_factor=2, mode="bilinear")
        none, half, whole = (G.synthesis(w, 32, fade) for fade in (0.0, 0.5, 1.0))
    assert torch.allclose(before, none, atol=1e-5) and before.std() > 0.1
    assert not torch.allclose(none, whole, atol=1e-2)
    assert torch.allclose(half, (none + whole) / 2, atol=1e-5)
    assert torch.allclose(whole, G.synthesis(w), atol=1e-6)


@pytest.mark.parametrize("residual", [False, True])
def test_a_new_level_of_the_discriminator_is_faded_in_from_what_it_said(residual: bool) -> None:
    torch.manual_seed(0)
    trunk = stylegan2.Trunk(32, 256, 16, residual=residual)
    for block in trunk.blocks:
        torch.nn.init.normal_(block.down.weight)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = trunk(torch.nn.functional.avg_pool2d(images, 2))
        assert torch.allclose(trunk(images, 0.0), before, atol=1e-5)
        assert not torch.allclose(trunk(images), before, atol=1e-2)


def test_noise_is_the_same_for_every_finished_picture_and_new_in_training() -> None:
    G = awake("stylegan2")
    z = torch.randn(2, G.z_dim)
    with torch.no_grad():
        finished = G(z)
        assert torch.equal(finished, G(z))
        G.train()
        lively = G(z)
        assert not torch.equal(lively, G(z))
        for name, noise in G.eval().named_buffers():
            if name.endswith("noise"):
                noise.zero_()
        plain = G(z)
        assert 0 < (finished - plain).std() < 0.6 * (lively - plain).std()  # calmer than in training


def test_each_layer_takes_the_style_that_is_its_own() -> None:
    G = awake("stylegan2")
    one, other = G.mapping(torch.randn(2, G.z_dim)).detach().split(1)
    with torch.no_grad():
        plain = G.synthesis(one)
        assert torch.allclose(G.synthesis(one[:, None].expand(-1, G.num_ws, -1)), plain, atol=1e-6)
        for layer in range(G.num_ws):
            ws = one[:, None].repeat(1, G.num_ws, 1)
            ws[:, layer] = other
            assert not torch.allclose(G.synthesis(ws), plain, atol=1e-4), f"layer {layer} does nothing"


def test_what_is_kept_of_the_weights_follows_them() -> None:
    G = awake("stylegan2")
    z = torch.randn(2, G.z_dim)
    with torch.no_grad():
        before = G(z)
        for weight in G.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        kept = G(z)
    assert torch.allclose(kept, G(z), atol=1e-5)
    assert not torch.allclose(kept, before, atol=1e-2)


def test_a_finished_stylegan2_may_be_laid_out_in_inference_mode() -> None:
    G = awake("stylegan2")
    z = torch.randn(2, G.z_dim)
    expected = G(z)
    with torch.inference_mode():
        assert torch.allclose(channels_last(G)(z), expected, atol=1e-5)


def test_a_level_of_the_discriminator_halves_by_haar_s_wavelets() -> None:
    x = torch.arange(2 * 6 * 4 * 4).reshape(2, 6, 4, 4).float().square()
    haar = torch.tensor([[[1, 1], [1, 1]], [[2, -2], [2, -2]], [[2, 2], [-2, -2]], [[2, -2], [-2, 2]]]) / 4
    filters = haar[[0, 1, 2, 3, 0, 1], None]
    for laid_out in (x, x.contiguous(memory_format=torch.channels_last)):
        assert torch.allclose(stylegan2.haar(laid_out), torch.nn.functional.conv2d(x, filters, stride=2, groups=6))


def test_smoothing_has_a_first_and_a_second_derivative() -> None:
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(stylegan2.smooth, x)
    assert torch.autograd.gradgradcheck(stylegan2.smooth, x)


def test_path_lengths_take_as_many_convolutions_whatever_the_width() -> None:
    """PyTorch's second derivative of a convolution in groups, here as many as channels, takes one for each of them."""

    def convolutions(width: int) -> int:
        G: Any = build(SMALL["stylegan2"] | {"channel_base": 1024, "channel_max": width})
        w = torch.randn(2, G.num_ws, SMALL["stylegan2"]["w_dim"], requires_grad=True)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            (slope,) = torch.autograd.grad(G.synthesis(w).square().sum(), w, create_graph=True)
            slope.square().sum().backward()
        return sum(event.count for event in profile.key_averages() if event.key == "aten::convolution")

    assert convolutions(4) == convolutions(8) > 0


def test_a_level_of_the_discriminator_is_silent_at_first_and_then_the_plain_formula() -> None:
    torch.manual_seed(0)
    block = stylegan2.DownBlock(4, 6)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), torch.zeros(2, 6, 4, 4))
    torch.nn.init.normal_(block.down.weight)
    y = torch.nn.functional.leaky_relu(torch.nn.functional.conv2d(x, block.conv.weight / 6, padding=1), 0.2) * 2**0.5
    y = torch.nn.functional.leaky_relu(torch.nn.functional.conv2d(stylegan2.haar(y), block.down.weight / 6, padding=1), 0.2) * 2**0.5
    assert torch.allclose(block(x), y, atol=1e-5)


def test_a_residual_level_adds_to_the_one_before_and_keeps_its_variance() -> None:
    torch.manual_seed(0)
    block = stylegan2.DownBlock(4, 6, residual=True)
    x = torch.randn(2, 4, 8, 8)
    y = torch.nn.functional.leaky_relu(torch.nn.functional.conv2d(x, block.conv.weight / 6, padding=1), 0.2) * 2**0.5
    y = torch.nn.functional.leaky_relu(torch.nn.functional.conv2d(stylegan2.haar(y), block.down.weight / 6, padding=1), 0.2) * 2**0.5
    skipped = torch.nn.functional.conv2d(torch.nn.functional.avg_pool2d(x, 2), block.skip.weight / 2)
    assert torch.allclose(block(x), (y + skipped) / 2**0.5, atol=1e-5)


def test_dcgan_and_stylegan2_s_discriminator_reach_96_px() -> None:
    G = build(DCGAN | {"resolution": 96})
    D, other = dcgan.Discriminator(96, 8, 5, 0.0, False), stylegan2.Discriminator(96, 256, 16)
    images = G(torch.randn(4, 6))
    assert images.shape == (4, 3, 96, 96)
    assert D(images).shape == other(images).shape == (4, 1)


def test_the_paper_s_discriminator_has_batch_norm_in_every_layer_but_the_first() -> None:
    layers = [type(layer).__name__ for layer in dcgan.Discriminator(32, 8, 4, 0.0, True).trunk if not isinstance(layer, torch.nn.Dropout2d)]
    assert layers == ["Conv2d", "LeakyReLU", *["Conv2d", "BatchNorm2d", "LeakyReLU"] * 2]


@pytest.mark.parametrize("side", [16, 64, 128, 1024])
def test_stylegan2_has_any_power_of_two(side: int) -> None:
    G: Any = build(SMALL["stylegan2"] | {"resolution": side, "channel_base": 1024, "channel_max": 8})
    with torch.no_grad():
        images = G.eval()(torch.randn(1, 6))
        assert images.shape == (1, 3, side, side)
        assert stylegan2.Discriminator(side, 1024, 8)(images).shape == (1, 1)


def test_fastgan_s_small_maps_say_which_channels_of_large_ones_matter() -> None:
    G: Any = build(SMALL["fastgan"] | {"resolution": 128, "channel_base": 1024}).eval()
    assert list(G.excitations) == ["64", "128"]
    z = torch.randn(2, G.z_dim)
    with torch.no_grad():
        for weight in G.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        before = G(z)
        assert before.shape == (2, 3, 128, 128)
        for excitation in G.excitations.values():
            excitation[3].weight.zero_()
            excitation[3].bias.fill_(-20.0)
        after = G(z)
    assert not torch.allclose(before, after, atol=1e-2)
    assert torch.allclose(after, torch.tanh(G.to_rgb.bias)[:, None, None].expand_as(after), atol=1e-4)


def test_minibatch_stddev_sees_whether_pictures_differ() -> None:
    same, different = torch.ones(4, 2, 4, 4), torch.randn(4, 2, 4, 4)
    both = stylegan2.minibatch_stddev(torch.cat([same, different]))
    assert both[:4, -1].max() < 1e-3 and both[4:, -1].min() > 0.3
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


def test_the_fused_step_is_bilinear_doubling_and_a_convolution() -> None:
    torch.manual_seed(0)
    conv = stylegan2.ModulatedConv(5, 7, w_dim=4, kernel=3, up=True)
    x, w = torch.randn(2, 5, 8, 8), torch.randn(2, 4)
    paper = torch.nn.functional.pad(x * conv.style(w)[:, :, None, None], [2] * 4)  # zeros around, as a convolution's padding
    doubled = torch.nn.functional.interpolate(paper, scale_factor=2, mode="bilinear")
    expected = torch.nn.functional.conv2d(doubled, conv.weight)[:, :, 3:-3, 3:-3]
    style = conv.style(w)
    assert torch.allclose(conv(x, style), expected, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(conv(x, style), expected, atol=1e-5)
        assert torch.allclose(conv.eval()(x, style), expected, atol=1e-5)
        assert torch.allclose(conv(x[:1], style[:1]), expected[:1], atol=1e-5)
