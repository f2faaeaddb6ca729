"""Joints by heatmap and soft-argmax: an encoder-decoder with skips (Newell et al. 2016, https://arxiv.org/abs/1603.06937, one hourglass),
whose heatmaps are read by their expected place (Nibali et al. 2018, https://arxiv.org/abs/1801.07372, section 3).
Differences: one hourglass of a fixed small depth, plain convolutions with BatchNorm, heatmaps at half the picture's side; the expected
place is that around the heatmap's peak, because a joint that may be in two places is not between them.
N batch, R resolution, J = 11 joints, H = R / 2 side of the heatmaps. Ink is NCHW float32 in [0, 1], 1 = ink, 0 = paper.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from genga.skeleton import JOINTS

PEAK_RADIUS = 0.08  # what is read as one peak of a heatmap, as a share of the picture's side
FAINTEST = 0.1  # ink paler than this stays pale


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU())


class PoseNet(nn.Module):
    """ink (N, 1, R, R) -> joints (N, J, 2) in [0, 1] and confidence (N, J) in [0, 1]."""

    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        self.resolution = resolution
        widths = [width, 2 * width, 4 * width, 4 * width]
        self.stem = _conv(1, width, stride=2)
        self.down = nn.ModuleList(nn.Sequential(_conv(a, b, 2), _conv(b, b)) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_conv(b, a) for a, b in pairwise(widths))
        self.heat = nn.Conv2d(width, len(JOINTS), 1)

    def heat_logits(self, ink: Tensor) -> Tensor:
        """(N, J, H, H): their softmax over H x H is where each joint may be. Pale lines are read like dark ones."""
        levels = [self.stem(ink / ink.amax(dim=(2, 3), keepdim=True).clamp_min(FAINTEST))]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in reversed(self.up):
            x = nn.functional.interpolate(up(x), scale_factor=2.0) + levels.pop()
        return self.heat(x)  # type: ignore[no-any-return]

    def forward(self, ink: Tensor) -> tuple[Tensor, Tensor]:
        return read_heat(self.heat_logits(ink))


def cell_centres(side: int, like: Tensor) -> Tensor:
    """(side,): the middle of each cell of a picture whose side is 1."""
    return (torch.arange(side, device=like.device, dtype=torch.float32) + 0.5) / side


def read_heat(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(N, J, H, H) -> joints (N, J, 2), the middle of each heatmap's peak, and confidence (N, J), the share of the heat that lies in the peak."""
    side = logits.shape[-1]
    heat = logits.float().flatten(2).softmax(dim=2).view_as(logits)
    centres = cell_centres(side, logits)
    summit = nn.functional.avg_pool2d(heat, 3, 1, 1).flatten(2).argmax(dim=2)
    across, down = (centres - centres[place][..., None] for place in (summit % side, summit // side))
    peak = heat * (across[:, :, None, :] ** 2 + down[:, :, :, None] ** 2 <= PEAK_RADIUS**2)
    confidence = peak.sum(dim=(2, 3))
    x, y = ((peak.sum(dim=dim) * centres).sum(dim=2) / confidence for dim in (2, 3))
    return torch.stack([x, y], dim=2), confidence.clamp(0, 1)
