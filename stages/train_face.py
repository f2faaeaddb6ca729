"""prepared faces -> a face generator, one family of train_face in params.yaml.

reads   data/faces/prepared/   store
        data/faces/tagged/     where `faces` is `tagged`
writes  runs/<family>/         curves, sample grids, what they say about collapse; faces, ways between them, mixed styles, each tag asked for
        weights/<family>/      weights of the averaged generator, card, sheet
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from genga.door import run
from genga.errors import DataError, ParamsError
from genga.params import TrainFace, WatchCollapse, load_params
from genga.registry import Registry
from genga.store import Store
from models import parallel
from models.batches import Indices, Pictures
from models.export import card_of, save_model
from models.loop import Tracker, fingerprint_of, finish
from models.metrics.showing import show
from models.recipes.faces import Tagged, face_recipe, model_of
from models.recipes.watched import Watched


def train_face(
    family: str,
    params: TrainFace,
    watch: WatchCollapse,
    prepared_dir: Path,
    run_dir: Path,
    weights_dir: Path,
    tracker: Tracker | None = None,
    *,
    tagged_dir: Path | None = None,
) -> None:
    """`tagged_dir`: for families that are told tags."""
    faces = Store(prepared_dir)
    pictures = Pictures(faces, params.model.resolution, faces.indices("train"))
    tagged = None
    if params.faces == "tagged":
        assert tagged_dir
        tagged = tags_of(faces, pictures.rows, tagged_dir)
    recipe = face_recipe(params, tagged)
    watched = Watched(recipe, pictures.some(watch.samples), watch, family)
    fingerprint = fingerprint_for(params, watch, faces.data_id, tagged)
    batches = pictures.batches(params.training, tagged.found if tagged else None)
    watched.fit(batches, run_dir, what=f"train {family}", fingerprint=fingerprint, tracker=tracker)
    if parallel.rank() != 0:
        return
    sheet = recipe.sample()  # settles the averaged generator, so before it is saved
    model = model_of(params, tagged)
    card = card_of(family, model, params, faces, count=len(pictures), kimg=params.training.total_kimg, metrics={}, notes=watched.notes())
    save_model(weights_dir, recipe.G_ema, card, sheet)
    for path in show(recipe.G_ema, params.training.seed, run_dir):
        if tracker:
            tracker.file(path)
    if tracker:
        tracker.finish(weights_dir)
    finish(run_dir)


def tags_of(faces: Store, rows: Indices, tagged_dir: Path) -> Tagged:
    """What tag_faces says of these rows; it wrote a row for each face and column, in order."""
    table = pq.read_table(tagged_dir / "tags.parquet", columns=["id", "column", "probability"])
    num_tags = max(1, table.num_rows // len(faces))
    if table["id"].to_pylist()[::num_tags] != faces.column("id"):
        raise DataError(f"{tagged_dir} tells of other faces than {faces.dir} holds, expected a row for each face and tag; run `dvc repro tag_faces`")
    found = table["probability"].to_numpy().astype(np.float32).reshape(-1, num_tags)
    return Tagged(table["column"][:num_tags].to_pylist(), torch.from_numpy(found[rows]))


def fingerprint_for(params: TrainFace, watch: WatchCollapse, data_id: str, tagged: Tagged | None = None) -> str:
    """The watch too, of which the checkpoints hold what it saw and how it judged that."""
    told = hashlib.sha256(tagged.found.numpy().tobytes() + "\n".join(tagged.names).encode()).hexdigest() if tagged else ""
    return fingerprint_of(params, data_id, told + watch.model_dump_json(exclude={"action"}), [__file__])


def family_params(family: str) -> TrainFace:
    families = load_params().train_face
    if family not in families:
        raise ParamsError(f"no family {family!r} in params.yaml, expected one of {', '.join(families)}; add it to train_face there")
    return families[family]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family")
    for name in ("prepared_dir", "tagged_dir", "run_dir", "weights_dir"):
        parser.add_argument(name, type=Path)
    parallel.add_devices(parser)
    args = parser.parse_args()
    params, watch = family_params(args.family), load_params().watch_collapse
    paths = args.prepared_dir, args.run_dir, args.weights_dir
    with parallel.together(args.devices):
        if parallel.rank() != 0:
            train_face(args.family, params, watch, *paths, tagged_dir=args.tagged_dir)
            return
        with Registry().tracking(args.family, params.model_dump(), args.run_dir, data_id=Store(args.prepared_dir).data_id) as tracker:
            train_face(args.family, params, watch, *paths, tracker, tagged_dir=args.tagged_dir)


if __name__ == "__main__":
    run(main)
