"""Muon for convolutions (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): steps whose matrix is orthogonal, so that no direction
of a kernel learns slower than another."""

from typing import Any

import torch
from torch import Tensor, nn

from models.precision import uses_bf16

ITERATIONS = 3  # of 5: as good here, at two thirds of the time
NARROWEST = 32  # kernels with fewer rows or columns, and all that is no kernel, are left to AdamW


class OrthogonalSteps(torch.optim.Muon):
    """Of matrices. PyTorch's own makes them orthogonal in bf16 wherever it runs, which takes seventy times as long
    where bf16 is imitated; here it is float32 there."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                momentum = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 1 - group["momentum"])
                way = orthogonal(matrix.grad.lerp(momentum, group["momentum"]), group["ns_coefficients"], group["ns_steps"])  # Nesterov's
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                # steps as long as AdamW's, Liu et al. 2025, https://arxiv.org/abs/2502.16982, eq. 4
                matrix.add_(way, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)


def orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], iterations: int) -> Tensor:
    """(O, I) -> (O, I) of the same singular vectors, all of about the same length: Newton-Schulz iterations of fifth order."""
    a, b, c = coefficients
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide.bfloat16() if uses_bf16("auto") else wide
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide is matrix else x.T


class Muon:
    """A network's optimizer. Kernels have to be channels_last: each is stepped as the matrix (out, height * width * in) that it lies in memory as."""

    def __init__(self, network: nn.Module, lr: float, weight_decay: float, narrowest: int = NARROWEST) -> None:
        weights = list(network.parameters())
        self._kernels = [weight for weight in weights if weight.ndim == 4 and min(len(weight), weight[0].numel()) >= narrowest]
        self._matrices = [as_matrix(kernel.detach()).requires_grad_() for kernel in self._kernels]
        assert all(matrix.data_ptr() == kernel.data_ptr() for matrix, kernel in zip(self._matrices, self._kernels, strict=True))
        taken = set(map(id, self._kernels))
        self._muon = OrthogonalSteps(self._matrices, lr, weight_decay, ns_steps=ITERATIONS)
        self._adamw = torch.optim.AdamW([weight for weight in weights if id(weight) not in taken], lr, weight_decay=weight_decay, fused=True)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self._muon.param_groups + self._adamw.param_groups

    def zero_grad(self, set_to_none: bool = True) -> None:
        for kernel in self._kernels:
            kernel.grad = None
        self._adamw.zero_grad(set_to_none)

    def step(self) -> None:
        for matrix, kernel in zip(self._matrices, self._kernels, strict=True):
            assert kernel.grad is not None
            matrix.grad = as_matrix(kernel.grad)
        self._muon.step()
        self._adamw.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._muon.load_state_dict(state["muon"])
        self._adamw.load_state_dict(state["adamw"])


def as_matrix(kernel: Tensor) -> Tensor:
    return kernel.permute(0, 2, 3, 1).flatten(1)
