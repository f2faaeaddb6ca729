"""Prefect for real: a flow without a server, then a server, a worker, the deployments of prefect.yaml, and one run to its end."""

import importlib
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from prefect.exceptions import ParameterTypeError
from prefect.logging import disable_run_logger
from prefect.settings import Settings

import flows
from bench.real_poses import with_profiles
from cli.repro import repro
from flows import graph, label_round
from flows.turns import our_turn
from genga.errors import GengaError, ParamsError
from genga.params import LabelStudioParams, parse_params
from labeling import progress
from labeling.account import Home, LabelStudioError
from labeling.formats import Labeled, to_label_studio
from labeling.progress import Progress
from labeling.projects import KINDS, Project
from labeling.push import Present

Shell = Callable[..., subprocess.CompletedProcess[str]]
REPO = Path(__file__).parents[2]
PREFECT = (sys.executable, "-m", "prefect")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.5)


def end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def prefect_environment(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment | prefect_in(tmp_path_factory.mktemp("prefect"))


def prefect_in(home: Path) -> dict[str, str]:
    """A Prefect of its own, whose worker looks for runs every second."""
    return {"PREFECT_HOME": str(home), "PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_LOGGING_LEVEL": "INFO"}


@contextmanager
def prefect_server(environment: dict[str, str], port: int) -> Iterator[None]:
    """A Prefect server of our own, once it answers."""
    command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/api/health").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_for(answers, "the Prefect server's answer")
        yield
    finally:
        end(process)


@pytest.fixture(scope="module")
def server(prefect_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment of a Prefect server's clients."""
    port = free_port()
    with prefect_server(prefect_environment, port):
        yield prefect_environment | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}


def api(server: dict[str, str], path: str, **query: object) -> list[dict[str, object]]:
    found = httpx.post(f"{server['PREFECT_API_URL']}/{path}/filter", json=query, timeout=30).raise_for_status().json()
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def pool(server: dict[str, str], shell: Shell) -> None:
    shell(*PREFECT, "work-pool", "create", "genga", "--type", "process", cwd=Path(), **server)


STAGES = "stages:\n  later:\n    cmd: cat first > later\n    deps: [first]\n    outs: [later]\n  start:\n    cmd: echo 7 > first\n    outs: [first]\n"


@pytest.fixture(scope="module")
def two_stages(fresh_project: Callable[[str], Path]) -> Path:
    project = fresh_project("flow")
    (project / "dvc.yaml").write_text(STAGES)
    return project


@pytest.mark.parametrize(("own", "seconds"), [(None, 120), ("7", 7)])
def test_a_flow_without_a_server_waits_two_minutes_for_prefect_s_start_or_as_long_as_one_says(
    monkeypatch: pytest.MonkeyPatch, own: str | None, seconds: int
) -> None:
    monkeypatch.setenv(name := "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", own or "")
    if own is None:
        monkeypatch.delenv(name)
    importlib.reload(flows)
    assert Settings().server.ephemeral.startup_timeout_seconds == seconds


def test_the_flow_runs_stages_in_order_without_a_server(two_stages: Path, shell: Shell, prefect_environment: dict[str, str]) -> None:
    result = shell(sys.executable, "-m", "flows.graph", cwd=two_stages, **prefect_environment)
    assert (two_stages / "later").read_text() == "7\n"
    assert result.stderr.index("start") < result.stderr.index("later")


def test_the_flow_stops_at_a_failing_stage(two_stages: Path, shell: Shell, server: dict[str, str]) -> None:
    (two_stages / "dvc.yaml").write_text(STAGES.replace("cat first", "cat missing"))
    failed = shell(sys.executable, "-m", "flows.graph", cwd=two_stages, check=False, **server)
    assert failed.returncode != 0
    assert "stage later failed" in failed.stderr


@pytest.mark.usefixtures("pool")
def test_deploy_at_a_terminal_asks_nothing_and_workers_run_in_the_project_s_folder(two_stages: Path, server: dict[str, str]) -> None:
    command, said = [*PREFECT, "deploy", "--all"], b""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=two_stages, env=server, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        with suppress(OSError):  # which a terminal that nobody holds any more is read with
            while b"[y/n]" not in said and (some := os.read(ours, 4096)):
                said += some
        os.close(ours)
        assert b"[y/n]" not in said, said[-500:].decode()
        assert process.wait(30) == 0
    pulls = {str(deployment["name"]): deployment["pull_steps"] for deployment in api(server, "deployments")}
    assert len(pulls) == 5 and all(
        pull == [{"prefect.deployments.steps.set_working_directory": {"directory": str(two_stages)}}] for pull in pulls.values()
    )


@pytest.mark.usefixtures("pool")
def test_deployments_are_scheduled_and_one_runs_to_its_end(finished: Path, shell: Shell, server: dict[str, str]) -> None:
    shell(*PREFECT, "--no-prompt", "deploy", "--all", cwd=finished, **server)
    deployments = {str(deployment["name"]): deployment for deployment in api(server, "deployments")}
    assert set(deployments) == {"nightly", "weekly-import", "hourly-labels", "label-round", "label-round-goes-on"}

    def scheduled() -> bool:
        runs = api(server, "flow_runs", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}})
        return {run["deployment_id"] for run in runs} == {deployment["id"] for name, deployment in deployments.items() if name != "label-round"}

    wait_for(scheduled, "a scheduled run of every deployment")

    worker = subprocess.Popen(
        [*PREFECT, "worker", "start", "--pool", "genga", "--type", "process"],
        cwd=finished, env=server, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        created = httpx.post(
            f"{server['PREFECT_API_URL']}/deployments/{deployments['nightly']['id']}/create_flow_run", json={"parameters": {"target": "labels"}}
        )
        run_id = created.raise_for_status().json()["id"]

        def state() -> str:
            return str(httpx.get(f"{server['PREFECT_API_URL']}/flow_runs/{run_id}").json()["state"]["type"])

        wait_for(lambda: state() in ("COMPLETED", "FAILED", "CRASHED"), "the run's end", 120)
        assert state() == "COMPLETED"
    finally:
        end(worker)
    tasks = api(server, "task_runs", flow_runs={"id": {"any_": [run_id]}})
    assert sorted(str(task["name"]) for task in tasks) == ["draw_faces", "import_faces", "labels"]
    status = json.loads(shell(sys.executable, "-m", "dvc", "status", "--json", "labels", cwd=finished).stdout)
    assert status == {}


def test_flows_on_one_working_tree_wait_for_each_other_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    begun, said = threading.Event(), list[str]()
    monkeypatch.setattr(graph, "get_run_logger", lambda: SimpleNamespace(info=said.append))
    monkeypatch.setattr(graph, "stages_up_to", lambda _: begun.set() or [])
    second = threading.Thread(target=graph.run_graph.fn)
    with our_turn(said.append):
        assert said == []
        second.start()
        assert not begun.wait(0.5)
        assert said == ["waiting for another command or flow that runs the graph or pulls labels in this folder"]
    assert begun.wait(10)
    second.join()


def test_of_runs_with_one_job_only_one_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    ran, said = list[object](), list[str]()
    monkeypatch.setattr(graph, "get_run_logger", lambda: SimpleNamespace(info=said.append))
    monkeypatch.setattr(graph, "stages_up_to", lambda target: ran.append(target) or [])
    monkeypatch.setattr(graph, "pull", lambda *_: ran.append("pull") or SimpleNamespace())
    monkeypatch.setattr(graph, "is_known", lambda _: True)
    monkeypatch.setattr(graph, "run_graph", graph.run_graph.fn)
    monkeypatch.setattr(graph, "pull_annotations", graph.pull_annotations.fn)
    again = [graph.pull_and_merge.fn, partial(graph.run_graph, None, "nightly")]
    waiting = [threading.Thread(target=target) for target in (*again, graph.run_graph)]
    with our_turn(pytest.fail):
        for thread in waiting:
            thread.start()
        wait_for(lambda: len(said) == 3, "the wait")
        for other in again:
            other()
        assert said[3:] == [f"another run of {job} waits for its turn already, so this one ends" for job in ("hourly-labels", "nightly")]
        assert ran == []
    for thread in waiting:
        thread.join(10)
    assert sorted(map(str, ran)) == ["None", "None", "labels", "pull"]


def test_who_waited_and_was_killed_makes_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = list[str]()

    def wait() -> None:
        with our_turn(said.append, "nightly"):
            pass

    command = [sys.executable, "-c", "from flows.turns import our_turn\nwith our_turn(lambda _: print(flush=True), 'nightly'): pass"]
    with our_turn(pytest.fail):
        with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(REPO)}, stdout=subprocess.PIPE) as killed:
            assert killed.stdout is not None and killed.stdout.readline()
            with our_turn(said.append, "nightly") as ours:
                assert not ours
            killed.kill()
        second = threading.Thread(target=wait)
        second.start()
        wait_for(lambda: len(said) == 2, "the second's wait")
    assert "ends" in said[0] and said[1].startswith("waiting for another")
    second.join(10)


