"""Imports point one way: cli -> {flows, serve} -> stages -> {labeling, models, drawing} -> genga; serve skips stages and labeling."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
MAY_IMPORT = {
    "genga": set(),
    "drawing": {"genga"},
    "models": {"genga"},
    "labeling": {"genga"},
    "stages": {"genga", "drawing", "models", "labeling"},
    "serve": {"genga", "drawing", "models"},
    "flows": {"genga", "labeling", "stages"},
    "cli": {"genga", "drawing", "models", "labeling", "stages", "serve", "flows"},
}
SLOW = {"torch", "mlflow", "prefect", "sklearn", "label_studio_sdk", "torchmetrics"}


def imports(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    files = sorted((REPO / room).rglob("*.py"))
    assert files
    for path in files:
        wrong = (imports(ast.parse(path.read_text())) & set(MAY_IMPORT)) - MAY_IMPORT[room] - {room}
        assert not wrong, f"{path.relative_to(REPO)} imports {sorted(wrong)}"


@pytest.mark.parametrize("room", ["genga", "drawing", "cli"])
def test_slow_libraries_are_imported_late(room: str) -> None:
    for path in sorted((REPO / room).rglob("*.py")):
        top = ast.Module([node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        assert not imports(top) & SLOW, f"{path.relative_to(REPO)} imports {sorted(imports(top) & SLOW)} when it is loaded"


def test_no_registered_or_served_thing_is_a_pickle() -> None:
    """Nothing of ours calls what reads pickles."""
    forbidden = {
        ("torch", "load"),
        ("torch", "save"),
        ("pickle", "load"),
        ("pickle", "loads"),
        ("joblib", "load"),
        ("pickle", "dumps"),
        ("pickle", "dump"),
    }
    for room in MAY_IMPORT:
        for path in sorted((REPO / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    assert (node.value.id, node.attr) not in forbidden, f"{path.relative_to(REPO)}:{node.lineno}"
