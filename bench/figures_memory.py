"""Promise: 100,000 figures stream into the store with a peak memory under 1 GB, that of all processes together.

    python -m bench.figures_memory [count] [mannequins]       default: 100000 stick figures and 3000 mannequins of params.yaml's sizes

Some thousands of mannequins stand for 100,000, which take a while to draw; another number shows how what is held grows.
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
from genga.params import DrawFigures, load_params
from stages.draw_figures import draw_figures

COUNT, MANNEQUINS, PROMISED_GB = 100_000, 3000, 1.0
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


def measure(what: str, size: int, count: int, params: DrawFigures) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("poses", "own"):
            (Path(scratch) / name).mkdir()
        start = time.perf_counter()
        with Peak(held_together, EVERY) as peak:
            draw_figures(params, Path(scratch) / "poses", Path(scratch) / "own", Path(scratch) / "figures")
        seconds = time.perf_counter() - start
    most = peak.most / 1e9
    print(f"figures_memory: {count:,} {what} of {size} px in {seconds:.0f} s ({count / seconds:.0f}/s)")
    print(f"figures_memory: all processes together held {most:.2f} GB at most, promised < {PROMISED_GB:g} ({most / PROMISED_GB:.2f} of it)")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("count", nargs="?", type=at_least(1), default=COUNT)
    parser.add_argument("mannequins", nargs="?", type=at_least(1), default=MANNEQUINS)
    args = parser.parse_args()
    shipped = load_params().draw_figures
    for name, what, count in (("sticks", "stick figures", args.count), ("mannequins", "mannequins", args.mannequins)):
        counts = {"sticks": 1, "mannequins": 1, name: count}
        params = shipped.model_copy(update={each: getattr(shipped, each).model_copy(update={"count": many}) for each, many in counts.items()})
        measure(what, getattr(shipped, name).size, count, params)


if __name__ == "__main__":
    run(main)
