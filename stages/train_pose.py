"""drawn figures -> a network that reads the 11 joints: `stick` off stick figures, `figure` off mannequins in every way they are drawn.

reads   data/figures/sticks/ or data/figures/mannequins/   store
writes  runs/<kind>-pose/      curves and sample grids
        weights/<kind>-pose/   weights, card (PCK on the test split), sheet
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from genga.door import run
from genga.errors import DataError
from genga.params import TrainPose, load_params
from genga.registry import Registry
from genga.skeleton import from_vector
from genga.store import Store
from models.batches import Sampler
from models.export import card_of, save_model
from models.loop import Tracker, fingerprint_of, finish, fit
from models.metrics.poses import pose_metrics, read_poses
from models.recipes.pose import Batch, PoseRecipe

Kind = Literal["stick", "figure"]
STORES: dict[Kind, str] = {"stick": "sticks", "figure": "mannequins"}
NOTES: dict[Kind, str] = {
    "stick": "A stick drawing does not say which limb is the left one: the names of left and right may be exchanged, limb by limb.",
    "figure": "Learned from drawn mannequins: real drawings with other proportions, clothes or backgrounds are read less well.",
}
SHOWN = 24


class Drawings(NamedTuple):
    """Gray pictures (N, R, R) and poses (N, 11, 2)."""

    pictures: NDArray[np.uint8]
    poses: NDArray[np.float32]


def train_pose(params: TrainPose, kind: Kind, figures_dir: Path, run_dir: Path, weights_dir: Path, tracker: Tracker | None = None) -> None:
    figures = Store(figures_dir / STORES[kind])
    family, limbs_may_swap = f"{kind}-pose", kind == "stick"
    rows = {split: figures.indices(split) for split in ("train", "test")}
    train, judged = (drawings_of(figures, some if len(some) else rows["train"], params.model.resolution) for some in rows.values())

    shown = np.linspace(0, len(judged.poses) - 1, min(SHOWN, len(judged.poses))).astype(np.int64)
    recipe = PoseRecipe(params, _batch(judged, shown), limbs_may_swap=limbs_may_swap)
    fingerprint = fingerprint_of(params, figures.data_id, extra=kind)
    fit(recipe, _batches(params, train), params.training, run_dir, what=f"train {family}", fingerprint=fingerprint, tracker=tracker)

    found, _ = read_poses(recipe.net_ema, judged.pictures)
    card = card_of(
        family,
        params.model,
        params,
        figures,
        count=len(train.poses),
        kimg=params.training.total_kimg,
        metrics=pose_metrics(found, judged.poses, limbs_may_swap=limbs_may_swap),
        notes=[NOTES[kind]] + ([] if len(rows["test"]) else ["Its PCK was measured on figures that it was trained on, because none were held out."]),
    )
    save_model(weights_dir, recipe.net_ema, card, recipe.sample())
    finish(run_dir)


def drawings_of(figures: Store, rows: NDArray[np.int64], side: int) -> Drawings:
    """Every way in which these figures are drawn, one after the other, shrunk by area."""
    if len(rows) == 0:
        raise DataError(f"no figures to learn from in {figures.dir}; raise draw_figures.{figures.dir.name}.count in params.yaml")
    pictures = [cv2.resize(images[row], (side, side), interpolation=cv2.INTER_AREA) for images in map(figures.images, figures.sizes) for row in rows]
    poses = from_vector(figures.column("pose"))[rows].astype(np.float32)
    return Drawings(np.stack(pictures), np.concatenate([poses] * len(figures.sizes)))


def _batch(drawings: Drawings, idxs: NDArray[np.int64]) -> Batch:
    return Batch(torch.from_numpy(drawings.pictures[idxs]), torch.from_numpy(drawings.poses[idxs]))


def _batches(params: TrainPose, train: Drawings) -> Callable[[int], Batch]:
    sampler = Sampler(len(train.poses), params.training.seed)
    return lambda cur_nimg: _batch(train, sampler.idxs_at(cur_nimg, params.training.batch_size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(STORES))
    for name in ("figures_dir", "run_dir", "weights_dir"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    params = load_params().train_pose[args.kind]
    data_id = Store(args.figures_dir / STORES[args.kind]).data_id
    with Registry().tracking(f"{args.kind}-pose", params.model_dump(), args.run_dir, data_id=data_id) as tracker:
        train_pose(params, args.kind, args.figures_dir, args.run_dir, args.weights_dir, tracker)
        tracker.finish(args.weights_dir)


if __name__ == "__main__":
    run(main)
