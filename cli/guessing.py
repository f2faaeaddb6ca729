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

from genga.errors import DataError
from labeling.projects import Kind, KindName
from labeling.push import Guesses
from labeling.tasks import Guess, PoseGuess, TagGuess

Picture = NDArray[np.uint8]


def guesses_for(engine: Any, kind: Kind) -> Guesses | None:
    """`engine`: serve.engine.Engine, or None. None where a family of this kind is not deployed or left out."""
    if engine is None or not all(family in engine.release.families for family in kind.families):
        return None
    return Guesses(" ".join(map(engine.version, kind.families)), partial(guess_each, engine, kind.name))


def why_none(engine: Any, kind: Kind) -> str:
    """What keeps the models from guessing, and the way out."""
    reasons = [engine.left_out[family] for family in kind.families if engine and family in engine.left_out]
    return reasons[0] if reasons else f"no {' and '.join(kind.families)} are deployed; `genga repro` deploys them"


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
                read = engine.read_pose(colour, None)
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
