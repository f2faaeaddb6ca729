"""Work in order on every core where Python itself is busy, so that each core needs a process of its own (see threads.py for the other case)."""

import gc
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import active_children, get_context, parent_process
from typing import Any, TypeVar

import cv2
from threadpoolctl import threadpool_limits

from genga.errors import DataError
from stages.threads import CHUNK, in_chunks, num_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

GRACE_S = 2.0


def in_order(function: Callable[[Item], Result], items: Sequence[Item], chunk_size: int = CHUNK) -> Iterator[list[Result]]:
    """`map(function, items)` on all cores, in chunks. Only a few chunks are ahead of the reader, so memory stays flat.

    `function` and what it takes and gives travel between processes: a function of a module, or a partial of one.
    """
    with ProcessPoolExecutor(num_cores(), mp_context=get_context("spawn"), initializer=settle) as pool:
        calls = ((work, function, chunk) for chunk in in_chunks(items, chunk_size))
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # for the workers: while they load they would print where they are
        try:
            answers = results(pool, calls, 2 * num_cores())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            yield from answers
        except KeyboardInterrupt:
            for worker in active_children():
                worker.terminate()
            raise


@contextmanager
def in_order_forked(function: Callable[[Item], Result], chunks: Sequence[Sequence[Item]], ahead: int) -> Iterator[Iterator[list[Result]]]:
    """The same for work of microseconds on what cannot travel, such as open archives: the processes are forks, so nothing has to be loaded
    or sent but results. They begin at once, and so many chunks are ahead of the reader."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # before: a fork cannot end the threads that OpenCV has
    gc.disable()  # again and again it would look through results that all stay: a sixth of the time
    gc.freeze()  # nor need a fork look through what it inherits
    pool = ProcessPoolExecutor(num_cores(), mp_context=get_context("fork"), initializer=inherit, initargs=(function, chunks))
    try:
        yield results(pool, ((inherited, chunk_idx) for chunk_idx in range(len(chunks))), ahead)
    finally:
        pool.shutdown(cancel_futures=True)  # after an error nobody waits for what is ahead
        gc.unfreeze()
        gc.enable()
        cv2.setNumThreads(threads)


def results(pool: Executor, calls: Iterator[tuple[Any, ...]], ahead: int) -> Iterator[Any]:
    waiting = deque(pool.submit(*call) for call in islice(calls, ahead))
    return _answers(pool, calls, waiting)


def _answers(pool: Executor, calls: Iterator[tuple[Any, ...]], waiting: deque[Future[Any]]) -> Iterator[Any]:
    try:
        for call in calls:
            yield waiting.popleft().result()
            waiting.append(pool.submit(*call))
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError("a process of this command was ended from outside, mostly for want of memory; free some and run it again") from error


def work(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    return [function(item) for item in chunk]


def inherit(function: Callable[[Item], Result], chunks: Sequence[Sequence[Item]]) -> None:
    gc.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: our parent ends us, and half an answer would leave it waiting
    signal.signal(signal.SIGTERM, leave_soon)
    follow_to_the_end()
    inheritance.update(function=function, chunks=chunks)


def leave_soon(*_: object) -> None:
    """Once an answer that is half written is whole, or nobody reads it."""
    leave = threading.Timer(GRACE_S, os._exit, (1,))
    leave.daemon = True
    leave.start()


inheritance: dict[str, Any] = {}


def inherited(chunk_idx: int) -> list[Any]:
    return work(inheritance["function"], inheritance["chunks"][chunk_idx])


def settle() -> None:
    """One thread per process, no process outlives a parent that was killed, and Ctrl-C ends it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
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
