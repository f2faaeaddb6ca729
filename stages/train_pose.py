"""drawn figures -> a network that reads the 11 joints: `stick` off stick figures, `figure` off mannequins in every way they are drawn.

reads   data/figures/sticks/ or data/figures/mannequins/   store
writes  runs/<kind>-pose/      curves and sample grids
        weights/<kind>-pose/   weights, card (PCK on the test split), sheet, reliability.png (of its confidence on the test split)
Pictures are learned from, and measured on, as drawings are read (models/ink.py): ink on paper, cut out around the figure.
Confidence is calibrated on the val split: P(the joint lies within 0.1 of the longer side of the pose's box).
"""

import argparse
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from genga import skeleton
from genga.door import run
from genga.errors import DataError
from genga.params import TrainPose, load_params
from genga.pictures import encode_png
from genga.progress import progress
from genga.registry import Registry
from genga.skeleton import JOINTS, from_vector
from genga.store import Store
from models.batches import Sampler
from models.export import card_of, save_model
from models.ink import as_read
from models.loop import Tracker, fingerprint_of, finish, fit
from models.metrics.calibration import calibration_error
from models.metrics.poses import NEAR, calibration_for, near, pose_metrics, read_poses, reliability_plot
from models.recipes.pose import Batch, PoseRecipe
from stages.processes import in_order_forked
from stages.threads import in_chunks, num_cores

Kind = Literal["stick", "figure"]
STORES: dict[Kind, str] = {"stick": "sticks", "figure": "mannequins"}
NOTES: dict[Kind, str] = {
    "stick": "A stick drawing does not say which limb is the left one: the names of left and right may be exchanged, limb by limb.",
    "figure": "Learned from drawn mannequins: real drawings with other proportions, clothes or backgrounds are read less well.",
}
SHOWN = 24


class Drawings(NamedTuple):
    """Dark ink on white paper (N, R, R) and poses (N, 11, 2) in [0, 1] of that; what was cut off lies outside."""

    pictures: NDArray[np.uint8]
    poses: NDArray[np.float32]


def train_pose(params: TrainPose, kind: Kind, figures_dir: Path, run_dir: Path, weights_dir: Path, tracker: Tracker | None = None) -> None:
    figures = Store(figures_dir / STORES[kind])
    family, limbs_may_swap = f"{kind}-pose", kind == "stick"
    rows = {split: figures.indices(split) for split in ("train", "val", "test")}
    judged_rows = rows["test"] if len(rows["test"]) else rows["train"]
    train, judged = (drawings_of(figures, some, params.model.resolution) for some in (rows["train"], judged_rows))

    shown = np.linspace(0, len(judged.poses) - 1, min(SHOWN, len(judged.poses))).astype(np.int64)
    recipe = PoseRecipe(params, _batch(judged, shown), limbs_may_swap=limbs_may_swap)
    fingerprint = fingerprint_of(params, figures.data_id, kind, [__file__, skeleton.__file__])
    fit(recipe, _batches(params, train), params.training, run_dir, what=f"train {family}", fingerprint=fingerprint, tracker=tracker)

    if len(rows["val"]):
        held = drawings_of(figures, rows["val"], params.model.resolution)
        found, confidence = read_poses(recipe.net_ema, held.pictures)
        recipe.net_ema.calibration.copy_(calibration_for(confidence, near(found, held.poses, NEAR, limbs_may_swap=limbs_may_swap)))
    found, confidence = read_poses(recipe.net_ema, judged.pictures)
    hit = near(found, judged.poses, NEAR, limbs_may_swap=limbs_may_swap)
    metrics = pose_metrics(found, judged.poses, limbs_may_swap=limbs_may_swap, visible=visible_in(figures, judged_rows))
    card = card_of(
        family,
        params.model,
        params,
        figures,
        count=len(train.poses),
        kimg=params.training.total_kimg,
        metrics={**metrics, "ece": calibration_error(confidence, hit)},
        notes=notes_of(kind, rows),
    )
    save_model(weights_dir, recipe.net_ema, card, recipe.sample())
    (weights_dir / "reliability.png").write_bytes(encode_png(reliability_plot(confidence, hit)))
    if tracker:
        tracker.finish(weights_dir)
    finish(run_dir)


def notes_of(kind: Kind, rows: dict[str, NDArray[np.int64]]) -> list[str]:
    notes = [NOTES[kind]]
    if not len(rows["val"]):
        notes.append("Its confidence is not calibrated, because no figures were held out for that.")
    if not len(rows["test"]):
        notes.append("Its PCK was measured on figures that it was trained on, because none were held out.")
    return notes


def drawings_of(figures: Store, rows: NDArray[np.int64], side: int) -> Drawings:
    """Every way in which these figures are drawn, one after the other, each as a drawing is read."""
    if len(rows) == 0:
        raise DataError(f"no figures to learn from in {figures.dir}; raise draw_figures.{figures.dir.name}.count in params.yaml")
    poses = from_vector(figures.column("pose"))
    drawn = [(images, row) for images in map(figures.images, figures.sizes) for row in rows]
    pictures, placed = np.empty((len(drawn), side, side), np.uint8), np.empty((len(drawn), len(JOINTS), 2), np.float32)
    with in_order_forked(lambda drawing: as_read(drawing[0][drawing[1]], poses[drawing[1]], side), in_chunks(drawn), 2 * num_cores()) as chunks:
        read = progress(chain.from_iterable(chunks), what=f"read {figures.dir.name}", total=len(drawn))
        for at, (picture, pose) in enumerate(read):
            pictures[at], placed[at] = picture, pose
    return Drawings(pictures, placed)


def visible_in(figures: Store, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N, 11), for the drawings of these rows: which joints are in sight."""
    visible = np.array([figures.manifest["visible"][int(row)].as_py() for row in rows], bool)
    return np.concatenate([visible] * len(figures.sizes))


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


if __name__ == "__main__":
    run(main)
