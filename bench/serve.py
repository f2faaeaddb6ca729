"""Promise: on two cores a character answers in less than 100 ms, a sketch with its nearest figures in less than 300 ms, and what the page shows
after a change, six sketches, in less than 1 s; a stroke is read before, once the pen has rested STROKE_RESTS.

    python -m bench.serve [release]       default: release/, which `make run` writes

Asks a server of its own, over HTTP, as the page does; medians, and the slowest of each.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import cv2
import httpx
import numpy as np

from bench.arguments import Parser
from genga.door import run
from genga.pictures import encode_png
from genga.skeleton import STICKS

ROUNDS = 30
PROMISED = {"character": 0.1, "sketch": 0.3, "the page's sketches": 1.0, "a stroke to its sketches": 1.0}
STROKE_RESTS = 0.35
POSE = [[0.5, 0.15], [0.5, 0.28], [0.4, 0.4], [0.6, 0.4], [0.35, 0.5], [0.65, 0.5], [0.5, 0.55], [0.45, 0.7], [0.55, 0.7], [0.45, 0.88], [0.55, 0.88]]


def picture(side: int) -> bytes:
    blobs = np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    return encode_png(cv2.resize(blobs, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.uint8))


def stick_figure() -> bytes:
    paper = np.full((400, 400, 3), 255, dtype=np.uint8)
    for a, b in STICKS:
        start, end = ([round(400 * value) for value in POSE[joint]] for joint in (a, b))
        cv2.line(paper, start, end, (0, 0, 0), 6)
    return encode_png(paper)


def asks(client: httpx.Client) -> dict[str, tuple[int, Callable[[int], httpx.Response]]]:
    """name -> how often, and what is asked in the n-th round."""

    def upload(route: str, data: bytes) -> Callable[[int], httpx.Response]:
        return lambda _: client.post(route, files={"file": data})

    def sketches(n: int) -> httpx.Response:
        return client.post("/api/sketch", json={"seed": 8 * n, "pose": POSE, "count": 6})

    def stroke(n: int) -> httpx.Response:
        time.sleep(STROKE_RESTS)
        client.post("/api/pose", files={"file": stick_figure()}).raise_for_status()
        return sketches(n)

    return {
        "character": (ROUNDS, lambda n: client.post("/api/characters", json={"seed": n})),
        "16 characters": (ROUNDS // 5, lambda n: client.post("/api/characters", json={"seed": n, "count": 16})),
        "sketch": (ROUNDS, lambda n: client.post("/api/sketch", json={"seed": n, "pose": POSE})),
        "the page's sketches": (ROUNDS, sketches),
        "a stroke to its sketches": (ROUNDS // 5, stroke),
        "tags": (ROUNDS, upload("/api/tags", picture(96))),
        "pose": (ROUNDS, upload("/api/pose", stick_figure())),
        "upscale 128 px": (ROUNDS // 5, upload("/api/upscale", picture(128))),
        "upscale 1024 px": (1, upload("/api/upscale", picture(1024))),
    }


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("release", nargs="?", default="release")
    release = parser.parse_args().release
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request otherwise
    server = subprocess.Popen([sys.executable, "-m", "serve", "--release", release, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        if not (line := server.stdout.readline()):
            print(f"serve: skipped, {release} cannot be served; run `genga repro`")
            return
        with httpx.Client(base_url=line.split()[-1], timeout=300) as client:
            for name, (rounds, ask) in asks(client).items():
                ask(0).raise_for_status()
                times = [timed(ask, n) for n in range(1, rounds + 1)]
                promise = f", promised < {1000 * PROMISED[name]:.0f}: {median(times) / PROMISED[name]:.2f} of it" if name in PROMISED else ""
                print(f"serve: {name} {1000 * median(times):.0f} ms (slowest {1000 * max(times):.0f} of {rounds}{promise})")
    finally:
        server.terminate()
        server.wait()


def timed(ask: Callable[[int], httpx.Response], n: int) -> float:
    start = time.perf_counter()
    ask(n).raise_for_status()
    return time.perf_counter() - start


if __name__ == "__main__":
    run(main)
