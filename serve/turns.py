"""Whose turn it is: as many pieces of model work at once as there are cores, first come first served, off the event loop.

A piece (one picture, one tile) runs on one thread: a small network gains little from two, and its bytes then do not depend on the number
of cores. Long work asks for one piece per core at a time, and each lets pieces of short work by that come after it, so that a live preview
waits for a piece and never for a whole enlargement. It lets no more than `LETS_BY` of them by, so that an enlargement ends under any load.
Of long works one is under way; the others wait in line, so that neither the pieces that a preview waits for nor the memory grow with their number.
"""

import asyncio
import heapq
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import torch
from starlette.exceptions import HTTPException
from starlette.requests import Request

LETS_BY = 64  # as many as one request for characters has
MAX_WAITING = 8  # long works in line behind the one under way
LOOK_SECONDS = 0.05  # how often one in line looks whether it is first, and whether its caller is still there
ENDING = "the server is ending; try again in a minute"
T = TypeVar("T")


class CallerLeftError(Exception):
    """The caller closed the connection: nobody waits for the answer."""


class Turns:
    def __init__(self) -> None:
        self.ending = False  # nobody waits in line any more
        self._cores = len(os.sched_getaffinity(0))
        self._free = self._cores
        self._numbers = itertools.count()
        self._waiting: list[tuple[int, bool, asyncio.Future[None]]] = []  # a heap; no two pieces share a place and whether they are long
        self._line: list[Request] = []  # of long works; the first is under way
        self._threads = ThreadPoolExecutor(self._cores, thread_name_prefix="models", initializer=partial(torch.set_num_threads, 1))

    async def take(self, request: Request, work: Callable[[], T]) -> T:
        async with self._core(is_long=request in self._line):
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

    @asynccontextmanager
    async def _core(self, *, is_long: bool) -> AsyncIterator[None]:
        turn, place = asyncio.get_running_loop().create_future(), next(self._numbers) + LETS_BY * is_long
        heapq.heappush(self._waiting, (place, is_long, turn))
        self._hand_out()
        try:
            await turn
            yield
        finally:
            if not turn.cancelled():
                self._free += 1
                asyncio.get_running_loop().call_soon(self._hand_out)  # whoever had it may first ask for the next piece

    def _hand_out(self) -> None:
        while self._free and self._waiting:
            turn = heapq.heappop(self._waiting)[-1]
            if not turn.done():
                turn.set_result(None)
                self._free -= 1

    @asynccontextmanager
    async def long_work(self, request: Request) -> AsyncIterator[None]:
        """One at a time, first come first served; 503 where the line is full already."""
        if len(self._line) > MAX_WAITING:
            raise HTTPException(503, f"{MAX_WAITING} others wait already, and no more are taken; try again in a minute", {"Retry-After": "60"})
        self._line.append(request)
        try:
            while self._line[0] is not request:
                if self.ending:
                    raise HTTPException(503, ENDING, {"Retry-After": "60"})
                if await request.is_disconnected():
                    raise CallerLeftError
                await asyncio.sleep(LOOK_SECONDS)
            yield
        finally:
            self._line.remove(request)

    def close(self) -> None:
        self._threads.shutdown()


def _without_gradients(work: Callable[[], T]) -> T:
    with torch.inference_mode():
        return work()
