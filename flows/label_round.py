"""A label round: queue -> push -> wait until enough is labeled or the deadline has come -> pull -> the graph, with its gate.

    prefect deployment run label-round/label-round -p count=100 -p enough=80 -p hours=48
    python -m flows.label_round 100 80 48              the same without a server

What a round has done stands in `.label-studio/round.json`, so it outlives the worker and the server: whoever runs the flow next goes on where
it stopped; the deployment `label-round-goes-on` does so every ten minutes. One process at a time works on a round.
The reminder is an artifact of the flow run and a run in MLflow (experiment `labeling`): labeled, left, agreement.
"""

import argparse
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import ParameterTypeError
from pydantic import Field

from flows.graph import ANNOTATIONS, NETWORK_DELAY_S, NETWORK_RETRIES, run_graph, stages_up_to
from flows.turns import our_turn
from genga.door import run
from genga.errors import GengaError
from genga.params import load_params
from genga.registry import Registry
from genga.whole import write_whole
from labeling.account import HOME, Home, LabelStudioError, connect
from labeling.agreement import compare
from labeling.exports import read_annotations
from labeling.progress import Progress, Queues, newest_queues, progress_of
from labeling.projects import KINDS
from labeling.pull import pull

ARTIFACT, EXPERIMENT = "label-round", "labeling"


@dataclass(frozen=True)
class Round:
    """`started` and `deadline` in seconds since 1970, the hours that people get counted from when the queue stands; `queues` once it stands in Label
    Studio; `waited`, `pulled`: that much is done, and then the graph runs."""

    count: int
    enough: int
    started: float
    deadline: float
    only: str | None
    target: str
    queues: Queues | None = None
    waited: bool = False
    pulled: bool = False

    @property
    def name(self) -> str:
        return time.strftime("%Y-%m-%d-%H%M%S", time.gmtime(self.started))


def round_path(home: Home) -> Path:
    return home.dir / "round.json"


def give_up_path(home: Home) -> Path:
    """Is there where somebody wants to end the round that another process works on."""
    return home.dir / "give-up"


