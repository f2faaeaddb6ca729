"""Promise: at least 97 % of all drawings are told right, stick figure or figure. Fits the weights that stand in serve/reading.py.

    python -m bench.drawing_kinds [count]       default: 2000 of each

Stick figures in all styles, mannequins in all looks as projections and as line art, at the sizes that params.yaml names; poses from joint limits.
Now: by the weights that stand there, of drawings from FRESH on, to which none were fitted. Fitted: of the drawings from 0 on each half is told by
weights that were fitted to the other; the weights that are printed were fitted to both.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from bench.arguments import Parser, at_least
from drawing.mannequin import LOOKS, line_art, projection, render, sample_mannequin
from drawing.poses import look, place, sample_bodies, sample_camera
from drawing.stick import STYLES, draw_stick, sample_style, slide
from genga.door import run
from genga.params import load_params
from models.ink import read_ink
from serve.reading import KIND_BIAS, KIND_WEIGHTS, shape_of

STICK_SIZES = (128, 300, 600)
FRESH = 1_000_000


def stick(number: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng((1, number))
    joints = sample_bodies([float(rng.uniform(4.5, 7.5))], [rng])[0].joints()[0]
    seen = look(sample_camera(rng), joints, joints.mean(axis=0)).xy
    style = sample_style(tuple(STYLES), rng)
    placement = place(seen.min(axis=0), seen.max(axis=0), (0.5, 0.85), rng)
    pose = slide(seen * placement.zoom + placement.shift, style, rng)
    return draw_stick(pose, STICK_SIZES[number % len(STICK_SIZES)], style, rng)


def figure(number: int) -> NDArray[np.uint8]:
    params, rng = load_params().draw_figures.mannequins, np.random.default_rng((2, number))
    mannequin = sample_mannequin(params, LOOKS, rng)
    buffers = render(mannequin, params.size)
    return projection(mannequin, buffers, params.threshold, params.blur_sigma) if number % 2 else line_art(mannequin, params.line_art, buffers)


def shapes_from(first: int, count: int) -> NDArray[np.float64]:
    """Of so many stick figures, then of as many figures."""
    return np.array([shape_of(read_ink(draw(number))) for draw in (stick, figure) for number in range(first, first + count)])


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("count", nargs="?", type=at_least(2), default=2000)
    count = parser.parse_args().count
    shapes = shapes_from(0, count)
    figures = np.repeat([False, True], count)
    rule = LogisticRegression(C=100, max_iter=5000)
    for name, told in (
        ("now", shapes_from(FRESH, count) @ KIND_WEIGHTS + KIND_BIAS > 0),
        ("fitted", cross_val_predict(rule, shapes, figures, cv=2)),
    ):
        right = [float((told == figures)[kind == figures].mean()) for kind in (False, True)]
        print(f"drawing kinds: {name}: told right {right[0]:.1%} of {count} stick figures, {right[1]:.1%} of as many figures (promised 97 %)")
    rule.fit(shapes, figures)
    print("KIND_WEIGHTS, KIND_BIAS =", tuple(round(float(weight), 2) for weight in rule.coef_[0]), ",", round(float(rule.intercept_[0]), 2))


if __name__ == "__main__":
    run(main)
