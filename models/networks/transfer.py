"""A trained face generator with layers appended that redraw its pictures for one tag; the generator itself stays as it was.

The appended layers are a small U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) whose last layer starts at zero:
the untrained whole is the base. N batch, Z and W the base's latent dims, R its resolution. Images are NCHW in [-1, 1].
"""

from itertools import pairwise
from typing import Any, Self

import torch.nn.functional as F
from torch import Tensor, nn


class Redraw(nn.Module):
    """image (N, 3, R, R) -> what to add to it, same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.middle = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.to_rgb = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.to_rgb.weight)
        nn.init.zeros_(self.to_rgb.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        x = F.leaky_relu(self.stem(images), 0.2)
        levels = [x]
        for down in self.downs:
            levels.append(F.leaky_relu(down(levels[-1]), 0.2))
        x = F.leaky_relu(self.middle(levels.pop()), 0.2)
        for up in reversed(self.ups):
            x = F.leaky_relu(up(x) + levels.pop(), 0.2)
        added: Tensor = self.to_rgb(x)
        return added


class Generator(nn.Module):
    """z (N, Z) -> image (N, 3, R, R)."""

    def __init__(self, *, base: Any, width: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.redraw = Redraw(width)
        self.resolution: int = base.resolution
        self.z_dim: int = base.z_dim

    @property
    def w_avg(self) -> Tensor:
        average: Tensor = self.base.w_avg
        return average

    def train(self, mode: bool = True) -> Self:
        """The base stays as it samples: its batch norm and noise too."""
        super().train(mode)
        self.base.eval()
        return self

    def mapping(self, z: Tensor) -> Tensor:
        w: Tensor = self.base.mapping(z)
        return w

    def synthesis(self, w: Tensor) -> Tensor:
        images: Tensor = self.base.synthesis(w)
        redrawn: Tensor = images + self.redraw(images).float()
        return redrawn

    def forward(self, z: Tensor, psi: float = 1.0) -> Tensor:
        return self.synthesis(self.w_avg + psi * (self.mapping(z) - self.w_avg))

    def settle(self, z: Tensor) -> None:
        """Nothing to do: the base was settled when it was trained, and the appended layers have no statistics."""
