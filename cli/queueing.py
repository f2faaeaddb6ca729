"""Which unlabeled pictures people should see first: the order comes from labeling/, what it is computed from out of the deployed models.

Where no tagger of today's tags is deployed, as after a new word in genga/tags.yaml, faces are ordered by what there is: labels and pictures.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cli.guessing import guess_each, guesses_for
from genga.errors import GengaError
from genga.progress import progress
from genga.store import Store
from genga.tags import column_slices
from labeling.exports import read_annotations
from labeling.ordering import Floats, Wanted, pose_order, tag_order
from labeling.pictures import Entry
from labeling.projects import KINDS, KindName
from labeling.tasks import PoseGuess

BATCH = 256
Look = Callable[[NDArray[np.uint8]], tuple[Floats, Floats]]  # faces -> what is probable of each, and its features


def order(
    kind: KindName,
    unlabeled: Sequence[Entry],
    engine: Any,
    faces_dir: Path,
    labels_dir: Path,
    count: int,
    tags_each: int | None = None,
    placed: ArrayLike = (),
) -> list[Entry]:
    """At most `count` of the unlabeled pictures, the most helpful first, faces with the tags that they should be asked for; at most `tags_each`.
    A face that is not among them, or only for some tags, is one of which people have said something; `placed`: poses that people have placed."""
    if kind == "poses" and guesses_for(engine, KINDS[kind]) is None:
        raise GengaError(
            f"no {' and '.join(KINDS[kind].families)} are deployed, the order follows from what they guess; run `genga repro` first, "
            "or have faces alone put into order with `--only tags`"
        )
    if not unlabeled:
        return []
    if kind == "poses":
        return [unlabeled[int(row)] for row in _pose_rows(unlabeled, engine, count, placed)]
    wanted = _wanted(unlabeled, engine, faces_dir, labels_dir, count, tags_each)
    return [replace(unlabeled[found.row], asks=found.tags) for found in wanted]


def placed_poses(annotations_dir: Path, told: Iterable[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """(N, 11, 2), in pixels: what people have placed, as far as the last pull knows, and what exports beside the own drawings have `told`."""
    pulled = [said.pose * said.size for said in read_annotations(annotations_dir).annotations if said.pose is not None]
    return np.array([*pulled, *(pose for pose in told if pose is not None)]).reshape(-1, 11, 2)


def _pose_rows(unlabeled: Sequence[Entry], engine: Any, count: int, placed: ArrayLike) -> Any:
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
    return pose_order(np.stack(confidences), np.stack(poses), count, placed)


def _wanted(unlabeled: Sequence[Entry], engine: Any, faces_dir: Path, labels_dir: Path, count: int, tags_each: int | None) -> list[Wanted]:
    from models.targets import counts, read_labels

    store = Store(faces_dir)
    at, asks = {id_: row for row, id_ in enumerate(store.column("id"))}, {entry.id: entry.asks for entry in unlabeled}
    ids = [*asks, *(id_ for id_ in at if id_ not in asks)]
    rows = np.array([at[id_] for id_ in ids])
    size, look = _by_tagger(engine) if guesses_for(engine, KINDS["tags"]) else (max(store.sizes, key=int), _by_rule)
    pictures, found, features = store.images(size), [], []
    with progress(what="look at faces", total=len(rows), unit="faces") as bar:
        for start in range(0, len(rows), BATCH):
            batch = pictures[rows[start : start + BATCH]]
            said, seen = look(batch)
            found.append(said)
            features.append(seen)
            bar.update(len(batch))
    known = counts(read_labels(labels_dir, store).targets)
    open_tags = np.array([[not entry.asks or name in entry.asks for name in column_slices()] for entry in unlabeled])
    probable, looks = np.concatenate(found)[: len(asks)], np.concatenate(features)
    labelled = {id_: look for id_, look in zip(ids, looks, strict=True) if id_ not in asks or asks[id_]}
    return tag_order(probable, looks[: len(asks)], ids[: len(asks)], count, known, open_tags, tags_each, labelled)


def _by_tagger(engine: Any) -> tuple[int, Look]:
    """Its resolution, and what it says and sees."""
    import torch

    from models.batches import to_signed
    from models.networks.tagger import probabilities

    tagger, temperatures = engine.network("tagger"), engine.released("tagger").card["temperatures"]

    @torch.inference_mode()
    def look(pictures: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        batch = to_signed(torch.from_numpy(pictures))
        return probabilities(tagger(batch), temperatures).numpy(), tagger.features(batch).numpy()

    return tagger.resolution, look


def _by_rule(pictures: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Of what no tagger knows every value is as likely as another; faces are told apart by their colours and edges."""
    from models.metrics.colours_edges import colours_and_edges
    from models.targets import value_names

    even = np.concatenate([np.full(part.stop - part.start, 1 / len(value_names(name)), np.float32) for name, part in column_slices().items()])
    return np.tile(even, (len(pictures), 1)), colours_and_edges(pictures)
