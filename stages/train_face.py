"""prepared faces -> a face generator, one family of train_face in params.yaml.

reads   data/faces/prepared/   store
writes  runs/<family>/         curves and sample grids
        weights/<family>/      weights of the averaged generator, card, sheet
"""

import argparse
from pathlib import Path

from genga.door import run
from genga.errors import ParamsError
from genga.params import TrainFace, load_params
from genga.registry import Registry
from genga.store import Store
from models.batches import Pictures, Sampler
from models.export import card_of, save_model
from models.loop import Tracker, fingerprint_of, finish, fit
from models.recipes.faces import face_recipe


def train_face(family: str, params: TrainFace, prepared_dir: Path, run_dir: Path, weights_dir: Path, tracker: Tracker | None = None) -> None:
    faces = Store(prepared_dir)
    pictures = Pictures(faces, params.model.resolution, faces.indices("train"))
    sampler = Sampler(len(pictures), params.training.seed)
    recipe = face_recipe(params)
    fit(
        recipe,
        lambda cur_nimg: pictures.__getitems__(sampler.idxs_at(cur_nimg, params.training.batch_size)),
        params.training,
        run_dir,
        what=f"train {family}",
        fingerprint=fingerprint_of(params, faces.data_id),
        tracker=tracker,
    )
    sheet = recipe.sample()  # settles the averaged generator, so before it is saved
    card = card_of(family, params.model, params, faces, count=len(pictures), kimg=params.training.total_kimg, metrics={}, notes=[])
    save_model(weights_dir, recipe.G_ema, card, sheet)
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
    args = parser.parse_args()
    params = family_params(args.family)
    with Registry().tracking(args.family, params.model_dump(), args.run_dir, data_id=Store(args.prepared_dir).data_id) as tracker:
        train_face(args.family, params, args.prepared_dir, args.run_dir, args.weights_dir, tracker)
        tracker.finish(args.weights_dir)


if __name__ == "__main__":
    run(main)
