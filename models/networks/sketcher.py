"""Pose and latent -> line art: a U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) over pictures of the pose,
as in pix2pix (Isola et al. 2017, https://arxiv.org/abs/1611.07004, section 3.2) and DeepFaceDrawing's kind of sketch-to-picture nets.
Differences: the pose enters as numbers and is drawn here as soft joints and sticks at a quarter of the side, which blobs that soft
lose nothing by; z enters every level of the decoder by feature-wise scale and shift (Perez et al. 2018,
https://arxiv.org/abs/1709.07871); the last level is a pixel shuffle.
N batch, Z latent dim, R resolution. Sketches are NCHW float32 in [0, 1], 1 = white paper.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from genga.skeleton import JOINTS, STICKS

POSE_CHANNELS = len(JOINTS) + len(STICKS)
# standard deviation of a drawn joint and of a drawn stick's width, as shares of the picture's side
JOINT_SIGMA, STICK_SIGMA = 0.03, 0.02


def draw_pose(pose: Tensor, side: int) -> Tensor:
    """(N, 11, 2) in [0, 1] -> (N, 21, side, side) in [0, 1]: each joint and each stick as a soft blob in a channel of its own."""
    centres = (torch.arange(side, device=pose.device) + 0.5) / side
    places = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)
    from_joint = places - pose[:, :, None, None, :]
    starts, ends = pose[:, [a for a, _ in STICKS]], pose[:, [b for _, b in STICKS]]
    along = (ends - starts)[:, :, None, None, :]
    from_start = places - starts[:, :, None, None, :]
    share = ((from_start * along).sum(-1) / (along**2).sum(-1).clamp_min(1e-8)).clamp(0, 1)
    from_stick = from_start - share[..., None] * along
    return torch.cat([torch.exp(-(from_joint**2).sum(-1) / (2 * JOINT_SIGMA**2)), torch.exp(-(from_stick**2).sum(-1) / (2 * STICK_SIGMA**2))], dim=1)


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU())


class Up(nn.Module):
    """One level of the decoder: twice the side, the encoder's level added where there is one, scaled and shifted by z."""

    def __init__(self, in_channels: int, out_channels: int, z_dim: int) -> None:
        super().__init__()
        self.widen = _conv(in_channels, out_channels)
        self.by_z = nn.Linear(z_dim, 2 * out_channels)
        self.refine = _conv(out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor | None, z: Tensor) -> Tensor:
        x = nn.functional.interpolate(self.widen(x), scale_factor=2.0)
        x = x if skip is None else x + skip
        scale, shift = self.by_z(z)[:, :, None, None].chunk(2, dim=1)
        return self.refine(x * (1 + scale) + shift)  # type: ignore[no-any-return]


class Sketcher(nn.Module):
    """pose (N, 11, 2) in [0, 1], z (N, Z) -> sketch (N, 1, R, R) in [0, 1]."""

    def __init__(self, resolution: int, z_dim: int, width: int) -> None:
        super().__init__()
        self.resolution, self.z_dim = resolution, z_dim
        widths = [width, 3 * width, 6 * width, 8 * width]
        self.stem = _conv(POSE_CHANNELS, widths[1])
        self.down = nn.ModuleList(nn.Sequential(_conv(a, b, 2), _conv(b, b)) for a, b in pairwise(widths[1:]))
        self.up = nn.ModuleList(Up(b, a, z_dim) for a, b in pairwise(widths))
        self.ink = nn.Sequential(nn.Conv2d(width, 32, 3, 1, 1), nn.PixelShuffle(2), nn.ReLU(), nn.Conv2d(8, 1, 3, 1, 1))

    def ink_logits(self, maps: Tensor, z: Tensor) -> Tensor:
        """`maps` (N, 21, R / 4, R / 4): the pose as drawn by draw_pose -> (N, 1, R, R), before the sigmoid: high where there is a line."""
        levels = [self.stem(maps)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in reversed(self.up):
            x = up(x, levels.pop() if levels else None, z)
        return self.ink(x)  # type: ignore[no-any-return]

    def forward(self, pose: Tensor, z: Tensor) -> Tensor:
        return 1 - self.ink_logits(draw_pose(pose, self.resolution // 4), z).float().sigmoid()
