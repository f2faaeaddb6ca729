"""Promise: joints of figures in poses and styles never seen in training are read as PROMISED says, after ten minutes of training on two cores.

    python -m bench.pose_quality [stick|figure] [--minutes 10]

Poses are the real ones of ../shared/data/poses11.npz, of which about 1,000 are held out; without that file there is nothing to measure.
Sticks are drawn in these alone; mannequins half of the time, lifted to 3D, and else in poses from the limits of drawing/poses.py.
The stages themselves draw and train, with the values of profiles/evening.yaml and at most so many minutes' worth of pictures.
Drawings are learned from, and read, as the page reads them (models/ink.py). PCK counts joints within a share of the longer side of the pose's box,
on the held-out poses, drawn in the held-out styles: once over all joints, once over those that the drawing shows.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.arguments import Parser, minutes
from bench.real_poses import CALIBRATED_ON, HELD_OUT, REAL, pose_folders, with_profiles
from genga.door import run
from genga.params import Params, TrainPose, parse_params
from genga.skeleton import JOINTS, J
from genga.store import Store
from models.export import load_model
from models.metrics.calibration import calibration_error
from models.metrics.poses import near, read_poses
from models.recipes.pose import Batch, PoseRecipe
from stages.draw_figures import draw_figures
from stages.train_pose import STORES, Kind, drawings_of, train_pose, visible_in

SHARE: dict[Kind, float] = {"stick": 1.0, "figure": 0.5}
WRISTS = [J["l_wrist"], J["r_wrist"]]
PROMISED: dict[Kind, dict[str, float]] = {
    "stick": {"PCK@0.05": 0.95, "PCK@0.1": 0.985, "PCK@0.1 of the worst joint": 0.96},
    "figure": {"PCK@0.05": 0.90, "PCK@0.1": 0.97, "PCK@0.1 of the wrists": 0.93},
}


def evening(kind: Kind, poses_dir: Path) -> Params:
    """The evening profile's values, with the poses in `poses_dir`, and only this kind of figure drawn."""
    document = with_profiles("evening")
    draw = document["draw_figures"]
    draw["poses"] |= {"path": str(poses_dir), "share": SHARE[kind]}
    draw |= {"val": CALIBRATED_ON, "test": HELD_OUT}
    for store in set(STORES.values()) - {STORES[kind]}:
        draw[store]["count"] = 1
    return parse_params(document, "params.yaml with profiles/evening.yaml")


def pictures_per_second(params: TrainPose, kind: Kind) -> float:
    side, size = params.model.resolution, params.training.batch_size
    batch = Batch(torch.randint(0, 256, (size, side, side), dtype=torch.uint8), torch.rand(size, 11, 2))
    recipe = PoseRecipe(params, batch, limbs_may_swap=kind == "stick")
    recipe.step(batch, 0)
    start = time.perf_counter()
    for step in range(12):
        recipe.step(batch, step * size)
    return 12 * size / (time.perf_counter() - start)


def shares(close: dict[float, NDArray[np.bool_]], counted: NDArray[np.bool_]) -> dict[str, float]:
    """Of the joints that are counted: which share was found, by the names of PROMISED."""
    by_joint = (close[0.1] & counted).sum(axis=0) / counted.sum(axis=0)
    return {
        "PCK@0.05": float(close[0.05][counted].mean()),
        "PCK@0.1": float(close[0.1][counted].mean()),
        "PCK@0.1 of the worst joint": float(by_joint.min()),
        "PCK@0.1 of the wrists": float(by_joint[WRISTS].mean()),
    }


def measure(kind: Kind, minutes: float, scratch: Path) -> None:
    poses_dir, own_dir = pose_folders(scratch)
    params = evening(kind, poses_dir)
    start = time.perf_counter()
    draw_figures(params.draw_figures, poses_dir, own_dir, scratch / "figures")
    figures = Store(scratch / "figures" / STORES[kind])
    print(f"{kind}: {len(figures)} figures drawn in {time.perf_counter() - start:.0f} s")

    pose = params.train_pose[kind]
    kimg = min(pose.training.total_kimg, round(pictures_per_second(pose, kind) * 60 * minutes / 1000, 3))
    pose = pose.model_copy(update={"training": pose.training.model_copy(update={"total_kimg": kimg})})
    start = time.perf_counter()
    train_pose(pose, kind, scratch / "figures", scratch / "run", scratch / "weights")
    print(f"{kind}: {kimg:g} kimg, {(time.perf_counter() - start) / 60:.1f} minutes of training and measuring")
    report(kind, scratch, figures)


def report(kind: Kind, scratch: Path, figures: Store) -> None:
    net: Any
    net, _ = load_model(scratch / "weights")
    rows = figures.indices("test")
    pictures, truth = drawings_of(figures, rows, net.resolution)
    joints, confidence = read_poses(net, pictures)
    close = {alpha: near(joints, truth, alpha, limbs_may_swap=kind == "stick") for alpha in (0.05, 0.1)}
    visible = visible_in(figures, rows)
    for what, counted in (("all joints", np.ones_like(visible)), ("joints in sight", visible)):
        reached = shares(close, counted)
        for name, promised in PROMISED[kind].items():
            print(f"{kind}, {what}: {name} {reached[name]:.3f}, promised >= {promised} ({reached[name] / promised:.3f} of it)")
    styles = np.array(figures.manifest["style"].to_pylist(), dtype=object)[np.tile(rows, len(figures.sizes))]
    for style in sorted(set(styles)):
        found = np.where(visible, close[0.1], np.nan)[styles == style]
        by_joint = np.nanmean(found, axis=0)
        print(f"{kind}, {style}: in sight PCK@0.1 {np.nanmean(found):.3f}, the worst joint {JOINTS[by_joint.argmin()]} {by_joint.min():.3f}")
    print(f"{kind}: confidence is off by {calibration_error(confidence, close[0.1]):.3f} on average (ECE)")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("kind", nargs="?", choices=sorted(STORES))
    parser.add_argument("--minutes", type=minutes, default=10.0)
    parser.add_argument("--keep", type=Path, help="where the weights stay; KEEP/figure-pose is what bench.sketch_quality --reader takes")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    if not REAL.is_file():
        print(f"pose_quality: skipped, there is no {REAL} with real poses to draw")
        return
    for kind in [args.kind] if args.kind else sorted(STORES):
        with tempfile.TemporaryDirectory() as scratch:
            measure(kind, args.minutes, Path(scratch))
            if args.keep:
                shutil.copytree(Path(scratch) / "weights", args.keep / f"{kind}-pose", dirs_exist_ok=True)


if __name__ == "__main__":
    run(main)
