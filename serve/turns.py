"""Whose turn it is: as many pieces of model work at once as there are cores, first come first served, off the event loop.

A piece (one picture, one tile) runs on one thread: a small network gains little from two, and its bytes then do not depend on the number
of cores. Long work asks for one piece per core at a time, so that a live preview waits for a piece and never for a whole enlargement.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch
from starlette.requests import Request

T = TypeVar("T")


class CallerLeftError(Exception):
    """The caller closed the connection: nobody waits for the answer."""


class Turns:
    def __init__(self) -> None:
        self._cores = len(os.sched_getaffinity(0))
        self._free = asyncio.Semaphore(self._cores)
        self._threads = ThreadPoolExecutor(self._cores, thread_name_prefix="models", initializer=partial(torch.set_num_threads, 1))

    async def take(self, request: Request, work: Callable[[], T]) -> T:
        async with self._free:
            if await request.is_disconnected():
                raise CallerLeftError
            return await asyncio.get_running_loop().run_in_executor(self._threads, _without_gradients, work)

    async def take_each(self, request: Request, works: Iterable[Callable[[], T]]) -> list[T]:
        """Results in the order of the works."""
        waiting, done = enumerate(works), dict[int, T]()

        async def work_off() -> None:
            for work_idx, work in waiting:
                done[work_idx] = await self.take(request, work)

        await asyncio.gather(*(work_off() for _ in range(self._cores)))
        return [done[work_idx] for work_idx in range(len(done))]

    def close(self) -> None:
        self._threads.shutdown()


def _without_gradients(work: Callable[[], T]) -> T:
    with torch.inference_mode():
        return work()
