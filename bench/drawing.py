"""Promises, on one core: stick figures of 300 px >= 2,000/s; mannequins of 600 px, thresholded and blurred, >= 60/s, and their pictures drawn
>= 10 times as fast as another software renderer draws the same surfaces.

    python -m bench.drawing

The other renderers: pyrender, where it and a software OpenGL are installed; trimesh casting a ray through every pixel, where it and embreex
are; matplotlib's 3D axes. The better of the first two counts, and matplotlib where there is neither. A figure's time is from its random
numbers to its picture, a surface's from points and faces to the picture. Each is timed on the same figures, in alternating runs.
"""

import importlib
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.arguments import Parser
from drawing.mannequin import LOOKS, Mannequin, line_art, projection, render, sample_mannequin, visible
from drawing.pool import Asked
from genga.door import run
from genga.params import load_params
from stages.draw_figures import sticks
from stages.threads import CHUNK

Gray = NDArray[np.uint8]
STICK_SIZE, SIZE, ROUNDS = 300, 600, 7
STICKS, MANNEQUINS, SURFACES = 5 * CHUNK, 24, 8
PROMISED = {"sticks": 2000, "mannequins": 60, "ratio": 10}
SOLIDS = "mpl_toolkits.mplot3d.art3d"
FIGURES = load_params().draw_figures
LARGE_STICKS = FIGURES.model_copy(update={"sticks": FIGURES.sticks.model_copy(update={"size": STICK_SIZE})})
PARAMS = FIGURES.mannequins


def draw_sticks() -> None:
    """As the stage draws them: poses, styles, pictures, and what the manifest says of each."""
    for start in range(0, STICKS, CHUNK):
        sticks(LARGE_STICKS, [Asked(number, None, None) for number in range(start, start + CHUNK)])


def figure(number: int) -> Mannequin:
    return sample_mannequin(PARAMS, LOOKS, np.random.default_rng(number))


def finished(gray: Gray) -> Gray:
    """A shaded picture as the projections are: black and white, then blurred."""
    hard = np.where(gray < PARAMS.threshold, 0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(hard, (0, 0), PARAMS.blur_sigma), np.uint8)


def shades(mannequin: Mannequin) -> NDArray[np.uint8]:
    """(F, 4, 4) RGBA at the corners of each face."""
    gray = mannequin.albedo[mannequin.tone][:, None] * (0.3 + 0.7 * mannequin.lit[mannequin.faces].clip(0))
    rgba: NDArray[np.uint8] = np.concatenate([np.repeat(255 * gray.clip(0, 1)[..., None], 3, axis=2), np.full((*gray.shape, 1), 255)], axis=2).astype(
        np.uint8
    )
    return rgba


def triangles(mannequin: Mannequin) -> NDArray[np.intp]:
    return np.concatenate([mannequin.faces[:, [0, 1, 3]], mannequin.faces[:, 1:]])


def by_genga(mannequin: Mannequin) -> Gray:
    return projection(mannequin, render(mannequin, SIZE), PARAMS.threshold, PARAMS.blur_sigma)


def by_matplotlib() -> Callable[[Mannequin], Gray]:
    agg, figures, solids = (importlib.import_module(name) for name in ("matplotlib.backends.backend_agg", "matplotlib.figure", SOLIDS))

    def draw(mannequin: Mannequin) -> Gray:
        canvas = agg.FigureCanvasAgg(figures.Figure((SIZE / 100, SIZE / 100), dpi=100))
        axes = canvas.figure.add_axes((0, 0, 1, 1), projection="3d", proj_type="ortho")
        axes.set(xlim=(0, 1), ylim=(-0.5, 0.5), zlim=(0, 1))
        axes.set_box_aspect((1, 1, 1), zoom=1.79)  # the cube fills the picture
        axes.set_axis_off()
        axes.view_init(elev=0, azim=-90)
        corners = mannequin.points[mannequin.faces][..., [0, 2, 1]] * (1, 1, -1) + (0, 0, 1)
        axes.add_collection3d(solids.Poly3DCollection(corners, facecolors=shades(mannequin).mean(axis=1) / 255, edgecolors="none"))
        canvas.draw()
        return finished(np.asarray(canvas.buffer_rgba())[..., 0])

    return draw


