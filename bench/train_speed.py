"""Promise: stylegan2 at 64 px trains at least 6 times as fast as the networks of NVlabs/stylegan2-ada-pytorch at equal widths on the same CPU,
and at least 2.5 times where both compute in float32: both networks, one step of each, batches of 16.

    python -m bench.train_speed --peers FOLDER

FOLDER holds a checkout of their repository; its networks run in float32 by its own reference operations, as they do without a GPU.
Ours run as in training, weights in channels_last: in bf16, where the processor computes in it, and in float32. Ratios are medians over ROUNDS
alternating runs.
Both take the same optimizer, the non-saturating loss, and neither R1, augmentation nor averaged weights, which come to both alike. Discriminators
are those that each trains with: ours sees the picture at every size and has no residuals, theirs is residual.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.arguments import Parser
from bench.peers import stylegan2_ada
from genga.door import run
from models.descent import descend
from models.networks import build, stylegan2
from models.precision import Precision, autocast, channels_last, uses_bf16

RESOLUTION, BATCH, WIDTH, CHANNEL_BASE, LAYERS = 64, 16, 512, 4096, 8
ROUNDS = 5
PROMISED = {"bf16": 6.0, "float32": 2.5}
MODEL = {
    "arch": "stylegan2",
    "resolution": RESOLUTION,
    "z_dim": WIDTH,
    "w_dim": WIDTH,
    "mapping_layers": LAYERS,
    "channel_base": CHANNEL_BASE,
    "channel_max": WIDTH,
    "noise": True,
}


def step(G: Any, D: Any, made: Callable[[Tensor], Tensor], judged: Callable[[Tensor], Tensor], precision: Precision) -> Callable[[], None]:
    """One step of D, then one of G, as a call."""
    g_optimizer, d_optimizer = (torch.optim.Adam(net.parameters(), 1e-4, (0.0, 0.99), fused=True) for net in (G, D))
    real = torch.rand(BATCH, 3, RESOLUTION, RESOLUTION) * 2 - 1

    def once() -> None:
        D.requires_grad_(True)
        with autocast(precision):
            with torch.no_grad():
                images = made(torch.randn(BATCH, WIDTH))
            on_made, on_real = judged(torch.cat([images, real])).chunk(2)
            loss = F.softplus(on_made).mean() + F.softplus(-on_real).mean()
        descend(loss, d_optimizer)
        D.requires_grad_(False)
        with autocast(precision):
            loss = F.softplus(-judged(made(torch.randn(BATCH, WIDTH)))).mean()
        descend(loss, g_optimizer)

    return once


def formats(bench: str) -> dict[str, Precision]:
    """Number formats that trainings use here. Where bf16 is none of them, that is said."""
    if uses_bf16("auto"):
        return {"float32": "fp32", "bf16": "auto"}
    print(f"{bench}: this processor does not compute in bf16, so trainings use float32 here and bf16 is left out")
    return {"float32": "fp32"}


def ours(precision: Precision) -> Callable[[], None]:
    G: Any = channels_last(build(MODEL))
    D = channels_last(stylegan2.Discriminator(RESOLUTION, CHANNEL_BASE, WIDTH))
    print(f"train_speed: ours has {millions(G)} and {millions(D)} weights")
    return step(G, D, lambda z: G.synthesis(G.mapping(z)), lambda images: D(images), precision)


def theirs(peers_dir: Path | None) -> Callable[[], None]:
    G, D = stylegan2_ada(peers_dir, RESOLUTION, WIDTH, CHANNEL_BASE, WIDTH, LAYERS)
    print(f"train_speed: theirs has {millions(G)} and {millions(D)} weights")
    return step(G, D, lambda z: G(z, None), lambda images: D(images, None), "fp32")


def millions(net: torch.nn.Module) -> str:
    return f"{sum(weight.numel() for weight in net.parameters()) / 1e6:.1f} M"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--peers", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    steps = {"theirs": theirs(args.peers)}
    precisions = formats("train_speed")
    steps |= {name: ours(precision) for name, precision in precisions.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS + 1):
        for name, once in steps.items():
            start = time.perf_counter()
            once()
            seconds[name].append(time.perf_counter() - start)
    speed = {name: BATCH / median(times[1:]) for name, times in seconds.items()}
    print("train_speed: " + ", ".join(f"{name} {value:.1f} pictures/s" for name, value in speed.items()) + f"; medians of {ROUNDS} alternating runs")
    for name in precisions:
        ratio = median(a / b for a, b in zip(seconds["theirs"][1:], seconds[name][1:], strict=True))
        print(f"train_speed: {name} {ratio:.2f} times theirs, promised >= {PROMISED[name]}")


if __name__ == "__main__":
    run(main)
