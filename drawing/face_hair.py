"""Hair in layers: behind the body, in front of the shoulders, and over the forehead.

Styles are tables of numbers: where the hair behind ends, how wide it stands, how the locks beside the face fall. What is seen of the
front are locks that overlap: their roots melt into one cap, their tips are lined and shaded.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from drawing.face_ink import Array, Layer, Lock, Tones, arc, bend, brush, lock, mix, spline, xy
from drawing.face_look import Look

CAP_CENTER = np.array([0.0, -0.3])
FRONT_DEPTH, BACK_DEPTH = 0.24, -0.3
LINE = 0.024
TIP_LEAN = {"tuck": -0.1, "flip": 0.14, "straight": 0.0, "wave": 0.05}
SIDE_CURL = {"tuck": -0.16, "flip": 0.16, "straight": -0.03, "wave": 0.06}
Ends = Literal["tuck", "straight", "flip", "wave"]
Tails = Literal["none", "twin", "low", "side", "braids"]


@dataclass(frozen=True)
class Style:
    """`bottom`: where the hair behind ends; `flare`: half its width there; `side`: where the locks beside the face end."""

    length: str
    bottom: tuple[float, float]
    flare: tuple[float, float]
    side: tuple[float, float]
    ends: Ends
    tails: Tails = "none"


STYLES = (
    Style("short", (0.5, 0.62), (0.86, 0.96), (0.25, 0.5), "tuck"),
    Style("short", (0.42, 0.6), (0.98, 1.1), (0.2, 0.45), "flip"),
    Style("short", (0.58, 0.72), (0.98, 1.06), (0.5, 0.68), "tuck"),
    Style("medium", (1.12, 1.24), (1.14, 1.24), (0.85, 1.05), "tuck"),
    Style("medium", (1.12, 1.26), (1.2, 1.34), (0.7, 1.0), "flip"),
    Style("medium", (1.12, 1.26), (1.18, 1.3), (0.8, 1.05), "wave"),
    Style("long", (3.0, 3.2), (1.35, 1.6), (2.6, 2.9), "straight"),
    Style("long", (3.0, 3.2), (1.45, 1.7), (2.6, 2.9), "wave"),
    Style("long", (3.0, 3.2), (1.35, 1.55), (0.85, 1.15), "straight"),
    Style("long", (0.6, 0.8), (0.9, 1.0), (0.8, 1.1), "tuck", "twin"),
    Style("long", (0.8, 1.0), (0.85, 1.0), (0.75, 1.0), "straight", "low"),
    Style("long", (0.7, 0.85), (0.9, 1.0), (0.7, 1.0), "tuck", "side"),
    Style("long", (0.6, 0.8), (0.85, 0.95), (0.7, 0.9), "tuck", "braids"),
)


@dataclass(frozen=True)
class Hair:
    """One head of hair: its style and the numbers that every layer of it shares."""

    style: Style
    tones: Tones
    light: int
    top: float
    puff: float
    bottom: float
    flare: float
    side: float
    part: float
    tail_side: int
    tousled: bool


def random_hair(look: Look, rng: np.random.Generator) -> Hair:
    styles = [style for style in STYLES if style.length == look.labels["hair_length"]]
    style = styles[rng.integers(len(styles))]
    return Hair(
        style=style,
        tones=look.hair,
        light=look.light,
        top=rng.uniform(1.13, 1.24),
        puff=rng.uniform(1.12, 1.22),
        bottom=rng.uniform(*style.bottom),
        flare=rng.uniform(*style.flare),
        side=rng.uniform(*style.side),
        part=rng.uniform(-0.4, 0.4),
        tail_side=int(rng.choice([-1, 1])),
        tousled=style.ends in ("flip", "wave") and bool(rng.random() < 0.6),
    )


def _behind(tones: Tones) -> Tones:
    """Hair at the back lies in the shadow of the head."""
    return tones._replace(base=mix(tones.base, tones.shade, 0.8), shade=mix(tones.shade, tones.deep, 0.55), light=mix(tones.base, tones.light, 0.15))


def _paint_lock(layer: Layer, piece: Lock, tones: Tones, light: int, depth: float, root: float = 0.0) -> None:
    """`root`: the share of its length that has no line, where it melts into the hair above."""
    layer.fill(piece.outline, tones.base, depth)
    shadow, shine = ((0.66, 1.0), (0.14, 0.3)) if light < 0 else ((0.0, 0.34), (0.7, 0.86))
    layer.fill(piece.band(*shadow, min(root, 0.3)), tones.shade, depth)
    layer.fill(piece.band(*shine, max(root, 0.2), 0.7), mix(tones.base, tones.light, 0.35), depth)
    first = round(root * len(piece.left))
    for edge in piece:
        layer.stroke(edge[first:], tones.line, LINE * 1.3, depth, start=0.0 if root else 0.7, end=0.7)


# --- behind the body


def draw_back(layer: Layer, hair: Hair, rng: np.random.Generator) -> None:
    tones = _behind(hair.tones)
    if hair.style.tails not in ("none", "braids"):
        _draw_tails(layer, hair, tones, rng)
    _draw_curtain(layer, hair, tones, rng)


def _draw_curtain(layer: Layer, hair: Hair, tones: Tones, rng: np.random.Generator) -> None:
    """One shape over the head and down both sides, with tufts along its lower edge."""
    crown = arc(CAP_CENTER, (hair.puff, hair.top - 0.03), 180, 360)
    tips = _tufts(hair, rng)
    right = _flank(hair, 1, rng)
    left = _flank(hair, -1, rng)[::-1]
    outline = np.concatenate([crown, right, tips, left])
    depth = np.interp(outline[:, 1], [CAP_CENTER[1], CAP_CENTER[1] + 0.5], [FRONT_DEPTH, BACK_DEPTH])
    layer.fill(outline, tones.base, depth)
    layer.line(outline, tones.line, LINE, depth, closed=True)
    for x in np.linspace(-0.9, 0.9, 9) + rng.uniform(-0.06, 0.06, 9):
        foot = np.array([x * hair.flare, min(hair.bottom, 2.4) - rng.uniform(0.05, 0.3)])
        strand = bend((x * hair.puff, -0.2), (x * hair.puff * 1.04, foot[1] * 0.5), foot, 12)
        layer.stroke(strand, tones.shade, rng.uniform(0.05, 0.16), BACK_DEPTH)
        layer.stroke(strand + xy(0.05, 0.02), tones.line, 0.02, BACK_DEPTH)


def _flank(hair: Hair, side: int, rng: np.random.Generator) -> Array:
    """The outer edge from beside the eye down to the tips."""
    start, end = CAP_CENTER[1], hair.bottom - 0.12
    t = np.linspace(0, 1, 7)[1:]
    x = hair.puff + (hair.flare - hair.puff) * t**0.8 + 0.05 * np.sin(np.pi * t)
    if hair.style.ends == "wave":
        x = x + 0.07 * np.sin(t * (end - start) * 4.2 + rng.uniform(0, 6)) * t
    if hair.style.ends == "tuck":
        x = x + 0.07 * np.sin(np.pi * t**1.5) - 0.06 * t**4
    if hair.style.ends == "flip":
        x = x - 0.1 * np.sin(np.pi * t) + 0.14 * t**4
    points = np.stack([x * side, start + (end - start) * t], axis=1)
    return spline(np.concatenate([[(hair.puff * side, start)], points]))[1:]


def _tufts(hair: Hair, rng: np.random.Generator) -> Array:
    """The lower edge from right to left: pointed tufts that lean as the ends do."""
    lean = TIP_LEAN[hair.style.ends]
    xs = np.linspace(hair.flare, -hair.flare, 9)
    pieces = []
    for a, b in pairwise(xs):
        middle = (a + b) / 2
        tip = np.array([middle + lean * np.sign(middle), hair.bottom + rng.uniform(-0.02, 0.1)])
        gap = np.array([b, hair.bottom - rng.uniform(0.1, 0.2)])
        pieces += [bend((a, hair.bottom - 0.14), (a + 0.2 * (tip[0] - a), tip[1] - 0.05), tip, 6), bend(tip, (b, tip[1] - 0.05), gap, 6)]
    return np.concatenate(pieces)


def _draw_tails(layer: Layer, hair: Hair, tones: Tones, rng: np.random.Generator) -> None:
    sides = (hair.tail_side,) if hair.style.tails == "side" else (-1, 1)
    for side in sides:
        piece = _tail(hair, side, rng)
        _paint_lock(layer, piece, tones._replace(base=hair.tones.base, shade=hair.tones.shade), hair.light, BACK_DEPTH)
        for share in (0.25, 0.45, 0.6, 0.8):
            layer.stroke(piece.along(share)[3:-3], hair.tones.deep, rng.uniform(0.02, 0.035), BACK_DEPTH)


def _tail(hair: Hair, side: int, rng: np.random.Generator) -> Lock:
    swing = rng.uniform(-0.1, 0.1)
    if hair.style.tails == "low":
        spine = np.array([(0.75, 0.7), (1.12, 1.05), (1.25 + swing, 1.7), (1.1 + swing, 2.6), (1.0, 3.1)])
        widths = [0.3, 0.5, 0.62, 0.6, 0.3]
    else:
        spine = np.array([(0.85, -1.0), (1.34, -0.98), (1.54 + swing, -0.25), (1.42 + swing, 0.8), (1.48 + swing, 1.8), (1.3, 3.1)])
        widths = [0.2, 0.42, 0.5, 0.52, 0.45, 0.3]
    return lock(spine * (side, 1), widths)


# --- before the shoulders


def draw_sides(layer: Layer, hair: Hair, rng: np.random.Generator) -> None:
    """The locks that frame the face; long ones and braids fall over the shoulders."""
    for side in (-1, 1):
        if hair.style.tails == "braids":
            _draw_braid(layer, hair, side)
        for spine, width in _side_spines(hair, rng):
            shares = np.interp(np.linspace(0, 1, len(spine)), [0, 0.3, 0.7, 1], [0.8, 1.0, 0.8, 0.0])
            _paint_lock(layer, lock(np.array(spine) * (side, 1), width * shares), hair.tones, hair.light, FRONT_DEPTH, root=0.25)


def _draw_braid(layer: Layer, hair: Hair, side: int) -> None:
    """Strands laid over each other from both sides, from the nape down."""
    path = spline(np.array([(0.98, 0.5), (1.06, 0.9), (1.04, 1.4), (0.94, 2.0), (0.9, 2.6)]) * (side, 1))
    for knot_idx, center in enumerate(path[:: len(path) // 12]):
        way = 1 if knot_idx % 2 else -1
        strand = lock(center + np.array([(0.15 * way, -0.13), (0.09 * way, 0.06), (-0.08 * way, 0.2)]), [0.16, 0.26, 0.06])
        _paint_lock(layer, strand, hair.tones, hair.light, 0.0)


def _side_spines(hair: Hair, rng: np.random.Generator) -> list[tuple[list[tuple[float, float]], float]]:
    """Outer locks first: each (spine on the right side, width)."""
    end = hair.side + rng.uniform(-0.06, 0.06)
    curl = SIDE_CURL[hair.style.ends]
    inner_end = min(end, 1.1)
    inner = [(0.86, -0.75), (0.98, -0.3), (0.96, inner_end * 0.3), (0.86 + curl * 0.3, inner_end * 0.8)]
    if end < 1.2:
        outer = [(0.88, -0.8), (1.03, -0.3), (1.1, end * 0.4), (1.02 + curl, end)]
        outermost = [(0.9, -0.8), (1.06, -0.4), (1.17, end * 0.25), (1.2 + curl, end * 0.75)]
        return [(outermost, 0.24), (outer, 0.36), (inner, 0.24)]
    wave = 0.09 if hair.style.ends == "wave" else 0.0
    outer = [(0.88, -0.8), (1.04, -0.3), (1.08, 0.3), (1.04 + wave, 0.9), (1.08 - wave, 1.5), (1.04 + wave, 2.2), (1.0, end)]
    second = [(0.95, -0.75), (1.06, -0.2), (1.0, 0.4), (0.93 - wave, 1.0), (0.9 + wave, 1.6), (0.84, 2.1)]
    return [(outer, 0.36), (second, 0.26), (inner, 0.2)]


# --- over the forehead


def draw_front(layer: Layer, hair: Hair, look: Look, rng: np.random.Generator) -> None:
    crown = arc(CAP_CENTER, (hair.puff, hair.top), 184, 356, 30)
    draw_bangs = _draw_open_forehead
    if look.labels["bangs"]:
        draw_bangs = (_draw_spiky, _draw_swept, _draw_parted, _draw_blunt)[rng.integers(4)]
    root = np.array([hair.part * 0.5, CAP_CENTER[1] - hair.top + 0.1])
    if hair.tousled:
        _draw_tousle(layer, hair, rng)
    draw_bangs(layer, hair, crown, root, rng)
    _draw_shine(layer, hair, rng, 0.6 if look.labels["bangs"] else 0.78)
    layer.stroke(crown, hair.tones.line, LINE * 1.4, FRONT_DEPTH, start=0.3, end=0.3)
    if rng.random() < 0.35:
        _draw_ahoge(layer, hair, root, rng)


def _draw_tousle(layer: Layer, hair: Hair, rng: np.random.Generator) -> None:
    """Tips that stand out from the outline of the head."""
    for degrees in np.linspace(-80, 80, 7) + rng.uniform(-9, 9, 7):
        way = 1 if degrees > 0 else -1
        start, middle, end = np.radians(degrees + np.array([-20, 0, 16]) * way)
        reach = ((start, 0.9), (middle, 1.01), (end, rng.uniform(1.08, 1.2)))
        spine = np.array([CAP_CENTER + xy(np.sin(angle) * hair.puff, -np.cos(angle) * hair.top) * share for angle, share in reach])
        _paint_lock(layer, lock(spine, [0.3, 0.15, 0.0]), hair.tones, hair.light, FRONT_DEPTH, root=0.4)


def _draw_cap(layer: Layer, hair: Hair, crown: Array, hairline: Array) -> None:
    layer.fill(np.concatenate([crown, hairline]), hair.tones.base, FRONT_DEPTH)


HAIRLINE = spline([(1.0, -0.3), (0.8, -0.55), (0.4, -0.66), (0, -0.7), (-0.4, -0.66), (-0.8, -0.55), (-1.0, -0.3)])


def _bang(layer: Layer, hair: Hair, root: Array, tip: Array, width: float, sweep: float = 0.0) -> None:
    """One pointed lock from near the crown down to `tip`, bulging outwards over the forehead; `sweep` bends its end."""
    x = tip[0] - sweep
    over_brow = xy(1.02 * x, -0.5 + 0.25 * tip[1] + 0.12 * x * x)
    spine = np.array([root + xy(0.3 * x, 0.08 + 0.1 * x * x), xy(0.85 * x, -0.95 + 0.3 * x * x), over_brow, tip])
    _paint_lock(layer, lock(spine, [0.5 * width, width, 0.8 * width, 0.0]), hair.tones, hair.light, FRONT_DEPTH, root=0.5)


def _draw_locks(layer: Layer, hair: Hair, root: Array, tips: Array, widths: Array, sweeps: Array) -> None:
    """From the temples to the middle, so that the middle lies on top."""
    for tip_idx in np.argsort(-np.abs(tips[:, 0])):
        _bang(layer, hair, root, tips[tip_idx], widths[tip_idx], sweeps[tip_idx])


def _draw_spiky(layer: Layer, hair: Hair, crown: Array, root: Array, rng: np.random.Generator) -> None:
    _draw_cap(layer, hair, crown, HAIRLINE)
    xs = np.array([-0.88, -0.58, -0.3, 0.0, 0.3, 0.58, 0.88]) + rng.uniform(-0.06, 0.06, 7)
    ys = np.array([0.26, -0.06, -0.12, 0.02, -0.12, -0.06, 0.26]) + rng.uniform(-0.08, 0.08, 7)
    _draw_locks(layer, hair, root, np.stack([xs, ys], axis=1), rng.uniform(0.34, 0.48, 7), 0.14 * rng.choice([-1, 1]) + rng.uniform(-0.08, 0.08, 7))


def _draw_swept(layer: Layer, hair: Hair, crown: Array, root: Array, rng: np.random.Generator) -> None:
    """From a parting at one side over to the other."""
    _draw_cap(layer, hair, crown, HAIRLINE)
    way = rng.choice([-1, 1])
    xs = np.array([-0.82, -0.46, -0.1, 0.26, 0.6, 0.92]) + rng.uniform(-0.05, 0.05, 6)
    ys = np.array([0.15, -0.22, -0.14, -0.08, 0.0, 0.3]) + rng.uniform(-0.06, 0.06, 6)
    sweeps = np.array([-0.1, 0.24, 0.34, 0.38, 0.34, 0.1])
    _draw_locks(layer, hair, np.array([-0.35 * way, root[1]]), np.stack([xs * way, ys], axis=1), rng.uniform(0.38, 0.5, 6), sweeps * way)


def _draw_parted(layer: Layer, hair: Hair, crown: Array, root: Array, rng: np.random.Generator) -> None:
    """To both sides from the middle, often with one lock between the eyes."""
    _draw_cap(layer, hair, crown, HAIRLINE)
    xs = np.array([-0.92, -0.66, -0.36, 0.36, 0.66, 0.92]) + rng.uniform(-0.05, 0.05, 6)
    ys = np.array([0.36, 0.06, -0.1, -0.1, 0.06, 0.36]) + rng.uniform(-0.06, 0.06, 6)
    _draw_locks(layer, hair, root, np.stack([xs, ys], axis=1), rng.uniform(0.4, 0.5, 6), 0.2 * np.sign(xs))
    _bang(layer, hair, root, np.array([rng.uniform(-0.12, 0.12), rng.uniform(-0.1, 0.12)]), rng.uniform(0.3, 0.42), rng.uniform(-0.1, 0.1))


def _draw_blunt(layer: Layer, hair: Hair, crown: Array, root: Array, rng: np.random.Generator) -> None:
    """Cut straight above the eyes, with a few thin gaps."""
    knots = np.linspace(1.02, -1.02, 9) + np.pad(rng.uniform(-0.07, 0.07, 7), 1)
    low = rng.uniform(-0.24, -0.14)
    edge, gaps = [], []
    for a, b in pairwise(knots):
        feet = [np.array([x * 0.98, low + 0.16 * x * x + rng.uniform(-0.02, 0.03)]) for x in (a, b)]
        gap = np.array([b, feet[1][1] - rng.uniform(0.06, 0.3)])
        edge += [bend(feet[0], (feet[0] + feet[1]) / 2 + (0, 0.06), feet[1] + (0.03, 0), 6), gap[None]]
        gaps.append(gap)
    outline = np.concatenate([[(1.08, -0.3)], *edge[:-1], [(-1.08, -0.3)]])
    _draw_cap(layer, hair, crown, outline)
    for gap in gaps[:-1]:
        _draw_strand(layer, hair, gap, root, rng)
    layer.line(outline[1:-1], hair.tones.line, LINE, FRONT_DEPTH)


def _draw_open_forehead(layer: Layer, hair: Hair, crown: Array, root: Array, rng: np.random.Generator) -> None:
    """Combed back, or to both sides from a parting high up."""
    if rng.random() < 0.35:
        _draw_combed_back(layer, hair, crown, root, rng)
        return
    part = np.array([hair.part, -1.03])
    edge = np.concatenate([bend((1.05, 0.1), (0.85, -0.72), part, 16), bend(part, (-0.85, -0.72), (-1.05, 0.1), 16)])
    _draw_cap(layer, hair, crown, edge)
    top = np.array([hair.part * 0.7, root[1]])
    for side in (-1, 1):
        for reach, width in ((0.62, 0.36), (0.34, 0.3), (0.12, 0.22)):
            tip = np.array([1.0 * side, reach + rng.uniform(-0.08, 0.08)])
            middle = np.array([0.5 * part[0] + side * (0.56 + 0.1 * reach), -0.8 + 0.1 * reach])
            spine = np.array([top + xy(0.06 * side, 0.04), middle, xy(0.98 * side, -0.3 + 0.2 * reach), tip])
            _paint_lock(layer, lock(spine, [0.1, width, width * 0.8, 0]), hair.tones, hair.light, FRONT_DEPTH, root=0.4)
    layer.stroke(np.array([top, (top + part) / 2, part]), hair.tones.line, 0.035, FRONT_DEPTH, end=0.8)


def _draw_combed_back(layer: Layer, hair: Hair, crown: Array, root: Array, rng: np.random.Generator) -> None:
    line = spline([(1.06, 0.1), (0.95, -0.3), (0.78, -0.68), (0.42, -0.93), (0, -1.0), (-0.42, -0.93), (-0.78, -0.68), (-0.95, -0.3), (-1.06, 0.1)])
    _draw_cap(layer, hair, crown, line)
    for x in (-0.8, -0.55, -0.28, 0.02, 0.2, 0.5, 0.74):
        foot = np.array([x + rng.uniform(-0.05, 0.05), 0])
        foot[1] = np.interp(foot[0], line[::-1, 0], line[::-1, 1]) + 0.01
        strand = bend(foot, foot * (1.1, 1.0) - (0, 0.18), root + xy(0.75 * x, 0.12 + 0.2 * x * x), 10)
        layer.stroke(strand + xy(0.03 * hair.light, 0), hair.tones.shade, 0.1, FRONT_DEPTH, start=0.3)
        layer.stroke(strand[: rng.integers(6, 10)], hair.tones.line, LINE, FRONT_DEPTH, start=0.5)
    layer.stroke(line, mix(hair.tones.line, hair.tones.shade, 0.4), LINE, FRONT_DEPTH, start=0.4, end=0.4)


def _draw_strand(layer: Layer, hair: Hair, gap: Array, root: Array, rng: np.random.Generator) -> None:
    """A line from between two locks up towards the crown, with its shadow."""
    end = gap + (root - gap) * rng.uniform(0.4, 0.8)
    line = bend(gap, (gap[0] * 1.06, (gap[1] + end[1]) / 2 - 0.05), end, 10)
    layer.fill(brush(line - (0.03 * hair.light, 0), rng.uniform(0.06, 0.12), start=0.6), hair.tones.shade, FRONT_DEPTH)
    layer.stroke(line, hair.tones.line, LINE, FRONT_DEPTH, start=1.0)


def _draw_shine(layer: Layer, hair: Hair, rng: np.random.Generator, share: float) -> None:
    """The ring of light around the head, broken by strands; `share` of the way up."""
    height = CAP_CENTER[1] - hair.top * (share + rng.uniform(-0.04, 0.04))
    xs = np.linspace(-0.8, 0.8, 13) + rng.uniform(-0.04, 0.04, 13)
    for a, b in pairwise(xs):
        up, down = rng.uniform(0.02, 0.16), rng.uniform(0.05, 0.7 - 0.75 * share)
        if rng.random() < 0.8 and abs((a + b) / 2 - 0.15 * hair.light) < 0.7:
            layer.fill(_glint(a - 0.01, b + 0.01, height, up, down), mix(hair.tones.base, hair.tones.light, 0.85), FRONT_DEPTH)


def _glint(a: float, b: float, height: float, up: float, down: float) -> Array:
    """One piece of the ring between two x: rounded above, pointed below, leaning as the hair falls there."""
    middle = (a + b) / 2
    left, right = xy(a, height + 0.34 * middle**2 + 0.3 * (a - middle) * middle), xy(b, height + 0.34 * middle**2 + 0.3 * (b - middle) * middle)
    center = (left + right) / 2
    peak, foot = center + xy(-0.4 * middle * up, -up), center + xy(0.4 * middle * down, down)
    inward = 0.3 * (right - left) - xy(0, 0.02)
    return np.concatenate([bend(left, peak, right, 5), bend(right, center + inward, foot, 4), bend(foot, center - inward, left, 4)])


def _draw_ahoge(layer: Layer, hair: Hair, root: Array, rng: np.random.Generator) -> None:
    side = rng.choice([-1, 1])
    spine = root + np.array([(0, 0.0), (0.04 * side, -0.16), (0.18 * side, -0.24), (0.36 * side, -0.16)]) * rng.uniform(0.8, 1.2)
    _paint_lock(layer, lock(spine, [0.09, 0.1, 0.07, 0.0]), hair.tones, hair.light, FRONT_DEPTH)
