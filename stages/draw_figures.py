"""Poses within limits, and poses and drawings of the user's own -> stick figures and mannequins whose 11 joints are known.

reads   poses/                       pose files and motion (drawing/pose_files.py, drawing/bvh.py); may hold none
        own-figures/                 drawings with Label Studio exports of their joints (stages/own_figures.py); may hold none
        data/labels/poses.parquet    joints that people placed on these drawings in Label Studio
        data/labels/bad-figures.csv  those of them that people call bad pictures (id)
writes  data/figures/sticks/         store: gray, or each limb in its colour, as people draw them; then the user's own
        data/figures/mannequins/     store: thresholded and blurred projections of a posed 3D body, and line art of the same; then the user's own
        data/figures/rejected.csv    which of the user's own drawings are not in, and why
Figure n is drawn from (seed, n) and the pose files alone, so neither the number of processes nor the number of figures changes it.
The split of a figure is that of its pose, and says in which styles it may be drawn. That of an own drawing is its picture's: it stays when people
place the joints anew.
"""

import argparse
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawing.lift import lift
from drawing.mannequin import LOOKS, line_art, projection, render, sample_mannequin, visible
from drawing.mannequin import sample_body as sample_figure
from drawing.mannequin import sample_camera as sample_view
from drawing.pool import Asked, FilePose, FoundBodies, PosePool, apart, found_bodies, pose_id, pose_ids, read_poses, vary_flat
from drawing.poses import Camera, look, looks, place, sample_bodies, sample_camera
from drawing.stick import PALETTES, STYLES, draw_stick, draw_stick_rgb, sample_style, slide
from drawing.stick import visible as drawn
from genga.door import run
from genga.errors import ParamsError
from genga.params import DrawFigures, load_params
from genga.pictures import Limits
from genga.progress import progress
from genga.skeleton import OWN, J, box_of, to_vector
from genga.splits import split_of
from genga.store import StoreWriter, picture_id
from stages.own_figures import Own, as_gray, as_line_art, labeled_poses, opened, read_bad, read_own, read_placed, write_rejected
from stages.processes import in_order
from stages.threads import in_chunks

log = logging.getLogger(__name__)

Array = NDArray[Any]
About = dict[str, Any]
Figure = tuple[About, list[Array]]  # what the manifest says, and its pictures
Draw = Callable[[DrawFigures, Sequence[Asked]], list[Figure]]
Papers = Mapping[int, Callable[[Array, Array, int], tuple[Array, Array]]]  # by the size of a store's pictures: what makes them of an own drawing
BY_GENGA = "drawn by Genga"
TERMS = {"source": BY_GENGA, "licence": "CC0-1.0"}
STICK, MANNEQUIN, POSE = range(3)


def draw_figures(
    params: DrawFigures, poses_path: Path, own_path: Path, out_dir: Path, labels_path: Path | None = None, bad_path: Path | None = None
) -> None:
    check_styles(params.held_out_styles)
    check_palette(params.sticks.palette)
    partial_dir = out_dir.with_name(out_dir.name + ".partial")
    shutil.rmtree(partial_dir, ignore_errors=True)
    own = read_own(params.own, own_path, read_placed(labels_path) if labels_path else {}, read_bad(bad_path) if bad_path else set())
    poses = apart(read_poses(params.poses, poses_path, labeled_poses), lambda id_: split_of(id_, params.val, params.test) != "train")
    pool = PosePool(poses, params.poses.share)

    picked = picks(params, pool, STICK, params.sticks.count)
    asked = [pool.ask(idx, pick) for idx, pick in enumerate(picked)]
    papers: Papers = {params.sticks.size: as_line_art}
    write(params, partial_dir / "sticks", sticks, asked, own.sticks, papers, coloured=params.sticks.palette is not None)

    picked = picks(params, pool, MANNEQUIN, params.mannequins.count)
    bodies = lifted(params, pool, {pick[0] for pick in picked if pick})
    asked = [pool.ask_with_body(idx, pick, bodies) for idx, pick in enumerate(picked)]
    papers = {params.mannequins.size: as_gray, params.mannequins.line_art: as_line_art}
    write(params, partial_dir / "mannequins", mannequins, asked, own.figures, papers)

    write_rejected(partial_dir / "rejected.csv", own.rejected)
    shutil.rmtree(out_dir, ignore_errors=True)
    partial_dir.rename(out_dir)


