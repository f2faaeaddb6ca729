"""What surrounds the face: backgrounds, neck and clothes, hair ornaments."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from drawing.face_hair import CAP_CENTER, Hair
from drawing.face_ink import (
    FRACTION_BITS,
    WHITE,
    Array,
    Color,
    Layer,
    Tones,
    arc,
    bend,
    brush,
    fixed_point,
    from_hsv,
    mix,
    paint,
    spline,
    times,
    turn,
    xy,
)
from drawing.face_look import Look, accent

ORNAMENT_DEPTH = 0.3
GOLD: Color = (255, 224, 112)
LINEN = Tones((250, 250, 252), (214, 216, 234), (190, 190, 214), WHITE, (96, 88, 122))


# --- backgrounds


def draw_background(size: int, rng: np.random.Generator) -> Array:
    """float32 (size, size, 3)."""
    kind = rng.choice(["plain", "fade", "glow", "bokeh", "stripes", "dots", "sky"])
    a, b = _background_colors(rng)
    if kind == "sky":
        a, b = from_hsv(rng.uniform(0.53, 0.6), rng.uniform(0.4, 0.65), 0.95), (235, 246, 255)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    if kind == "plain":
        return _field(0 * x, mix(a, WHITE, rng.choice([0.0, 0.5, 1.0])), b)
    if kind == "glow":
        return _field(np.hypot(x - rng.uniform(0.3, 0.7), y - rng.uniform(0.2, 0.7)) * 1.4, mix(b, WHITE, 0.3), a)
    angle = rng.uniform(-0.8, 0.8)
    picture = _field(y * np.cos(angle) + x * np.sin(angle), a, b)
    if kind in PATTERNS:
        PATTERNS[kind](picture, WHITE if kind == "sky" else mix(b, WHITE, 0.5), rng)
    return picture


def _background_colors(rng: np.random.Generator) -> tuple[Color, Color]:
    """Mostly pastel, now and then an evening."""
    hue, saturation, value = rng.random(), rng.uniform(0.04, 0.42), 1.0
    if rng.random() < 0.12:
        hue, saturation, value = rng.uniform(0.58, 0.85), rng.uniform(0.3, 0.5), 0.55
    a = from_hsv(hue, saturation, rng.uniform(0.82, 1.0) * value)
    return a, from_hsv(hue + rng.uniform(-0.15, 0.15), saturation * rng.uniform(0.1, 0.8), rng.uniform(0.92, 1.0) * value)


def _field(share: Array, a: Color, b: Color) -> Array:
    start, end = np.array(a, np.float32), np.array(b, np.float32)
    picture: Array = start + share.clip(0, 1)[..., None] * (end - start)
    return picture.astype(np.float32)


def _paint_spots(picture: Array, spots: list[tuple[Array, float, float]], color: Color) -> None:
    """Each spot: center and radius as shares of the side, and how much it covers."""
    size = len(picture)
    mask = np.zeros((size, size), np.uint8)
    for center, radius, cover in spots:
        x, y = fixed_point(center * size)
        cv2.circle(mask, (int(x), int(y)), round(radius * size * 2**FRACTION_BITS), round(255 * cover), -1, cv2.LINE_AA, FRACTION_BITS)
    paint(picture, color, mask.astype(np.float32) / 255)


def _bokeh(picture: Array, color: Color, rng: np.random.Generator) -> None:
    _paint_spots(picture, [(rng.random(2), rng.uniform(0.03, 0.12), rng.uniform(0.25, 0.6)) for _ in range(9)], color)


def _dots(picture: Array, color: Color, rng: np.random.Generator) -> None:
    step = rng.uniform(0.14, 0.2)
    places = np.arange(0, 1.1 + step, step).tolist()
    centers = [xy(x - step / 2 * (row_idx % 2), y) for row_idx, y in enumerate(places) for x in places]
    _paint_spots(picture, [(center, step * 0.2, 0.75) for center in centers], color)


def _stripes(picture: Array, color: Color, rng: np.random.Generator) -> None:
    size = len(picture)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    wave = np.sin((x + y * rng.choice([-1, 1])) * rng.uniform(14, 26))
    paint(picture, color, (wave * size / 40 + 0.5).clip(0, 1).astype(np.float32) * 0.6)


def _clouds(picture: Array, color: Color, rng: np.random.Generator) -> None:
    spots = []
    for _ in range(3):
        center = xy(rng.uniform(-0.25, 0.25) % 1, rng.uniform(0.1, 0.7))
        spots += [(center + rng.uniform(-0.09, 0.09, 2) * (1.4, 0.5), rng.uniform(0.04, 0.08), 0.8) for _ in range(5)]
    _paint_spots(picture, spots, color)


PATTERNS: dict[str, Callable[[Array, Color, np.random.Generator], None]] = {"bokeh": _bokeh, "stripes": _stripes, "dots": _dots, "sky": _clouds}


# --- neck and clothes


def draw_neck(layer: Layer, look: Look) -> None:
    half = np.array([(0.23, 0.7), (0.22, 1.12), (0.3, 1.34), (0.72, 1.52), (1.3, 1.72), (1.45, 3.2)])
    outline = np.concatenate([spline(half), spline(half * (-1, 1))[::-1]])
    layer.fill(outline, look.skin.base)
    layer.line(outline, look.skin.line, 0.024)
    shadow = np.array([(-0.22, 0.7), (-0.22, 1.1), (-0.08 - 0.08 * look.light, 1.28), (0.1 - 0.08 * look.light, 1.25), (0.22, 1.08), (0.22, 0.7)])
    layer.fill(shadow, look.skin.shade)
    for side in (-1, 1):
        layer.stroke(bend((0.12 * side, 1.62), (0.4 * side, 1.66), (0.66 * side, 1.6)), look.skin.shade, 0.045)


def draw_clothes(layer: Layer, look: Look, rng: np.random.Generator) -> None:
    pale = from_hsv(rng.random(), rng.uniform(0.05, 0.3), rng.uniform(0.85, 1.0))
    navy = from_hsv(rng.uniform(0.55, 0.75), 0.45, rng.uniform(0.22, 0.4))
    cloth = (accent(rng), pale, navy)[rng.integers(3)]
    outfit = _Outfit(layer, _cloth_tones(cloth), accent(rng), look.skin)
    (outfit.sailor, outfit.shirt, outfit.turtleneck, outfit.dress, outfit.hoodie, outfit.kimono)[rng.integers(6)]()


def _cloth_tones(cloth: Color) -> Tones:
    shade, deep = mix(cloth, (40, 30, 80), 0.22), mix(cloth, (30, 20, 60), 0.45)
    return Tones(cloth, shade, deep, mix(cloth, WHITE, 0.5), mix(times(cloth, cloth), (30, 16, 40), 0.6))


@dataclass(frozen=True)
class _Outfit:
    """Clothes in one color of cloth and a second one for what adorns it."""

    layer: Layer
    cloth: Tones
    second: Color
    skin: Tones

    def body(self, neck: float, top: float, cloth: Tones) -> None:
        """The shoulders, with an opening `neck` wide on each side at height `top`."""
        half = np.array([(neck, top), (0.8, 1.48), (1.36, 1.64), (1.66, 2.0), (1.8, 3.2)])
        self.piece(np.concatenate([spline(half), spline(half * (-1, 1))[::-1]]), cloth)
        for side in (-1, 1):
            self.layer.stroke(bend((1.15 * side, 1.75), (1.0 * side, 2.0), (1.02 * side, 2.5)), cloth.shade, 0.1)

    def piece(self, outline: Array, cloth: Tones) -> None:
        self.layer.fill(outline, cloth.base)
        self.layer.line(outline, cloth.line, 0.03, closed=True)

    def sailor(self) -> None:
        self.body(0.5, 1.5, LINEN)
        for side in (-1, 1):
            collar = np.array([(0.34, 1.34), (0.62, 1.46), (1.12, 1.78), (0.98, 2.2), (0.5, 2.2), (0.05, 2.25), (0.02, 2.1)])
            self.piece(collar * (side, 1), self.cloth)
            self.layer.line(np.array([(0.6, 1.58), (0.98, 1.82), (0.86, 2.14)]) * (side, 1), WHITE, 0.035)
        _draw_bow(self.layer, xy(0, 2.0), 0.42, self.second)

    def shirt(self) -> None:
        self.body(0.4, 1.5, self.cloth)
        self.layer.fill(np.array([(-0.36, 1.36), (0.36, 1.36), (0.14, 2.3), (-0.14, 2.3)]), LINEN.base)
        for side in (-1, 1):
            self.piece(np.array([(0.26, 1.2), (0.4, 1.32), (0.56, 1.62), (0.3, 1.84), (0.0, 1.58)]) * (side, 1), LINEN)
        _draw_bow(self.layer, xy(0, 1.66), 0.36, self.second)

    def turtleneck(self) -> None:
        self.body(0.36, 1.48, self.cloth)
        self.piece(np.concatenate([bend((-0.34, 1.18), (0, 1.3), (0.34, 1.18)), bend((0.42, 1.56), (0, 1.72), (-0.42, 1.56))]), self.cloth)
        for x in (-0.2, -0.06, 0.08, 0.22):
            self.layer.stroke(np.array([(x, 1.28), (x * 1.1, 1.45), (x * 1.2, 1.6)]), self.cloth.shade, 0.035)

    def dress(self) -> None:
        """Bare shoulders, straps and a choker."""
        top = [bend((-1.2, 1.95), (-0.6, 1.98), (0, 2.05)), bend((0, 2.05), (0.6, 1.98), (1.2, 1.95)), np.array([(1.4, 3.2), (-1.4, 3.2)])]
        self.piece(np.concatenate(top), self.cloth)
        for side in (-1, 1):
            self.layer.line(np.array([(0.62, 1.57), (0.82, 1.98)]) * (side, 1), self.cloth.base, 0.09)
        choker = np.concatenate([bend((-0.28, 1.2), (0, 1.33), (0.28, 1.2)), bend((0.29, 1.3), (0, 1.44), (-0.29, 1.3))])
        self.layer.fill(choker, self.second)
        self.layer.fill(arc((0, 1.42), (0.06, 0.07), 0, 360, 12), GOLD)

    def hoodie(self) -> None:
        self.body(0.5, 1.44, self.cloth)
        half = np.array([(0, 1.95), (0.6, 1.82), (1.0, 1.55), (0.75, 1.28), (0.36, 1.3)])
        hood = np.concatenate([spline(half), spline(half * (-1, 1))[::-1]])
        self.layer.fill(hood, self.cloth.shade)
        self.layer.line(hood, self.cloth.line, 0.03, closed=True)
        self.layer.fill(np.concatenate([bend((-0.34, 1.32), (-0.3, 1.62), (0, 1.74)), bend((0, 1.74), (0.3, 1.62), (0.34, 1.32))]), self.skin.shade)
        for side in (-1, 1):
            cord = bend((0.2 * side, 1.74), (0.24 * side, 2.0), (0.2 * side, 2.3))
            self.layer.stroke(cord, mix(self.second, WHITE, 0.5), 0.06, start=1.0, end=1.0)

    def kimono(self) -> None:
        """Its right side goes under the left one."""
        self.body(0.55, 1.5, self.cloth)
        for side in (1, -1):
            band = np.array([(0.3, 1.34), (0.62, 1.46), (0.1, 2.5), (-0.35, 2.5)]) * (side, 1)
            self.layer.fill(band, mix(self.second, WHITE, 0.3))
            self.layer.line(band, self.cloth.line, 0.026, closed=True)
            self.layer.fill(np.array([(0.28, 1.34), (0.4, 1.38), (-0.1, 2.3), (-0.28, 2.3)]) * (side, 1), LINEN.base)


def _draw_bow(layer: Layer, center: Array, size: float, color: Color, depth: float = 0.0, angle: float = 0.0) -> None:
    line, shade = _outline_color(color), mix(color, (60, 10, 70), 0.28)
    loop = spline([(0.06, 0), (0.5, -0.46), (0.95, -0.5), (1.02, 0.0), (0.95, 0.46), (0.5, 0.36)], closed=True)
    ribbon = np.array([(0.0, 0.05), (0.22, 0.1), (0.62, 1.0), (0.36, 0.94), (0.24, 1.1)])
    crease = np.array([(0.12, -0.02), (0.62, -0.16), (0.55, 0.14)])
    for side in (-1, 1):
        for shape, tone in ((ribbon, shade), (loop, color)):
            points = turn(shape * (side, 1) * size, angle) + center
            layer.fill(points, tone, depth)
            layer.line(points, line, 0.024, depth, closed=True)
        layer.fill(turn(crease * (side, 1) * size, angle) + center, shade, depth)
    knot = arc(center, (0.2 * size, 0.24 * size), 0, 360, 16)
    layer.fill(knot, mix(color, WHITE, 0.15), depth)
    layer.line(knot, line, 0.024, depth, closed=True)


def _outline_color(color: Color) -> Color:
    return mix(times(color, color), (36, 14, 32), 0.5)


# --- hair ornaments


def draw_ornament(layer: Layer, hair: Hair, rng: np.random.Generator) -> None:
    color = _contrast(hair, rng)
    side = -hair.tail_side if hair.style.tails == "none" else hair.tail_side
    draw = (_draw_ribbon, _draw_flower, _draw_clips, _draw_star, _draw_hairband)[rng.choice(5, p=[0.32, 0.22, 0.16, 0.14, 0.16])]
    draw(layer, hair, color, side, rng)


def _contrast(hair: Hair, rng: np.random.Generator) -> Color:
    """Of a few bright colors, and now and then white, the one that stands out most from the hair."""
    choices = [from_hsv(rng.random(), rng.uniform(0.4, 0.75), rng.uniform(0.85, 1.0)) for _ in range(3)] + [WHITE] * int(rng.random() < 0.4)
    base = np.array(hair.tones.base)
    return max(choices, key=lambda color: float(np.abs(base - color).sum() + 2 * abs((base - color).sum())))


def _outlined(layer: Layer, shape: Array, color: Color) -> None:
    layer.fill(shape, color, ORNAMENT_DEPTH)
    layer.line(shape, _outline_color(color), 0.024, ORNAMENT_DEPTH, closed=True)


def _on_head(hair: Hair, degrees: float, share: float) -> Array:
    """A point on the cap: `degrees` from straight up, `share` of the way out."""
    angle = np.radians(degrees)
    point: Array = CAP_CENTER + xy(np.sin(angle) * hair.puff, -np.cos(angle) * hair.top) * share
    return point


def _draw_ribbon(layer: Layer, hair: Hair, color: Color, side: int, rng: np.random.Generator) -> None:
    if rng.random() < 0.3:
        _draw_bow(layer, _on_head(hair, 0, 0.97), rng.uniform(0.45, 0.6), color, ORNAMENT_DEPTH)
    else:
        _draw_bow(layer, _on_head(hair, 50 * side, 0.92), rng.uniform(0.4, 0.52), color, ORNAMENT_DEPTH, 0.5 * side)


def _draw_flower(layer: Layer, hair: Hair, color: Color, side: int, rng: np.random.Generator) -> None:
    center, radius = _on_head(hair, 48 * side, 0.8), rng.uniform(0.25, 0.31)
    petal = spline(np.array([(0.1, 0), (0.5, -0.42), (1.0, -0.3), (1.08, 0.0), (1.0, 0.3), (0.5, 0.42)]) * radius, closed=True, num_steps=4)
    for step in range(5):
        angle = step * 2 * np.pi / 5 + 0.3
        _outlined(layer, turn(petal, angle) + center, mix(color, WHITE, 0.25))
        layer.fill(turn(petal * 0.55, angle) + center, color, ORNAMENT_DEPTH)
    layer.fill(arc(center, (radius * 0.26, radius * 0.26), 0, 360, 12), GOLD, ORNAMENT_DEPTH)


def _draw_clips(layer: Layer, hair: Hair, color: Color, side: int, rng: np.random.Generator) -> None:
    """Two bars, crossed or side by side."""
    center, crossed = _on_head(hair, 46 * side, 0.74), bool(rng.random() < 0.5)
    bar = np.array([(-0.28, -0.075), (0.28, -0.075), (0.28, 0.075), (-0.28, 0.075)])
    placings = ((-0.45, 0.0), (0.75, 0.0)) if crossed else ((-0.45, 0.0), (-0.45, 0.21))
    for angle, drop in placings:
        _outlined(layer, turn(bar, angle * side) + center + xy(0, drop), color)


def _draw_star(layer: Layer, hair: Hair, color: Color, side: int, rng: np.random.Generator) -> None:
    center, radius = _on_head(hair, 46 * side, 0.76), rng.uniform(0.26, 0.32)
    corners = arc((0, 0), (radius, radius), -90 + 12 * side, 270 + 12 * side, 11)[:-1] * np.where(np.arange(10) % 2, 0.5, 1.0)[:, None]
    _outlined(layer, center + corners, color)
    layer.fill(center + corners * 0.45, mix(color, WHITE, 0.6), ORNAMENT_DEPTH)


def _draw_hairband(layer: Layer, hair: Hair, color: Color, side: int, rng: np.random.Generator) -> None:
    curve = arc(CAP_CENTER, (hair.puff * 0.98, hair.top * 0.82), 186, 354, 30)
    _outlined(layer, brush(curve, rng.uniform(0.15, 0.2), start=0.25, end=0.25), color)
    if rng.random() < 0.5:
        _draw_bow(layer, _on_head(hair, 42 * side, 0.86), 0.34, mix(color, WHITE, 0.15), ORNAMENT_DEPTH, 0.6 * side)
