"""Promise: after the same time of training in one run, the default sketcher beats the first system's recipe (profiles/sketch-generator.yaml):
joints read off its sketches lie where they were asked for, its sketches look more like line art, and seeds differ.

    python -m bench.sketch_quality [--minutes 15] [--invented] [--figures data/figures] [--reader weights/figure-pose] [--sheet sheet.png]

Poses are the real ones of ../shared/data/poses11.npz, of which about 1,000 are held out; without that file there is nothing to measure, except
with --invented: poses from the limits of drawing/poses.py, as many of them held out. The README's sheet is of these.
Figures are drawn here unless --figures names some, and the network that reads joints is trained here unless --reader names one: evening's for
mannequins, at the sketches' own side.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bench.arguments import Parser, minutes
from bench.real_poses import CALIBRATED_ON, HELD_OUT, REAL, pose_folders, with_profiles
from drawing.lift import lift
from drawing.mannequin import LOOKS, line_art, sample_mannequin
from genga.door import run
from genga.params import DrawFigures, TrainSketcher, parse_params
from genga.pictures import encode_png
from genga.skeleton import from_vector, normalise
from genga.store import Store
from models.batches import to_uint8
from models.export import grid, load_model
from models.metrics.distance import Reference, frechet, kid
from models.metrics.poses import as_all_read, pose_metrics, read_poses
from models.metrics.sketches import draw_all
from models.networks.pose import nothing_seen
from models.networks.stick_unet import draw_sticks
from models.recipes.pose import Batch, ink_of
from stages.draw_figures import draw_figures
from stages.train_pose import train_pose
from stages.train_sketcher import recipe_for, train_sketcher

Pictures = NDArray[np.uint8]

PAIRS = 200  # held-out poses that are drawn twice, with other hair and clothes
PROBES = 12  # places of a training at which its speed is measured
ROWS, SKETCHES, NEAREST = 8, 4, 2
PCK, LOWER = 0.85, 0.7
NEW, OLD = "default", "first system's"


def only_mannequins(params: DrawFigures, share: float) -> DrawFigures:
    """`share` of them in the poses of files, the others in invented ones."""
    poses = params.poses.model_copy(update={"share": share})
    changed = {"poses": poses, "sticks": params.sticks.model_copy(update={"count": 1}), "held_out_styles": [], "val": CALIBRATED_ON, "test": HELD_OUT}
    return params.model_copy(update=changed)


def lasting(params: TrainSketcher, minutes: float, num_figures: int) -> TrainSketcher:
    """So many pictures that the training takes this long here. Its parts may be of different speeds, so each is timed, with as many drawings in
    memory as it will remember of `num_figures`."""

    def of_length(kimg: float) -> TrainSketcher:
        rare = {"total_kimg": kimg, "log_kimg": kimg / 20, "sample_kimg": kimg, "checkpoint_kimg": kimg}
        return params.model_copy(update={"training": params.training.model_copy(update=rare)})

    side, size = params.model.resolution, params.training.batch_size

    def drawings(count: int) -> Batch:
        pictures = np.full((count, side, side), 255, np.uint8)
        pictures[:, side // 4 : -side // 4, side // 2] = 0
        return Batch(torch.from_numpy(pictures), torch.rand(count, 11, 2))

    batch = drawings(size)
    recipe = recipe_for(of_length(1000.0), drawings(min(params.remembered or size, num_figures)), batch)
    times = []
    for probe in range(PROBES):
        cur_nimg = round((probe + 0.5) / PROBES * 1e6)
        recipe.step(batch, cur_nimg)
        start = time.perf_counter()
        recipe.step(batch, cur_nimg)
        recipe.step(batch, cur_nimg)
        times.append((time.perf_counter() - start) / 2)
    return of_length(round(60 * minutes / float(np.mean(times)) * size / 1000, 2))


def fitted(pictures: Pictures, side: int) -> Pictures:
    """Gray pictures at another side."""
    return np.stack([cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in pictures]).astype(np.uint8, copy=False)


class Judge:
    """The network that reads joints: what it finds, and what its levels see on the way."""

    def __init__(self, reader: Any, truth: Pictures) -> None:
        self._reader = reader
        self._reference = Reference.of(self._features(truth))

    @torch.inference_mode()
    def _features(self, pictures: Pictures) -> NDArray[Any]:
        """(N, F): the mean of every channel of each level of the encoder."""
        found = []
        small = torch.from_numpy(fitted(pictures, self._reader.resolution))
        for part in torch.split(small, 100):
            levels = self._reader.levels(ink_of(part), nothing_seen(len(part), part))
            found.append(torch.cat([level.mean(dim=(2, 3)) for level in levels], dim=1))
        return torch.cat(found).numpy()

    def apart(self, one: Pictures, other: Pictures) -> float:
        """Mean distance of pictures of the same pose."""
        a, b = (self._reference.standardised(self._features(pictures)) for pictures in (one, other))
        return float(np.linalg.norm(a - b, axis=1).mean())

    def score(self, pictures: Pictures, poses: NDArray[Any]) -> dict[str, float]:
        read, placed = as_all_read(pictures, poses, self._reader.resolution)
        found, _ = read_poses(self._reader, read)
        features = self._reference.standardised(self._features(pictures))
        named = {
            f"PCK@0.1{note}": pose_metrics(found, placed, limbs_may_swap=swap)["pck_0.1"] for note, swap in (("", False), (", limbs swap", True))
        }
        return {**named, "FD": frechet(self._reference.features, features), "KID": kid(self._reference.features, features)}


def sketches(sketcher: Any, poses: NDArray[Any], count: int) -> list[Pictures]:
    """So many of each pose, none of a drawing that was taken for it already: as the page shows them."""
    z = torch.randn(count, len(poses), sketcher.z_dim, generator=torch.Generator().manual_seed(0))
    asked = torch.from_numpy(poses).float()
    return [to_uint8(draw_all(sketcher, asked, each, z[:at]) * 2 - 1)[..., 0] for at, each in enumerate(z)]


def drawn_twice(params: DrawFigures, poses: NDArray[Any], side: int) -> tuple[Pictures, Pictures]:
    """Held-out poses as two figures each, of other hair and clothes."""
    bodies = lift(poses, params.mannequins.head_ratio).bodies
    both = []
    for seed in (0, 1):
        drawn = []
        for row in range(len(bodies)):
            body = bodies.body(row), bodies.camera(row), "held out"
            drawn.append(line_art(sample_mannequin(params.mannequins, LOOKS, np.random.default_rng((seed, row)), body), side))
        both.append(np.stack(drawn))
    return both[0], both[1]


def contact_sheet(poses: NDArray[Any], ours: list[Pictures], theirs: Pictures, figures: Store) -> Pictures:
    """Each row: the pose, sketches by the default from several seeds, one by the first system's recipe, the nearest figures trained on."""
    side = theirs.shape[1]
    rows = figures.indices("train")
    known = normalise(from_vector(figures.column("pose"))[rows]).reshape(len(rows), -1)
    asked = to_uint8(1 - 2 * draw_sticks(torch.from_numpy(poses).float(), side))[..., 0]
    columns = [asked, *ours, theirs]
    nearest = np.argsort(((normalise(poses).reshape(len(poses), 1, -1) - known) ** 2).sum(axis=2), axis=1)[:, :NEAREST]
    columns += [figures.images(side)[rows[nearest[:, n]]] for n in range(NEAREST)]
    framed = [cv2.copyMakeBorder(picture, 0, 1, 0, 1, cv2.BORDER_CONSTANT, value=200) for row in zip(*columns, strict=True) for picture in row]
    return grid(np.stack(framed)[..., None].astype(np.uint8, copy=False), columns=len(columns))


