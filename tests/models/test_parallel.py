"""Two processes on the CPU train as one does with the same batches."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.numpy import load_file
from small_models import BEGAN, FASTGAN, PLAIN, SRGAN, STYLEGAN2, TRAINED_DCGAN

from genga.errors import ParamsError
from genga.params import TrainFace, WatchCollapse
from genga.registry import Registry
from genga.store import StoreWriter, picture_id
from models import parallel

REPO = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from genga.params import TrainFace, WatchCollapse
from models import parallel
from stages.train_face import train_face
params, watch = (section.model_validate_json(text) for section, text in zip((TrainFace, WatchCollapse), sys.argv[2:4]))
with parallel.together(int(sys.argv[1]) or None):
    train_face("mine", params, watch, *map(Path, sys.argv[4:7]), tagged_dir=Path(sys.argv[7]))
"""
PARAMS: dict[str, Any] = PLAIN | {
    "training": {"batch_size": 8, "total_kimg": 0.08, "log_kimg": 0.008, "sample_kimg": 1.0, "checkpoint_kimg": 0.04, "precision": "fp32", "seed": 0},
    **{"g_lr": 0.002, "d_lr": 0.002, "beta1": 0.5, "beta2": 0.99, "r1_gamma": 1.0, "r1_interval": 3},
    **{"label_noise": 0.1, "augment": 0.5, "ema_kimg": 0.02},
}
# batch norm, dropout and lazy R1; batch norm in both networks; minibatch stddev under R1, a warm-up, growth, noise, mixed styles, adaptive
# augmentation, tags; BEGAN's balance; batch norm and minibatch stddev at once
FAMILIES: dict[str, dict[str, Any]] = {
    "dcgan": {"model": TRAINED_DCGAN},
    "dcgan-paper": {"model": TRAINED_DCGAN | {"d_batch_norm": True}, "r1_gamma": 0.0},
    "stylegan2": {
        "faces": "tagged",
        "model": STYLEGAN2,
        "style": {"mixing": 0.5, "path_weight": 2.0, "path_interval": 4, "residual": False},
        "adapt": {"target": 0.6, "kimg": 0.1},
        "training": PARAMS["training"] | {"batch_size": 12, "total_kimg": 0.12},  # 6 a process: not whole groups of minibatch stddev
        "warm_up": {"kimg": 0.024, "lr": 0.005, "kl_weight": 0.0001},
        "growth": [{"side": 4, "until_kimg": 0.036, "fade_kimg": 0.012}, {"side": 16, "until_kimg": 0.06, "fade_kimg": 0.016}],
    },
    "began": {
        **{"model": BEGAN, "began": {"gamma": 0.5, "lambda_k": 0.01}},
        **{"r1_gamma": 0.0, "label_noise": 0.0, "augment": 0.0},
    },
    "fastgan": {"model": FASTGAN, "g_lr": 0.0001, "d_lr": 0.0005},  # faster, it enlarges rounding; in float64 it is the same to 13 digits
}
WATCH = {
    "action": "flag",
    "every_kimg": 0.04,
    "samples": 16,
    "from_kimg": 9.0,
    "near_identical": 1.0,
    "spread": 0.5,
    "coverage_kept": 0.0,
    "patience": 1,
}


@pytest.fixture(scope="module")
def faces_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    store_dir = tmp_path_factory.mktemp("faces") / "prepared"
    with StoreWriter(store_dir, {"32": (32, 32, 3), "64": (64, 64, 3)}) as writer:
        row = {"split": "train", "licence": "CC0-1.0", "source": "drawn", "width": 32, "height": 32}
        writer.append([row | {"id": picture_id(each)} for each in pictures], **{"32": pictures, "64": pictures.repeat(2, axis=1).repeat(2, axis=2)})
    tags = {"id": np.repeat([picture_id(each) for each in pictures], 2), "column": ["glasses", "smile"] * 40, "probability": np.linspace(0, 1, 80)}
    (store_dir.parent / "tagged").mkdir()
    pq.write_table(pa.table(tags), store_dir.parent / "tagged" / "tags.parquet")
    return store_dir


def train(faces_dir: Path, root: Path, arch: str, *launcher: str, devices: int, batch_size: int | None = None) -> subprocess.CompletedProcess[str]:
    root.mkdir()
    script = root / "train.py"
    script.write_text(SCRIPT)
    params = TrainFace.model_validate(
        PARAMS | FAMILIES[arch] | {"training": (PARAMS | FAMILIES[arch])["training"] | ({"batch_size": batch_size} if batch_size else {})}
    )
    sections = params.model_dump_json(), WatchCollapse.model_validate(WATCH).model_dump_json()
    paths = map(str, (faces_dir, root / "runs", root / "weights", faces_dir.parent / "tagged"))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    command = [sys.executable, *launcher, str(script), str(devices), *sections, *paths]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)


