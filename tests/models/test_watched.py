"""Does the watch see a collapse, and only then? Small pictures, short trainings, made to collapse or not."""

import json
import logging
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest
import torch
from small_models import PLAIN

from genga.errors import CheckpointError, CollapseError
from genga.params import TrainFace, WatchCollapse
from models.metrics.collapse import read_curve
from models.recipes.faces import face_recipe
from models.recipes.watched import Watched, diversity

WATCH = {
    "action": "flag",
    "every_kimg": 0.5,
    "samples": 128,
    "from_kimg": 2.0,
    "near_identical": 0.5,
    "spread": 0.5,
    "coverage_kept": 0.5,
    "patience": 2,
}
PARAMS: dict[str, Any] = PLAIN | {
    "model": {"arch": "dcgan", "resolution": 16, "z_dim": 16, "width": 8, "kernel": 4, "bn_momentum": 0.1, "activation": "relu", "dropout": 0.0}
    | {"d_batch_norm": False},
    "training": {"batch_size": 16, "total_kimg": 4.0, "log_kimg": 0.5, "sample_kimg": 4.0, "checkpoint_kimg": 1.0, "precision": "fp32", "seed": 0},
    **{"g_lr": 0.002, "d_lr": 0.002, "beta1": 0.5, "beta2": 0.99, "r1_gamma": 0.1, "ema_kimg": 0.2},
}
HEALTHY: dict[str, Any] = {"g_lr": 0.01, "d_lr": 0.01, "augment": 0.2}
COLLAPSING: dict[str, Any] = {"g_lr": 0.2, "d_lr": 0.3, "r1_gamma": 0.0}  # a strong discriminator, no augmentation, 200 pictures


def squares(count: int) -> np.ndarray:
    """uint8 (N, 16, 16, 3): a square on a ground, each of its own colour, anywhere."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((count, 16, 16, 3), np.uint8) + rng.integers(0, 256, (count, 1, 1, 3), dtype=np.uint8)
    for picture, (top, left), colour in zip(pictures, rng.integers(0, 9, (count, 2)), rng.integers(0, 256, (count, 3)), strict=True):
        picture[top : top + 8, left : left + 8] = colour
    return pictures


def train(run_dir: Path, pictures: np.ndarray, changes: dict[str, Any], tracker: Any = None, **watch: Any) -> Watched:
    params, rule = TrainFace.model_validate(PARAMS | changes), WatchCollapse.model_validate(WATCH | watch)
    watched = Watched(face_recipe(params), pictures[:: len(pictures) // 100][:128], rule, "dcgan16")
    tensors = torch.from_numpy(pictures)

    def batch_at(cur_nimg: int) -> torch.Tensor:
        return tensors[torch.from_numpy(np.random.default_rng(cur_nimg).integers(0, len(tensors), 16))]

    watched.fit(batch_at, run_dir, what="train dcgan16", fingerprint="a", tracker=tracker)
    return watched


@pytest.fixture(scope="module")
def flagged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watched, str]:
    """A training made to collapse that goes on to its end: its folder, its watch, and what was logged."""
    run_dir, said = tmp_path_factory.mktemp("flagged"), StringIO()
    watching, handler = logging.getLogger("models.recipes.watched"), logging.StreamHandler(said)
    watching.addHandler(handler)
    watched = train(run_dir, squares(200), COLLAPSING)
    watching.removeHandler(handler)
    return run_dir, watched, said.getvalue()


def test_a_healthy_training_gives_no_alarm_and_a_report(tmp_path: Path) -> None:
    watched = train(tmp_path, squares(2000), HEALTHY)
    assert watched.alarm == "" and watched.notes() == []
    report = json.loads((tmp_path / "collapse.json").read_text())
    assert report["alarm"] == "" and report["rule"] == WATCH
    assert all(line["g_grad"] > 0 and line["d_grad"] > 0 for line in report["curve"])
    looks = [line for line in report["curve"] if "coverage" in line]
    assert [line["kimg"] for line in looks] == pytest.approx([0.512, 1.008, 1.504, 2.0, 2.512, 3.008, 3.504, 4.0])
    assert {"recall", "coverage", "near_identical", "spread", "d_real", "d_made", "alarm"} <= looks[0].keys()
    assert cv2.imread(str(tmp_path / "collapse.png")).std() > 10


def test_a_training_made_to_collapse_is_flagged_and_goes_on(flagged: tuple[Path, Watched, str]) -> None:
    run_dir, watched, said = flagged
    assert watched.alarm and "dcgan16 collapsed at" in said
    assert watched.notes() == [f"Its training collapsed {watched.alarm}."]
    report = json.loads((run_dir / "collapse.json").read_text())
    assert report["alarm"] == watched.alarm and report["curve"][-1]["kimg"] == 4.0
    looks = [line for line in report["curve"] if "coverage" in line]
    assert all(line["near_identical"] > 0.9 and line["spread"] < 0.2 for line in looks)  # it does not come back


def test_the_same_is_stopped_where_params_say_so_and_goes_on_when_they_no_longer_do(flagged: tuple[Path, Watched, str], tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(CollapseError, match=r"dcgan16 collapsed at .* kimg: .*docs/collapse.md.*action: flag"):
            train(tmp_path, squares(200), COLLAPSING, action="stop")
        report = json.loads((tmp_path / "collapse.json").read_text())
        assert report["alarm"] and report["curve"][-1]["kimg"] < 4.0
    assert train(tmp_path, squares(200), COLLAPSING).alarm == report["alarm"]
    run_dir, undisturbed, _ = flagged
    assert undisturbed.alarm == report["alarm"]
    assert (tmp_path / "stats.jsonl").read_bytes() == (run_dir / "stats.jsonl").read_bytes()


@pytest.fixture
def falling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks see variety up to 0.032 kimg and hardly any from there on, whatever is drawn."""
    look, at_kimg = Watched._look, 0.0

    def looked(watched: Watched, kimg: float) -> dict[str, float]:
        nonlocal at_kimg
        at_kimg = kimg
        return look(watched, kimg)

    monkeypatch.setattr(Watched, "_look", looked)
    seen = {"recall": 0.0, "near_identical": 0.0, "spread": 1.0}
    monkeypatch.setattr("models.recipes.watched.diversity", lambda *_: seen | {"coverage": 0.75 if at_kimg <= 0.032 else 0.25})
    monkeypatch.setattr("models.metrics.collapse.drawn", lambda _: np.zeros((8, 8, 3), np.uint8))  # a second each


