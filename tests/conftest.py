"""Shared by all tests: a browser or a clear failure, and one small project in which the whole graph has run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from genga import tags
from genga.registry import Registry

REPO = Path(__file__).parents[1]
TRACER = REPO / "tests" / "graph" / "tracer"
WHOLE_GRAPH = {"tests/graph/test_graph.py", "tests/flows/test_flows.py"}  # run by `finished`, once a process
LONG = WHOLE_GRAPH | {"tests/stages/test_train_face.py", "tests/models/test_parallel.py"}
GRAPH_S = 840  # on a slow machine with other work the whole graph takes minutes even with tiny values
SHARED = Path(os.environ.get("GENGA_SHARED", REPO.parent / "shared" / "data"))


class ByFile(LoadScopeScheduling):
    """What several processes of tests take from each other: a file at a time, and as one all files that need the whole graph."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "the whole graph" if path in WHOLE_GRAPH else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, and may take longer."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in LONG)
    for item in items:
        if item.nodeid.partition("::")[0] in WHOLE_GRAPH:
            item.add_marker(pytest.mark.timeout(GRAPH_S + 60))


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Real pictures and poses by their file name, which lie beside the checkout or in $GENGA_SHARED; the test is skipped where they do not."""

    def find(name: str) -> Path:
        if not (SHARED / name).is_file():
            pytest.skip(f"needs {SHARED / name}")
        return SHARED / name

    return find


@pytest.fixture
def add_a_tag(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A function that adds the flag `hat` to what genga/tags.yaml says, for the rest of the test."""

    def forget() -> None:
        for name in ("groups", "flags", "ordered", "columns", "column_slices", "vocabularies"):
            getattr(tags, name).cache_clear()

    def add() -> None:
        document = deepcopy(tags._document())
        document["flags"].append("hat")
        monkeypatch.setattr(tags, "_document", lambda: document)
        forget()

    yield add
    forget()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated MLflow store, made once: the first use of a new one takes a second and more. Copy it as `mlflow.db`."""
    root = tmp_path_factory.mktemp("registry")
    assert Registry(f"sqlite:///{root}/mlflow.db", root).families() == []
    return root / "mlflow.db"


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """For commands run inside a project of their own: its code comes first, nothing phones home, MLflow stays in the folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_", "LABEL_STUDIO_", "GENGA_"))}
    kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


@pytest.fixture(scope="session")
def shell(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in a folder, with its output caught."""

    def run(*command: str, cwd: Path, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(command, cwd=cwd, env=environment | more, capture_output=True, text=True, check=False, timeout=GRAPH_S)
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {result.returncode}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
        return result

    return run


@pytest.fixture(scope="session")
def fresh_project(tmp_path_factory: pytest.TempPathFactory, shell: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[[str], Path]:
    """A function that makes a project: this checkout's files in a folder and a git repository of their own, with values for tests."""

    def make(name: str) -> Path:
        project = tmp_path_factory.mktemp(name) / "genga"
        files = shell("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=REPO).stdout.splitlines()
        for file in files:
            if (REPO / file).is_file():
                (project / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPO / file, project / file)
        shutil.copy2(REPO / "tests" / "graph" / "tiny.yaml", project / "profiles" / "tiny.yaml")
        for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "start"]):
            shell("git", *command, cwd=project)
        (REPO / "drawing" / "__pycache__").mkdir(exist_ok=True)
        (project / "drawing" / "__pycache__").symlink_to(REPO / "drawing" / "__pycache__")  # Numba takes half a minute where it finds nothing
        shell(sys.executable, "-m", "cli.main", "profile", "tiny", cwd=project)
        return project

    return make


@pytest.fixture(scope="session")
def finished(fresh_project: Callable[[str], Path], shell: Callable[..., subprocess.CompletedProcess[str]]) -> Path:
    """A project whose whole graph has run once; `traces/` says which files of ours each stage imported. Read it, or copy it first."""
    project = fresh_project("finished")
    traces = project.parent / "traces"
    traces.mkdir()
    shell(sys.executable, "-m", "cli.main", "repro", cwd=project, PYTHONPATH=str(TRACER), GENGA_TRACES=str(traces))
    return project
