"""A training of a face generator under watch: does it collapse?

Eight times for each line of stats.jsonl, and at each look: the length of both networks' gradients. Every `every_kimg`: samples from fixed latents
against pictures trained on, by the colours of 8 x 8 cells (a network's features, or edges, find differences in pictures that are all alike and pale):
recall, coverage, near_identical, and spread, the samples' standard deviation where that of real pictures is 1. All of it goes where the losses go,
into stats.jsonl and MLflow, and draws no random numbers: the training is the same without.

The alarm: `patience` looks in a row at which too many samples are nearly another one, their spread is small and no longer grows (a generator that
is still leaving the one face it began with is young), or coverage has fallen too far below the best so far. Looks count from `from_kimg` after the
warm-up on, in a short training from half of what follows the warm-up.
It is written down, and where params say so the training stops there, at its last look too; run again with `action: flag`, it goes on from its last
checkpoint, or finishes at once.
"""

import logging
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genga.errors import CheckpointError, CollapseError
from genga.params import WatchCollapse
from models import parallel
from models.loop import Scalars, Tracker, crosses, fit
from models.metrics.collapse import write_report
from models.metrics.colours_edges import colours
from models.metrics.distance import Features, Reference, density_coverage, near_identical, precision_recall
from models.metrics.sampling import Sampling, at_once, draw_faces
from models.recipes.gan import Batch, GanRecipe

BATCH = 64
CELLS = 8
LENGTHS_PER_LINE = 8
GROWS = 0.01  # what spread gains from look to look while a generator is young

log = logging.getLogger(__name__)


class Watched:
    def __init__(self, recipe: GanRecipe, pictures: NDArray[np.uint8], params: WatchCollapse, what: str) -> None:
        """`pictures`: uint8 (N, R, R, 3), some of those that the generator learns from; `params.samples` of them are the best number."""
        self._recipe, self._what = recipe, what
        contest_kimg = recipe.params.training.total_kimg - recipe.warm_up_kimg
        self._params = params.model_copy(update={"from_kimg": min(params.from_kimg, contest_kimg / 2)})
        self._sampling = Sampling(params.samples, 0, min(BATCH, at_once(recipe.G.resolution)))
        self._real = Reference.of(colours(pictures, CELLS))
        self._best_coverage, self._best_spread, self._bad_looks = 0.0, 0.0, 0
        self.alarm = ""

    def fit(self, batch_at: Callable[[int], Any], run_dir: Path, *, what: str, fingerprint: str, tracker: Tracker | None) -> None:
        """The training, and the collapse report however it ends."""
        if (looks := self._counting_looks()) < self._params.patience and parallel.rank() == 0:
            log.warning(
                f"{what}: looks that count are {looks} in so short a training, expected {self._params.patience} or more: no alarm can be given; "
                "lower watch_collapse.every_kimg or raise training.total_kimg in params.yaml"
            )
        try:
            fit(
                self,
                batch_at,
                self._recipe.params.training,
                run_dir,
                what=what,
                fingerprint=fingerprint,
                tracker=tracker,
                look_kimg=self._params.every_kimg,
            )
        except BaseException:
            try:
                self._report(run_dir, tracker)
            except CheckpointError as error:  # what ended the training is said instead
                log.warning("%s", error)
            raise
        parallel.first_then_others(lambda: self._report(run_dir, tracker))  # whose error would end the first while it still saves
        self._stop_where_asked()

    def _report(self, run_dir: Path, tracker: Tracker | None) -> None:
        if parallel.rank() == 0 and (run_dir / "stats.jsonl").is_file():
            for path in write_report(run_dir, self._params, self.alarm):
                if tracker:
                    tracker.file(path)

    def _stop_where_asked(self) -> None:
        if self.alarm and self._params.action == "stop":
            raise CollapseError(
                f"{self._what} collapsed {self.alarm}; more pictures, augmentation, a larger r1_gamma or a smaller d_lr help, see docs/collapse.md; "
                "with watch_collapse.action: flag in params.yaml the training goes on all the same"
            )

    def step(self, batch: Batch, cur_nimg: int) -> Scalars:
        self._stop_where_asked()
        scalars = self._recipe.step(batch, cur_nimg)
        training = self._recipe.params.training
        now = cur_nimg + training.batch_size
        looks = crosses(self._params.every_kimg, cur_nimg, now)
        if looks or crosses(training.log_kimg / LENGTHS_PER_LINE, cur_nimg, now):
            scalars |= {"g_grad": gradient_norm(self._recipe.G), "d_grad": gradient_norm(self._recipe.D)}
        return scalars | self._look(now / 1000) if looks else scalars

    def _counting_looks(self) -> int:
        training = self._recipe.params.training
        steps = pairwise(range(0, round(training.total_kimg * 1000) + training.batch_size, training.batch_size))
        return sum(self._counts(now / 1000) for before, now in steps if crosses(self._params.every_kimg, before, now))

    def _counts(self, kimg: float) -> bool:
        return kimg >= self._params.from_kimg + self._recipe.warm_up_kimg

    def _look(self, kimg: float) -> Scalars:
        self._recipe.settle()
        made = self._real.standardised(colours(draw_faces(self._recipe.G_ema, self._sampling), CELLS))
        seen = diversity(self._real.features, made)
        self._judge(seen, kimg)
        return seen | {"alarm": float(self._bad_looks >= self._params.patience)}

    def _judge(self, seen: Scalars, kimg: float) -> None:
        params, why = self._params, ""
        if seen["near_identical"] > params.near_identical and seen["spread"] <= min(params.spread, self._best_spread + GROWS):
            why = f"{seen['near_identical']:.0%} of the samples are nearly another one"
        elif seen["coverage"] < params.coverage_kept * self._best_coverage:
            why = f"coverage fell from {self._best_coverage:.2f} to {seen['coverage']:.2f}"
        self._best_coverage, self._best_spread = max(self._best_coverage, seen["coverage"]), max(self._best_spread, seen["spread"])
        self._bad_looks = self._bad_looks + 1 if why and self._counts(kimg) else 0
        if self._bad_looks >= params.patience and not self.alarm:
            self.alarm = f"at {kimg:g} kimg: {why}"
            log.warning("%s collapsed %s; see docs/collapse.md", self._what, self.alarm)

    def notes(self) -> list[str]:
        """What the card says of it."""
        return [f"Its training collapsed {self.alarm}."] if self.alarm else []

    def sample(self) -> NDArray[np.uint8]:
        return self._recipe.sample()

    def state_dict(self) -> dict[str, Any]:
        return {"recipe": self._recipe.state_dict(), "watch": [self._best_coverage, self._best_spread, self._bad_looks, self.alarm]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._recipe.load_state_dict(state["recipe"])
        self._best_coverage, self._best_spread, self._bad_looks, self.alarm = state["watch"]


def diversity(real: Features, made: Features) -> Scalars:
    count = min(len(real), len(made))  # shares of neighbours mean the same only in sets of one size
    real, made = real[:count], made[:count]
    return {
        "recall": precision_recall(real, made)[1],
        "coverage": density_coverage(real, made)[1],
        "near_identical": near_identical(real, made),
        "spread": float(np.sqrt(made.var(axis=0).mean() / max(real.var(axis=0).mean(), 1e-12))),
    }


def gradient_norm(network: nn.Module) -> float:
    """Of what the last step left."""
    slopes: Iterable[Tensor] = [weight.grad for weight in network.parameters() if weight.grad is not None]
    return float(torch.nn.utils.get_total_norm(slopes))
