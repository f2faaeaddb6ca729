"""Joints by heatmap and soft-argmax: an encoder-decoder with skips (Newell et al. 2016, https://arxiv.org/abs/1603.06937, one hourglass),
whose heatmaps are read by their expected place (Nibali et al. 2018, https://arxiv.org/abs/1801.07372, section 3).
Differences: one hourglass of a fixed small depth with residual blocks of two plain convolutions; the picture is folded into the channels of
64 x 64 cells at once (space to depth, Shi et al. 2016, https://arxiv.org/abs/1609.05158) and soon of 32 x 32, because fine lines matter but
fine places do not: a joint is read to a fraction of its cell; the expected place is that around the heatmap's peak, because a joint that may be
in two places is not between them; the network looks several times, first at the whole picture and then at the square around the joints that it
found, so that small figures are read as finely as large ones (PCK@0.05 of sticks .88 instead of .85), and each time it is told where it saw the
joints before (as PoseFix is: Moon et al. 2019, https://arxiv.org/abs/1812.03595, section 4), because heatmaps by themselves may give one limb to
both sides; it sees the mirror image of a picture as the mirror image of what it sees (mirrored.py); where each limb is a stroke of the drawing,
no stroke is left without a limb (strokes.py); a drawing that it is unsure of is seen turned to either side and from farther away as well, of which
that view counts that it is surest of, because often but one of them takes a limb for another (PCK@0.1 of sticks .979 instead of .978, of mannequins
.973 instead of .970); the confidence is calibrated on held-out figures (see models/metrics/poses.py).
N batch, R resolution, J = 11 joints, H = 32 side of the heatmaps. Ink is NCHW float32 in [0, 1], 1 = ink, 0 = paper.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from genga.skeleton import JOINTS, MIRRORED, STICKS
from models.networks.mirrored import MirrorBatchNorm2d, MirrorConv2d, halves_exchanged
from models.networks.strokes import PLACES, cell_centres, explaining, squared_distance
from models.views import look, look_points, points_looked_at, turns

HEAT_SIDE, FINE_SIDE = 32, 64
# channels at 32, 16, 8 and 4 cells, in widths, and residual blocks at the last three: which line belongs to which limb is seen from afar
CHANNELS, BLOCKS = (1, 2, 4, 4), (1, 1, 1)
PEAK_RADIUS = 0.08  # what is read as one peak of a heatmap, as a share of the picture's side
APART = 5  # cells of the square in which there is but one peak
TOGETHER = 0.5
OWN = 0.9  # of what a limb's joint is offered: the share of its own heatmap beside that of the other side's
FAINTEST = 0.1  # ink paler than this stays pale
SUREST = 1e-3  # no nearer to 0 or 1 does a share of heat count
LOOKS = 3
SURE = 0.9  # from which on one view is enough, see `sureness`
AROUND = 1.25  # side of the square of all looks but the first, in longer sides of the pose's box
# how it is seen: turned by so many degrees, and that side; where it is longer, more is seen at the first look too
UPRIGHT, OTHER_VIEWS = (0.0, AROUND), ((8.0, AROUND), (-8.0, AROUND), (0.0, 1.4))
SMALLEST = 0.1  # share of the picture that a look at least takes in
HINT_SIGMA = 0.03  # of the blobs and sticks that say where joints were seen, as a share of the side of what is looked at
LEFT, RIGHT = (list(side) for side in zip(*((a, b) for a, b in enumerate(MIRRORED) if a < b), strict=True))
HINTS_MIRRORED = [*MIRRORED, *(len(JOINTS) + STICKS.index((MIRRORED[start], MIRRORED[end])) for start, end in STICKS)]
HINTS = len(HINTS_MIRRORED)


def _conv(in_mirrored: int | Sequence[int], out_channels: int, stride: int = 1) -> nn.Sequential:
    """Of so many channels in halves, or of those that are these in the mirror."""
    if isinstance(in_mirrored, int):
        in_mirrored = halves_exchanged(in_mirrored)
    return nn.Sequential(MirrorConv2d(in_mirrored, out_channels, 3 if stride == 1 else 4, stride), MirrorBatchNorm2d(out_channels))


class Block(nn.Module):
    """Two convolutions that add to what they read."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(_conv(channels, channels), nn.ReLU(inplace=True), _conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.residual(x).add_(x)
        return added.relu_()


