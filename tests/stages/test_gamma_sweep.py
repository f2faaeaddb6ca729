"""Several gammas side by side: trained, judged, drawn; bad ones refused."""

import json
from pathlib import Path
from shutil import copy
from typing import Any

import cv2
import pytest
from small_models import BEGAN, PLAIN
from small_world import World

from genga.errors import ParamsError
from genga.params import TrainFace, WatchCollapse
from genga.registry import Registry
from genga.store import Store
from models.metrics.scores import Score
from stages.gamma_sweep import gamma_sweep
from stages.judge import Judge

PARAMS: dict[str, Any] = PLAIN | {
    "model": BEGAN,
    "began": {"gamma": 0.5, "lambda_k": 0.01},
    "training": {
        **{"batch_size": 8, "total_kimg": 0.032, "log_kimg": 0.016, "sample_kimg": 0.032, "checkpoint_kimg": 0.016},
        **{"precision": "fp32", "seed": 0},
    },
    **{"g_lr": 0.001, "d_lr": 0.001, "beta1": 0.5, "beta2": 0.99, "ema_kimg": 0.01},
}


def judge_of(world: World) -> Judge:
    return Judge(world.params.evaluate, world.data, world.weights_dir / "tagger", world.weights_dir / "figure-pose")


def sweep(world: World, gammas: list[float], out_dir: Path, **changes: Any) -> dict[str, Score]:
    params = TrainFace.model_validate(PARAMS | changes)
    return gamma_sweep("began32", params, world.params.watch_collapse, gammas, judge_of(world), world.data.faces_dir, out_dir, registry_of(out_dir))


def registry_of(out_dir: Path) -> Registry:
    return Registry(f"sqlite:///{out_dir}/mlflow.db", out_dir)


def test_each_gamma_is_trained_once_judged_and_drawn(shared_world: World, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy(empty_store, tmp_path / "mlflow.db")
    scores = sweep(shared_world, [0.9, 0.3, 0.9], tmp_path)
    assert list(scores) == ["0.3", "0.9"] and all({"precision", "recall", "kid"} <= score.metrics.keys() for score in scores.values())
    written = json.loads((tmp_path / "sweep.json").read_text())
    assert written == {gamma: {"metrics": score.metrics, "protocol": score.protocol} for gamma, score in scores.items()}
    assert written["0.3"]["protocol"]["data"] == Store(shared_world.data.faces_dir).data_id
    assert json.loads((tmp_path / "0.9" / "card.json").read_text())["training"]["began"]["gamma"] == 0.9
    picture = cv2.imread(str(tmp_path / "sweep.png"))
    assert picture is not None and picture.shape[1] == 900 and picture.std() > 20
    assert cv2.imread(str(tmp_path / "collapse.png")).std() > 10

    monkeypatch.setattr("stages.gamma_sweep.train_face", lambda *_: pytest.fail("trained again"))
    assert sweep(shared_world, [0.3, 0.9], tmp_path).keys() == scores.keys()
    assert json.loads((tmp_path / "sweep.json").read_text()) == written
    runs = registry_of(tmp_path).runs("began32")
    assert sorted(run["params"]["began.gamma"] for run in runs) == ["0.3", "0.9"]
    for run in runs:
        client = registry_of(tmp_path).client
        assert {"faces.png", "interpolation.png", "collapse.json", "card.json", "samples"} <= {file.path for file in client.list_artifacts(run["id"])}
        assert run["status"] == "FINISHED" and "g_loss" in run["metrics"]

    monkeypatch.setattr("stages.train_face.fingerprint_of", lambda *_: "that of other params, faces or code")
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        sweep(shared_world, [0.9], tmp_path)


def test_a_gamma_that_collapses_is_flagged_and_ends_all_the_same(shared_world: World, tmp_path: Path) -> None:
    strict = {"action": "stop", "every_kimg": 0.008, "samples": 16, "from_kimg": 0.0, "near_identical": 0.0, "spread": 9.0, "coverage_kept": 0.0}
    watch = WatchCollapse.model_validate(strict | {"patience": 1})
    params, dirs = TrainFace.model_validate(PARAMS), (shared_world.data.faces_dir, tmp_path)
    assert gamma_sweep("began32", params, watch, [0.5], judge_of(shared_world), *dirs, registry_of(tmp_path)).keys() == {"0.5"}
    report = json.loads((tmp_path / "0.5-run" / "collapse.json").read_text())
    assert report["alarm"] and report["rule"]["action"] == "flag" and report["curve"][-1]["kimg"] == 0.032


def test_other_families_have_no_gamma(shared_world: World, tmp_path: Path) -> None:
    stylegan2 = shared_world.params.train_face["stylegan2"]
    with pytest.raises(ParamsError, match=r"began32 in params\.yaml is stylegan2, expected began"):
        sweep(shared_world, [0.5], tmp_path, **stylegan2.model_dump())


def test_a_gamma_that_is_none_is_refused(shared_world: World, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="gamma -1 was found, expected more than 0"):
        sweep(shared_world, [-1.0], tmp_path)
