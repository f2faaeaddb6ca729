"""`genga repro`: DVC decides what is stale and runs it; this says which stage of how many is under way.

Each stage draws its own progress line with the time that it still needs. Flows, and others who run this here, are waited for.
"""

import re
import subprocess
import sys
import time
from functools import partial

from flows.standing import settle
from flows.turns import our_turn, start_repro
from genga.door import ending_with_us
from genga.errors import GengaError
from genga.params import load_params
from stages.references import check_references

RUNNING = re.compile(r"^Running stage '(?P<stage>[^']+)':")
SETTLED = re.compile(r"^Stage '(?P<stage>[^']+)' didn't change|^Stage '(?P<cached>[^']+)' is cached")

DVC_CHATTER = (
    "> ",
    "Updating lock",
    "Generating lock",
    "Use `dvc push`",
    "Data and pipelines",
    "To track the changes",
    "\tgit add",
    "To enable auto",
    "\tdvc config core.autostage",
)


def stage_descriptions() -> dict[str, str]:
    listing = subprocess.run([sys.executable, "-m", "dvc", "stage", "list"], check=False, capture_output=True, text=True)
    if listing.returncode:
        raise GengaError(f"DVC cannot list the graph's stages ({' '.join(listing.stderr.split())}); mend what it says and run again")
    return {line.split()[0]: " ".join(line.split()[1:]) for line in listing.stdout.splitlines() if line.strip()}


def repro(stages: list[str]) -> None:
    params = load_params()  # a wrong value stops here, before anything runs
    check_references(params)
    what = stage_descriptions()
    with our_turn(partial(print, flush=True)):
        settle(stages, partial(print, flush=True))
        _run(stages, what)


def _run(stages: list[str], what: dict[str, str]) -> None:
    started, num_settled, num_ran = time.monotonic(), 0, 0
    with start_repro(*stages) as process, ending_with_us(process.pid):
        assert process.stdout is not None
        for line in process.stdout:
            if match := RUNNING.match(line):
                num_settled += 1
                num_ran += 1
                minutes, seconds = divmod(int(time.monotonic() - started), 60)
                stage = match["stage"]
                place = f"{num_settled}" if stages else f"{num_settled}/{len(what)}"  # how many a part of the graph has, DVC does not say
                print(f"[{place}, {minutes}:{seconds:02d}] {stage}: {what.get(stage, '')}", flush=True)
            elif SETTLED.match(line):
                num_settled += 1
            elif line.strip() and not line.startswith(DVC_CHATTER):
                print(line, end="", flush=True)
    if process.returncode:
        raise GengaError(
            f"the graph stopped (dvc exit code {process.returncode}); mend what the lines above say, then `genga repro` goes on from there"
        )
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    how_far, of_all = (f" as far as {', '.join(stages)}", num_settled) if stages else ("", len(what))
    print(f"the graph is up to date{how_far}: {num_ran} of {of_all} stages ran, {minutes} min {seconds} s", flush=True)
