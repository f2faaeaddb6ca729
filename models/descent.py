"""A step down a loss, and the penalty on a discriminator that is too steep."""

from collections.abc import Callable

import torch
from torch import Tensor


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def squared_slope(D: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """|grad D|^2, mean over the pictures; in float32, because it is differentiated twice."""
    images = images.detach().float().requires_grad_()
    (slope,) = torch.autograd.grad(D(images).sum(), images, create_graph=True)
    return slope.square().sum(dim=(1, 2, 3)).mean()
