"""Promise: pictures that come fresh from the store cost a training next to nothing, it runs at >= 0.95 of the speed of the same steps on one fixed
batch; checkpoints, sample grids, numbers and the watch for collapse, with MLflow told of all of it, cost under 3 % together.

    python -m bench.loop_speed [--family stylegan2] [--steps 96] [--rounds 3]

Each round trains the same steps three times, in turn: on one fixed batch, on fresh pictures, and on fresh pictures with everything. There the
intervals of params.yaml are made 8 times shorter, so that a round meets enough of each, and what it costs is divided by 8. Faces are noise in a store
of 20,000. Ratios are of medians over the rounds; warm-up and growth are left out, so that all steps are alike.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.noise import write_noise
from genga.params import TrainFace, WatchCollapse, load_params
from genga.registry import Registry
from models.batches import Pictures
from models.loop import Tracker, fit
from models.recipes.faces import face_recipe
from models.recipes.watched import Watched

COUNT = 20_000
OFTENER = 8
NEVER = 1e6  # kimg
PROMISED, OVERHEAD = 0.95, 0.03


def seconds(params: TrainFace, watch: WatchCollapse | None, pictures: Pictures, run_dir: Path, *, fixed: bool, tracker: Tracker | None) -> float:
    """From the first batch that the loop asks for, after one to warm up, to the last: every step but the ends of the training."""
    recipe: Any = face_recipe(params)
    if watch:
        recipe = Watched(recipe, pictures.some(watch.samples), watch, "bench")
    fresh_at = pictures.batches(params.training)
    first = fresh_at(0)
    asked = []

    def batch_at(cur_nimg: int) -> Any:
        asked.append(time.perf_counter())
        return first if fixed else fresh_at(cur_nimg)

    fit(recipe, batch_at, params.training, run_dir, what="loop_speed", fingerprint="", tracker=tracker)
    return asked[-1] - asked[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="stylegan2")
    parser.add_argument("--steps", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    whole = load_params().train_face[args.family].model_copy(update={"warm_up": None, "growth": []})
    training, watch = whole.training, load_params().watch_collapse
    watch = watch.model_copy(update={"every_kimg": watch.every_kimg / OFTENER})
    length = {"total_kimg": (args.steps + 3) * training.batch_size / 1000}
    intervals = {name: getattr(training, name) / OFTENER for name in ("log_kimg", "sample_kimg", "checkpoint_kimg")}
    everything = whole.model_copy(update={"training": training.model_copy(update=length | intervals)})
    bare = whole.model_copy(update={"training": training.model_copy(update=length | dict.fromkeys(intervals, NEVER))})
    times: dict[str, list[float]] = {"fixed": [], "fresh": [], "everything": []}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        pictures = Pictures(write_noise(root / "faces", COUNT, whole.model.resolution), whole.model.resolution)
        for number in range(args.rounds):
            for what in times:
                run_dir = root / f"{what}-{number}"
                if what == "everything":
                    with Registry(f"sqlite:///{root}/mlflow.db", root).tracking(args.family, whole.model_dump(), run_dir, data_id="noise") as tracker:
                        times[what].append(seconds(everything, watch, pictures, run_dir, fixed=False, tracker=tracker))
                else:
                    times[what].append(seconds(bare, None, pictures, run_dir, fixed=what == "fixed", tracker=None))
    fixed, fresh, full = (median(each) for each in times.values())
    each = fixed / args.steps
    cost = (full / fresh - 1) / OFTENER
    print(f"loop_speed: {args.family}, {args.steps} steps of {training.batch_size}, {args.rounds} rounds, {1000 * each:.0f} ms a step")
    speed = fixed / fresh
    print(f"loop_speed: fresh pictures run at {speed:.3f} of the speed of one fixed batch, promised >= {PROMISED} ({speed / PROMISED:.3f} of it)")
    print(
        f"loop_speed: checkpoints, grids, numbers, the watch and MLflow cost {100 * cost:.2f} %, promised < {100 * OVERHEAD:.0f} % "
        f"({cost / OVERHEAD:.2f} of it)"
    )


if __name__ == "__main__":
    main()
