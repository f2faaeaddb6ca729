"""The learning rate rises, falls, and is never 0 while there are steps."""

import pytest
import torch

from genga.params import Training
from models.schedule import WARM_UP, set_lr


def rates(total_nimg: int) -> list[float]:
    batch = {"batch_size": 8, "log_kimg": 1.0, "sample_kimg": 1.0, "checkpoint_kimg": 1.0, "precision": "fp32", "seed": 0}
    training = Training.model_validate(batch | {"total_kimg": total_nimg / 1000})
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    found = []
    for cur_nimg in range(0, total_nimg, 8):
        set_lr(optimizer, 0.5, cur_nimg, training)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_up_in_a_line_and_down_in_a_cosine() -> None:
    found = rates(8000)
    top = round(1000 * WARM_UP)
    assert found[: top - 1] == sorted(found[: top - 1]) and found[top:] == sorted(found[top:], reverse=True)
    assert found[top // 2] == pytest.approx(0.25, rel=0.05) and max(found) == pytest.approx(0.5, rel=1e-3)
    assert found[500 + top // 2] == pytest.approx(0.25, rel=0.01)


@pytest.mark.parametrize("total_nimg", [8, 16, 160])
def test_every_step_learns(total_nimg: int) -> None:
    assert min(rates(total_nimg)) > 0


@pytest.mark.parametrize("total_nimg", [1, 3, 9, 12, 161, 167])
def test_the_last_step_learns_where_its_batch_goes_beyond_the_end(total_nimg: int) -> None:
    assert rates(total_nimg) == rates(-(-total_nimg // 8) * 8) and min(rates(total_nimg)) > 0
