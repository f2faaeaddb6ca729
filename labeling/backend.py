"""The models' guess at the moment when a task is opened: Label Studio's protocol for models, over the deployed release.

    GET  /health    {"status": "UP"}
    POST /setup     Label Studio asks which version answers
    POST /predict   tasks -> a prediction for each; Label Studio asks for tasks that have none of this version

It reads a picture by the task's `data.id` in the folder of exported pictures: never an address that somebody wrote into a task.
Label Studio speaks to it with a name and a password of its own (.label-studio/account.json).
"""

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, ConfigDict

from genga.errors import PictureError
from genga.pictures import Limits, decode
from labeling.account import Account
from labeling.keypoints import JsonObject
from labeling.projects import KINDS, Kind, Project
from labeling.push import Guesses
from labeling.tasks import about, asked, is_ours, may_guess, no_guess, prediction

USER, TITLE = "label-studio", "Genga's deployed models"
LIMITS = Limits(max_bytes=50_000_000, max_pixels=100_000_000, min_side=1)  # Genga itself exported the pictures

Guessing = Callable[[Kind], Guesses | None]


class Predict(BaseModel):
    """What is read of what Label Studio sends."""

    model_config = ConfigDict(extra="ignore")

    tasks: list[dict[str, Any]]
    label_config: str = ""


def create_backend(guessing: Guessing, pictures_dir: Path, password: str) -> FastAPI:
    """`guessing`: the guesses of the models deployed now, None where there are none of this kind."""
    app = FastAPI(title="Genga's models for Label Studio", docs_url=None, redoc_url=None, openapi_url=None)

    def known(told: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> None:
        if not (secrets.compare_digest(told.username, USER) and secrets.compare_digest(told.password, password)):
            raise HTTPException(401, "only Label Studio may ask", headers={"WWW-Authenticate": "Basic"})

    @app.get("/")
    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "Genga"}

    @app.post("/setup", dependencies=[Depends(known)])
    def setup(asked: dict[str, Any]) -> dict[str, str]:
        guesses = guessing(_kind(str(asked.get("schema", ""))))
        return {"model_version": guesses.version if guesses else "none"}

    @app.post("/predict", dependencies=[Depends(known)])
    def predict(asked: Predict) -> dict[str, list[JsonObject]]:
        kind = _kind(asked.label_config)
        guesses = guessing(kind)
        if guesses is None:
            raise HTTPException(503, f"no {' and '.join(kind.families)} are deployed; deploy them with `genga repro`")
        return {"results": [_guess(guesses, pictures_dir / kind.name, task) for task in asked.tasks]}

    return app


def _kind(config: str) -> Kind:
    for kind in KINDS.values():
        if f'name="{kind.asks}"' in config:
            return kind
    raise HTTPException(422, "this project asks neither for joints nor for tags; connect the models to a project that Genga made")


def _guess(guesses: Guesses, folder: Path, task: JsonObject) -> JsonObject:
    data = task.get("data") or {}
    if not (is_ours(data) and re.fullmatch(r"[0-9a-f]{64}", data["id"])):
        raise HTTPException(422, f"task {task.get('id')} is not as `genga label push` makes it, expected data.id with a sha256; push its picture so")
    try:
        picture = decode((folder / f"{data['id']}.png").read_bytes(), LIMITS)
    except (OSError, PictureError) as error:
        raise HTTPException(404, f"the picture of task {task.get('id')} is not in {folder.name}/ ({type(error).__name__}); push it again") from error
    made = guesses.make([picture])[0] if may_guess(data) else None
    if made is None:
        return no_guess(guesses.version)
    return prediction(about(made, asked(data)), picture.shape[1], picture.shape[0], guesses.version)


def connect_backend(client: Any, project: Project, url: str, account: Account) -> None:
    """Tells Label Studio where the models answer, and to show what they say; a connection that it had to another address goes."""
    disconnect(client, project, but=url)
    settings = {"auth_method": "BASIC_AUTH", "basic_auth_user": USER, "basic_auth_pass": account.backend_password, "timeout": 100.0}
    if not _connected(client, project, url):
        _create(client, project, url, settings)
    (connected,) = _connected(client, project, url)
    client.ml.update(connected.id, project=project.id, url=url, **settings)
    client.projects.update(project.id, model_version=connected.title)


def disconnect(client: Any, project: Project, but: str = "") -> None:
    for known in client.ml.list(project=project.id):
        if known.url != but:
            client.ml.delete(known.id)


def _connected(client: Any, project: Project, url: str) -> list[Any]:
    return [known for known in client.ml.list(project=project.id) if known.url == url][:1]


def _create(client: Any, project: Project, url: str, settings: JsonObject) -> None:
    """Label Studio connects, then wants a webhook to the same address; its guard refuses that on loopback, and we do not need one."""
    from label_studio_sdk.core.api_error import ApiError

    try:
        client.ml.create(project=project.id, url=url, title=TITLE, is_interactive=False, **settings)
    except ApiError as error:
        if error.status_code != 403 or not _connected(client, project, url):
            raise
