"""Four times larger: SRGAN (Ledig et al. 2017, https://arxiv.org/abs/1609.04802), figure 4: the third system's upscaler.

Differences: the discriminator gives logits (its sigmoid stands in the loss); its first dense layer is 16 times `width` wide, 1024 at the paper's 64.
N batch, h and w any size, R side of the discriminator's pictures. Images are NCHW in [-1, 1]; in the paper the small ones are in [0, 1].
"""

from itertools import pairwise

from torch import Tensor, nn


def conv(num_in: int, num_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(num_in, num_out, kernel, stride, padding=kernel // 2)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = (nn.Sequential(conv(width, width), nn.BatchNorm2d(width)) for _ in range(2))
        self.layers = nn.Sequential(first, nn.PReLU(width), second)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.layers(x)
        return x + added


class Generator(nn.Module):
    """(N, 3, h, w) -> (N, 3, 4h, 4w), not clamped. A pixel further than `margin` input pixels away changes nothing."""

    def __init__(self, *, width: int, blocks: int) -> None:
        super().__init__()
        self.margin = 2 * blocks + 8  # 4 of the first convolution, 2 of a block, 1 after the blocks, 3 of the doublings and what follows
        self.stem = nn.Sequential(conv(3, width, 9), nn.PReLU(width))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)), conv(width, width), nn.BatchNorm2d(width))
        self.doublings = nn.Sequential(*(_doubling(width) for _ in range(2)))
        self.to_rgb = conv(width, 3, 9)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        made: Tensor = self.to_rgb(self.doublings(x + self.blocks(x)))
        return made.float()


class Discriminator(nn.Module):
    """image (N, 3, R, R) -> logit (N, 1), high on real ones."""

    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        widths = [width * 2 ** (at // 2) for at in range(8)]
        layers: list[nn.Module] = [conv(3, width), nn.LeakyReLU(0.2)]
        for at, (num_in, num_out) in enumerate(pairwise(widths)):
            layers += [conv(num_in, num_out, stride=2 - at % 2), nn.BatchNorm2d(num_out), nn.LeakyReLU(0.2)]
        side = -(-resolution // 16)  # halved four times, rounded up
        dense = [nn.Linear(widths[-1] * side**2, 2 * widths[-1]), nn.LeakyReLU(0.2), nn.Linear(2 * widths[-1], 1)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), *dense)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits.float()


def _doubling(width: int) -> nn.Sequential:
    """(N, width, h, w) -> (N, width, 2h, 2w)."""
    return nn.Sequential(conv(width, 4 * width), nn.PixelShuffle(2), nn.PReLU(width))
