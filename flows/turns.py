"""One at a time in a working tree: runs of the graph, and pulls of labels, which its stages read. DVC fails where two touch the same files.

The command line takes turns with flows, and starts DVC as they do, so this imports no Prefect.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

LOCK = Path(".dvc/tmp/genga-graph.lock")


@contextmanager
def our_turn(say: Callable[[str], object], job: str | None = None) -> Iterator[bool]:
    """`say` is told where somebody else's end has to be waited for. Of those who name the same `job` one waits: for the others it is nobody's turn,
    False, at once. The locks go with the process, however that ends."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        if not _took(lock):
            with LOCK.with_name(f"genga-waiting-{job}.lock").open("w") if job else nullcontext() as line:
                if line and not _took(line):
                    say(f"another run of {job} waits for its turn already, so this one ends")
                    yield False
                    return
                say("waiting for another command or flow that runs the graph or pulls labels in this folder")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield True


def _took(lock: TextIO) -> bool:
    """Whether nobody else has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def start_repro(*words: str, stderr: int | None = None) -> subprocess.Popen[str]:
    """The `python` of the commands in dvc.yaml is this one, also where the shell or the worker knows none, or another."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    command = [sys.executable, "-m", "dvc", "repro", *words]
    return subprocess.Popen(command, env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, stderr=stderr, text=True, bufsize=1)
