"""The stage from faces to a generator, and what a kill in its middle leaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from small_models import BEGAN, FASTGAN, PLAIN, STYLEGAN2, TRAINED_DCGAN

from genga.errors import DataError, ParamsError
from genga.params import TrainFace, WatchCollapse
from genga.store import Store, StoreWriter, picture_id
from models.export import load_model
from models.loop import seed_step
from stages.train_face import family_params, fingerprint_for, tags_of, train_face

REPO = Path(__file__).parents[2]
PARAMS: dict[str, Any] = {
    "model": STYLEGAN2,
    "training": {"batch_size": 4, "total_kimg": 0.42, "log_kimg": 0.02, "sample_kimg": 0.2, "checkpoint_kimg": 0.1, "precision": "auto", "seed": 0},
    "faces": "prepared",
    "began": None,
    "warm_up": {"kimg": 0.15, "lr": 0.005, "kl_weight": 0.0001},
    "growth": [{"side": 8, "until_kimg": 0.12, "fade_kimg": 0.04}, {"side": 16, "until_kimg": 0.3, "fade_kimg": 0.1}],
    "style": {"mixing": 0.5, "path_weight": 2.0, "path_interval": 4, "residual": False},
    "g_lr": 0.002,
    "d_lr": 0.002,
    "beta1": 0.0,
    "beta2": 0.99,
    "loss": "logistic",
    "r1_gamma": 1.0,
    "r2_gamma": 1.0,
    "r1_interval": 4,
    "label_noise": 0.1,
    "augment": 0.3,
    "adapt": {"target": 0.6, "kimg": 2.0},
    "ema_kimg": 0.1,
}
SHORT = PARAMS | {"warm_up": None, "growth": [], "training": PARAMS["training"] | {"total_kimg": 0.02}}
WATCH = WatchCollapse.model_validate(
    {"action": "flag", "every_kimg": 0.1, "samples": 32, "from_kimg": 0.0, "near_identical": 1.0, "spread": 0.5, "coverage_kept": 0.0, "patience": 2}
)
COMMAND = """
import logging, sys
from pathlib import Path
from genga.params import TrainFace, WatchCollapse
from stages.train_face import train_face
logging.basicConfig(level=logging.INFO)
params, watch = (model.model_validate_json(text) for model, text in zip((TrainFace, WatchCollapse), sys.argv[1:]))
train_face("mine", params, watch, *map(Path, sys.argv[3:]))
"""


@pytest.fixture(scope="module")
def faces_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (40, 1, 1, 3), dtype=np.uint8)
    pictures = np.broadcast_to(colours, (40, 32, 32, 3)).copy()
    pictures[:, 8:24, 8:24] = 255 - pictures[:, 8:24, 8:24]
    store_dir = tmp_path_factory.mktemp("faces") / "prepared"
    with StoreWriter(store_dir, {"32": (32, 32, 3)}) as writer:
        rows = [
            {"id": picture_id(picture), "split": "train" if at < 32 else "test", "licence": "CC0-1.0", "source": "drawn"}
            for at, picture in enumerate(pictures)
        ]
        writer.append(rows, **{"32": pictures})
    return store_dir


def start(faces_dir: Path, root: Path, params: dict[str, Any]) -> subprocess.Popen[bytes]:
    sections = TrainFace.model_validate(params).model_dump_json(), WATCH.model_dump_json()
    paths = [faces_dir, root / "runs", root / "weights"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    return subprocess.Popen([sys.executable, "-c", COMMAND, *sections, *map(str, paths)], env=environment, stderr=subprocess.PIPE)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


SHORTER = {"training": PARAMS["training"] | {"total_kimg": 0.3}}
FAMILIES: dict[str, dict[str, Any]] = {  # with the plain discriminator stylegan2 is killed
    "stylegan2": {"style": PARAMS["style"] | {"residual": True}},
    "dcgan": {"model": TRAINED_DCGAN, "warm_up": None, "growth": [], "style": None} | SHORTER,
    "fastgan": {"model": FASTGAN | {"resolution": 32}, "growth": [], "style": None} | SHORTER,
    "began": PLAIN | {"model": BEGAN, "began": {"gamma": 0.5, "lambda_k": 0.01}} | SHORTER,
}


def assert_the_same(one: Path, other: Path) -> None:
    assert files_of(one / "weights") == files_of(other / "weights")
    assert files_of(one / "runs") == files_of(other / "runs")
    assert {"stats.jsonl", "collapse.json", "collapse.png"} <= files_of(one / "runs").keys()


def test_kill_9_in_mid_training_and_the_same_command_ends_in_the_same_bytes(faces_dir: Path, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    params = PARAMS | {"training": PARAMS["training"] | {"total_kimg": 0.6}}
    whole = start(faces_dir, undisturbed, params)
    assert whole.wait() == 0, whole.stderr and whole.stderr.read().decode()

    victim = start(faces_dir, killed, params)
    deadline = time.monotonic() + 120
    while not list((killed / "runs").glob("checkpoints/000000000[23]*.safetensors")):  # in the contest, past the warm-up
        assert victim.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert not (killed / "weights").exists()

    second = start(faces_dir, killed, params)
    _, told = second.communicate()
    assert second.returncode == 0 and b"going on from 0." in told
    assert_the_same(killed, undisturbed)


@pytest.mark.parametrize("arch", [pytest.param(arch, marks=[pytest.mark.slow] if arch == "fastgan" else []) for arch in FAMILIES])
def test_stopped_between_two_checkpoints_a_family_ends_in_the_same_bytes(
    faces_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arch: str
) -> None:
    """Optimizers, averaged weights, BEGAN's balance, augmentation, lazy R1, the watch, the order of the pictures, every random number."""
    params = TrainFace.model_validate(PARAMS | FAMILIES[arch])

    def train(root: Path) -> None:
        train_face("mine", params, WATCH, faces_dir, root / "runs", root / "weights")

    def stopping_at_260(seed: int, cur_nimg: int) -> None:
        if cur_nimg == 260:
            raise KeyboardInterrupt
        seed_step(seed, cur_nimg)

    with monkeypatch.context() as stopping:
        stopping.setattr("models.loop.seed_step", stopping_at_260)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "stopped")
    assert sorted(path.name[:12] for path in (tmp_path / "stopped/runs/checkpoints").iterdir()) == ["000000000100", "000000000200"]
    train(tmp_path / "stopped")
    train(tmp_path / "undisturbed")
    assert_the_same(tmp_path / "stopped", tmp_path / "undisturbed")


