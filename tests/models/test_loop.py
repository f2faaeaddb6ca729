"""The loop, with the smallest recipe that has everything a real one has: a network laid out NHWC, an optimizer, noise."""

import json
import logging
import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from genga.errors import CheckpointError, ParamsError
from genga.params import Training, load_params
from models.loop import fingerprint_of, finish, fit

REPO = Path(__file__).parents[2]
TRAINING = Training(batch_size=4, total_kimg=0.06, log_kimg=0.008, sample_kimg=0.02, checkpoint_kimg=0.02, precision="fp32", seed=3)


class Denoiser:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1)).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.net.parameters(), 0.01)
        self.steps = 0

    def step(self, batch: torch.Tensor, cur_nimg: int) -> dict[str, float]:
        loss = (self.net(batch + 0.3 * torch.randn_like(batch)) - batch).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        return {"loss": loss.item(), **({"rare": float(cur_nimg)} if cur_nimg % 12 == 0 else {})}

    def sample(self) -> np.ndarray:
        return np.full((8, 8, 3), self.steps, np.uint8)

    def state_dict(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]

    def weights(self) -> list[np.ndarray]:
        return [weight.detach().numpy() for weight in self.net.parameters()]


def batch_at(cur_nimg: int) -> torch.Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(cur_nimg))


def train(run_dir: Path, *, batches: Callable[[int], torch.Tensor] = batch_at, training: Training = TRAINING, fingerprint: str = "a") -> Denoiser:
    recipe = Denoiser()
    fit(recipe, batches, training, run_dir, what="denoise", fingerprint=fingerprint)
    return recipe


def stopped_at(nimg: int) -> Callable[[int], torch.Tensor]:
    def batches(cur_nimg: int) -> torch.Tensor:
        if cur_nimg == nimg:
            raise KeyboardInterrupt
        return batch_at(cur_nimg)

    return batches


def recorded() -> tuple[list[int], Callable[[int], torch.Tensor]]:
    """Batches, and the places from which they were asked for."""
    seen: list[int] = []

    def batches(cur_nimg: int) -> torch.Tensor:
        seen.append(cur_nimg)
        return batch_at(cur_nimg)

    return seen, batches


def checkpoints(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "checkpoints").iterdir())


def nimg_in(folder: Path) -> list[int]:
    return sorted(int(path.name.split(".")[0]) for path in folder.iterdir())


@pytest.fixture
def undisturbed(tmp_path: Path) -> tuple[Denoiser, bytes]:
    recipe = train(tmp_path / "undisturbed")
    return recipe, (tmp_path / "undisturbed" / "stats.jsonl").read_bytes()


def assert_same(recipe: Denoiser, run_dir: Path, undisturbed: tuple[Denoiser, bytes]) -> None:
    assert all(np.array_equal(a, b) for a, b in zip(recipe.weights(), undisturbed[0].weights(), strict=True))
    assert (run_dir / "stats.jsonl").read_bytes() == undisturbed[1]


def test_a_training_writes_means_and_pictures_at_their_kimg(tmp_path: Path) -> None:
    train(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in lines] == [0.008, 0.016, 0.024, 0.032, 0.04, 0.048, 0.056, 0.06]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[0]["rare"] == 0 and "rare" not in lines[2] and lines[3]["rare"] == 24
    assert [path.name for path in sorted((tmp_path / "samples").iterdir())] == ["00000.020.png", "00000.040.png", "00000.060.png"]


def test_a_stopped_training_goes_on_and_ends_in_the_same_bytes(tmp_path: Path, undisturbed: tuple[Denoiser, bytes]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(52))
    seen, batches = recorded()
    recipe = train(tmp_path, batches=batches)
    assert seen == [40, 44, 48, 52, 56]
    assert recipe.steps == 15
    assert_same(recipe, tmp_path, undisturbed)


def test_the_last_two_checkpoints_stay_and_finish_keeps_the_last(tmp_path: Path) -> None:
    train(tmp_path)
    assert [path.name.split(".")[0] for path in checkpoints(tmp_path)] == ["000000000040", "000000000060"]
    finish(tmp_path)
    assert not (tmp_path / "checkpoints").exists() and nimg_in(tmp_path / "checkpoints-done") == [60]
    assert (tmp_path / "stats.jsonl").exists()


def test_checkpoints_stay_where_params_changed_in_the_meantime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPO / file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train_upscaler")
    load_params()
    train(tmp_path)
    before = Path("params.yaml").read_text()
    Path("params.yaml").write_text(before.replace("  crop: 64\n", "  crop: 32\n"))
    with pytest.raises(ParamsError, match=r"train_upscaler in params\.yaml changed while train_upscaler ran"):
        finish(tmp_path)
    assert checkpoints(tmp_path)
    Path("params.yaml").write_text(before)
    finish(tmp_path)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: b""])
