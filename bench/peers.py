"""Other people's networks, imported from their checkouts in the folder that --peers names; nothing of them stands here.

Two of them name their packages alike, so each is imported with its own checkout in front, and its modules are then forgotten.
TRAINED gives each a training of its own, with widths that a CPU can train: losses, rates and penalties as its repository has them for 64 px; each
class says what else it leaves out. All of them compute in float32, as their code does without a GPU.
N batch, Z latent dim. Images are NCHW float32 in [-1, 1].
"""

import ast
import copy
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from unittest.mock import MagicMock, patch

import packaging.version
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genga.errors import DataError
from models.descent import descend

SIDE = 64


class Training(Protocol):
    """A generator being trained."""

    batch_size: int

    def step(self, real: Tensor) -> None: ...
    def make(self, count: int) -> Tensor: ...


REPOSITORIES = {
    "dcgan": "pytorch/examples",
    "lightweight-gan": "lucidrains/lightweight-gan",
    "stylegan2": "NVlabs/stylegan2-ada-pytorch",
    "r3gan": "brownvc/R3GAN",
}


def checkout(peers_dir: Path | None, peer: str) -> Path:
    """The peer's folder, or one sentence about how to get it."""
    repository = REPOSITORIES[peer]
    name = repository.split("/")[1]
    if peers_dir is None or not (peers_dir / name).is_dir():
        where = f"no {name} in {peers_dir}" if peers_dir else f"nothing to compare with: no --peers folder with {name}"
        into = peers_dir or Path("../peers")
        raise DataError(f"{where}; fetch it with `git clone https://github.com/{repository} {into / name}`, then run this again with --peers {into}")
    return peers_dir / name


@contextmanager
def imported(root: Path, name: str) -> Iterator[ModuleType]:
    """A module of the checkout `root`, for as long as networks are built with it."""
    before = set(sys.modules)
    sys.path.insert(0, str(root))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield import_module(name)
    finally:
        sys.path.remove(str(root))
        for each in set(sys.modules) - before:
            if str(root) in str(getattr(sys.modules[each], "__file__", None) or ""):
                del sys.modules[each]


@contextmanager
def standing_in(modules: dict[str, Any]) -> Iterator[None]:
    """For packages that a checkout imports and that what we use of it never calls."""
    absent = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(absent)
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def stylegan2_ada(peers_dir: Path | None, resolution: int, z_dim: int, channel_base: int, channel_max: int, mapping_layers: int) -> tuple[Any, Any]:
    """NVlabs' generator and discriminator in float32; on a CPU their operations run by their own plain formulas."""
    widths = {"channel_base": channel_base, "channel_max": channel_max}
    size = {"c_dim": 0, "img_resolution": resolution, "img_channels": 3}
    with imported(checkout(peers_dir, "stylegan2"), "training.networks") as networks:
        mapping = {"num_layers": mapping_layers}
        G = networks.Generator(z_dim=z_dim, w_dim=z_dim, mapping_kwargs=mapping, synthesis_kwargs=widths, **size)
        return G, networks.Discriminator(**size, **widths)


def averaged(mean: nn.Module, net: nn.Module, keep: float) -> None:
    with torch.no_grad():
        torch._foreach_lerp_(tuple(mean.parameters()), tuple(net.parameters()), 1 - keep)
        for copied, buffer in zip(mean.buffers(), net.buffers(), strict=True):
            copied.copy_(buffer)


class Dcgan:
    """PyTorch's example: binary cross-entropy, Adam at 2e-4, batches of 64. Its script's two classes alone are run, not the script."""

    batch_size = 64

    def __init__(self, peers_dir: Path | None) -> None:
        path = checkout(peers_dir, "dcgan") / "dcgan/main.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tree.body = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
        names: dict[str, Any] = {"nn": nn, "torch": torch, "nz": 100, "ngf": 64, "ndf": 64, "nc": 3}
        exec(compile(tree, path, "exec"), names)
        self._G, self._D = names["Generator"](1), names["Discriminator"](1)
        for net in (self._G, self._D):
            net.apply(names["weights_init"])
        self._optimizers = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (self._G, self._D)]

    def step(self, real: Tensor) -> None:
        g_optimizer, d_optimizer = self._optimizers
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        d_optimizer.zero_grad()
        F.binary_cross_entropy(self._D(real), ones).backward()  # type: ignore[no-untyped-call]
        made = self._G(torch.randn(len(real), 100, 1, 1))
        F.binary_cross_entropy(self._D(made.detach()), zeros).backward()  # type: ignore[no-untyped-call]
        d_optimizer.step()
        g_optimizer.zero_grad()
        F.binary_cross_entropy(self._D(made), ones).backward()  # type: ignore[no-untyped-call]
        g_optimizer.step()

    def make(self, count: int) -> Tensor:
        return self._G(torch.randn(count, 100, 1, 1))  # type: ignore[no-any-return]


