"""Work in order on every core where Python itself is busy, so that each core needs a process of its own (see threads.py for the other case)."""

import gc
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

import cv2
from threadpoolctl import threadpool_limits

from stages.threads import CHUNK, num_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Sequence[Item], chunk_size: int = CHUNK) -> Iterator[list[Result]]:
    """`map(function, items)` on all cores, in chunks. Only a few chunks are ahead of the reader, so memory stays flat.

    `function` and what it takes and gives travel between processes: a function of a module, or a partial of one.
    """
    with ProcessPoolExecutor(num_cores(), mp_context=get_context("spawn"), initializer=settle) as pool:
        calls = ((work, function, items[start : start + chunk_size]) for start in range(0, len(items), chunk_size))
        yield from results(pool, calls, 2 * num_cores())


@contextmanager
def in_order_forked(function: Callable[[Item], Result], items: Sequence[Item], ahead: int) -> Iterator[Iterator[list[Result]]]:
    """The same for work of microseconds on what cannot travel, such as open archives: the processes are forks, so nothing has to be loaded
    or sent but results. They begin at once, and so many chunks are ahead of the reader."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # before: a fork cannot end the threads that OpenCV has
    gc.disable()  # again and again it would look through results that all stay: a sixth of the time
    gc.freeze()  # nor need a fork look through what it inherits
    pool = ProcessPoolExecutor(num_cores(), mp_context=get_context("fork"), initializer=inherit, initargs=(function, items))
    try:
        yield results(pool, ((inherited, start) for start in range(0, len(items), CHUNK)), ahead)
    finally:
        pool.shutdown(cancel_futures=True)  # after an error nobody waits for what is ahead
        gc.unfreeze()
        gc.enable()
        cv2.setNumThreads(threads)


def results(pool: Executor, calls: Iterator[tuple[Any, ...]], ahead: int) -> Iterator[Any]:
    waiting = deque(pool.submit(*call) for call in islice(calls, ahead))
    return _answers(pool, calls, waiting)


def _answers(pool: Executor, calls: Iterator[tuple[Any, ...]], waiting: deque[Future[Any]]) -> Iterator[Any]:
    for call in calls:
        yield waiting.popleft().result()
        waiting.append(pool.submit(*call))
    while waiting:
        yield waiting.popleft().result()


def work(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    return [function(item) for item in chunk]


def inherit(function: Callable[[Item], Result], items: Sequence[Item]) -> None:
    gc.enable()
    follow_to_the_end()
    inheritance.update(function=function, items=items)


inheritance: dict[str, Any] = {}


def inherited(start: int) -> list[Any]:
    return work(inheritance["function"], inheritance["items"][start : start + CHUNK])


def settle() -> None:
    """One thread per process, and no process outlives a parent that was killed."""
    cv2.setNumThreads(1)
    threadpool_limits(1)  # BLAS
    follow_to_the_end()


def follow_to_the_end() -> None:
    threading.Thread(target=follow_parent, daemon=True).start()


def follow_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
