"""Pictures -> tasks in Label Studio, with the models' guess and a place in the queue. A picture's id is the key: nothing goes in twice.

What is there already gets what is new where nobody has labeled yet: a newer model's guess and its place in a newer queue. What a task asks never
changes, since somebody may have it open: a queue that asks something else makes another task, which replaces it.
`queue` in a task's data sorts downwards: the newest queue first, in it the most helpful picture first. A task without it comes last; one that was
replaced has "" there and goes with the next queue, if nobody has answered it or begun to.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genga.params import LabelStudioParams
from genga.pictures import encode_png
from genga.release import locked
from genga.whole import write_whole
from labeling.account import Home
from labeling.keypoints import BAD, JsonObject
from labeling.pictures import Entry
from labeling.projects import Project
from labeling.tasks import NOTHING, Guess, about, asked, asking, is_ours, may_guess, no_guess, prediction

log = logging.getLogger(__name__)

LAST = 999_999  # place in a queue; counted down so that the first sorts highest
UNANSWERED = {"filter": "filter:tasks:total_annotations", "operator": "equal", "type": "Number", "value": 0}
BEGUN = {"filter": "filter:tasks:draft_exists", "operator": "equal", "type": "Boolean", "value": True}
SHOWN = "id,data,total_annotations,cancelled_annotations,predictions_model_versions"
CALLED_BAD = {"filter": "filter:tasks:annotations_results", "operator": "contains", "type": "String", "value": BAD}


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
    """A task that Label Studio has. `answers`: how many were submitted; `skips`: how many people skipped it, to whom it is not shown again; `begun`:
    somebody's answer waits as a draft; `said`: the tags that it was asked for, once somebody answered, and all where that was that it is a bad
    picture."""

    task: int
    data: JsonObject
    answers: int
    versions: frozenset[str]
    said: frozenset[str] = frozenset()
    skips: int = 0
    begun: bool = False

    @property
    def labeled(self) -> bool:
        """By somebody, though perhaps not yet by as many people as are asked."""
        return self.answers > 0

    @property
    def replaced(self) -> bool:
        """By another task; nobody has answered this one."""
        return not self.labeled and self.data.get("queue") == ""


def push(
    client: Any, project: Project, home: Home, entries: Sequence[Entry], guesses: Guesses | None, params: LabelStudioParams, *, queue: bool
) -> Pushed:
    """`entries` in the order in which they should be labeled; with `queue` that order is written into Label Studio, and a picture of which people
    have said something is asked once more for what they have not said.

    Killed anywhere, the same call goes on: what went in is there and is not pushed again. Two at once wait for each other.
    """
    with locked(home.dir / "push.lock"):
        tasks = tasks_of(client, project)
        number = 1 + max((queue_number(task.data) for task in tasks), default=0)
        if queue:
            tasks = _drop_replaced(client, project, tasks)
        tasks = ask_today(client, project, tasks)
        there = _by_picture(tasks)
        wanted = {entry.id: entry for entry in entries}
        places = {id_: f"{number:05d}-{LAST - place:06d}" for place, id_ in enumerate(wanted)} if queue else {}
        new = [entry for id_, entry in wanted.items() if _needs_task(entry, there.get(id_), queue=queue)]
        created = 0
        for batch in _batches(new, params.batch_size):
            created += _create(client, project, home, batch, guesses, places)
            log.info("%s: %d of %d tasks pushed", project.kind.name, created, len(new))
        made = {entry.id for entry in new}
        old = [(entry, there[id_]) for id_, entry in wanted.items() if id_ in there and id_ not in made and not there[id_].labeled]
        reguessed = _guess_again(client, project, old, guesses, params.batch_size)
        if guesses and (created or reguessed):
            _show(client, project, guesses.version)
        if queue:
            _queue_again(client, [task for _, task in old], tasks, places)
    return Pushed(created, reguessed, len(old) if queue else 0)


def _needs_task(entry: Entry, task: Present | None, *, queue: bool) -> bool:
    if task is None:
        return True
    if task.labeled:
        return queue and bool({*entry.asks} - task.said)
    return queue and not task.begun and (asking(entry.asks)["asks"] != asked(task.data) or (may_guess(task.data) and not entry.guess))


def present(client: Any, project: Project) -> dict[str, Present]:
    """Picture id -> its task. Of several the one that waits, one that somebody has begun first, or that of the newest queue; `said` is what was said
    in all of them."""
    return _by_picture(tasks_of(client, project))


def _by_picture(tasks: Iterable[Present]) -> dict[str, Present]:
    found: dict[str, Present] = {}
    for task in (task for task in tasks if not task.replaced):
        other = found.setdefault(task.data["id"], task)
        shown = max(other, task, key=lambda each: (not each.labeled, each.begun, str(each.data.get("queue") or "")))
        found[task.data["id"]] = replace(shown, said=other.said | task.said)
    return found


def tasks_of(client: Any, project: Project) -> list[Present]:
    """Those that Genga pushed. Whatever somebody else added is left as it is; what people say there comes in with the pull."""
    bad, begun = (_ids_where(client, project, that) for that in (CALLED_BAD, BEGUN))
    found = []
    for task in client.tasks.list(project=project.id, include=SHOWN, page_size=1000):
        data, answers = dict(task.data or {}), int(task.total_annotations or 0)
        if is_ours(data):
            said = frozenset(() if not answers else asking()["asks"] if task.id in bad else asked(data))
            versions, skips = _versions(task.predictions_model_versions), int(task.cancelled_annotations or 0)
            found.append(Present(int(task.id), data, answers, versions, said, skips, task.id in begun))
    return found


def _ids_where(client: Any, project: Project, that: JsonObject) -> set[int]:
    query = json.dumps({"filters": {"conjunction": "and", "items": [that]}})
    return {task.id for task in client.tasks.list(project=project.id, fields="task_only", include="id", page_size=1000, query=query)}


def unanswered(client: Any, project: Project, entries: Sequence[Entry], people: int, *, again: bool) -> list[Entry]:
    """Without the pictures and tags that somebody has answered there, pulled or not, sure or not, and without pictures that all the `people` who are
    asked have skipped: they would take places in a queue and never be shown, or be asked for twice. Where nothing is to be asked `again`, also
    without pictures answered in part that have no task waiting."""
    there = present(client, project)
    found = [entry for entry in entries if again or entry.id not in there or not there[entry.id].labeled]
    found = [entry for entry in found if entry.id not in there or there[entry.id].skips < people]
    return [left for entry in found if (left := entry.without(there[entry.id].said if entry.id in there else ()))]


def _versions(told: Any) -> frozenset[str]:
    return frozenset(told.split(",") if isinstance(told, str) else told or ()) - {""}


def queue_number(data: Mapping[str, Any]) -> int:
    return int(str(data.get("queue") or "0").partition("-")[0])


def _batches(entries: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))


def _create(client: Any, project: Project, home: Home, batch: Sequence[Entry], guesses: Guesses | None, places: Mapping[str, str]) -> int:
    pictures = [entry.read() for entry in batch]
    predictions = _predictions(batch, pictures, guesses)
    folder = home.pictures / project.kind.name
    tasks = []
    for entry, picture, predicted in zip(batch, pictures, predictions, strict=True):
        path = folder / f"{entry.id}.png"
        if not path.is_file():
            write_whole(path, encode_png(picture))
        data = {"image": f"/data/local-files/?d={project.kind.name}/{entry.id}.png", "id": entry.id, **_asking(project, entry.asks)}
        if entry.id in places:
            data["queue"] = places[entry.id]
        if not entry.guess:
            data["guess"] = False
        tasks.append({"data": data, "predictions": predicted})
    client.projects.import_tasks(project.id, request=tasks, return_task_ids=True)
    return len(tasks)


def _predictions(batch: Sequence[Entry], pictures: Sequence[NDArray[np.uint8]], guesses: Guesses | None) -> list[list[JsonObject]]:
    """Where the models see nothing, one that says so: of a version without any Label Studio will not hear, and each push would ask again."""
    if guesses is None:
        return [[] for _ in pictures]
    made = zip(batch, guesses.make(pictures), pictures, strict=True)
    return [[_prediction(entry, guess, picture, guesses.version)] if entry.guess else [] for entry, guess, picture in made]


def _prediction(entry: Entry, guess: Guess | None, picture: NDArray[np.uint8], version: str) -> JsonObject:
    if guess is None:
        return no_guess(version)
    return prediction(about(guess, asking(entry.asks)["asks"]), picture.shape[1], picture.shape[0], version)


def _guess_again(client: Any, project: Project, tasks: Sequence[tuple[Entry, Present]], guesses: Guesses | None, batch_size: int) -> int:
    """Where the guess is another model's, or none. It changes in place: who has the task open names it on Submit, and Label Studio refuses an answer
    that follows from a guess which is no more."""
    if guesses is None:
        return 0
    stale = [each for each in tasks if guesses.version not in each[1].versions and may_guess(each[1].data)]
    known = _first_predictions(client, project) if any(task.versions for _, task in stale) else {}
    done = 0
    for batch in _batches(stale, batch_size):
        asking_the_same = [replace(entry, asks=tuple(asked(task.data))) for entry, task in batch]
        made = _predictions(asking_the_same, [entry.read() for entry in asking_the_same], guesses)
        predicted = {task.task: several[0] if several else no_guess(guesses.version) for (_, task), several in zip(batch, made, strict=True)}
        if first := [{"task": id_, **one} for id_, one in predicted.items() if id_ not in known]:
            client.projects.import_predictions(project.id, request=first)
        for id_ in predicted.keys() & known.keys():
            client.predictions.update(known[id_], **predicted[id_])
        log.info("%s: a newer guess for %d of %d tasks", project.kind.name, done := done + len(batch), len(stale))
    return len(stale)


def _first_predictions(client: Any, project: Project) -> dict[int, int]:
    """Task -> the oldest of its predictions, which Label Studio fills in where models are connected and a task is opened by its link."""
    found = sorted(client.predictions.list(project=project.id), key=lambda predicted: -predicted.id)
    return {predicted.task: predicted.id for predicted in found}


def _show(client: Any, project: Project, version: str) -> None:
    """Label Studio shows the guess of one version; where models are connected (labeling/backend.py) it shows theirs."""
    connected = {model.title for model in client.ml.list(project=project.id)}
    if client.projects.get(project.id).model_version not in {version, *connected}:
        client.projects.update(project.id, model_version=version)


def _asking(project: Project, names: Sequence[str] = ()) -> JsonObject:
    return asking(names) if project.kind.name == "tags" else {}


def ask_today(client: Any, project: Project, tasks: Iterable[Present]) -> list[Present]:
    """The tasks as they are then: what nobody has labeled yet asks for no tag that is no more; where nothing is left to ask, it counts as replaced.
    A new tag is not added, since somebody may have the task open, on a screen without it: a queue asks for it."""
    return [_of_today(client, task) if project.kind.name == "tags" and not task.labeled else task for task in tasks]


def _of_today(client: Any, task: Present) -> Present:
    left = asked(task.data)
    data = task.data | (asking(left) if left else {"asks": [], "question": NOTHING, "queue": ""})
    return task if data == task.data else _change(client, task, data)


def _change(client: Any, task: Present, data: JsonObject) -> Present:
    client.tasks.update(str(task.task), data=data)
    return replace(task, data=data)


def _queue_again(client: Any, stay: Sequence[Present], tasks: Iterable[Present], places: Mapping[str, str]) -> None:
    """Of the pictures in the queue the tasks that `stay` get their place, and those that wait in vain lose theirs."""
    for task in stay:
        _change(client, task, task.data | {"queue": places[task.data["id"]]})
    kept = {task.task for task in stay}
    for task in tasks:
        if task.data["id"] in places and not (task.labeled or task.begun or task.replaced or task.task in kept):
            _change(client, task, task.data | {"queue": ""})


def _drop_replaced(client: Any, project: Project, tasks: Sequence[Present]) -> list[Present]:
    """The tasks without those that the queue before replaced; whoever had one open then has had time to answer it."""
    if gone := [task.task for task in tasks if task.replaced]:
        still = {"conjunction": "and", "items": [UNANSWERED, BEGUN | {"value": False}]}  # nothing is lost that was said since we asked
        client.actions.create(id="delete_tasks", project=project.id, filters=still, selected_items={"all": False, "included": gone})
    return [task for task in tasks if not task.replaced]
