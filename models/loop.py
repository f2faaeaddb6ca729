"""The one training loop. It knows images, time and files; a recipe knows networks, optimizers and losses.

    <run_dir>/stats.jsonl              means of a recipe's scalars every log_kimg, and at each look of a watch; no clocks, so the same run writes the
                                       same bytes
    <run_dir>/samples/<kimg>.png       a recipe's grid every sample_kimg
    <run_dir>/checkpoints/             the last two states
    <run_dir>/checkpoints-done/        the last one of the training whose weights the stage has written: the same command writes them again from it
    <run_dir>/checkpoints-before/      those of the last training that was left unfinished for one of other params, data or code

Killed at any moment, the same command goes on from the last checkpoint and ends in the same bytes: every step is seeded from (seed, cur_nimg),
batches follow from cur_nimg, and a checkpoint holds all the rest. With other params, data or code it starts afresh; made what they were, the one
before goes on, or has ended. Checkpoints are safetensors with JSON in the header, never a pickle.
"""

import hashlib
import json
import logging
import math
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from genga.errors import ParamsError, said_when_full
from genga.params import Section, Training, check_unchanged
from genga.pictures import encode_png
from genga.progress import progress
from models import parallel

Scalars = dict[str, float]

log = logging.getLogger(__name__)


class Recipe(Protocol):
    """All that differs between families."""

    def step(self, batch: Any, cur_nimg: int) -> Scalars: ...
    def sample(self) -> NDArray[np.uint8]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Resumable(ABC):
    """A recipe whose state is that of its networks and optimizers."""

    @abstractmethod
    def _parts(self) -> dict[str, Any]:
        """Each by its name, all that the training goes on with."""

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])


class Tracker(Protocol):
    def afresh(self) -> None: ...
    def log(self, scalars: Scalars, cur_nimg: int) -> None: ...
    def picture(self, path: Path) -> None: ...
    def file(self, path: Path) -> None: ...
    def finish(self, weights_dir: Path) -> None: ...


def fit(
    recipe: Recipe,
    batch_at: Callable[[int], Any],
    params: Training,
    run_dir: Path,
    *,
    what: str,
    fingerprint: str,
    tracker: Tracker | None = None,
    look_kimg: float | None = None,
) -> None:
    """`look_kimg`: how often a watch looks; a line is written there too, so that none holds the mean of two looks or comes after a stop."""
    checkpoints = Checkpoints(run_dir / "checkpoints", fingerprint)
    journal = Journal(run_dir, tracker)
    leads = parallel.rank() == 0
    part = parallel.part_size(params.batch_size)
    cur_nimg = 0
    if found := parallel.first_then_others(checkpoints.newest):
        cur_nimg, state = found
        recipe.load_state_dict(state["recipe"])
        if leads:
            journal.resume(state["journal"])
        log.info(f"{what}: going on from {cur_nimg / 1000:g} kimg")
    elif leads:
        journal.start()
    total_nimg = _nimg(params.total_kimg)

    with progress(what=what, total=params.total_kimg, unit="kimg") as bar:
        bar.initial = bar.n = cur_nimg / 1000
        while cur_nimg < total_nimg:
            seed_step(params.seed, cur_nimg)
            batch = parallel.part_of(batch_at(cur_nimg))
            with parallel.step_on(part):
                scalars = recipe.step(batch, cur_nimg)
            journal.add(_finite(parallel.averaged(scalars), what, cur_nimg))
            before, cur_nimg = cur_nimg, cur_nimg + params.batch_size
            bar.update(params.batch_size / 1000)

            if not leads:
                continue
            done = cur_nimg >= total_nimg
            if done or crosses(params.log_kimg, before, cur_nimg) or (look_kimg and crosses(look_kimg, before, cur_nimg)):
                bar.set_postfix(journal.log(cur_nimg), refresh=False)
            if done or crosses(params.sample_kimg, before, cur_nimg):
                journal.picture(recipe.sample(), cur_nimg)
            if done or crosses(params.checkpoint_kimg, before, cur_nimg):
                checkpoints.save(cur_nimg, {"recipe": recipe.state_dict(), "journal": journal.state_dict()})


