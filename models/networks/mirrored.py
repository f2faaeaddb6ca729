"""Convolutions that see the mirror image of a picture as the mirror image of what they see in it: of a layer's channels the second half finds, at
each place, what the first half would find there in the mirror (group convolution, Cohen and Welling 2016, https://arxiv.org/abs/1602.07576, for the
group of a picture and its mirror image). Each picture is learned from as itself and mirrored, for half of the weights.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def halves_exchanged(channels: int) -> list[int]:
    """For each channel of such a layer, the one that sees the same in the mirror."""
    return [*range(channels // 2, channels), *range(channels // 2)]


class MirrorConv2d(nn.Conv2d):
    """Without a bias. `in_mirrored`: for each channel that is read, the one that is it in the mirror. Sides stay, or are halved by stride 2, whose
    kernel has to be even, so that it lies alike from either side."""

    def __init__(self, in_mirrored: Sequence[int], out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(len(in_mirrored), out_channels // 2, kernel_size, stride, (kernel_size - 1) // 2, bias=False)
        self._in_halves = list(in_mirrored) == halves_exchanged(len(in_mirrored))
        self.in_mirrored: Tensor
        self.register_buffer("in_mirrored", torch.tensor(in_mirrored), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(torch.get_autocast_dtype(x.device.type)) if torch.is_autocast_enabled(x.device.type) else self.weight
        seen: Tensor = self._conv_forward(x, self._with_turned(weight), None)
        return seen

    def _with_turned(self, weight: Tensor) -> Tensor:
        """Half of the kernels (out / 2, in, K, K) -> all of them."""
        turned = weight.flip(3)
        # as indexing does, with a gradient in half of the time
        turned = torch.cat(turned.chunk(2, dim=1)[::-1], dim=1) if self._in_halves else turned[:, self.in_mirrored]
        return torch.cat([weight, turned]).contiguous(memory_format=torch.channels_last)

    def whole(self) -> nn.Conv2d:
        """What does the same with kernels of its own for every channel."""
        size, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        conv = nn.Conv2d(self.in_channels, 2 * self.out_channels, size, stride, padding, bias=False)
        conv.weight = nn.Parameter(self._with_turned(self.weight.detach()), requires_grad=False)
        return conv.eval()


class MirrorBatchNorm2d(nn.BatchNorm2d):
    """One mean and variance for a channel and the one that is it in the mirror."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        beside = x.permute(0, 2, 3, 1).reshape(count, height, 2 * width, channels // 2)  # a view where channels are last
        normed: Tensor = super().forward(beside.permute(0, 3, 1, 2))
        return normed.permute(0, 2, 3, 1).reshape(count, height, width, channels).permute(0, 3, 1, 2)

    def whole(self) -> nn.BatchNorm2d:
        """What does the same with numbers of its own for every channel."""
        norm = nn.BatchNorm2d(2 * self.num_features, self.eps)
        norm.load_state_dict({name: value.repeat(2) if value.ndim else value for name, value in self.state_dict().items()})
        return norm.requires_grad_(False).eval()
