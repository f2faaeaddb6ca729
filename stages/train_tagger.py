"""prepared faces + labels -> the tagger, calibrated on the val split, measured on the test split.

Tags for which the faces bring too few labels, or the same for all, are learned from the drawn sample's truth, hair and eye colour also from what
their colours are called by rule (labeling/weak.py); the card says which.
reads   data/faces/prepared/, data/faces/sample/   stores;   data/labels/
writes  runs/tagger/      curves and sample grids
        weights/tagger/   weights, card (with learned_from, measured_on, thresholds, temperatures, sure, baseline), sheet,
                          curves.png (precision and recall), confusion.png, mistakes.png and doubtful.json (the surest mistakes)
"""

import argparse
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import nn

from genga.documents import write_json
from genga.door import run
from genga.errors import DataError
from genga.params import TrainTagger, load_params
from genga.pictures import encode_png
from genga.registry import Registry
from genga.splits import split_of
from genga.store import Store
from genga.tags import ORIGINS, columns
from labeling.weak import weak_labels
from models.baseline import Baseline
from models.batches import Sampler
from models.export import card_of, save_model
from models.loop import Tracker, fingerprint_of, finish, fit
from models.metrics.colours_edges import colours_and_edges
from models.metrics.tag_sheets import Mistake, confusion_plot, curves_plot, mistake_sheet, surest_mistakes
from models.metrics.tags import Floats, answer_metrics, decide, sure_from, tag_logits, tag_metrics, temperatures_for, thresholds_for
from models.networks.tagger import probabilities
from models.recipes.tagger import Batch, TaggerRecipe, tagged_sheet, value_weights
from models.targets import UNKNOWN, Labelled, Targets, names, read_labels, read_truth, targets_of

SPLITS = ("train", "val", "test")
SHOWN = 24
MISTAKES = 50
JUDGE_BATCH = 256
BASELINE_FACES = 10_000  # at most: it does not get better with more

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """Pictures at the tagger's resolution, what is known of them, and which rows belong to which split."""

    pictures: NDArray[np.uint8]
    targets: Targets
    rows: dict[str, NDArray[np.int64]]

    def targets_of(self, split: str) -> Targets:
        return self.targets[self.rows[split]]


@dataclass(frozen=True)
class Judged:
    """What goes onto the card, and the test split's probabilities and targets, pool after pool."""

    card: dict[str, Any]
    found: Floats
    targets: Targets


def train_tagger(
    params: TrainTagger, prepared_dir: Path, sample_dir: Path, labels_dir: Path, run_dir: Path, weights_dir: Path, tracker: Tracker | None = None
) -> None:
    faces = Store(prepared_dir)
    labelled = read_labels(labels_dir, faces)
    own = Pool(faces.images(params.model.resolution), labelled.targets, {split: faces.indices(split) for split in SPLITS})
    drawn_only = _too_few(own.targets_of("train"), params.min_labels)
    learned_from = _learned_from(labelled, own.rows["train"], drawn_only)
    if params.weak_labels and drawn_only:
        own, weak = _with_weak_labels(own, drawn_only, params.min_labels)
        learned_from |= dict.fromkeys(weak, "weak")
    own = _without_one_sided(own)
    pools = [own]
    if drawn_only:
        sample = Store(sample_dir)
        own = _measured_elsewhere(own, drawn_only)
        pools = _kept_apart([own, _drawn_pool(params, sample, drawn_only)], [faces.column("imported_id"), sample.column("id")])
    shown = _shown(own)

    weights = value_weights(np.concatenate([pool.targets_of("train") for pool in pools]), params.balance)
    recipe = TaggerRecipe(params, weights, shown, sum(map(len, _rows_to_learn(pools))))
    fingerprint = fingerprint_of(params, faces.data_id, _content_hash(pools), [__file__])
    fit(recipe, _batches(params, pools), params.training, run_dir, what="train tagger", fingerprint=fingerprint, tracker=tracker)

    tagger = recipe.tagger_ema
    judged = _judge(tagger, params, pools, drawn_only)
    card = card_of(
        "tagger",
        params.model,
        params,
        faces,
        count=sum(len(pool.rows["train"]) for pool in pools),
        kimg=params.training.total_kimg,
        metrics=judged.card["metrics"],
        notes=_notes(learned_from, drawn_only),
    )
    card |= {**judged.card, "columns": columns(), "learned_from": learned_from, "baseline": _baseline(pools, judged.targets)}
    logits = _logits(tagger, params, Pool(shown, own.targets, {"shown": np.arange(len(shown))}), "shown")
    sheet = tagged_sheet(shown, probabilities(logits, card["temperatures"]).numpy(), card["thresholds"])
    save_model(weights_dir, tagger, card, sheet)
    _say(card)
    _write_sheets(weights_dir, pools, judged, faces, labelled, tracker)
    if tracker:
        tracker.finish(weights_dir)
    finish(run_dir)


