"""One training by several processes, on several GPUs or on a CPU. Lightning Fabric starts them and carries what they tell each other.

Each takes its part of every batch, and together they do what one process does with the whole batch, to rounding:
- random numbers: each draws those of the whole batch and takes its own, so latents, mirroring, augmentation and dropout are those of one process;
- batch norm and minibatch stddev see the whole batch: activations are gathered, gradients flow back, also those that are differentiated twice (R1);
- gradients are averaged before every optimizer's step. Not by DistributedDataParallel, which knows one backward pass for each forward pass
  and no second derivative, where a GAN's step has several of the one and some of the other;
- the first process alone writes files and speaks to MLflow.
With one process nothing of this happens.
"""

import os
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode

from genga.errors import ParamsError

LEAST = 3  # pictures for each process: rand(2, N, 1) has its N in second place

_fabric: Any = None
_part = 1  # pictures of a batch that this process has


def rank() -> int:
    return 0 if _fabric is None else int(_fabric.global_rank)


def size() -> int:
    return 1 if _fabric is None else int(_fabric.world_size)


def add_devices(parser: ArgumentParser) -> None:
    """`--devices`; what `dvc repro` runs has none and goes by GENGA_DEVICES, so that the number of processes is no part of a result."""
    said = "GPUs, or processes on a CPU, that share each batch (default: what GENGA_DEVICES says, else torchrun, else one)"
    parser.add_argument("--devices", type=int, help=said)


@contextmanager
def together(devices: int | None) -> Iterator[None]:
    """Starts the other processes, each of which runs this same command; under torchrun they are there already. None: as many as GENGA_DEVICES in the
    environment says, else as torchrun does, else one. ParamsError where there cannot be so many."""
    global _fabric
    asked = f"--devices {devices}"
    if devices is None and (said := os.environ.get("GENGA_DEVICES")):
        asked, devices = f"GENGA_DEVICES={said}", int(said) if said.isdecimal() else 0
    started = "TORCHELASTIC_RUN_ID" in os.environ
    local, processes = (int(os.environ[name]) if started else 1 for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    devices, nodes = local if devices is None else devices, processes // local
    if devices < 1:
        raise ParamsError(f"{asked} was found, expected 1 or more; give another number or leave it out")
    if started and devices != local:
        raise ParamsError(f"{asked} was found, expected {local}, which torchrun started; leave it out, or change --nproc-per-node")
    if torch.cuda.is_available() and devices > (gpus := torch.cuda.device_count()):
        raise ParamsError(
            f"{devices} processes were asked for, expected at most {gpus}, a GPU for each; change --devices, GENGA_DEVICES or --nproc-per-node"
        )
    if devices * nodes == 1:
        yield
        return
    from lightning_fabric import Fabric  # a second; one process does without

    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    _fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, strategy="ddp")
    _fabric.launch()
    hook = register_optimizer_step_pre_hook(lambda optimizer, *_: _average_gradients(optimizer))
    try:
        yield
        _fabric.barrier()
    finally:
        hook.remove()
        _fabric = None
        torch.distributed.destroy_process_group()


def part_size(batch_size: int) -> int:
    part, rest = divmod(batch_size, size())
    if size() > 1 and (rest or part < LEAST):
        raise ParamsError(
            f"a batch of {batch_size} was found for {size()} processes, expected {LEAST} pictures or more for each, as many for all; "
            "change batch_size in params.yaml, --devices or GENGA_DEVICES"
        )
    return part


def part_of(batch: Any) -> Any:
    """This process's pictures of a batch; with several processes that must be a tensor, or a tuple of them."""
    if size() == 1:
        return batch
    if isinstance(batch, tuple):
        return tuple(map(part_of, batch))
    part = part_size(len(batch))
    return batch[rank() * part : (rank() + 1) * part]


def step_on(part: int) -> Any:
    """Inside, random numbers and batch norm are those of the whole batch, of which this process has `part` pictures."""
    global _part
    _part = part
    return nullcontext() if size() == 1 else _WholeBatch()


@contextmanager
def fewer(part: int) -> Iterator[None]:
    """Inside, the whole batch is smaller: this process has `part` pictures of it."""
    global _part
    before, _part = _part, part
    try:
        yield
    finally:
        _part = before


