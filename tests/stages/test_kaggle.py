"""Kaggle as kagglehub sees it, on this machine: a proxy that answers for http://localhost, with redirect, hash and ranges as the real one."""

import base64
import hashlib
import io
import json
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genga.errors import DataError
from genga.params import ImportFaces, KaggleSource
from genga.pictures import encode_png
from genga.store import Store
from stages.archives import ArchiveLimits, list_archive
from stages.import_faces import import_faces
from stages.kaggle import fetch

API = "http://localhost/api/v1/datasets.DatasetApiService/DownloadDataset"
STORAGE = "http://localhost/storage/archive.zip"


class Kaggle(ThreadingHTTPServer):
    """`cut`: bytes after which the next download breaks off; `spoil`: send other bytes than were hashed."""

    daemon_threads = True

    def __init__(self, archive: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.archive, self.cut, self.spoil = archive, 0, False
        self.asked: list[dict[str, Any]] = []
        self.ranges: list[str] = []

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the tests."""


class Answer(BaseHTTPRequestHandler):
    server: Kaggle

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(request)
        known = (request["ownerSlug"], request["datasetSlug"], request["datasetVersionNumber"]) == ("someone", "faces", 3)
        allowed = self.headers["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()
        self.send_response((302 if known else 404) if self.path == API and allowed else 403)
        self.send_header("Location", STORAGE)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        assert self.path == STORAGE
        data, start = self.server.archive, 0
        if "Range" in self.headers:
            self.server.ranges.append(self.headers["Range"])
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("x-goog-hash", "crc32c=AAAAAA==,md5=" + base64.b64encode(hashlib.md5(data).digest()).decode())
        self.end_headers()
        body = bytes(len(data)) if self.server.spoil else data
        cut, self.server.cut = self.server.cut or len(data), 0
        self.wfile.write(body[start:cut])
        self.wfile.flush()
        self.close_connection = True
        if cut < len(data):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass


def faces_zip() -> bytes:
    """Four pictures of noise: 2 MiB, since kagglehub writes what has arrived in steps of 1 MiB."""
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(4):
            archive.writestr(f"faces/{number}.png", encode_png(rng.integers(0, 256, (420, 420, 3), dtype=np.uint8)))
    return file.getvalue()


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    server = Kaggle(faces_zip())
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for name in ("NO_PROXY", "no_proxy", "KAGGLE_API_TOKEN", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    yield server
    server.shutdown()
    server.server_close()


def test_the_archive_of_the_asked_version_is_fetched_once(kaggle: Kaggle) -> None:
    path = fetch("someone/faces", 3)
    assert path.read_bytes() == kaggle.archive
    assert fetch("someone/faces", 3) == path
    assert len(kaggle.asked) == 1
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_interrupted_download_says_so_and_the_next_run_fetches_only_the_rest(kaggle: Kaggle) -> None:
    kaggle.cut = 1_500_000
    with pytest.raises(DataError, match=r"the download of someone/faces, version 3 stopped after 1048576 bytes .*; run again and it goes on"):
        fetch("someone/faces", 3)
    assert fetch("someone/faces", 3).read_bytes() == kaggle.archive
    assert kaggle.ranges == ["bytes=1048576-"]


def test_a_download_that_differs_from_its_hash_is_dropped(kaggle: Kaggle) -> None:
    kaggle.spoil = True
    with pytest.raises(DataError, match="arrived damaged and was dropped"):
        fetch("someone/faces", 3)
    kaggle.spoil = False
    assert fetch("someone/faces", 3).read_bytes() == kaggle.archive


def test_missing_credentials_are_asked_for(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_KEY")
    with pytest.raises(DataError, match=r"no Kaggle credentials .* KAGGLE_USERNAME and KAGGLE_KEY, or put kaggle.json into"):
        fetch("someone/faces", 3)
    assert kaggle.asked == []


def test_credentials_come_from_kaggle_json_too(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KAGGLE_KEY")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "kaggle.json").write_text('{"username": "me", "key": "secret"}')
    assert fetch("someone/faces", 3).read_bytes() == kaggle.archive


@pytest.mark.usefixtures("kaggle")
def test_a_damaged_kaggle_json_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KAGGLE_KEY")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "kaggle.json").write_text("{")
    with pytest.raises(DataError, match=r"the Kaggle credentials are damaged: .*kaggle.json"):
        fetch("someone/faces", 3)


@pytest.mark.usefixtures("kaggle")
@pytest.mark.parametrize(("key", "version", "status"), [("wrong", 3, 403), ("secret", 4, 404)])
def test_what_kaggle_refuses_is_told_with_its_status(monkeypatch: pytest.MonkeyPatch, key: str, version: int, status: int) -> None:
    monkeypatch.setenv("KAGGLE_KEY", key)
    with pytest.raises(DataError, match=rf"Kaggle answered {status} for someone/faces, version {version}"):
        fetch("someone/faces", version)


def test_a_download_that_the_disk_damaged_is_named_and_fetched_again_once_deleted(kaggle: Kaggle) -> None:
    path = fetch("someone/faces", 3)
    path.write_bytes(path.read_bytes().replace(b"PK\1\2", bytes(4)))
    with pytest.raises(DataError, match=rf"{path} is a damaged archive \(.*\); delete it and fetch it again"):
        list_archive(path, ArchiveLimits(5_000_000, 100.0))
    path.unlink()
    assert fetch("someone/faces", 3).read_bytes() == kaggle.archive


@pytest.mark.usefixtures("kaggle")
def test_pictures_from_kaggle_pass_the_same_door(tmp_path: Path) -> None:
    params = ImportFaces(
        source=KaggleSource(kind="kaggle", path="stages/kaggle.py", dataset="someone/faces", version=3),
        licence="unknown",
        origin="someone/faces",
        max_picture_bytes=1_000_000,
        max_picture_pixels=200_000,
        min_side=16,
        max_archive_bytes=5_000_000,
        max_archive_ratio=100.0,
        max_rejected=0.0,
    )
    import_faces(params, Path("stages/kaggle.py"), tmp_path / "imported")
    store = Store(tmp_path / "imported")
    assert store.column("name") == [f"faces/{number}.png" for number in range(4)]
    assert store.terms() == {"licences": ["unknown"], "sources": ["someone/faces"]}
