"""prepared faces -> the upscaler: 4 times as wide and high.

The truth is the largest prepared size that most pictures really have: above that, a picture holds nothing to learn. Where crops are larger than that,
the log and the card say so.
reads   data/faces/prepared/   store
writes  runs/upscaler/         curves and sample grids
        weights/upscaler/      weights, card (PSNR beside that of bicubic enlarging), sheet
"""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genga.door import run
from genga.errors import DataError
from genga.params import TrainUpscaler, load_params
from genga.registry import Registry
from genga.store import Store
from models import parallel
from models.batches import Pictures, Sampler, to_signed, to_uint8
from models.export import card_of, save_model
from models.loop import Tracker, fingerprint_of, finish, fit
from models.metrics.fidelity import psnr
from models.networks.upscaler import SCALE, enlarge_bicubic
from models.recipes.srgan import SRGANRecipe
from models.recipes.upscaler import UpscalerRecipe, shrink

SHOWN = 8
JUDGED = 200  # pictures
JUDGE_BATCH = 20
INVENTED = "It learned to look sharp as well as to be near the truth, so some of its fine lines are invented."
ENLARGED = "Most of the {size} px pictures it learned from were enlarged and hold no more detail than before: half are at most {native:g} px wide."

log = logging.getLogger(__name__)


def train_upscaler(params: TrainUpscaler, prepared_dir: Path, run_dir: Path, weights_dir: Path, tracker: Tracker | None = None) -> None:
    faces = Store(prepared_dir)
    size, native = truth_size(faces, params.crop), native_side(faces)
    enlarged = [ENLARGED.format(size=size, native=native)] if size > native else []
    for note in enlarged:
        log.warning("train upscaler: %s Lower train_upscaler.crop in params.yaml, or import larger pictures.", note)
    pictures, rows = faces.images(size), Pictures(faces, size, faces.indices("train")).rows
    held_out = np.concatenate([faces.indices(split) for split in ("test", "val")])
    judged = pictures[(held_out if len(held_out) else rows)[:JUDGED]]

    recipe = recipe_for(params, judged[:SHOWN])
    fingerprint = fingerprint_of(params, faces.data_id, read_by=[__file__])
    fit(recipe, crops(params, pictures, rows), params.training, run_dir, what="train upscaler", fingerprint=fingerprint, tracker=tracker)
    if parallel.rank() != 0:
        return

    card = card_of(
        "upscaler",
        params.model,
        params,
        faces,
        count=len(rows),
        kimg=params.training.total_kimg,
        metrics=_judge(recipe.upscaler_ema, judged),
        notes=[f"Learned to make {size} px pictures out of {size // SCALE} px ones."]
        + enlarged
        + ([INVENTED] if params.adversarial or params.srgan else [])
        + ([] if len(held_out) else ["Its PSNR was measured on pictures that it was trained on, because none were held out."]),
    )
    save_model(weights_dir, recipe.upscaler_ema, card, recipe.sample())
    if tracker:
        tracker.finish(weights_dir)
    finish(run_dir)


def recipe_for(params: TrainUpscaler, shown: NDArray[np.uint8]) -> UpscalerRecipe | SRGANRecipe:
    return SRGANRecipe(params, shown) if params.model.arch == "srgan" else UpscalerRecipe(params, shown)


def truth_size(faces: Store, crop: int) -> int:
    """The largest prepared size that is not above `native_side`, or else the smallest, of those large enough to crop from."""
    native, sizes = native_side(faces), [size for size in map(int, faces.sizes) if size >= crop]
    if not sizes:
        raise DataError(
            f"the largest prepared size is {max(map(int, faces.sizes))}, expected at least train_upscaler.crop = {crop}; "
            "add a size to prepare_faces.sizes or lower the crop in params.yaml"
        )
    return max((size for size in sizes if size <= native), default=min(sizes))


def native_side(faces: Store) -> float:
    """The median of the pictures' own shorter sides, in pixels."""
    return float(np.median(np.minimum(faces.column("width"), faces.column("height"))))


def crops(params: TrainUpscaler, pictures: NDArray[np.uint8], rows: NDArray[np.int64]) -> Callable[[int], Tensor]:
    """Squares from anywhere in the pictures, half of them mirrored."""
    seed, crop, count = params.training.seed, params.crop, params.training.batch_size
    sampler = Sampler(len(rows), seed)
    room = pictures.shape[1] - crop

    def batch_at(cur_nimg: int) -> Tensor:
        rng = np.random.default_rng((seed, cur_nimg))
        chosen = rows[sampler.idxs_at(cur_nimg, count)]
        corners, flips = rng.integers(0, room + 1, (count, 2)), rng.choice((1, -1), count)
        squares = [
            pictures[row, top : top + crop, left : left + crop][:, ::flip] for row, (top, left), flip in zip(chosen, corners, flips, strict=True)
        ]
        return torch.from_numpy(np.stack(squares))

    return batch_at


@torch.no_grad()
def _judge(upscaler: nn.Module, truth: NDArray[np.uint8]) -> dict[str, float]:
    """PSNR in dB, of 255, mean over pictures."""
    found, bicubic = [], []
    for start in range(0, len(truth), JUDGE_BATCH):
        small = shrink(to_signed(torch.from_numpy(truth[start : start + JUDGE_BATCH])))
        small = small.to(next(upscaler.parameters()).device)
        found.append(to_uint8(upscaler(small)))
        bicubic.append(to_uint8(enlarge_bicubic(small)))
    ours, plain = psnr(np.concatenate(found), truth), psnr(np.concatenate(bicubic), truth)
    return {"psnr": ours, "psnr_bicubic": plain}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("prepared_dir", "run_dir", "weights_dir"):
        parser.add_argument(name, type=Path)
    parallel.add_devices(parser)
    args = parser.parse_args()
    params = load_params().train_upscaler
    paths = args.prepared_dir, args.run_dir, args.weights_dir
    with parallel.together(args.devices):
        if parallel.rank() != 0:
            train_upscaler(params, *paths)
            return
        with Registry().tracking("upscaler", params.model_dump(), args.run_dir, data_id=Store(args.prepared_dir).data_id) as tracker:
            train_upscaler(params, *paths, tracker)


if __name__ == "__main__":
    run(main)
