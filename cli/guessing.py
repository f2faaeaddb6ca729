"""The deployed models' guess for pictures that people are going to label."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from genga.errors import DataError, GengaError
from labeling.projects import KINDS, Kind, KindName
from labeling.push import Guesses
from labeling.tasks import Guess, PoseGuess, TagGuess

Picture = NDArray[np.uint8]


def guesses_for(engine: Any, kind: Kind) -> Guesses | None:
    """`engine`: serve.engine.Engine, or None. None where a family of this kind is not deployed."""
    if engine is None or not all(family in engine.release.families for family in kind.families):
        return None
    return Guesses(version_of(engine, kind.name), partial(guess_each, engine, kind.name))


def needs_engine(engine: Any, kind: KindName) -> None:
    if engine is None or guesses_for(engine, KINDS[kind]) is None:
        raise GengaError(f"no {' and '.join(KINDS[kind].families)} are deployed, the order follows from what they guess; run `genga repro` first")


def version_of(engine: Any, kind: KindName) -> str:
    return " ".join(engine.version(family) for family in KINDS[kind].families)


def guess_each(engine: Any, kind: KindName, pictures: Sequence[Picture]) -> list[Guess | None]:
    """One picture on one thread, as many threads as cores."""
    import torch

    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores, initializer=partial(torch.set_num_threads, 1)) as threads:
        return list(threads.map(partial(guess_one, engine, kind), pictures))


def guess_one(engine: Any, kind: KindName, picture: Picture) -> Guess | None:
    """None where the picture shows nothing that the models read."""
    import torch

    colour = picture if picture.ndim == 3 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8)
    with torch.inference_mode():
        try:
            if kind == "poses":
                read = engine.read_pose(colour)
                return PoseGuess(np.array(read.pose), np.array(read.confidence))
            found = engine.read_tags(colour)
        except DataError:
            return None
    return TagGuess(found.tags, {**found.groups, **found.flags})


def open_engine(release_dir: Path) -> Any:
    """None while nothing is deployed."""
    if not (release_dir / "release.json").is_file():
        return None
    from genga.release import Release
    from serve.engine import Engine

    return Engine(Release.open(release_dir))