SOON = {"every_kimg": 0.016, "from_kimg": 0.0, "patience": 1}  # a look at every step


def lasting(kimg: float) -> dict[str, Any]:
    """Lines at its end alone, but for those of looks."""
    return {"training": PARAMS["training"] | {"total_kimg": kimg, "checkpoint_kimg": 0.032}}


@pytest.mark.usefixtures("falling")
def test_an_alarm_at_the_last_look_stops_too_and_flagged_the_training_finishes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CollapseError, match=r"dcgan16 collapsed at 0\.048 kimg"):
        train(tmp_path, squares(200), lasting(0.048), action="stop", **SOON)
    assert json.loads((tmp_path / "collapse.json").read_text())["alarm"] and list((tmp_path / "checkpoints").iterdir())
    monkeypatch.setattr("models.recipes.gan.GanRecipe.step", lambda *_: pytest.fail("trained again"))
    with pytest.raises(CollapseError, match=r"dcgan16 collapsed at 0\.048 kimg"):
        train(tmp_path, squares(200), lasting(0.048), action="stop", **SOON)
    assert train(tmp_path, squares(200), lasting(0.048), action="flag", **SOON).alarm.startswith("at 0.048 kimg")


@pytest.mark.usefixtures("falling")
def test_each_look_has_a_line_of_its_own_the_one_that_stops_too(tmp_path: Path) -> None:
    tracker = MagicMock()
    with pytest.raises(CollapseError):
        train(tmp_path / "stopped", squares(200), lasting(0.096), tracker, action="stop", **SOON)
    curve = json.loads((tmp_path / "stopped" / "collapse.json").read_text())["curve"]
    assert [(line["kimg"], line["coverage"], line["alarm"]) for line in curve] == [(0.016, 0.75, 0.0), (0.032, 0.75, 0.0), (0.048, 0.25, 1.0)]
    assert tracker.log.call_args.args[0]["alarm"] == 1.0
    for folder in ("stopped", "undisturbed"):
        train(tmp_path / folder, squares(200), lasting(0.096), action="flag", **SOON)
    assert (tmp_path / "stopped" / "stats.jsonl").read_bytes() == (tmp_path / "undisturbed" / "stats.jsonl").read_bytes()


