"""prepared faces + labels -> the tagger, calibrated on the val split, measured on the test split.

Tags for which the faces bring too few labels are learned from the drawn sample's truth; the card says which.
reads   data/faces/prepared/, data/faces/sample/   stores;   data/labels/
writes  runs/tagger/      curves and sample grids
        weights/tagger/   weights, card (with learned_from, measured_on, thresholds, temperatures), sheet
"""

import argparse
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from genga.door import run
from genga.errors import DataError
from genga.params import TrainTagger, load_params
from genga.registry import Registry
from genga.splits import split_of
from genga.store import Store
from genga.tags import columns
from models.batches import Sampler
from models.export import card_of, save_model
from models.loop import Tracker, fingerprint_of, finish, fit
from models.metrics.tags import Floats, tag_logits, tag_metrics, temperatures_for, thresholds_for
from models.networks.tagger import probabilities
from models.recipes.tagger import Batch, TaggerRecipe, tagged_sheet, value_weights
from models.targets import ORIGINS, UNKNOWN, Labelled, Targets, names, read_labels, read_truth

SPLITS = ("train", "val", "test")
SHOWN = 24
JUDGE_BATCH = 256


@dataclass(frozen=True)
class Pool:
    """Pictures at the tagger's resolution, what is known of them, and which rows belong to which split."""

    pictures: NDArray[np.uint8]
    targets: Targets
    rows: dict[str, NDArray[np.int64]]

    def targets_of(self, split: str) -> Targets:
        return self.targets[self.rows[split]]


def train_tagger(
    params: TrainTagger, prepared_dir: Path, sample_dir: Path, labels_dir: Path, run_dir: Path, weights_dir: Path, tracker: Tracker | None = None
) -> None:
    faces = Store(prepared_dir)
    labelled = read_labels(labels_dir, faces)
    own = Pool(faces.images(params.model.resolution), labelled.targets, {split: faces.indices(split) for split in SPLITS})
    learned_from = _learned_from(labelled, own.rows["train"], params.min_labels)
    drawn_only = _too_few(own.targets_of("train"), params.min_labels)
    pools = [own, _drawn_pool(params, Store(sample_dir), drawn_only)] if drawn_only else [own]
    shown = _shown(own)

    recipe = TaggerRecipe(params, value_weights(np.concatenate([pool.targets_of("train") for pool in pools]), params.balance), shown)
    fingerprint = fingerprint_of(params, faces.data_id, extra=_content_hash(pools))
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
        metrics=judged.pop("metrics"),
        notes=_notes(drawn_only),
    )
    logits = _logits(tagger, params, Pool(shown, own.targets, {"shown": np.arange(len(shown))}), "shown")
    sheet = tagged_sheet(shown, probabilities(logits, judged["temperatures"]).numpy(), judged["thresholds"])
    save_model(weights_dir, tagger, card | {"columns": columns(), "learned_from": learned_from} | judged, sheet)
    finish(run_dir)


def _too_few(targets: Targets, min_labels: int) -> list[str]:
    known = (targets != UNKNOWN).sum(axis=0)
    return [name for name, count in zip(names(), known, strict=True) if count < min_labels]


def _learned_from(labelled: Labelled, rows: NDArray[np.int64], min_labels: int) -> dict[str, str]:
    """Group or flag -> the origin of most of its training labels; "drawn" where the sample's truth takes their place."""
    drawn = _too_few(labelled.targets[rows], min_labels)
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
    lacking = [name for name in _too_few(targets, 1) if name in wanted]
    if lacking:
        raise DataError(f"neither the faces nor the drawn sample in {sample.dir} have labels for {', '.join(lacking)}; label some or draw them")
    held_out = params.drawn_held_out
    splits = np.array([split_of(picture, held_out, held_out) for picture in sample.column("id")])
    return Pool(pictures, targets, {split: np.flatnonzero(splits == split) for split in SPLITS})


def _content_hash(pools: list[Pool]) -> str:
    """What the training reads beside the prepared faces themselves."""
    digest = hashlib.sha256("\n".join(columns()).encode())
    for pool in pools:
        digest.update(pool.targets.tobytes())
    for pool in pools[1:]:
        digest.update(pool.pictures.tobytes())
    return digest.hexdigest()


def _batches(params: TrainTagger, pools: list[Pool]) -> Callable[[int], Batch]:
    """Batches with `drawn_share` of drawn faces, where some are needed. Faces of which nothing is known are left out."""
    size = params.training.batch_size
    drawn = round(size * params.drawn_share) if len(pools) > 1 else 0
    rows = [pool.rows["train"][(pool.targets_of("train") != UNKNOWN).any(axis=1)] for pool in pools]
    sizes = [size - drawn, drawn][: len(pools)] if len(rows[0]) else [0, size]
    samplers = [Sampler(max(1, len(some)), params.training.seed + at) for at, some in enumerate(rows)]

    def batch_at(cur_nimg: int) -> Batch:
        parts = [
            (pool.pictures[chosen], pool.targets[chosen])
            for pool, some, sampler, share in zip(pools, rows, samplers, sizes, strict=True)
            if share and len(chosen := some[sampler.idxs_at(cur_nimg // size * share, share)])
        ]
        pictures, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return Batch(torch.from_numpy(pictures), torch.from_numpy(targets))

    return batch_at


def _logits(tagger: nn.Module, params: TrainTagger, pool: Pool, split: str) -> torch.Tensor:
    return tag_logits(
        tagger, pool.pictures, pool.rows[split], batch_size=JUDGE_BATCH, precision=params.training.precision, what=f"read tags of the {split} faces"
    )


def _judge(tagger: nn.Module, params: TrainTagger, pools: list[Pool], drawn_only: list[str]) -> dict[str, Any]:
    """Temperatures and thresholds from val, metrics from test; each tag on the pictures that it was learned from."""
    logits, targets = (
        {split: torch.cat([_logits(tagger, params, pool, split) for pool in pools]) for split in ("val", "test")},
        {split: np.concatenate([pool.targets_of(split) for pool in pools]) for split in ("val", "test")},
    )
    temperatures = temperatures_for(logits["val"], targets["val"])
    thresholds = thresholds_for(probabilities(logits["val"], temperatures).numpy(), targets["val"])
    found: Floats = probabilities(logits["test"], temperatures).numpy()
    return {
        "temperatures": temperatures,
        "thresholds": thresholds,
        "metrics": tag_metrics(found, targets["test"], thresholds),
        "measured_on": {name: "drawn sample" if name in drawn_only else "these faces" for name in names()},
    }


def _shown(pool: Pool) -> NDArray[np.uint8]:
    """The first faces of the test split, or of all where it is small."""
    rows = pool.rows["test"] if len(pool.rows["test"]) >= SHOWN else np.arange(len(pool.pictures))
    return np.ascontiguousarray(pool.pictures[rows[:SHOWN]])


def _notes(drawn_only: list[str]) -> list[str]:
    if not drawn_only:
        return []
    words = ", ".join(name.replace("_", " ") for name in drawn_only)
    return [f"These tags were learned from drawn sample faces only, because the pictures bring no labels for them, and are often wrong: {words}."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("prepared_dir", "sample_dir", "labels_dir", "run_dir", "weights_dir"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    params = load_params().train_tagger
    with Registry().tracking("tagger", params.model_dump(), args.run_dir, data_id=Store(args.prepared_dir).data_id) as tracker:
        train_tagger(params, args.prepared_dir, args.sample_dir, args.labels_dir, args.run_dir, args.weights_dir, tracker)
        tracker.finish(args.weights_dir)


if __name__ == "__main__":
    run(main)
