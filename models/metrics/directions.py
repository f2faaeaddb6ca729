"""Directions in a generator's latent space that change one tag and little else.

Scores of generated pictures are regressed on their latents (ridge, in a space where the latents are uncorrelated: the step that a direction
takes is then one that latents really take); each direction is then turned away from what changes the other tags.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genga.params import FindDirections
from genga.tags import column_slices, columns, flags, groups, ordered

Floats = NDArray[np.float64]

LOGIT_LIMIT = 6.0  # beyond, one tag's certainty would outweigh all else


def slider_names() -> list[str]:
    """A slider per column, but one for a group whose values run from less to more."""
    per_group = [[name] if name in ordered() else [f"{name}={value}" for value in values] for name, values in groups().items()]
    return [slider for sliders in per_group for slider in sliders] + flags()


def tag_of(slider: str) -> str:
    """The group or flag that a slider belongs to."""
    return slider.partition("=")[0]


def shares(found: Floats) -> Floats:
    """Probabilities (N, C) -> (N, sliders) in [0, 1]: a column's probability; of an ordered group, how far along its values."""
    return np.stack([_share(found, slider) for slider in slider_names()], axis=1)


def _share(found: Floats, slider: str) -> Floats:
    if slider not in ordered():
        return found[:, columns().index(slider)]
    values = found[:, column_slices()[slider]]
    places: Floats = values @ np.linspace(0, 1, values.shape[1])
    return places


def log_odds(share: Floats) -> Floats:
    bounded = np.clip(share, 1e-6, 1 - 1e-6)
    return np.clip(np.log(bounded / (1 - bounded)), -LOGIT_LIMIT, LOGIT_LIMIT)


def fit_directions(latents: Floats, scores: Floats, sliders: Sequence[str], params: FindDirections) -> Floats:
    """latents (N, W), scores (N, sliders) -> moves (sliders, W): what is added to a latent where a slider stands at 1.

    A move is `sigmas` standard deviations of the latents long. With b_i what raises score i where latents are uncorrelated, as long as score i
    is well told by them (0 to 1), the direction u solves (1 + decorrelate * sum over other tags' j of b_j b_j^T) u = b_i.
    """
    coloured = _colouring(latents)
    white = (latents - latents.mean(axis=0)) @ np.linalg.pinv(coloured)
    centred = (scores - scores.mean(axis=0)) / np.maximum(scores.std(axis=0), 1e-9)
    gram = white.T @ white / len(white) + params.regularisation * np.eye(white.shape[1])
    slopes = np.linalg.solve(gram, white.T @ centred / len(white)).T
    directions = [_turned_away(slopes, slider_idx, sliders, params.decorrelate) for slider_idx in range(len(sliders))]
    moves: Floats = np.stack(directions) @ coloured * params.sigmas
    return moves


def _colouring(latents: Floats) -> Floats:
    """(k, W): uncorrelated numbers of variance 1 times this are distributed like the latents. Directions that latents never take are left out."""
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(latents.T)))
    taken = variances > 1e-6 * variances.max()
    coloured: Floats = np.sqrt(variances[taken])[:, None] * axes[:, taken].T
    return coloured


def _turned_away(slopes: Floats, slider_idx: int, sliders: Sequence[str], decorrelate: float) -> Floats:
    others = slopes[[tag_of(name) != tag_of(sliders[slider_idx]) for name in sliders]]
    turned = np.linalg.solve(np.eye(slopes.shape[1]) + decorrelate * others.T @ others, slopes[slider_idx])
    length: float = np.linalg.norm(turned).item()
    return turned / max(length, 1e-12)
