from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from genga.errors import DataError
from genga.params import TrainUpscaler
from genga.store import Store, StoreWriter, picture_id
from models.export import load_model
from models.recipes.srgan import SRGANRecipe
from models.recipes.upscaler import UpscalerRecipe
from stages.train_upscaler import train_upscaler, truth_size

PARAMS: dict[str, Any] = {
    "model": {"arch": "upscaler", "width": 16, "blocks": 1},
    "training": {"batch_size": 8, "total_kimg": 1.6, "log_kimg": 0.4, "sample_kimg": 0.8, "checkpoint_kimg": 0.4, "precision": "fp32", "seed": 0},
    "lr": 0.005,
    "ema_kimg": 0.05,
    "crop": 32,
    "adversarial": None,
    "srgan": None,
}
CONTEST = {"kimg": 0.4, "weight": 0.01, "lr": 0.001, "d_lr": 0.001, "r1_gamma": 1.0, "r1_interval": 4, "channel_base": 256, "channel_max": 16}
SRGAN: dict[str, Any] = {
    **{"model": {"arch": "srgan", "width": 8, "blocks": 1}, "ema_kimg": 0.0},
    "srgan": {"kimg": 0.4, "weight": 0.001, "d_lr": 0.001, "d_width": 8},
}


def store_of_discs(root: Path, native: int, splits: tuple[str, ...] = ("train", "train", "train", "test")) -> Path:
    y, x = np.mgrid[:64, :64]
    rng = np.random.default_rng(0)
    discs = [np.hypot(x - rng.uniform(16, 48), y - rng.uniform(16, 48)) < rng.uniform(8, 20) for _ in range(24)]
    large = (np.stack(discs)[..., None] * np.full(3, 255)).astype(np.uint8)
    rows = [
        {
            "id": picture_id(picture),
            "split": splits[at % len(splits)],
            "width": native,
            "height": native + 9,
            "licence": "CC0-1.0",
            "source": "drawn",
        }
        for at, picture in enumerate(large)
    ]
    with StoreWriter(root / "prepared", {"32": (32, 32, 3), "64": (64, 64, 3)}) as writer:
        writer.append(rows, **{"32": large[:, ::2, ::2], "64": large})
    return root / "prepared"


@pytest.mark.parametrize(("native", "size"), [(40, 32), (63, 32), (64, 64), (900, 64), (20, 32)])
def test_the_truth_is_the_largest_size_that_most_pictures_really_have(tmp_path: Path, native: int, size: int) -> None:
    assert truth_size(Store(store_of_discs(tmp_path, native)), crop=32) == size


def test_sizes_below_the_crop_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"largest prepared size is 64, expected at least train_upscaler.crop = 96"):
        truth_size(Store(store_of_discs(tmp_path, 64)), crop=96)


def test_the_stage_beats_bicubic_and_says_what_it_learned_from(tmp_path: Path) -> None:
    prepared = store_of_discs(tmp_path, 64)
    train_upscaler(TrainUpscaler.model_validate(PARAMS), prepared, tmp_path / "runs", tmp_path / "weights")
    _, card = load_model(tmp_path / "weights")
    assert card["metrics"]["psnr"] > card["metrics"]["psnr_bicubic"] + 0.5
    assert card["notes"] == ["Learned to make 64 px pictures out of 16 px ones."]
    assert card["data"]["count"] == 18
    assert (tmp_path / "weights" / "sheet.png").is_file()


def test_where_crops_are_larger_than_most_pictures_the_log_and_the_card_say_that_those_were_enlarged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    params = TrainUpscaler.model_validate({**PARAMS, "crop": 64, "training": PARAMS["training"] | {"total_kimg": 0.008}})
    train_upscaler(params, store_of_discs(tmp_path, 40), tmp_path / "runs", tmp_path / "weights")
    said = "Most of the 64 px pictures it learned from were enlarged and hold no more detail than before: half are at most 40 px wide."
    assert f"{said} Lower train_upscaler.crop in params.yaml, or import larger pictures." in caplog.text
    assert load_model(tmp_path / "weights")[1]["notes"][1] == said


def test_killed_before_mlflow_has_heard_of_the_weights_it_goes_on_from_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = TrainUpscaler.model_validate({**PARAMS, "training": PARAMS["training"] | {"total_kimg": 0.016}})
    paths = store_of_discs(tmp_path, 64), tmp_path / "runs", tmp_path / "weights"
    with pytest.raises(KeyboardInterrupt):
        train_upscaler(short, *paths, MagicMock(**{"finish.side_effect": KeyboardInterrupt}))
    monkeypatch.setattr(UpscalerRecipe, "step", lambda *_: pytest.fail("trained again"))
    train_upscaler(short, *paths, MagicMock())
    assert not (tmp_path / "runs" / "checkpoints").exists()


