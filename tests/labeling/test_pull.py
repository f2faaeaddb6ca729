"""The pull through Label Studio's own SDK, against a small server that answers the three addresses which the SDK asks."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from genga.errors import GengaError
from labeling.exports import read_exports
from labeling.pull import pull_labels

CHOICE = {"from_name": "hair_color", "to_name": "image", "type": "choices", "value": {"choices": ["blue"]}}
LABELED = {"id": 2, "data": {"image": "a.png", "id": "a" * 64}, "annotations": [{"id": 5, "result": [CHOICE]}]}
OPEN = {"id": 1, "data": {"image": "b.png", "id": "b" * 64}, "annotations": []}


@pytest.fixture
def label_studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A project whose tasks are this list; the environment points to it."""
    tasks = [LABELED, OPEN]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0].strip("/")
            answers: dict[str, Any] = {
                "api/version": {"release": "1.23.2", "edition": "Community"},
                "api/projects": {"count": 1, "next": None, "previous": None, "results": [{"id": 7, "title": "tags"}]},
                "api/projects/7/export": tasks,
            }
            allowed = self.headers.get("Authorization") == f"Token {'0' * 40}"
            assert "page=2" not in self.path
            body = json.dumps(answers[path] if allowed else {"detail": "Invalid token."}).encode()
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    yield tasks
    server.shutdown()


def test_a_pull_writes_what_was_labeled_once_and_the_labels_stage_reads_it(label_studio: list[dict[str, Any]], tmp_path: Path) -> None:
    assert pull_labels(tmp_path) == 1
    assert pull_labels(tmp_path) == 0
    written = json.loads((tmp_path / "project-7.json").read_text())
    assert [task["id"] for task in written] == [2]
    assert read_exports([tmp_path / "project-7.json"]).annotations[0].labels == {"hair_color": "blue"}

    label_studio.append(LABELED | {"id": 3})
    assert pull_labels(tmp_path) == 1


def test_a_wrong_key_and_missing_settings_are_one_sentence_and_change_nothing(
    label_studio: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "1" * 40)
    with pytest.raises(GengaError, match="LABEL_STUDIO_API_KEY"):
        pull_labels(tmp_path)
    monkeypatch.delenv("LABEL_STUDIO_URL")
    with pytest.raises(GengaError, match="LABEL_STUDIO_URL is not set"):
        pull_labels(tmp_path)
    assert list(tmp_path.iterdir()) == []
