"""The models' guess on opening a task: the protocol, its door, and the real Label Studio on the other side."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi.testclient import TestClient
from studio import Studio

from genga import tags
from genga.pictures import encode_png
from genga.store import picture_id
from labeling.backend import USER, connect_backend, create_backend
from labeling.configs import poses_config, tags_config
from labeling.exports import read_result
from labeling.pictures import Entry
from labeling.projects import Kind
from labeling.push import Guesses, present, push
from labeling.tasks import PoseGuess, TagGuess, asking

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
VALUES: tags.Labels = {"hair_color": "pink", "smile": True}
AUTH = (USER, "secret")


def guesses(kind: Kind) -> Guesses | None:
    """Of a release without pose networks."""
    return Guesses("tagger/7", lambda pictures: [guess(picture) for picture in pictures]) if kind.name == "tags" else None


def guess(picture: np.ndarray) -> TagGuess | None:
    return TagGuess(dict.fromkeys(tags.columns(), 0.2), VALUES) if picture.max() else None


def export(folder: Path, picture: np.ndarray) -> str:
    (folder / "tags").mkdir(exist_ok=True)
    (folder / "tags" / f"{picture_id(picture)}.png").write_bytes(encode_png(picture))
    return picture_id(picture)


@pytest.fixture
def backend(tmp_path: Path) -> TestClient:
    return TestClient(create_backend(guesses, tmp_path, "secret"))


def test_it_says_which_version_answers(backend: TestClient) -> None:
    assert backend.get("/health").json()["status"] == "UP"
    assert backend.post("/setup", json={"schema": tags_config(), "project": "2.1", "hostname": "http://x"}, auth=AUTH).json() == {
        "model_version": "tagger/7"
    }
    assert backend.post("/setup", json={"schema": poses_config()}, auth=AUTH).json() == {"model_version": "none"}


def test_a_task_gets_the_guess_of_its_picture(backend: TestClient, tmp_path: Path) -> None:
    tasks = [{"id": 5, "data": {"id": export(tmp_path, PICTURE), "image": "http://10.0.0.1/never-asked.png"}}]
    (result,) = backend.post("/predict", json={"tasks": tasks, "label_config": tags_config(), "project": "2.1"}, auth=AUTH).json()["results"]
    assert result["model_version"] == "tagger/7"
    assert read_result(result["result"]).labels == VALUES


def test_only_what_a_task_asks_for_is_guessed(backend: TestClient, tmp_path: Path) -> None:
    tasks = [{"id": 5, "data": {"id": export(tmp_path, PICTURE), **asking(["smile", "glasses"])}}]
    (result,) = backend.post("/predict", json={"tasks": tasks, "label_config": tags_config()}, auth=AUTH).json()["results"]
    assert read_result(result["result"]).labels == {"smile": True}


def test_what_is_to_be_asked_without_a_guess_gets_an_empty_one(backend: TestClient, tmp_path: Path) -> None:
    tasks = [{"id": 5, "data": {"id": export(tmp_path, PICTURE), **asking(["smile"]), "guess": False}}]
    (result,) = backend.post("/predict", json={"tasks": tasks, "label_config": tags_config()}, auth=AUTH).json()["results"]
    assert result == {"model_version": "tagger/7", "score": 0.0, "result": []}


def test_a_picture_in_which_the_models_see_nothing_gets_an_empty_guess(backend: TestClient, tmp_path: Path) -> None:
    tasks = [{"id": 5, "data": {"id": export(tmp_path, np.zeros((8, 8, 3), np.uint8))}}]
    (result,) = backend.post("/predict", json={"tasks": tasks, "label_config": tags_config()}, auth=AUTH).json()["results"]
    assert result["result"] == []


@pytest.mark.parametrize("auth", [None, (USER, "wrong"), ("somebody", "secret")])
def test_nobody_else_may_ask(backend: TestClient, auth: tuple[str, str] | None) -> None:
    for path in ("/setup", "/predict"):
        assert backend.post(path, json={"tasks": []}, auth=auth).status_code == 401


@pytest.mark.parametrize(
    ("picture", "config", "status"),
    [
        ("../../account", tags_config(), 422),
        ("0" * 64 + "/../x", tags_config(), 422),
        ("0" * 64, tags_config(), 404),
        ("0" * 64, poses_config(), 503),
        ("0" * 64, "<View/>", 422),
    ],
)
def test_what_it_cannot_guess_is_refused(backend: TestClient, picture: str, config: str, status: int) -> None:
    answer = backend.post("/predict", json={"tasks": [{"id": 1, "data": {"id": picture}}], "label_config": config}, auth=AUTH)
    assert answer.status_code == status and answer.json()["detail"]


def test_a_task_that_somebody_added_by_hand_is_refused(backend: TestClient, tmp_path: Path) -> None:
    tasks = [{"id": 5, "data": {"id": export(tmp_path, PICTURE), "asks": None}}]
    answer = backend.post("/predict", json={"tasks": tasks, "label_config": tags_config()}, auth=AUTH)
    assert answer.status_code == 422 and "task 5 is not as `genga label push` makes it" in answer.json()["detail"]


def test_a_guessed_pose_tells_the_width_and_height_of_its_picture(tmp_path: Path) -> None:
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses" / f"{picture_id(PICTURE)}.png").write_bytes(encode_png(PICTURE))
    posing = Guesses("figure-pose/1", lambda pictures: [PoseGuess(np.full((11, 2), 0.5), np.ones(11)) for _ in pictures])
    backend = TestClient(create_backend(lambda _: posing, tmp_path, "secret"))
    tasks = [{"id": 5, "data": {"id": picture_id(PICTURE)}}]
    (result,) = backend.post("/predict", json={"tasks": tasks, "label_config": poses_config()}, auth=AUTH).json()["results"]
    assert read_result(result["result"]).size == (30, 40)


@pytest.fixture
def answering(studio: Studio) -> Iterator[str]:
    app = create_backend(guesses, studio.home.pictures, studio.account.backend_password)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=studio.params.backend_port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{studio.params.backend_port}"
    server.should_exit = True
    thread.join()


@pytest.mark.label_studio
def test_label_studio_asks_for_a_guess_when_a_task_is_opened_and_only_once(studio: Studio, answering: str) -> None:
    project = studio.fresh("tags")
    for _ in range(2):
        connect_backend(studio.client, project, answering, studio.account)
    assert [known.url for known in studio.client.ml.list(project=project.id)] == [answering]
    push(studio.client, project, studio.home, [Entry(picture_id(PICTURE), partial(np.asarray, PICTURE))], None, studio.params, queue=True)
    task = present(studio.client, project)[picture_id(PICTURE)]
    assert task.versions == frozenset()
    next_task = {"params": {"id": "next_task", "project": project.id}, "json": {}}
    with httpx.Client(base_url=studio.account.url, headers={"Authorization": f"Token {studio.account.token}"}, timeout=60) as client:
        for _ in range(2):
            opened = client.post("/api/dm/actions", **next_task).raise_for_status().json()  # type: ignore[arg-type]
            (predicted,) = opened["predictions"]
    assert opened["id"] == task.task
    assert predicted["model_version"] == "tagger/7"
    assert read_result(predicted["result"]).labels == VALUES