@pytest.mark.parametrize(("profile", "retried"), [("laptop", set()), ("crypko", {"import_faces"}), ("whole-pictures", {"prepare_faces"})])
def test_only_stages_that_fetch_are_tried_again(profile: str, retried: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    params, found = parse_params(with_profiles(profile), profile), dict[str, int]()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(graph, "load_params", lambda: params)
    monkeypatch.setattr(graph, "get_run_logger", lambda: SimpleNamespace(info=pytest.fail))
    monkeypatch.setattr(graph, "stages_up_to", lambda _: ["import_faces", "prepare_faces", "train_tagger"])

    class Stand:
        def __init__(self, retries: int = 0) -> None:
            self.retries = retries

        def with_options(self, retries: int, **_: object) -> "Stand":
            return Stand(retries)

        def __call__(self, stage: str) -> None:
            found[stage] = self.retries

    monkeypatch.setattr(graph, "run_stage", Stand())
    graph.run_graph.fn()
    assert {stage for stage, retries in found.items() if retries} == retried and len(found) == 3


def test_a_tag_that_is_none_stops_the_flow_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path("params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(re.sub(r"(transfer_tag:\n(?:  .*\n)*?  tag: )\S+", r"\1glases", text))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError, match=r"transfer_tag\.tag is 'glases', expected one of"):
        graph.run_graph.fn()


def test_stages_run_in_this_python_where_path_knows_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\ncommand -v python || :\n")  # in DVC's place
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(graph, "get_run_logger", lambda: SimpleNamespace(info=print))
    for start in (lambda: repro([]), lambda: graph.run_stage.fn("draw_faces")):
        start()
        assert f"{python}\n" in capsys.readouterr().out


def test_labels_are_not_pulled_while_the_graph_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pulled: list[str] = []
    for flow in (graph, label_round):
        monkeypatch.setattr(flow, "pull", lambda *_, name=flow.__name__: pulled.append(name) or SimpleNamespace(files={}, problems=[], revision=3))
        monkeypatch.setattr(flow, "get_run_logger", lambda: SimpleNamespace(info=print))
    threads = [threading.Thread(target=graph.pull_annotations.fn), threading.Thread(target=label_round.take.fn, args=(Path("annotations"),))]
    with our_turn(print):
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        assert pulled == []
    for thread in threads:
        thread.join(10)
    assert sorted(pulled) == ["flows.graph", "flows.label_round"]


def test_corrections_reach_the_labels_where_label_studio_does_not_answer_and_then_the_flow_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def pull() -> None:
        raise LabelStudioError("Label Studio does not answer")

    merged: list[tuple[str, str]] = []
    monkeypatch.setattr(graph, "is_known", lambda _: True)
    monkeypatch.setattr(graph, "pull_annotations", pull)
    monkeypatch.setattr(graph, "run_graph", lambda *words: merged.append(words))
    with pytest.raises(LabelStudioError, match="does not answer"):
        graph.pull_and_merge.fn()
    assert merged == [("labels", "hourly-labels")]
    monkeypatch.setattr(graph, "pull_annotations", lambda: True)
    graph.pull_and_merge.fn()
    assert merged == [("labels", "hourly-labels")] * 2


def test_the_graph_by_hand_has_help_and_takes_the_stage_up_to_which_it_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(graph, "run_graph", asked.append)
    for words in ([], ["labels"]):
        monkeypatch.setattr(sys, "argv", ["graph", *words])
        graph.main()
    monkeypatch.setattr(sys, "argv", ["graph", "--help"])
    with pytest.raises(SystemExit) as ended:
        graph.main()
    assert ended.value.code == 0 and "only up to this stage" in capsys.readouterr().out
    assert asked == [None, "labels"]


def test_prefect_yaml_says_in_order_what_an_operator_does_with_it() -> None:
    header = Path("prefect.yaml").read_text().partition("name:")[0]
    commands = ("prefect config set", "prefect work-pool create genga --type process", "prefect deploy --all", "prefect worker start --pool genga")
    places = [header.find(command) for command in commands]
    assert -1 not in places and places == sorted(places)


def test_a_flow_that_is_told_to_stop_takes_its_stage_with_it(fresh_project: Callable[[str], Path], server: dict[str, str]) -> None:
    project = fresh_project("stopped")
    (project / "dvc.yaml").write_text("stages: {slow: {cmd: echo $$ > pid && exec sleep 90}}")
    command = [sys.executable, "-m", "flows.graph"]
    with subprocess.Popen(command, cwd=project, env=server, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        wait_for(lambda: (project / "pid").is_file() and (project / "pid").read_text().strip() != "", "the stage's start")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((project / "pid").read_text()), 0)


def test_a_label_round_with_a_wrong_value_is_refused_and_none_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_round, "HOME", tmp_path)
    monkeypatch.setattr(label_round, "bury_the_dead", lambda: None)
    with disable_run_logger():
        for wrong in ({"count": 0}, {"only": "pose"}, {"hours": -1}):
            with pytest.raises(ParameterTypeError):
                label_round.label_round.validate_parameters({"count": 5} | wrong)
        with pytest.raises(GengaError, match=r"no stage 'deply' in dvc.yaml"):
            label_round.label_round.fn(count=5, target="deply")
        with pytest.raises(LabelStudioError, match="no Label Studio is known here"):
            label_round.label_round.fn(count=5)
    assert label_round.read_round(Home(tmp_path)) is None


def queued(queue: int, answers: int) -> Present:
    return Present(1, {"queue": f"{queue}-0001"}, answers, frozenset())


def asking(people: int) -> LabelStudioParams:
    return LabelStudioParams(port=8090, backend_port=8091, batch_size=500, annotators_per_task=people, tags_per_picture=None)


def test_tasks_that_a_later_queue_takes_over_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = Project(1, KINDS["tags"], "")
    monkeypatch.setattr(progress, "_tasks", lambda _: [(tags, [queued(1, 1), queued(2, 1), queued(3, 0), queued(3, 0)])])
    assert progress.progress_of(Home(Path()), {"tags": 2}, asking(1)) == Progress(1, 3)
    assert progress.progress_of(Home(Path()), {"poses": 2}, asking(1)) == Progress(0, 0)
    replaced = Present(1, {"queue": ""}, 0, frozenset())  # by the queue's task of the same picture
    monkeypatch.setattr(progress, "_tasks", lambda _: [(tags, [queued(1, 1), replaced])])
    assert progress.progress_of(Home(Path()), {"tags": 1}, asking(1)) == Progress(1, 1)


def test_a_task_is_labeled_once_as_many_people_answered_as_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = Project(1, KINDS["tags"], "")
    monkeypatch.setattr(progress, "_tasks", lambda _: [(tags, [queued(1, answers) for answers in (0, 1, 1, 2, 3)])])
    assert progress.progress_of(Home(Path()), {"tags": 1}, asking(2)) == Progress(2, 5)
    assert progress.progress_of(Home(Path()), {"tags": 1}, asking(1)) == Progress(4, 5)


def test_who_skipped_a_task_has_been_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Label Studio does not show it to that person again, so a round would wait for it until its deadline."""
    tags = Project(1, KINDS["tags"], "")
    skipped = [replace(queued(1, answers), skips=skips) for answers, skips in ((0, 1), (0, 2), (1, 1), (1, 0))]
    monkeypatch.setattr(progress, "_tasks", lambda _: [(tags, skipped)])
    found = progress.progress_of(Home(Path()), {"tags": 1}, asking(2))
    assert found == Progress(0, 4, passed=2) and found.left == 2


def test_a_round_ends_where_all_that_is_left_was_skipped_and_not_before_enough_was_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([Progress(1, 4, passed=2), Progress(1, 4, passed=3)])
    monkeypatch.setattr(label_round, "look", lambda _: next(looks))
    for name in ("take", "remind", "agreement_so_far"):
        monkeypatch.setattr(label_round, name, lambda *_: None)
    now = label_round.Round(4, 2, time.time(), time.time() + 600, "tags", "deploy")
    label_round._wait(Home(tmp_path), now, {"tags": 1}, 0.01)
    assert next(looks, None) is None


def test_a_round_that_another_process_waits_for_is_given_up_with_its_next_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_round, "HOME", tmp_path)
    monkeypatch.setattr(label_round, "bury_the_dead", lambda: None)
    home = Home(tmp_path)
    label_round.keep(home, label_round.Round(5, 5, time.time(), time.time() + 600, "tags", "deploy", queues={"tags": 1}))
    monkeypatch.setattr(label_round, "run_graph", lambda _: pytest.fail("nobody wanted its labels any more"))
    for name in ("take", "remind", "agreement_so_far"):
        monkeypatch.setattr(label_round, name, lambda *_: None)

    def look(_: object) -> Progress:
        with disable_run_logger():
            label_round.label_round.fn(give_up=True)  # from elsewhere: this process holds the lock
        return Progress(0, 5)

    monkeypatch.setattr(label_round, "look", look)
    with disable_run_logger():
        label_round.label_round.fn(poll_seconds=0.01)
    assert label_round.read_round(home) is None and not label_round.give_up_path(home).exists()


def test_a_round_is_given_up_until_its_graph_runs_and_then_told_that_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, told, repros = Home(tmp_path), list[str](), list[str]()
    logger = SimpleNamespace(info=lambda message, *words: told.append(message % words))
    monkeypatch.setattr(label_round, "HOME", tmp_path)
    monkeypatch.setattr(label_round, "bury_the_dead", lambda: None)
    monkeypatch.setattr(label_round, "get_run_logger", lambda: logger)
    give_up = partial(label_round.label_round.fn, give_up=True)  # from elsewhere: this process holds the lock

    def run_graph(target: str) -> None:
        give_up()
        repros.append(target)

    monkeypatch.setattr(label_round, "run_graph", run_graph)
    for take, said in ((lambda _: give_up() or 1, "ends it when it looks next"), (lambda _: 1, "whose graph already runs: it ends with that")):
        monkeypatch.setattr(label_round, "take", take)
        label_round.keep(home, label_round.Round(5, 5, time.time(), time.time() + 600, "tags", "deploy", queues={"tags": 1}, waited=True))
        label_round.label_round.fn()
        assert [said in line for line in told if "another process" in line] == [True]
        assert label_round.read_round(home) is None and not label_round.give_up_path(home).exists()
        told.clear()
        for kept in (tmp_path / "rounds").iterdir():
            assert kept.name.endswith("-given-up.json") != bool(repros)
            kept.unlink()
    assert repros == ["deploy"]


def test_the_hours_of_a_round_count_from_when_its_queue_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun on Friday; until now Label Studio did not answer."""
    began, waits = time.time() - 72 * 3600, list[float]()
    monkeypatch.setattr(label_round, "queue_and_push", lambda *_: {"tags": 1})
    monkeypatch.setattr(label_round, "_wait", lambda _home, now, *_: waits.append(now.deadline - time.time()))
    for name in ("take", "run_graph"):
        monkeypatch.setattr(label_round, name, lambda _: 1)
    with disable_run_logger():
        label_round._go_on(Home(tmp_path), label_round.Round(5, 5, began, began + 48 * 3600, "tags", "deploy"), 0.01)
    assert waits == [pytest.approx(48 * 3600, abs=60)]


def test_a_round_that_is_given_up_makes_way_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_round, "HOME", tmp_path)
    monkeypatch.setattr(label_round, "bury_the_dead", lambda: None)
    old = label_round.keep(Home(tmp_path), label_round.Round(5, 5, 1.0, 2.0, "tags", "deploy"))
    with disable_run_logger():
        label_round.label_round.fn(give_up=True)
    assert label_round.read_round(Home(tmp_path)) is None
    (kept,) = (tmp_path / "rounds").iterdir()
    assert kept.name == f"{old.name}-given-up.json"