def write(
    params: DrawFigures, store_dir: Path, draw: Draw, asked: Sequence[Asked], own: Sequence[Own], papers: Papers, *, coloured: bool = False
) -> None:
    own_chunks = ([own_figure(params, one, papers, coloured) for one in chunk] for chunk in in_chunks(own))
    with (
        StoreWriter(store_dir, {str(size): (size, size, 3) if coloured else (size, size) for size in papers}) as writer,
        progress(what=f"draw {store_dir.name}", total=len(asked) + len(own), unit="figures") as bar,
    ):
        for chunk in chain(chain.from_iterable(in_order(partial(draw, params), in_chunks(asked), chunk_size=1)), own_chunks):
            abouts, drawings = zip(*chunk, strict=True)
            rows = [{"id": picture_id(pictures[0]), **about} for about, pictures in zip(abouts, drawings, strict=True)]
            writer.append(rows, **{str(size): np.stack(pictures) for size, pictures in zip(papers, zip(*drawings, strict=True), strict=True)})
            bar.update(len(chunk))


# --- poses and styles


def picks(params: DrawFigures, pool: PosePool, number: int, count: int) -> list[tuple[int, bool] | None]:
    return [pool.pick(np.random.default_rng((params.seed, POSE, number, idx))) for idx in range(count)]


def lifted(params: DrawFigures, pool: PosePool, rows: set[int]) -> FoundBodies:
    """A body for each of these poses of the pool."""
    stacks = [stack for stack in pool.stacks() if not rows.isdisjoint(stack)]
    if not stacks:
        return {}
    joints = [np.stack([pool.poses[row].joints for row in stack]) for stack in stacks]
    found = chain.from_iterable(in_order(partial(lift, head_ratio=params.mannequins.head_ratio), joints, chunk_size=1))
    bodies: FoundBodies = {}
    num_good = 0
    for stack, part in zip(stacks, progress(found, what="find bodies for poses", total=len(stacks)), strict=True):
        bodies |= found_bodies(stack, part)
        num_good += int(part.good().sum())
    log.info("poses: mannequins can take %d of %d", num_good, sum(map(len, stacks)))
    return bodies


def check_styles(held_out: Sequence[str]) -> None:
    for pattern in held_out:
        if not any(fnmatchcase(name, pattern) for name in (*STYLES, *LOOKS)):
            raise ParamsError(
                f"held-out style {pattern!r} is none, expected names or patterns of {', '.join(STYLES)}, {', '.join(LOOKS)}; "
                "correct draw_figures.held_out_styles in params.yaml"
            )
    for names in (tuple(STYLES), LOOKS):
        if not styles_for("train", names, tuple(held_out)):
            raise ParamsError(
                f"every one of {', '.join(names)} is held out, expected some to train on; shorten draw_figures.held_out_styles in params.yaml"
            )


def check_palette(name: str | None) -> None:
    if name is not None and name not in PALETTES:
        raise ParamsError(
            f"palette {name!r} is none, expected null or one of {', '.join(PALETTES)}; correct draw_figures.sticks.palette in params.yaml"
        )


