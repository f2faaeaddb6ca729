"""The real process: `python -m serve` on a free port of the loopback."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from tiny_release import make_release

from genga.errors import GengaError
from genga.pictures import encode_png
from serve.app import create_app
from serve.server import serve

REPO = Path(__file__).parents[2]
FACES = ("stylegan2", "sketcher", "gallery")
MAX_ROUNDS = 400
# a server whose tiles take long and whose grace is short
SLOW = """
import sys, time
from pathlib import Path
from serve import server
from serve.enlarge import Enlargement

server.GRACE_SECONDS = 1
Enlargement.draw = lambda *_: time.sleep(0.5)
server.serve(Path(sys.argv[2]), "127.0.0.1", 0)
"""


def start(*arguments: str | Path, module: tuple[str, str] = ("-m", "serve")) -> subprocess.Popen[str]:
    command = [sys.executable, *module, *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def running(release_dir: Path, module: tuple[str, str] = ("-m", "serve")) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address, once it has told that it answers."""
    process = start("--release", release_dir, "--port", "0", module=module)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Genga answers at http://127.0.0.1:"), line
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.05)


def metric(client: httpx.Client, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


class Callers:
    """Four callers who ask without a pause; what each got stays in `answers`."""

    def __init__(self, address: str) -> None:
        self.answers: list[tuple[int, str]] = []
        self.failures: list[Exception] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(address, caller)) for caller in range(4)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, address: str, caller: int) -> None:
        with httpx.Client(base_url=address, timeout=30) as client:
            for seed in range(MAX_ROUNDS):
                if self._ended.is_set():
                    return
                try:
                    reply = client.post("/api/characters", json={"seed": seed, "count": 1 + caller})
                    self.answers.append((reply.status_code, reply.headers["X-Genga-Version"]))
                except (httpx.HTTPError, KeyError) as error:
                    self.failures.append(error)


def test_a_new_release_takes_over_without_a_failed_request_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    release_dir = tmp_path / "release"
    make_release(release_dir, version="1", families=FACES)
    with running(release_dir) as (process, address), httpx.Client(base_url=address, timeout=30) as client:
        ask = {"seed": 5, "psi": 0.6}
        first = client.post("/api/characters", json=ask).json()
        with Callers(address) as callers:
            until(lambda: len(callers.answers) > 10)
            make_release(release_dir, version="2", seed=1, families=FACES)
            until(lambda: ("stylegan2/2") in {version for _, version in list(callers.answers)})
        assert callers.failures == []
        assert {status for status, _ in callers.answers} == {200}
        assert {version for _, version in callers.answers} == {"stylegan2/1", "stylegan2/2"}
        second = client.post("/api/characters", json=ask).json()
        assert second["version"] == "stylegan2/2" and second["images"] != first["images"]
        assert metric(client, "genga_release_swaps_total") == 1

        make_release(release_dir, version="3", seed=2, families=FACES)
        broken_dir = release_dir / "stylegan2" / "3"
        until(lambda: client.get("/api/release").json()["families"]["stylegan2"]["version"] == "3")
        shutil.copy(broken_dir / "card.json", broken_dir / "added.json")
        (release_dir / "release.json").write_bytes((release_dir / "release.json").read_bytes().replace(b"0.5", b"0.6"))
        until(lambda: metric(client, "genga_release_refusals_total") == 1)
        assert client.post("/api/characters", json=ask).json()["version"] == "stylegan2/3"

        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "is refused" in errors and "Traceback" not in errors


def test_the_same_request_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    make_release(tmp_path / "release", families=FACES)
    request = {"seed": 11, "tags": {"glasses": 0.5}, "count": 3}
    with TestClient(create_app(tmp_path / "release")) as client:
        here = client.post("/api/characters", json=request).content
    with running(tmp_path / "release") as (_, address):
        assert httpx.post(f"{address}/api/characters", json=request, timeout=30).content == here


def test_a_request_under_way_is_answered_before_the_process_ends(tmp_path: Path) -> None:
    make_release(tmp_path / "release", families=FACES)
    request = json.dumps({"count": 64}).encode()
    with running(tmp_path / "release") as (process, address), closing(HTTPConnection(urlsplit(address).netloc, timeout=30)) as caller:
        headers = {"Content-Type": "application/json", "Content-Length": str(len(request)), "Expect": "100-continue"}
        caller.request("POST", "/api/characters", headers=headers)
        assert caller.sock.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 100"  # it waits for what is asked for
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        caller.send(request)
        assert len(json.load(caller.getresponse())["images"]) == 64
        assert process.wait(timeout=20) == 0


def test_enlargements_in_line_are_told_at_once_that_the_server_ends_and_the_one_under_way_after_the_grace(tmp_path: Path) -> None:
    make_release(tmp_path / "release", families=["upscaler"])
    png = encode_png(np.zeros((400, 4000, 3), np.uint8))
    with running(tmp_path / "release", ("-c", SLOW)) as (process, address), ThreadPoolExecutor(3) as callers:

        def ask() -> tuple[httpx.Response, float]:
            return httpx.post(f"{address}/api/upscale", files={"file": png}, timeout=30), time.monotonic()

        asked = []
        for _ in range(3):
            asked.append(callers.submit(ask))
            time.sleep(0.3)
        ended = time.monotonic()
        process.send_signal(signal.SIGTERM)
        answers = [each.result() for each in asked]
        _, errors = process.communicate(timeout=20)
    for reply, _ in answers:
        assert reply.status_code == 503 and reply.json() == {"error": "the server is ending; try again in a minute"}
        assert reply.headers["Retry-After"] == "60"
    assert sorted(at - ended < 1 for _, at in answers) == [False, True, True]
    assert process.returncode == 0 and "Traceback" not in errors


@pytest.mark.parametrize(("name", "words"), [("nothing", "error: no release in"), ("a.md", "error: ")])
def test_a_missing_release_is_one_sentence_and_exit_code_2(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "a.md").write_text("no folder")
    process = start("--release", tmp_path / name)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and out == ""
    assert errors.startswith(words) and errors.count("\n") == 1


def test_a_folder_for_corrections_is_said_before_the_port_answers(tmp_path: Path) -> None:
    with pytest.raises(GengaError, match="is a folder, expected a file"):
        serve(tmp_path / "release", "127.0.0.1", 0, tmp_path)
    with pytest.raises(GengaError, match="/dev/full is a device or a pipe, expected a file"):  # its end is never read
        serve(tmp_path / "release", "127.0.0.1", 0, Path("/dev/full"))


def test_a_port_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    make_release(tmp_path / "release", families=["gallery"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port in (taken.getsockname()[1], 99_999, -1):
            with pytest.raises(GengaError, match="--port"):
                serve(tmp_path / "release", "127.0.0.1", port)


@pytest.mark.parametrize("host", ["x" * 64, "a..b"])
def test_a_host_that_no_name_can_be_is_one_sentence(tmp_path: Path, host: str) -> None:
    make_release(tmp_path / "release", families=["gallery"])
    with pytest.raises(GengaError, match=f"cannot listen on {host}, port 0"):
        serve(tmp_path / "release", host, 0)