def test_a_label_round_asks_for_as_many_answers_as_params_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(Path("params.yaml").read_text().replace("annotators_per_task: 1", "annotators_per_task: 2"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "_tasks", lambda _: [(Project(1, KINDS["tags"], ""), [queued(1, 1), queued(1, 2)])])
    assert label_round.look.fn({"tags": 1}) == Progress(1, 2)


def test_the_agreement_so_far_is_the_mean_kappa_of_tags_and_the_oks_of_poses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "annotations").mkdir()
    assert label_round.agreement_so_far() == {}
    pose = np.random.default_rng(0).uniform(0.1, 0.9, (11, 2))
    hair = {"ann": "blue blue red red", "ben": "blue blue red blue"}  # as often as 3 of 4, by chance 1 of 2: kappa 0.5
    said = [
        Labeled(f"{number}" * 64, who, (100, 100), {"hair_color": colour, "glasses": number < 2}, pose)
        for who, colours in hair.items()
        for number, colour in enumerate(colours.split())
    ]
    (tmp_path / "annotations" / "project-1.json").write_text(to_label_studio(said[:4]))
    assert label_round.agreement_so_far() == {}
    (tmp_path / "annotations" / "project-1.json").write_text(to_label_studio(said))
    assert label_round.agreement_so_far() == pytest.approx({"kappa": (0.5 + 1) / 2, "oks": 1.0})
    worse = [replace(each, pose=pose + 0.05) if each.by == "ben" else each for each in said]
    (tmp_path / "annotations" / "project-1.json").write_text(to_label_studio(worse))
    assert 0.1 < label_round.agreement_so_far()["oks"] < 0.99


