"""Promise: 1,000 tasks with a guess, of tags and of poses alike, are pushed into a real Label Studio in a minute. Measured beside it: a pull that
finds nothing new.

    python -m bench.label_studio        installs Label Studio beside the checkout on first use
"""

import socket
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.arguments import Parser
from genga import tags
from genga.door import run
from genga.params import LabelStudioParams
from genga.skeleton import JOINTS
from genga.store import picture_id
from labeling.account import Home, account_at, connect
from labeling.pictures import Entry
from labeling.projects import KINDS, ensure_project
from labeling.pull import pull
from labeling.push import Guesses, push
from labeling.server import running
from labeling.tasks import Guess, PoseGuess, TagGuess

COUNT, PUSH_S = 1000, 60.0
SIDE = {"poses": 128, "tags": 64}  # pictures as the graph has them


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def guess_of(kind: str, rng: np.random.Generator) -> Guess:
    if kind == "poses":
        return PoseGuess(rng.random((len(JOINTS), 2)), rng.random(len(JOINTS)))
    return TagGuess(dict.fromkeys(tags.columns(), 0.1), {"hair_color": "blue"})


def seconds_to_push(kind: str, client: Any, url: str, home: Home, params: LabelStudioParams, rng: np.random.Generator) -> float:
    pictures = [rng.integers(0, 256, (SIDE[kind], SIDE[kind], 3), dtype=np.uint8) for _ in range(COUNT)]
    entries = [Entry(picture_id(picture), partial(np.asarray, picture)) for picture in pictures]
    guesses = Guesses("bench/1", lambda shown: [guess_of(kind, rng) for _ in shown])
    project = ensure_project(client, url, KINDS[kind], home, params)
    start = time.perf_counter()
    push(client, project, home, entries, guesses, params, queue=True)
    return time.perf_counter() - start


def main() -> None:
    Parser(__doc__).parse_args()
    subprocess.run(["make", "-s", "label-studio-ready"], check=True)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        home, port = Home(Path(folder) / ".label-studio"), free_port()
        params = LabelStudioParams(port=port, backend_port=free_port(), batch_size=500, annotators_per_task=1, tags_per_picture=4)
        account = account_at(home, port)
        with running(home, account, port):
            client = connect(home)
            pushed = {name: seconds_to_push(name, client, account.url, home, params, rng) for name in KINDS}
            annotations = Path(folder) / "annotations"
            annotations.mkdir()
            started = time.perf_counter()
            pull(annotations, home)
            pulled = time.perf_counter() - started
    for name, seconds in pushed.items():
        print(f"label_studio: push of {COUNT} tasks of {name}: {seconds:.1f} s, promised <= {PUSH_S:.0f} ({seconds / PUSH_S:.2f} of it)")
    print(f"label_studio: a pull without news: {pulled:.1f} s, nothing promised")


if __name__ == "__main__":
    run(main)