def first_then_others(do: Callable[[], Any]) -> Any:
    """What the first process may tidy up, the others then find tidy."""
    done = do() if rank() == 0 else None
    if size() > 1:
        _fabric.barrier()
    return done if rank() == 0 else do()


def averaged(scalars: dict[str, float]) -> dict[str, float]:
    """Over the processes."""
    if size() == 1:
        return scalars
    means = _fabric.all_reduce(torch.tensor(list(scalars.values()), dtype=torch.float64), reduce_op="mean")
    return dict(zip(scalars, means.tolist(), strict=True))


def mean(value: Tensor) -> Tensor:
    """Of a number that each process has."""
    return value if size() == 1 else _fabric.all_reduce(value.clone(), reduce_op="mean")


def over_whole_batch(work: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """For what lets the pictures of a batch, or of several one after the other, see each other: (N, ...) -> (N, ...)."""

    @wraps(work)
    def seeing_all(x: Tensor) -> Tensor:
        return work(x) if size() == 1 else _own(work(_whole(x)))

    return seeing_all


def _own(whole: Tensor, dim: int = 0) -> Tensor:
    """Of each of the batches that lie one after the other."""
    before, after = whole.shape[:dim], whole.shape[dim + 1 :]
    return whole.reshape(*before, -1, size(), _part, *after).select(dim + 1, rank()).flatten(dim, dim + 1)


def _whole(x: Tensor) -> Tensor:
    """This process's part of some batches, one after the other -> the whole batches, one after the other."""
    return _gathered(x).reshape(size(), -1, _part, *x.shape[1:]).transpose(0, 1).flatten(0, 2)


def _gathered(x: Tensor) -> Tensor:
    whole: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return whole


class _Gather(torch.autograd.Function):
    """(N, ...) of each -> (processes * N, ...) for all."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(size())]
        torch.distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(_: Any, slope: Tensor) -> Tensor:
        back: Tensor = _OwnSum.apply(slope)  # type: ignore[no-untyped-call]
        return back


class _OwnSum(torch.autograd.Function):
    """What all processes' losses say of this one's part; the adjoint of _Gather, which is in turn its own, for second derivatives."""

    @staticmethod
    def forward(_: Any, slope: Tensor) -> Tensor:
        total = slope.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total.chunk(size())[rank()].clone()

    @staticmethod
    def backward(_: Any, slope: Tensor) -> Tensor:
        return _gathered(slope)


def _average_gradients(optimizer: torch.optim.Optimizer) -> None:
    slopes = [weight.grad for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None]
    flat = torch.cat([slope.reshape(-1) for slope in slopes])
    means = _fabric.all_reduce(flat, reduce_op="mean").split([slope.numel() for slope in slopes])
    for slope, averaged_slope in zip(slopes, means, strict=True):
        slope.copy_(averaged_slope.view(slope.shape))


class _WholeBatch(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("generator") is not None:
            return function(*args, **kwargs)
        if function in (torch.rand, torch.randn):
            shape = tuple(args[0]) if len(args) == 1 and not isinstance(args[0], int) else args
            return self._drawn(lambda whole: function(whole, **kwargs), shape)
        if function is torch.randint:
            low, high, shape = args
            return self._drawn(lambda whole: function(low, high, whole, **kwargs), tuple(shape))
        if function in (torch.rand_like, torch.randn_like):
            return self._drawn(lambda whole: function(args[0].new_empty(whole), **kwargs), tuple(args[0].shape))
        if function is torch.nn.functional.dropout2d and kwargs["training"]:
            kept = self._drawn(lambda whole: function(args[0].new_ones(whole), kwargs["p"]), (*args[0].shape[:2], 1, 1))
            return args[0] * kept
        if function is torch.nn.functional.batch_norm and kwargs["training"] and len(args[0]) == _part:
            return _own(function(_whole(args[0]), *args[1:], **kwargs))
        return function(*args, **kwargs)

    def _drawn(self, draw: Callable[[tuple[int, ...]], Tensor], shape: tuple[int, ...]) -> Tensor:
        """Of the whole batch, or of several one after the other; then this process's own."""
        dim = next((dim for dim, count in enumerate(shape[:2]) if count and count % _part == 0), None)
        if dim is None:
            return draw(shape)
        whole = (*shape[:dim], shape[dim] * size(), *shape[dim + 1 :])
        return _own(draw(whole), dim)
