"""a face generator + the tagger -> its sliders: for each tag a direction in latent space, with what it changes and what it drags along.

reads   weights/<family>/, weights/tagger/
writes  data/directions/<family>/directions.json
"""

import argparse
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.documents import write_json
from genga.door import run
from genga.params import FindDirections, load_params
from genga.progress import progress
from genga.tags import check_tagger
from models.export import Card, load_model, read_card
from models.metrics.directions import fit_directions, log_odds, shares, slider_names, tag_of
from models.networks.tagger import probabilities
from models.precision import autocast, channels_last

BATCH = 64
DIGITS = 6

Floats = NDArray[np.float64]


class FaceGenerator(Protocol):
    z_dim: int
    w_avg: Tensor

    def mapping(self, z: Tensor) -> Tensor: ...
    def synthesis(self, w: Tensor) -> Tensor: ...


class Judge:
    """Latents in, the tagger's opinion of their pictures out."""

    def __init__(self, generator: nn.Module, tagger: nn.Module, card: Card) -> None:
        self.generator = cast(FaceGenerator, channels_last(generator))
        self._tagger, self._temperatures = channels_last(tagger), card["temperatures"]
        self._side = int(cast(Any, tagger).resolution)

    @torch.no_grad()
    def latents(self, count: int, psi: float, seed: int) -> Tensor:
        """(N, W), drawn as people will draw them: truncated by psi."""
        z = torch.randn(count, self.generator.z_dim, generator=torch.Generator().manual_seed(seed))
        average = self.generator.w_avg
        return average + psi * (self.generator.mapping(z.to(average.device)) - average)

    @torch.no_grad()
    def shares_of(self, latents: Tensor, what: str) -> Floats:
        """(N, W) -> (N, sliders) in [0, 1]."""
        found = []
        with progress(what=what, total=len(latents), unit="faces") as bar:
            for chunk in latents.split(BATCH):  # type: ignore[no-untyped-call]
                with autocast("auto"):
                    images = self.generator.synthesis(chunk).clamp(-1, 1)
                    logits = self._tagger(F.interpolate(images, self._side, mode="bilinear", antialias=True))
                found.append(probabilities(logits.float().cpu(), self._temperatures))
                bar.update(len(chunk))
        return shares(torch.cat(found).double().numpy())


def find_directions(params: FindDirections, weights_dir: Path, tagger_dir: Path, out_dir: Path) -> None:
    check_tagger(read_card(tagger_dir), str(tagger_dir))
    (generator, card), (tagger, tagger_card) = load_model(weights_dir), load_model(tagger_dir)
    family, judge = card["family"], Judge(generator, tagger, tagger_card)

    latents = judge.latents(params.samples, params.psi, params.seed)
    scores = log_odds(judge.shares_of(latents, f"look at faces of {family}"))
    moves = fit_directions(latents.cpu().double().numpy(), scores, slider_names(), params)

    starts = judge.latents(params.judged, params.psi, params.seed + 1)
    effects = _effects(judge, starts, torch.from_numpy(moves).to(starts), f"try the sliders of {family}")
    sliders = {
        name: _slider(moves[at], effects[at].mean(axis=0), at, tagger_card["learned_from"][tag_of(name)])
        for at, name in enumerate(slider_names())
        if _is_real(effects[at][:, at], params.min_effect)
    }
    write_json(out_dir / "directions.json", {"space": "w", "family": family, "sliders": sliders})


def _effects(judge: Judge, starts: Tensor, moves: Tensor, what: str) -> Floats:
    """(sliders moved, faces, sliders read): change of each share from -1 to 1 of each slider."""
    moved = torch.stack([starts - moves[:, None], starts + moves[:, None]])  # (2, sliders, faces, W)
    found = judge.shares_of(moved.flatten(0, 2), what).reshape(2, len(moves), len(starts), -1)
    change: Floats = found[1] - found[0]
    return change


def _is_real(change: Floats, min_effect: float) -> bool:
    """Large enough to be seen, and more than chance: four standard errors above nothing."""
    return bool(change.mean() >= min_effect and change.mean() > 4 * change.std() / np.sqrt(len(change)))


def _slider(move: Floats, effect: Floats, at: int, learned_from: str) -> dict[str, Any]:
    """`effect` on the slider's own share, `drag` on those of other tags; as the tagger sees it."""
    scale = float(np.linalg.norm(move))
    names = slider_names()
    return {
        "vector": [round(value, DIGITS) for value in (move / scale).tolist()],
        "scale": round(scale, DIGITS),
        "effect": round(float(effect[at]), DIGITS),
        "drag": {name: round(float(change), DIGITS) for name, change in zip(names, effect, strict=True) if tag_of(name) != tag_of(names[at])},
        "learned_from": learned_from,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("weights_dir", "tagger_dir", "out_dir"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    find_directions(load_params().find_directions, args.weights_dir, args.tagger_dir, args.out_dir)


if __name__ == "__main__":
    run(main)