def losses(root: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (root / "runs" / "stats.jsonl").read_text().splitlines()]


def assert_alike(one: Path, two: Path) -> None:
    for ours, theirs in zip(losses(one), losses(two), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=2e-4)
    first = losses(one)[0].keys() & {"d_loss", "g_loss", "l1", "mse", "d_real"}
    assert first and {name: losses(one)[0][name] for name in first} == pytest.approx({name: losses(two)[0][name] for name in first}, rel=1e-5)
    ours, theirs = (load_file(root / "weights" / "weights.safetensors") for root in (one, two))
    for name, weight in ours.items():
        assert np.abs(weight - theirs[name]).max() < 5e-3, name


@pytest.mark.parametrize("arch", FAMILIES)
def test_two_processes_have_the_losses_of_one_with_the_same_batches(faces_dir: Path, tmp_path: Path, arch: str) -> None:
    one = train(faces_dir, tmp_path / "one", arch, devices=1)
    assert one.returncode == 0, one.stderr
    two = train(faces_dir, tmp_path / "two", arch, devices=2)
    assert two.returncode == 0, two.stderr
    assert_alike(tmp_path / "one", tmp_path / "two")


def test_torchrun_does_the_same(faces_dir: Path, tmp_path: Path) -> None:
    one = train(faces_dir, tmp_path / "one", "dcgan", devices=1)
    two = train(faces_dir, tmp_path / "two", "dcgan", "-m", "torch.distributed.run", "--nproc-per-node", "2", devices=0)
    assert one.returncode == two.returncode == 0, two.stderr
    assert_alike(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(
    ("devices", "torchrun", "said"),
    [
        (-1, None, "--devices -1 was found, expected 1 or more"),
        (0, None, "--devices 0 was found, expected 1 or more"),
        (2, None, "2 processes were asked for, expected at most 1, a GPU for each"),
        (1, "2", "--devices 1 was found, expected 2, which torchrun started"),
        (None, "2", "2 processes were asked for, expected at most 1"),
    ],
)
def test_numbers_of_processes_that_cannot_be_are_refused(
    monkeypatch: pytest.MonkeyPatch, devices: int | None, torchrun: str | None, said: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    if torchrun:
        for name in ("TORCHELASTIC_RUN_ID", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
            monkeypatch.setenv(name, torchrun)
    with pytest.raises(ParamsError, match=said), parallel.together(devices):
        pass


def test_a_batch_that_cannot_be_shared_is_refused(faces_dir: Path, tmp_path: Path) -> None:
    refused = train(faces_dir, tmp_path / "odd", "dcgan", devices=2, batch_size=5)
    assert refused.returncode != 0 and "a batch of 5 was found for 2 processes" in refused.stderr


# wide enough for Muon, R1 twice in the contest; batch norm in both networks
ENLARGING: dict[str, Any] = {"training": PARAMS["training"], "ema_kimg": 0.02, "crop": 32, "adversarial": None, "srgan": None}
UPSCALERS: dict[str, dict[str, Any]] = {
    "upscaler": {
        **{"model": {"arch": "upscaler", "width": 32, "blocks": 1}, "lr": 0.002},
        "adversarial": {
            **{"kimg": 0.04, "weight": 0.1, "lr": 0.001, "d_lr": 0.001, "r1_gamma": 1.0, "r1_interval": 2},
            **{"channel_base": 256, "channel_max": 16},
        },
    },
    "srgan": {"model": SRGAN, "lr": 0.0002, "srgan": {"kimg": 0.04, "weight": 0.1, "d_lr": 0.0002, "d_width": 8}},
}


def enlarge(faces_dir: Path, root: Path, arch: str, *more: str) -> None:
    """By the stage's own door, which is where MLflow is."""
    root.mkdir()
    (root / "params.yaml").write_text(
        yaml.safe_dump(yaml.safe_load((REPO / "params.yaml").read_text()) | {"train_upscaler": ENLARGING | UPSCALERS[arch]})
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-m", "stages.train_upscaler", str(faces_dir), "runs", "weights", *more]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arch", UPSCALERS)
def test_two_processes_train_an_upscaler_as_one_does_and_the_first_alone_speaks_to_mlflow(faces_dir: Path, tmp_path: Path, arch: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    enlarge(faces_dir, one, arch)
    enlarge(faces_dir, two, arch, "--devices", "2")
    assert ["fooled" in line for line in losses(one)] == [False] * 5 + [True] * 5
    assert ["r1" in line for line in losses(one)] == [arch == "upscaler" and at in (6, 8) for at in range(10)]
    assert_alike(one, two)
    assert len(Registry(f"sqlite:///{two}/mlflow.db", two).runs("upscaler")) == 1