def test_a_corrected_licence_or_a_kill_before_dvc_has_noted_the_end_costs_no_second_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = TrainUpscaler.model_validate({**PARAMS, "training": PARAMS["training"] | {"total_kimg": 0.016}})
    paths = prepared, _, weights_dir = store_of_discs(tmp_path, 64), tmp_path / "runs", tmp_path / "weights"
    train_upscaler(short, *paths)
    before = (weights_dir / "weights.safetensors").read_bytes()
    store = Store(prepared)
    rows, arrays = store.manifest.to_pylist(), {size: np.array(store.images(size)) for size in store.sizes}
    with StoreWriter(prepared, {size: array.shape[1:] for size, array in arrays.items()}) as writer:
        writer.append([row | {"licence": "corrected"} for row in rows], **arrays)
    monkeypatch.setattr(UpscalerRecipe, "step", lambda *_: pytest.fail("trained again"))
    for _ in range(2):
        train_upscaler(short, *paths)
        assert (weights_dir / "weights.safetensors").read_bytes() == before
        assert load_model(weights_dir)[1]["data"]["licences"] == ["corrected"]


def test_without_held_out_pictures_the_card_says_so(tmp_path: Path) -> None:
    prepared = store_of_discs(tmp_path, 64, splits=("train",))
    short = TrainUpscaler.model_validate({**PARAMS, "training": PARAMS["training"] | {"total_kimg": 0.016}})
    train_upscaler(short, prepared, tmp_path / "runs", tmp_path / "weights")
    assert "none were held out" in load_model(tmp_path / "weights")[1]["notes"][1]


def test_no_pictures_to_learn_from_are_told_in_a_sentence(tmp_path: Path) -> None:
    prepared = store_of_discs(tmp_path, 64, splits=("test",))
    with pytest.raises(DataError, match=r"no pictures to read in .*prepare_faces\.val"):
        train_upscaler(TrainUpscaler.model_validate(PARAMS), prepared, tmp_path / "runs", tmp_path / "weights")


def test_an_interrupted_training_starts_afresh_over_other_pictures_of_the_same_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where faces are cropped with another margin: they keep the ids of the pictures that they come from."""
    short = TrainUpscaler.model_validate({**PARAMS, "training": PARAMS["training"] | {"total_kimg": 0.016}})
    prepared = store_of_discs(tmp_path, 64)
    paths = prepared, tmp_path / "runs", tmp_path / "weights"
    with pytest.raises(KeyboardInterrupt):
        train_upscaler(short, *paths, MagicMock(**{"finish.side_effect": KeyboardInterrupt}))
    store = Store(prepared)
    rows, arrays = store.manifest.to_pylist(), {size: 255 - np.asarray(store.images(size)) for size in store.sizes}
    with StoreWriter(prepared, {size: array.shape[1:] for size, array in arrays.items()}) as writer:
        writer.append(rows, **arrays)
    step, seen = UpscalerRecipe.step, []

    def watched(recipe: UpscalerRecipe, batch: torch.Tensor, cur_nimg: int) -> Any:
        seen.append(cur_nimg)
        return step(recipe, batch, cur_nimg)

    monkeypatch.setattr(UpscalerRecipe, "step", watched)
    train_upscaler(short, *paths)
    assert seen[0] == 0


@pytest.mark.parametrize(("recipe_class", "own"), [(UpscalerRecipe, {"adversarial": CONTEST}), (SRGANRecipe, SRGAN)])
def test_a_training_stopped_in_its_contest_goes_on_and_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe_class: Any, own: dict[str, Any]
) -> None:
    prepared = store_of_discs(tmp_path, 64)
    training = PARAMS["training"] | {"total_kimg": 0.8, "checkpoint_kimg": 0.2}
    params = TrainUpscaler.model_validate(PARAMS | own | {"training": training})
    train_upscaler(params, prepared, tmp_path / "runs", tmp_path / "weights")
    step, seen = recipe_class.step, []

    def stopped(recipe: Any, batch: torch.Tensor, cur_nimg: int) -> Any:
        seen.append(cur_nimg)
        if len(seen) == 86:  # of 100
            raise KeyboardInterrupt
        return step(recipe, batch, cur_nimg)

    monkeypatch.setattr(recipe_class, "step", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_upscaler(params, prepared, tmp_path / "other-runs", tmp_path / "other-weights")
    train_upscaler(params, prepared, tmp_path / "other-runs", tmp_path / "other-weights")
    assert seen[86] == 600  # the last checkpoint
    for name in ("weights.safetensors", "card.json", "sheet.png"):
        assert (tmp_path / "weights" / name).read_bytes() == (tmp_path / "other-weights" / name).read_bytes()
    _, card = load_model(tmp_path / "weights")
    assert card["model"] == params.model.model_dump()
    assert "invented" in card["notes"][1]