class PoseNet(nn.Module):
    """ink (N, 1, R, R) -> joints (N, J, 2) in [0, 1] and confidence (N, J): how likely each lies within 0.1 of the pose's longer side."""

    def __init__(self, resolution: int, width: int, strokes: bool) -> None:
        """`strokes`: each limb is a stroke of the drawing."""
        super().__init__()
        self.resolution, self.strokes = resolution, strokes
        widths = [width * channels for channels in CHANNELS]
        fine_side = min(FINE_SIDE, resolution)
        fold = resolution // fine_side
        self.fine = nn.Sequential(
            nn.PixelUnshuffle(fold),
            _conv([row * fold + fold - 1 - column for row in range(fold) for column in range(fold)], width // 2),
            nn.ReLU(inplace=True),
            _conv(width // 2, width, fine_side // HEAT_SIDE),
            nn.ReLU(inplace=True),
        )
        seen = [*halves_exchanged(width), *(width + hint for hint in HINTS_MIRRORED)]
        self.stem = nn.Sequential(_conv(seen, width), nn.ReLU(inplace=True), Block(width))
        self.down = nn.ModuleList(
            nn.Sequential(_conv(a, b, 2), nn.ReLU(inplace=True), *(Block(b) for _ in range(blocks)))
            for (a, b), blocks in zip(pairwise(widths), BLOCKS, strict=True)
        )
        self.up = nn.ModuleList(nn.Sequential(_conv(b, a), nn.ReLU(inplace=True)) for a, b in pairwise(widths))
        self.heat = nn.Sequential(_conv(width, width), nn.ReLU(inplace=True), MirrorConv2d(halves_exchanged(width), 2 * len(JOINTS), 1))
        self.calibration: Tensor
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))  # scale and shift of the confidence's log odds

    def levels(self, ink: Tensor, seen: Tensor) -> list[Tensor]:
        """At 32, 16, 8 and 4 cells. `seen` (N, J, H, H): blobs where joints were seen before. Pale lines are read like dark ones."""
        cells = self.fine(ink / ink.amax(dim=(2, 3), keepdim=True).clamp_min(FAINTEST))
        levels = [self.stem(torch.cat([cells, seen.to(cells.dtype)], dim=1).contiguous(memory_format=torch.channels_last))]
        for down in self.down:
            levels.append(down(levels[-1]))
        return levels

    def heat_logits(self, ink: Tensor, seen: Tensor) -> Tensor:
        """(N, J, H, H): their softmax over H x H is where each joint may be."""
        levels = self.levels(ink, seen)
        x = levels.pop()
        for up in reversed(self.up):
            x = nn.functional.interpolate(up(x), scale_factor=2.0) + levels.pop()
        heat, mirrored = self.heat(x).chunk(2, dim=1)
        logits: Tensor = heat + mirrored[:, list(MIRRORED)]
        return logits

    def forward(self, ink: Tensor) -> tuple[Tensor, Tensor]:
        joints, share = self.seen(ink, ink.new_tensor(UPRIGHT).expand(len(ink), 2))
        unsure = (sureness(share) < SURE).nonzero()[:, 0]
        if len(unsure):  # all views at once: of one picture in two thirds of the time
            count, each = len(OTHER_VIEWS), torch.arange(len(unsure), device=ink.device)
            found = self.seen(ink[unsure].repeat(count, 1, 1, 1), ink.new_tensor(OTHER_VIEWS).repeat_interleave(len(unsure), dim=0))
            places, shares = (
                torch.cat([first[unsure], more]).view(count + 1, -1, *more.shape[1:]) for first, more in zip((joints, share), found, strict=True)
            )
            surest = sureness(shares).argmax(dim=0)
            joints[unsure], share[unsure] = places[surest, each], shares[surest, each]
        scale, shift = self.calibration
        confidence = (scale * share.clamp(SUREST, 1 - SUREST).logit() + shift).sigmoid()
        return joints.clamp(0, 1), confidence

    def seen(self, ink: Tensor, how: Tensor) -> tuple[Tensor, Tensor]:
        """Joints (N, J, 2) and share (N, J) after all looks at pictures that are turned and squared as `how` (N, 2) says, see UPRIGHT."""
        turn, around = how.unbind(dim=1)
        views = turns(turn) * (around / AROUND).clamp_min(1)[:, None, None]
        joints, share = self.first_look(look(ink, views, "zeros"))
        joints = points_looked_at(joints, views)
        for _ in range(LOOKS - 1):
            joints, share = self.look_again(ink, joints, share, how)
        return joints, share

    def first_look(self, ink: Tensor) -> tuple[Tensor, Tensor]:
        """(N, J, 2) and the share (N, J) of each heatmap that lies there."""
        return read_apart(self.heat_logits(ink, nothing_seen(len(ink), ink)))

    def look_again(self, ink: Tensor, joints: Tensor, share: Tensor, how: Tensor) -> tuple[Tensor, Tensor]:
        """At the square around these joints, turned and as large as `how` (N, 2) says; beyond the picture is paper."""
        (turn, around), (middle, side) = how.unbind(dim=1), square_around(joints)
        views = turns(turn) * (around * side)[:, None, None]
        views[:, :, 2] = 2 * middle - 1
        square = look(ink, views, "zeros")
        logits = self.heat_logits(square, hints(look_points(joints, views), share))
        joints, share = explaining(square, *read_peaks(offered(logits), PLACES)) if self.strokes else read_apart(logits)
        return points_looked_at(joints, views), share


