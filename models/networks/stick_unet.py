"""The first system's sketch generator: a picture of the stick figure, one channel, in; a sketch out.

A U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) as pix2pix has it (Isola et al. 2017, https://arxiv.org/abs/1611.07004, section
6.1.1): kernels of 4 with stride 2, batch norm, skips. Difference: z is added at the narrowest level, where pix2pix only has dropout.
N batch, Z latent dim, R resolution. Sketches are NCHW float32 in [0, 1], 1 = white paper.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from genga.skeleton import STICKS

STICK_WIDTH = 1 / 64  # as a share of the picture's side


def draw_sticks(pose: Tensor, side: int) -> Tensor:
    """(N, 11, 2) in [0, 1] -> (N, 1, side, side) in [0, 1], 1 = ink: lines of STICK_WIDTH, their edges one pixel soft."""
    centres = (torch.arange(side, device=pose.device, dtype=pose.dtype) + 0.5) / side
    nearest2 = pose.new_full((len(pose), side, side), torch.inf)
    for start, end in STICKS:
        a, along = pose[:, start], pose[:, end] - pose[:, start]
        dx, dy = (centres - a[:, :1])[:, None, :], (centres - a[:, 1:])[:, :, None]
        ax, ay = along[:, 0, None, None], along[:, 1, None, None]
        share = ((dx * ax + dy * ay) / (ax**2 + ay**2).clamp_min(1e-8)).clamp(0, 1)
        nearest2 = torch.minimum(nearest2, (dx - share * ax) ** 2 + (dy - share * ay) ** 2)
    return ((STICK_WIDTH / 2 - nearest2.sqrt()) * side + 0.5).clamp(0, 1)[:, None]


class StickUNet(nn.Module):
    """pose (N, 11, 2) in [0, 1], z (N, Z) -> sketch (N, 1, R, R) in [0, 1], whatever other latents were given `before`."""

    def __init__(self, resolution: int, z_dim: int, width: int) -> None:
        super().__init__()
        self.resolution, self.z_dim = resolution, z_dim
        widths = [width * min(2**level, 8) for level in range(resolution.bit_length() - 3)]  # R/2, R/4 ... 4
        self.first = nn.Conv2d(1, width, 4, 2, 1)
        self.down = nn.ModuleList(
            nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b)) for a, b in pairwise(widths)
        )
        self.by_z = nn.Linear(z_dim, widths[-1] * 16)
        fed = [widths[-1], *(2 * channels for channels in widths[-2::-1])]  # from below, and from the encoder beside it
        self.up = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b))
            for a, b in zip(fed[:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(fed[-1], 1, 4, 2, 1))

    def logits(self, sticks: Tensor, z: Tensor) -> Tensor:
        """`sticks` (N, 1, R, R), 1 = ink -> the same, of ink: below 0 is paper."""
        levels = [self.first(sticks)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        x = x + self.by_z(z).view_as(x)
        for up in self.up:
            x = torch.cat([up(x), levels.pop()], dim=1)
        return self.last(x).float()  # type: ignore[no-any-return]

    def forward(self, pose: Tensor, z: Tensor, before: Tensor | None = None) -> Tensor:  # noqa: ARG002
        return 1 - self.logits(draw_sticks(pose, self.resolution), z).sigmoid()
