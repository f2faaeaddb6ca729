"""How well tags are read, and how a tagger's raw outputs become probabilities that mean what they say."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genga.progress import progress
from genga.tags import column_slices, columns, flags, groups
from models.batches import to_signed
from models.networks.tagger import probabilities
from models.precision import Precision, autocast, channels_last
from models.targets import UNKNOWN, Targets, names, value_names

Floats = NDArray[np.float32]

TEMPERATURES = np.geomspace(0.25, 4.0, 33)
THRESHOLDS = np.linspace(0.05, 0.95, 19)


@torch.no_grad()
def tag_logits(
    tagger: nn.Module, pictures: NDArray[np.uint8], rows: NDArray[np.int64], *, batch_size: int, precision: Precision, what: str
) -> Tensor:
    """(N, C) on the CPU, in the order of `rows`. `pictures`: uint8 (all, R, R, 3) at the tagger's resolution."""
    tagger = channels_last(tagger).eval()
    device = next(tagger.parameters()).device
    found = [torch.empty(0, len(columns()))]
    with progress(what=what, total=len(rows), unit="faces") as bar, autocast(precision):
        for start in range(0, len(rows), batch_size):
            chunk = rows[start : start + batch_size]
            found.append(tagger(to_signed(torch.from_numpy(pictures[chunk]).to(device))).float().cpu())
            bar.update(len(chunk))
    return torch.cat(found)


def temperatures_for(logits: Tensor, targets: Targets) -> dict[str, float]:
    """Per group and flag, the temperature under which held-out labels are likeliest; 1 where there are none.

    Guo et al. 2017 (https://arxiv.org/abs/1706.04599), section 4.2, by search over a grid.
    """
    likelihoods = [_log_likelihoods(probabilities(logits, dict.fromkeys(names(), t)).numpy(), targets) for t in TEMPERATURES]
    return {name: float(TEMPERATURES[int(np.argmax([one[name] for one in likelihoods]))]) if name in likelihoods[0] else 1.0 for name in names()}


def _log_likelihoods(found: Floats, targets: Targets) -> dict[str, float]:
    by_name = {}
    for name, column in zip(names(), targets.T, strict=True):
        known = column != UNKNOWN
        if known.any():
            values = found[known, column_slices()[name]]
            shares = np.concatenate([1 - values, values], axis=1) if name in flags() else values
            by_name[name] = float(np.log(np.maximum(shares[np.arange(len(shares)), column[known]], 1e-9)).mean())
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


def macro_f1(found: Targets, truth: Targets) -> float:
    """Mean of the F1 of each value that occurs in either; 0 where nothing was asked."""
    scores = []
    for value in np.union1d(found, truth):
        hits = float(((found == value) & (truth == value)).sum())
        scores.append(2 * hits / float((found == value).sum() + (truth == value).sum()))
    return float(np.mean(scores)) if scores else 0.0


def tag_metrics(found: Floats, targets: Targets, thresholds: Mapping[str, float]) -> dict[str, float]:
    """`<name>/accuracy` and `<name>/macro_f1` of each group and flag that has labels, and `macro_f1`, the mean of the latter."""
    metrics: dict[str, float] = {}
    for name, decided, truth in zip(names(), decide(found, thresholds).T, targets.T, strict=True):
        known = truth != UNKNOWN
        if known.any():
            metrics[f"{name}/accuracy"] = float((decided[known] == truth[known]).mean())
            metrics[f"{name}/macro_f1"] = macro_f1(decided[known], truth[known])
    scores = [value for name, value in metrics.items() if name.endswith("/macro_f1")]
    return {"macro_f1": float(np.mean(scores)) if scores else 0.0, **metrics}


def in_words(row: NDArray[np.int64]) -> list[str]:
    """One row of targets as words: values of groups, and the flags that hold."""
    words = [value_names(name)[value] for name, value in zip(groups(), row, strict=False) if value != UNKNOWN]
    return words + [flag for flag, value in zip(flags(), row[len(groups()) :], strict=True) if value == 1]
