"""MLflow owns numbers and names: runs, curves, versions, who is champion and how that came about.

Default: sqlite:///mlflow.db and ./mlartifacts in the working directory; the same code talks to a server when MLFLOW_TRACKING_URI is set.
One experiment and one registered model per family. A version is a folder of plain files, no pickles; their sha256 are tags on it.

Promotions are append-only: each is one version of the registered model `promotions`, numbered by the store itself, so that two people
promoting at once end in one order. The record decides who is champion; the alias in MLflow follows it.
"""

import getpass
import hashlib
import http.client
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

from genga.errors import RegistryError
from genga.release import content_hash, file_hashes, locked

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
CHAMPION, CHALLENGER = "champion", "challenger"
PROMOTIONS = "promotions"
GATE = "gate"  # who promotes where no person does
SEND_SECONDS, RETRY_SECONDS = 2.0, 60.0  # metrics wait this long and are sent together; after a failure the next try waits longer
# unless the environment says otherwise
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # seconds, not minutes, for a server that went away
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True)
class Version:
    family: str
    number: str
    sha256: str
    files: dict[str, str]
    metrics: dict[str, float]
    facts: dict[str, str]
    run_id: str

    @property
    def protocol(self) -> dict[str, Any]:
        """How the metrics were measured; see genga/protocols.py."""
        return dict(json.loads(self.facts.get("protocol", "{}")))


@dataclass(frozen=True)
class Promotion:
    """One line of the record. `kind`: promote, rollback, or veto (which leaves the champion and keeps the gate from promoting `to`)."""

    number: int
    family: str
    kind: str
    was: str | None
    to: str
    who: str
    why: str
    when: str


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """{"model": {"arch": "dcgan"}} -> {"model.arch": "dcgan"}."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = str(value)
    return flat


def user() -> str:
    """Who runs this; in a container the uid may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # by the version of Python
        return f"uid {os.getuid()}"


