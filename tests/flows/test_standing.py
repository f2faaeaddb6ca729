"""What DVC cannot see: another registry, and champions that were not deployed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from cli.doctor import CHECKS
from cli.repro import repro
from flows.standing import GATE, REGISTERED, RELEASE, settle
from genga.documents import write_json
from genga.registry import Registry
from genga.release import Entry, read_document, write_release

REPO = Path(__file__).parents[2]
OUT = {str(REGISTERED): {"persist": True, "cache": False}}
STAGES = {
    "register": {
        "cmd": f"echo >> ran && cp named.json {REGISTERED}",
        "deps": ["named.json"],
        "outs": [OUT],
    },
    "deploy": {"cmd": "echo >> deployed && test ! -e broken || (echo 'error: its files are missing' && false)"},
}


@pytest.fixture
def registry(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A project whose upscaler has two versions, the first is champion and released; DVC has run all that there is."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, "mlflow.db")
    shutil.copy(REPO / "params.yaml", tmp_path)
    registry = Registry()
    for number in (1, 2):
        model_dir = Path("made") / str(number)
        model_dir.mkdir(parents=True)
        save_file({"weight": np.full(8, number, dtype=np.float32)}, model_dir / "weights.safetensors")
        version = registry.register("upscaler", model_dir, {}, {})
    registry.promote("upscaler", "1", "gate", "the first")
    write_release(RELEASE, {"upscaler": Entry("1", Path("made/1"), {}, [], [], [], {}, "")}, 1, lambda _: None)
    write_json(Path("named.json"), {"upscaler": {"version": "2", "sha256": version.sha256}})
    write_json(GATE, {"upscaler": {"champion": "1"}})
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q", "register"], check=True)
    return registry


def times(name: str) -> int:
    return len(Path(name).read_text()) if Path(name).exists() else 0


def test_a_registry_that_holds_what_is_named_and_a_release_of_its_champions_are_left_alone(registry: Registry) -> None:
    settle([], pytest.fail)
    repro(["register"])
    assert times("ran") == 1 and times("deployed") == 0 and GATE.exists()
    assert CHECKS["release"]() is None


def test_in_an_emptied_registry_all_is_registered_and_judged_again(registry: Registry, empty_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(empty_store, "mlflow.db")
    settle(["evaluate"], pytest.fail)
    assert REGISTERED.exists()
    repro(["register"])
    assert "does not hold what data/registry/registered.json names of upscaler: all is registered there and judged again" in capsys.readouterr().out
    assert times("ran") == 2 and REGISTERED.exists() and not GATE.exists()


def test_another_model_by_the_same_number_is_not_what_is_named(registry: Registry) -> None:
    write_json(REGISTERED, {"upscaler": {"version": "1", "sha256": json.loads(REGISTERED.read_text())["upscaler"]["sha256"]}})
    settle([], print)
    assert not REGISTERED.exists()


def test_a_promotion_that_was_killed_before_it_was_deployed_is_told_and_deployed(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    registry.promote("upscaler", "2", "ann", "sharper")
    registry.register("sketcher", Path("made/1"), {}, {})
    registry.promote("sketcher", "1", "gate", "the first")  # of which the release has none
    write_json(GATE, {"upscaler": {"champion": "1"}, "sketcher": {"champion": "1"}})
    assert "does not serve the champion of sketcher, upscaler" in str(CHECKS["release"]())
    repro(["register"])
    assert "sketcher, upscaler: the release is not what the champion is" in capsys.readouterr().out
    assert times("deployed") == 1 and times("ran") == 1


def test_a_champion_that_cannot_be_deployed_is_told_and_the_graph_goes_on(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    registry.promote("upscaler", "2", "ann", "sharper")
    Path("broken").touch()
    repro(["register"])
    assert "that failed (its files are missing), so the release stays as it is" in (said := capsys.readouterr().out)
    assert said.count("that failed") == 1 and "the graph is up to date" in said
    assert read_document(RELEASE)["families"]["upscaler"]["version"] == "1"