def test_a_damaged_checkpoint_is_passed_over(
    tmp_path: Path, undisturbed: tuple[Denoiser, bytes], caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(52))
    newest = checkpoints(tmp_path)[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    with caplog.at_level(logging.INFO):
        recipe = train(tmp_path)
    assert "is damaged" in caplog.text and "going on from 0.02 kimg" in caplog.text
    assert_same(recipe, tmp_path, undisturbed)


def test_a_half_written_checkpoint_is_not_taken_for_one(tmp_path: Path, undisturbed: tuple[Denoiser, bytes]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(52))
    (tmp_path / "checkpoints" / "partial").write_bytes(b"half")
    assert_same(train(tmp_path), tmp_path, undisturbed)


def test_a_checkpoint_of_other_params_restarts_with_a_sentence(
    tmp_path: Path, undisturbed: tuple[Denoiser, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(52), fingerprint="b")
    recipe = train(tmp_path)
    assert "belongs to other params, data or code; starting afresh" in caplog.text
    assert recipe.steps == 15
    assert_same(recipe, tmp_path, undisturbed)


def test_an_interrupted_training_is_kept_while_other_params_are_tried_and_goes_on_when_they_are_back(
    tmp_path: Path, undisturbed: tuple[Denoiser, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for fingerprint, nimg in (("b", 32), ("c", 8)):  # the last has no checkpoint yet
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, batches=stopped_at(nimg), fingerprint=fingerprint)
    assert not (tmp_path / "checkpoints").exists()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(20), fingerprint="b")
    assert "going on from 0.02 kimg" in caplog.text
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(52))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(20), fingerprint="b")
    assert f"going on with {tmp_path / 'checkpoints-before'}" in caplog.text
    seen, batches = recorded()
    assert_same(train(tmp_path, batches=batches), tmp_path, undisturbed)
    assert seen == [40, 44, 48, 52, 56]
    assert [path.name.split(".")[0] for path in sorted((tmp_path / "checkpoints-before").iterdir())] == ["000000000020"]


def test_an_interrupted_training_goes_on_after_one_of_other_params_has_ended_and_no_more_than_one_is_kept(
    tmp_path: Path, undisturbed: tuple[Denoiser, bytes]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(52))
    for fingerprint in ("b", "c"):
        train(tmp_path, fingerprint=fingerprint)
        finish(tmp_path)
        assert sorted(path.name for path in tmp_path.glob("checkpoints*")) == ["checkpoints-before", "checkpoints-done"]
    seen, batches = recorded()
    assert_same(train(tmp_path, batches=batches), tmp_path, undisturbed)
    assert seen == [40, 44, 48, 52, 56]
    finish(tmp_path)
    assert [path.name for path in tmp_path.glob("checkpoints*")] == ["checkpoints-done"] and nimg_in(tmp_path / "checkpoints-done") == [60]


def test_a_training_that_has_ended_ends_at_once_while_another_is_tried_and_that_one_goes_on(
    tmp_path: Path, undisturbed: tuple[Denoiser, bytes]
) -> None:
    train(tmp_path)
    finish(tmp_path)
    for fingerprint in ("b", "c"):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, batches=stopped_at(52), fingerprint=fingerprint)
    assert_same(train(tmp_path, batches=stopped_at(0)), tmp_path, undisturbed)
    finish(tmp_path)
    seen, batches = recorded()
    assert_same(train(tmp_path, batches=batches, fingerprint="c"), tmp_path, undisturbed)
    assert seen == [40, 44, 48, 52, 56]
    assert nimg_in(tmp_path / "checkpoints-done") == [60]


@pytest.mark.parametrize("renamed", range(3))
@pytest.mark.parametrize("has_ended", [False, True])
def test_killed_while_two_trainings_change_places_neither_is_lost(
    tmp_path: Path, undisturbed: tuple[Denoiser, bytes], monkeypatch: pytest.MonkeyPatch, renamed: int, has_ended: bool
) -> None:
    if has_ended:
        train(tmp_path)
        finish(tmp_path)
    for fingerprint in ("c", "b") if has_ended else ("a", "b"):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, batches=stopped_at(52), fingerprint=fingerprint)
    rename, times = Path.rename, []

    def killed(path: Path, target: Path) -> Path:
        times.append(target)
        if len(times) > renamed:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(0))
    monkeypatch.undo()
    seen, batches = recorded()
    for fingerprint in ("b", "a"):
        assert_same(train(tmp_path, batches=batches, fingerprint=fingerprint), tmp_path, undisturbed)
    assert seen == [40, 44, 48, 52, 56] * (1 if has_ended else 2)


def test_a_finished_training_is_not_trained_further(tmp_path: Path, undisturbed: tuple[Denoiser, bytes]) -> None:
    train(tmp_path)
    recipe = train(tmp_path, batches=stopped_at(0))
    assert_same(recipe, tmp_path, undisturbed)