def test_a_deadline_ends_the_wait_and_the_reminder_tells_how_far_two_people_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "annotations").mkdir()
    reminders, logged, repros = list[str](), list[dict[str, float]](), list[str]()
    hair = {"ann": "blue blue red red", "ben": "blue blue red blue"}  # kappa 0.5
    said = [
        Labeled(f"{number}" * 64, who, (9, 9), {"hair_color": colour}, None)
        for who, colours in hair.items()
        for number, colour in enumerate(colours.split())
    ]

    def take(annotations_dir: Path) -> int:
        (annotations_dir / "project-1.json").write_text(to_label_studio(said))
        return 1

    @contextmanager
    def tracking(_experiment: str, _params: object, run_dir: Path, *, data_id: str) -> Iterator[SimpleNamespace]:
        run_dir.mkdir(parents=True)
        yield SimpleNamespace(log=lambda numbers, _: logged.append(numbers))

    for name, stand_in in {
        "HOME": tmp_path / "home",
        "bury_the_dead": lambda: None,
        "stages_up_to": lambda _: None,
        "connect": lambda _: None,
        "queue_and_push": lambda *_: {"tags": 1},
        "look": lambda _: Progress(4, 8),
        "take": take,
        "remind": label_round.remind.fn,
        "create_markdown_artifact": lambda markdown, **_: reminders.append(markdown),
        "Registry": lambda: SimpleNamespace(tracking=tracking),
        "run_graph": repros.append,
    }.items():
        monkeypatch.setattr(label_round, name, stand_in)
    started = time.monotonic()
    with disable_run_logger():
        label_round.label_round.fn(count=8, hours=1e-4, only="tags", poll_seconds=600)
    assert 0.3 < time.monotonic() - started < 60
    assert logged == [{"labeled": 4.0, "left": 4.0, "kappa": 0.5}]
    assert len(reminders) == 1 and "| kappa | 0.5 |\n\n8 are enough; 0.0 hours until the deadline." in reminders[0]
    (kept,) = (tmp_path / "home" / "rounds").glob("*.json")
    assert repros == ["deploy"] and json.loads(kept.read_text())["pulled"] is True
    assert label_round.read_round(Home(tmp_path / "home")) is None


