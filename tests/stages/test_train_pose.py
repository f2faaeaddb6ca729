"""From drawn figures to networks that read joints, with the card that says how well."""

from pathlib import Path

import numpy as np
import pytest
import torch
from figures_and_poses import write_figures

from genga.errors import DataError
from genga.params import TrainPose, load_params
from genga.skeleton import from_vector, normalise
from genga.store import Store
from models.export import load_model, read_card
from models.metrics.poses import calibration_for
from stages.train_pose import drawings_of, train_pose, visible_in

REPO = Path(__file__).parents[2]


@pytest.fixture
def params() -> TrainPose:
    stated = load_params(REPO / "params.yaml").train_pose["stick"]
    model = stated.model.model_copy(update={"resolution": 32, "width": 8})
    short = {"batch_size": 8, "total_kimg": 0.032, "log_kimg": 0.008, "sample_kimg": 0.016, "checkpoint_kimg": 0.016, "precision": "fp32"}
    return stated.model_copy(update={"model": model, "training": stated.training.model_copy(update=short)})


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    write_figures(tmp_path / "figures" / "sticks", (64,), 20)
    write_figures(tmp_path / "figures" / "mannequins", (96, 64), 20)
    return tmp_path / "figures"


def train(params: TrainPose, kind: str, figures: Path, out: str = "pose") -> Path:
    root = figures.parent
    train_pose(params, kind, figures, root / f"runs-{out}", root / out)  # type: ignore[arg-type]
    return root / out


@pytest.mark.parametrize(("kind", "count"), [("stick", 15), ("figure", 30)])
def test_each_kind_leaves_weights_a_card_and_a_sheet(params: TrainPose, figures: Path, kind: str, count: int) -> None:
    net, card = load_model(train(params, kind, figures))
    assert card["family"] == f"{kind}-pose"
    assert card["data"]["count"] == count
    assert card["data"]["licences"] == ["CC0-1.0"]
    assert {"pck_0.1", "pck_0.05", "pdj_0.2", "ece", "pck_0.1/visible", "pck_0.05/visible"} <= set(card["metrics"])
    assert ("exchanged" in card["notes"][0]) == (kind == "stick")
    assert net.resolution == 32
    assert (figures.parent / "pose" / "sheet.png").stat().st_size > 1000
    assert (figures.parent / "pose" / "reliability.png").stat().st_size > 1000
    assert sorted(path.name for path in (figures.parent / "runs-pose").iterdir()) == ["checkpoints-done", "samples", "stats.jsonl"]


def test_every_way_a_mannequin_is_drawn_is_learned_from(figures: Path) -> None:
    store = Store(figures / "mannequins")
    drawings = drawings_of(store, np.array([3, 5]), 32)
    assert drawings.pictures.shape == (4, 32, 32)
    poses = from_vector(store.column("pose"))[[3, 5, 3, 5]]
    assert np.allclose(normalise(drawings.poses), normalise(poses), atol=0.01)  # cut out around the figure
    assert np.ptp(drawings.poses, axis=1).max(axis=1) == pytest.approx(1 / 1.2, abs=0.1)
    for picture, pose in zip(drawings.pictures, drawings.poses, strict=True):
        across, down = np.minimum(pose * 32, 31).astype(int).T
        assert picture[down, across].mean() < 150 < 200 < np.median(picture)


def test_a_joint_is_in_sight_in_every_drawing_of_its_figure(figures: Path) -> None:
    visible = visible_in(Store(figures / "mannequins"), np.array([3, 4]))
    assert visible.shape == (4, 11)
    assert visible[:, 0].tolist() == [False, True, False, True]
    assert visible[:, 1:].all()


def test_confidence_is_calibrated_on_the_val_split(params: TrainPose, figures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = list[int]()
    monkeypatch.setattr(
        "stages.train_pose.calibration_for", lambda confidence, hit: heard.append(len(confidence)) or calibration_for(confidence, hit)
    )
    net, card = load_model(train(params, "stick", figures))
    assert torch.equal(net.calibration, torch.tensor([1.0, 0.0]))
    assert "not calibrated" in card["notes"][1]
    write_figures(figures / "sticks", (64,), 40, splits=("train", "val", "test", "test"))
    net, card = load_model(train(params, "stick", figures))
    assert not torch.equal(net.calibration, torch.tensor([1.0, 0.0]))
    assert heard == [10]
    assert len(card["notes"]) == 1
    assert card["metrics"]["ece"] < 0.2  # it has learned nothing yet, and its confidence says so


def test_the_same_figures_give_the_same_bytes(params: TrainPose, figures: Path) -> None:
    one, other = train(params, "stick", figures, "one"), train(params, "stick", figures, "other")
    for name in ("weights.safetensors", "card.json", "sheet.png", "reliability.png"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_score_on_seen_figures_says_so(params: TrainPose, figures: Path) -> None:
    write_figures(figures / "sticks", (64,), 8, splits=("train",))
    assert "none were held out" in read_card(train(params, "stick", figures))["notes"][-1]
    assert "none were held out" not in read_card(train(params, "figure", figures))["notes"][-1]


def test_no_figures_to_learn_from_names_the_parameter(params: TrainPose, figures: Path) -> None:
    write_figures(figures / "sticks", (64,), 4, splits=("test",))
    with pytest.raises(DataError, match=r"draw_figures\.sticks\.count"):
        train(params, "stick", figures)
    with pytest.raises(DataError, match="dvc repro"):
        train(params, "stick", figures / "nowhere")
