"""Joints by heatmap and soft-argmax: an encoder-decoder with skips (Newell et al. 2016, https://arxiv.org/abs/1603.06937, one hourglass),
whose heatmaps are read by their expected place (Nibali et al. 2018, https://arxiv.org/abs/1801.07372, section 3).
Differences: one hourglass of a fixed small depth with residual blocks of two plain convolutions; the picture is folded into the channels of
32 x 32 cells at once (space to depth, Shi et al. 2016, https://arxiv.org/abs/1609.05158), because fine lines matter but fine places do not:
a joint is read to a fraction of its cell; the expected place is that around the heatmap's peak, because a joint that may be in two places is
not between them; the network looks twice, the second time at the square around the joints that it found, so that small figures are read as
finely as large ones (PCK@0.05 of sticks .88 instead of .85); the confidence is calibrated on held-out figures (see models/metrics/poses.py).
N batch, R resolution, J = 11 joints, H = 32 side of the heatmaps. Ink is NCHW float32 in [0, 1], 1 = ink, 0 = paper.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from genga.skeleton import JOINTS

HEAT_SIDE = 32
# channels at 32, 16, 8 and 4 cells, in widths, and residual blocks at the last three: which line belongs to which limb is seen from afar
CHANNELS, BLOCKS = (1, 2, 4, 4), (1, 1, 1)
PEAK_RADIUS = 0.08  # what is read as one peak of a heatmap, as a share of the picture's side
FAINTEST = 0.1  # ink paler than this stays pale
SUREST = 1e-3  # no nearer to 0 or 1 does a share of heat count
AROUND = 1.25  # side of the square of the second look, in longer sides of the pose's box
SMALLEST = 0.1  # share of the picture that the second look at least takes in


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels))


class Block(nn.Module):
    """Two convolutions that add to what they read."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(_conv(channels, channels), nn.ReLU(), _conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.residual(x)
        return added.relu()


class PoseNet(nn.Module):
    """ink (N, 1, R, R) -> joints (N, J, 2) in [0, 1] and confidence (N, J): how likely each lies within 0.1 of the pose's longer side."""

    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        self.resolution = resolution
        fold = resolution // HEAT_SIDE
        widths = [width * channels for channels in CHANNELS]
        self.stem = nn.Sequential(nn.PixelUnshuffle(fold), _conv(fold**2, width), nn.ReLU(), _conv(width, width), nn.ReLU())
        self.down = nn.ModuleList(
            nn.Sequential(_conv(a, b, 2), nn.ReLU(), *(Block(b) for _ in range(blocks)))
            for (a, b), blocks in zip(pairwise(widths), BLOCKS, strict=True)
        )
        self.up = nn.ModuleList(nn.Sequential(_conv(b, a), nn.ReLU()) for a, b in pairwise(widths))
        self.heat = nn.Conv2d(width, len(JOINTS), 1)
        self.calibration: Tensor
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))  # scale and shift of the confidence's log odds

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
        middle, side = square_around(read_heat(self.heat_logits(ink))[0])
        joints, share = read_heat(self.heat_logits(cut_out(ink, middle, AROUND * side)))
        scale, shift = self.calibration
        confidence = (scale * share.clamp(SUREST, 1 - SUREST).logit() + shift).sigmoid()
        return ((joints - 0.5) * AROUND * side[:, None, None] + middle[:, None]).clamp(0, 1), confidence


def square_around(joints: Tensor) -> tuple[Tensor, Tensor]:
    """(N, J, 2) -> middle (N, 2) and longer side (N,) of the box of what lies within the picture."""
    low, high = joints.clamp(0, 1).aminmax(dim=1)
    return (low + high) / 2, (high - low).amax(dim=1).clamp_min(SMALLEST)


def cut_out(ink: Tensor, middle: Tensor, side: Tensor) -> Tensor:
    """The square at `middle` (N, 2), `side` (N,) pictures long, at the size of the picture; beyond the picture is paper."""
    looks = torch.cat([torch.diag_embed(side[:, None].expand(-1, 2)), (2 * middle - 1)[:, :, None]], dim=2)
    places = nn.functional.affine_grid(looks, list(ink.shape), align_corners=False)
    return nn.functional.grid_sample(ink, places, align_corners=False)


def cell_centres(side: int, like: Tensor) -> Tensor:
    """(side,): the middle of each cell of a picture whose side is 1."""
    return (torch.arange(side, device=like.device, dtype=torch.float32) + 0.5) / side


def read_heat(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(N, J, H, H) -> joints (N, J, 2), the middle of each heatmap's peak, and the share (N, J) of the heat that lies in the peak."""
    side = logits.shape[-1]
    heat = logits.float().flatten(2).softmax(dim=2).view_as(logits)
    centres = cell_centres(side, logits)
    summit = nn.functional.avg_pool2d(heat, 3, 1, 1).flatten(2).argmax(dim=2)
    across, down = (centres - centres[place][..., None] for place in (summit % side, summit // side))
    peak = heat * (across[:, :, None, :] ** 2 + down[:, :, :, None] ** 2 <= PEAK_RADIUS**2)
    share = peak.sum(dim=(2, 3))
    x, y = ((peak.sum(dim=dim) * centres).sum(dim=2) / share for dim in (2, 3))
    return torch.stack([x, y], dim=2), share.clamp(0, 1)
