"""Pose and latent -> line art: outlines of body parts, then a network that inks them.

Outlines. Each limb, the torso, the head, eyes, hands, feet, masses of hair and pieces of clothes is a part: a capsule between two points whose
radius changes along and around it, as in bodies of implicit parts (NASA, Deng et al. 2020, https://arxiv.org/abs/1912.03207, section 3). A small
network says from pose and z where parts begin and end, how wide they are, and how near to the viewer. What lies behind is left out by a soft
z-buffer (Soft Rasterizer, Liu et al. 2019, https://arxiv.org/abs/1904.01786, eq. 2-3). So contours are closed, lines are thin from the first step
on, and a body that lies is drawn as well as one that stands.
Ink. A U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) redraws these lines with what has no part of its own: faces, strands,
folds. What the first network knows of pose and z scales and shifts each level of its decoder (FiLM, Perez et al. 2018,
https://arxiv.org/abs/1709.07871).
N batch, Z latent dim, R resolution, H side of a drawing, P parts. Sketches are NCHW float32 in [0, 1], 1 = white paper.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genga.skeleton import JOINTS, STICKS, J

OUTLINER_WIDTH = 256
LINE_WIDTH = 1 / 170  # standard deviation across a line, as a share of the picture's side
FUSED = 20.0  # parts whose nearness differs by less than this factor have one outline
DARKNESS = 2.0  # of a line of amount 1
FINE = 8  # channels of the inker at full size
DOUBT = 0.05  # so far is a line from certain, before the inker says more


class Part(NamedTuple):
    """Where a part lies before any training. Ends: a joint, and how far from it along the line between the joints of `limb` and to its left;
    lengths in units of the mean stick. `presence`: logarithm of the odds that there is such a part."""

    limb: tuple[str, str]
    start: tuple[str, float, float]
    end: tuple[str, float, float]
    radii: tuple[float, float]
    presence: float = 2.0


def _parts() -> dict[str, Part]:
    spine, perhaps = ("neck", "hip"), -2.0
    parts = {
        "head": Part(spine, ("head", -0.03, 0), ("head", 0.15, 0), (0.31, 0.24)),
        "neck": Part(spine, ("neck", -0.3, 0), ("neck", 0.1, 0), (0.09, 0.1)),
        "torso": Part(spine, ("neck", 0.25, 0), ("hip", -0.05, 0), (0.3, 0.28)),
        "hair": Part(spine, ("head", -0.05, 0), ("head", 0, 0), (0.4, 0.4)),
        "back_hair": Part(spine, ("head", 0.1, 0), ("head", 0.9, 0), (0.35, 0.2), perhaps),
        "bangs": Part(spine, ("head", -0.2, 0.2), ("head", -0.2, -0.2), (0.15, 0.15), perhaps),
        "skirt": Part(spine, ("hip", -0.1, 0), ("hip", 0.45, 0), (0.3, 0.5), perhaps),
        "top": Part(spine, ("neck", 0.15, 0), ("hip", -0.2, 0), (0.3, 0.33), perhaps),
    }
    for side, left in (("l", 1.0), ("r", -1.0)):
        arm, forearm = ("neck", f"{side}_elbow"), (f"{side}_elbow", f"{side}_wrist")
        thigh, shank = ("hip", f"{side}_knee"), (f"{side}_knee", f"{side}_ankle")
        parts |= {
            f"{side}_eye": Part(spine, ("head", 0.08, 0.12 * left), ("head", 0.12, 0.12 * left), (0.04, 0.04), perhaps),
            f"{side}_lock": Part(spine, ("head", -0.1, 0.35 * left), ("head", 0.5, 0.4 * left), (0.12, 0.05), perhaps),
            f"{side}_arm": Part(arm, ("neck", 0.3, 0), (arm[1], 0, 0), (0.14, 0.11)),
            f"{side}_forearm": Part(forearm, (arm[1], 0, 0), (forearm[1], 0, 0), (0.11, 0.08)),
            f"{side}_hand": Part(forearm, (forearm[1], 0.05, 0), (forearm[1], 0.25, 0), (0.09, 0.07)),
            f"{side}_sleeve": Part(arm, ("neck", 0.3, 0), ("neck", 0.7, 0), (0.16, 0.14), perhaps),
            f"{side}_thigh": Part(thigh, ("hip", 0.15, 0), (thigh[1], 0, 0), (0.22, 0.15)),
            f"{side}_shank": Part(shank, (thigh[1], 0, 0), (shank[1], 0, 0), (0.15, 0.1)),
            f"{side}_foot": Part(shank, (shank[1], 0.05, 0), (shank[1], 0.3, 0), (0.1, 0.07)),
            f"{side}_hem": Part(thigh, ("hip", 0.15, 0), ("hip", 0.6, 0), (0.24, 0.2), perhaps),
        }
    return parts


PARTS = _parts()
CUBIC, CAP = 4, 3
# What the network says of each part: moves of its ends; a cubic radius along it and how much more of it on the left; of each rounded end, how much
# further out, to its left and to both sides; nearness to the viewer and amount of ink, each at the start and how much more at the end; presence
SAYS = (4, CUBIC, CUBIC, 2 * CAP, 2, 2, 1)
# how far each may go from where the part lies at first, for one unit of the network's output
MOVES, WIDENS, DEEPENS, APPEARS = 0.5, 0.2, 3.0, 3.0


class Shapes(NamedTuple):
    """Of each part: ends (N, P, 2, 2) in [0, 1] of the picture; radius and how much more on its left, (N, P, 4) each; rounded ends (N, P, 2, 3);
    logarithm of the nearness and amount of ink (N, P, 2) each; presence (N, P)."""

    ends: Tensor
    radius: Tensor
    left: Tensor
    caps: Tensor
    nearness: Tensor
    amount: Tensor
    presence: Tensor


class Outliner(nn.Module):
    """pose (N, 11, 2) in [0, 1], z (N, Z) -> shapes, and what was understood of both (N, OUTLINER_WIDTH)."""

    def __init__(self, z_dim: int) -> None:
        super().__init__()
        widths = [2 * len(JOINTS) + 1 + z_dim, *[OUTLINER_WIDTH] * 3]
        self.understand = nn.Sequential(*(layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.SiLU())))
        self.say = nn.Linear(OUTLINER_WIDTH, len(PARTS) * sum(SAYS))
        nn.init.normal_(self.say.weight, std=0.02)
        nn.init.zeros_(self.say.bias)
        parts = PARTS.values()
        self._limbs = [[J[part.limb[n]] for part in parts] for n in (0, 1)]
        self._joints = [[J[part.start[0]], J[part.end[0]]] for part in parts]
        self._ends: Tensor
        self._radii: Tensor
        self._presence: Tensor
        self.register_buffer("_ends", torch.tensor([[part.start[1:], part.end[1:]] for part in parts]), persistent=False)
        radii = [[part.radii[0], part.radii[1] - part.radii[0], 0, 0] for part in parts]
        self.register_buffer("_radii", torch.tensor(radii), persistent=False)
        self.register_buffer("_presence", torch.tensor([part.presence for part in parts]), persistent=False)

    def forward(self, pose: Tensor, z: Tensor) -> tuple[Shapes, Tensor]:
        unit = unit_of(pose)[:, None, None]
        seen = (pose - pose.mean(dim=1, keepdim=True)) / unit
        understood = self.understand(torch.cat([seen.flatten(1), unit[:, 0].log(), z], dim=1))
        ends, radius, left, caps, nearness, amount, presence = self.say(understood).unflatten(1, (len(PARTS), sum(SAYS))).split(SAYS, dim=2)
        along = F.normalize(pose[:, self._limbs[1]] - pose[:, self._limbs[0]], dim=2, eps=1e-4)
        leftward = torch.stack([-along[..., 1], along[..., 0]], dim=2)
        moved = self._ends + MOVES * ends.unflatten(2, (2, 2))
        moved = moved[..., :1] * along[:, :, None] + moved[..., 1:] * leftward[:, :, None]
        shapes = Shapes(
            pose[:, self._joints] + unit[..., None] * moved,
            unit * (self._radii + WIDENS * radius),
            unit * WIDENS * left,
            unit[..., None] * WIDENS * caps.unflatten(2, (2, CAP)),
            DEEPENS * nearness,
            1 + amount,
            (self._presence + APPEARS * presence[..., 0]).sigmoid(),
        )
        return shapes, understood


def unit_of(pose: Tensor) -> Tensor:
    """(N, 11, 2) -> (N,): the mean length of its sticks."""
    starts, ends = ([stick[n] for stick in STICKS] for n in (0, 1))
    unit: Tensor = (pose[:, ends] - pose[:, starts]).norm(dim=2).mean(dim=1).clamp_min(1e-3)
    return unit


class Outlines(NamedTuple):
    """(N, P, H, H) each: how far inside a part, as a share of the side, below 0 outside; how much ink its outline gets; how much of it is seen;
    the cosine and sine of the way to its axis."""

    inside: Tensor
    amount: Tensor
    seen: Tensor
    across: Tensor
    down: Tensor


def outline(shapes: Shapes, side: int, softness: float) -> Outlines:
    """`softness`: over which way, as a share of the side, inside becomes outside."""

    def of_each(numbers: Tensor) -> Tensor:
        return numbers[..., None, None]

    centres = (torch.arange(side, device=shapes.ends.device, dtype=shapes.ends.dtype) + 0.5) / side
    start, axis = shapes.ends[:, :, 0], shapes.ends[:, :, 1] - shapes.ends[:, :, 0]
    length2 = (axis**2).sum(dim=2, keepdim=True).clamp_min(1e-6)
    dx, dy = (centres - start[..., :1])[:, :, None, :], (centres - start[..., 1:])[:, :, :, None]
    (ax, ay), (ux, uy) = (map(of_each, way.unbind(dim=2)) for way in (axis / length2, axis * length2.rsqrt()))
    t = (dx * ax + dy * ay).clamp(0, 1)  # 0 at the start, 1 at the end
    px, py = (torch.addcmul(way, t, of_each(part), value=-1) for way, part in zip((dx, dy), axis.unbind(dim=2), strict=True))
    away = (px * px + py * py + 1e-8).sqrt()
    # around the nearest point of the axis: the cosine to its way, 0 beside it, and the sine, 1 on its left
    far = away.reciprocal()
    px, py = px * far, py * far
    forth, leftward = px * ux + py * uy, py * ux - px * uy

    def cubic(numbers: Tensor) -> Tensor:
        a, b, c, d = map(of_each, numbers.unbind(dim=2))
        return torch.addcmul(a, torch.addcmul(b, torch.addcmul(c, d, t), t), t)

    radius = torch.addcmul(cubic(shapes.radius), leftward, cubic(shapes.left))
    for cap, beyond in zip(shapes.caps.unbind(dim=2), (-forth, forth), strict=True):
        out, to_left, to_sides = map(of_each, cap.unbind(dim=2))
        radius = torch.addcmul(radius, beyond.relu(), torch.addcmul(out, leftward, torch.addcmul(to_left, leftward, to_sides)))
    inside, presence = radius - away, of_each(shapes.presence)
    nearness, amount = (torch.addcmul(of_each(ends[..., 0]), t, of_each(ends[..., 1])) for ends in (shapes.nearness, shapes.amount))
    nearness = nearness.exp()
    covers = (inside * (1 / softness)).sigmoid() * presence * nearness
    covered = covers.sum(dim=1, keepdim=True)
    bare = (1 + FUSED * (covered - covers) / nearness).reciprocal()
    return Outlines(inside, F.softplus(amount) * presence * bare, covers / (covered + 1), -px, -py)


def draw_lines(outlines: Outlines, line_width: float) -> Tensor:
    """(N, 1, H, H) in [0, 1], 1 = ink; the width is a share of the side."""
    line = torch.exp(outlines.inside**2 * (-0.5 / line_width**2))
    return 1 - torch.exp(-DARKNESS * (outlines.amount * line).sum(dim=1, keepdim=True))


def draw_fine_lines(outlines: Outlines, line_width: float) -> Tensor:
    """(N, 4, H, H): the four quarters of each pixel, as F.pixel_unshuffle has them, from the darkest line near it."""
    darkest = (outlines.amount * torch.exp(outlines.inside**2 * (-0.5 / (2 * line_width) ** 2))).argmax(dim=1, keepdim=True)
    inside, amount, _, across, down = (maps.gather(1, darkest) for maps in outlines)
    across, down = across / (4 * across.shape[3]), down / (4 * down.shape[2])  # a quarter of a pixel that way
    quarters = torch.cat([inside - across - down, inside + across - down, inside - across + down, inside + across + down], dim=1)
    return 1 - torch.exp(-DARKNESS * amount * torch.exp(quarters**2 * (-0.5 / line_width**2)))


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU())


class Up(nn.Module):
    """One level of the decoder: twice the side, the encoder's level added, scaled and shifted by what was understood."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.widen = _conv(in_channels, out_channels)
        self.film = nn.Linear(OUTLINER_WIDTH, 2 * out_channels)
        self.refine = _conv(out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor, understood: Tensor) -> Tensor:
        x = F.interpolate(self.widen(x), scale_factor=2.0) + skip
        scale, shift = self.film(understood)[:, :, None, None].chunk(2, dim=1)
        return self.refine(x * (1 + scale) + shift)  # type: ignore[no-any-return]


