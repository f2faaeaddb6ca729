"""A whole release in a folder: every family, tiny and untrained, with weights drawn from a seed."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from drawing.mannequin import LOOKS, line_art, sample_mannequin
from genga.params import load_params
from genga.release import Entry, Release, locked, write_release
from genga.skeleton import to_vector
from genga.store import StoreWriter, picture_id
from genga.tags import column_slices, columns, flags
from models.export import save_model
from models.networks import build, stylegan2
from models.networks.sketcher import Sketcher
from models.targets import names, value_names

REPO = Path(__file__).parents[2]
MODELS: dict[str, dict[str, Any]] = {
    "stylegan2": {
        **{"arch": "stylegan2", "resolution": 32, "z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_base": 256, "channel_max": 16},
        "tags": columns(),
    },
    "dcgan32": {"arch": "dcgan", "resolution": 16, "z_dim": 6, "width": 8, "kernel": 5, "bn_momentum": 0.5, "activation": "prelu", "dropout": 0.2},
    "tagger": {"arch": "tagger", "resolution": 64, "width": 8, "dropout": 0.1, "mirrored": False},
    "stick-pose": {"arch": "pose", "resolution": 64, "width": 8, "strokes": True},
    "figure-pose": {"arch": "pose", "resolution": 64, "width": 8, "strokes": False},
    "upscaler": {"arch": "upscaler", "width": 8, "blocks": 2},
    "sketcher": {"arch": "sketcher", "resolution": 64, "z_dim": 4, "width": 8},
}
FAMILIES = (*MODELS, "gallery")
UNSURE: dict[str, dict[str, float]] = {"eye_color": dict.fromkeys(value_names("eye_color"), 1.0), "blush": {"no": 1.0, "yes": 1.0}}
SLIDERS = ("hair_color=blue", "glasses", "hair_length")
NOTE = "Its weights were never trained."


def make_release(release_dir: Path, *, version: str = "1", seed: int = 0, families: Collection[str] = FAMILIES, kid: float = 0.5) -> Release:
    """Written as deploy writes it, over the release that is there."""
    scratch_dir = release_dir.with_name(f"{release_dir.name}-scratch-{version}")
    makers = {name: _gallery if name == "gallery" else _model for name in families}
    entries = {}
    for name, make in makers.items():
        make(name, scratch_dir / name, seed)
        entries[name] = Entry(version, scratch_dir / name, {"kid": kid}, ["CC0-1.0"], ["drawn for a test"], [NOTE], {"glasses": "drawn"}, "c0ffee")
    release_dir.mkdir(parents=True, exist_ok=True)
    with locked(release_dir / ".lock"):
        return write_release(release_dir, entries, 2, lambda _: None)


def _model(family: str, model_dir: Path, seed: int) -> None:
    torch.manual_seed(seed)
    network = build(MODELS[family])
    with torch.no_grad():
        for parameter in network.parameters():  # no layer stays at the zeros that it starts from
            parameter.add_(torch.randn_like(parameter) * 0.1)
    if isinstance(network, stylegan2.Generator):
        network.mapping.keep(torch.rand(16, len(columns())))
    if isinstance(network, Sketcher):
        poses, pictures = _figures(seed)
        network.remember(pictures, torch.from_numpy(poses).float())
    card: dict[str, Any] = {"family": family, "model": MODELS[family], "kimg": 0.0}
    if family == "tagger":
        sure = {name: dict.fromkeys(value_names(name), 0.0) for name in names()} | UNSURE
        card |= {"columns": columns(), "temperatures": dict.fromkeys(column_slices(), 1.5), "thresholds": dict.fromkeys(flags(), 0.5), "sure": sure}
    save_model(model_dir, network, card)
    if family in ("stylegan2", "dcgan32"):
        (model_dir / "directions.json").write_text(json.dumps(_directions(family, len(network.w_avg), seed)))


def _directions(family: str, w_dim: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    sliders = {
        name: {"vector": rng.normal(size=w_dim).tolist(), "scale": 1.5, "effect": 0.4, "drag": {"smile": 0.1}, "learned_from": "drawn"}
        for name in SLIDERS
    }
    return {"space": "w", "family": family, "sliders": sliders}


def _gallery(_: str, store_dir: Path, seed: int) -> None:
    poses, pictures = _figures(seed)
    rows = [
        {"id": picture_id(picture), "source": "drawn for a test", "licence": "CC0-1.0", "pose": to_vector(pose).tolist()}
        for pose, picture in zip(poses, pictures, strict=True)
    ]
    with StoreWriter(store_dir, {"64": (64, 64)}) as writer:
        writer.append(rows, **{"64": pictures})


def _figures(seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Poses (8, 11, 2) and their line art (8, 64, 64)."""
    rng = np.random.default_rng(seed)
    figures = [sample_mannequin(load_params(REPO / "params.yaml").draw_figures.mannequins, LOOKS, rng) for _ in range(8)]
    return np.stack([figure.pose for figure in figures]), np.stack([line_art(figure, 64) for figure in figures])