def read_round(home: Home) -> Round | None:
    """The round that is open."""
    path = round_path(home)
    if not path.is_file():
        return None
    try:
        return Round(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise LabelStudioError(f"{path} is no round that was begun here ({error}); take that file away, the next round begins anew") from error


def keep(home: Home, now: Round) -> Round:
    round_path(home).parent.mkdir(parents=True, exist_ok=True)
    write_whole(round_path(home), json.dumps(asdict(now), indent=1))
    return now


@contextmanager
def alone(home: Home) -> Iterator[bool]:
    """Whether nobody else works on the round; the lock goes with the process, however that ends."""
    home.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home.dir / "round.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@task(retries=NETWORK_RETRIES, retry_delay_seconds=NETWORK_DELAY_S)
def queue_and_push(count: int, only: str | None) -> Queues:
    """Those that are new. Through the command line: the order needs the deployed models, which flows do not import."""
    before = newest_queues(Home(HOME))
    command = [sys.executable, "-m", "cli.main", "label", "queue", str(count), *(["--only", only] if only else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    get_run_logger().info(done.stdout.strip())
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"its command ended with exit code {done.returncode} and no word; run it again"]
        raise GengaError(f"the queue was not written: {said[-1]}")
    return {kind: number for kind, number in newest_queues(Home(HOME)).items() if number > before.get(kind, 0)}


@task(retries=NETWORK_RETRIES, retry_delay_seconds=NETWORK_DELAY_S)
def look(queues: Queues) -> Progress:
    return progress_of(Home(HOME), queues, load_params().label_studio)


@task(retries=NETWORK_RETRIES, retry_delay_seconds=NETWORK_DELAY_S)
def take(annotations_dir: Path) -> int:
    """The label revision. No stage reads labels meanwhile."""
    with our_turn(get_run_logger().info):
        pulled = pull(annotations_dir, Home(HOME))
    for problem in pulled.problems:
        get_run_logger().warning("kept out: %s  %s", problem.task, problem.reason)
    return pulled.revision


@task
def remind(now: Round, progress: Progress, agreement: dict[str, float]) -> None:
    """The same numbers for people in Prefect and in MLflow, as one run for the whole round."""
    numbers = {"labeled": float(progress.labeled), "left": float(progress.left), **agreement}
    hours = max(0.0, (now.deadline - time.time()) / 3600)
    rows = "\n".join(f"| {name} | {value:g} |" for name, value in numbers.items())
    text = f"# Label round {now.name}\n\n| | |\n|---|---|\n{rows}\n\n{now.enough} are enough; {hours:.1f} hours until the deadline."
    create_markdown_artifact(key=ARTIFACT, markdown=text, description="How far the label round is")
    params = {"count": now.count, "enough": now.enough, "only": now.only or "both"}
    with Registry().tracking(EXPERIMENT, params, Home(HOME).dir / "rounds" / now.name, data_id=now.name) as run:
        run.log(numbers, int(time.time() - now.started))


def bury_the_dead() -> None:
    """Who holds the lock is the only one alive: other runs of this flow that Prefect believes running were killed."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
    from prefect.runtime import flow_run
    from prefect.states import Crashed

    running = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING"]}}})
    ours = FlowFilter.model_validate({"name": {"any_": ["label-round"]}})
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_filter=ours, flow_run_filter=running):
            if str(run.id) != flow_run.id:
                client.set_flow_run_state(run.id, Crashed(message="its process went away; a later run goes on with the round"), force=True)


def agreement_so_far() -> dict[str, float]:
    """Means over tags of Cohen's kappa, over poses of OKS, as far as the last pull knows."""
    found = compare(read_annotations(ANNOTATIONS).annotations, load_params().labels).scores
    kappas = [row["kappa"] for name, row in found.items() if name not in ("pose", "hidden")]
    tags = {"kappa": sum(kappas) / len(kappas)} if kappas else {}
    return tags | ({"oks": found["pose"]["oks"]} if "pose" in found else {})


@flow(name="label-round")
def label_round(
    count: Annotated[int, Field(ge=1)] | None = None,
    enough: Annotated[int, Field(ge=1)] | None = None,
    hours: Annotated[float, Field(gt=0)] = 48.0,
    only: Literal["poses", "tags"] | None = None,
    target: str = "deploy",
    poll_seconds: float = 60.0,
    give_up: bool = False,
) -> None:
    """A new round of `count` pictures of each kind (or of `only` poses or tags), or, without `count`, the one that is open. `enough`: how many
    labeled ones, each by label_studio.annotators_per_task people, end the wait, all where it is not said. Then the graph runs up to
    `target`; its gate decides what is deployed. With `give_up` an open round ends, or, where another process works on it, with that one's next
    look, unless its graph already runs; what was answered stays."""
    home, log = Home(HOME), get_run_logger()
    with alone(home) as free:
        if not free:
            told, now = "", read_round(home)
            if give_up and now and now.pulled:
                told = ", whose graph already runs: it ends with that"
            elif give_up:
                give_up_path(home).touch()
                told = ", which ends it when it looks next"
            log.info("another process works on the label round%s", told)
            return
        bury_the_dead()
        now = read_round(home)
        if now and give_up:
            _put_away(home, now, "-given-up")
            now = None
        if now is None and count is None:
            log.info("no label round is open; start one with count=N")
            return
        if now is None:
            assert count is not None
            stages_up_to(target)  # one that is none is said now, and not after the wait
            connect(home)  # so is a Label Studio that was never started here, or has no key
            give_up_path(home).unlink(missing_ok=True)  # meant for an earlier one
            started = time.time()
            now = keep(home, Round(count, enough or count * (1 if only else len(KINDS)), started, started + 3600 * hours, only, target))
        else:
            log.info("going on with the label round %s of %d; run with give_up=true to end it", now.name, now.count)
        _go_on(home, now, poll_seconds)


def _go_on(home: Home, now: Round, poll_seconds: float) -> None:
    if now.queues is None:
        queues = queue_and_push(now.count, now.only)
        now = keep(home, replace(now, queues=queues, deadline=now.deadline + time.time() - now.started))
    assert now.queues is not None
    if not now.waited:
        _wait(home, now, now.queues, poll_seconds)
        now = keep(home, replace(now, waited=True))
    if not now.pulled and not give_up_path(home).is_file():
        get_run_logger().info("label revision %d", take(ANNOTATIONS))
        now = keep(home, replace(now, pulled=True))
    if give_up_path(home).is_file():
        _put_away(home, now, "-given-up")
        return
    run_graph(now.target)
    _put_away(home, now)


def _put_away(home: Home, now: Round, ending: str = "") -> None:
    rounds_dir = home.dir / "rounds"
    rounds_dir.mkdir(exist_ok=True)
    give_up_path(home).unlink(missing_ok=True)
    round_path(home).rename(rounds_dir / f"{now.name}{ending}.json")


def _wait(home: Home, now: Round, queues: Queues, poll_seconds: float) -> None:
    """Until enough is labeled, the deadline has come or somebody gave the round up."""
    shown = None
    while not give_up_path(home).is_file():
        progress = look(queues)
        if progress != shown:
            take(ANNOTATIONS)
            remind(now, progress, agreement_so_far())
            shown = progress
        if progress.labeled >= now.enough or not progress.left or time.time() >= now.deadline:
            return
        time.sleep(min(poll_seconds, max(0.0, now.deadline - time.time())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?")
    parser.add_argument("enough", type=int, nargs="?")
    parser.add_argument("hours", type=float, nargs="?", default=48.0)
    args = parser.parse_args()
    try:
        label_round(args.count, args.enough, args.hours)
    except ParameterTypeError as error:
        raise GengaError(f"{' '.join(str(error).split())}; correct that and run again") from error


if __name__ == "__main__":
    run(main)
