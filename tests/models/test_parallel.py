"""Two processes on the CPU train as one does with the same batches."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.numpy import load_file
from small_models import BEGAN, FASTGAN, PLAIN, SRGAN, STYLEGAN2, TRAINED_DCGAN

from genga.errors import ParamsError
from genga.params import TrainFace, TrainUpscaler, WatchCollapse
from genga.registry import Registry
from genga.store import StoreWriter, picture_id
from models import parallel
from stages.train_face import train_face
from stages.train_upscaler import train_upscaler

REPO = Path(__file__).parents[2]
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
        "growth": [{"side": 8, "until_kimg": 0.036, "fade_kimg": 0.012}, {"side": 16, "until_kimg": 0.06, "fade_kimg": 0.016}],
    },
    "began": {
        **{"model": BEGAN, "began": {"gamma": 0.5, "lambda_k": 0.01}},
        **{"r1_gamma": 0.0, "label_noise": 0.0, "augment": 0.0},
    },
    "fastgan": {"model": FASTGAN, "g_lr": 0.0001, "d_lr": 0.0005},  # faster, it enlarges rounding; in float64 it is the same to 13 digits
}
ODD: dict[str, Any] = {"model": TRAINED_DCGAN, "training": PARAMS["training"] | {"batch_size": 5}}
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


def train(faces_dir: Path, root: Path, arch: str) -> None:
    """By as many processes as there are, each of which calls this."""
    paths = faces_dir, root / "runs", root / "weights"
    if arch in UPSCALERS:
        train_upscaler(TrainUpscaler.model_validate(ENLARGING | UPSCALERS[arch]), *paths)
    else:
        params, watch = TrainFace.model_validate(PARAMS | (FAMILIES | {"odd": ODD})[arch]), WatchCollapse.model_validate(WATCH)
        train_face("mine", params, watch, *paths, tagged_dir=faces_dir.parent / "tagged")


def launch(faces_dir: Path, root: Path, *launcher: str, devices: int, archs: list[str]) -> subprocess.CompletedProcess[str]:
    """This file as a command: trains one after the other. `devices` 0: as many as torchrun says."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    command = [sys.executable, *launcher, __file__, str(devices), str(faces_dir), str(root), *archs]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def by_one(faces_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives the folder of what this process alone has trained, on one thread; each once."""

    @cache
    def trained(arch: str) -> Path:
        root, threads = tmp_path_factory.mktemp(arch), torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            train(faces_dir, root, arch)
        finally:
            torch.set_num_threads(threads)
        return root

    return trained


@pytest.fixture(scope="module")
def by_two(faces_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of all that two processes have trained, and how they ended: the last batch cannot be shared."""
    root = tmp_path_factory.mktemp("two")
    return root, launch(faces_dir, root, devices=2, archs=[*FAMILIES, *UPSCALERS, "odd"])


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
def test_two_processes_have_the_losses_of_one_with_the_same_batches(
    by_one: Callable[[str], Path], by_two: tuple[Path, subprocess.CompletedProcess[str]], arch: str
) -> None:
    root, ended = by_two
    assert (root / arch / "weights").is_dir(), ended.stderr
    assert_alike(by_one(arch), root / arch)


@pytest.mark.slow
def test_torchrun_does_the_same(faces_dir: Path, by_one: Callable[[str], Path], tmp_path: Path) -> None:
    two = launch(faces_dir, tmp_path, "-m", "torch.distributed.run", "--nproc-per-node", "2", devices=0, archs=["dcgan"])
    assert two.returncode == 0, two.stderr
    assert_alike(by_one("dcgan"), tmp_path / "dcgan")


@pytest.mark.parametrize(
    ("devices", "environment", "torchrun", "said"),
    [
        (-1, None, None, "--devices -1 was found, expected 1 or more"),
        (0, None, None, "--devices 0 was found, expected 1 or more"),
        (2, None, None, "2 processes were asked for, expected at most 1, a GPU for each"),
        (1, None, "2", "--devices 1 was found, expected 2, which torchrun started"),
        (None, None, "2", "2 processes were asked for, expected at most 1"),
        (None, "0", None, "GENGA_DEVICES=0 was found, expected 1 or more"),
        (None, "four", None, "GENGA_DEVICES=four was found, expected 1 or more"),
        (None, "2", None, "2 processes were asked for, expected at most 1, a GPU for each"),
        (None, "1", "2", "GENGA_DEVICES=1 was found, expected 2, which torchrun started"),
    ],
)
def test_numbers_of_processes_that_cannot_be_are_refused(
    monkeypatch: pytest.MonkeyPatch, devices: int | None, environment: str | None, torchrun: str | None, said: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    if environment:
        monkeypatch.setenv("GENGA_DEVICES", environment)
    if torchrun:
        for name in ("TORCHELASTIC_RUN_ID", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
            monkeypatch.setenv(name, torchrun)
    with pytest.raises(ParamsError, match=said), parallel.together(devices):
        pass


@pytest.mark.parametrize("stage", ["train_face", "train_upscaler"])
def test_the_graph_s_command_goes_by_the_environment_and_devices_before_it(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    monkeypatch.chdir(REPO)
    monkeypatch.setenv("GENGA_DEVICES", "0")
    block = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][stage]
    command = block.get("do", block)["cmd"].replace("${key}", "dcgan32").split()
    monkeypatch.setattr(sys, "argv", command[2:])  # after `python -m`
    with pytest.raises(ParamsError, match="GENGA_DEVICES=0 was found"):
        import_module(f"stages.{stage}").main()
    with parallel.together(1):
        assert parallel.size() == 1


def test_a_batch_that_cannot_be_shared_is_refused(by_two: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, ended = by_two
    assert ended.returncode != 0 and "a batch of 5 was found for 2 processes" in ended.stderr


@pytest.mark.parametrize("arch", UPSCALERS)
def test_two_processes_train_an_upscaler_as_one_does(
    by_one: Callable[[str], Path], by_two: tuple[Path, subprocess.CompletedProcess[str]], arch: str
) -> None:
    root, ended = by_two
    assert (root / arch / "weights").is_dir(), ended.stderr
    one = by_one(arch)
    assert ["fooled" in line for line in losses(one)] == [False] * 5 + [True] * 5
    assert ["r1" in line for line in losses(one)] == [arch == "upscaler" and at in (6, 8) for at in range(10)]
    assert_alike(one, root / arch)


@pytest.mark.slow
def test_of_two_processes_by_the_stage_s_own_door_the_first_alone_speaks_to_mlflow(
    faces_dir: Path, by_one: Callable[[str], Path], tmp_path: Path
) -> None:
    document = yaml.safe_load((REPO / "params.yaml").read_text()) | {"train_upscaler": ENLARGING | UPSCALERS["upscaler"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-m", "stages.train_upscaler", str(faces_dir), "runs", "weights", "--devices", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert_alike(by_one("upscaler"), tmp_path)
    assert len(Registry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path).runs("upscaler")) == 1


if __name__ == "__main__":
    devices, faces, out, *archs = sys.argv[1:]
    with parallel.together(int(devices) or None):
        for arch in archs:
            train(Path(faces), Path(out) / arch, arch)
