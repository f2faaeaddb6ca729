"""mannequins' line art -> the sketcher: a pose and a latent to a sketch.

reads   data/figures/mannequins/   store, array of the sketcher's resolution
writes  runs/sketcher/             curves and sample grids
        weights/sketcher/          weights, card (ink F1 on the test split), sheet
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genga import skeleton
from genga.door import run
from genga.errors import DataError
from genga.params import TrainSketcher, load_params
from genga.registry import Registry
from genga.skeleton import OWN, from_vector
from genga.store import Store
from models.batches import Sampler
from models.export import card_of, save_model
from models.loop import Tracker, fingerprint_of, finish, fit
from models.metrics.sketches import sketch_metrics
from models.recipes.pose import Batch, ink_of
from models.recipes.sketcher import SketcherRecipe
from models.recipes.stick_gan import StickGanRecipe

SHOWN = 16
BENT = "Its sketches are drawings that it learned from, bent to the pose that is asked for: the terms of these drawings are theirs too."


def train_sketcher(params: TrainSketcher, figures_dir: Path, run_dir: Path, weights_dir: Path, tracker: Tracker | None = None) -> None:
    figures = Store(figures_dir / "mannequins")
    rows = {split: figures.indices(split) for split in ("train", "test")}
    if len(rows["train"]) == 0:
        raise DataError(f"no mannequins to learn from in {figures.dir}; raise draw_figures.mannequins.count in params.yaml")
    if str(params.model.resolution) not in figures.sizes:
        raise DataError(
            f"{figures.dir} has drawings of {' and '.join(figures.sizes)} px, expected line art of {params.model.resolution} px; "
            "make draw_figures.mannequins.line_art and train_sketcher.model.resolution the same in params.yaml"
        )
    judged = _batch(params, figures, rows["test"] if len(rows["test"]) else rows["train"])

    train = _batch(params, figures, own_first(figures, rows["train"]))
    recipe = recipe_for(params, train, Batch(judged.pictures[:SHOWN], judged.poses[:SHOWN]))
    fingerprint = fingerprint_of(params, figures.data_id, read_by=[__file__, skeleton.__file__])
    fit(recipe, _batches(params, train), params.training, run_dir, what="train sketcher", fingerprint=fingerprint, tracker=tracker)

    card = card_of(
        "sketcher",
        params.model,
        params,
        figures,
        count=len(rows["train"]),
        kimg=params.training.total_kimg,
        metrics=sketch_metrics(recipe.sketcher_ema, judged.poses, 1 - ink_of(judged.pictures), params.training.seed),
        notes=["Learned from drawn mannequins: it sketches a mannequin's kind of body, hair and clothes."]
        + ([BENT] if params.remembered else [])
        + ([] if len(rows["test"]) else ["Its scores were measured on figures that it was trained on, because none were held out."]),
    )
    save_model(weights_dir, recipe.sketcher_ema, card, recipe.sample())
    if tracker:
        tracker.finish(weights_dir)
    finish(run_dir)


def recipe_for(params: TrainSketcher, train: Batch, shown: Batch) -> SketcherRecipe | StickGanRecipe:
    return StickGanRecipe(params, shown) if params.model.arch == "stick_unet" else SketcherRecipe(params, train, shown)


def own_first(figures: Store, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The user's own drawings before all others, whose number may be more than is remembered."""
    own = np.array(figures.column("kind"))[rows] == OWN
    return np.concatenate([rows[own], rows[~own]])


def _batch(params: TrainSketcher, figures: Store, rows: NDArray[np.int64]) -> Batch:
    poses = from_vector(figures.manifest["pose"].take(rows).to_pylist()).astype(np.float32)
    return Batch(torch.from_numpy(figures.images(params.model.resolution)[rows]), torch.from_numpy(poses))


def _batches(params: TrainSketcher, train: Batch) -> Callable[[int], Batch]:
    sampler = Sampler(len(train.poses), params.training.seed)

    def batch_at(cur_nimg: int) -> Batch:
        idxs = sampler.idxs_at(cur_nimg, params.training.batch_size)
        return Batch(train.pictures[idxs], train.poses[idxs])

    return batch_at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("figures_dir", "run_dir", "weights_dir"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    params = load_params().train_sketcher
    with Registry().tracking("sketcher", params.model_dump(), args.run_dir, data_id=Store(args.figures_dir / "mannequins").data_id) as tracker:
        train_sketcher(params, args.figures_dir, args.run_dir, args.weights_dir, tracker)


if __name__ == "__main__":
    run(main)
