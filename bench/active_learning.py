"""Promise: the macro-F1 that random picking reaches with N labelled pictures, labeling/ordering.py reaches with <= 0.6 N.

    python -m bench.active_learning [drawn|real] [--seeds 5] [--curves FOLDER]

Rounds of labeling, simulated: a reader learns from the pictures that are labelled, the next ones are chosen, their labels are looked up, and it
learns anew. The reader is the regression on plain colours and edges (models/baseline.py), which learns in a second, not the network: the order
has to help whoever learns. The truth is the drawn sample's, all tags, and the labels of ../shared/data/faces96.zip, hair and eyes, which are
noisy; without that file it is left out. Scores are of held-out pictures, the mean over tags; means of the seeds, with their spread.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench.real_faces import REAL, drawn_faces, real_faces
from genga.progress import progress
from genga.store import Store
from genga.tags import column_slices, flags
from labeling.ordering import tag_order
from models.baseline import Baseline
from models.metrics.colours_edges import colours_and_edges
from models.metrics.tags import decide, macro_f1
from models.targets import UNKNOWN, Targets, names, read_labels, read_truth

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]
Choose = Callable[[Baseline, Rows, int], Rows]  # what learned from them, labelled rows, how many -> rows

ROUNDS = {"drawn": (100, 200, 300, 400, 500, 600, 800), "real": (200, 400, 600, 800, 1000, 1300, 1600)}
PROMISED = 0.6


@dataclass(frozen=True)
class Task:
    """`asked`: places in names() of the tags that labels are looked up for."""

    what: str
    features: Floats
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
    known = np.flatnonzero((targets != UNKNOWN).any(axis=1))
    held_out = np.isin(known, faces.indices("test")) if what == "real" else np.arange(len(known)) % 4 == 0
    asked = [at for at in range(len(names())) if (targets[:, at] != UNKNOWN).any()]
    return Task(what, colours_and_edges(faces.images(faces.sizes[-1])), targets, faces.column("id"), known[~held_out], known[held_out], asked)


def score(reader: Baseline, task: Task) -> float:
    decided = decide(reader.probabilities(task.features[task.test]), dict.fromkeys(flags(), 0.5))
    truth = task.targets[task.test]
    return float(np.mean([macro_f1(decided[known, at], truth[known, at]) for at in task.asked if (known := truth[:, at] != UNKNOWN).any()]))


def by_chance(order: Rows) -> Choose:
    return lambda _, labelled, count: order[len(labelled) : len(labelled) + count]


def by_need(task: Task) -> Choose:
    def choose(reader: Baseline, labelled: Rows, count: int) -> Rows:
        rest = np.setdiff1d(task.pool, labelled)
        shares = reader.probabilities(task.features[rest])
        for name in set(names()) - {names()[at] for at in task.asked}:
            shares[:, column_slices()[name]] = 0  # tags that nobody is asked about are no reason to ask
        return rest[tag_order(shares, task.features[rest], [task.ids[row] for row in rest], count)]

    return choose


def curve(task: Task, choose: Choose, labelled: Rows) -> list[tuple[int, float]]:
    """(number of labelled pictures, macro-F1) after each round."""
    points = []
    for size, following in zip(ROUNDS[task.what], (*ROUNDS[task.what][1:], None), strict=True):
        reader = Baseline(task.features[labelled], task.targets[labelled])
        points.append((len(labelled), score(reader, task)))
        if following:
            labelled = np.concatenate([labelled, choose(reader, labelled, following - size)])
    return points


def labels_for(target: float, sizes: NDArray[Any], scores: NDArray[Any]) -> float:
    """How many labels a curve needs for this score, between its points in a line; infinite where it never gets there."""
    reached = np.flatnonzero(scores >= target)
    if not len(reached):
        return float("inf")
    at = int(reached[0])
    return float(sizes[0] if at == 0 else np.interp(target, scores[at - 1 : at + 1], sizes[at - 1 : at + 1]))


def measure(task: Task, seeds: int, curves_dir: Path) -> None:
    runs: dict[str, list[list[tuple[int, float]]]] = {"chance": [], "need": []}
    for seed in progress(range(seeds), what=f"rounds of labeling, {task.what}", unit="seeds"):
        order = np.random.default_rng(seed).permutation(task.pool)
        for how, choose in (("chance", by_chance(order)), ("need", by_need(task))):
            runs[how].append(curve(task, choose, order[: ROUNDS[task.what][0]]))
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
    parser.add_argument("--curves", type=Path, default=Path("bench-out"), help="where the curves go, as PNG (default: bench-out)")
    args = parser.parse_args()
    makers = {"drawn": drawn_faces, "real": real_faces}
    for what in [args.what] if args.what else list(makers):
        if what == "real" and not REAL.is_file():
            print(f"active_learning: real faces skipped, there is no {REAL}")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            makers[what]("laptop", Path(scratch))
            with threadpool_limits(1):  # its products are small
                measure(task_of(what, Path(scratch)), args.seeds, args.curves)


if __name__ == "__main__":
    main()
