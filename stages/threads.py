"""Work on pictures in order on every core: OpenCV and hashlib let go of the interpreter's lock, so threads are enough."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 64


def num_cores() -> int:
    return len(os.sched_getaffinity(0))


def in_chunks(items: Sequence[Item], size: int = CHUNK) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def in_order(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """`map(function, items)` on all cores. Only a few chunks are ahead of the reader, so memory stays flat."""
    cores = num_cores()
    waiting: deque[Future[list[Result]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for chunk in in_chunks(items):
            waiting.append(pool.submit(lambda chunk: [function(item) for item in chunk], chunk))
            if len(waiting) > 2 * cores:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
