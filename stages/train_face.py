"""prepared faces -> a face generator, one family of train_face in params.yaml.

reads   data/faces/prepared/   store
writes  runs/<family>/         curves, sample grids, what they say about collapse; faces, ways between them, mixed styles
        weights/<family>/      weights of the averaged generator, card, sheet
"""

import argparse
from pathlib import Path

from genga.door import run
from genga.errors import ParamsError
from genga.params import TrainFace, WatchCollapse, load_params
from genga.registry import Registry
from genga.store import Store
from models import parallel
from models.batches import Pictures
from models.export import card_of, save_model
from models.loop import Tracker, fingerprint_of, finish
from models.metrics.showing import show
from models.recipes.faces import face_recipe
from models.recipes.watched import Watched


def train_face(
    family: str,
    params: TrainFace,
    watch: WatchCollapse,
    prepared_dir: Path,
    run_dir: Path,
    weights_dir: Path,
    tracker: Tracker | None = None,
) -> None:
    faces = Store(prepared_dir)
    pictures = Pictures(faces, params.model.resolution, faces.indices("train"))
    recipe = face_recipe(params)
    watched = Watched(recipe, pictures.some(watch.samples), watch, family)
    fingerprint = fingerprint_of(params, faces.data_id)
    watched.fit(pictures.batches(params.training), run_dir, what=f"train {family}", fingerprint=fingerprint, tracker=tracker)
    if parallel.rank() != 0:
        return
    sheet = recipe.sample()  # settles the averaged generator, so before it is saved
    card = card_of(family, params.model, params, faces, count=len(pictures), kimg=params.training.total_kimg, metrics={}, notes=watched.notes())
    save_model(weights_dir, recipe.G_ema, card, sheet)
    for path in show(recipe.G_ema, params.training.seed, run_dir):
        if tracker:
            tracker.file(path)
    finish(run_dir)


def family_params(family: str) -> TrainFace:
    families = load_params().train_face
    if family not in families:
        raise ParamsError(f"no family {family!r} in params.yaml, expected one of {', '.join(families)}; add it to train_face there")
    return families[family]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family")
    for name in ("prepared_dir", "run_dir", "weights_dir"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--devices", type=int, help="GPUs, or processes on a CPU, that share each batch (default: one, or what torchrun says)")
    args = parser.parse_args()
    params, watch = family_params(args.family), load_params().watch_collapse
    paths = args.prepared_dir, args.run_dir, args.weights_dir
    with parallel.together(args.devices):
        if parallel.rank() != 0:
            train_face(args.family, params, watch, *paths)
            return
        with Registry().tracking(args.family, params.model_dump(), args.run_dir, data_id=Store(args.prepared_dir).data_id) as tracker:
            train_face(args.family, params, watch, *paths, tracker)
            tracker.finish(args.weights_dir)


if __name__ == "__main__":
    run(main)
