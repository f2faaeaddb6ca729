"""A small project for the stages at the graph's end: drawn figures, blobs for faces, labels, and networks of every kind as they start out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from drawing.pool import Asked
from genga.documents import write_json
from genga.params import Params, parse_params
from genga.store import Store, StoreWriter, picture_id
from genga.tags import columns, flags, groups
from models.export import save_model
from models.networks import build
from models.networks.sketcher import Sketcher
from models.targets import names, value_names
from stages.draw_figures import mannequins as draw_mannequins
from stages.draw_figures import sticks as draw_sticks
from stages.index_figures import index_figures
from stages.judge import Data
from stages.tag_faces import tag_faces

MODELS: dict[str, dict[str, Any]] = {
    "tagger": {"arch": "tagger", "resolution": 32, "width": 8, "dropout": 0.0, "mirrored": False},
    "stick-pose": {"arch": "pose", "resolution": 32, "width": 8, "strokes": True},
    "figure-pose": {"arch": "pose", "resolution": 32, "width": 8, "strokes": False},
    "dcgan32": {"arch": "dcgan", "resolution": 32, "z_dim": 8, "width": 8, "kernel": 4, "bn_momentum": 0.5, "activation": "relu", "dropout": 0.0},
    "tag-transfer": {"arch": "transfer", "width": 8},
    "upscaler": {"arch": "upscaler", "width": 8, "blocks": 1},
    "sketcher": {"arch": "sketcher", "resolution": 64, "z_dim": 4, "width": 8},
}
MODELS["tag-transfer"]["base"] = MODELS["dcgan32"]
TRAINING = {"tagger": {"drawn_held_out": 0.2}, "upscaler": {"crop": 32}}


@dataclass(frozen=True)
class World:
    root: Path
    params: Params

    @property
    def weights_dir(self) -> Path:
        return self.root / "weights"

    @property
    def data(self) -> Data:
        return Data(self.root / "faces", self.root / "tagged", self.root / "sample", self.root / "labels", self.root / "figures")


def params_for_tests(repo: Path) -> Params:
    import yaml

    document = yaml.safe_load((repo / "params.yaml").read_text())
    document["evaluate"] = {"samples": 40, "batch_size": 32, "seed": 0, "inception": None}
    document["draw_figures"]["sticks"] |= {"count": 10, "size": 64}
    document["draw_figures"]["mannequins"] |= {"count": 10, "size": 96, "line_art": 64}
    document["index_figures"]["size"] = document["train_sketcher"]["model"]["resolution"] = 64
    return parse_params(document, "params for tests")


def make_world(root: Path, repo: Path) -> World:
    world = World(root, params_for_tests(repo))
    write_faces(root / "faces", seed=0, source="my pictures")
    write_faces(root / "sample", seed=1, source="drawn by Genga")
    write_labels(root / "labels", Store(root / "faces"))
    tag_faces(world.params.tag_faces, root / "faces", root / "labels", write_model(world.weights_dir, "tagger", seed=0), root / "tagged")
    write_figures(root / "figures", world.params)
    index_figures(world.params.index_figures, root / "figures", root / "gallery")
    write_json(root / "reports" / "metrics.json", {"dcgan32": {"metrics": {"kid": 0.5}, "protocol": {}}})
    for family in MODELS.keys() - {"tagger"}:
        write_model(world.weights_dir, family, seed=0)
    write_directions(root / "directions", "dcgan32", MODELS["dcgan32"]["z_dim"])
    return world


def write_faces(store_dir: Path, seed: int, source: str, count: int = 60) -> None:
    """Blobs of colour that differ as faces do: in hue, size and place."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(-1, 1, (count, 3, 4, 4))).float()
    sizes = {}
    for size in (32, 64):
        smooth = torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(-1, 1)
        sizes[str(size)] = ((smooth + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    rows = []
    for face_idx in range(count):
        id_ = picture_id(sizes["64"][face_idx])
        labels = {name: values[face_idx % len(values)] for name, values in groups().items()} | dict.fromkeys(flags(), face_idx % 2 == 0)
        split = "test" if face_idx % 3 == 0 else "train"
        about = {"id": id_, "imported_id": id_, "source": source, "licence": "unknown", "split": split, "width": 64, "height": 64}
        rows.append({**about, "labels": json.dumps(labels)})
    with StoreWriter(store_dir, {size: pictures.shape[1:] for size, pictures in sizes.items()}) as writer:
        writer.append(rows, **sizes)


def write_figures(figures_dir: Path, params: Params, count: int = 8) -> None:
    """As stages/draw_figures.py draws them, in this process."""
    sticks, mannequins = params.draw_figures.sticks, params.draw_figures.mannequins
    for name, sizes, draw in (("sticks", (sticks.size,), draw_sticks), ("mannequins", (mannequins.size, mannequins.line_art), draw_mannequins)):
        with StoreWriter(figures_dir / name, {str(size): (size, size) for size in sizes}) as writer:
            asked = [Asked(figure_idx, None, None) for figure_idx in range(count)]
            for figure_idx, (about, pictures) in enumerate(draw(params.draw_figures, asked)):
                row = about | {"id": picture_id(pictures[0]), "split": "test" if figure_idx % 2 else "train"}
                writer.append([row], **{str(size): picture[None] for size, picture in zip(sizes, pictures, strict=True)})


def write_labels(labels_dir: Path, faces: Store) -> None:
    rows = [
        {"id": id_, "name": name, "value": str(value).lower(), "origin": "imported"}
        for id_, labels in zip(faces.column("id"), faces.column("labels"), strict=True)
        for name, value in json.loads(labels).items()
    ]
    labels_dir.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), labels_dir / "tags.parquet")
    write_json(labels_dir / "revision.json", {"revision": "r1"})


def write_model(weights_dir: Path, family: str, seed: int, sources: tuple[str, ...] = ("my pictures",), **more: Any) -> Path:
    """A network as it starts out, shaken a little so that another seed draws something else; saved as a training saves it."""
    torch.manual_seed(seed)
    network = build(MODELS[family] | more)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    if isinstance(network, Sketcher):
        noise = np.random.default_rng(seed).choice([0, 255], (4, network.resolution, network.resolution))
        network.remember(noise.astype(np.uint8), torch.rand(4, 11, 2))
    card = {
        "family": family,
        "model": MODELS[family] | more,
        "training": TRAINING.get(family, {}),
        "data": {"id": "d0", "count": 60, "licences": ["unknown"], "sources": list(sources)},
        "kimg": 0.0,
        "metrics": {},
        "notes": [f"{family} has not been trained"],
    }
    if family == "tag-transfer":
        card["tag"] = "glasses"
    if family == "tagger":
        spoken = {
            "columns": columns(),
            "thresholds": dict.fromkeys(flags(), 0.5),
            "temperatures": dict.fromkeys(names(), 1.0),
            "sure": {name: dict.fromkeys(value_names(name), 0.0) for name in names()},
            "measured_on": dict.fromkeys(names(), "these faces") | {"glasses": "drawn sample"},
            "learned_from": dict.fromkeys(names(), "imported") | {"glasses": "drawn"},
        }
        card |= spoken
    save_model(weights_dir / family, network, card)
    return weights_dir / family


def write_directions(directions_dir: Path, family: str, width: int) -> None:
    slider = {"vector": [1.0] + [0.0] * (width - 1), "scale": 1.0, "effect": 0.2, "drag": {}, "learned_from": "drawn"}
    write_json(directions_dir / family / "directions.json", {"space": "w", "family": family, "sliders": {"glasses": slider}})
