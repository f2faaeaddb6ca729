"""The learning rate rises, falls, and is never 0 while there are steps."""

import pytest
import torch

from genga.params import Training
from models.schedule import WARM_UP, set_lr


def rates(steps: int) -> list[float]:
    batch = {"batch_size": 8, "log_kimg": 1.0, "sample_kimg": 1.0, "checkpoint_kimg": 1.0, "precision": "fp32", "seed": 0}
    training = Training.model_validate(batch | {"total_kimg": 8 * steps / 1000})
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    found = []
    for step in range(steps):
        set_lr(optimizer, 0.5, 8 * step, training)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_up_in_a_line_and_down_in_a_cosine() -> None:
    found = rates(1000)
    top = round(1000 * WARM_UP)
    assert found[: top - 1] == sorted(found[: top - 1]) and found[top:] == sorted(found[top:], reverse=True)
    assert found[top // 2] == pytest.approx(0.25, rel=0.05) and max(found) == pytest.approx(0.5, rel=1e-3)
    assert found[500 + top // 2] == pytest.approx(0.25, rel=0.01)


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_every_step_learns(steps: int) -> None:
    assert min(rates(steps)) > 0
