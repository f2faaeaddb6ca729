"""What a face generator draws to be looked at: always from the same latents."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.batches import to_uint8
from models.precision import autocast, channels_last, device

Pictures = NDArray[np.uint8]

CONTACT_SHEET = 100  # faces, 10 x 10
AT_ONCE = CONTACT_SHEET * 128**2  # pixels


@dataclass(frozen=True)
class Sampling:
    """What is drawn to be judged: how much, from which seed; and how much at a time."""

    count: int
    seed: int
    batch_size: int

    def parts(self, count: int) -> list[slice]:
        return [slice(start, start + self.batch_size) for start in range(0, count, self.batch_size)]


def latents(G: Any, count: int, seed: int) -> Tensor:
    """(count, Z), on the device."""
    z: Tensor = torch.randn(count, G.z_dim, generator=torch.Generator().manual_seed(seed)).to(device())
    return z


def at_once(side: int) -> int:
    """How many pictures are drawn at a time where they only are to be looked at: a contact sheet up to 128 px, fewer where they are larger."""
    return max(1, AT_ONCE // side**2)


def draw_in_parts(draw: Callable[..., Tensor], side: int, *latents: Tensor) -> Pictures:
    """What `draw` makes of latents (N, ...)."""
    parts = zip(*(torch.split(each, at_once(side)) for each in latents), strict=True)
    return np.concatenate([to_uint8(draw(*part)) for part in parts])


@torch.inference_mode()
def draw_faces(generator: nn.Module, sampling: Sampling) -> Pictures:
    """From z of a normal distribution, without truncation."""
    module: Any = channels_last(generator).eval()
    z = latents(module, sampling.count, sampling.seed)
    with autocast("auto"):
        return np.concatenate([to_uint8(module(z[part])) for part in sampling.parts(sampling.count)])
