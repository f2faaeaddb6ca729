"""On which pictures each family is scored, the same for a champion and its challenger: held-out ones where there are any, but face generators
against faces of all splits, since distances between distributions want many.

Faces are compared by the features of one tagger, by colours and edges, and by Inception's features where params name its weights; sketches are read
by one figure-pose network. Tagger and reader are those that the judge is made with.
"""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from genga.errors import DataError
from genga.params import INCEPTION_FEATURES, Evaluate
from genga.protocols import TAGGER
from genga.skeleton import OWN, from_vector
from genga.splits import split_of
from genga.store import Store
from genga.tags import check_tagger
from models.export import Card, load_model, read_card
from models.kinds import kind_of
from models.metrics.distance import Reference
from models.metrics.extractors import Edges, Extractor, Inception, Onlooker
from models.metrics.sampling import Sampling
from models.metrics.scores import (
    INCEPTION,
    Array,
    Pictures,
    Score,
    Seen,
    score_face,
    score_pose,
    score_sketcher,
    score_tagger,
    score_upscaler,
)
from models.precision import number_format
from models.targets import UNKNOWN, Targets, names, read_labels, read_truth
from stages.train_pose import STORES, Kind, drawings_of
from stages.train_upscaler import truth_size

MIN_REFERENCE = 50  # faces

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """The folders that stages/evaluate.py and stages/gate.py are given."""

    faces_dir: Path
    tagged_dir: Path
    sample_dir: Path
    labels_dir: Path
    figures_dir: Path


class NoneHeldOut(DataError):
    """The versions that are to be compared have learned from every picture that is held out now, the one or the other."""