def finish(run_dir: Path) -> None:
    """The stage has written its weights and told the tracker of them: its last state is kept, in place of that of the training before. Not where what
    it went by has changed meanwhile: put back, it goes on from here. A training that was left unfinished for this one stays kept."""
    check_unchanged()
    checkpoints_dir, done_dir = run_dir / "checkpoints", run_dir / "checkpoints-done"
    for old_path in _paths(checkpoints_dir)[:-1]:
        old_path.unlink()
    shutil.rmtree(done_dir, ignore_errors=True)
    checkpoints_dir.rename(done_dir)


def seed_step(seed: int, cur_nimg: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence((seed, cur_nimg)).generate_state(1, np.uint64)[0]))


def fingerprint_of(params: Section, data_id: str, extra: str = "", read_by: Sequence[str] = ()) -> str:
    """What a training's result follows from. `extra`: whatever else it reads, such as the revision of its labels. `read_by`: paths of the code
    outside of models that decides what is learned from, first of all the stage's own."""
    models_dir = Path(__file__).parent
    paths = [*sorted(models_dir.rglob("*.py")), models_dir.parent / "genga" / "store.py", *map(Path, read_by)]
    code = [path.read_bytes() for path in paths]
    parts = [params.model_dump_json().encode(), data_id.encode(), extra.encode(), *code]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _nimg(kimg: float) -> int:
    return max(1, round(kimg * 1000))


def crosses(kimg: float, before: int, now: int) -> bool:
    """Does a multiple of kimg lie in (before, now]?"""
    return before // _nimg(kimg) != now // _nimg(kimg)


def _finite(scalars: Scalars, what: str, cur_nimg: int) -> Scalars:
    for name, value in scalars.items():
        if not math.isfinite(value):
            raise ParamsError(f"{what}: {name} became {value} at {cur_nimg / 1000:g} kimg, expected a number; lower the learning rate in params.yaml")
    return scalars