def test_a_checkpoint_is_no_pickle(tmp_path: Path) -> None:
    train(tmp_path)
    data = checkpoints(tmp_path)[-1].read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} == {"F32"}


def test_no_room_for_a_checkpoint_leaves_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(32))
    kept = checkpoints(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*make room"):
        train(tmp_path)
    monkeypatch.undo()
    assert [path for path in checkpoints(tmp_path) if path.suffix == ".safetensors"] == kept
    assert train(tmp_path).steps == 15


def test_a_disk_that_is_really_full_loses_nothing_and_leaves_no_half_file(tmp_path: Path, undisturbed: tuple[Denoiser, bytes]) -> None:
    """The system itself refuses to let a file grow, in the midst of the second checkpoint."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(32))
    kept = checkpoints(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kept[0].stat().st_size // 2, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"could not be written.*File too large.*put that right there and run the same command again"):
            train(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints(tmp_path) == kept
    assert_same(train(tmp_path), tmp_path, undisturbed)


def test_a_run_folder_that_cannot_be_written_is_told_at_the_start_and_where_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"stats\.jsonl could not be written.*put that right there"):
        train(tmp_path / "file")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "runs", batches=stopped_at(32))
    shutil.rmtree(tmp_path / "runs" / "samples")
    (tmp_path / "runs" / "samples").write_bytes(b"")  # a file in a folder's place
    with pytest.raises(CheckpointError, match=r"stats\.jsonl could not be written.*put that right there"):
        train(tmp_path / "runs")


@pytest.mark.parametrize("at", range(0, 60, 4))
def test_stopped_at_any_step_it_ends_in_the_same_bytes(tmp_path: Path, undisturbed: tuple[Denoiser, bytes], at: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=stopped_at(at))
    assert_same(train(tmp_path), tmp_path, undisturbed)


def test_a_stray_file_among_the_checkpoints_is_left_alone(tmp_path: Path, undisturbed: tuple[Denoiser, bytes]) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mine.safetensors").write_bytes(b"")
    assert_same(train(tmp_path), tmp_path, undisturbed)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"denoise: loss became nan at 0.032 kimg.*learning rate"):
        train(tmp_path, batches=lambda cur_nimg: batch_at(cur_nimg) * (float("nan") if cur_nimg == 32 else 1))


def test_every_step_draws_its_own_noise(tmp_path: Path) -> None:
    drawn: list[float] = []

    def batches(cur_nimg: int) -> torch.Tensor:
        drawn.append(torch.rand(()).item())
        return batch_at(cur_nimg)

    train(tmp_path, batches=batches)
    assert len(set(drawn)) == 15
    again = list(drawn)
    drawn.clear()
    train(tmp_path / "again", batches=batches)
    assert drawn == again


def test_the_tracker_hears_of_every_line_and_picture(tmp_path: Path) -> None:
    heard: list[Any] = []

    class Ear:
        def afresh(self) -> None:
            heard.append("afresh")

        def log(self, scalars: dict[str, float], cur_nimg: int) -> None:
            heard.append((cur_nimg, sorted(scalars)))

        def picture(self, path: Path) -> None:
            heard.append(path.name)

    fit(Denoiser(), batch_at, TRAINING, tmp_path, what="denoise", fingerprint="a", tracker=Ear())
    assert heard[:4] == ["afresh", (8, ["loss", "rare"]), (16, ["loss", "rare"]), "00000.020.png"]
    fit(Denoiser(), batch_at, TRAINING, tmp_path, what="denoise", fingerprint="a", tracker=Ear())
    assert heard.count("afresh") == 1  # it went on from its last checkpoint


def test_a_fingerprint_follows_params_data_and_the_rest() -> None:
    one = fingerprint_of(TRAINING, "data")
    assert one == fingerprint_of(TRAINING.model_copy(), "data")
    others = {
        fingerprint_of(TRAINING.model_copy(update={"seed": 4}), "data"),
        fingerprint_of(TRAINING, "other data"),
        fingerprint_of(TRAINING, "data", extra="labels"),
        fingerprint_of(TRAINING, "data", read_by=[__file__]),
    }
    assert len(others | {one}) == 5


@pytest.mark.parametrize("changed", ["models/recipes/gan.py", "genga/store.py"])
def test_other_code_is_another_training(changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("models", "genga"):
        shutil.copytree(REPO / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("models.loop.__file__", str(tmp_path / "models" / "loop.py"))
    before = fingerprint_of(TRAINING, "data")
    with (tmp_path / changed).open("a") as file:
        file.write("# changed\n")
    assert fingerprint_of(TRAINING, "data") != before


@pytest.mark.parametrize("stage", sorted(path.name for path in REPO.glob("stages/*.py") if "models.loop" in path.read_text()))
def test_a_stage_that_trains_has_its_own_code_in_the_fingerprint(stage: str) -> None:
    assert re.search(r"fingerprint_of\(.*\[__file__", (REPO / "stages" / stage).read_text())
