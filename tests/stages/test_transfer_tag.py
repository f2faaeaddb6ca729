from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from genga.errors import DataError, ParamsError
from genga.params import TransferTag, WatchCollapse
from genga.store import Store, StoreWriter, picture_id
from models.export import load_model, save_model
from models.networks import build
from stages.transfer_tag import faces_with, transfer_tag

BASE = {"arch": "dcgan", "resolution": 32, "z_dim": 6, "width": 8, "kernel": 4, "bn_momentum": 0.5, "activation": "relu", "dropout": 0.0}
PARAMS: dict[str, Any] = {
    "tag": "glasses",
    "family": "dcgan32",
    "min_faces": 10,
    "width": 8,
    "training": {"batch_size": 8, "total_kimg": 0.4, "log_kimg": 0.1, "sample_kimg": 0.4, "checkpoint_kimg": 0.2, "precision": "fp32", "seed": 0},
    "g_lr": 0.01,
    "d_lr": 0.005,
    "beta1": 0.0,
    "beta2": 0.99,
    "loss": "logistic",
    "r1_gamma": 0.1,
    "r2_gamma": 0.0,
    "r1_interval": 8,
    "label_noise": 0.0,
    "augment": 0.0,
    "adapt": None,
    "ema_kimg": 0.05,
}


def params(**changes: Any) -> TransferTag:
    return TransferTag.model_validate({**PARAMS, **changes})


@pytest.fixture
def faces(tmp_path: Path) -> Store:
    """Sixty dark pictures, one shade each; every third one is red and is to show glasses. The last twelve are held out."""
    pictures = np.zeros((60, 32, 32, 3), np.uint8) + np.arange(60, dtype=np.uint8)[:, None, None, None]
    pictures[::3, ..., 0] = 255
    rows = [
        {"id": picture_id(picture), "split": "train" if at < 48 else "test", "licence": "CC0-1.0", "source": "drawn"}
        for at, picture in enumerate(pictures)
    ]
    with StoreWriter(tmp_path / "prepared", {"32": (32, 32, 3)}) as writer:
        writer.append(rows, **{"32": pictures})
    return Store(tmp_path / "prepared")


def tagged(root: Path, ids: list[str], probability: list[float], origin: str = "imported") -> Path:
    """Two tags for every face; the first face's are of `origin`, the others' of the tagger."""
    (root / "tagged").mkdir()
    both = {
        "id": ids * 2,
        "column": ["glasses"] * len(ids) + ["smile"] * len(ids),
        "probability": probability + [1.0] * len(ids),
        "origin": [origin, *["model"] * (len(ids) - 1)] * 2,
    }
    pq.write_table(pa.table(both), root / "tagged" / "tags.parquet")
    return root / "tagged"


def third(low: float, high: float) -> list[float]:
    return [high if at % 3 == 0 else low for at in range(60)]


def test_only_training_faces_that_show_the_tag_are_taken(tmp_path: Path, faces: Store) -> None:
    rows, notes = faces_with(params(), faces, tagged(tmp_path, faces.column("id"), third(0.49, 0.5)))
    assert rows.tolist() == list(range(0, 48, 3))
    assert notes == []


def test_where_they_are_too_few_the_likeliest_are_taken_and_the_card_says_so(tmp_path: Path, faces: Store) -> None:
    probability = [0.9 if at in (4, 50) else at / 200 for at in range(60)]
    rows, notes = faces_with(params(), faces, tagged(tmp_path, faces.column("id"), probability))
    assert rows.tolist() == [4, *range(39, 48)]
    assert notes == ["Only 1 training faces show glasses; it was learned from the 10 that most likely do, so take it as a sketch."]


def test_faces_that_the_tagger_alone_chose_are_said_to_be_so(tmp_path: Path, faces: Store) -> None:
    rows, notes = faces_with(params(), faces, tagged(tmp_path, faces.column("id"), third(0.0, 1.0), origin="model"))
    assert len(rows) == 16
    assert notes == ["No face has a label for glasses: the tagger alone chose them, so some may not show it."]


def test_a_tag_that_nobody_knows_is_refused(tmp_path: Path, faces: Store) -> None:
    with pytest.raises(ParamsError, match=r"transfer_tag.tag is 'monocle'"):
        faces_with(params(tag="monocle"), faces, tmp_path)


def test_label_noise_that_the_relativistic_loss_would_not_read_is_refused() -> None:
    with pytest.raises(ValueError, match="no labels to be wrong; make label_noise 0"):
        params(loss="relativistic", label_noise=0.2)


def test_tags_of_other_faces_are_refused(tmp_path: Path, faces: Store) -> None:
    with pytest.raises(DataError, match="says nothing of 47 of the faces"):
        faces_with(params(), faces, tagged(tmp_path, faces.column("id")[:1], [1.0]))


def test_the_appended_layers_learn_the_tag_and_the_base_stays(tmp_path: Path, faces: Store) -> None:
    torch.manual_seed(0)
    base = build(BASE)
    save_model(tmp_path / "base", base, {"family": "dcgan32", "model": BASE})
    tagged_dir = tagged(tmp_path, faces.column("id"), third(0.0, 1.0))
    watch = WatchCollapse(action="flag", every_kimg=0.2, samples=16, from_kimg=0.0, near_identical=1.0, spread=0.5, coverage_kept=0.0, patience=1)
    tracker = MagicMock(**{"finish.side_effect": [KeyboardInterrupt, None]})
    paths = tmp_path / "base", faces.dir, tagged_dir, tmp_path / "runs", tmp_path / "weights"
    with pytest.raises(KeyboardInterrupt):
        transfer_tag(params(), watch, *paths, tracker)
    tracker.reset_mock()
    transfer_tag(params(), watch, *paths, tracker)  # goes on from the end
    tracker.log.assert_not_called()
    shown = {tmp_path / "runs" / f"{name}.png" for name in ("faces", "interpolation")}
    assert shown < {call.args[0] for call in tracker.file.call_args_list} and all(path.is_file() for path in shown)
    assert not (tmp_path / "runs" / "checkpoints").exists()
    G, card = load_model(tmp_path / "weights")
    z = torch.randn(16, 6)
    with torch.no_grad():
        before, after = base.eval()(z).mean(dim=(0, 2, 3)), G(z).mean(dim=(0, 2, 3))
    assert after[0] - after[1] > before[0] - before[1] + 0.3  # redder
    for name, weight in base.state_dict().items():
        assert torch.equal(weight, G.state_dict()[f"base.{name}"])
    assert card["family"] == "tag-transfer" and card["tag"] == "glasses" and card["data"]["count"] == 16
    assert card["notes"] == ["Layers appended to dcgan32, trained on faces with glasses only."]
