"""Pose and latent -> line art, as outlines of soft body parts.

A U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) over pictures of the pose, as pix2pix has it (Isola et al. 2017,
https://arxiv.org/abs/1611.07004, section 3.2), with z in every level of the decoder by feature-wise scale and shift (Perez et al. 2018,
https://arxiv.org/abs/1709.07871). Differences: it does not draw pixels. Each stick, the head and a few further parts have a smooth field,
positive inside the part; at first that of a capsule around the stick. The network bends the fields and says how much ink each outline gets,
and lines are drawn where a field is zero. So lines stay thin from the first step on: a network of this size that draws the pixels itself
needs far more training to get from gray bodies to lines.
N batch, Z latent dim, R resolution, P parts. Sketches are NCHW float32 in [0, 1], 1 = white paper.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genga.skeleton import JOINTS, STICKS, J

POSE_CHANNELS = len(JOINTS) + len(STICKS)
REACH = 0.8  # how far around itself a joint or stick is drawn, as a share of the mean stick's length: a torso's half width and some more
FREE_PARTS = 3  # for what has no stick: hair, clothes
PARTS = 1 + len(STICKS) + FREE_PARTS
TORSO = STICKS.index((J["neck"], J["hip"]))
# half widths to begin with, as shares of the reach
HEAD_RADIUS, TORSO_RADIUS, LIMB_RADIUS = 0.45, 0.35, 0.18
BEND = 0.12  # how strongly the network bends fields, beside their own slope of 1 / reach
LINE_WIDTH = 1 / 160  # standard deviation across a line, as a share of the picture's side
FLAT = 2e-4  # a field whose squared slope (per half-resolution pixel) is below this has no clear outline
FAINT, FULL = 0.25, 0.75  # ink below the first is left out of a sketch, above the second it is black


def draw_pose(pose: Tensor, side: int) -> Tensor:
    """(N, 11, 2) in [0, 1] -> (N, 21, side, side) in [0, 1]: how near each joint and each stick is; 1 on it, falling in a line to 0.

    Nearness rather than a thin line, because what is to be drawn, an outline, lies at some distance from its stick.
    """
    centres = (torch.arange(side, device=pose.device, dtype=pose.dtype) + 0.5) / side
    dx2, dy2 = ((centres - pose[..., axis, None]) ** 2 for axis in (0, 1))  # (N, 11, side) each
    joints2 = dx2[:, :, None, :] + dy2[:, :, :, None]
    starts, ends = [a for a, _ in STICKS], [b for _, b in STICKS]
    along = pose[:, ends] - pose[:, starts]  # (N, 10, 2)
    length2 = (along**2).sum(-1).clamp_min(1e-8)[..., None, None]
    forth_x, forth_y = ((centres - pose[:, starts, axis, None]) * along[..., axis, None] for axis in (0, 1))
    forth = forth_x[:, :, None, :] + forth_y[:, :, :, None]  # the dot product of along and the way from the start
    share = (forth / length2).clamp(0, 1)
    sticks2 = joints2[:, starts] + share * (share * length2 - 2 * forth)
    reach = REACH * length2.sqrt().mean(dim=1, keepdim=True)
    return 1 - (torch.cat([joints2, sticks2], dim=1).clamp_min(0).sqrt() / reach).clamp(max=1)


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU())


class Up(nn.Module):
    """One level of the decoder: twice the side, the encoder's level added, scaled and shifted by z."""

    def __init__(self, in_channels: int, out_channels: int, z_dim: int) -> None:
        super().__init__()
        self.widen = _conv(in_channels, out_channels)
        self.by_z = nn.Linear(z_dim, 2 * out_channels)
        self.refine = _conv(out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor, z: Tensor) -> Tensor:
        x = F.interpolate(self.widen(x), scale_factor=2.0) + skip
        scale, shift = self.by_z(z)[:, :, None, None].chunk(2, dim=1)
        return self.refine(x * (1 + scale) + shift)  # type: ignore[no-any-return]


class Sketcher(nn.Module):
    """pose (N, 11, 2) in [0, 1], z (N, Z) -> sketch (N, 1, R, R) in [0, 1]."""

    def __init__(self, resolution: int, z_dim: int, width: int) -> None:
        super().__init__()
        self.resolution, self.z_dim = resolution, z_dim
        widths = [3 * width, 6 * width, 8 * width]
        self.stem = _conv(POSE_CHANNELS, widths[0])
        self.down = nn.ModuleList(nn.Sequential(_conv(a, b, 2), _conv(b, b)) for a, b in pairwise(widths))
        self.up = nn.ModuleList(Up(b, a, z_dim) for a, b in pairwise(widths))
        self.last = _conv(widths[0], widths[0])
        self.bend, self.amount = nn.Conv2d(widths[0], PARTS, 3, 1, 1), nn.Conv2d(widths[0], PARTS, 3, 1, 1)
        self.radius = nn.Parameter(torch.tensor([HEAD_RADIUS] + [LIMB_RADIUS] * len(STICKS)))
        self._begin_as_capsules()

    @torch.no_grad()
    def _begin_as_capsules(self) -> None:
        self.radius[1 + TORSO] = TORSO_RADIUS
        for layer, with_stick, free in ((self.bend, 0.0, -0.5), (self.amount, 1.0, -2.0)):
            nn.init.normal_(layer.weight, std=0.02)
            assert layer.bias is not None
            layer.bias[:-FREE_PARTS], layer.bias[-FREE_PARTS:] = with_stick, free

    def fields(self, maps: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """`maps` (N, 21, R / 2, R / 2): the pose as drawn by draw_pose -> fields, positive inside a part, and the ink along their outlines,
        (N, P, R / 2, R / 2) each."""
        levels = [self.stem(F.avg_pool2d(maps, 2))]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in reversed(self.up):
            x = up(x, levels.pop(), z)
        x = self.last(x)
        bend, amount = (F.interpolate(layer(x).float(), scale_factor=2.0, mode="bilinear") for layer in (self.bend, self.amount))
        capsules = torch.cat([maps[:, [J["head"]]], maps[:, len(JOINTS) :]], dim=1) - 1 + self.radius[:, None, None]
        return F.pad(capsules, (0, 0, 0, 0, 0, FREE_PARTS)) + BEND * bend, F.softplus(amount)

    def ink(self, maps: Tensor, z: Tensor, line_width: float) -> Tensor:
        """(N, 1, R, R) in [0, 1], 1 = ink; lines of this width, as a share of the side."""
        fields, amount = self.fields(maps, z)
        slope2 = _slope2(fields.detach())
        # a field over its slope is, near its zero, the distance to it: here in pixels of the sketch
        distance = fields * 2 * (slope2 + 1e-6).rsqrt()
        distance, amount = (F.interpolate(map_, scale_factor=2.0, mode="bilinear") for map_ in (distance, amount * slope2 / (slope2 + FLAT)))
        line = torch.exp(distance**2 * (-0.5 / (line_width * self.resolution) ** 2))
        return 1 - torch.exp(-(amount * line).sum(dim=1, keepdim=True))

    def forward(self, pose: Tensor, z: Tensor) -> Tensor:
        ink = self.ink(draw_pose(pose, self.resolution // 2), z, LINE_WIDTH)
        return 1 - ((ink - FAINT) / (FULL - FAINT)).clamp(0, 1)


def _slope2(fields: Tensor) -> Tensor:
    """Squared length of the gradient, per pixel of the fields, by central differences."""
    padded = F.pad(fields, (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    return (across**2 + down**2) / 4
