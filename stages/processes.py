"""Work in order on every core where Python itself is busy, so that each core needs a process of its own (see threads.py for the other case)."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import TypeVar

import cv2

from stages.threads import CHUNK, num_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[list[Result]]:
    """`map(function, items)` on all cores, in chunks. Only a few chunks are ahead of the reader, so memory stays flat.

    `function` and what it takes and gives travel between processes: a function of a module, or a partial of one.
    """
    waiting: deque[Future[list[Result]]] = deque()
    with ProcessPoolExecutor(num_cores(), mp_context=get_context("spawn"), initializer=settle) as pool:
        for start in range(0, len(items), CHUNK):
            waiting.append(pool.submit(work, function, items[start : start + CHUNK]))
            if len(waiting) > 2 * num_cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def work(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    return [function(item) for item in chunk]


def settle() -> None:
    """One thread per process, and no process outlives a parent that was killed."""
    cv2.setNumThreads(1)
    threading.Thread(target=follow_parent, daemon=True).start()


def follow_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
