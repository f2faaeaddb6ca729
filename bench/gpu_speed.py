"""Measured on a GPU: seconds for a thousand pictures of StyleGAN2's training at 128 and 256 px, beside NVlabs/stylegan2-ada-pytorch on the same card;
and whether fresh pictures cost more than one fixed batch, promised at >= 0.95 of its speed.

    python -m bench.gpu_speed --peers FOLDER [--side 128 ...] [--rounds 3]

FOLDER holds a checkout of their repository. Both have the widths and batches that their `auto` rule gives for these sides, a mapping of 8 layers, a
residual discriminator, R1 in every 16th step, path lengths in every 4th and mixed styles, an averaged generator, and no augmentation. Ours trains
as the stage does (bf16, channels_last, torch.compile), theirs by its own networks and loss in the phases of its training loop (fp16 at the four
largest sides, cuDNN's search for algorithms); its CUDA kernels are compiled where nvcc and ninja are there, and it is said whether they were.
Pictures are noise in a store. A round is TURNS times the 16 steps after which everything comes again; numbers are medians over alternating rounds.
"""

import copy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any, Protocol
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils import cpp_extension

from bench.arguments import Parser, at_least
from bench.loop_speed import PROMISED
from bench.noise import write_noise
from bench.peers import averaged, checkout, imported
from bench.real_poses import with_profiles
from genga.door import run
from genga.params import Style, TrainFace
from models.batches import Pictures, to_signed
from models.loop import seed_step
from models.precision import device, number_format, on_device
from models.recipes.faces import face_recipe

BATCHES = {128: 32, 256: 16}  # by side
COUNT = 2000  # pictures
TURN, TURNS = 16, 2  # steps; how many of them make a round
FP16_SIDES, CLAMP, HALF_LIFE = 4, 256, 10_000  # theirs; the last in pictures


class Training(Protocol):
    def step(self, pictures: Tensor) -> None:
        """uint8 (N, R, R, 3), not yet on the GPU."""


def settings(side: int) -> TrainFace:
    params = TrainFace.model_validate(with_profiles("gpu")["train_face"]["stylegan2"])
    changes: dict[str, Any] = {
        "model": params.model.model_copy(update={"resolution": side}),
        "training": params.training.model_copy(update={"batch_size": BATCHES[side]}),
        "style": Style(mixing=0.9, path_weight=2.0, path_interval=4, residual=True),
        **{"warm_up": None, "growth": [], "augment": 0.0, "adapt": None, "r1_interval": TURN},
    }
    return params.model_copy(update=changes)


class Ours:
    def __init__(self, params: TrainFace) -> None:
        self._recipe, self._training, self._nimg = face_recipe(params), params.training, 0

    def step(self, pictures: Tensor) -> None:
        seed_step(self._training.seed, self._nimg)
        self._recipe.step(pictures, self._nimg)
        self._nimg += len(pictures)


