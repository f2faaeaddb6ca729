"""A label round with a real Prefect server, worker and Label Studio, all of which go away in the middle."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from test_flows import PREFECT, end, free_port, prefect_in, prefect_server, wait_for
from tiny_release import make_release

from drawing.mannequin import LOOKS, line_art, sample_mannequin
from flows.label_round import read_round
from genga.params import load_params
from genga.pictures import encode_png
from labeling.account import Home, LabelStudioError, account_at, connect
from labeling.projects import KINDS, project_of
from labeling.push import present
from labeling.server import PROGRAM, running
from labeling.tasks import pose_regions

pytestmark = [pytest.mark.label_studio, pytest.mark.timeout(900)]

REPO = Path(__file__).parents[2]
Shell = Callable[..., subprocess.CompletedProcess[str]]
GRAPH = "stages:\n  count:\n    cmd: ls annotations > counted\n    deps: [annotations]\n    outs: [counted]\n"


def worker(project: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    with (project / "worker.log").open("ab") as log:
        command = [*PREFECT, "worker", "start", "--pool", "genga", "--type", "process"]
        return subprocess.Popen(command, cwd=project, env=environment, start_new_session=True, stdout=log, stderr=log)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """As when the machine goes down: the worker and the run that it started."""
    family = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split("\n")
    children: dict[int, list[int]] = {}
    for line in filter(None, map(str.strip, family)):
        pid, parent = map(int, line.split())
        children.setdefault(parent, []).append(pid)
    doomed = [process.pid]
    for pid in doomed:
        doomed += children.get(pid, [])
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    process.wait()


def test_a_round_goes_on_after_everything_went_away(
    fresh_project: Callable[[str], Path], shell: Shell, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["make", "-s", "label-studio-ready"], cwd=REPO, check=True, timeout=600)
    monkeypatch.setenv("GENGA_LABEL_STUDIO", str(REPO / PROGRAM))
    project = fresh_project("round")
    (project / "dvc.yaml").write_text(GRAPH)
    make_release(project / "release", seed=5)  # whose untrained networks read four drawings as four poses: like ones are queued once
    shutil.rmtree(project / "release-scratch-1", ignore_errors=True)
    rng = np.random.default_rng(0)
    drawn = [sample_mannequin(load_params(REPO / "params.yaml").draw_figures.mannequins, LOOKS, rng) for _ in range(4)]
    (project / "own-figures" / "figures").mkdir(parents=True)
    for number, figure in enumerate(drawn):
        (project / "own-figures" / "figures" / f"{number}.png").write_bytes(encode_png(line_art(figure, 200)))

    home, studio_port, port = Home(project / ".label-studio"), free_port(), free_port()
    account = account_at(home, studio_port)
    mine = environment | prefect_in(tmp_path / "prefect")
    clients = mine | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    address = clients["PREFECT_API_URL"]

    def state(run: str) -> str:
        return str(httpx.get(f"{address}/flow_runs/{run}").json()["state"]["type"])

    def start() -> str:
        (deployment,) = httpx.post(f"{address}/deployments/filter", json={"deployments": {"name": {"any_": ["label-round"]}}}).json()
        values = {"count": 3, "enough": 2, "only": "poses", "target": "count", "poll_seconds": 0.5, "hours": 1}
        answer = httpx.post(f"{address}/deployments/{deployment['id']}/create_flow_run", json={"parameters": values}).raise_for_status()
        return str(answer.json()["id"])

    def label(count: int) -> None:
        client = connect(home)
        tasks = present(client, project_of(client, account.url, KINDS["poses"]))
        waiting = [task for task in tasks.values() if not task.labeled and task.data.get("queue")]
        for task in waiting[:count]:
            client.annotations.create(id=task.task, result=pose_regions(drawn[0].pose, 200, 200), lead_time=1)

    def reminders() -> list[str]:
        shown = httpx.post(f"{address}/artifacts/filter", json={"artifacts": {"key": {"any_": ["label-round"]}}}).raise_for_status().json()
        return [artifact["data"] for artifact in sorted(shown, key=lambda artifact: artifact["created"])]

    with running(home, account, studio_port):
        with prefect_server(mine, port):
            shell(*PREFECT, "work-pool", "create", "genga", "--type", "process", cwd=project, **clients)
            shell(*PREFECT, "--no-prompt", "deploy", "--all", cwd=project, **clients)
            first_worker = worker(project, clients)
            first = start()
            round_file = home.dir / "round.json"
            wait_for(lambda: round_file.is_file() and json.loads(round_file.read_text())["queues"] is not None, "the queue", 300)
            wait_for(lambda: len(reminders()) == 1, "the first reminder", 200)
            label(1)
            wait_for(lambda: len(reminders()) == 2, "the second reminder", 200)
            time.sleep(2)
            kill(first_worker)
        queue = json.loads(round_file.read_text())["queues"]
        label(1)
        with prefect_server(mine, port):
            assert state(first) == "RUNNING"  # as Prefect believes
            second_worker = worker(project, clients)
            try:
                second = start()
                wait_for(lambda: state(second) in ("COMPLETED", "FAILED", "CRASHED"), "the round's end", 500)
                assert state(second) == "COMPLETED"
                assert state(first) == "CRASHED"
                texts = reminders()
            finally:
                end(second_worker)
    assert not round_file.exists()
    (kept,) = (home.dir / "rounds").glob("*.json")
    assert json.loads(kept.read_text())["queues"] == queue  # nothing was queued twice
    assert "| labeled | 0 |" in texts[0] and "| left | 3 |" in texts[0]
    assert "| labeled | 1 |" in texts[1] and "| left | 2 |" in texts[1]
    assert "| labeled | 2 |" in texts[-1] and "| left | 1 |" in texts[-1]
    assert (project / "counted").read_text().count("project-") == 1
    listing = shell(sys.executable, "-c", "from genga.registry import Registry; print(Registry().runs('labeling'))", cwd=project).stdout
    assert "'labeled': 2.0" in listing and "'left': 1.0" in listing and listing.count("'id'") == 1


def test_without_an_open_round_nothing_happens(
    fresh_project: Callable[[str], Path], shell: Shell, environment: dict[str, str], tmp_path: Path
) -> None:
    project = fresh_project("no-round")
    done = shell(sys.executable, "-m", "flows.label_round", cwd=project, **prefect_in(tmp_path / "prefect"))
    assert "no label round is open" in done.stderr
    assert not (project / ".label-studio" / "round.json").exists()


def test_a_damaged_round_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "round.json").write_text('{"other": 1}')
    with pytest.raises(LabelStudioError, match=r"round\.json is no round that was begun here"):
        read_round(home)
