"""Stick figures as people draw them: with pencils, pens, brushes, chalk or a mouse, on clean paper, in notebooks, scanned, photographed on a desk.

A style family of `STYLES` says between which bounds a hand, its pen and its paper vary; `sample_style` draws one figure's look from it.
Whoever draws data calls, in this order:
    style = sample_style(names, rng)         the look, and which strokes are missing
    pose = slide(pose, style, rng)           now and then the figure leaves the picture; else the pose as it was
    picture = draw_stick(pose, size, style, rng)
    flags = visible(pose, style)             which of the 11 joints the drawing shows
The head's radius is at most `style.head` x the longer side of the pose's box; a hand's circle goes a little beyond it, seldom by
more than a fifth.
Everything is drawn as polygons in OpenCV's fixed-point coordinates: exact places and widths without drawing it larger first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from drawing.pen import ARCS, NARROWEST, SUBPIXEL_BITS, begin_and_end, circle_lines, drawn_parts, in_one_swing, outlines, stroke_lines
from genga.skeleton import STICKS, J, box_of

Array = NDArray[Any]
Picture = NDArray[np.uint8]
Range = tuple[float, float]
Colour = tuple[int, int, int]

HEAD = len(STICKS)  # the circle, counted after the sticks
SPINE = STICKS.index((J["neck"], J["hip"]))
ENDING = [HEAD, SPINE, *(next(stick for stick, (_, end) in enumerate(STICKS) if end == joint) for joint in range(2, len(J)))]  # at each joint
# where strokes begin and end: the joints, then these, see drawing/pen.py
RIM, SHOULDERS, L_TOES, R_TOES = range(len(J), len(J) + 4)
BONES = np.array([(RIM, J["neck"]), *((SHOULDERS, b) if a == J["neck"] and b != J["hip"] else (a, b) for a, b in STICKS[1:])])
FEET = np.array([(J["l_ankle"], L_TOES), (J["r_ankle"], R_TOES)])
SHANKS = tuple(STICKS.index((J[f"{side}_knee"], J[f"{side}_ankle"])) for side in "lr")
BENDS = np.array([(J[a], J[f"{s}_{bend}"], J[f"{s}_{b}"]) for s in "lr" for a, bend, b in (("neck", "elbow", "wrist"), ("hip", "knee", "ankle"))])
ANKLES, NO_FEET = np.array([J["l_ankle"], J["r_ankle"]]), np.zeros((2, 2))
TOES_REACH, TOES_BEGIN = np.array([2, 0.6]), np.array([1, 0.2])
EDGES = ((1, True), (1, True), (0, False), (0, True), (1, False))  # axis, and whether the far edge: figures are cut off below most often
CORNERS = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
LIGHT = np.linspace(-1, 1, 17)
NUM_WAVES = 3
OUTWARD = np.array([-1, 1])
FINE = 256  # smaller pictures are drawn larger by a whole number and shrunk
PARTIAL = 0.05  # chance that strokes are missing; the same again that the figure is cut off at the picture's edge
TILE = 640  # side of a piece of noise, of which pictures get any part
NOISE_STEP, NUM_NOISES = 4, 7
GRAIN_LEVELS = (1.5, 1.1, 0.8, 0.5, 0.3)  # how many standard deviations the paper's tooth rises above the ink


@dataclass(frozen=True)
class StickStyle:
    """One figure's look. Lengths are shares of the picture's side unless said otherwise; tones are grays, 0 = black."""

    name: str
    # the hand
    width: float
    taper: float  # 0: even strokes, 1: they end in points
    wobble: float  # slow waves across a stroke
    tremor: float  # shakes at every step
    rounding: float  # elbows and knees in one swing: how far beyond them its lines would meet, as a share of the bend
    overshoot: float  # where strokes meet they go on beyond the joint by up to this share of their length; below 0 they stop short
    stray: float  # how far the ends of strokes miss their joints
    breaks: float  # chance of a gap in a stroke
    passes: float  # how often each stroke is drawn; rounded
    shoulders: float  # where the arms leave the spine, as a share of it; below 0: at the neck
    # the head, and what some people add
    head: float  # radius as a share of the longer side of the pose's box, at most
    oval: float  # length over width
    closing: float  # how far the circle's end passes its beginning, in turns; below 0 it stays open
    filled: bool
    feet: float  # length in head radii; below 0: none
    dots: float  # radius of dots on the joints in head radii; below 0: none
    # the pen
    ink: float
    tones: float  # how much the tone differs from stroke to stroke
    grain: float  # 0: even, 1: rough like crayon
    # the paper
    paper: float
    noise: float
    shade: float  # how uneven the light is
    ruled: bool
    squared: bool
    desk: bool  # the sheet lies on a table
    dark: bool  # light strokes on a dark ground
    blurred: bool
    # what is not drawn: sticks, or HEAD; and the share of the figure that lies beyond the picture's edge
    missing: tuple[int, ...]
    cut: float

    @property
    def on_even_paper(self) -> bool:
        return not (self.grain or self.desk or self.ruled or self.squared or self.shade)


# What a steady hand with a good pen does. The families below say where they differ.
# fmt: off
STEADY: dict[str, Range] = {
    "width": (0.009, 0.02), "taper": (0, 0.15), "wobble": (0, 0.008), "tremor": (0, 0.0006), "rounding": (0, 0.12), "overshoot": (-0.02, 0.04),
    "stray": (0, 0.004), "breaks": (0, 0), "passes": (1, 1), "shoulders": (-0.04, 0.1),
    "head": (0.05, 0.115), "oval": (0.95, 1.25), "closing": (-0.03, 0.06), "feet": (-2.5, 1), "dots": (-1.7, 0.3),
    "ink": (0, 70), "tones": (0, 0), "grain": (0, 0), "paper": (244, 255), "noise": (0, 0), "shade": (0, 0),
}
CHANCES = {"filled": 0.2, "ruled": 0.0, "squared": 0.0, "desk": 0.0, "dark": 0.0, "blurred": 0.1}
STYLES: dict[str, dict[str, Any]] = {
    "thin-open": {"width": (0.005, 0.011), "filled": 0.0},
    "bold-filled": {"width": (0.02, 0.036), "filled": 0.85, "ink": (0, 40)},
    "pencil": {"width": (0.006, 0.014), "ink": (60, 130), "tones": (10, 35), "grain": (0.3, 0.8), "taper": (0, 0.5), "noise": (0, 8),
               "paper": (225, 252)},
    "sketchy": {"width": (0.004, 0.009), "ink": (30, 120), "tones": (10, 60), "grain": (0, 0.5), "passes": (1.6, 3.4), "wobble": (0.004, 0.014),
                "stray": (0.003, 0.012), "overshoot": (-0.05, 0.18), "taper": (0.1, 0.8), "closing": (0, 0.4), "filled": 0.0},
    "broken": {"breaks": (0.3, 0.9), "overshoot": (-0.14, 0), "stray": (0, 0.008), "closing": (-0.25, 0), "width": (0.007, 0.022)},
    "overshoot": {"overshoot": (0.08, 0.3), "stray": (0, 0.008), "width": (0.006, 0.018), "taper": (0, 0.6), "closing": (0, 0.3)},
    "marker": {"width": (0.028, 0.055), "wobble": (0, 0.012), "ink": (0, 60), "tones": (0, 12), "rounding": (0, 0.2), "closing": (0, 0.1),
               "filled": 0.15},
    "brush": {"width": (0.016, 0.042), "taper": (0.6, 0.95), "wobble": (0.003, 0.013), "ink": (0, 45), "rounding": (0, 0.2), "grain": (0, 0.25),
              "overshoot": (0, 0.1)},
    "ballpoint": {"width": (0.004, 0.008), "ink": (40, 110), "passes": (1, 2.2), "ruled": 0.4, "squared": 0.3, "paper": (228, 252), "noise": (0, 6),
                  "tones": (0, 20), "closing": (0, 0.3)},
    "chalk": {"dark": 1.0, "width": (0.01, 0.028), "grain": (0.2, 0.9), "ink": (0, 60), "paper": (190, 250), "noise": (2, 14), "shade": (0, 0.3),
              "tones": (0, 25)},
    "light-on-dark": {"dark": 1.0, "width": (0.005, 0.025), "ink": (0, 40), "paper": (215, 255)},
    "photo-desk": {"width": (0.005, 0.022), "desk": 0.6, "shade": (0.2, 0.6), "paper": (170, 240), "noise": (3, 14), "ink": (20, 90), "blurred": 0.7,
                   "ruled": 0.12, "squared": 0.08, "tones": (0, 20)},
    "notebook": {"ruled": 0.65, "squared": 0.35, "width": (0.007, 0.018), "ink": (10, 100), "paper": (225, 252), "noise": (0, 8), "shade": (0, 0.2),
                 "grain": (0, 0.4)},
    "scan": {"paper": (205, 248), "noise": (6, 26), "shade": (0, 0.15), "ink": (20, 110), "grain": (0, 0.5), "width": (0.005, 0.018), "blurred": 0.6},
    "mouse": {"tremor": (0.001, 0.004), "wobble": (0.006, 0.02), "stray": (0.002, 0.01), "rounding": (0, 0.2), "overshoot": (-0.06, 0.08),
              "closing": (-0.12, 0.12), "oval": (0.85, 1.3), "paper": (255, 255), "ink": (0, 10), "width": (0.006, 0.02)},
    "crayon": {"width": (0.018, 0.04), "grain": (0.5, 1), "ink": (0, 90), "tones": (0, 60), "wobble": (0.003, 0.014), "paper": (230, 255)},
    "coloured": {"ink": (0, 130), "tones": (40, 110), "dots": (-0.3, 0.35), "width": (0.008, 0.028), "paper": (255, 255)},
}
# fmt: on
BOUNDS = {name: np.array([own.get(field, usual) for field, usual in STEADY.items()]).T for name, own in STYLES.items()}
ODDS = {name: np.array([own.get(field, usual) for field, usual in CHANCES.items()]) for name, own in STYLES.items()}
# strokes that people leave out or that are rubbed out: a forearm, a whole arm, a shank, a whole leg, the head, both shanks
LEFT_OUT = (*((outer,) for outer in (3, 4, 8, 9)), (1, 3), (2, 4), (6, 8), (7, 9), (HEAD,), (HEAD, 0), (8, 9), (6, 7, 8, 9))
MIDDLE, LEFT, RIGHT = (90, 90, 90), (40, 90, 220), (220, 60, 40)
# one colour for each stick, then the head's
PALETTES: dict[str, tuple[Colour, ...]] = {
    "sides": (MIDDLE, LEFT, RIGHT, LEFT, RIGHT, MIDDLE, LEFT, RIGHT, LEFT, RIGHT, MIDDLE),
    "limbs": ((0, 0, 255), (85, 200, 0), (255, 85, 0), (0, 200, 60), (240, 170, 0), (255, 0, 0), (0, 190, 190), (0, 120, 255), (80, 0, 255),
              (170, 0, 255), (255, 0, 170)),
    "blue pen": ((25, 45, 150),) * 11,
    "red pen": ((200, 30, 40),) * 11,
    "green pen": ((20, 120, 60),) * 11,
}  # fmt: skip


def sample_style(names: Sequence[str], rng: np.random.Generator) -> StickStyle:
    """A look out of one of these families of STYLES, each as likely as the others."""
    draws = rng.random(3 + len(STEADY) + len(CHANCES))
    which, partial, share = draws[:3].tolist()
    name = names[int(which * len(names))]
    low, high = BOUNDS[name]
    look: dict[str, Any] = dict(zip(STEADY, (low + draws[3 : -len(CHANCES)] * (high - low)).tolist(), strict=True))
    look.update(zip(CHANCES, (draws[-len(CHANCES) :] < ODDS[name]).tolist(), strict=True))
    missing = LEFT_OUT[int(share * len(LEFT_OUT))] if partial < PARTIAL else ()
    cut = 0.08 + 0.25 * share if PARTIAL <= partial < 2 * PARTIAL else 0.0
    return StickStyle(name, **look, missing=missing, cut=cut)


def slide(pose: Array, style: StickStyle, rng: np.random.Generator) -> Array:
    """The pose (11, 2), moved so that a share `style.cut` of its box lies beyond one edge of the picture; most styles cut nothing."""
    if style.cut == 0:
        return pose
    axis, far = EDGES[int(rng.integers(len(EDGES)))]
    low, high = float(pose[:, axis].min()), float(pose[:, axis].max())
    moved = pose.copy()
    moved[:, axis] += 1 + style.cut * (high - low) - high if far else -style.cut * (high - low) - low
    return moved


def visible(pose: Array, style: StickStyle) -> list[bool]:
    """(11,): joints within the picture at which at least one stroke was drawn; the head where its circle was."""
    flags: list[bool] = (((pose >= 0) & (pose <= 1)).all(axis=1) & _shown(style.missing)).tolist()
    return flags


@cache
def _shown(missing: tuple[int, ...]) -> Array:
    """(11,)"""
    shown = np.zeros(len(J), bool)
    shown[[joint for stick, ends in enumerate(STICKS) if stick not in missing for joint in ends]] = True
    shown[J["head"]] = HEAD not in missing
    return shown


def head_radius(pose: Array, style: StickStyle) -> float:
    """Half the head's width: at most `style.head` x the longer side of the pose's box, less where the neck would lie inside."""
    (left, top), (right, bottom) = box_of(pose)
    largest = style.head * max(right - left, bottom - top)
    return min(largest, max(0.9 * math.dist(pose[J["head"]], pose[J["neck"]]), 0.5 * largest)) / max(style.oval, 1)


def draw_stick(pose: Array, size: int, style: StickStyle, rng: np.random.Generator) -> Picture:
    """A pose (11, 2) in [0, 1] -> gray (size, size). The rng moves the hand; the same state draws the same picture."""
    return _drawn(pose, size, style, rng, None)


def draw_stick_rgb(pose: Array, size: int, style: StickStyle, palette: Sequence[Colour], rng: np.random.Generator) -> Picture:
    """The same in colour, RGB (size, size, 3): one of PALETTES, that is a colour for each stick and one for the head. On a dark ground the
    colours are lighter, halfway to white."""
    inks = np.array(palette)
    return _drawn(pose, size, style, rng, (255 - inks) / 2 if style.dark else inks)  # dark grounds are drawn white and turned over


def _drawn(pose: Array, size: int, style: StickStyle, rng: np.random.Generator, palette: Array | None) -> Picture:
    side = size * -(-FINE // size)
    white = int(style.paper) if style.on_even_paper else 255  # even paper needs no picture of its own
    picture = np.full((side, side) if palette is None else (side, side, 3), white, np.uint8)
    _draw_strokes(picture, white, pose, style, rng, palette)
    if style.grain > 0:
        cv2.add(
            picture, _like(picture, _piece(_tooth(side)[min(int(style.grain * len(GRAIN_LEVELS)), len(GRAIN_LEVELS) - 1)], side, rng)), dst=picture
        )
    if not style.on_even_paper:
        cv2.multiply(_like(picture, _paper(pose, side, style, rng)), picture, dst=picture, scale=1 / 255)
    if style.noise > 0:
        cv2.subtract(picture, _like(picture, _piece(_noise(side)[min(int(style.noise / NOISE_STEP), NUM_NOISES - 1)], side, rng)), dst=picture)
    if style.dark:
        cv2.bitwise_not(picture, dst=picture)
    if style.blurred:
        cv2.GaussianBlur(picture, (3, 3), 0, dst=picture)
    return picture if side == size else np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _like(picture: Picture, gray: Picture) -> Picture:
    return gray if picture.ndim == 2 else np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)


# --- strokes


def _draw_strokes(ink: Picture, white: int, pose: Array, style: StickStyle, rng: np.random.Generator, palette: Array | None) -> None:
    side, radius = len(ink), head_radius(pose, style)
    paths, parts = _stick_paths(pose, radius, style, rng)
    circles = 0
    if HEAD not in style.missing:
        circle = _circle(pose, radius, style, rng)
        circles = len(circle)
        paths = np.concatenate([paths, circle])
    polygons = outlines(paths, style.width, style.taper, rng.random(len(paths)), side)
    # a tip finer than the finest polygon leaves paler ink
    strength = min(1.0, style.width * side / NARROWEST)
    tones = (style.ink + style.tones * (2 * rng.random(len(paths)) - 1)).clip(0, 200)
    inks = tones if palette is None else palette[parts + [HEAD] * circles]
    colours = (white - strength * white / 255 * (255 - inks)).tolist()
    if style.filled and circles:
        cv2.fillPoly(ink, [_fixed_point(circle[:ARCS].reshape(-1, 2), side)], colours[-1], cv2.LINE_AA, SUBPIXEL_BITS)
    # pale strokes do not cover dark ones
    for path_idx in np.argsort(-tones).tolist() if style.tones else range(len(paths)):
        cv2.fillPoly(ink, [polygons[path_idx]], colours[path_idx], cv2.LINE_AA, SUBPIXEL_BITS)
    if style.dots > 0:
        dot = round(style.dots * radius * side * 2**SUBPIXEL_BITS)
        places = _fixed_point(pose, side).tolist()
        dot_of = colours if palette is None else (white - strength * white / 255 * (255 - palette[ENDING])).tolist()
        for joint, shown in enumerate(visible(pose, style)):
            if shown and joint != J["head"]:
                cv2.circle(ink, places[joint], dot, dot_of[joint % len(dot_of)], -1, cv2.LINE_AA, SUBPIXEL_BITS)


def _stick_paths(pose: Array, radius: float, style: StickStyle, rng: np.random.Generator) -> tuple[Array, list[int]]:
    """Strokes as polylines (N, STEPS, 2), and the stick that each draws; feet count as their shanks."""
    rim = 0.0 if style.filled or HEAD in style.missing else radius * max(style.oval, 1)
    feet = style.feet * radius * (TOES_REACH * rng.random((2, 2)) - TOES_BEGIN) if style.feet > 0 else NO_FEET
    anchors = begin_and_end(pose, J["head"], J["neck"], J["hip"], rim, max(style.shoulders, 0.0), ANKLES, feet)
    sticks, bones, free = _strokes(style.missing, style.feet > 0, round(style.passes))
    count = len(sticks)

    misses = style.stray * rng.standard_normal((count, 2, 2))
    waves = style.wobble * rng.standard_normal((count, NUM_WAVES))
    spans = drawn_parts(free, style.overshoot, rng.random((count, 2)))
    # who puts dots on the joints draws through them
    meeting = in_one_swing(anchors, style.rounding, BENDS) if style.rounding > 0 and style.dots <= 0 else anchors
    if style.breaks > 0 and (broken := [stroke for stroke, draw in enumerate(rng.random(count)) if draw < style.breaks]):
        again = [*range(count), *broken]
        lengths = np.maximum(np.linalg.norm(np.diff(meeting[bones[broken]], axis=1)[:, 0], axis=1, keepdims=True), 1e-9)
        bare = rng.uniform(0.01, 0.04, (len(broken), 1)) + style.width / (2 * lengths)  # between the round ends
        gaps = rng.uniform(0.25, 0.75, (len(broken), 1)) + bare.clip(max=0.2) * OUTWARD
        bones, misses, waves, spans, sticks = bones[again], misses[again], waves[again], spans[again], [sticks[stroke] for stroke in again]
        spans[broken, 1], spans[count:, 0] = gaps[:, 0], gaps[:, 1]

    paths = stroke_lines(anchors, meeting, bones, misses, waves, spans)
    if style.tremor > 0:
        paths += style.tremor * rng.normal(size=paths.shape)
    return paths, sticks


@cache
def _strokes(missing: tuple[int, ...], shod: bool, passes: int) -> tuple[list[int], Array, Array]:
    """Which stick each of N strokes draws; where they begin and end (N, 2); and which of these ends are free, those of a hand or a foot: there the
    joint is where the stroke ends."""
    sticks = [stick for stick in range(len(STICKS)) if stick not in missing]
    feet = [foot for foot, shank in enumerate(SHANKS) if shod and shank in sticks]
    bones = np.concatenate([BONES[sticks], FEET[feet]])
    free = (np.bincount(bones.ravel())[bones] == 1) & (bones < len(J))
    return (sticks + [SHANKS[foot] for foot in feet]) * passes, np.tile(bones, (passes, 1)), np.tile(free, (passes, 1))


def _circle(pose: Array, radius: float, style: StickStyle, rng: np.random.Generator) -> Array:
    """The head, once for each pass, as ARCS strokes (ARCS * passes, STEPS, 2)."""
    x, y = (pose[J["head"]] - pose[J["neck"]]).tolist()
    length = max(math.hypot(x, y), 1e-9)
    begin, way, *_ = rng.random(2).tolist()
    turns = math.copysign(1 + style.closing, way - 0.5)
    # a hand's circle is a little square or pear-shaped, its end does not meet its beginning, and it lies a little aside
    hand = 5 * style.wobble * rng.standard_normal((round(style.passes), 6))
    return circle_lines(pose[J["head"]], (x / length, y / length), radius, style.oval, begin, turns, hand)


def _fixed_point(points: Array, side: int) -> NDArray[np.int32]:
    """[0, 1] -> OpenCV's fixed-point coordinates, whose whole numbers are pixel centres."""
    fixed: NDArray[np.int32] = np.round((points * side - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)
    return fixed


# --- paper


def _paper(pose: Array, side: int, style: StickStyle, rng: np.random.Generator) -> Picture:
    tone = int(style.paper)
    corners = _sheet(pose, style, rng)
    if style.desk:
        sheet: Picture = _piece(_desk(side), side, rng) + np.uint8(rng.integers(0, 50))
        outline = _fixed_point(corners, side)
        cv2.polylines(sheet, [outline], True, int(rng.integers(20, 90)), max(1, side // 150), cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.fillConvexPoly(sheet, outline, tone, cv2.LINE_AA, SUBPIXEL_BITS)
    else:
        sheet = np.full((side, side), tone, np.uint8)
    if style.ruled or style.squared:
        _rule(sheet, corners, style, rng)
    if style.shade > 0:
        sheet = np.asarray(cv2.multiply(sheet, cv2.resize(_light(style.shade, rng), (side, side)), scale=1 / 255), np.uint8)
    return sheet


def _sheet(pose: Array, style: StickStyle, rng: np.random.Generator) -> Array:
    """Corners (4, 2) of the sheet, clockwise: around the picture, or around the figure where it lies on a table."""
    if not style.desk:
        tilt = 0.02 * rng.normal()
        return np.array([[0, -tilt], [1, tilt], [1, 1 + tilt], [0, 1 - tilt]])
    reach = 0.03 + head_radius(pose, style) * max(style.oval, 1)
    box = np.stack([pose.min(axis=0) - reach, pose.max(axis=0) + reach])
    corners: Array = box[CORNERS, (0, 1)] + rng.exponential(0.08, (4, 2)) * (2 * CORNERS - 1)
    return corners


def _rule(sheet: Picture, corners: Array, style: StickStyle, rng: np.random.Generator) -> None:
    offset, spacing = rng.random(2) * (1, 0.04) + (0, 0.035)
    pale = int(style.paper) - int(rng.integers(15, 75))
    at = np.arange(offset * spacing, 1, spacing)[:, None]
    a, b, c, d = corners
    for begins, ends in ((a + at * (d - a), b + at * (c - b)), (a + at * (b - a), d + at * (c - d)))[: 1 + style.squared]:
        lines = _fixed_point(np.concatenate([begins, ends], axis=1).reshape(-1, 2, 2), len(sheet))
        cv2.polylines(sheet, list(lines), False, pale, 1, cv2.LINE_AA, SUBPIXEL_BITS)


def _light(shade: float, rng: np.random.Generator) -> Picture:
    """(17, 17): brighter on one side; half of the time a shadow falls in."""
    slope, shade_of_hand = ((x * LIGHT + y * LIGHT[:, None]) / (abs(x) + abs(y)) for x, y in rng.normal(size=(2, 2)))
    dusk = shade * (0.5 + 0.5 * slope + 0.02 * rng.normal(size=slope.shape))
    where, softness = rng.uniform(-0.4, 2, 2)
    if where < 0.8:
        dusk += 0.6 * shade * ((shade_of_hand - where) * (5 - 2 * softness)).clip(0, 1)
    light: Picture = (255 * (1 - dusk.clip(0, 0.75))).astype(np.uint8)
    return light


def _piece(tile: Picture, side: int, rng: np.random.Generator) -> Picture:
    x, y = rng.integers(0, len(tile) - side + 1, 2)
    return tile[y : y + side, x : x + side]


def _tiled(field: Array, side: int) -> Picture:
    """As much of it, clipped to [0, 255], as pictures of this side are cut from."""
    times = -(-(side + TILE // 4) // TILE)
    return np.tile(field.clip(0, 255).astype(np.uint8), (times, times))


@cache
def _tooth(side: int) -> list[Picture]:
    """Where the paper stays bare under a rough pen, for each of GRAIN_LEVELS."""
    fine, coarse = (cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(TILE, TILE)), (0, 0), sigma) for seed, sigma in ((1, 0.8), (2, 1.6)))
    rough = fine / fine.std() + 0.7 * coarse / coarse.std()
    return [_tiled(130 * (rough - level), side) for level in GRAIN_LEVELS]


@cache
def _noise(side: int) -> list[Picture]:
    """What noise takes off the paper's tone, with specks of dust, for NUM_NOISES levels NOISE_STEP apart."""
    rng = np.random.default_rng(3)
    fine, cloudy = rng.normal(size=(TILE, TILE)), cv2.GaussianBlur(rng.normal(size=(TILE, TILE)), (0, 0), 2.0)
    field = (fine + 0.6 * cloudy / cloudy.std()) / 1.2
    x, y = rng.integers(0, TILE - 2, (2, TILE * TILE // 6000))
    dust = np.zeros((TILE, TILE))
    for dx, dy in ((0, 0), (1, 0), (0, 1)):
        dust[y + dy, x + dx] = rng.uniform(0, 130, len(x))
    return [_tiled(NOISE_STEP * level * (0.7 + 0.6 * field) + dust * min(1, level / 3), side) for level in range(1, NUM_NOISES + 1)]


@cache
def _desk(side: int) -> Picture:
    """A dark table with a grain."""
    grain = cv2.GaussianBlur(np.random.default_rng(4).normal(size=(TILE, TILE)), (0, 0), sigmaX=25, sigmaY=1.2)
    return _tiled(70 + 12 * grain / grain.std(), side)