def test_the_stage_writes_a_generator_that_loads_and_a_card(faces_dir: Path, tmp_path: Path) -> None:
    train_face("mine", TrainFace.model_validate(SHORT), WATCH, faces_dir, tmp_path / "runs", tmp_path / "weights")
    G, card = load_model(tmp_path / "weights")
    assert G(torch.randn(2, 6)).shape == (2, 3, 32, 32)
    assert float(torch.as_tensor(G.w_avg).abs().sum()) > 0
    assert card["family"] == "mine" and card["kimg"] == 0.02
    assert card["data"]["count"] == 32 and card["data"]["licences"] == ["CC0-1.0"]
    assert not (tmp_path / "runs" / "checkpoints").exists()
    assert {path.name for path in (tmp_path / "runs").glob("*.png")} == {"collapse.png", "faces.png", "interpolation.png", "mixing.png"}


def test_killed_before_mlflow_has_heard_of_the_weights_it_goes_on_from_the_end(
    faces_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, paths = TrainFace.model_validate(SHORT), (faces_dir, tmp_path / "runs", tmp_path / "weights")
    with pytest.raises(KeyboardInterrupt):
        train_face("mine", params, WATCH, *paths, MagicMock(**{"finish.side_effect": KeyboardInterrupt}))
    before = files_of(tmp_path / "weights")
    monkeypatch.setattr("models.recipes.gan.GanRecipe.step", lambda *_: pytest.fail("trained again"))
    tracker = MagicMock()
    train_face("mine", params, WATCH, *paths, tracker)
    tracker.finish.assert_called_once_with(tmp_path / "weights")
    assert files_of(tmp_path / "weights") == before and not (tmp_path / "runs" / "checkpoints").exists()


def test_another_rule_of_the_watch_is_another_training_and_another_action_is_not() -> None:
    params, of = TrainFace.model_validate(SHORT), fingerprint_for
    assert of(params, WATCH.model_copy(update={"action": "stop"}), "d0") == of(params, WATCH, "d0")
    assert of(params, WATCH.model_copy(update={"patience": 3}), "d0") != of(params, WATCH, "d0")


def tagged(root: Path, ids: list[str]) -> Path:
    """Two tags a face: how far along it stands, and the opposite."""
    share = np.linspace(0, 1, len(ids), dtype=np.float32)
    (root / "tagged").mkdir(parents=True)
    rows = {"id": np.repeat(ids, 2), "column": ["glasses", "hair_color=red"] * len(ids), "probability": np.stack([share, 1 - share], axis=1).ravel()}
    pq.write_table(pa.table(rows), root / "tagged" / "tags.parquet")
    return root / "tagged"


def test_a_generator_told_tags_has_them_on_its_card_and_draws_by_them(faces_dir: Path, tmp_path: Path) -> None:
    ids = Store(faces_dir).column("id")
    short = TrainFace.model_validate(SHORT | {"faces": "tagged"})
    train_face("mine", short, WATCH, faces_dir, tmp_path / "runs", tmp_path / "weights", tagged_dir=tagged(tmp_path, ids))
    G, card = load_model(tmp_path / "weights")
    assert card["model"]["tags"] == ["glasses", "hair_color=red"]
    found = tags_of(Store(faces_dir), np.array([31, 0]), tmp_path / "tagged").found
    assert torch.allclose(found, torch.tensor([[31 / 39, 8 / 39], [0.0, 1.0]]))
    kept = G.mapping.kept  # type: ignore[union-attr]
    assert kept.unique(dim=0).shape == (32, 2)  # type: ignore[operator]  # all training faces, no others
    assert (tmp_path / "runs" / "tags.png").is_file()


def test_tags_of_other_faces_are_refused(faces_dir: Path, tmp_path: Path) -> None:
    other = tagged(tmp_path, Store(faces_dir).column("id")[::-1])
    for tagged_dir in (other, tagged(tmp_path / "few", Store(faces_dir).column("id")[:4])):
        with pytest.raises(DataError, match=r"tells of other faces.*dvc repro tag_faces"):
            tags_of(Store(faces_dir), np.arange(4), tagged_dir)


def test_pictures_of_another_size_are_refused(faces_dir: Path, tmp_path: Path) -> None:
    other = TrainFace.model_validate({**PARAMS, "model": PARAMS["model"] | {"resolution": 64}, "growth": []})
    with pytest.raises(DataError, match="no pictures of size 64, it has "):
        train_face("mine", other, WATCH, faces_dir, tmp_path / "runs", tmp_path / "weights")


def test_a_family_that_params_do_not_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    assert family_params("stylegan2").model.arch == "stylegan2"
    with pytest.raises(ParamsError, match="no family 'began64'"):
        family_params("began64")
