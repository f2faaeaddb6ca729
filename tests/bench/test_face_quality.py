"""What is kept from call to call, what stands beside the numbers, and how long a training is planned."""

import hashlib
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_models import PLAIN, STYLEGAN2, TRAINED_DCGAN

from bench import face_quality, gpu_speed, originals
from bench.face_quality import Turned, ids_sha256, key_of, planned
from genga.params import TrainFace

TRAINING = {"batch_size": 8, "total_kimg": 0.8, "log_kimg": 1.0, "sample_kimg": 1.0, "checkpoint_kimg": 1.0, "precision": "fp32", "seed": 0}
PARAMS: dict[str, Any] = PLAIN | {
    "model": TRAINED_DCGAN | {"width": 8},
    "training": TRAINING,
    **{"g_lr": 0.001, "d_lr": 0.001, "beta1": 0.5, "beta2": 0.99, "ema_kimg": 0.01},
}
STYLE = {"mixing": 0.0, "path_weight": 2.0, "path_interval": 4, "residual": False}


def params(**changes: Any) -> TrainFace:
    return TrainFace.model_validate(PARAMS | changes)


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"r1_gamma": 1.0, "r1_interval": 16}, 1 + 16 / 16),
        ({"r1_gamma": 1.0, "r1_interval": 16, "model": STYLEGAN2, "style": STYLE}, 1 + 16 / 16 + 2 / 4),
        ({"r1_gamma": 0.0, "r1_interval": 16}, 1),
    ],
)
def test_a_training_is_planned_by_steps_with_and_without_penalties_as_often_as_they_come(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], seconds: float
) -> None:
    """On a clock by which a plain step takes a second, R1 sixteen more, a path length two more."""
    wanted, now = params(**changes), [0.0]

    def step(batch: torch.Tensor, cur_nimg: int) -> None:
        at = cur_nimg // len(batch)
        now[0] += 1 + (16 if wanted.r1_gamma and at % 16 == 0 else 0) + (2 if wanted.style and at % 4 == 0 else 0)

    monkeypatch.setattr(face_quality, "face_recipe", lambda _: SimpleNamespace(step=step))
    monkeypatch.setattr(face_quality, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    found = planned(wanted, torch.zeros(8, 32, 32, 3, dtype=torch.uint8), minutes=10.0)
    assert found.training.total_kimg == pytest.approx(600 / seconds * 8 / 1000)


def test_what_is_kept_goes_by_params_pictures_and_a_peer_s_file(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    data, other_data = ids_sha256(pictures), ids_sha256(pictures[1:])
    peers = tmp_path / "peers.py"
    peers.write_text("one")
    keys = [key_of(params(), data), key_of(params(g_lr=0.002), data), key_of(params(), other_data), key_of(peers, data), key_of(peers, other_data)]
    peers.write_text("two")
    keys.append(key_of(peers, data))
    assert len(set(keys)) == 6 and all(len(key) == 12 for key in keys)
    assert key_of(params(), data) == keys[0]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w") as file:
        for at, colour in enumerate(np.random.default_rng(0).integers(0, 256, (120, 3))):
            file.writestr(f"images/{at:03d}.jpg", cv2.imencode(".jpg", np.full((32, 32, 3), colour, np.uint8))[1].tobytes())
    return path


def test_numbers_stand_in_a_json_with_their_protocol_and_other_params_are_trained_anew(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    tags, turns = Turned().eval(), Turned().eval()
    found = {"dcgan": params()}
    monkeypatch.setattr(face_quality, "SIDES", {32: (archive.name, 60, ())})
    monkeypatch.setattr(face_quality, "SAMPLES", 100)
    monkeypatch.setattr(face_quality, "families", lambda _: found)
    monkeypatch.setattr(face_quality, "learn_tags", lambda *_: tags)
    monkeypatch.setattr(face_quality, "learn_turns", lambda *_: turns)
    trained: list[int] = []
    whole = face_quality.train
    monkeypatch.setattr(face_quality, "train", lambda *args, **how: trained.append(1) or whole(*args, **how))

    def measured() -> dict[str, Any]:
        face_quality.measure(None, ["ours dcgan"], 32, 0.01, archive, tmp_path / "sheet.png", tmp_path / "kept")
        report: dict[str, Any] = json.loads((tmp_path / "sheet.json").read_text())
        return report

    (tmp_path / "kept").mkdir()
    report = measured()
    pictures = np.random.default_rng(0).permutation(face_quality.read_pictures(archive))
    assert report["protocol"]["held_out_sha256"] == ids_sha256(pictures[:60]) != report["learned_from"]["sha256"] == ids_sha256(pictures[60:])
    assert report["protocol"] | {"samples": 100, "side": 32, "held_out": 60} == report["protocol"]
    shas = {name: extractor["sha256"] for name, extractor in report["protocol"]["extractors"].items()}
    assert shas.keys() == {"tags", "turns"} and shas["tags"] != shas["turns"] and len(shas["tags"]) == 64
    assert report["kimg"]["ours dcgan"] > 0 and {"fd", "kid"} <= report["scores"]["ours dcgan"]["turns"].keys()
    assert measured() == report and len(trained) == 1
    found["dcgan"] = params(g_lr=0.002)
    assert measured()["scores"]["ours dcgan"] != report["scores"]["ours dcgan"] and len(trained) == 2


def test_which_way_up_is_not_learned_from_held_out_pictures(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.rename(tmp_path / "faces64.zip")
    (tmp_path / "faces96.zip").write_bytes(b"")
    monkeypatch.setattr(originals, "REAL", tmp_path / "faces96.zip")
    monkeypatch.setattr(originals, "HELD_OUT", 50)
    seen: list[np.ndarray] = []
    monkeypatch.setattr(originals, "learn_tags", lambda *_: None)
    monkeypatch.setattr(originals, "learn_turns", lambda pictures, *_: seen.append(pictures))
    monkeypatch.setattr(originals, "compared", lambda family, *_: (np.zeros((16, 64, 64, 3), np.uint8), {"of": family}))
    monkeypatch.setattr("sys.argv", ["originals", "--only", "dcgan32", "--sheet", str(tmp_path / "originals.png")])
    originals.main()
    held_out, real = originals.split(64)
    names = [{hashlib.sha256(picture.tobytes()).digest() for picture in pictures} for pictures in (held_out, real, seen[0])]
    assert len(held_out) == 50 and names[0].isdisjoint(names[2]) and names[1] == names[2]
    assert json.loads((tmp_path / "originals.json").read_text())["families"] == {"dcgan32": {"of": "dcgan32"}}


def test_the_speed_on_a_gpu_is_not_measured_without_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu_speed"])
    gpu_speed.main()
    assert capsys.readouterr().out == "gpu_speed: skipped, PyTorch finds no GPU here\n"
    both = [gpu_speed.settings(side) for side in (128, 256)]
    assert [(each.model.resolution, each.training.batch_size, each.r1_interval) for each in both] == [(128, 32, 16), (256, 16, 16)]