@cache
def git_commit() -> str:
    """The commit of the working tree, `-dirty` when a tracked file other than dvc.lock differs from it; `unknown` outside git.

    As it was when this process first asked.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("-dirty" if _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()


def _provenance() -> dict[str, str]:
    lock_path = Path("dvc.lock")
    lock = hashlib.sha256(lock_path.read_bytes()).hexdigest() if lock_path.is_file() else "none"
    return {"git_commit": git_commit(), "dvc_lock": lock}


def _told(method: "Callable[Concatenate[Registry, P], T]") -> "Callable[Concatenate[Registry, P], T]":
    """What MLflow and its database raise, from the first opening on, leaves as a RegistryError of one sentence."""

    @wraps(method)
    def telling(self: "Registry", /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except _refusals() as error:
            raise RegistryError(f"MLflow at {self.uri} refused: {' '.join(str(error).split())[:300]}; mend that and run again") from error

    return telling


def _path_of(uri: str) -> Path:
    """Of `file:///...`, or of a path."""
    return Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri)


def _refusals() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, ImportError  # the last: a database without its driver


class TrackedRun:
    """One training's MLflow run. Once open it never stops the training: what cannot be sent is said, and metrics are kept and sent later."""

    def __init__(self, client: Any, run_id: str, last_step: int, begin: Callable[[], str]) -> None:
        """`begin`: makes another run of the same params and data, and says its id."""
        self._client, self._last_step, self._begin = client, last_step, begin
        self._tell(run_id)
        self._waiting: list[Any] = []
        self._next_send = time.monotonic() + SEND_SECONDS

    def _tell(self, run_id: str) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self.run_id = run_id
        self._has_ended = "weights_sha256" in self._client.get_run(run_id).data.tags  # before: it is entered once more
        self._system = SystemMetricsMonitor(run_id, tracking_uri=self._client.tracking_uri)  # read here, with the rest, not by a thread of its own

    def afresh(self) -> None:
        """The training starts at 0: what a killed one has told, with other code or labels perhaps, stays in a run of its own."""
        if self._last_step >= 0:
            self._try("a new run", self._change)

    def _change(self) -> None:
        before, had_ended = self.run_id, self._has_ended
        self._tell(self._begin())
        self._last_step = -1
        self._client.set_terminated(before, "FINISHED" if had_ended else "KILLED")

    def log(self, scalars: Mapping[str, float], cur_nimg: int) -> None:
        """The step is cur_nimg. Steps that this run has seen before it was killed are left out: they would be the same numbers."""
        from mlflow.entities import Metric

        if cur_nimg <= self._last_step:
            return
        now = int(time.time() * 1000)
        self._waiting += [Metric(name, float(value), now, cur_nimg) for name, value in scalars.items()]
        if time.monotonic() > self._next_send:
            sent = self._try("metrics", self._send)
            self._next_send = time.monotonic() + (SEND_SECONDS if sent else RETRY_SECONDS)

    def picture(self, path: Path) -> None:
        self._try(str(path), lambda: self._client.log_artifact(self.run_id, str(path), "samples"))

    def file(self, path: Path) -> None:
        self._try(str(path), lambda: self._client.log_artifact(self.run_id, str(path)))

    def finish(self, weights_dir: Path) -> None:
        """Keeps the card, and names the weights that came out of this run, so that `register` finds it. Call it after the weights are written. Where
        the training writes them once more from its last state, that is told here again."""
        self.file(weights_dir / "card.json")
        sha256 = file_hashes(weights_dir)["weights.safetensors"]
        self._try("the weights' sha256", lambda: self._client.set_tag(self.run_id, "weights_sha256", sha256))

    def _send(self) -> None:
        from mlflow.entities import Metric

        if self._waiting:
            self._system.collect_metrics()
            now, step = self._waiting[-1].timestamp, self._waiting[-1].step
            self._waiting += [Metric(f"system/{name}", float(value), now, step) for name, value in self._system.aggregate_metrics().items()]
        while self._waiting:
            self._client.log_batch(self.run_id, metrics=self._waiting[:1000])
            del self._waiting[:1000]

    def _end(self, status: str) -> None:
        self._try("the last metrics", self._send)
        self._try("the end of the run", lambda: self._client.set_terminated(self.run_id, "FINISHED" if self._has_ended else status))

    def _try(self, what: str, send: Callable[[], None]) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            send()
        except (MlflowException, OSError) as error:
            logger.warning("%s could not be sent to MLflow (%s); the training goes on, its numbers stand in stats.jsonl", what, error)
            return False
        return True