@cache
def styles_for(split: str, names: tuple[str, ...], held_out: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `names` in which figures of a split may be drawn."""
    held = tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in held_out))
    if not held:
        return names
    return held if split != "train" else tuple(name for name in names if name not in held)


def about_of(params: DrawFigures, asked: Asked, id_: str, kind: str) -> About:
    """What follows from the pose alone. `id_` and `kind`: those of a pose that comes from no file."""
    terms = TERMS
    if asked.pose is not None:
        id_, kind, terms = asked.pose.id, asked.pose.kind, {"source": f"{BY_GENGA}, poses: {asked.pose.source}", "licence": asked.pose.licence}
    return {"pose_id": id_, "split": split_of(id_, params.val, params.test), "kind": kind, **terms}


# --- figures


def spread(params: DrawFigures, pose: FilePose, rng: np.random.Generator) -> float:
    """In degrees, how far a figure strays from the pose that it takes: held-out poses stay as they are."""
    return float(rng.uniform(0, params.poses.vary)) if split_of(pose.id, params.val, params.test) == "train" else 0.0


def sticks(params: DrawFigures, asked: Sequence[Asked]) -> list[Figure]:
    rngs = [np.random.default_rng((params.seed, STICK, one.figure_idx)) for one in asked]
    poses, kinds = seen_poses(params, asked, rngs)
    return [stick(params, *figure) for figure in zip(asked, poses, pose_ids(poses), kinds, rngs, strict=True)]


def stick(params: DrawFigures, asked: Asked, seen: Array, id_: str, kind: str, rng: np.random.Generator) -> Figure:
    about = about_of(params, asked, id_, kind)
    if asked.pose is not None:
        seen = vary_flat(seen, spread(params, asked.pose, rng), rng)
    style = sample_style(styles_for(about["split"], tuple(STYLES), tuple(params.held_out_styles)), rng)
    (left, top), (right, bottom) = box_of(seen)
    head, (x, y) = style.head * max(right - left, bottom - top), seen[J["head"]].tolist()
    low, high = (min(left, x - head), min(top, y - head)), (max(right, x + head), max(bottom, y + head))
    placement = place(low, high, params.sticks.fill, rng)
    pose = slide(seen * placement.zoom + placement.shift, style, rng)
    palette = params.sticks.palette
    picture = draw_stick_rgb(pose, params.sticks.size, style, PALETTES[palette], rng) if palette else draw_stick(pose, params.sticks.size, style, rng)
    return {**about, "pose": to_vector(pose).tolist(), "style": style.name, "visible": drawn(pose, style)}, [picture]


def seen_poses(params: DrawFigures, asked: Sequence[Asked], rngs: Sequence[np.random.Generator]) -> tuple[Array, list[str]]:
    """The poses (N, 11, 2) as a camera sees them, anywhere and of any size, and their kinds."""
    invented = [rng for one, rng in zip(asked, rngs, strict=True) if one.pose is None]
    bodies, kinds = sample_bodies([float(rng.uniform(*params.sticks.head_ratio)) for rng in invented], invented)
    within_limits = zip(bodies.joints(), kinds, strict=True)
    taken = [next(within_limits) if one.pose is None else (one.pose.joints, one.pose.kind) for one in asked]
    solid = [row for row, (joints, _) in enumerate(taken) if joints.shape[-1] == 3]
    seen = np.stack([joints[:, :2] for joints, _ in taken])
    if solid:
        seen[solid] = looks([sample_camera(rngs[row]) for row in solid], np.stack([taken[row][0] for row in solid]))
    return seen, [kind for _, kind in taken]


def mannequins(params: DrawFigures, asked: Sequence[Asked]) -> list[Figure]:
    return [mannequin(params, one) for one in asked]


def mannequin(params: DrawFigures, asked: Asked) -> Figure:
    settings = params.mannequins
    rng = np.random.default_rng((params.seed, MANNEQUIN, asked.figure_idx))
    if asked.pose is None or asked.body is None:
        body, camera, kind = sample_figure(settings, rng)
    else:
        varied = asked.body.varied(spread(params, asked.pose, rng), rng)
        body, camera, kind = varied.body(0), varied.camera(0), asked.pose.kind
        if asked.pose.joints.shape[-1] == 3:  # a motion can be seen from anywhere
            around = sample_view(settings.camera, rng)
            camera = Camera.of(around.rotation() @ camera.rotation(), around.distance)
    joints = body.joints()
    about = about_of(params, asked, pose_id(look(camera, joints, joints.mean(axis=0)).xy), kind)
    figure = sample_mannequin(settings, styles_for(about["split"], LOOKS, tuple(params.held_out_styles)), rng, (body, camera, kind))
    buffers = render(figure, settings.size)
    about |= {"pose": to_vector(figure.pose).tolist(), "style": figure.look, "visible": visible(figure, buffers)}
    return about, [projection(figure, buffers, settings.threshold, settings.blur_sigma), line_art(figure, settings.line_art, buffers)]


def own_figure(params: DrawFigures, own: Own, papers: Papers, coloured: bool) -> Figure:
    terms = params.own
    picture, drawing = opened(own.path, Limits(terms.max_picture_bytes, terms.max_picture_pixels, terms.min_side))
    laid = [as_paper(drawing, own.placed.pose, size) for size, as_paper in papers.items()]
    pose = laid[0][1]
    split = split_of(picture_id(picture), params.val, params.test)
    about = {"pose_id": pose_id(pose), "split": split, "kind": OWN, "source": terms.source, "licence": terms.licence}
    pictures = [np.dstack([paper] * 3) if coloured else paper for paper, _ in laid]
    return {**about, "pose": to_vector(pose).tolist(), "style": OWN, "visible": own.placed.visible}, pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("labels_path", "bad_path", "out_dir"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    params = load_params().draw_figures
    draw_figures(params, Path(params.poses.path), Path(params.own.path), args.out_dir, args.labels_path, args.bad_path)


if __name__ == "__main__":
    run(main)
