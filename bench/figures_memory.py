"""Promise: 100,000 figures stream into the store with a peak memory under 1 GB, that of all processes together.

    python -m bench.figures_memory [count]       default: 100000 stick figures of params.yaml's size

Counted is what each process holds at most (ru_maxrss), pages that they share with each other included, so less is really in use.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from genga.params import load_params
from stages.draw_figures import draw_figures

COUNT, PROMISED_GB = 100_000, 1.0


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    params = load_params().draw_figures
    sticks, mannequins = params.sticks.model_copy(update={"count": count}), params.mannequins.model_copy(update={"count": 1})
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("poses", "own"):
            (Path(scratch) / name).mkdir()
        start = time.perf_counter()
        many = params.model_copy(update={"sticks": sticks, "mannequins": mannequins})
        draw_figures(many, Path(scratch) / "poses", Path(scratch) / "own", Path(scratch) / "figures")
        seconds = time.perf_counter() - start
    own, worker = (resource.getrusage(whose).ru_maxrss / 1e6 for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    workers = len(os.sched_getaffinity(0))
    peak = own + workers * worker
    print(f"figures_memory: {count:,} figures of {params.sticks.size} px in {seconds:.0f} s ({count / seconds:.0f}/s on {workers} cores)")
    print(
        f"figures_memory: {own:.2f} GB in the process that writes and {worker:.2f} GB in each of {workers} that draw: {peak:.2f} GB, "
        f"promised < {PROMISED_GB:g} ({peak / PROMISED_GB:.2f} of it)"
    )


if __name__ == "__main__":
    main()
