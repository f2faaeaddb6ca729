"""The averaged copy of a network: the one that is sampled and registered."""

import copy
from typing import TypeVar

import torch
from torch import nn

RAMP_UP = 0.1  # early on, average over at most this share of what was seen (StyleGAN2-ADA, ema_rampup)
M = TypeVar("M", bound=nn.Module)


def averaged_copy(module: M) -> M:
    return copy.deepcopy(module).eval().requires_grad_(False)


@torch.no_grad()
def update_ema(averaged: nn.Module, module: nn.Module, batch_size: int, ema_kimg: float, cur_nimg: int) -> None:
    """After a step on `batch_size` images: weights move towards the module's with a half-life of `ema_kimg`; buffers are copied."""
    half_life = min(ema_kimg * 1000, cur_nimg * RAMP_UP)
    keep = 0.5 ** (batch_size / max(half_life, 1e-8))
    mine, theirs = tuple(averaged.parameters()), tuple(module.parameters())
    torch._foreach_lerp_(mine, theirs, 1 - keep)
    for copied, buffer in zip(averaged.buffers(), module.buffers(), strict=True):
        copied.copy_(buffer)