@pytest.mark.usefixtures("falling")
@pytest.mark.parametrize(("warm_up", "alarm"), [(None, "at 0.064 kimg"), ({"kimg": 0.032, "lr": 0.001, "kl_weight": 0.1}, "at 0.08 kimg")])
def test_a_training_shorter_than_from_kimg_is_judged_from_half_of_its_contest_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, warm_up: dict[str, float] | None, alarm: str
) -> None:
    watched = train(tmp_path, squares(200), lasting(0.096) | {"warm_up": warm_up}, every_kimg=0.016, from_kimg=8.0)
    assert watched.alarm.startswith(alarm) and "no alarm can be given" not in caplog.text


def test_a_training_too_short_for_an_alarm_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train(tmp_path, squares(200), lasting(0.048), every_kimg=0.032)
    assert "looks that count are 1 in so short a training, expected 2 or more" in caplog.text and "lower watch_collapse.every_kimg" in caplog.text


def test_nothing_is_judged_during_the_warm_up(tmp_path: Path) -> None:
    watched = train(tmp_path, squares(200), COLLAPSING | {"warm_up": {"kimg": 3.9, "lr": 0.001, "kl_weight": 10.0}})
    looks = [line for line in json.loads((tmp_path / "collapse.json").read_text())["curve"] if "coverage" in line]
    assert looks[-1]["near_identical"] > WATCH["near_identical"] and watched.alarm == ""


def test_a_young_generator_whose_samples_still_part_has_not_collapsed(monkeypatch: pytest.MonkeyPatch) -> None:
    spreads = iter([0.1, 0.2, 0.3, 0.6, 0.55, 0.6, 0.4, 0.39])
    seen = {"recall": 0.0, "coverage": 0.2, "near_identical": 1.0}
    monkeypatch.setattr("models.recipes.watched.diversity", lambda *_: seen | {"spread": next(spreads)})
    params = TrainFace.model_validate(PARAMS)
    watched = Watched(face_recipe(params), squares(32), WatchCollapse.model_validate(WATCH | {"from_kimg": 0.0, "every_kimg": 0.016}), "dcgan16")
    batch, alarms = torch.from_numpy(squares(16)), []
    for step in range(8):
        watched.step(batch, 16 * step)
        alarms.append(watched.alarm)
    assert alarms == [*[""] * 7, "at 0.128 kimg: 100% of the samples are nearly another one"]


def test_the_watch_changes_nothing_of_the_training(tmp_path: Path) -> None:
    weights = []
    for every in (0.25, 1.0):
        changes = HEALTHY | {"training": PARAMS["training"] | {"total_kimg": 0.5}}
        watched = train(tmp_path / str(every), squares(200), changes, every_kimg=every)
        weights.append(watched.state_dict()["recipe"]["G_ema"])
    watched.sample()
    assert all(torch.equal(a, b) for a, b in zip(*(each.values() for each in weights), strict=True))


def test_a_report_that_finds_no_room_is_told_and_never_in_place_of_what_ended_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, _: Any) -> None:
        path.write_text("{")
        raise OSError(28, "No space left on device")

    def refused(*_: Any) -> None:
        raise CheckpointError("no room for a checkpoint")

    monkeypatch.setattr("models.metrics.collapse.write_json", full)
    short = HEALTHY | {"training": PARAMS["training"] | {"total_kimg": 0.064}}
    with pytest.raises(CheckpointError, match=r"No space left on device.*make room there and run the same command again"):
        train(tmp_path, squares(200), short)
    monkeypatch.setattr("models.loop.Checkpoints.save", refused)
    with pytest.raises(CheckpointError, match="no room for a checkpoint"):
        train(tmp_path / "other", squares(200), short)
    assert f"{tmp_path / 'other'} could not be written" in caplog.text
    assert not list(tmp_path.rglob("collapse.*"))


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "stats.jsonl").write_text('{"kimg": 1.0, "d_real": 1.0}\n{"kimg": 2.0, "d_re')
    assert read_curve(tmp_path) == [{"kimg": 1.0, "d_real": 1.0}]


def test_numbers_of_a_set_as_varied_as_the_real_one_and_of_one_that_is_not() -> None:
    real, made = np.random.default_rng(0).normal(size=(2, 200, 8))
    as_varied = diversity(real, made)
    assert as_varied["spread"] == pytest.approx(1, abs=0.05) and as_varied["coverage"] > 0.9 and as_varied["near_identical"] < 0.05
    collapsed = diversity(real, made[:1] + 0.01 * made)
    assert collapsed["spread"] < 0.02 and collapsed["coverage"] < 0.1 and collapsed["near_identical"] == 1
