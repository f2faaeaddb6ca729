"""Promise: after at most twenty minutes of training on two cores, both parts together, the upscaler beats bicubic enlarging from 32 to 128 px by
GAIN dB on faces it has not seen, with a higher SSIM; and what its contest makes of it is sharper, still SHARP_GAIN dB above bicubic.

    python -m bench.upscaler_quality [--minutes 18] [--sheet sheet.png]

Faces are those of ../shared/data/faces256.zip, of which HELD_OUT are never trained on; without that file there is nothing to measure. The truth
is their mean over 2 x 2 pixels, the picture to enlarge that over 8 x 8. One training by profiles/evening.yaml and profiles/sharp-upscaler.yaml, as
long as the minutes allow; the first version is what it has become when the contest begins.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench.arguments import Parser, minutes
from bench.face_quality import read_pictures
from bench.real_faces import REAL
from bench.real_poses import with_profiles
from genga.door import run
from genga.params import TrainUpscaler, parse_params
from genga.pictures import encode_png
from models.batches import to_signed, to_uint8
from models.export import grid
from models.loop import seed_step
from models.metrics.fidelity import psnr, sharpness, ssim
from models.networks.upscaler import enlarge_bicubic
from models.precision import autocast
from models.recipes.upscaler import UpscalerRecipe, shrink
from stages.prepare_faces import resize
from stages.train_upscaler import crops

Pictures = NDArray[np.uint8]

SIDE, HELD_OUT, SHOWN = 128, 200, 8
PROBES = 8  # steps of each part by which its speed is taken
GAIN, SHARP_GAIN = 2.0, 0.5  # dB above bicubic
PLAIN, SHARP = "PSNR version", "sharp version"


def lasting(params: TrainUpscaler, minutes: float, batch_at: Callable[[int], Tensor]) -> TrainUpscaler:
    """So many pictures that the training takes this long here, its two parts as long beside each other as they were."""
    assert params.adversarial is not None
    training, last_kimg = params.training, params.adversarial.kimg
    recipe = UpscalerRecipe(params, batch_at(0).numpy())
    seconds = 0.0
    for start, kimg in ((0, training.total_kimg - last_kimg), (recipe.faithful_nimg, last_kimg)):
        recipe.step(batch_at(0), start)
        began = time.perf_counter()
        for step in range(1, PROBES + 1):
            recipe.step(batch_at(0), start + step * training.batch_size)
        seconds += (time.perf_counter() - began) / PROBES * 1000 * kimg / training.batch_size
    times = 60 * minutes / seconds
    longer = training.model_copy(update={"total_kimg": training.total_kimg * times})
    return params.model_copy(update={"training": longer, "adversarial": params.adversarial.model_copy(update={"kimg": last_kimg * times})})


def train(params: TrainUpscaler, batch_at: Callable[[int], Tensor], held_out: Pictures) -> dict[str, nn.Module]:
    recipe = UpscalerRecipe(params, held_out[:SHOWN])
    size, versions = params.training.batch_size, {}
    wall, worked = time.perf_counter(), time.process_time()

    def took() -> str:
        return f"{(time.perf_counter() - wall) / 60:.1f} minutes, {(time.process_time() - worked) / 60:.1f} of one core's work"

    for cur_nimg in range(0, round(params.training.total_kimg * 1000), size):
        if cur_nimg >= recipe.faithful_nimg and PLAIN not in versions:
            versions[PLAIN] = deepcopy(recipe.upscaler_ema)
            print(f"upscaler_quality: {PLAIN} after {cur_nimg / 1000:.1f} kimg, {took()}", flush=True)
        seed_step(params.training.seed, cur_nimg)
        recipe.step(batch_at(cur_nimg), cur_nimg)
    print(f"upscaler_quality: both after {params.training.total_kimg:.1f} kimg, {took()}; promised <= 20 minutes", flush=True)
    return versions | {SHARP: recipe.upscaler_ema}


@torch.inference_mode()
def enlarged(versions: dict[str, nn.Module], truth: Pictures) -> dict[str, Pictures]:
    """The truth made small and enlarged by pixels, bicubic and each version."""
    small = shrink(to_signed(torch.from_numpy(truth)))
    ways: dict[str, Callable[[Tensor], Tensor]] = {"pixels": lambda images: F.interpolate(images, scale_factor=4.0), "bicubic": enlarge_bicubic}
    with autocast("auto"):
        return {name: np.concatenate([to_uint8(way(part)) for part in torch.split(small, 20)]) for name, way in (ways | versions).items()}


def measure(minutes: float, sheet_path: Path | None) -> None:
    params = parse_params(with_profiles("evening", "sharp-upscaler"), "params.yaml with profiles/evening.yaml and sharp-upscaler.yaml").train_upscaler
    faces = np.stack([resize(picture, SIDE) for picture in read_pictures(REAL.with_name("faces256.zip"))])
    faces = np.random.default_rng(0).permutation(faces)
    held_out, real = faces[:HELD_OUT], faces[HELD_OUT:]
    print(f"upscaler_quality: {len(real)} faces to learn from, {len(held_out)} held out")
    batch_at = crops(params, real, np.arange(len(real)))
    found = enlarged(train(lasting(params, minutes, batch_at), batch_at, held_out), held_out)
    scores = {name: {m.__name__: m(pictures, held_out) for m in (psnr, ssim, sharpness)} for name, pictures in found.items()}
    for name, score in scores.items():
        print(f"upscaler_quality: {name}: " + ", ".join(f"{what} {value:.3f}" for what, value in score.items()))
    plain, bicubic = scores[PLAIN], scores["bicubic"]
    for name, promised in ((PLAIN, GAIN), (SHARP, SHARP_GAIN)):
        gain = scores[name]["psnr"] - bicubic["psnr"]
        print(f"upscaler_quality: {name} {gain:.2f} dB above bicubic, promised >= {promised} ({gain / promised:.2f} of it)")
    print(f"upscaler_quality: {PLAIN}'s ssim {plain['ssim'] / bicubic['ssim']:.3f} of bicubic's, promised > 1")
    print(f"upscaler_quality: {SHARP} {scores[SHARP]['sharpness'] / plain['sharpness']:.3f} times as sharp as {PLAIN}, promised > 1")
    if sheet_path is not None:
        rows = [*(pictures[:SHOWN] for pictures in found.values()), held_out[:SHOWN]]
        sheet_path.write_bytes(encode_png(grid(np.concatenate(rows), columns=SHOWN)))
        print(f"upscaler_quality: {sheet_path}: a row each: {', '.join(found)}, truth")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--minutes", type=minutes, default=18.0)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    if not (faces_path := REAL.with_name("faces256.zip")).is_file():
        print(f"upscaler_quality: skipped, there is no {faces_path} to learn from")
        return
    if args.sheet:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
    measure(args.minutes, args.sheet)


if __name__ == "__main__":
    run(main)
