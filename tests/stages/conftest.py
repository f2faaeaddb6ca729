from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copy, copytree
from typing import TYPE_CHECKING

import pytest

from genga.registry import Registry

if TYPE_CHECKING:
    from small_world import World

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> "World":
    """Read it only."""
    from small_world import make_world  # here: it imports torch, which not every test in this folder needs

    return make_world(tmp_path_factory.mktemp("world"), REPO)


@pytest.fixture
def world(shared_world: "World", tmp_path: Path) -> "World":
    """Free to be changed."""
    return replace(shared_world, root=Path(copytree(shared_world.root, tmp_path / "world")))


@pytest.fixture
def registry(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    copy(empty_store, tmp_path / "mlflow.db")
    return Registry(root=tmp_path)


def register_all(world: "World", registry: Registry) -> Path:
    from stages.register import register

    folders = (world.root / name for name in ("weights", "directions", "gallery", "labels", "reports"))
    register(world.params.train_face, *folders, world.root / "registered.json", registry)
    return world.root / "registered.json"


@pytest.fixture
def registered(world: "World", registry: Registry) -> Callable[[], Path]:
    """A function that registers what stands in the world's weights, and gives the path of what came out."""
    return lambda: register_all(world, registry)


@pytest.fixture(scope="session")
def begun_store(shared_world: "World", empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an MLflow store in which the shared world's first versions are champions, and what the gate wrote."""
    from stages.gate import gate

    root = tmp_path_factory.mktemp("begun")
    copy(empty_store, root / "mlflow.db")
    registry, world = Registry(root=root), replace(shared_world, root=Path(copytree(shared_world.root, root / "world")))
    gate(world.params.gate, world.params.evaluate, register_all(world, registry), world.data, root / "gate.json", registry)
    return root


@pytest.fixture
def begun(begun_store: Path, world: "World", registry: Registry, tmp_path: Path) -> None:
    """The test starts where the first versions are champions."""
    assert "client" not in vars(registry), "the store was opened before it was put in place"
    copy(begun_store / "mlflow.db", tmp_path / "mlflow.db")
    copy(begun_store / "gate.json", world.root / "gate.json")
