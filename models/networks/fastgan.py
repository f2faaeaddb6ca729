"""FastGAN's generator (Liu et al. 2021, https://arxiv.org/abs/2101.04775, section 3.1): few convolutions at each size, batch norm, and
skip-layer excitation, by which a small map says which channels of one 16 times as large matter.

Differences from the paper: leaky ReLU instead of gated linear units and no noise, at half the cost; enlarging is one transposed convolution.
Its discriminator is stylegan2's, with minibatch stddev and without batch norm, so that R1 speaks of one picture.
N batch, Z latent dim, R resolution. Images are NCHW in [-1, 1].
"""

import torch
from torch import Tensor, nn

from models.networks.dcgan import settle_norms
from models.networks.stylegan2 import channels_at

EXCITED = 16  # times the side of what excites


def normed(conv: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.LeakyReLU(0.2, inplace=True))


class Up(nn.Sequential):
    """x (N, I, S, S) -> (N, O, 2S, 2S)."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__(
            normed(nn.ConvTranspose2d(num_in, num_out, 4, stride=2, padding=1, bias=False), num_out),
            normed(nn.Conv2d(num_out, num_out, 3, padding=1, bias=False), num_out),
        )


class Excitation(nn.Sequential):
    """Small map (N, I, S, S) -> what the channels of a large one are multiplied by (N, O, 1, 1): eq. 2."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(4), nn.Conv2d(num_in, num_out, 4), nn.LeakyReLU(0.1), nn.Conv2d(num_out, num_out, 1), nn.Sigmoid())


class Generator(nn.Module):
    """z (N, Z) -> image (N, 3, R, R)."""

    def __init__(self, *, resolution: int, z_dim: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        self.resolution, self.z_dim = resolution, z_dim
        self.w_avg: Tensor
        self.register_buffer("w_avg", torch.zeros(z_dim))
        sides = [2**power for power in range(2, resolution.bit_length())]
        widths = {side: channels_at(side, channel_base, channel_max) for side in sides}
        self.first = normed(nn.ConvTranspose2d(z_dim, widths[4], 4, bias=False), widths[4])
        self.ups = nn.ModuleList(Up(widths[side // 2], widths[side]) for side in sides[1:])
        excited = [side for side in sides if side >= 4 * EXCITED]
        self.excitations = nn.ModuleDict({str(side): Excitation(widths[side // EXCITED], widths[side]) for side in excited})
        self.to_rgb = nn.Conv2d(widths[resolution], 3, 3, padding=1)
        self.apply(_initialise)

    def mapping(self, z: Tensor) -> Tensor:
        return z

    def synthesis(self, w: Tensor) -> Tensor:
        x = self.first(w[:, :, None, None].contiguous(memory_format=torch.channels_last))
        maps = {4: x}
        for up in self.ups:
            x = up(x)
            side = x.shape[2]
            if str(side) in self.excitations:
                x = x * self.excitations[str(side)](maps[side // EXCITED])
            maps[side] = x
        images: Tensor = torch.tanh(self.to_rgb(x).float())
        return images

    def forward(self, z: Tensor, psi: float = 1.0) -> Tensor:
        return self.synthesis(psi * z)

    def settle(self, z: Tensor) -> None:
        settle_norms(self, z)


def _initialise(module: nn.Module) -> None:
    """As DCGAN: weights from N(0, 0.02), batch norm's gains from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)
