"""How well tags are read, and how a tagger's raw outputs become probabilities that mean what they say."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genga.progress import progress
from genga.tags import column_slices, columns, flags, groups
from models.batches import to_signed
from models.folding import folded
from models.metrics.calibration import calibration_error
from models.networks.tagger import probabilities
from models.precision import Precision, autocast
from models.targets import UNKNOWN, Targets, names, value_names

Floats = NDArray[np.float32]

TEMPERATURES = np.geomspace(0.25, 4.0, 129)
THRESHOLDS = np.linspace(0.05, 0.95, 19)
MIN_ANSWERS = 20  # held-out answers that say something about the next ones


def tag_logits(
    tagger: nn.Module, pictures: NDArray[np.uint8], rows: NDArray[np.int64], *, batch_size: int, precision: Precision, what: str
) -> Tensor:
    """(N, C) on the CPU, in the order of `rows`. `pictures`: uint8 (all, R, R, 3) at the tagger's resolution."""
    tagger = folded(tagger)
    found = [torch.empty(0, len(columns()))]
    with progress(what=what, total=len(rows), unit="faces") as bar:
        for start in range(0, len(rows), batch_size):
            chunk = rows[start : start + batch_size]
            found.append(batch_logits(tagger, pictures[chunk], precision))
            bar.update(len(chunk))
    return torch.cat(found)


@torch.inference_mode()
def batch_logits(tagger: nn.Module, pictures: NDArray[np.uint8], precision: Precision) -> Tensor:
    """uint8 (N, R, R, 3) -> (N, C) on the CPU, by a tagger in eval mode."""
    images = to_signed(torch.from_numpy(pictures).to(next(tagger.parameters()).device))
    with autocast(precision):
        logits: Tensor = tagger(images)
    return logits.float().cpu()


def temperatures_for(logits: Tensor, targets: Targets) -> dict[str, float]:
    """Per group and flag, the temperature under which what is said lies nearest to held-out labels; 1 where there are none.

    Guo et al. 2017 (https://arxiv.org/abs/1706.04599), section 4.2, by search over a grid. Nearest by the score of Brier 1950
    (https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2): the likelihood is ruled by answers near certainty, from which smoothed labels
    keep a tagger away (faces96, hair and eyes of eight taggers: calibration error .026 instead of .034).
    """
    scores = [_brier(probabilities(logits, dict.fromkeys(names(), t)).numpy(), targets) for t in TEMPERATURES]
    return {name: float(TEMPERATURES[int(np.argmin([one[name] for one in scores]))]) if name in scores[0] else 1.0 for name in names()}


def _brier(found: Floats, targets: Targets) -> dict[str, float]:
    by_name = {}
    for name, column in zip(names(), targets.T, strict=True):
        known = column != UNKNOWN
        if known.any():
            shares = _shares(found[known], name)
            by_name[name] = float(np.square(shares - np.eye(shares.shape[1])[column[known]]).sum(axis=1).mean())
    return by_name