class Theirs:
    """z and c (N, 0) as their loss wants them."""

    def __init__(self, peers_dir: Path | None, params: TrainFace) -> None:
        model: Any = params.model
        assert params.style
        size = {"c_dim": 0, "img_resolution": model.resolution, "img_channels": 3}
        widths = {"channel_base": model.channel_base, "channel_max": model.channel_max, "num_fp16_res": FP16_SIDES, "conv_clamp": CLAMP}
        with imported(checkout(peers_dir, "stylegan2"), "training.networks") as networks:
            loss = import_module("training.loss")
            mapping = {"num_layers": model.mapping_layers}
            G = networks.Generator(z_dim=model.z_dim, w_dim=model.w_dim, mapping_kwargs=mapping, synthesis_kwargs=widths, **size)
            D = networks.Discriminator(**size, **widths)
        self._G, self._D = (net.to(device()).train().requires_grad_(False) for net in (G, D))
        self._mean, self._count, self._z_dim = copy.deepcopy(self._G).eval(), 0, model.z_dim
        how = {"style_mixing_prob": params.style.mixing, "r1_gamma": params.r1_gamma, "pl_weight": params.style.path_weight}
        self._loss = loss.StyleGAN2Loss(device(), G_mapping=self._G.mapping, G_synthesis=self._G.synthesis, D=self._D, **how)
        adam = {net: torch.optim.Adam(net.parameters(), params.g_lr, (0.0, 0.99)) for net in (self._G, self._D)}
        intervals = ("Gmain", self._G, 1), ("Greg", self._G, params.style.path_interval), ("Dmain", self._D, 1), ("Dreg", self._D, params.r1_interval)
        self._phases = [(name, net, adam[net], interval) for name, net, interval in intervals]
        with plugins_kept():
            self.has_kernels = all(operation._init() for operation in (networks.bias_act, networks.upfirdn2d))

    def step(self, pictures: Tensor) -> None:
        real = to_signed(on_device(pictures)).contiguous()
        nobody = torch.zeros(len(real), 0, device=real.device)
        for name, net, optimizer, interval in self._phases:
            if self._count % interval == 0:
                optimizer.zero_grad(set_to_none=True)
                net.requires_grad_(True)
                z = torch.randn(len(real), self._z_dim, device=real.device)
                self._loss.accumulate_gradients(phase=name, real_img=real, real_c=nobody, gen_z=z, gen_c=nobody, sync=True, gain=interval)
                net.requires_grad_(False)
                optimizer.step()
        averaged(self._mean, self._G, 0.5 ** (len(real) / HALF_LIFE))
        self._count += 1


@contextmanager
def plugins_kept() -> Iterator[None]:
    """Their code imports what it has built by its name, under which PyTorch no longer leaves it."""
    load = cpp_extension.load

    def kept(name: str, **how: Any) -> ModuleType:
        sys.modules[name] = load(name=name, **how)
        return sys.modules[name]

    with patch.object(cpp_extension, "load", kept):
        yield


def seconds(training: Training, batch_at: Callable[[int], Tensor], start: int, steps: int) -> float:
    """Until the GPU has done them all."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for step in range(start, start + steps):
        training.step(batch_at(step))
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def measure(side: int, peers_dir: Path | None, rounds: int) -> None:
    params = settings(side)
    batch_size, steps = params.training.batch_size, TURN * TURNS
    theirs, ours = Theirs(peers_dir, params), Ours(params)
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Pictures(write_noise(Path(scratch) / "faces", COUNT, side), side).batches(params.training)
        first = fresh(0)
        kinds: dict[str, tuple[Training, Callable[[int], Tensor]]] = {
            "theirs": (theirs, lambda step: fresh(step * batch_size)),
            "ours": (ours, lambda step: fresh(step * batch_size)),
            "fixed": (ours, lambda _: first),
        }
        times: dict[str, list[float]] = {name: [] for name in kinds}
        for number in range(rounds + 1):  # the first compiles
            for name, (training, batch_at) in kinds.items():
                torch.backends.cudnn.benchmark = name == "theirs"
                times[name].append(seconds(training, batch_at, number * steps, steps))
    kimg = {name: median(each[1:]) / (steps * batch_size / 1000) for name, each in times.items()}
    card, speed = torch.cuda.get_device_name(), kimg["fixed"] / kimg["ours"]
    kernels = "with" if theirs.has_kernels else "without"
    print(
        f"gpu_speed: {side} px, batches of {batch_size}, {card}: ours {kimg['ours']:.2f} s/kimg in {number_format(params.training.precision)}, "
        f"theirs {kimg['theirs']:.2f} s/kimg in fp16 {kernels} its CUDA kernels: {kimg['theirs'] / kimg['ours']:.2f} times as fast; "
        f"medians of {rounds} alternating rounds of {steps} steps"
    )
    print(f"gpu_speed: {side} px: fresh pictures run at {speed:.3f} of the speed of one fixed batch, promised >= {PROMISED}", flush=True)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--side", type=int, nargs="+", choices=BATCHES, default=[*BATCHES])
    parser.add_argument("--rounds", type=at_least(1), default=3)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_speed: skipped, PyTorch finds no GPU here")
        return
    for side in args.side:
        measure(side, args.peers, args.rounds)


if __name__ == "__main__":
    run(main)
