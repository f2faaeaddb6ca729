"""Where and in what number format a network runs: a GPU when there is one, bf16 where the processor computes in it."""

from contextlib import AbstractContextManager
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

Precision = Literal["auto", "bf16", "fp32"]
M = TypeVar("M", bound=nn.Module)

# of one network: each side that growth passes through, fading in or whole, with slopes or without; from the ninth on PyTorch would compile none
VARIANTS = 128


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_device(batch: Tensor) -> Tensor:
    """To a GPU by way of pinned memory: nobody waits for the copy."""
    return batch.pin_memory().to(device(), non_blocking=True) if device().type == "cuda" else batch


def _has_bf16(kind: str) -> bool:
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))


def uses_bf16(precision: Precision) -> bool:
    """`auto` takes bf16 only where it is computed, not where it is imitated."""
    return precision == "bf16" or (precision == "auto" and _has_bf16(device().type))


def number_format(precision: Precision) -> str:
    """What a protocol says of it."""
    return "bf16" if uses_bf16(precision) else "float32"


def autocast(precision: Precision) -> AbstractContextManager[None]:
    """Matrix products and convolutions inside run in bf16, or everything stays float32."""
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=uses_bf16(precision))


def channels_last(module: M) -> M:
    """Moved to the device, weights laid out NHWC: convolutions then need no reordering."""
    return module.to(device=device(), memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def compile_on_gpu(G: Any, D: Any) -> None:
    """A pair of generator and discriminator, compiled where there is a GPU; a CPU may have no compiler. `D.forward` stays as it was, for what is
    differentiated twice: compiled code cannot be.
    """
    if device().type == "cuda":
        compile_pair(G, D, "inductor")


def compile_pair(G: Any, D: Any, backend: str) -> None:
    G.synthesis = torch.compile(G.synthesis, backend=backend, recompile_limit=VARIANTS)  # type: ignore[call-overload]
    D.compile(backend=backend, recompile_limit=VARIANTS)
