"""Promise: the macro-F1 that random picking reaches with N labelled pictures, labeling/ordering.py reaches with <= 0.6 N.

    python -m bench.active_learning [drawn|real] [--seeds 5] [--curves FOLDER]

Rounds of labeling, simulated: a small tagger learns from the pictures that are labelled, the next ones are chosen, their labels are looked up, and a
tagger learns anew. The truth is the drawn sample's, all tags, and the labels of ../shared/data/faces96.zip, hair and eyes, which are noisy; without
that file it is left out. Scores are of held-out pictures, the mean over tags; means of the seeds, with their spread.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.real_faces import REAL, drawn_faces, real_faces
from genga.params import TrainTagger
from genga.progress import progress
from genga.store import Store
from genga.tags import column_slices, flags
from labeling.ordering import tag_order
from models.batches import Sampler, to_signed
from models.loop import seed_step
from models.metrics.tags import decide, macro_f1
from models.networks.tagger import probabilities
from models.precision import autocast
from models.recipes.tagger import EVEN, Batch, TaggerRecipe, value_weights
from models.targets import UNKNOWN, Targets, names, read_labels, read_truth

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]
Choose = Callable[[Any, Rows, int], Rows]  # tagger, labelled rows, how many -> rows

SIDE, WIDTH, KIMG, BATCH = 32, 16, 6.0, 32  # of the small tagger: seconds a training, for there are many
ROUNDS = {"drawn": (100, 200, 300, 400, 500, 600, 800), "real": (200, 400, 600, 800, 1000, 1300, 1600)}
PROMISED = 0.6


@dataclass(frozen=True)
class Task:
    """`asked`: places in names() of the tags that labels are looked up for."""

    what: str
    pictures: NDArray[np.uint8]
    targets: Targets
    ids: list[str]
    pool: Rows
    test: Rows
    asked: list[int]


def task_of(what: str, root: Path) -> Task:
    faces = Store(root / "faces")
    targets = (read_labels(root / "labels", faces) if what == "real" else read_truth(Store(root / "sample"))).targets
    if what == "drawn":  # the sample itself, whose pictures the store of faces may hold in another order
        faces = Store(root / "sample")
    small = np.stack([cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for face in faces.images(faces.sizes[-1])])
    known = np.flatnonzero((targets != UNKNOWN).any(axis=1))
    held_out = np.isin(known, faces.indices("test")) if what == "real" else np.arange(len(known)) % 4 == 0
    asked = [at for at in range(len(names())) if (targets[:, at] != UNKNOWN).any()]
    return Task(what, small.astype(np.uint8), targets, faces.column("id"), known[~held_out], known[held_out], asked)


def learner(params: TrainTagger, seed: int) -> TrainTagger:
    model = params.model.model_copy(update={"resolution": SIDE, "width": WIDTH})
    training = params.training.model_copy(update={"total_kimg": KIMG, "batch_size": BATCH, "seed": seed})
    return params.model_copy(update={"model": model, "training": training, "lr": 0.004, "ema_kimg": 0.5, "own_opinion": 0.0})


def learn(params: TrainTagger, task: Task, rows: Rows) -> Any:
    targets = task.targets[rows]
    recipe = TaggerRecipe(params, value_weights(targets, params.balance), task.pictures[:1], len(rows))
    sampler = Sampler(len(rows), params.training.seed)
    for cur_nimg in range(0, round(KIMG * 1000), BATCH):
        seed_step(params.training.seed, cur_nimg)
        idxs = sampler.idxs_at(cur_nimg, BATCH)
        recipe.step(Batch(torch.from_numpy(task.pictures[rows[idxs]]), torch.from_numpy(targets[idxs]), torch.from_numpy(idxs)), cur_nimg)
    return recipe.tagger_ema


@torch.inference_mode()
def look_at(tagger: Any, task: Task, rows: Rows) -> tuple[Floats, Floats]:
    """Probabilities (N, C) and features (N, F). Tags that nobody is asked about are no reason to ask."""
    found, features = [], []
    with autocast("auto"):
        for start in range(0, len(rows), 512):
            images = to_signed(torch.from_numpy(task.pictures[rows[start : start + 512]])).contiguous(memory_format=torch.channels_last)
            found.append(probabilities(tagger(images).float(), EVEN))
            features.append(tagger.features(images).float())
    shares = torch.cat(found).numpy()
    for name in set(names()) - {names()[at] for at in task.asked}:
        shares[:, column_slices()[name]] = 0
    return shares, torch.cat(features).numpy()


def score(tagger: Any, task: Task) -> float:
    decided = decide(look_at(tagger, task, task.test)[0], dict.fromkeys(flags(), 0.5))
    truth = task.targets[task.test]
    return float(np.mean([macro_f1(decided[known, at], truth[known, at]) for at in task.asked if (known := truth[:, at] != UNKNOWN).any()]))


def by_chance(order: Rows) -> Choose:
    return lambda _, labelled, count: order[len(labelled) : len(labelled) + count]


def by_need(task: Task) -> Choose:
    def choose(tagger: Any, labelled: Rows, count: int) -> Rows:
        rest = np.setdiff1d(task.pool, labelled)
        shares, features = look_at(tagger, task, rest)
        return rest[tag_order(shares, features, [task.ids[row] for row in rest], count)]

    return choose


def curve(task: Task, params: TrainTagger, choose: Choose, labelled: Rows) -> list[tuple[int, float]]:
    """(number of labelled pictures, macro-F1) after each round."""
    points = []
    for size, following in zip(ROUNDS[task.what], (*ROUNDS[task.what][1:], None), strict=True):
        tagger = learn(params, task, labelled)
        points.append((len(labelled), score(tagger, task)))
        if following:
            labelled = np.concatenate([labelled, choose(tagger, labelled, following - size)])
    return points


def labels_for(target: float, sizes: NDArray[Any], scores: NDArray[Any]) -> float:
    """How many labels a curve needs for this score, between its points in a line; infinite where it never gets there."""
    reached = np.flatnonzero(scores >= target)
    if not len(reached):
        return float("inf")
    at = int(reached[0])
    return float(sizes[0] if at == 0 else np.interp(target, scores[at - 1 : at + 1], sizes[at - 1 : at + 1]))


def measure(task: Task, params: TrainTagger, seeds: int, curves_dir: Path | None) -> None:
    runs: dict[str, list[list[tuple[int, float]]]] = {"chance": [], "need": []}
    for seed in progress(range(seeds), what=f"rounds of labeling, {task.what}", unit="seeds"):
        order = np.random.default_rng(seed).permutation(task.pool)
        for how, choose in (("chance", by_chance(order)), ("need", by_need(task))):
            runs[how].append(curve(task, learner(params, seed), choose, order[: ROUNDS[task.what][0]]))
    sizes, scores = (np.array([[[point[part] for point in run] for run in runs[how]] for how in runs]) for part in (0, 1))
    counts, means, spreads = sizes.mean(axis=1), scores.mean(axis=1), scores.std(axis=1)
    for at, how in enumerate(runs):
        line = ", ".join(f"{count:.0f}: {mean:.3f}±{spread:.3f}" for count, mean, spread in zip(counts[at], means[at], spreads[at], strict=True))
        print(f"active_learning: {task.what}, picked by {how}: {line}")
    for count, mean in list(zip(counts[0], means[0], strict=True))[len(counts[0]) // 2 :]:
        share = labels_for(mean, counts[1], means[1]) / count
        each = [labels_for(mean, sizes[1][seed], scores[1][seed]) / count for seed in range(seeds)]
        print(
            f"active_learning: {task.what}, macro-F1 {mean:.3f} of {count:.0f} random labels is reached with {share:.2f} of them "
            f"(seeds {min(each):.2f} to {max(each):.2f}), promised <= {PROMISED}"
        )
    if curves_dir:
        curves_dir.mkdir(parents=True, exist_ok=True)
        draw(task.what, sizes, scores, curves_dir / f"active-learning-{task.what}.png")


def draw(what: str, sizes: NDArray[Any], scores: NDArray[Any], path: Path) -> None:
    figure = Figure((7, 4.6), 110, layout="constrained")
    axes = figure.add_subplot()
    for at, (how, colour) in enumerate((("at random", "#8c8c8c"), ("by labeling/ordering.py", "#2f6fde"))):
        mean, spread, count = scores[at].mean(axis=0), scores[at].std(axis=0), sizes[at].mean(axis=0)
        axes.plot(count, mean, color=colour, marker="o", label=f"picked {how}")
        axes.fill_between(count, mean - spread, mean + spread, color=colour, alpha=0.18, lw=0)
    axes.set(title=f"{what} faces, {len(scores[0])} seeds with their spread", xlabel="labelled pictures", ylabel="macro-F1 on held-out faces")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right")
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=sorted(ROUNDS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--curves", type=Path, help="where the curves go, as PNG")
    args = parser.parse_args()
    makers = {"drawn": drawn_faces, "real": real_faces}
    for what in [args.what] if args.what else list(makers):
        if what == "real" and not REAL.is_file():
            print(f"active_learning: real faces skipped, there is no {REAL}")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            params = makers[what]("laptop", Path(scratch))
            measure(task_of(what, Path(scratch)), params.train_tagger, args.seeds, args.curves)


if __name__ == "__main__":
    main()
