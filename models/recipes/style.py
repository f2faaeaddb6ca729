"""What only a generator with styles can be taught: style mixing (Karras et al. 2019, https://arxiv.org/abs/1812.04948, section 3.1) and
path-length regularisation (StyleGAN2, section 3.2). N batch, L layers with a style, those in use while a network grows (as in the papers' code),
W latent dim.
"""

import math
from typing import Any

import torch
from torch import Tensor

from genga.params import Style
from models import parallel

DECAY = 0.01  # of the mean path length, by which each penalty moves it (appendix B)
SMALLEST = 1e-8  # squared length: a root has no slope at 0, where a network with levels that are still silent begins
SHRINK = 2  # the penalty is taken on so many times fewer pictures, as in the paper's code


def mixed(w: Tensor, other: Tensor, num_ws: int) -> Tensor:
    """Two latents (N, W) -> (N, L, W): the first up to a layer drawn at random, the second from there on."""
    crossing = int(torch.randint(1, num_ws, ()))
    return torch.cat([w[:, None].expand(-1, crossing, -1), other[:, None].expand(-1, num_ws - crossing, -1)], dim=1)


class PathLength:
    """A step in w should move the picture by as much wherever it is taken: eq. 4, with the running mean as `a`."""

    def __init__(self, style: Style) -> None:
        self._style, self._mean = style, 0.0

    def is_due(self, step: int) -> bool:
        return self._style.path_weight > 0 and step % self._style.path_interval == 0

    def penalty(self, images: Tensor, ws: Tensor) -> tuple[Tensor, float]:
        """`images` (N, 3, R, R) made of `ws` (N, L, W). What to add to the loss, and the mean path length of these pictures."""
        # not randn_like, which fills pictures that are channels_last in another order than several processes do
        noise = torch.randn(images.shape, device=images.device, dtype=images.dtype) / math.sqrt(images.shape[2] * images.shape[3])
        (slope,) = torch.autograd.grad((images * noise).sum(), ws, create_graph=True)
        lengths = slope.square().sum(dim=2).mean(dim=1).add(SMALLEST).sqrt()
        length = parallel.mean(lengths.detach().mean()).item()
        self._mean += DECAY * (length - self._mean)
        off = (lengths - self._mean).square().mean()
        return self._style.path_weight * self._style.path_interval * off, length

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._mean = state["mean"]
