"""Nothing -> stick figures and mannequins whose 11 joints are known exactly.

writes  data/figures/sticks/       store: gray, dark ink on white paper
        data/figures/mannequins/   store: thresholded and blurred projections of a posed 3D body, and line art of the same
Figure n is drawn from (seed, n) alone, so neither the number of processes nor the number of figures changes it.
"""

import argparse
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawing.mannequin import line_art, projection, render, sample_mannequin, visible
from drawing.poses import look, place, sample_body, sample_camera
from drawing.stick import draw_stick, sample_style
from genga.door import run
from genga.params import DrawFigures, Mannequins, Sticks, load_params
from genga.progress import progress
from genga.skeleton import J, reference_length, to_vector
from genga.splits import split_of
from genga.store import StoreWriter, picture_id
from stages.processes import in_order

Array = NDArray[Any]
Figure = tuple[dict[str, Any], list[Array]]  # what the manifest says, and its pictures
TERMS = {"source": "drawn by Genga", "licence": "CC0-1.0"}
STICK, MANNEQUIN = range(2)


def draw_figures(params: DrawFigures, out_dir: Path) -> None:
    partial_dir = out_dir.with_name(out_dir.name + ".partial")
    shutil.rmtree(partial_dir, ignore_errors=True)
    sticks, mannequins = params.sticks, params.mannequins
    write(params, partial_dir / "sticks", partial(stick, sticks, params.seed), sticks.count, (sticks.size,))
    sizes = (mannequins.size, mannequins.line_art)
    write(params, partial_dir / "mannequins", partial(mannequin, mannequins, params.seed), mannequins.count, sizes)
    shutil.rmtree(out_dir, ignore_errors=True)
    partial_dir.rename(out_dir)


def write(params: DrawFigures, store_dir: Path, draw: Callable[[int], Figure], count: int, sizes: Sequence[int]) -> None:
    with (
        StoreWriter(store_dir, {str(size): (size, size) for size in sizes}) as writer,
        progress(what=f"draw {store_dir.name}", total=count, unit="figures") as bar,
    ):
        for chunk in in_order(draw, range(count)):
            abouts, drawings = zip(*chunk, strict=True)
            ids = [picture_id(drawing[0]) for drawing in drawings]
            rows = [{"id": id_, **TERMS, "split": split_of(id_, params.val, params.test), **about} for id_, about in zip(ids, abouts, strict=True)]
            writer.append(rows, **{str(size): np.stack(pictures) for size, pictures in zip(sizes, zip(*drawings, strict=True), strict=True)})
            bar.update(len(chunk))


def stick(params: Sticks, seed: int, figure_idx: int) -> Figure:
    rng = np.random.default_rng((seed, STICK, figure_idx))
    body, kind = sample_body(float(rng.uniform(*params.head_ratio)), rng)
    joints = body.joints()
    seen = look(sample_camera(rng), joints, joints.mean(axis=0)).xy
    style = sample_style(rng)
    head = style.head * float(reference_length(seen, "bbox"))
    low, high = (edge(np.vstack([seen, seen[J["head"]] + reach]), axis=0) for edge, reach in ((np.min, -head), (np.max, head)))
    placement = place(low, high, params.fill, rng)
    pose = seen * placement.zoom + placement.shift
    return {"pose": to_vector(pose).tolist(), "kind": kind, "style": style.name}, [draw_stick(pose, params.size, style, rng)]


def mannequin(params: Mannequins, seed: int, figure_idx: int) -> Figure:
    figure = sample_mannequin(params.head_ratio, params.fill, np.random.default_rng((seed, MANNEQUIN, figure_idx)))
    buffers = render(figure, params.size)
    about = {"pose": to_vector(figure.pose).tolist(), "kind": figure.kind, "style": "mannequin", "visible": visible(figure, buffers)}
    return about, [projection(figure, buffers, params.threshold, params.blur_sigma), line_art(figure, params.line_art)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out_dir", type=Path)
    args = parser.parse_args()
    draw_figures(load_params().draw_figures, args.out_dir)


if __name__ == "__main__":
    run(main)