def by_pyrender() -> Callable[[Mannequin], Gray]:
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    vars(np)["infty"] = np.inf  # as numpy 1 called it, and as it is asked for
    pyrender, trimesh = importlib.import_module("pyrender"), importlib.import_module("trimesh")
    renderer = pyrender.OffscreenRenderer(SIZE, SIZE)
    camera, back = pyrender.OrthographicCamera(0.5, 0.5, znear=0.1, zfar=10), np.eye(4)
    back[:3, 3] = 0.5, -0.5, 3

    def draw(mannequin: Mannequin) -> Gray:
        tone = np.zeros(len(mannequin.points), np.intp)
        tone[mannequin.faces] = mannequin.tone[:, None]
        gray = (255 * mannequin.albedo.clip(0, 1)[tone]).astype(np.uint8)
        surface = trimesh.Trimesh(mannequin.points * (1, -1, -1), triangles(mannequin), process=False, vertex_colors=np.stack([gray] * 3, axis=1))
        scene = pyrender.Scene(bg_color=(1.0, 1.0, 1.0, 1.0), ambient_light=(0.3, 0.3, 0.3))
        scene.add(pyrender.Mesh.from_trimesh(surface))
        scene.add(pyrender.DirectionalLight(intensity=2), pose=back)
        scene.add(camera, pose=back)
        return finished(renderer.render(scene)[0][..., 0])

    return draw


def by_trimesh() -> Callable[[Mannequin], Gray]:
    trimesh, rays = importlib.import_module("trimesh"), importlib.import_module("trimesh.ray.ray_pyembree")
    y, x = np.mgrid[:SIZE, :SIZE].reshape(2, -1) / SIZE + 0.5 / SIZE
    eyes, ways = np.column_stack([x, y, np.full_like(x, -9)]), np.tile([0.0, 0, 1], (SIZE * SIZE, 1))

    def draw(mannequin: Mannequin) -> Gray:
        surface = trimesh.Trimesh(mannequin.points, triangles(mannequin), process=False)
        hit = rays.RayMeshIntersector(surface).intersects_first(eyes, ways)
        shade = shades(mannequin).mean(axis=1)[:, 0]
        return finished(np.concatenate([shade, shade, [255]])[hit].reshape(SIZE, SIZE))

    return draw


def others() -> dict[str, Callable[[Mannequin], Gray]]:
    found = {}
    for name, make in {"pyrender": by_pyrender, "trimesh": by_trimesh, "matplotlib": by_matplotlib}.items():
        try:
            found[name] = make()
        except Exception as error:  # not installed, or no OpenGL without a screen: each says it in its own way
            print(f"drawing: without {name} ({type(error).__name__})")
    return found


def per_second(work: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def main() -> None:
    Parser(__doc__).parse_args()
    cv2.setNumThreads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    surfaces = [figure(number) for number in range(SURFACES)]
    drawers = {"genga": by_genga, **others()}
    works: dict[str, tuple[Callable[[], Any], int]] = {
        "sticks": (draw_sticks, STICKS),
        "mannequins": (lambda: [by_genga(figure(number)) for number in range(MANNEQUINS)], MANNEQUINS),
        "both pictures": (lambda: [both_pictures(figure(number)) for number in range(MANNEQUINS)], MANNEQUINS),
    }
    works |= {name: (lambda draw=draw: [draw(surface) for surface in surfaces], SURFACES) for name, draw in drawers.items()}  # type: ignore[misc]
    for work, _ in works.values():
        work()
    speeds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, (work, count) in works.items():
            speeds[name].append(per_second(work, count))
    middle = {name: median(values) for name, values in speeds.items()}
    best = max(drawers.keys() & {"pyrender", "trimesh"} or {"matplotlib"}, key=lambda name: middle[name])
    of_promised = {name: f"{middle[name] / PROMISED[name]:.2f} of the promised {PROMISED[name]}" for name in ("sticks", "mannequins")}
    print(f"drawing: sticks {STICK_SIZE} px: {middle['sticks']:.0f}/s per core, {of_promised['sticks']}")
    print(
        f"drawing: mannequins {SIZE} px: {middle['mannequins']:.0f}/s per core, {of_promised['mannequins']}; "
        f"with line art of {PARAMS.line_art} px and the joints' flags: {middle['both pictures']:.0f}/s"
    )
    print(
        f"drawing: {SIZE} px pictures of ready surfaces: {middle['genga']:.0f}/s; "
        + ", ".join(f"{name} {middle[name]:.1f}/s" for name in drawers if name != "genga")
        + f": {middle['genga'] / middle[best]:.1f} times {best} (promised >= {PROMISED['ratio']}); median of {ROUNDS} alternating runs"
    )


def both_pictures(mannequin: Mannequin) -> tuple[Gray, Gray, list[bool]]:
    buffers = render(mannequin, SIZE)
    picture = projection(mannequin, buffers, PARAMS.threshold, PARAMS.blur_sigma)
    return picture, line_art(mannequin, PARAMS.line_art, buffers), visible(mannequin, buffers)


if __name__ == "__main__":
    run(main)
