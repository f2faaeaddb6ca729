"""The learning rate over a training: up in a line, down in a cosine (SGDR, https://arxiv.org/abs/1608.03983, eq. 5)."""

import math
from typing import Any, Protocol

from genga.params import Training

WARM_UP = 0.05  # share of the training over which it rises


class Optimizer(Protocol):
    @property
    def param_groups(self) -> list[dict[str, Any]]: ...


def whole_nimg(training: Training) -> int:
    """How many pictures are shown by its end: batches are whole, and there is one at least."""
    steps = math.ceil(round(training.total_kimg * 1000) / training.batch_size)
    return max(1, steps) * training.batch_size


def set_lr(optimizer: Optimizer, lr: float, cur_nimg: int, training: Training) -> None:
    """That of the middle of the step, so that none is 0."""
    done = (cur_nimg + training.batch_size / 2) / whole_nimg(training)
    factor = done / WARM_UP if done < WARM_UP else (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP)))) / 2
    for group in optimizer.param_groups:
        group["lr"] = lr * factor