def _with_weak_labels(own: Pool, wanted: list[str], min_labels: int) -> tuple[Pool, list[str]]:
    """Training faces without a label get what their colours are called by rule; of which names there are then enough."""
    rows = own.rows["train"]
    weak = np.array([targets_of(labels) for labels in weak_labels(own.pictures[rows])], np.int64).reshape(len(rows), len(names()))
    weak[:, [at for at, name in enumerate(names()) if name not in wanted]] = UNKNOWN
    targets = own.targets.copy()
    targets[rows] = np.where(targets[rows] == UNKNOWN, weak, targets[rows])
    enough = set(wanted) - set(_too_few(targets[rows], min_labels))
    unused = [at for at, name in enumerate(names()) if name in wanted and name not in enough]
    targets[:, unused] = own.targets[:, unused]
    return replace(own, targets=targets), sorted(enough)


def _too_few(targets: Targets, min_labels: int) -> list[str]:
    known = (targets != UNKNOWN).sum(axis=0)
    return [name for name, count in zip(names(), known, strict=True) if count < min_labels or _is_one_sided(targets, name)]


def _is_one_sided(targets: Targets, name: str) -> bool:
    """A group or flag that has one value wherever it is known teaches nothing."""
    said = targets[:, names().index(name)]
    return len(np.unique(said[said != UNKNOWN])) == 1


def _without_one_sided(own: Pool) -> Pool:
    """Beside drawn faces, which show all values, it would tell the pictures apart by whether they are drawn."""
    train, targets = own.targets_of("train"), own.targets.copy()
    targets[:, [at for at, name in enumerate(names()) if _is_one_sided(train, name)]] = UNKNOWN
    return replace(own, targets=targets)


def _measured_elsewhere(own: Pool, drawn_only: list[str]) -> Pool:
    """The few labels of such tags that are held out would count among the drawn sample's, which the card names alone."""
    targets, held_out = own.targets.copy(), np.concatenate([own.rows["val"], own.rows["test"]])
    targets[held_out[:, None], [names().index(name) for name in drawn_only]] = UNKNOWN
    return replace(own, targets=targets)


def _learned_from(labelled: Labelled, rows: NDArray[np.int64], drawn: list[str]) -> dict[str, str]:
    """Group or flag -> the origin of most of its training labels; "drawn" where the sample's truth takes their place."""
    per_origin = [(labelled.origins[rows] == origin).sum(axis=0) for origin in range(len(ORIGINS))]
    most = np.argmax(per_origin, axis=0)
    return {name: "drawn" if name in drawn else ORIGINS[at] for name, at in zip(names(), most, strict=True)}


def _drawn_pool(params: TrainTagger, sample: Store, wanted: list[str]) -> Pool:
    """The drawn sample, of whose truth only the tags in `wanted` are used."""
    side = params.model.resolution
    pictures = np.stack([cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in sample.images(sample.sizes[-1])])
    unwanted = [column for column, name in enumerate(names()) if name not in wanted]
    targets = read_truth(sample).targets
    targets[:, unwanted] = UNKNOWN
    lacking = [name for name, known in zip(names(), (targets != UNKNOWN).any(axis=0), strict=True) if name in wanted and not known]
    if lacking:
        raise DataError(
            f"the faces have fewer than {params.min_labels} training labels for {', '.join(lacking)}, or the same for all, and the drawn sample in "
            f"{sample.dir} does not show them; label more faces, not all alike, or lower train_tagger.min_labels in params.yaml"
        )
    held_out = params.drawn_held_out
    splits = np.array([split_of(picture, held_out, held_out) for picture in sample.column("id")])
    return Pool(pictures, targets, {split: np.flatnonzero(splits == split) for split in SPLITS})