@dataclass(frozen=True)
class New:
    """Which held-out pictures are new to every one of some versions: shares and styles that are held out may have been others when they learned."""

    first_learned: str | None = None
    styles_of_some: frozenset[str] = frozenset()  # that others of them have not learned
    drawn_held_out: float = 1.0

    @classmethod
    def to(cls, cards: Iterable[Card]) -> Self:
        """A card that does not say what was learned from, as older code wrote them, sets no bounds."""
        told, drawn = [card["data"] for card in cards], [card["training"].get("drawn_held_out", 1.0) for card in cards]
        styles = [frozenset(data["styles"]) for data in told if "styles" in data]
        of_some = frozenset.union(*styles) - frozenset.intersection(*styles) if styles else frozenset()
        return cls(min((first for data in told if (first := data.get("first_learned"))), default=None), of_some, min(drawn, default=1.0))

    def of(self, store: Store, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of own figures nobody can say, so they go where any other does."""
        names = store.manifest.column_names
        ids = store.column("pose_id" if "pose_id" in names else "imported_id")
        styles = store.column("style") if "style" in names else [None] * len(ids)
        first = self.first_learned
        new = [row for row in rows if styles[row] == OWN or ((first is None or ids[row] < first) and styles[row] not in self.styles_of_some)]
        return rows if len(new) == len(rows) else np.array([row for row in new if styles[row] != OWN], np.int64)


ALL = New()


class Judge:
    def __init__(self, params: Evaluate, data: Data, tagger_dir: Path, figure_pose_dir: Path) -> None:
        self._data, self._figure_pose_dir = data, figure_pose_dir
        self._sampling = Sampling(params.samples, params.seed, params.batch_size)
        self._faces = Store(data.faces_dir)
        tagger, self._tagger_card = load_model(tagger_dir)
        self._onlooker = Onlooker(tagger, self._tagger_card)
        self._extractors: dict[str, Extractor] = {TAGGER: self._onlooker, "edges": Edges()}
        if params.inception:
            self._extractors[INCEPTION] = Inception(params.inception)
        self._references = cache(self._seen)
        self._drawn = cache(self._drawn_held_out)

    def score(self, family: str, model_dir: Path, new: New = New()) -> Score:
        """`new`: of the held-out pictures only these. CheckpointError or DataError where these weights cannot be scored on these data: other code,
        tags or sizes."""
        if kind_of(card := read_card(model_dir)) == "tagger":
            check_tagger(card, "it")
        module: Any
        module, card = load_model(model_dir)
        match kind_of(card):
            case "face":
                score = self._score_face(module, card)
            case "tagger":
                score = self._score_tagger(module, card, new)
            case "pose":
                score = self._score_pose(module, "stick" if family == "stick-pose" else "figure", new)
            case "upscaler":
                score = self._score_upscaler(module, card, new)
            case "sketcher":
                score = self._score_sketcher(module, new)
        metrics = {name: float(f"{value:.6g}") for name, value in score.metrics.items()}
        return noted(replace(score, metrics=metrics), number_format=number_format("auto"))

    def _score_face(self, module: Any, card: Card) -> Score:
        tag = card.get("tag")
        score = score_face(module, self._onlooker, self._references(module.resolution, tag), self._sampling, tag)
        return noted(score, data=self._faces.data_id, reference=f"faces with {tag}" if tag else "faces")

    def _seen(self, resolution: int, tag: str | None) -> dict[str, Seen]:
        """By each extractor: as many faces as are drawn to be compared with them, from all splits."""
        rows = np.arange(len(self._faces)) if tag is None else self._faces_with(tag)
        chosen = np.sort(np.random.default_rng(self._sampling.seed).permutation(rows)[: self._sampling.count])
        if len(chosen) < 2:
            found = "1 face was" if len(chosen) else "no face was"
            raise DataError(f"{found} found in {self._faces.dir} to compare drawn ones with, expected 2 or more; import more pictures and run again")
        pictures, ids = self._faces.images(resolution)[chosen], self._faces.column("id")
        ids_sha256 = hashlib.sha256("\n".join(ids[row] for row in chosen).encode()).hexdigest()
        if INCEPTION in self._extractors and len(chosen) < INCEPTION_FEATURES:
            log.warning(
                f"FID against {len(chosen)} real faces was asked for, expected {INCEPTION_FEATURES} or more, as many as features; "
                "import more faces, or take it for no more than a comparison of these versions"
            )
        seen = {}
        for name, extractor in self._extractors.items():
            features = extractor.features(pictures, self._sampling.batch_size)
            real = Reference.as_it_is(features) if name == INCEPTION else Reference.of(features)
            seen[name] = Seen(extractor, real, ids_sha256)
        return seen

    def _faces_with(self, tag: str) -> NDArray[np.int64]:
        """Those that show the tag; where they are too few to compare with, those that most likely do."""
        table = pq.read_table(self._data.tagged_dir / "tags.parquet", filters=pc.field("column") == tag)
        probability = dict(zip(table["id"].to_pylist(), table["probability"].to_pylist(), strict=True))
        likely = np.array([probability.get(id_, 0.0) for id_ in self._faces.column("id")])
        return np.argsort(-likely, kind="stable")[: max(MIN_REFERENCE, int((likely >= 0.5).sum()))]

    def _score_tagger(self, module: Any, card: Card, new: New) -> Score:
        rows, split = held_out(self._faces, new)
        drawn = self._drawn(min(new.drawn_held_out, self._tagger_card["training"]["drawn_held_out"]))
        pictures = [self._faces.images(module.resolution)[rows], drawn.pictures(module.resolution)]
        own = read_labels(self._data.labels_dir, self._faces).targets[rows]
        own[:, [names().index(name) for name in self._measured_on_sample]] = UNKNOWN
        truth = np.concatenate([own, drawn.targets])
        score = score_tagger(module, card, np.concatenate(pictures), truth, self._sampling)
        facts = {"data": self._faces.data_id, "split": split, "truth_sha256": sha256_of(truth)}
        return noted(score, **facts, drawn_faces_of_the_sample=len(drawn.targets))

    @property
    def _measured_on_sample(self) -> list[str]:
        """The tags that the judge's tagger had to learn from the drawn sample."""
        return [name for name, where in self._tagger_card["measured_on"].items() if where == "drawn sample"]

    def _drawn_held_out(self, share: float) -> "DrawnFaces":
        return DrawnFaces.of(Store(self._data.sample_dir), self._measured_on_sample, share)

    def _score_pose(self, module: Any, kind: Kind, new: New) -> Score:
        figures = Store(self._data.figures_dir / STORES[kind])
        rows, split = held_out(figures, new)
        pictures, truth = drawings_of(figures, rows, module.resolution)
        score = score_pose(module, pictures, truth, limbs_may_swap=kind == "stick")
        poses = from_vector(figures.column("pose"))[rows]  # as the store has them: where they lie in what is read depends on the network's resolution
        return noted(score, data=figures.data_id, split=split, truth_sha256=sha256_of(poses))

    def _score_upscaler(self, module: Any, card: Card, new: New) -> Score:
        rows, split = held_out(self._faces, new)
        truth = self._faces.images(truth_size(self._faces, card["training"]["crop"]))[rows]
        return noted(score_upscaler(module, truth, self._sampling), data=self._faces.data_id, split=split)

    def _score_sketcher(self, module: Any, new: New) -> Score:
        figures = Store(self._data.figures_dir / STORES["figure"])
        rows, split = held_out(figures, new)
        reader, reader_card = load_model(self._figure_pose_dir)
        truth, poses = figures.images(module.resolution)[rows], from_vector(figures.column("pose"))[rows]
        score = score_sketcher(module, reader, poses, truth, self._sampling)
        return noted(score, data=figures.data_id, split=split, truth_sha256=sha256_of(poses), reader=reader_card["weights_sha256"])


@dataclass(frozen=True)
class DrawnFaces:
    """The part of the drawn sample that a tagger was not trained on, and its truth for some tags."""

    faces: Pictures
    targets: Targets

    @classmethod
    def of(cls, sample: Store, wanted: list[str], held_out_share: float) -> "DrawnFaces":
        rows = [row for row, id_ in enumerate(sample.column("id")) if wanted and split_of(id_, held_out_share, held_out_share) == "test"]
        targets = read_truth(sample).targets[rows]
        targets[:, [column for column, name in enumerate(names()) if name not in wanted]] = UNKNOWN
        return cls(sample.images(sample.sizes[-1])[rows], targets)

    def pictures(self, side: int) -> Pictures:
        resized = [cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in self.faces]
        return np.array(resized, dtype=np.uint8).reshape(-1, side, side, 3)


def held_out(store: Store, new: New = ALL) -> tuple[NDArray[np.int64], str]:
    """The rows of the test split, as far as they are new, and its name; of a set so small that it has none, all rows."""
    if not len(rows := store.indices("test")):
        return np.arange(len(store)), "all: none were held out"
    if not len(kept := new.of(store, rows)):
        raise NoneHeldOut(f"no picture in {store.dir} was held out from every one of these versions")
    return kept, "test" if len(kept) == len(rows) else "test, without what one of the versions learned from"


def sha256_of(truth: Array) -> str:
    """Names the targets or poses that answers were held against: the same pictures can be labeled anew."""
    return hashlib.sha256(truth.tobytes()).hexdigest()


def noted(score: Score, **facts: Any) -> Score:
    return replace(score, protocol={**score.protocol, **facts})
