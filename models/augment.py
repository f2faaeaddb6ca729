"""Differentiable augmentation (Zhao et al. 2020, https://arxiv.org/abs/2006.10738): what the discriminator sees, real or made, is first
changed at random, so that it takes longer to know few pictures by heart. Colour, translation, cutout; each with a probability, which can
adapt to how sure the discriminator is (Karras et al. 2020, https://arxiv.org/abs/2006.06676, section 3).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from genga.params import Adapt
from models import parallel

MOVED = 1 / 8  # at most, of the side
CUT = 1 / 2  # side of the hole, of the side, at most


class Probability:
    """p. Where it adapts, it rises while the mean sign of D(real), section 3's r_t, lies above the target, and falls below."""

    def __init__(self, start: float, adapt: Adapt | None) -> None:
        self.p, self._adapt = start, adapt

    def heard(self, on_real: Tensor) -> None:
        """`on_real`: what D says of a batch of real pictures."""
        if self._adapt:
            certain = parallel.mean(on_real.detach().sign().mean()).item()
            moved = len(on_real) * parallel.size() / (1000 * self._adapt.kimg) * (1 if certain > self._adapt.target else -1)
            self.p = min(1.0, max(0.0, self.p + moved))

    def state_dict(self) -> dict[str, Any]:
        return {"p": self.p}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.p = state["p"]


def augment(images: Tensor, probability: float) -> Tensor:
    """(N, 3, R, R) -> the same shape."""
    if probability == 0:
        return images
    return cut_out(move(recolour(images, probability), probability), probability)


def _chosen(images: Tensor, probability: float) -> Tensor:
    """(N, 1, 1, 1): 1 or 0."""
    return (torch.rand(len(images), 1, 1, 1, device=images.device) < probability).float()


def _amount(images: Tensor, probability: float, reach: float) -> Tensor:
    """(N, 1, 1, 1) in [-reach, reach]; 0 for those not chosen."""
    return (torch.rand(len(images), 1, 1, 1, device=images.device) * 2 - 1) * reach * _chosen(images, probability)


def recolour(images: Tensor, probability: float) -> Tensor:
    """Brightness, saturation, contrast."""
    images = images + _amount(images, probability, 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + _amount(images, probability, 1.0))
    level = images.mean(dim=(1, 2, 3), keepdim=True)
    return level + (images - level) * (1 + _amount(images, probability, 0.5))


def move(images: Tensor, probability: float) -> Tensor:
    """By whole pixels; what comes in from beyond the edge is mid-grey."""
    side = images.shape[2]
    reach = round(side * MOVED)
    shifts = torch.randint(-reach, reach + 1, (len(images), 2), device=images.device) * _chosen(images, probability)[:, :, 0, 0].long()
    padded = F.pad(images, [reach] * 4).unbind()
    corners = (shifts + reach).tolist()
    return torch.stack([image[:, top : top + side, left : left + side] for image, (top, left) in zip(padded, corners, strict=True)])


def cut_out(images: Tensor, probability: float) -> Tensor:
    """A square hole, whose middle lies on any pixel, so it is a pixel less than half as wide."""
    side = images.shape[2]
    middles = torch.randint(0, side, (len(images), 2, 1), device=images.device)
    near = (torch.arange(side, device=images.device) - middles).abs() * 2 < side * CUT
    hole = near[:, 0, :, None] & near[:, 1, None, :]
    return images * (1 - hole[:, None].float() * _chosen(images, probability))
