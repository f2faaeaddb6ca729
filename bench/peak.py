"""The most that there was of something while other work went on."""

import threading
from collections.abc import Callable
from typing import Self


class Peak(threading.Thread):
    """For a `with` block: a thread reads every so many seconds; `most` is the highest that was read."""

    def __init__(self, read: Callable[[], float], every: float) -> None:
        super().__init__(daemon=True)
        self.most, self._read, self._every, self._ended = 0.0, read, every, threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self._every):
            self.most = max(self.most, self._read())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()