def thresholds_for(found: Floats, targets: Targets) -> dict[str, float]:
    """Per flag, the probability from which on "yes" gives the best macro-F1 on held-out labels; 0.5 where they do not hold both."""
    thresholds = {}
    for name in flags():
        column = targets[:, names().index(name)]
        known = column != UNKNOWN
        yes = found[known, column_slices()[name].start]
        scores = [macro_f1((yes >= threshold).astype(np.int64), column[known]) for threshold in THRESHOLDS]
        # the middle of the best stretch: the edge of a plateau would fail on the next pictures
        best = np.flatnonzero(np.isclose(scores, max(scores)))
        thresholds[name] = float(THRESHOLDS[best[len(best) // 2]]) if len(np.unique(column[known])) == 2 else 0.5
    return thresholds


def decide(found: Floats, thresholds: Mapping[str, float]) -> Targets:
    """Probabilities (N, C) -> the number of each group's and flag's value (N, names)."""
    parts = [found[:, column_slices()[name]].argmax(axis=1) for name in groups()]
    parts += [(found[:, column_slices()[name].start] >= thresholds[name]).astype(np.int64) for name in flags()]
    return np.stack(parts, axis=1)


def confidence_of(found: Floats, decided: Targets) -> Floats:
    """(N, names): the probability of each decided value; UNKNOWN gets 0."""
    parts = [_shares(found, name) for name in names()]
    each = [np.take_along_axis(part, column.clip(0)[:, None], axis=1)[:, 0] for part, column in zip(parts, decided.T, strict=True)]
    return np.where(decided == UNKNOWN, 0, np.stack(each, axis=1)).astype(np.float32)


def _shares(found: Floats, name: str) -> Floats:
    """The columns of a group; of a flag no and yes."""
    part = found[:, column_slices()[name]]
    return np.concatenate([1 - part, part], axis=1) if name in flags() else part


def sure_from(found: Floats, targets: Targets, thresholds: Mapping[str, float], right: float) -> dict[str, dict[str, float]]:
    """name -> value -> the least confidence from which on `right` of the held-out answers with that value are right; below it the tagger abstains.

    A value that is answered too rarely goes by all answers about its name; names without labels are answered always.
    """
    decided = decide(found, thresholds)
    confidence = confidence_of(found, decided)
    sure = {}
    for at, name in enumerate(names()):
        known = targets[:, at] != UNKNOWN
        said, sureness, hit = decided[known, at], confidence[known, at], decided[known, at] == targets[known, at]
        every = _least_sure(sureness, hit, right)
        by_value = {value: said == number for number, value in enumerate(value_names(name))}
        sure[name] = {
            value: _least_sure(sureness[these], hit[these], right) if these.sum() >= MIN_ANSWERS else every for value, these in by_value.items()
        }
    return sure


def _least_sure(confidence: Floats, hit: NDArray[np.bool_], right: float) -> float:
    order = np.argsort(-confidence, kind="stable")
    shares = np.cumsum(hit[order]) / np.arange(1, len(hit) + 1)
    enough = np.flatnonzero(shares[MIN_ANSWERS - 1 :] >= right) + MIN_ANSWERS  # so many of the surest
    if len(hit) < MIN_ANSWERS or (len(enough) and enough[-1] == len(hit)):
        return 0.0
    return float(confidence[order[enough[-1] - 1]]) if len(enough) else 1.0


def answers(found: Floats, thresholds: Mapping[str, float], sure: Mapping[str, Mapping[str, float]]) -> Targets:
    """As `decide`, and UNKNOWN where the tagger abstains."""
    decided = decide(found, thresholds)
    least = np.stack(
        [np.array([sure[name][value] for value in value_names(name)])[column] for name, column in zip(names(), decided.T, strict=True)], axis=1
    )
    return np.where(confidence_of(found, decided) >= least.astype(np.float32), decided, UNKNOWN)


def macro_f1(found: Targets, truth: Targets) -> float:
    """Mean of the F1 of each value that occurs in either; 0 where nothing was asked."""
    scores = []
    for value in np.union1d(found, truth):
        hits = float(((found == value) & (truth == value)).sum())
        scores.append(2 * hits / float((found == value).sum() + (truth == value).sum()))
    return float(np.mean(scores)) if scores else 0.0


def tag_metrics(found: Floats, targets: Targets, thresholds: Mapping[str, float]) -> dict[str, float]:
    """`<name>/accuracy`, `<name>/macro_f1` and `<name>/ece` of each group and flag that has labels; `macro_f1` and `ece`, the means over them."""
    metrics: dict[str, float] = {}
    decided = decide(found, thresholds)
    for name, said, confidence, truth in zip(names(), decided.T, confidence_of(found, decided).T, targets.T, strict=True):
        known = truth != UNKNOWN
        if known.any():
            hit = said[known] == truth[known]
            metrics[f"{name}/accuracy"] = float(hit.mean())
            metrics[f"{name}/macro_f1"] = macro_f1(said[known], truth[known])
            metrics[f"{name}/ece"] = float(calibration_error(confidence[known], hit))
    return {"macro_f1": _mean_over_names(metrics, "macro_f1"), "ece": _mean_over_names(metrics, "ece"), **metrics}


def _mean_over_names(metrics: Mapping[str, float], score: str) -> float:
    scores = [value for name, value in metrics.items() if name.endswith(f"/{score}")]
    return float(np.mean(scores)) if scores else 0.0


def answer_metrics(found: Floats, targets: Targets, thresholds: Mapping[str, float], sure: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Of each group and flag that has labels: `<name>/answered`, how often the tagger does not abstain, and `<name>/right`, how often that is so."""
    metrics: dict[str, float] = {}
    for name, said, truth in zip(names(), answers(found, thresholds, sure).T, targets.T, strict=True):
        known = truth != UNKNOWN
        spoken = known & (said != UNKNOWN)
        if known.any():
            metrics[f"{name}/answered"] = float(spoken.sum() / known.sum())
            metrics[f"{name}/right"] = float((said[spoken] == truth[spoken]).mean()) if spoken.any() else 0.0
    return metrics


def in_words(row: NDArray[np.int64]) -> list[str]:
    """One row of targets as words: values of groups, and the flags that hold."""
    words = [value_names(name)[value] for name, value in zip(groups(), row, strict=False) if value != UNKNOWN]
    return words + [flag for flag, value in zip(flags(), row[len(groups()) :], strict=True) if value == 1]
