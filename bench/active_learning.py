"""Promise: the macro-F1 that random picking reaches with N labels, labeling/ordering.py reaches with <= 0.6 N.

    python -m bench.active_learning [drawn|real] [--seeds 5] [--curves FOLDER]

A label is one answer: one tag of one picture. Rounds of labeling, simulated: a reader learns from the answers that there are, the next questions are
chosen, their answers are looked up, and it learns anew. Random picking asks for all tags of each picture; `whole` is our order asking for all as
well, `need` for the most telling ones alone, TAGS_EACH of them. Each way begins with the same random pictures.

The reader is a regression that learns in a second, not the network: the order has to help whoever learns. Drawn faces, whose truth is that of all
tags, are described by plain colours and edges. Real ones are those of ../shared/data/faces96.zip with its hair and eye colours, which are noisy; they
are described by what a tagger sees that learned from labels by rule and from drawn faces, as Genga trains one before anybody has labelled. Without
that file they are left out. Scores are of held-out pictures, the mean over tags; means of the seeds, with their spread.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from bench.arguments import Parser, at_least
from bench.real_faces import REAL, no_labels, params_for, real_faces, take_in
from genga.door import run
from genga.params import TrainTagger
from genga.progress import progress
from genga.store import Store
from genga.tags import column_slices, flags
from labeling.ordering import tag_order
from models.baseline import Baseline
from models.batches import to_signed
from models.export import load_model
from models.metrics.colours_edges import colours_and_edges
from models.metrics.tags import decide, macro_f1
from models.targets import UNKNOWN, Targets, counts, names, read_labels, read_truth
from stages.train_tagger import train_tagger

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]
Choose = Callable[[Baseline, Targets, int], Targets]  # what learned from them, answers so far, how many -> more of them

ROUNDS = {"drawn": (50, 100, 150, 200, 250, 300, 400, 500, 600, 800), "real": (200, 400, 600, 800, 1000, 1300, 1600)}  # pictures, all their tags
COMPARED = {"drawn": (400, 500, 600, 800), "real": (800, 1000, 1300, 1600)}
TAGS_EACH = {"drawn": 4, "real": 1}
DRAWN = 8000
PROMISED = 0.6
BATCH = 256


@dataclass(frozen=True)
class Task:
    """`features` for the reader, `looks` for the order; `asked`: places in names() of the tags that labels are looked up for. `regularisation` is
    that of the reader, the better of a few with labels picked at random."""

    what: str
    features: Floats
    looks: Floats
    targets: Targets
    ids: list[str]
    pool: Rows
    test: Rows
    asked: list[int]
    regularisation: float


def drawn_task(root: Path) -> Task:
    sample = Store(root / "sample")
    features = colours_and_edges(sample.images(sample.sizes[-1]))
    rows = np.arange(len(sample))
    test = rows % 4 == 0
    return Task(
        "drawn", features, features, read_truth(sample).targets, sample.column("id"), rows[~test], rows[test], list(range(len(names()))), 0.02
    )


def real_task(root: Path, params: TrainTagger) -> Task:
    faces = Store(root / "faces")
    targets = read_labels(root / "labels", faces).targets
    known, held_out = (targets != UNKNOWN).any(axis=1), np.isin(np.arange(len(faces)), faces.indices("test"))
    asked = np.flatnonzero((targets != UNKNOWN).any(axis=0)).tolist()
    train_tagger(params, root / "faces", root / "sample", no_labels(root), root / "run", root / "tagger")
    tagger: Any = load_model(root / "tagger")[0]
    pictures = faces.images(params.model.resolution)
    seen, looks = [], []
    with torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            batch = to_signed(torch.from_numpy(np.array(pictures[start : start + BATCH])))
            seen.append(tagger.seen(batch)[:, asked].flatten(1).numpy())
            looks.append(tagger.features(batch).numpy())
    rows = np.arange(len(faces))
    pool, test = rows[known & ~held_out], rows[known & held_out]
    return Task("real", np.concatenate(seen), np.concatenate(looks), targets, faces.column("id"), pool, test, asked, 0.003)


def score(reader: Baseline, task: Task) -> float:
    decided = decide(reader.probabilities(task.features[task.test]), dict.fromkeys(flags(), 0.5))
    truth = task.targets[task.test]
    return float(np.mean([macro_f1(decided[known, at], truth[known, at]) for at in task.asked if (known := truth[:, at] != UNKNOWN).any()]))


def look_up(task: Task, answers: Targets, questions: Iterable[tuple[int, Sequence[int]]], count: int) -> Targets:
    """`count` answers more, those to the first of `questions`: row, places in names()."""
    found = answers.copy()
    cells = [(row, at) for row, places in questions for at in places if task.targets[row, at] != UNKNOWN]
    for row, at in cells[:count]:
        found[row, at] = task.targets[row, at]
    return found


def by_chance(task: Task, order: Rows) -> Choose:
    return lambda _, answers, count: look_up(task, answers, [(row, _open(task, answers, row)) for row in order], count)


def _open(task: Task, answers: Targets, row: int) -> list[int]:
    return [at for at in task.asked if answers[row, at] == UNKNOWN]


def by_need(task: Task, tags_each: int | None) -> Choose:
    def choose(reader: Baseline, answers: Targets, count: int) -> Targets:
        answered = np.flatnonzero((answers != UNKNOWN).any(axis=1))
        rest = np.setdiff1d(task.pool, answered)
        shares = reader.probabilities(task.features[rest])
        may = np.isin([names().index(name) for name in column_slices()], task.asked)[None].repeat(len(rest), axis=0)
        pictures = -(-count // (tags_each or len(task.asked)))
        labelled = {task.ids[row]: task.looks[row] for row in answered}
        wanted = tag_order(shares, task.looks[rest], [task.ids[row] for row in rest], pictures, counts(answers), may, tags_each, labelled)
        return look_up(task, answers, [(rest[each.row], [names().index(name) for name in each.tags]) for each in wanted], count)

    return choose


def curve(task: Task, choose: Choose, order: Rows) -> list[tuple[int, float]]:
    """(number of labels, macro-F1) after each round; the first is at random."""
    answers = look_up(task, np.full_like(task.targets, UNKNOWN), [(row, task.asked) for row in order], ROUNDS[task.what][0] * len(task.asked))
    points = []
    for size, following in zip(ROUNDS[task.what], (*ROUNDS[task.what][1:], None), strict=True):
        rows = np.flatnonzero((answers != UNKNOWN).any(axis=1))
        reader = Baseline(task.features[rows], answers[rows], task.regularisation)
        points.append((int((answers != UNKNOWN).sum()), score(reader, task)))
        if following:
            answers = choose(reader, answers, (following - size) * len(task.asked))
    return points


def labels_for(target: float, sizes: NDArray[Any], scores: NDArray[Any]) -> float:
    """How many labels a curve needs for this score, between its points in a line; infinite where it never gets there."""
    reached = np.flatnonzero(scores >= target)
    if not len(reached):
        return float("inf")
    at = int(reached[0])
    return float(sizes[0] if at == 0 else np.interp(target, scores[at - 1 : at + 1], sizes[at - 1 : at + 1]))


def measure(task: Task, seeds: int, curves_dir: Path) -> None:
    runs: dict[str, list[list[tuple[int, float]]]] = {"chance": [], "whole": [], "need": []}
    for seed in progress(range(seeds), what=f"rounds of labeling, {task.what}", unit="seeds"):
        order = np.random.default_rng(seed).permutation(task.pool)
        chosen = {"chance": by_chance(task, order), "whole": by_need(task, None), "need": by_need(task, TAGS_EACH[task.what])}
        for how, choose in chosen.items():
            runs[how].append(curve(task, choose, order))
    sizes, scores = ({how: np.array(runs[how], float)[:, :, part] for how in runs} for part in (0, 1))
    for how in runs:
        points = zip(sizes[how].mean(axis=0), scores[how].mean(axis=0), scores[how].std(axis=0), strict=True)
        print(
            f"active_learning: {task.what}, picked by {how}: " + ", ".join(f"{count:.0f}: {mean:.3f}±{spread:.3f}" for count, mean, spread in points)
        )
    for pictures in COMPARED[task.what]:
        at = ROUNDS[task.what].index(pictures)
        count, mean = sizes["chance"][:, at].mean(), scores["chance"][:, at].mean()
        whole, need = (labels_for(mean, sizes[how].mean(axis=0), scores[how].mean(axis=0)) / count for how in ("whole", "need"))
        each = [labels_for(mean, sizes["need"][seed], scores["need"][seed]) / count for seed in range(seeds)]
        print(
            f"active_learning: {task.what}, macro-F1 {mean:.3f} of {count:.0f} random labels is reached with {need:.2f} of them "
            f"(seeds {min(each):.2f} to {max(each):.2f}; whole pictures {whole:.2f}), promised <= {PROMISED}"
        )
    draw(task.what, sizes, scores, curves_dir / f"active-learning-{task.what}.png")


def draw(what: str, sizes: dict[str, NDArray[Any]], scores: dict[str, NDArray[Any]], path: Path) -> None:
    figure = Figure((7, 4.6), 110, layout="constrained")
    axes = figure.add_subplot()
    shown = {
        "chance": ("at random", "#8c8c8c"),
        "whole": ("by need, all their tags", "#e08b2c"),
        "need": ("by need, their most telling tags", "#2f6fde"),
    }
    for how, (name, colour) in shown.items():
        mean, spread, count = scores[how].mean(axis=0), scores[how].std(axis=0), sizes[how].mean(axis=0)
        axes.plot(count, mean, color=colour, marker="o", label=f"pictures {name}")
        axes.fill_between(count, mean - spread, mean + spread, color=colour, alpha=0.18, lw=0)
    axes.set(title=f"{what} faces, {len(scores['need'])} seeds with their spread", xlabel="labels", ylabel="macro-F1 on held-out faces")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right")
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]


def task_of(what: str, root: Path) -> Task:
    if what == "real":
        return real_task(root, real_faces("laptop", root).train_tagger)
    take_in(params_for("laptop", {"draw_faces": {"count": DRAWN}}), root, None)
    return drawn_task(root)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("what", nargs="?", choices=sorted(ROUNDS))
    parser.add_argument("--seeds", type=at_least(1), default=5)
    parser.add_argument("--curves", type=Path, default=Path("bench-out"), help="where the curves go, as PNG (default: bench-out)")
    args = parser.parse_args()
    args.curves.mkdir(parents=True, exist_ok=True)
    for what in [args.what] if args.what else list(ROUNDS):
        if what == "real" and not REAL.is_file():
            print(f"active_learning: real faces skipped, there is no {REAL}")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            task = task_of(what, Path(scratch))
            with threadpool_limits(1), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # its products are small
                measure(task, args.seeds, args.curves)


if __name__ == "__main__":
    run(main)