class Registry:
    """`Registry()` is the store of the working directory, or MLFLOW_TRACKING_URI. Nothing is opened before the first use."""

    def __init__(self, uri: str | None = None, root: Path = Path()) -> None:
        self._root = root.resolve()
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self._root / 'mlflow.db'}"
        for name, value in SETTINGS.items():  # before anything imports mlflow
            os.environ.setdefault(name, value)

    @cached_property
    def client(self) -> Any:
        if self.uri.startswith("http"):
            _answers(self.uri)
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints the traceback of what it raises
        if not self.uri.startswith("sqlite:///"):
            return MlflowClient(self.uri, self.uri)
        # MLflow makes the tables of a new database without a lock of its own: two first users at once break it
        with locked(Path(self.uri.removeprefix("sqlite:///") + ".lock")):
            return MlflowClient(self.uri, self.uri)

    # --- runs

    def _experiment_id(self, family: str) -> str:
        from mlflow.exceptions import MlflowException

        # a server knows where its artifacts go; beside a database we say it
        location = None if self.uri.startswith("http") else (self._root / "mlartifacts" / family).as_uri()
        try:
            return str(self.client.create_experiment(family, artifact_location=location))
        except MlflowException:  # it is there already, perhaps since a moment ago
            if (experiment := self.client.get_experiment_by_name(family)) is None:
                raise
        if experiment.lifecycle_stage != "active":
            raise RegistryError(f"the experiment {family} was deleted in MLflow at {self.uri}, expected an active one; restore it there")
        here, there = location, experiment.artifact_location
        if here and here != there and there.startswith("file:") and there.endswith(f"/mlartifacts/{family}"):
            self._follow(str(experiment.experiment_id), there, here)
        return str(experiment.experiment_id)

    def _follow(self, experiment_id: str, there: str, here: str) -> None:
        """The checkout has moved, or is a copy: what is written from now on goes here, and what came along is found here. MLflow itself has no way
        to say so."""
        if not self.uri.startswith("sqlite:///"):
            return
        with closing(sqlite3.connect(self.uri.removeprefix("sqlite:///"))) as database, database:
            database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (here, experiment_id))
            runs = database.execute("SELECT run_uuid, artifact_uri FROM runs WHERE experiment_id = ?", (experiment_id,)).fetchall()
            for run_id, uri in runs:
                moved = here + uri.removeprefix(there)
                if uri.startswith(f"{there}/") and (_path_of(moved).exists() or not _path_of(uri).exists()):
                    database.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (moved, run_id))

    def _new_run(self, family: str, tags: Mapping[str, str]) -> str:
        run = self.client.create_run(self._experiment_id(family), tags={"mlflow.user": user(), "family": family, **_provenance(), **tags})
        return str(run.info.run_id)

    @contextmanager
    def tracking(self, family: str, params: Mapping[str, Any], run_dir: Path, *, data_id: str) -> Iterator[TrackedRun]:
        """The MLflow run of one training. Entered again with the same params and data, after others perhaps, it goes on in the same run, and one
        that has ended writes its weights once more there."""
        flat = flatten(params)
        which = json.dumps([self.uri, flat, data_id], sort_keys=True)
        state_path = run_dir / f"mlflow_run-{hashlib.sha256(which.encode()).hexdigest()[:16]}"
        run = self._open_run(family, flat, data_id, state_path)
        status = "KILLED"
        try:
            yield run
            status = "FINISHED"
        finally:
            run._end(status)

    @_told
    def _open_run(self, family: str, params: dict[str, str], data_id: str, state_path: Path) -> TrackedRun:
        """The run that `state_path` names, or another, which it then names."""
        from mlflow.entities import Param

        def begin() -> str:
            run_id = self._new_run(family, {"data_id": data_id})
            entries = [Param(name, value[:6000]) for name, value in params.items()]
            for start in range(0, len(entries), 100):
                self.client.log_batch(run_id, params=entries[start : start + 100])
            state_path.parent.mkdir(parents=True, exist_ok=True)
            state_path.write_text(run_id, encoding="utf-8")
            return run_id

        run_id = self._unfinished(state_path) or begin()
        return TrackedRun(self.client, run_id, self._last_step(run_id), begin)

    def _unfinished(self, state_path: Path) -> str | None:
        from mlflow.exceptions import MlflowException

        try:
            run_id = state_path.read_text(encoding="utf-8")
            self.client.update_run(run_id, status="RUNNING")
        except (FileNotFoundError, ValueError, MlflowException):  # nothing to go on with: never begun, cut short, or deleted in MLflow
            return None
        return run_id

    def _last_step(self, run_id: str) -> int:
        names = self.client.get_run(run_id).data.metrics
        return max((metric.step for name in names for metric in self.client.get_metric_history(run_id, name)), default=-1)

    @_told
    def runs(self, family: str, limit: int = 50) -> list[dict[str, Any]]:
        """The family's newest runs: id, status, started, params, metrics, tags."""
        found = self.client.search_runs([self._experiment_id(family)], max_results=limit, order_by=["attributes.start_time DESC"])
        return [
            {
                "id": run.info.run_id,
                "status": run.info.status,
                "started": _iso(run.info.start_time),
                "params": dict(run.data.params),
                "metrics": dict(run.data.metrics),
                "tags": {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")},
            }
            for run in found
        ]

    # --- versions

    @_told
    def register(self, family: str, model_dir: Path, metrics: Mapping[str, float], facts: Mapping[str, str]) -> Version:
        """The folder as a version, the alias `challenger` on it. The same content is registered once; its metrics are kept up to date.

        `facts` become tags of the version and of its run: data id, label revision ...
        """
        files = file_hashes(model_dir)
        sha256 = content_hash(files)
        told = {**facts, "metrics": json.dumps(dict(metrics), sort_keys=True)}
        version = self._by_hash(family, sha256)
        if version is None:
            version = self._add_version(family, model_dir, {**told, "sha256": sha256, "files": json.dumps(files, sort_keys=True)})
            self._tell_run(version.run_id, metrics, facts)
        elif dict(metrics) != version.metrics or not facts.items() <= version.facts.items():
            for name, value in told.items():
                self.client.set_model_version_tag(family, version.number, name, value)
            self._tell_run(version.run_id, metrics, facts)
        challenger = self.challenger(family)
        if challenger is None or challenger.number != version.number:
            self.client.set_registered_model_alias(family, CHALLENGER, version.number)
        return self.version(family, version.number)

    def _model(self, family: str) -> None:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # it is there already; if not, the next call says so
            self.client.create_registered_model(family)

    def _by_hash(self, family: str, sha256: str) -> Version | None:
        found = self.client.search_model_versions(f"name = '{family}' and tags.sha256 = '{sha256}'", order_by=["version_number DESC"], max_results=1)
        return _version(found[0]) if found else None

    def _add_version(self, family: str, model_dir: Path, tags: dict[str, str]) -> Version:
        self._model(family)
        weights_path = model_dir / "weights.safetensors"
        run_id = self._run_of(family, hashlib.sha256(weights_path.read_bytes()).hexdigest()) if weights_path.is_file() else None
        if run_id is None:  # trained elsewhere, or not trained at all
            run_id = self._new_run(family, {})
            self.client.set_terminated(run_id)
        folder = _artifact_folder(tags["sha256"])
        self.client.log_artifacts(run_id, str(model_dir), folder)
        commit = self.client.get_run(run_id).data.tags["git_commit"]
        return _version(self.client.create_model_version(family, f"runs:/{run_id}/{folder}", run_id, tags={**tags, "git_commit": commit}))

    def _run_of(self, family: str, weights_sha256: str) -> str | None:
        """The training that these weights came from."""
        found = self.client.search_runs([self._experiment_id(family)], f"tags.weights_sha256 = '{weights_sha256}'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def _tell_run(self, run_id: str, metrics: Mapping[str, float], facts: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        scores = [Metric(f"test/{name}", float(value), now, 0) for name, value in metrics.items()]
        self.client.log_batch(run_id, metrics=scores, tags=[RunTag(name, value) for name, value in facts.items()])

    @_told
    def families(self) -> list[str]:
        found = _all_pages(self.client.search_registered_models, "", order_by=["name ASC"])
        return sorted(model.name for model in found if model.name != PROMOTIONS)

    @_told
    def versions(self, family: str) -> list[Version]:
        """Oldest first."""
        found = _all_pages(self.client.search_model_versions, f"name = '{family}'", order_by=["version_number ASC"])
        return [_version(found_version) for found_version in found]

    def _check_family(self, family: str) -> None:
        if family not in (known := self.families()):
            raise RegistryError(f"no family {family!r} is registered, families are {', '.join(known) or 'none'}; choose one or run `genga repro`")

    @_told
    def version(self, family: str, number: str) -> Version:
        from mlflow.exceptions import MlflowException

        try:
            return _version(self.client.get_model_version(family, number))
        except MlflowException as error:
            known = ", ".join(version.number for version in self.versions(family))
            families = ", ".join(self.families()) or "none"
            way_out = "choose one of those, or register one with `dvc repro register`" if known else f"families are {families}"
            raise RegistryError(f"{family} has no version {number}, it has {known or 'none'}; {way_out}") from error

    def champion(self, family: str) -> Version | None:
        """Who is champion by the record. An alias moved by hand in MLflow does not count: nobody signed for it."""
        number = self._champion_number(family)
        return self.version(family, number) if number else None

    @_told
    def challenger(self, family: str) -> Version | None:
        """The version registered last."""
        from mlflow.exceptions import MlflowException

        try:
            return _version(self.client.get_model_version_by_alias(family, CHALLENGER))
        except MlflowException:
            return None

    @_told
    def version_dir(self, family: str, number: str) -> Path:
        """The version's folder on this machine, every sha256 checked. Read it, never write into it."""
        version = self.version(family, number)
        folder = _artifact_folder(version.sha256)
        artifact_uri = self.client.get_run(version.run_id).info.artifact_uri
        if artifact_uri.startswith(("file:", "/")):
            model_dir = _path_of(artifact_uri) / folder
            if not model_dir.is_dir():  # the store says where it lay when it was made; the checkout may have moved since
                model_dir = self._root / "mlartifacts" / family / version.run_id / "artifacts" / folder
        else:
            model_dir = self._downloaded(version, folder)
        if not model_dir.is_dir() or file_hashes(model_dir) != version.files:
            raise RegistryError(
                f"the files of {family} version {number} in {model_dir} are missing or not those that were registered; "
                "promote another version, or restore that folder"
            )
        return model_dir

    def _downloaded(self, version: Version, folder: str) -> Path:
        model_dir = self._root / "mlartifacts" / "downloaded" / version.sha256
        if not model_dir.is_dir():
            partial_dir = model_dir.with_name(f"{version.sha256}.{os.getpid()}")
            partial_dir.mkdir(parents=True, exist_ok=True)  # one that was killed had this number before
            self.client.download_artifacts(version.run_id, folder, str(partial_dir))
            with suppress(OSError):  # another process was faster
                (partial_dir / folder).rename(model_dir)
            shutil.rmtree(partial_dir)
        return model_dir

    # --- champions

    def promote(self, family: str, number: str, who: str, why: str) -> Promotion:
        """The version becomes champion. A champion promoted again leaves no second line; its alias is set where it was not."""
        self.version(family, number)
        record = [line for line in self.history(family) if line.kind != "veto"]
        if _reigns(record)[-1:] == [number]:
            self._settle_alias(family)
            return record[-1]
        return self._write(family, "promote", number, who, why)

    def rollback(self, family: str, who: str, why: str) -> Promotion:
        """Back to the champion before, by the record; once more goes back one further."""
        return self._write(family, "rollback", self.before_champion(family), who, why)

    def before_champion(self, family: str) -> str:
        """The version that a rollback goes back to."""
        reigns = _reigns(self.history(family))
        if len(reigns) < 2:
            if not reigns:
                self._check_family(family)
            raise RegistryError(f"{family} has no champion before {reigns[0] if reigns else 'the first one'}; name a version with `genga promote`")
        return self.version(family, reigns[-2]).number

    def veto(self, family: str, number: str, who: str, why: str) -> Promotion:
        """The gate will not promote this version; a person still can, and that lifts the veto."""
        self.version(family, number)
        if number == self._champion_number(family):
            raise RegistryError(
                f'{family} version {number} is the champion, expected one that is not; take it back with `genga rollback {family} --why "..."`'
            )
        return self._write(family, "veto", number, who, why)

    def vetoed(self, family: str) -> dict[str, Promotion]:
        """Versions that people turned down, with the line that says so: vetoed, rolled back from, or left for an older one.

        A person's promotion lifts that; a rollback to the version does too, but for a veto. The gate lifts nothing.
        """
        turned_down: dict[str, Promotion] = {}
        for entry in self.history(family):
            if entry.kind == "veto":
                turned_down[entry.to] = entry
                continue
            line = turned_down.get(entry.to)
            if line and entry.who != GATE and (entry.kind == "promote" or line.kind != "veto"):
                del turned_down[entry.to]
            if entry.was and (entry.kind == "rollback" or (entry.who != GATE and int(entry.to) < int(entry.was))):
                turned_down[entry.was] = entry
        return turned_down

    @_told
    def history(self, family: str | None = None) -> list[Promotion]:
        """The record, oldest first: of one family, or of all."""
        query = f"name = '{PROMOTIONS}'" + (f" and tags.family = '{family}'" if family else "")
        champions: dict[str, str] = {}
        record = []
        for line in _all_pages(self.client.search_model_versions, query, order_by=["version_number ASC"]):
            tags = line.tags
            # who was champion before follows from the order, which the store gave
            was = champions.get(tags["family"])
            record.append(
                Promotion(int(line.version), tags["family"], tags["kind"], was, tags["to"], tags["who"], tags["why"], _iso(line.creation_timestamp))
            )
            if tags["kind"] != "veto":
                champions[tags["family"]] = tags["to"]
        return record

    def _champion_number(self, family: str) -> str | None:
        reigns = _reigns(self.history(family))
        return reigns[-1] if reigns else None

    @_told
    def _write(self, family: str, kind: str, number: str, who: str, why: str) -> Promotion:
        self._model(PROMOTIONS)
        tags = {"family": family, "kind": kind, "to": number, "who": who, "why": why or "no reason given"}
        line = self.client.create_model_version(
            PROMOTIONS, f"models:/{family}/{number}", tags=tags, description=f"{family}: {kind} version {number} by {who}: {tags['why']}"
        )
        if kind != "veto":
            try:
                self._settle_alias(family)
            except RegistryError as error:
                raise RegistryError(
                    f"{family}: {kind} to version {number} is recorded and counts, but its alias could not be set ({error}); "
                    f"do not say it again, say `genga promote {family} {number} --why deployed`, which adds nothing to the record and sets it"
                ) from error
        return next(entry for entry in self.history(family) if entry.number == int(line.version))

    @_told
    def _settle_alias(self, family: str) -> None:
        """Looks again after every change, so that of two at once the last to write leaves the alias where the record says."""
        from mlflow.exceptions import MlflowException

        alias, refusals = None, 0
        while alias != (number := self._champion_number(family)):
            try:
                self.client.set_registered_model_alias(family, CHAMPION, number)
                alias = number
            except MlflowException:  # two writing one alias at once: the store turns one away
                refusals += 1
                if refusals == 5:
                    raise


def _reigns(record: list[Promotion]) -> list[str]:
    """The champions that a rollback can walk back through, the present one last."""
    reigns: list[str] = []
    for entry in record:
        if entry.kind == "promote" and reigns[-1:] != [entry.to]:
            reigns.append(entry.to)
        elif entry.kind == "rollback":
            while reigns and reigns[-1] != entry.to:
                reigns.pop()
    return reigns


def _answers(uri: str) -> None:
    """MLflow's client tries for minutes; a server that is not there should be said at once."""
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()
    except urllib.error.HTTPError:  # it answers; what it minds, its client will say
        return
    except (OSError, ValueError, http.client.HTTPException) as error:  # the latter two: an address that is none
        raise RegistryError(f"no MLflow server answers at {uri} ({error}); start it, or unset MLFLOW_TRACKING_URI to use the local store") from error


def _all_pages(search: Callable[..., Any], query: str, order_by: list[str]) -> list[Any]:
    found, token = [], None
    while True:
        page = search(query, order_by=order_by, max_results=1000, page_token=token)
        found += list(page)
        token = page.token
        if not token:
            return found


def _version(found: Any) -> Version:
    facts = {name: value for name, value in found.tags.items() if name not in ("sha256", "files", "metrics")}
    files, metrics = (json.loads(found.tags.get(name, "{}")) for name in ("files", "metrics"))
    return Version(found.name, str(found.version), found.tags.get("sha256", ""), files, metrics, facts, found.run_id)


def _artifact_folder(sha256: str) -> str:
    """One run may hold several versions: the same weights with other sliders."""
    return f"version-{sha256[:12]}"


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
