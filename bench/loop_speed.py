"""Promise: pictures that come fresh from the store cost a training next to nothing, its bare steps run at >= 0.95 of their speed on one fixed batch;
what comes beside them, checkpoints, sample grids, numbers and the watch for collapse, with MLflow told of all of it, costs under 3 % together.

    python -m bench.loop_speed [--family stylegan2] [--steps 96] [--rounds 3]

Each round trains the same steps four times, in turn: bare, which is a recipe's steps and nothing else, on one fixed batch; bare on fresh pictures; by
the loop and under watch, but with intervals at which nothing comes; and so with everything. What comes beside the steps is, of the last two, the time
that goes neither into the recipe's own steps nor into reading their batches, as a share of the time that does: from run to run steps differ by more.
The third has what comes in every step, the journal's sums; it counts in full. The fourth has the intervals of params.yaml, lengths of gradients with
them, and the time for which numbers wait to be sent to MLflow together, made 8 times shorter, so that a round meets enough of each; its share beyond
the third's is divided by 8. Faces are noise in a store of 20,000. Numbers are medians over the rounds; warm-up and growth are left out, so that all
steps are alike.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import numpy as np

from bench.arguments import Parser, at_least
from bench.noise import write_noise
from genga import registry
from genga.door import run
from genga.params import TrainFace, WatchCollapse, load_params
from genga.registry import Registry
from models.batches import Pictures
from models.loop import Tracker, fit
from models.recipes.faces import face_recipe
from models.recipes.gan import GanRecipe
from models.recipes.watched import Watched

T = TypeVar("T")
BatchAt = Callable[[int], Any]

COUNT = 20_000
OFTENER = 8
ENDS = 3  # steps that are not timed: two at the beginning, one at the end
NEVER = 1e6  # kimg
PROMISED, OVERHEAD = 0.95, 0.03


def noted(call: Callable[..., T], times: list[tuple[float, float]]) -> Callable[..., T]:
    """`times`: when each call began and ended."""

    def timed(*args: Any) -> T:
        start = time.perf_counter()
        found = call(*args)
        times.append((start, time.perf_counter()))
        return found

    return timed


def seconds(recipe: GanRecipe, train: Callable[[BatchAt], None], batch_at: BatchAt) -> tuple[float, float]:
    """Of all steps but the ends of the training: with whatever came between, and of reading batches and the recipe's steps alone."""
    read: list[tuple[float, float]] = []
    stepped: list[tuple[float, float]] = []
    with patch.object(recipe, "step", noted(recipe.step, stepped)):
        train(noted(batch_at, read))
    return read[-1][0] - read[2][0], sum(end - start for start, end in read[2:-1] + stepped[2:-1])


def bare(params: TrainFace, steps: int, batch_at: BatchAt) -> float:
    recipe, size = face_recipe(params), params.training.batch_size

    def train(batch_at: BatchAt) -> None:
        for cur_nimg in range(0, steps * size, size):
            recipe.step(batch_at(cur_nimg), cur_nimg)

    return seconds(recipe, train, batch_at)[0]


def beside(params: TrainFace, watch: WatchCollapse, pictures: Pictures, batch_at: BatchAt, run_dir: Path, tracker: Tracker | None) -> float:
    """What comes beside the steps, as a share of their time."""
    recipe = face_recipe(params)
    under_watch = Watched(recipe, pictures.some(watch.samples), watch, "bench")

    def train(batch_at: BatchAt) -> None:
        fit(under_watch, batch_at, params.training, run_dir, what="loop_speed", fingerprint="", tracker=tracker)

    whole, alone = seconds(recipe, train, batch_at)
    return whole / alone - 1


def main() -> None:
    document = load_params()
    parser = Parser(__doc__)
    parser.add_argument("--family", choices=document.train_face, default="stylegan2")
    parser.add_argument("--steps", type=at_least(1), default=96)
    parser.add_argument("--rounds", type=at_least(1), default=3)
    args = parser.parse_args()
    params, watch = document.train_face[args.family].model_copy(update={"warm_up": None, "growth": []}), document.watch_collapse
    steps = args.steps + ENDS

    def at_intervals(change: Callable[[float], float]) -> tuple[TrainFace, WatchCollapse]:
        intervals = {name: change(getattr(params.training, name)) for name in ("log_kimg", "sample_kimg", "checkpoint_kimg")}
        training = params.training.model_copy(update={"total_kimg": steps * params.training.batch_size / 1000, **intervals})
        return params.model_copy(update={"training": training}), watch.model_copy(update={"every_kimg": change(watch.every_kimg)})

    rare, often = at_intervals(lambda _: NEVER), at_intervals(lambda kimg: kimg / OFTENER)
    rounds = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        pictures = Pictures(write_noise(root / "faces", COUNT, params.model.resolution), params.model.resolution)
        fresh_at = pictures.batches(params.training)
        first = fresh_at(0)
        for number in range(args.rounds):
            fixed, fresh = bare(params, steps, lambda _: first), bare(params, steps, fresh_at)
            always = beside(*rare, pictures, fresh_at, root / f"rare-{number}", None)
            run_dir = root / f"often-{number}"
            with (
                patch.object(registry, "SEND_SECONDS", registry.SEND_SECONDS / OFTENER),
                Registry(f"sqlite:///{root}/mlflow.db", root).tracking(args.family, params.model_dump(), run_dir, data_id="noise") as tracker,
            ):
                everything = beside(*often, pictures, fresh_at, run_dir, tracker)
            rounds.append((fixed, fixed / fresh, always, everything - always))
    fixed, speed, always, oftener = np.median(rounds, axis=0)
    cost = always + oftener / OFTENER
    size, milliseconds = params.training.batch_size, 1000 * fixed / args.steps
    print(f"loop_speed: {args.family}, {args.steps} steps of {size}, {args.rounds} rounds, {milliseconds:.0f} ms a bare step on one fixed batch")
    print(f"loop_speed: fresh pictures run at {speed:.3f} of the speed of one fixed batch, promised >= {PROMISED} ({speed / PROMISED:.3f} of it)")
    print(f"loop_speed: in every step, the journal costs {100 * always:.2f} %")
    print(
        "loop_speed: at intervals, checkpoints, grids, numbers, lengths of gradients, looks for collapse and MLflow cost "
        f"{100 * oftener / OFTENER:.2f} %, an {OFTENER}th of {100 * oftener:.2f} %, which they cost {OFTENER} times as often"
    )
    print(f"loop_speed: together {100 * cost:.2f} %, promised < {100 * OVERHEAD:.0f} % ({cost / OVERHEAD:.2f} of it)")


if __name__ == "__main__":
    run(main)
