"""Promise: 100,000 figures stream into the store with a peak memory under 1 GB, that of all processes together.

    python -m bench.figures_memory [count]       default: 100000 stick figures of params.yaml's size

Counted twice a second is Pss of /proc/PID/smaps_rollup, of this process and those that draw for it: pages that they share count once.
"""

import multiprocessing
import os
import tempfile
import time
from pathlib import Path

from bench.arguments import Parser, at_least
from bench.peak import Peak
from genga.door import run
from genga.params import load_params
from stages.draw_figures import draw_figures

COUNT, PROMISED_GB = 100_000, 1.0
EVERY = 0.5  # seconds


def held_together() -> int:
    """Bytes of all processes."""
    return sum(map(held, [os.getpid(), *(child.pid for child in multiprocessing.active_children())]))


def held(pid: int | None) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("count", nargs="?", type=at_least(1), default=COUNT)
    count = parser.parse_args().count
    params = load_params().draw_figures
    sticks, mannequins = params.sticks.model_copy(update={"count": count}), params.mannequins.model_copy(update={"count": 1})
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("poses", "own"):
            (Path(scratch) / name).mkdir()
        many, start = params.model_copy(update={"sticks": sticks, "mannequins": mannequins}), time.perf_counter()
        with Peak(held_together, EVERY) as peak:
            draw_figures(many, Path(scratch) / "poses", Path(scratch) / "own", Path(scratch) / "figures")
        seconds = time.perf_counter() - start
    most = peak.most / 1e9
    print(f"figures_memory: {count:,} figures of {params.sticks.size} px in {seconds:.0f} s ({count / seconds:.0f}/s)")
    print(f"figures_memory: all processes together held {most:.2f} GB at most, promised < {PROMISED_GB:g} ({most / PROMISED_GB:.2f} of it)")


if __name__ == "__main__":
    run(main)
