"""BEGAN (Berthelot, Schumm and Metz 2017, https://arxiv.org/abs/1703.10717), section 3.5: a decoder that draws, an autoencoder that judges.

Two convolutions and ELUs at each size, nearest-neighbour enlarging, strided convolutions to shrink; widths grow by `width` at each halving.
Differences: latents come as normal numbers, like those of the other families, and are made uniform in [-1, 1], as the paper's are, by `mapping`; the
plain networks, without what the paper adds to help gradients, skip connections from the decoder's first layer and vanishing residuals.
N batch, Z latent dim, R resolution. Images are NCHW in [-1, 1].
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

SMALLEST = 8  # side at which the code becomes a picture and back


def _twice(channels: int) -> list[nn.Module]:
    return [layer for _ in range(2) for layer in (nn.Conv2d(channels, channels, 3, 1, 1), nn.ELU())]


def _halvings(resolution: int) -> int:
    return resolution.bit_length() - SMALLEST.bit_length()


class Decoder(nn.Sequential):
    """code (N, Z) -> image (N, 3, R, R)."""

    def __init__(self, resolution: int, code: int, width: int) -> None:
        layers: list[nn.Module] = [nn.Linear(code, width * SMALLEST**2), nn.Unflatten(1, (width, SMALLEST, SMALLEST)), *_twice(width)]
        for _ in range(_halvings(resolution)):
            layers += [nn.Upsample(scale_factor=2), *_twice(width)]
        super().__init__(*layers, nn.Conv2d(width, 3, 3, 1, 1))


class Encoder(nn.Sequential):
    """image (N, 3, R, R) -> code (N, Z)."""

    def __init__(self, resolution: int, code: int, width: int) -> None:
        widths = [width * (step + 1) for step in range(_halvings(resolution) + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1), nn.ELU()]
        for num_in, num_out in pairwise(widths):
            layers += [*_twice(num_in), nn.Conv2d(num_in, num_out, 3, 2, 1), nn.ELU()]
        super().__init__(*layers, *_twice(widths[-1]), nn.Flatten(), nn.Linear(widths[-1] * SMALLEST**2, code))


class Generator(nn.Module):
    """z (N, Z) -> image (N, 3, R, R)."""

    def __init__(self, *, resolution: int, z_dim: int, width: int) -> None:
        super().__init__()
        self.resolution, self.z_dim = resolution, z_dim
        self.w_avg: Tensor
        self.register_buffer("w_avg", torch.zeros(z_dim))
        self.decoder = Decoder(resolution, z_dim, width)

    def mapping(self, z: Tensor) -> Tensor:
        """Normal numbers -> uniform ones in [-1, 1]."""
        return torch.erf(z / 2**0.5)

    def synthesis(self, w: Tensor) -> Tensor:
        images: Tensor = self.decoder(w)
        return images.float()

    def forward(self, z: Tensor, psi: float = 1.0) -> Tensor:
        return self.synthesis(psi * self.mapping(z))

    def settle(self, z: Tensor) -> None:
        """Nothing to settle: no statistics, and the mean of w is 0."""


class Discriminator(nn.Module):
    """image (N, 3, R, R) -> the same image as far as the autoencoder can rebuild it."""

    def __init__(self, resolution: int, code: int, width: int) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(resolution, code, width), Decoder(resolution, code, width)

    def forward(self, images: Tensor) -> Tensor:
        rebuilt: Tensor = self.decoder(self.encoder(images))
        return rebuilt.float()