def measure(minutes: float, invented: bool, figures_dir: Path | None, reader_dir: Path | None, sheet_path: Path | None, scratch: Path) -> None:
    evening, first = (parse_params(with_profiles(*names), f"params.yaml with {names}") for names in (("evening",), ("evening", "sketch-generator")))
    poses_dir, own_dir = pose_folders(scratch, invented)
    drawing = only_mannequins(evening.draw_figures, 0.0 if invented else 1.0)
    if figures_dir is None:
        figures_dir = scratch / "figures"
        draw_figures(drawing, poses_dir, own_dir, figures_dir)
    if reader_dir is None:
        reader_dir = scratch / "reader"
        pose = evening.train_pose["figure"]
        pose = pose.model_copy(update={"model": pose.model.model_copy(update={"resolution": evening.train_sketcher.model.resolution})})
        train_pose(pose, "figure", figures_dir, scratch / "reader-run", reader_dir)
    reader, card = load_model(reader_dir)
    figures = Store(figures_dir / "mannequins")
    rows = figures.indices("test")
    poses, truth = from_vector(figures.column("pose"))[rows], figures.images(evening.train_sketcher.model.resolution)[rows]
    judge = Judge(reader, truth)
    found = judge.score(truth, poses)["PCK@0.1"]
    print(f"sketch_quality: {len(figures.indices('train'))} figures to learn from, {len(rows)} held out")
    print(f"sketch_quality: the reader finds {found:.3f} of the joints of held-out line art ({card['kimg']:g} kimg)")
    one, other = drawn_twice(drawing, poses[:PAIRS], truth.shape[1])
    pairs = judge.apart(one, other)

    scores, drawn = {}, {}
    for name, params in ((NEW, evening.train_sketcher), (OLD, first.train_sketcher)):
        params = lasting(params, minutes, len(figures.indices("train")))
        start = time.perf_counter()
        train_sketcher(params, figures_dir, scratch / f"run-{name}", scratch / f"weights-{name}")
        took = (time.perf_counter() - start) / 60
        sketcher, _ = load_model(scratch / f"weights-{name}")
        drawn[name] = sketches(sketcher, poses, SKETCHES)
        scores[name] = judge.score(drawn[name][0], poses) | {"apart": judge.apart(drawn[name][0][:PAIRS], drawn[name][1][:PAIRS]) / pairs}
        print(
            f"sketch_quality: {name} recipe, {params.training.total_kimg:g} kimg in {took:.1f} minutes: "
            + ", ".join(f"{what} {value:.3f}" for what, value in scores[name].items())
        )
    ours, theirs = scores[NEW], scores[OLD]
    print(f"sketch_quality: PCK@0.1 on held-out poses {ours['PCK@0.1']:.3f}, promised >= {PCK} of real ones ({ours['PCK@0.1'] / PCK:.3f} of it)")
    for what in ("FD", "KID"):
        print(f"sketch_quality: {what} {ours[what] / theirs[what]:.3f} of the first system's recipe, promised <= {LOWER}")
    print(f"sketch_quality: two seeds lie {ours['apart']:.2f} times as far apart as two drawings of a pose with other hair and clothes")
    if sheet_path is not None:
        shown = np.linspace(0, len(poses) - 1, ROWS).astype(np.int64)
        sheet_path.write_bytes(encode_png(contact_sheet(poses[shown], [each[shown] for each in drawn[NEW]], drawn[OLD][0][shown], figures)))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--minutes", type=minutes, default=15.0)
    parser.add_argument("--invented", action="store_true", help="poses within the limits of a body in place of the real ones")
    for name in ("--figures", "--reader", "--sheet"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    if args.figures:  # what is wrong with these is found before hours are spent
        Store(args.figures / "mannequins")
    if args.reader:
        load_model(args.reader)
    if args.sheet:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
    if not (args.invented or REAL.is_file()):
        print(f"sketch_quality: skipped, there is no {REAL} with real poses to draw")
        return
    with tempfile.TemporaryDirectory() as scratch:
        measure(args.minutes, args.invented, args.figures, args.reader, args.sheet, Path(scratch))


if __name__ == "__main__":
    run(main)