def _kept_apart(pools: list[Pool], ids: list[list[str]]) -> list[Pool]:
    """The faces may be drawn ones themselves: what one pool holds out, none is trained on. `ids`: of each pool's pictures."""
    held_out = {of[row] for pool, of in zip(pools, ids, strict=True) for split in ("val", "test") for row in pool.rows[split]}
    train = [np.array([row for row in pool.rows["train"] if of[row] not in held_out], np.int64) for pool, of in zip(pools, ids, strict=True)]
    return [replace(pool, rows=pool.rows | {"train": rows}) for pool, rows in zip(pools, train, strict=True)]


def _content_hash(pools: list[Pool]) -> str:
    """What the training reads beside the prepared faces themselves."""
    digest = hashlib.sha256("\n".join(columns()).encode())
    for pool in pools:
        digest.update(pool.targets.tobytes() + pool.rows["train"].tobytes())
    for pool in pools[1:]:
        digest.update(pool.pictures.tobytes())
    return digest.hexdigest()


def _rows_to_learn(pools: list[Pool]) -> list[NDArray[np.int64]]:
    """Of each pool the training pictures of which anything is known."""
    return [pool.rows["train"][(pool.targets_of("train") != UNKNOWN).any(axis=1)] for pool in pools]


def _batches(params: TrainTagger, pools: list[Pool]) -> Callable[[int], Batch]:
    """Batches with `drawn_share` of drawn faces, where some are needed: of both kinds one at least, where there are both."""
    size = params.training.batch_size
    rows = _rows_to_learn(pools)
    starts = np.cumsum([0, *map(len, rows)])
    drawn = min(max(1, round(size * params.drawn_share)), size - 1)
    sizes = [size - drawn, drawn] if len(pools) > 1 and all(map(len, rows)) else [size if len(some) else 0 for some in rows]
    samplers = [Sampler(max(1, len(some)), params.training.seed + at) for at, some in enumerate(rows)]

    def batch_at(cur_nimg: int) -> Batch:
        parts = [
            (pool.pictures[some[idxs]], pool.targets[some[idxs]], start + idxs)
            for pool, some, start, sampler, share in zip(pools, rows, starts, samplers, sizes, strict=False)
            if share and len(idxs := sampler.idxs_at(cur_nimg // size * share, share))
        ]
        return Batch(*(torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)))

    return batch_at


def _logits(tagger: nn.Module, params: TrainTagger, pool: Pool, split: str) -> torch.Tensor:
    return tag_logits(
        tagger, pool.pictures, pool.rows[split], batch_size=JUDGE_BATCH, precision=params.training.precision, what=f"read tags of the {split} faces"
    )


def _judge(tagger: nn.Module, params: TrainTagger, pools: list[Pool], drawn_only: list[str]) -> Judged:
    """Temperatures and thresholds from val, metrics from test; each tag on the pictures that it was learned from."""
    logits = {split: torch.cat([_logits(tagger, params, pool, split) for pool in pools]) for split in ("val", "test")}
    targets = {split: np.concatenate([pool.targets_of(split) for pool in pools]) for split in ("val", "test")}
    temperatures = temperatures_for(logits["val"], targets["val"])
    val, test = (probabilities(logits[split], temperatures).numpy() for split in ("val", "test"))
    thresholds = thresholds_for(val, targets["val"])
    sure = sure_from(val, targets["val"], thresholds, params.right)
    card = {
        "temperatures": temperatures,
        "thresholds": thresholds,
        "sure": sure,
        "metrics": tag_metrics(test, targets["test"], thresholds) | answer_metrics(test, targets["test"], thresholds, sure),
        "measured_on": {name: "drawn sample" if name in drawn_only else "these faces" for name in names()},
    }
    return Judged(card, test, targets["test"])


def _baseline(pools: list[Pool], targets: Targets) -> dict[str, float]:
    """The same metrics of a regression on plain colours and edges, learned and measured on the same faces. `targets`: of the test split."""
    learned = [rows[:BASELINE_FACES] for rows in _rows_to_learn(pools)]
    with threadpool_limits(1):  # its products are small
        train = np.concatenate([colours_and_edges(pool.pictures[rows]) for pool, rows in zip(pools, learned, strict=True) if len(rows)])
        baseline = Baseline(train, np.concatenate([pool.targets[rows] for pool, rows in zip(pools, learned, strict=True)]))
        test = [colours_and_edges(pool.pictures[rows]) for pool in pools if len(rows := pool.rows["test"])]
        found = baseline.probabilities(np.concatenate(test)) if test else np.empty((0, len(columns())), np.float32)
    return tag_metrics(found, targets, dict.fromkeys(names(), 0.5))


def _say(card: dict[str, Any]) -> None:
    for name in names():
        if f"{name}/macro_f1" in card["metrics"]:
            mine, plain = ({score: one[f"{name}/{score}"] for score in ("accuracy", "macro_f1")} for one in (card["metrics"], card["baseline"]))
            log.info(
                f"{name}: accuracy {mine['accuracy']:.3f}, macro-F1 {mine['macro_f1']:.3f} held out; "
                f"regression on colours and edges {plain['accuracy']:.3f}, {plain['macro_f1']:.3f}"
            )


def _write_sheets(weights_dir: Path, pools: list[Pool], judged: Judged, faces: Store, labelled: Labelled, tracker: Tracker | None) -> None:
    decided = decide(judged.found, judged.card["thresholds"])
    pictures = np.concatenate([pool.pictures[pool.rows["test"]] for pool in pools])
    mistakes = surest_mistakes(judged.found, decided, judged.targets, MISTAKES)
    sheets = {
        "curves": curves_plot(judged.found, judged.targets),
        "confusion": confusion_plot(decided, judged.targets),
        "mistakes": mistake_sheet(pictures, mistakes),
    }
    for name, sheet in sheets.items():
        (weights_dir / f"{name}.png").write_bytes(encode_png(sheet))
        if tracker:
            tracker.picture(weights_dir / f"{name}.png")
    rows = pools[0].rows["test"]
    own = slice(len(rows))
    doubtful = surest_mistakes(judged.found[own], decided[own], judged.targets[own], MISTAKES)
    write_json(weights_dir / "doubtful.json", _doubtful(doubtful, rows, faces, labelled))


def _doubtful(mistakes: list[Mistake], rows: NDArray[np.int64], faces: Store, labelled: Labelled) -> dict[str, Any]:
    """The mistakes on the faces themselves; drawn faces are right by definition."""
    ids = faces.column("id")
    mine = [(each, int(rows[each.row])) for each in mistakes]
    return {
        "pictures": [
            {
                "id": ids[row],
                "name": each.name,
                "label": each.label,
                "guess": each.guess,
                "confidence": each.confidence,
                "origin": ORIGINS[labelled.origins[row, names().index(each.name)]],
            }
            for each, row in mine
        ]
    }


def _shown(pool: Pool) -> NDArray[np.uint8]:
    """The first faces of the test split, or of all where it is small."""
    rows = pool.rows["test"] if len(pool.rows["test"]) >= SHOWN else np.arange(len(pool.pictures))
    return np.ascontiguousarray(pool.pictures[rows[:SHOWN]])


def _notes(learned_from: dict[str, str], drawn_only: list[str]) -> list[str]:
    weak = [name for name in drawn_only if learned_from[name] == "weak"]
    rest = [name for name in drawn_only if name not in weak]
    notes = []
    if rest:
        words = ", ".join(name.replace("_", " ") for name in rest)
        notes.append(
            f"These tags were learned from drawn sample faces, because the pictures bring too few labels for them or the same for all, and are often "
            f"wrong: {words}."
        )
    if weak:
        words = ", ".join(name.replace("_", " ") for name in weak)
        notes.append(
            "These tags were learned from drawn sample faces and colours that are named by rule, because the pictures bring too few labels for them "
            f"or the same for all: {words}."
        )
    return notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("prepared_dir", "sample_dir", "labels_dir", "run_dir", "weights_dir"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    params = load_params().train_tagger
    with Registry().tracking("tagger", params.model_dump(), args.run_dir, data_id=Store(args.prepared_dir).data_id) as tracker:
        train_tagger(params, args.prepared_dir, args.sample_dir, args.labels_dir, args.run_dir, args.weights_dir, tracker)


if __name__ == "__main__":
    run(main)
