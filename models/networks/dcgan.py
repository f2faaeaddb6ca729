"""DCGAN (Radford et al. 2016, https://arxiv.org/abs/1511.06434), section 3: all-convolutional, batch norm, strides instead of pooling.

Differences from the paper: z is normal, not uniform; PReLU and dropout where params say so; the discriminator has batch norm where params say so, and
without it an R1 penalty that speaks of one picture.
N batch, Z latent dim, R resolution. Images are NCHW in [-1, 1].
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def settle_norms(generator: Any, z: Tensor) -> None:
    """Batch norm's running statistics become those of exactly these weights over these z (N, Z); above 64 px over as many of them as have the
    pixels of N such pictures, and 64 at least."""
    norms = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm2d)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    generator(z[: max(64, len(z) * 64**2 // generator.resolution**2)])
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
        norm.eval()


def first_side(resolution: int) -> int:
    """From which the side doubles up to R: 4, or 6 for 96."""
    return 6 if resolution % 3 == 0 else 4


def widths_to(resolution: int, width: int) -> list[int]:
    """Channels at the first side, twice that, ... R/2: halved at each doubling, `width` at R/2."""
    doublings = (resolution // first_side(resolution)).bit_length() - 1
    return [width * 2**step for step in reversed(range(doublings))]


class Generator(nn.Module):
    """z (N, Z) -> image (N, 3, R, R)."""

    def __init__(self, *, resolution: int, z_dim: int, width: int, kernel: int, bn_momentum: float, activation: str, dropout: float) -> None:
        super().__init__()
        self.resolution, self.z_dim = resolution, z_dim
        self.w_avg: Tensor
        self.register_buffer("w_avg", torch.zeros(z_dim))

        def active() -> nn.Module:
            return nn.PReLU() if activation == "prelu" else nn.ReLU()

        def up(num_in: int, num_out: int) -> nn.ConvTranspose2d:
            return nn.ConvTranspose2d(num_in, num_out, kernel, stride=2, padding=(kernel - 1) // 2, output_padding=kernel % 2, bias=num_out == 3)

        widths = widths_to(resolution, width)
        side = first_side(resolution)
        layers: list[nn.Module] = [nn.Linear(z_dim, widths[0] * side**2, bias=False), nn.Unflatten(1, (widths[0], side, side))]
        for num_in, num_out in pairwise(widths):
            layers += [nn.BatchNorm2d(num_in, momentum=bn_momentum), active(), nn.Dropout2d(dropout), up(num_in, num_out)]
        layers += [nn.BatchNorm2d(widths[-1], momentum=bn_momentum), active(), up(widths[-1], 3), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(_initialise)

    def mapping(self, z: Tensor) -> Tensor:
        return z

    def synthesis(self, w: Tensor) -> Tensor:
        images: Tensor = self.layers(w)
        return images.float()

    def forward(self, z: Tensor, psi: float = 1.0) -> Tensor:
        return self.synthesis(psi * z)

    def settle(self, z: Tensor) -> None:
        settle_norms(self, z)


class Trunk(nn.Sequential):
    """image (N, 3, R, R) -> features (N, num_features, S, S), S the first side."""

    def __init__(self, resolution: int, width: int, kernel: int, dropout: float, batch_norm: bool) -> None:
        widths = [3, *reversed(widths_to(resolution, width))]
        layers: list[nn.Module] = []
        for num_in, num_out in pairwise(widths):
            normed = batch_norm and num_in != 3  # not what sees the picture
            layers.append(nn.Conv2d(num_in, num_out, kernel, stride=2, padding=(kernel - 1) // 2, bias=not normed))
            layers += [nn.BatchNorm2d(num_out)] if normed else []
            layers += [nn.LeakyReLU(0.2), nn.Dropout2d(dropout)]
        super().__init__(*layers)
        self.num_features, self.last_side = widths[-1], first_side(resolution)


class Discriminator(nn.Module):
    """image (N, 3, R, R) -> logit (N, 1), high on real ones."""

    def __init__(self, resolution: int, width: int, kernel: int, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        self.trunk = Trunk(resolution, width, kernel, dropout, batch_norm)
        self.out = nn.Linear(self.trunk.num_features * self.trunk.last_side**2, 1)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.out(self.trunk(images).flatten(1))
        return logits.float()


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), batch norm's gains from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)
