"""Pictures -> tasks in Label Studio, with the models' guess and a place in the queue. A picture's id is the key: nothing goes in twice.

What is there already gets what is new: a newer model's guess where nobody has labeled yet, and its place in a newer queue.
`queue` in a task's data sorts downwards: the newest queue first, in it the most helpful picture first. A task without it comes last.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genga import tags
from genga.params import LabelStudioParams
from genga.pictures import encode_png
from genga.release import locked
from genga.whole import write_whole
from labeling.account import Home
from labeling.keypoints import JsonObject
from labeling.pictures import Entry
from labeling.projects import Project
from labeling.tasks import Guess, prediction

log = logging.getLogger(__name__)

LAST = 999_999  # place in a queue; counted down so that the first sorts highest


@dataclass(frozen=True)
class Guesses:
    """`version` names the models; `make` takes pictures and gives a guess for each, None where the models see nothing."""

    version: str
    make: Callable[[Sequence[NDArray[np.uint8]]], list[Guess | None]]


@dataclass(frozen=True)
class Pushed:
    created: int
    reguessed: int
    requeued: int


@dataclass(frozen=True)
class Present:
    """A task that Label Studio has. `answers`: how many were submitted."""

    task: int
    data: JsonObject
    answers: int
    versions: frozenset[str]

    @property
    def labeled(self) -> bool:
        """By somebody, though perhaps not yet by as many people as are asked."""
        return self.answers > 0


def push(
    client: Any, project: Project, home: Home, entries: Sequence[Entry], guesses: Guesses | None, params: LabelStudioParams, *, queue: bool
) -> Pushed:
    """`entries` in the order in which they should be labeled; with `queue` that order is written into Label Studio.

    Killed anywhere, the same call goes on: what went in is there and is not pushed again. Two at once wait for each other.
    """
    with locked(home.dir / "push.lock"):
        there = present(client, project)
        number = 1 + max((queue_number(task.data) for task in there.values()), default=0)
        wanted = {entry.id: entry for entry in entries}
        places = {id_: f"{number:05d}-{LAST - place:06d}" for place, id_ in enumerate(wanted)} if queue else {}
        created = 0
        for batch in _batches([entry for id_, entry in wanted.items() if id_ not in there], params.batch_size):
            created += _create(client, project, home, batch, guesses, places)
            log.info("%s: %d of %d tasks pushed", project.kind.name, created, len(wanted.keys() - there.keys()))
        old = {id_: there[id_] for id_ in wanted if id_ in there and not there[id_].labeled}
        reguessed = _guess_again(client, project, [(wanted[id_], task) for id_, task in old.items()], guesses, params.batch_size)
        if guesses and (created or reguessed):
            _show(client, project, guesses.version)
        ask_today(client, project, [task for id_, task in there.items() if id_ not in places])
        requeued = _queue_again(client, project, [(task, places[id_]) for id_, task in old.items() if id_ in places])
    return Pushed(created, reguessed, requeued)


def present(client: Any, project: Project) -> dict[str, Present]:
    """Picture id -> its task."""
    tasks = client.tasks.list(project=project.id, include="id,data,total_annotations,predictions_model_versions", page_size=1000)
    found: dict[str, Present] = {}
    for task in tasks:
        data = dict(task.data or {})
        if isinstance(data.get("id"), str):
            found.setdefault(data["id"], Present(int(task.id), data, int(task.total_annotations or 0), _versions(task.predictions_model_versions)))
    return found


def unanswered(client: Any, project: Project, entries: Sequence[Entry]) -> list[Entry]:
    """Without the pictures that somebody has answered there, pulled or not, sure or not: they would take places in a queue and never be shown."""
    answered = {id_ for id_, task in present(client, project).items() if task.labeled}
    return [entry for entry in entries if entry.id not in answered]


def _versions(told: Any) -> frozenset[str]:
    return frozenset(told.split(",") if isinstance(told, str) else told or ()) - {""}


def queue_number(data: Mapping[str, Any]) -> int:
    return int(str(data.get("queue") or "0").partition("-")[0])


def _batches(entries: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))


def _create(client: Any, project: Project, home: Home, batch: Sequence[Entry], guesses: Guesses | None, places: Mapping[str, str]) -> int:
    pictures = [entry.read() for entry in batch]
    predictions = _predictions(pictures, guesses)
    folder = home.pictures / project.kind.name
    tasks = []
    for entry, picture, predicted in zip(batch, pictures, predictions, strict=True):
        path = folder / f"{entry.id}.png"
        if not path.is_file():
            write_whole(path, encode_png(picture))
        data = {"image": f"/data/local-files/?d={project.kind.name}/{entry.id}.png", "id": entry.id, **_asks(project)}
        if entry.id in places:
            data["queue"] = places[entry.id]
        tasks.append({"data": data, "predictions": predicted})
    client.projects.import_tasks(project.id, request=tasks, return_task_ids=True)
    return len(tasks)


def _predictions(pictures: Sequence[NDArray[np.uint8]], guesses: Guesses | None) -> list[list[JsonObject]]:
    if guesses is None:
        return [[] for _ in pictures]
    made = guesses.make(pictures)
    return [
        [prediction(guess, picture.shape[1], picture.shape[0], guesses.version)] if guess else []
        for guess, picture in zip(made, pictures, strict=True)
    ]


def _guess_again(client: Any, project: Project, tasks: Sequence[tuple[Entry, Present]], guesses: Guesses | None, batch_size: int) -> int:
    """Where the guess is another model's, or none."""
    if guesses is None:
        return 0
    stale = [(entry, task) for entry, task in tasks if task.versions != {guesses.version}]
    for batch in _batches(stale, batch_size):
        ids = [task.task for _, task in batch]
        made = _predictions([entry.read() for entry, _ in batch], guesses)
        client.actions.create(id="delete_tasks_predictions", project=project.id, selected_items={"all": False, "included": ids})
        client.projects.import_predictions(
            project.id, request=[{"task": task, **predicted} for task, several in zip(ids, made, strict=True) for predicted in several]
        )
    return len(stale)


def _show(client: Any, project: Project, version: str) -> None:
    """Label Studio shows the guess of one version; where models are connected (labeling/backend.py) it shows theirs."""
    connected = {model.title for model in client.ml.list(project=project.id)}
    if client.projects.get(project.id).model_version not in {version, *connected}:
        client.projects.update(project.id, model_version=version)


def _asks(project: Project) -> JsonObject:
    return {"asks": tags.flags()} if project.kind.name == "tags" else {}


def ask_today(client: Any, project: Project, tasks: Iterable[Present]) -> None:
    """What nobody has labeled yet will be answered on today's screen: a box of a new tag that stays empty is then a no."""
    for task in tasks:
        if not task.labeled and task.data != (data := task.data | _asks(project)):
            client.tasks.update(str(task.task), data=data)


def _queue_again(client: Any, project: Project, places: Sequence[tuple[Present, str]]) -> int:
    for task, place in places:
        client.tasks.update(str(task.task), data=task.data | {"queue": place, **_asks(project)})
    return len(places)
