import json
from pathlib import Path

import numpy as np
import pytest
import torch

from genga.errors import CheckpointError
from models.export import grid, load_model, save_model
from models.networks import build

MODEL = {"arch": "upscaler", "width": 8, "blocks": 1}


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(tmp_path / "upscaler", build(MODEL), {"family": "upscaler", "model": MODEL}, np.zeros((4, 4, 3), np.uint8))
    return tmp_path / "upscaler"


def test_a_model_is_three_files_and_the_same_module_gives_the_same_bytes(model_dir: Path, tmp_path: Path) -> None:
    module, card = load_model(model_dir)
    save_model(
        tmp_path / "again", module.to(memory_format=torch.channels_last), {"family": "upscaler", "model": MODEL}, np.zeros((4, 4, 3), np.uint8)
    )
    assert sorted(path.name for path in model_dir.iterdir()) == ["card.json", "sheet.png", "weights.safetensors"]
    for path in model_dir.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert card["family"] == "upscaler"


def test_saving_replaces_what_was_there(model_dir: Path) -> None:
    (model_dir / "old").write_text("old")
    save_model(model_dir, build(MODEL), {"model": MODEL})
    assert sorted(path.name for path in model_dir.iterdir()) == ["card.json", "weights.safetensors"]


def test_no_room_for_a_model_is_told_and_leaves_the_one_before(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CheckpointError, match=r"upscaler could not be written .*No space left on device.*make room there"):
        save_model(model_dir, build(MODEL), {"model": MODEL})
    assert load_model(model_dir)[1]["family"] == "upscaler"


def test_one_flipped_bit_in_the_weights_is_refused(model_dir: Path) -> None:
    path = model_dir / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="other sha256"):
        load_model(model_dir)


def test_missing_weights_are_refused(model_dir: Path) -> None:
    (model_dir / "weights.safetensors").unlink()
    with pytest.raises(CheckpointError, match="holds no weights"):
        load_model(model_dir)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"model": {"arch": "upscaler"}}'])
def test_a_damaged_card_is_refused(model_dir: Path, text: str) -> None:
    (model_dir / "card.json").write_text(text)
    with pytest.raises(CheckpointError, match="dvc repro"):
        load_model(model_dir)


@pytest.mark.parametrize("change", [{"arch": "unheard-of"}, {"width": 16}, {"colour": "blue"}])
def test_a_card_of_another_network_is_refused(model_dir: Path, change: dict[str, object]) -> None:
    card = json.loads((model_dir / "card.json").read_text())
    card["model"] |= change
    (model_dir / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="fit its card"):
        load_model(model_dir)


def test_a_grid_sets_pictures_side_by_side_and_leaves_the_rest_white() -> None:
    pictures = np.stack([np.full((2, 3, 3), value, np.uint8) for value in (10, 20, 30)])
    sheet = grid(pictures)
    assert sheet.shape == (4, 6, 3)
    assert [sheet[0, 0, 0], sheet[0, 3, 0], sheet[2, 0, 0], sheet[2, 3, 0]] == [10, 20, 30, 255]
    assert grid(pictures, columns=3).shape == (2, 9, 3)


def test_a_grid_of_tensors_maps_minus_one_to_black_and_clamps() -> None:
    values = torch.tensor([-1.0, 0.0, 1.0, 7.0])
    sheet = grid(values[:, None, None, None].expand(4, 3, 1, 1))
    assert sheet[..., 0].tolist() == [[0, 128], [255, 255]]
