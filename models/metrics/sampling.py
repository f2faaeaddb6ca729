"""What a face generator draws to be looked at: always from the same latents."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.batches import to_uint8
from models.precision import autocast, channels_last, device

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Sampling:
    """What is drawn to be judged: how much, from which seed; and how much at a time."""

    count: int
    seed: int
    batch_size: int

    def latents(self, count: int, z_dim: int) -> Tensor:
        return torch.randn(count, z_dim, generator=torch.Generator().manual_seed(self.seed)).to(device())

    def parts(self, count: int) -> list[slice]:
        return [slice(start, start + self.batch_size) for start in range(0, count, self.batch_size)]


@torch.inference_mode()
def draw_faces(generator: nn.Module, sampling: Sampling) -> Pictures:
    """From z of a normal distribution, without truncation."""
    module: Any = channels_last(generator).eval()
    z = sampling.latents(sampling.count, module.z_dim)
    with autocast("auto"):
        return np.concatenate([to_uint8(module(z[part])) for part in sampling.parts(sampling.count)])