class StyleGan2:
    """NVlabs' networks at our evening widths: mapping of two layers, logistic loss, lazy R1, gamma and learning rate by their `auto` rule.

    Their train.py with `auto` also has path lengths in every fourth step, mixed styles and batches of 32. All three cost time: without them theirs
    takes more, shorter steps in its minutes, which favours it. It has adaptive augmentation too, whose strength begins at 0 and rises by at most 1 in
    500 kimg: in the 20 that a CPU gets through it would do little, and it would cost time as well.
    """

    batch_size = 16

    def __init__(self, peers_dir: Path | None) -> None:
        self._G, self._D = stylegan2_ada(peers_dir, SIDE, 256, 2048, 256, mapping_layers=2)
        self._mean = copy.deepcopy(self._G).eval()
        self._gamma, self._count, self._interval = 0.0002 * SIDE**2 / self.batch_size, 0, 16
        ratio = self._interval / (self._interval + 1)
        self._g_optimizer = torch.optim.Adam(self._G.parameters(), 0.0025, (0.0, 0.99))
        self._d_optimizer = torch.optim.Adam(self._D.parameters(), 0.0025 * ratio, (0.0, 0.99**ratio))

    def step(self, real: Tensor) -> None:
        z = torch.randn(2, len(real), 256)
        self._D.requires_grad_(False)
        loss = F.softplus(-self._D(self._G(z[0], None), None)).mean()
        descend(loss, self._g_optimizer)
        self._D.requires_grad_(True)
        with torch.no_grad():
            made = self._G(z[1], None)
        real = real.requires_grad_(self._count % self._interval == 0)
        on_real = self._D(real, None)
        loss = F.softplus(self._D(made, None)).mean() + F.softplus(-on_real).mean()
        if real.requires_grad:
            (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            loss = loss + self._gamma / 2 * self._interval * slope.square().sum(dim=(1, 2, 3)).mean()
        descend(loss, self._d_optimizer)
        self._count += 1
        half_life = min(10_000.0, 0.05 * self._count * self.batch_size)
        averaged(self._mean, self._G, 0.5 ** (self.batch_size / half_life))

    def make(self, count: int) -> Tensor:
        return self._mean(torch.randn(count, 256), None)  # type: ignore[no-any-return]


class R3Gan:
    """Its networks and its losses (relativistic, R1 and R2 in every step) as at FFHQ 64, an eighth as wide, one block a stage."""

    batch_size = 16

    def __init__(self, peers_dir: Path | None) -> None:
        widths = [96, 96, 96, 96, 48]
        size = {"ExpansionFactor": 2, "BlocksPerStage": [1] * 5}
        versions = MagicMock(parse_version=packaging.version.parse)
        with standing_in({"pkg_resources": versions}), imported(checkout(peers_dir, "r3gan"), "R3GAN.Networks") as networks:
            trainer = import_module("R3GAN.Trainer")
            self._G = networks.Generator(NoiseDimension=64, WidthPerStage=widths, CardinalityPerStage=[12, 12, 12, 12, 6], **size)
            self._D = networks.Discriminator(WidthPerStage=widths[::-1], CardinalityPerStage=[6, 12, 12, 12, 12], **size)
            self._losses = trainer.AdversarialTraining(self._G, self._D)
        self._mean, self._nimg = copy.deepcopy(self._G), 0
        self._g_optimizer, self._d_optimizer = (torch.optim.Adam(net.parameters(), 2e-4, (0.0, 0.9)) for net in (self._G, self._D))

    def step(self, real: Tensor) -> None:
        self._D.requires_grad_(False)
        self._g_optimizer.zero_grad()
        self._losses.AccumulateGeneratorGradients(torch.randn(len(real), 64), real, None)
        self._g_optimizer.step()
        self._D.requires_grad_(True)
        self._d_optimizer.zero_grad()
        self._losses.AccumulateDiscriminatorGradients(torch.randn(len(real), 64), real, None, 2.0)
        self._d_optimizer.step()
        self._nimg += len(real)
        averaged(self._mean, self._G, 0.5 ** (len(real) / (0.05 * self._nimg)))

    def make(self, count: int) -> Tensor:
        return self._mean(torch.randn(count, 64), None)  # type: ignore[no-any-return]


class Lightweight:
    """lucidrains' networks, losses and augmentation as its command has them by default, in batches of 10.

    Its command gathers the slopes of four such batches (gradient_accumulate_every) for each step of its optimizers. Here every batch is a step, so
    that the same pictures make four times as many, if noisier, steps: where minutes are few, that favours it.
    """

    batch_size = 10

    def __init__(self, peers_dir: Path | None) -> None:
        root = checkout(peers_dir, "lightweight-gan")
        try:
            import_module("einops")
        except ImportError as error:
            raise DataError("lightweight-gan needs einops, which is not installed; run `pip install einops` and this again") from error
        absent = {name: MagicMock() for name in ("torchvision", "torchvision.transforms", "adabelief_pytorch", "kornia")}
        absent["kornia.filters"] = MagicMock(filter2d=blurred)
        with (
            standing_in(absent),
            patch("torch.cuda.is_available", lambda: True),
            imported(root, "lightweight_gan.lightweight_gan") as module,
            patch.object(nn.Module, "cuda", lambda self, *_: self),
        ):
            self._gan: Any = module.LightweightGAN(latent_dim=256, image_size=SIDE, attn_res_layers=[32])
            self._module, self._steps = module, 0
        self._gan.train()

    def step(self, real: Tensor) -> None:
        gan, module = self._gan, self._module
        penalised = self._steps % 4 == 0
        how = {"prob": 0.27, "types": ["translation", "cutout"]}  # its rule for 10,000 pictures
        with torch.no_grad():
            made = gan.G(torch.randn(len(real), 256))
        real.requires_grad_(penalised)
        seen, on_made = gan.D_aug(made, detach=True, input_requires_grad=penalised, return_discr_input=True, **how)
        on_real = gan.D_aug(real, calc_aux_loss=True, **how)
        loss = module.hinge_loss(on_real[0], on_made[0]) + module.hinge_loss(on_real[1], on_made[1]) + on_real[2]
        if penalised:
            for images, heard in ((real, on_real), (seen, on_made)):
                (slope,) = torch.autograd.grad(list(heard[:2]), images, [torch.ones_like(each) for each in heard[:2]], create_graph=True)
                loss = loss + 10 * slope.square().sum(dim=(1, 2, 3)).mean() / 2
        descend(loss, gan.D_opt)
        on_made = gan.D_aug(gan.G(torch.randn(len(real), 256)), **how)
        descend(module.gen_hinge_loss(on_made[0], None) + module.gen_hinge_loss(on_made[1], None), gan.G_opt)
        self._steps += 1
        if self._steps % 10 == 0 and self._steps > 20000:
            gan.EMA()
        if self._steps <= 25000 and self._steps % 1000 == 2:
            gan.reset_parameter_averaging()

    def make(self, count: int) -> Tensor:
        return self._gan.eval().G(torch.randn(count, 256))  # type: ignore[no-any-return]


def blurred(x: Tensor, kernel: Tensor, normalized: bool) -> Tensor:
    """What kornia's filter2d does: (N, C, H, W) by one kernel (1, k, k), mirrored at the edges."""
    kernel = kernel / kernel.abs().sum() if normalized else kernel
    reach = kernel.shape[-1] // 2
    padded = F.pad(x, [reach] * 4, mode="reflect")
    return F.conv2d(padded, kernel.expand(x.shape[1], 1, -1, -1).to(x), groups=x.shape[1])


TRAINED: dict[str, Callable[[Path | None], Training]] = {"dcgan": Dcgan, "lightweight-gan": Lightweight, "stylegan2": StyleGan2, "r3gan": R3Gan}