def test_without_a_number_all_that_is_queued_is_enough_of_both_kinds_or_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = list[int]()
    monkeypatch.setattr(label_round, "HOME", tmp_path)
    monkeypatch.setattr(label_round, "_go_on", lambda _home, now, _: begun.append(now.enough))
    for name in ("bury_the_dead", "stages_up_to", "connect"):
        monkeypatch.setattr(label_round, name, lambda *_: None)
    for only in (None, "tags"):
        with disable_run_logger():
            label_round.label_round.fn(count=8, only=only)
        label_round.round_path(Home(tmp_path)).unlink()
    assert begun == [16, 8]


def test_a_label_round_waits_for_what_it_queued_and_for_no_earlier_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([{"poses": 1, "tags": 1}, {"poses": 1, "tags": 2}])
    monkeypatch.setattr(label_round, "newest_queues", lambda _: next(told))
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, "", ""))
    with disable_run_logger():
        assert label_round.queue_and_push.fn(100, None) == {"tags": 2}


def test_a_queue_that_was_killed_without_a_word_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_round, "newest_queues", lambda _: {})
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, -9, "", "\n"))
    with disable_run_logger(), pytest.raises(GengaError, match="not written: its command ended with exit code -9"):
        label_round.queue_and_push.fn(100, None)


@pytest.mark.parametrize(("words", "said"), [(["graph"], "run from the project's folder"), (["label_round", "3", "-4"], "enough")])
def test_by_hand_a_flow_that_cannot_run_is_one_sentence_and_exit_code_2(
    tmp_path: Path, shell: Shell, server: dict[str, str], words: list[str], said: str
) -> None:
    more = server | {"PYTHONPATH": str(REPO)}
    result = shell(sys.executable, "-m", f"flows.{words[0]}", *words[1:], cwd=tmp_path, check=False, **more)
    assert result.returncode == 2 and [said in line for line in result.stderr.splitlines() if line.startswith("error: ")] == [True]