def sureness(share: Tensor) -> Tensor:
    """Shares of heat (..., J) -> their geometric mean (...)."""
    return share.clamp_min(SUREST).log().mean(dim=-1).exp()


def nothing_seen(count: int, like: Tensor) -> Tensor:
    return torch.zeros(count, HINTS, HEAT_SIDE, HEAT_SIDE, device=like.device)


def hints(joints: Tensor, share: Tensor) -> Tensor:
    """Joints (N, J, 2) in [0, 1] of what is looked at, and how sure each is (N, J) -> (N, HINTS, H, H): a blob for each joint, a line for each
    stick. A stroke that no stick lies on is a limb that was taken for another."""
    joint, end = ([*range(len(JOINTS)), *(stick[n] for stick in STICKS)] for n in (0, 1))
    away = squared_distance(joints[:, joint], joints[:, end], HEAT_SIDE)
    return torch.minimum(share[:, joint], share[:, end])[..., None, None] * torch.exp(away * (-0.5 / HINT_SIGMA**2))


def square_around(joints: Tensor) -> tuple[Tensor, Tensor]:
    """(N, J, 2) -> middle (N, 2) and longer side (N,) of the box of what lies within the picture."""
    low, high = joints.clamp(0, 1).aminmax(dim=1)
    return (low + high) / 2, (high - low).amax(dim=1).clamp_min(SMALLEST)


def read_heat(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(N, J, H, H) -> joints (N, J, 2), the middle of each heatmap's highest peak, and the share (N, J) of the heat that lies in it."""
    places, share = read_peaks(heat_of(logits), 1)
    return places[:, :, 0], share[:, :, 0]


def read_apart(logits: Tensor) -> tuple[Tensor, Tensor]:
    """As `read_heat`, but a left joint and its right one are in the two places that both heatmaps together speak for most, and TOGETHER times as
    likely in two as near each other as one peak: which of two limbs is the left one is hard to see, that there are two is not."""
    places, share = read_peaks(heat_of(logits), PLACES)
    near = torch.cdist(places[:, LEFT], places[:, RIGHT]) < PEAK_RADIUS
    chance = share[:, LEFT, :, None] * share[:, RIGHT, None] * torch.where(near, TOGETHER, 1.0)
    best = chance.flatten(2).argmax(dim=2)
    chosen = torch.zeros(share.shape[:2], dtype=torch.long, device=share.device)
    chosen[:, LEFT], chosen[:, RIGHT] = best // PLACES, best % PLACES
    rows = torch.arange(len(share), device=share.device)[:, None], torch.arange(len(JOINTS), device=share.device), chosen
    return places[rows], share[rows]


def offered(logits: Tensor) -> Tensor:
    """(N, J, H, H): where each joint may be; a little of it where that of the other side may be, because the two are taken for each other."""
    heat = heat_of(logits)
    return OWN * heat + (1 - OWN) * heat[:, list(MIRRORED)]


def heat_of(logits: Tensor) -> Tensor:
    return logits.float().flatten(2).softmax(dim=2).view_as(logits)


def read_peaks(heat: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(N, J, H, H) -> the middles (N, J, count, 2) of the highest peaks, the highest first, and the share (N, J, count) of the heat that lies in
    each; a peak that is not there has a share of 0."""
    side = heat.shape[-1]
    centres = cell_centres(side, heat)
    beside = heat.reshape(1, -1, side, side).contiguous(memory_format=torch.channels_last)  # which a CPU pools in a tenth of the time
    summits = nn.functional.avg_pool2d(beside, 3, 1, 1)
    _, highest = nn.functional.max_pool2d(summits, APART, 1, APART // 2, return_indices=True)  # of cells as high as each other the first
    is_summit = highest.flatten(2) == torch.arange(side**2, device=heat.device)
    height, summit = (summits.flatten(2) * is_summit).reshape(*heat.shape[:2], -1).topk(count, dim=2)
    across, down = (centres - centres[place][..., None] for place in (summit % side, summit // side))
    peaks = heat[:, :, None] * (across[..., None, :] ** 2 + down[..., :, None] ** 2 <= PEAK_RADIUS**2)
    share = peaks.sum(dim=(3, 4))
    x, y = ((peaks.sum(dim=dim) * centres).sum(dim=3) / share.clamp_min(torch.finfo(share.dtype).tiny) for dim in (3, 4))
    return torch.stack([x, y], dim=3), (share * (height > 0)).clamp(0, 1)