class Inker(nn.Module):
    """Fine lines (N, 4, R / 2, R / 2), what is seen of each part (N, P, R / 2, R / 2), what was understood -> ink (N, 1, R, R) in [0, 1]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 4 * width]
        self.stem = _conv(4 + len(PARTS), widths[0])
        self.down = nn.ModuleList(nn.Sequential(_conv(a, b, 2), _conv(b, b)) for a, b in pairwise(widths))
        self.up = nn.ModuleList(Up(b, a) for a, b in pairwise(widths))
        self.narrow = nn.Conv2d(width, FINE, 3, 1, 1)
        self.out = nn.Sequential(nn.Conv2d(FINE + 1, FINE, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(FINE, 1, 3, 1, 1))

    def forward(self, lines: Tensor, seen: Tensor, understood: Tensor) -> Tensor:
        levels = [self.stem(torch.cat([lines, seen], dim=1).contiguous(memory_format=torch.channels_last))]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in reversed(self.up):
            x = up(x, levels.pop(), understood)
        outlined = F.pixel_shuffle(lines.clamp(DOUBT, 1 - DOUBT).logit(), 2)
        # enlarged evenly: a pixel shuffle here left lines dotted
        x = F.interpolate(self.narrow(x), scale_factor=2.0, mode="bilinear")
        ink: Tensor = (outlined + self.out(torch.cat([x, outlined.to(x.dtype)], dim=1)).to(outlined.dtype)).sigmoid()
        return ink


class Sketcher(nn.Module):
    """pose (N, 11, 2) in [0, 1], z (N, Z) -> sketch (N, 1, R, R) in [0, 1]."""

    def __init__(self, resolution: int, z_dim: int, width: int) -> None:
        super().__init__()
        self.resolution, self.z_dim = resolution, z_dim
        self.outliner = Outliner(z_dim)
        self.inker = Inker(width)

    def lines(self, pose: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the inker gets."""
        shapes, understood = self.outliner(pose, z)
        outlines = outline(shapes, self.resolution // 2, LINE_WIDTH)
        return draw_fine_lines(outlines, LINE_WIDTH), outlines.seen, understood

    def forward(self, pose: Tensor, z: Tensor) -> Tensor:
        return 1 - self.inker(*self.lines(pose, z))  # type: ignore[no-any-return]