class Journal:
    """What a training leaves to look at: stats.jsonl, sample grids, and the same to the tracker."""

    def __init__(self, run_dir: Path, tracker: Tracker | None) -> None:
        self._stats_path, self._samples_dir = run_dir / "stats.jsonl", run_dir / "samples"
        self._tracker = tracker
        self._lines: list[str] = []
        self._sums: dict[str, tuple[float, int]] = {}

    def start(self) -> None:
        shutil.rmtree(self._samples_dir, ignore_errors=True)
        with said_when_full(self._stats_path):
            self._samples_dir.mkdir(parents=True)
            self._stats_path.write_bytes(b"")
        if self._tracker:
            self._tracker.afresh()

    def resume(self, state: dict[str, Any]) -> None:
        """Lines that were written after the checkpoint go: they come again."""
        self._lines, self._sums = state["lines"], {name: (total, count) for name, (total, count) in state["sums"].items()}
        with said_when_full(self._stats_path):
            self._samples_dir.mkdir(parents=True, exist_ok=True)
            self._stats_path.write_text("".join(self._lines))

    def state_dict(self) -> dict[str, Any]:
        return {"lines": self._lines, "sums": self._sums}

    def add(self, scalars: Scalars) -> None:
        for name, value in scalars.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)

    def log(self, cur_nimg: int) -> Scalars:
        """Means since the last line."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        self._lines.append(json.dumps({"kimg": cur_nimg / 1000, **means}) + "\n")
        with said_when_full(self._stats_path), self._stats_path.open("a") as file:
            file.write(self._lines[-1])
        if self._tracker:
            self._tracker.log(means, cur_nimg)
        return means

    def picture(self, sheet: NDArray[np.uint8], cur_nimg: int) -> None:
        path = self._samples_dir / f"{cur_nimg / 1000:09.3f}.png"
        with said_when_full(path):
            path.write_bytes(encode_png(sheet))
        if self._tracker:
            self._tracker.picture(path)


class Checkpoints:
    """<cur_nimg>.<sha256 of the file>.safetensors: whole under its final name or not there; the newest two stay."""

    def __init__(self, checkpoints_dir: Path, fingerprint: str) -> None:
        self._dir, self._fingerprint = checkpoints_dir, fingerprint
        self._before_dir, self._leaving_dir, self._done_dir = (
            checkpoints_dir.with_name(f"{checkpoints_dir.name}-{which}") for which in ("before", "leaving", "done")
        )

    def save(self, cur_nimg: int, state: dict[str, Any]) -> None:
        tensors: dict[str, Tensor] = {}
        header = json.dumps({"fingerprint": self._fingerprint, "state": _flatten(state, tensors)})
        data = safetensors.torch.save(tensors, {"genga": header})
        with said_when_full(self._dir):
            self._dir.mkdir(parents=True, exist_ok=True)
            _write_whole(self._dir / f"{cur_nimg:012d}.{hashlib.sha256(data).hexdigest()}.safetensors", data)
        for old_path in _paths(self._dir)[:-2]:
            old_path.unlink()

    def newest(self) -> tuple[int, Any] | None:
        """The newest whole one of this training. Those of another training change places with those kept aside, or come in their place."""
        if self._leaving_dir.is_dir():  # killed while they changed places
            if self._dir.is_dir():
                self._set_aside()
            else:
                self._leaving_dir.rename(self._dir)
        if found := self._newest_in(self._dir):
            return found
        kept_dir = self._done_dir if (found := self._newest_in(self._done_dir)) else self._before_dir
        found = found or self._newest_in(kept_dir)
        if _paths(self._dir):
            self._dir.rename(self._leaving_dir)
            now = f"going on with {kept_dir}" if found else "starting afresh"
            log.warning(f"{self._dir} belongs to other params, data or code; {now}, it is kept in {self._before_dir} and goes on when they are back")
        shutil.rmtree(self._dir, ignore_errors=True)
        if found:
            kept_dir.rename(self._dir)
        if self._leaving_dir.is_dir():
            self._set_aside()
        return found

    def _set_aside(self) -> None:
        shutil.rmtree(self._before_dir, ignore_errors=True)
        self._leaving_dir.rename(self._before_dir)

    def _newest_in(self, folder: Path) -> tuple[int, Any] | None:
        """Damaged ones are passed over."""
        for path in reversed(_paths(folder)):
            cur_nimg, sha256, _ = path.name.split(".")
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != sha256:
                log.warning(f"checkpoint {path} is damaged (other sha256); passed over")
                path.unlink()
                continue
            header = _header(data)
            same = header["fingerprint"] == self._fingerprint
            return (int(cur_nimg), _unflatten(header["state"], safetensors.torch.load(data))) if same else None
        return None


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.*.safetensors"))


def _write_whole(path: Path, data: bytes) -> None:
    """Under its name it is whole, whatever happens in between: a full disk, a kill, a power cut."""
    partial_path = path.with_name("partial")
    try:
        with partial_path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial_path.rename(path)
    except OSError:
        partial_path.unlink(missing_ok=True)  # what is left of it fills the disk
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _header(data: bytes) -> Any:
    """safetensors: eight bytes of length, then JSON."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["genga"])


def _flatten(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The same tree as JSON; tensors go into `tensors`. Dicts become lists of pairs, because an optimizer's keys are numbers."""
    if isinstance(node, Tensor):
        name = str(len(tensors))
        tensors[name] = node.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name, "stride": node.stride()}
    if isinstance(node, dict):
        return {"dict": [[key, _flatten(value, tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return [_flatten(value, tensors) for value in node]
    assert node is None or isinstance(node, bool | int | float | str), f"a checkpoint cannot hold a {type(node).__name__}"
    return node


def _unflatten(node: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_unflatten(value, tensors) for value in node]
    if not isinstance(node, dict):
        return node
    if "dict" in node:
        return {key: _unflatten(value, tensors) for key, value in node["dict"]}
    # the layout too: the same sum over another layout may round differently
    tensor = tensors[node["tensor"]]
    return torch.empty_strided(tensor.shape, node["stride"], dtype=tensor.dtype).copy_(tensor)
