"""Which unlabeled pictures people should see first: the order comes from labeling/, what it is computed from out of the deployed models."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cli.guessing import guess_each, guesses_for
from genga.errors import GengaError
from genga.progress import progress
from genga.store import Store
from genga.tags import column_slices
from labeling.ordering import Wanted, pose_order, tag_order
from labeling.pictures import Entry
from labeling.projects import KINDS, KindName
from labeling.tasks import PoseGuess

BATCH = 256


def order(
    kind: KindName, unlabeled: Sequence[Entry], engine: Any, faces_dir: Path, labels_dir: Path, count: int, tags_each: int | None = None
) -> list[Entry]:
    """At most `count` of the unlabeled pictures, the most helpful first, faces with the tags that they should be asked for; at most `tags_each`."""
    if guesses_for(engine, KINDS[kind]) is None:
        raise GengaError(f"no {' and '.join(KINDS[kind].families)} are deployed, the order follows from what they guess; run `genga repro` first")
    if not unlabeled:
        return []
    if kind == "poses":
        return [unlabeled[int(row)] for row in _pose_rows(unlabeled, engine, count)]
    wanted = _wanted(unlabeled, engine, faces_dir, labels_dir, count, tags_each)
    return [replace(unlabeled[found.row], asks=found.tags) for found in wanted]


def _pose_rows(unlabeled: Sequence[Entry], engine: Any, count: int) -> Any:
    """A picture in which the networks see nothing is the least sure of all, and like no other."""
    confidences, poses = [], []
    with progress(what="read joints", total=len(unlabeled), unit="figures") as bar:
        for start in range(0, len(unlabeled), BATCH):
            batch = unlabeled[start : start + BATCH]
            pictures = [entry.read() for entry in batch]
            for picture, guess in zip(pictures, guess_each(engine, "poses", pictures), strict=True):
                seen = guess if isinstance(guess, PoseGuess) else PoseGuess(np.zeros((11, 2)), np.zeros(11))
                confidences.append(seen.confidence)
                poses.append(seen.pose * picture.shape[1::-1])  # pixels
            bar.update(len(batch))
    return pose_order(np.stack(confidences), np.stack(poses), count)


def _wanted(unlabeled: Sequence[Entry], engine: Any, faces_dir: Path, labels_dir: Path, count: int, tags_each: int | None) -> list[Wanted]:
    import torch

    from models.batches import to_signed
    from models.networks.tagger import probabilities
    from models.targets import counts, read_labels

    tagger, temperatures = engine.network("tagger"), engine.released("tagger").card["temperatures"]
    store = Store(faces_dir)
    at = {id_: row for row, id_ in enumerate(store.column("id"))}
    rows, pictures = np.array([at[entry.id] for entry in unlabeled]), store.images(tagger.resolution)
    found, features = [], []
    with progress(what="look at faces", total=len(rows), unit="faces") as bar, torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            batch = to_signed(torch.from_numpy(pictures[rows[start : start + BATCH]]))
            features.append(tagger.features(batch).numpy())
            found.append(probabilities(tagger(batch), temperatures).numpy())
            bar.update(len(batch))
    known = counts(read_labels(labels_dir, store).targets)
    open_tags = np.array([[not entry.asks or name in entry.asks for name in column_slices()] for entry in unlabeled])
    return tag_order(np.concatenate(found), np.concatenate(features), [entry.id for entry in unlabeled], count, known, open_tags, tags_each)
