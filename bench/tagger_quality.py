"""Promise: after at most ten minutes of training on two cores the tagger reads noisy labels of real faces, and the truth of drawn ones, as
REAL_FACES, DRAWN_FACES and ECE say.

    python -m bench.tagger_quality [--minutes 10] [--plain] [--keep FOLDER]

Real faces are those of ../shared/data/faces96.zip, a fifth of them held out by their content; without that file only the drawn sample is measured.
The stages themselves take in, train and measure: real faces by profiles/evening.yaml with at most so many minutes' worth of pictures, the drawn
sample by params.yaml. Thresholds and temperatures come from the val split, the numbers from the test split. --plain trains the same tagger once more
on as many of the same pictures, without what is made for wrong labels (PLAIN), and prints the numbers of both.
"""

import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.arguments import Parser, minutes
from bench.real_faces import REAL, drawn_faces, real_faces
from genga.door import run
from genga.params import Params, TrainTagger
from models.export import read_card
from models.recipes.tagger import Batch, TaggerRecipe, value_weights
from models.targets import names
from stages.train_tagger import train_tagger

REAL_FACES = {"hair_color/accuracy": 0.76, "hair_color/macro_f1": 0.70, "eye_color/accuracy": 0.74, "eye_color/macro_f1": 0.54}
DRAWN_FACES = {"macro_f1": 0.98}
ECE = 0.03
PLAIN: dict[str, float] = {"label_smoothing": 0.0, "own_opinion": 0.0}
PROBES = 12  # batches whose speed is taken


def pictures_per_second(params: TrainTagger) -> float:
    side, size = params.model.resolution, params.training.batch_size
    targets = np.zeros((size, len(names())), np.int64)
    batch = Batch(torch.randint(0, 256, (size, side, side, 3), dtype=torch.uint8), torch.from_numpy(targets), torch.arange(size))
    recipe = TaggerRecipe(params, value_weights(targets, params.balance), batch.pictures.numpy()[:1], size)
    recipe.step(batch, 0)
    start = time.perf_counter()
    for step in range(PROBES):
        recipe.step(batch, step * size)
    return PROBES * size / (time.perf_counter() - start)


def lasting(params: TrainTagger, minutes: float) -> TrainTagger:
    kimg = min(params.training.total_kimg, round(pictures_per_second(params) * 60 * minutes / 1000, 3))
    return params.model_copy(update={"training": params.training.model_copy(update={"total_kimg": kimg})})


def measure(what: str, params: Params, root: Path, minutes: float, promised: dict[str, float], *, plain: bool) -> None:
    tagger = lasting(params.train_tagger, minutes)
    start = time.perf_counter()
    card = trained(tagger, root, "tagger")
    print(f"{what}: {tagger.training.total_kimg:g} kimg, {(time.perf_counter() - start) / 60:.1f} minutes of training and measuring")
    report(what, card, promised)
    if plain:
        compare(what, card["metrics"], trained(tagger.model_copy(update=PLAIN), root, "plain")["metrics"], promised)


def trained(params: TrainTagger, root: Path, name: str) -> dict[str, Any]:
    train_tagger(params, root / "faces", root / "sample", root / "labels", root / f"{name}-run", root / name)
    return read_card(root / name)


def compare(what: str, ours: dict[str, float], plain: dict[str, float], names: Iterable[str]) -> None:
    for name in names:
        print(
            f"{what}: {name} {ours[name]:.3f}, {plain[name]:.3f} without label smoothing and own opinion: "
            f"{ours[name] - plain[name]:+.3f} ({ours[name] / plain[name]:.3f} times)"
        )


def report(what: str, card: dict[str, Any], promised: dict[str, float]) -> None:
    metrics, baseline = card["metrics"], card["baseline"]
    for name, least in promised.items():
        print(
            f"{what}: {name} {metrics[name]:.3f}, promised >= {least} ({metrics[name] / least:.3f} of it); "
            f"regression on colours and edges {baseline[name]:.3f}"
        )
    for name in sorted({each.partition("/")[0] for each in promised if "/" in each}) or ["all tags"]:
        error = metrics["ece" if name == "all tags" else f"{name}/ece"]
        print(f"{what}: {name} expected calibration error {error:.3f}, promised <= {ECE} ({error / ECE:.2f} of it)")
    for name in sorted({each.partition("/")[0] for each in promised if "/" in each}):
        print(f"{what}: {name} answered {metrics[f'{name}/answered']:.3f} of the faces and {metrics[f'{name}/right']:.3f} of these right")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--minutes", type=minutes, default=10.0)
    parser.add_argument("--plain", action="store_true", help="also without what is made for wrong labels")
    parser.add_argument("--keep", type=Path, help="where the tagger of the real faces stays, with its sheets")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        measure("drawn sample", drawn_faces("laptop", root / "drawn"), root / "drawn", args.minutes, DRAWN_FACES, plain=args.plain)
        if not REAL.is_file():
            print(f"tagger_quality: real faces skipped, there is no {REAL}")
            return
        measure("real faces", real_faces("evening", root / "real"), root / "real", args.minutes, REAL_FACES, plain=args.plain)
        if args.keep:
            shutil.copytree(root / "real" / "tagger", args.keep, dirs_exist_ok=True)


if __name__ == "__main__":
    run(main)
