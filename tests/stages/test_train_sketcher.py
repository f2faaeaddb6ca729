"""From mannequins' line art to a network that sketches a pose."""

from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from figures_and_poses import SPLITS, write_figures

from genga.errors import DataError
from genga.params import SketchGan, StickUNetParams, TrainSketcher, Views, load_params
from genga.skeleton import from_vector
from genga.store import Store
from models.export import load_model, read_card
from stages.train_sketcher import train_sketcher

REPO = Path(__file__).parents[2]


@pytest.fixture
def params() -> TrainSketcher:
    stated = load_params(REPO / "params.yaml").train_sketcher
    model = stated.model.model_copy(update={"resolution": 32, "z_dim": 4, "width": 8})
    short = {"batch_size": 4, "total_kimg": 0.016, "log_kimg": 0.008, "sample_kimg": 0.008, "checkpoint_kimg": 0.008, "precision": "fp32"}
    return stated.model_copy(update={"model": model, "training": stated.training.model_copy(update=short)})


def write_mannequins(root: Path, sizes: tuple[int, ...], count: int, splits: tuple[str, ...] = SPLITS, num_own: int = 0) -> Path:
    """The last of them the user's own."""
    store_dir = root / "figures" / "mannequins"
    write_figures(store_dir, sizes, count, splits)
    kinds = ["standing"] * (count - num_own) + ["own"] * num_own
    pq.write_table(pq.read_table(store_dir / "manifest.parquet").append_column("kind", [kinds]), store_dir / "manifest.parquet")
    return store_dir


def train(params: TrainSketcher, root: Path, out: str = "sketcher") -> Path:
    train_sketcher(params, root / "figures", root / f"runs-{out}", root / out)
    return root / out


def test_the_sketcher_is_saved_with_its_scores_and_a_sheet(params: TrainSketcher, tmp_path: Path) -> None:
    write_mannequins(tmp_path, (64, 32), 20)
    sketcher, card = load_model(train(params, tmp_path))
    assert card["family"] == "sketcher"
    assert card["data"]["count"] == 15
    assert set(card["metrics"]) == {"ink_f1", "l1", "l1_blank", "variety"}
    assert "mannequins" in card["notes"][0] and "bent to the pose" in card["notes"][1] and len(card["notes"]) == 2
    assert sketcher(torch.rand(2, 11, 2), torch.randn(2, 4)).shape == (2, 1, 32, 32)
    assert (tmp_path / "sketcher" / "sheet.png").stat().st_size > 500
    assert not (tmp_path / "runs-sketcher" / "checkpoints").exists()


def test_killed_before_mlflow_has_heard_of_the_weights_it_goes_on_from_the_end(
    params: TrainSketcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mannequins(tmp_path, (32,), 8)
    paths = tmp_path / "figures", tmp_path / "runs", tmp_path / "weights"
    with pytest.raises(KeyboardInterrupt):
        train_sketcher(params, *paths, MagicMock(**{"finish.side_effect": KeyboardInterrupt}))
    monkeypatch.setattr("models.recipes.sketcher.SketcherRecipe.step", lambda *_: pytest.fail("trained again"))
    train_sketcher(params, *paths, MagicMock())
    assert not (tmp_path / "runs" / "checkpoints").exists()


def test_own_drawings_are_remembered_before_all_others(params: TrainSketcher, tmp_path: Path) -> None:
    figures = Store(write_mannequins(tmp_path, (32,), 20, splits=("train",), num_own=3))
    sketcher, _ = load_model(train(params.model_copy(update={"remembered": 5}), tmp_path))
    np.testing.assert_allclose(sketcher.poses.numpy(), from_vector(figures.column("pose"))[[17, 18, 19, 0, 1]], atol=1e-6)


def test_the_first_systems_generator_is_trained_where_it_is_asked_for(params: TrainSketcher, tmp_path: Path) -> None:
    write_mannequins(tmp_path, (32,), 12)
    model = StickUNetParams(arch="stick_unet", resolution=32, z_dim=4, width=8)
    gan = SketchGan(beta1=0.5, ink_weight=0.0, adversarial=0.1, views=Views(shift=0.05, scale=0.1, turn=15.0))
    sketcher, card = load_model(train(params.model_copy(update={"model": model, "remembered": None, "gan": gan}), tmp_path))
    assert card["model"]["arch"] == "stick_unet" and "ink_f1" in card["metrics"]
    assert sketcher(torch.rand(2, 11, 2), torch.randn(2, 4)).shape == (2, 1, 32, 32)


def test_the_same_figures_give_the_same_bytes(params: TrainSketcher, tmp_path: Path) -> None:
    write_mannequins(tmp_path, (32,), 12)
    one, other = train(params, tmp_path, "one"), train(params, tmp_path, "other")
    for name in ("weights.safetensors", "card.json", "sheet.png"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_scores_on_seen_figures_say_so(params: TrainSketcher, tmp_path: Path) -> None:
    write_mannequins(tmp_path, (32,), 8, splits=("train",))
    assert "none were held out" in read_card(train(params, tmp_path))["notes"][-1]


def test_no_line_art_of_the_sketchers_size_is_told_in_a_sentence(params: TrainSketcher, tmp_path: Path) -> None:
    write_mannequins(tmp_path, (64,), 8)
    with pytest.raises(DataError, match=r"of 64 px, expected line art of 32 px; make draw_figures\.mannequins\.line_art"):
        train(params, tmp_path)


def test_no_mannequins_to_learn_from_names_the_parameter(params: TrainSketcher, tmp_path: Path) -> None:
    write_mannequins(tmp_path, (32,), 4, splits=("test",))
    with pytest.raises(DataError, match=r"draw_figures\.mannequins\.count"):
        train(params, tmp_path)
