"""One at a time in a working tree: runs of the graph, and pulls of labels, which its stages read. DVC fails where two touch the same files.

The command line takes turns with flows, so this imports no Prefect.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = Path(".dvc/tmp/genga-graph.lock")


@contextmanager
def our_turn(say: Callable[[str], object]) -> Iterator[None]:
    """`say` is told where somebody else's end has to be waited for. The lock goes with the process, however that ends."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another command or flow that runs the graph or pulls labels in this folder")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
