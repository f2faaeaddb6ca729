"""One shared backbone and one head per group and flag: a small residual network (He et al. 2016, https://arxiv.org/abs/1512.03385), in whose
levels each head looks where it wants to.
Differences from the paper: four levels of one block each; strided 3x3 convolutions carry the shortcut down a level; pictures larger than 64 px
are folded into the channels of 64 x 64 cells at once (space to depth, Shi et al. 2016, https://arxiv.org/abs/1609.05158), so that finer pictures
cost little; instead of the mean over places each head has QUERIES of its own, which weigh the places of the three upper levels by what is there
and by where it is (attention with learned queries, Lee et al. 2019, https://arxiv.org/abs/1810.00825, and a learned bias for each place),
because a face has its eyes and mouth in their places and they are small (faces96: eye colour macro-F1 .58 instead of .55 after 30 kimg).
N batch, C columns of genga/tags.yaml, F features. Images are NCHW float32 in [-1, 1].
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from genga.tags import column_slices, groups

CELLS = 64  # pictures are at most so many cells wide
QUERIES = 4  # of each head, at each level
VALUE = 64  # channels of what a query reads


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels))


class Block(nn.Module):
    """(N, in, R, R) -> (N, out, R / 2, R / 2): one convolution down, then two that add to it."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.down = _conv(in_channels, out_channels, stride=2)
        self.residual = nn.Sequential(_conv(out_channels, out_channels), nn.ReLU(inplace=True), _conv(out_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x).relu_()
        added: Tensor = self.residual(x).add_(x)
        return added.relu_()


class Look(nn.Module):
    """One level (N, channels, side, side) -> (N, heads, QUERIES * VALUE): what each head sees there."""

    def __init__(self, channels: int, side: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, heads * QUERIES)
        self.value = nn.Conv2d(channels, VALUE, 1)
        self.place = nn.Parameter(torch.randn(heads * QUERIES, side * side) * 0.5)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        wanted = self.query(x.flatten(2).transpose(1, 2)).transpose(1, 2).float() + self.place
        values = self.value(x).flatten(2).transpose(1, 2)
        seen: Tensor = wanted.softmax(dim=2).to(values.dtype) @ values
        return seen.reshape(len(x), self.heads, QUERIES * VALUE)


class Tagger(nn.Module):
    """images (N, 3, R, R) -> logits (N, C): softmax over a group's columns, sigmoid for a flag's; see `probabilities`. With `mirrored`, what is
    said outside of training is the mean over the picture and its mirror image."""

    def __init__(self, resolution: int, width: int, dropout: float, mirrored: bool) -> None:
        super().__init__()
        self.resolution = resolution
        self.mirrored = mirrored
        fold = max(1, resolution // CELLS)
        widths = [3 * fold**2, width, 2 * width, 4 * width, 8 * width]
        self.fold = nn.PixelUnshuffle(fold) if fold > 1 else nn.Identity()
        self.backbone = nn.ModuleList(Block(a, b) for a, b in pairwise(widths))
        self.num_features = widths[-1]
        sizes = [part.stop - part.start for part in column_slices().values()]
        sides = [resolution // fold // 2**level for level in range(2, 5)]
        self.looks = nn.ModuleList(Look(channels, side, len(sizes)) for channels, side in zip(widths[2:], sides, strict=True))
        seen = len(sides) * QUERIES * VALUE
        self.norm = nn.BatchNorm1d(len(sizes) * seen)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList(nn.Linear(seen, size) for size in sizes)

    def levels(self, images: Tensor) -> list[Tensor]:
        x = self.fold(images).contiguous(memory_format=torch.channels_last)
        levels = []
        for block in self.backbone:
            x = block(x)
            levels.append(x)
        return levels

    def features(self, images: Tensor) -> Tensor:
        """(N, F): the mean over places of the last level, which KID compares and by which faces are told apart."""
        return self.levels(images)[-1].mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        if self.mirrored and not self.training:
            return (self._read(images) + self._read(images.flip(3))) / 2
        return self._read(images)

    def seen(self, images: Tensor) -> Tensor:
        """(N, heads, S): what each head sees, of which its answer is a linear function; heads in the order of genga.tags.column_slices()."""
        seen = torch.cat([look(level) for look, level in zip(self.looks, self.levels(images)[1:], strict=True)], dim=2)
        normed: Tensor = self.norm(seen.flatten(1))
        return normed.reshape(seen.shape)

    def _read(self, images: Tensor) -> Tensor:
        seen = self.dropout(self.seen(images))
        return torch.cat([head(part) for head, part in zip(self.heads, seen.unbind(dim=1), strict=True)], dim=1)


def probabilities(logits: Tensor, temperatures: Mapping[str, float]) -> Tensor:
    """(N, C) -> (N, C) in [0, 1]; each group sums to 1. `temperatures`: the card's, by group and flag (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599, eq. 9)."""
    tempered = {name: logits[:, columns_of] / temperatures[name] for name, columns_of in column_slices().items()}
    return torch.cat([part.softmax(dim=1) if name in groups() else part.sigmoid() for name, part in tempered.items()], dim=1)
