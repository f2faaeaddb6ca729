"""A trained network as files that nobody has to trust: safetensors, a JSON card, a sheet of samples. No pickle.

<dir>/weights.safetensors   <dir>/card.json   <dir>/sheet.png
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import safetensors.torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn

from genga.errors import CheckpointError, said_when_full
from genga.params import Section
from genga.pictures import encode_png
from genga.store import Store
from models.batches import to_uint8
from models.networks import build

Card = dict[str, Any]


def card_of(
    family: str,
    model: Section | dict[str, Any],
    training: Section,
    data: Store,
    *,
    count: int,
    kimg: float,
    metrics: dict[str, float],
    notes: list[str],
) -> Card:
    """What a user must know about a family's weights. `count`: how many pictures of `data` it was trained on."""
    return {
        "family": family,
        "model": model.model_dump() if isinstance(model, Section) else model,
        "training": training.model_dump(),
        "data": {"id": data.data_id, "count": count, **data.terms(), **_learned(data)},
        "kimg": kimg,
        "metrics": metrics,
        "notes": notes,
    }


def save_model(out_dir: Path, module: nn.Module, card: Card, sheet: NDArray[np.uint8] | None = None) -> None:
    """The same module and card give the same bytes. `sheet`: HWC, what the family makes, at a glance."""
    partial_dir = out_dir.with_name(out_dir.name + ".partial")
    weights = safetensors.torch.save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()})
    whole_card = {**card, "weights_sha256": hashlib.sha256(weights).hexdigest()}
    shutil.rmtree(partial_dir, ignore_errors=True)
    with said_when_full(out_dir):
        partial_dir.mkdir(parents=True)
        (partial_dir / "weights.safetensors").write_bytes(weights)
        (partial_dir / "card.json").write_text(json.dumps(whole_card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if sheet is not None:
            (partial_dir / "sheet.png").write_bytes(encode_png(sheet))
        shutil.rmtree(out_dir, ignore_errors=True)
        partial_dir.rename(out_dir)


def _learned(data: Store) -> dict[str, Any]:
    """What later data may hold out and this network has seen. `first_learned`: test pictures are those of the smallest ids (genga/splits.py), so
    all below this one are new to it. `styles`: those that it was trained on. Own figures have no part in either."""
    if "imported_id" in data.manifest.column_names:
        return {"first_learned": min(data.manifest.filter(pc.field("split") != "test")["imported_id"].to_pylist(), default=None)}
    if "pose_id" not in data.manifest.column_names:
        return {}
    from genga.skeleton import OWN  # here: those who train on figures know it, other stages need not be run again for it

    drawn = data.manifest.filter((pc.field("split") != "test") & (pc.field("style") != OWN))
    styles = set(drawn.filter(pc.field("split") == "train")["style"].to_pylist())
    return {"first_learned": min(drawn["pose_id"].to_pylist(), default=None), "styles": sorted(styles)}


def read_card(model_dir: Path) -> Card:
    try:
        card: Card = json.loads((model_dir / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{model_dir}/card.json cannot be read ({error}); expected a model's card; make it again with `dvc repro`") from error
    return card


def load_model(model_dir: Path) -> tuple[nn.Module, Card]:
    """The network in eval mode on the CPU, and its card. Weights that are not the card's are refused."""
    card = read_card(model_dir)
    try:
        weights = (model_dir / "weights.safetensors").read_bytes()
        if hashlib.sha256(weights).hexdigest() != card["weights_sha256"]:
            raise CheckpointError(f"{model_dir}/weights.safetensors is not what its card names (other sha256); make it again with `dvc repro`")
        module = build(card["model"])
        module.load_state_dict(safetensors.torch.load(weights))
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:200]  # torch lists every tensor on a line of its own
        raise CheckpointError(f"{model_dir} holds no weights that fit its card ({detail}); make it again with `dvc repro`") from error
    return module.eval(), card


def grid(images: Tensor | NDArray[np.uint8], columns: int | None = None) -> NDArray[np.uint8]:
    """Pictures side by side, HWC: float NCHW in [-1, 1] or uint8 NHWC; as square as the count allows. Empty places stay white."""
    pictures = to_uint8(images) if isinstance(images, Tensor) else images
    count, height, width, channels = pictures.shape
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    sheet = np.full((rows * columns, height, width, channels), 255, dtype=np.uint8)
    sheet[:count] = pictures
    return sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2).reshape(rows * height, columns * width, channels)
