"""Promise: 100,000 figures stream into the store with a peak memory under 1 GB, that of all processes together.

    python -m bench.figures_memory [count]       default: 100000 stick figures of params.yaml's size

Counted twice a second is Pss of /proc/PID/smaps_rollup, of this process and those that draw for it: pages that they share count once.
"""

import multiprocessing
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from genga.params import load_params
from stages.draw_figures import draw_figures

COUNT, PROMISED_GB = 100_000, 1.0
EVERY = 0.5  # seconds


class Watch(threading.Thread):
    """`peak`: the most bytes that all processes held together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.ended = 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(EVERY):
            pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            self.peak = max(self.peak, sum(map(held, pids)))


def held(pid: int | None) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    params = load_params().draw_figures
    sticks, mannequins = params.sticks.model_copy(update={"count": count}), params.mannequins.model_copy(update={"count": 1})
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("poses", "own"):
            (Path(scratch) / name).mkdir()
        watch, start = Watch(), time.perf_counter()
        watch.start()
        many = params.model_copy(update={"sticks": sticks, "mannequins": mannequins})
        draw_figures(many, Path(scratch) / "poses", Path(scratch) / "own", Path(scratch) / "figures")
        seconds = time.perf_counter() - start
    watch.ended.set()
    watch.join()
    peak = watch.peak / 1e9
    print(f"figures_memory: {count:,} figures of {params.sticks.size} px in {seconds:.0f} s ({count / seconds:.0f}/s)")
    print(f"figures_memory: all processes together held {peak:.2f} GB at most, promised < {PROMISED_GB:g} ({peak / PROMISED_GB:.2f} of it)")


if __name__ == "__main__":
    main()
