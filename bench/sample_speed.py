"""Promise: stylegan2 with 13.7 M weights makes one picture of 64 px in at most 12 ms on two cores.

    python -m bench.sample_speed [--peers FOLDER]

One picture at a time from z, with truncation, to float32 pixels, in bf16, where the processor computes in it, and in float32; medians of ROUNDS.
With a checkout of NVlabs/stylegan2-ada-pytorch in FOLDER their generator, of equal widths, answers in turn with ours.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from bench.arguments import Parser
from bench.peers import stylegan2_ada
from bench.train_speed import CHANNEL_BASE, LAYERS, MODEL, RESOLUTION, WIDTH, formats, millions
from genga.door import run
from models.networks import build
from models.precision import Precision, autocast, channels_last

ROUNDS, PSI, BATCH = 40, 0.7, 16
PROMISED_MS = 12.0


@torch.inference_mode()
def times(makers: dict[str, Callable[[Tensor], Tensor]], count: int) -> dict[str, float]:
    """Median seconds for a batch of `count`, the makers in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(ROUNDS // count + 3):
        for name, make in makers.items():
            z = torch.randn(count, WIDTH)
            start = time.perf_counter()
            make(z)
            seconds[name].append(time.perf_counter() - start)
    return {name: median(each[2:]) for name, each in seconds.items()}


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--peers", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    G: Any = channels_last(build(MODEL)).eval()

    def ours(precision: Precision) -> Callable[[Tensor], Tensor]:
        def make(z: Tensor) -> Tensor:
            with autocast(precision):
                images: Tensor = G(z, PSI)
            return images

        return make

    precisions = formats("sample_speed")
    makers = {name: ours(precision) for name, precision in precisions.items()}
    if args.peers:
        theirs, _ = stylegan2_ada(args.peers, RESOLUTION, WIDTH, CHANNEL_BASE, WIDTH, LAYERS)
        theirs.eval()
        makers["theirs"] = lambda z: theirs(z, None, truncation_psi=PSI)
    for count in (1, BATCH):
        found = {name: 1000 * seconds / count for name, seconds in times(makers, count).items()}
        print(f"sample_speed: {count} of {RESOLUTION} px: " + ", ".join(f"{name} {each:.1f} ms a picture" for name, each in found.items()))
        if count == 1:
            best = min(found[name] for name in precisions)
            print(f"sample_speed: one picture of {millions(G)} weights in {best:.1f} ms, promised <= {PROMISED_MS} ({best / PROMISED_MS:.2f} of it)")


if __name__ == "__main__":
    run(main)
