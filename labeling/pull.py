"""Label Studio -> annotations/: what people have said so far, as one snapshot for each project, in Label Studio's own JSON.

    annotations/project-<id>.json          the tasks that have annotations: their data, annotations, and a link to each
    annotations/project-<id>-<hash>.json   the same of another Label Studio, which has a project of that number too
    annotations/review.json                corrections made on the page of `genga serve`; see labeling/review.py
    annotations/revisions/                 every snapshot that ever was, by its sha256, and `revisions.jsonl`, one line for each change
    annotations/revisions/seen-<id>.json   task -> when it was last changed, as of the last pull: only what is newer is asked for again
    annotations/revisions/made-<id>.txt    when that project was made: another Label Studio's is of another time

Label Studio moves a task's time on whenever an annotation in it is made, changed or deleted. A pull that is killed has kept what it had
got (`got-<id>.jsonl`); the next one asks only for the rest. A pull that finds nothing new writes nothing, so that DVC reruns nothing.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from genga.release import locked
from genga.whole import write_whole
from labeling.account import Home, connect, is_known, one_sentence, url_of
from labeling.exports import read_annotations
from labeling.keypoints import JsonObject, Problem, read_tasks
from labeling.projects import Project, our_projects
from labeling.review import snapshot_of_reviews

log = logging.getLogger(__name__)

CHUNK = 200  # tasks in one request
PAGE = 1000
WITH_ANSWERS = {"filter": "filter:tasks:total_annotations", "operator": "greater", "type": "Number", "value": 0}
DELETED = "a deleted account"
KEPT = ("id", "result", "was_cancelled", "ground_truth", "created_at", "updated_at", "lead_time", "parent_prediction")

Seen = dict[str, str]  # task id -> its time of change


@dataclass(frozen=True)
class Pulled:
    """`revision`: its number; that of the last one where nothing is new. `files`: the snapshots that changed, with their sha256. `corrections`: how
    many from the page are new; `added`, `changed`, `removed`: tasks of Label Studio."""

    revision: int
    is_new: bool
    files: dict[str, str]
    corrections: int
    added: int
    changed: int
    removed: int
    problems: list[Problem]


def pull(annotations_dir: Path, home: Home, *, offline: bool = False) -> Pulled:
    """`offline`: only the corrections made on the page, without a Label Studio; so too where there are some and no Label Studio is known.
    Where one does not answer, they are kept before that is said."""
    revisions_dir = annotations_dir / "revisions"
    revisions_dir.mkdir(parents=True, exist_ok=True)
    with locked(revisions_dir / ".lock"):
        before = _read_json(annotations_dir / "review.json", [])
        reviews = snapshot_of_reviews(annotations_dir)
        corrections = (_numberless(json.loads(reviews.get("review.json", "[]"))) - _numberless(before)).total()
        corrected = replace(_keep(annotations_dir, revisions_dir, reviews, (0, 0, 0)), corrections=corrections)
        if offline or (reviews and not is_known(home)):
            return corrected
        changes = [0, 0, 0]
        snapshots: dict[str, str] = {}
        url = url_of(home)
        with one_sentence(url):
            client = connect(home)
            emails = {user.id: user.email for user in client.users.list()}
            for project in our_projects(client, url):
                name = f"project-{project.id}.json"
                text, counts = _snapshot(client, project, annotations_dir / name, revisions_dir, emails)
                changes = [a + b for a, b in zip(changes, counts, strict=True)]
                if (annotations_dir / name).is_file():
                    snapshots[name] = text
        pulled = _keep(annotations_dir, revisions_dir, snapshots, changes)
        return replace(pulled, is_new=pulled.is_new or corrected.is_new, files=corrected.files | pulled.files, corrections=corrections)


def _numberless(tasks: Sequence[JsonObject]) -> Counter[str]:
    """What was said, without the numbers of tasks and annotations, which move when others come in between."""
    return Counter(json.dumps([task["data"], *({**annotation, "id": 0} for annotation in task["annotations"])]) for task in tasks)


def _snapshot(client: Any, project: Project, path: Path, revisions_dir: Path, emails: Mapping[int, str]) -> tuple[str, tuple[int, int, int]]:
    """The whole project as it is now, and how many tasks were added, changed and removed since the last pull."""
    seen_path, got_path = (revisions_dir / f"{name}-{project.id}.{kind}" for name, kind in (("seen", "json"), ("got", "jsonl")))
    _make_way(path, client.projects.get(project.id).created_at, seen_path, got_path)
    before = {str(task["id"]): task for task in _read_json(path, [])}
    seen: Seen = _read_json(seen_path, {}) if before else {}
    now = _times(client, project)
    got = {str(task["id"]): (task, time) for task, time in _read_lines(got_path)}
    wanted = [id_ for id_, time in now.items() if seen.get(id_) != time and (id_ not in got or got[id_][1] != time)]
    with got_path.open("a", encoding="utf-8") as journal:
        for start in range(0, len(wanted), CHUNK):
            for task in _export(client, project, wanted[start : start + CHUNK]):
                id_ = str(task["id"])
                got[id_] = (_kept(task, project, emails), now[id_])
                journal.write(json.dumps(got[id_], ensure_ascii=False) + "\n")
            journal.flush()
            log.info("%s: %d of %d changed tasks pulled", project.kind.name, min(start + CHUNK, len(wanted)), len(wanted))
    tasks = {id_: got[id_][0] if id_ in got and seen.get(id_) != time else before[id_] for id_, time in now.items() if id_ in got or id_ in before}
    answered = {id_: task for id_, task in tasks.items() if task["annotations"]}
    changed = sum(id_ in before and before[id_] != task for id_, task in answered.items())
    counts = (len(answered.keys() - before.keys()), changed, len(before.keys() - answered.keys()))
    text = _text([answered[id_] for id_ in sorted(answered, key=int)])
    if answered or path.is_file():
        _write(path, text)
    _write(seen_path, json.dumps({id_: now[id_] for id_ in tasks}, indent=0))
    got_path.unlink()
    return text, counts


def _make_way(path: Path, made: datetime, seen_path: Path, got_path: Path) -> None:
    """Each Label Studio counts its projects from 1: what was pulled from another's project of this number steps aside, until that one is asked
    again. Where nobody noted when that project was made, it is another one if all was said before this one was made. An answer without a time of
    making is none of a pull: somebody put the file there."""
    made_path = seen_path.with_name(f"{seen_path.stem.replace('seen', 'made')}.txt")
    before = made_path.read_text(encoding="utf-8") if made_path.is_file() else ""
    said = [annotation.get("created_at") for task in (read_tasks(path) if path.is_file() else []) for annotation in task["annotations"]]
    by_hand = not all(said)
    if by_hand or (before != made.isoformat() if before else bool(said) and max(map(datetime.fromisoformat, said)) < made):
        if path.is_file():
            aside = path.rename(_aside(path, "" if by_hand else before))
            log.warning("%s is of another Label Studio, whose project has the same number; its labels stay in %s", path.name, aside.name)
        seen_path.unlink(missing_ok=True)
        got_path.unlink(missing_ok=True)
        if (mine := _aside(path, made.isoformat())).is_file():
            mine.rename(path)
    _write(made_path, made.isoformat())


def _aside(path: Path, made: str) -> Path:
    return path.with_name(f"{path.stem}-{hashlib.sha256(made.encode() or path.read_bytes()).hexdigest()[:12]}.json")


def _times(client: Any, project: Project) -> Seen:
    """Every task that has an annotation -> when it was last changed."""
    query = json.dumps({"filters": {"conjunction": "and", "items": [WITH_ANSWERS]}})
    tasks = client.tasks.list(project=project.id, fields="task_only", include="id,updated_at", page_size=PAGE, query=query)
    return {str(task.id): task.updated_at.isoformat() for task in tasks}


def _export(client: Any, project: Project, ids: Sequence[str]) -> list[JsonObject]:
    query = {"additional_query_parameters": {"ids[]": list(ids)}}
    parts = client.projects.exports.download_sync(project.id, export_type="JSON", download_all_tasks=True, request_options=query)
    tasks: list[JsonObject] = json.loads(b"".join(parts))
    return tasks


def _kept(task: JsonObject, project: Project, emails: Mapping[int, str]) -> JsonObject:
    """What was said, by whom and when. What changes without anybody saying something is left out."""
    data = {name: value for name, value in task["data"].items() if name != "queue"}
    annotations = [_signed(annotation, emails) for annotation in sorted(task["annotations"], key=lambda annotation: annotation["id"])]
    return {"id": task["id"], "project": project.id, "url": project.task_url(task["id"]), "data": data, "annotations": annotations}


def _signed(annotation: JsonObject, emails: Mapping[int, str]) -> JsonObject:
    who = annotation["completed_by"]
    told = who["id"] if isinstance(who, dict) else who
    signed = {"id": None, "email": DELETED} if told is None else {"id": (number := int(told)), "email": emails.get(number)}
    return {name: annotation.get(name) for name in KEPT} | {"completed_by": signed}


def _keep(annotations_dir: Path, revisions_dir: Path, snapshots: Mapping[str, str], changes: Sequence[int]) -> Pulled:
    """A new revision where a snapshot is not that of the last one."""
    log_path = revisions_dir / "revisions.jsonl"
    known = _whole_lines(log_path)
    last: JsonObject = json.loads(known[-1]) if known else {"revision": 0, "files": {}}
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in snapshots.items()}
    new = {name: found for name, found in hashes.items() if last["files"].get(name) != found}
    for name in new:
        _write(revisions_dir / f"{Path(name).stem}-{hashes[name][:12]}.json", snapshots[name])
    exports = read_annotations(annotations_dir)
    revision = last["revision"] + bool(new)
    if new:
        record = {
            "revision": revision,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": last["files"] | hashes,
            "annotations": len(exports.annotations),
            "problems": len(exports.problems),
        }
        write_whole(log_path, "".join(f"{line}\n" for line in (*known, json.dumps(record))))
    added, changed, removed = changes
    return Pulled(revision, bool(new), new, 0, added, changed, removed, exports.problems)


def _whole_lines(path: Path) -> list[str]:
    """Without one that was cut where the disk was full."""
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
    return [line for line in lines[:-1] if line]


def _text(tasks: Sequence[JsonObject]) -> str:
    return json.dumps(tasks, indent=1, sort_keys=True, ensure_ascii=False)


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text)


def _read_json(path: Path, otherwise: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else otherwise


def _read_lines(path: Path) -> list[tuple[JsonObject, str]]:
    """What an interrupted pull had got; its last line may be cut."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            task, time = json.loads(line)
        except ValueError:
            break
        found.append((task, time))
    return found
