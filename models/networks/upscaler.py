"""Four times larger: SRResNet (Ledig et al. 2017, https://arxiv.org/abs/1609.04802, section 2.1) without batch norm
(EDSR, Lim et al. 2017, https://arxiv.org/abs/1707.02921, section 3.1).

Differences: one pixel shuffle by 4 instead of two by 2; the network adds to a bicubic enlargement instead of making the whole picture.
N batch, h and w any size. Images are NCHW in [-1, 1].
"""

import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 4
BICUBIC_REACH = 2  # input pixels


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.second(F.relu(self.first(x)))
        return x + added


class Upscaler(nn.Module):
    """(N, 3, h, w) -> (N, 3, 4h, 4w), not clamped. A pixel further than `margin` input pixels away changes nothing."""

    def __init__(self, *, width: int, blocks: int) -> None:
        super().__init__()
        self.margin = 2 * blocks + 2 + BICUBIC_REACH
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.to_rgb = nn.Conv2d(width, 3 * SCALE**2, 3, padding=1)
        nn.init.zeros_(self.to_rgb.weight)  # so it starts as bicubic enlarging
        nn.init.zeros_(self.to_rgb.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.stem(images))
        details = F.pixel_shuffle(self.to_rgb(self.blocks(x)), SCALE).float()
        return enlarge_bicubic(images) + details


def enlarge_bicubic(images: Tensor) -> Tensor:
    return F.interpolate(images.float(), scale_factor=SCALE, mode="bicubic", align_corners=False)
