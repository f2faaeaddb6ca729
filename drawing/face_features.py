"""The face itself: skin, eyes, brows, nose, mouth, blush and glasses."""

from dataclasses import dataclass

import numpy as np

from drawing.face_ink import WHITE, Array, Color, Layer, Lock, arc, bend, from_hsv, mix, spline, times, turn, xy
from drawing.face_look import Look, accent

LASH: Color = (48, 32, 44)
EYE_X = 0.5
EYE_DEPTH, BROW_DEPTH, MOUTH_DEPTH, NOSE_DEPTH, GLASSES_DEPTH = 0.62, 0.66, 0.6, 0.78, 0.72


# --- skin


def face_outline(look: Look) -> tuple[Array, Array]:
    """The closed outline and the depth of each of its points."""
    half = np.array(
        [
            (0.0, -1.16, 0.3),
            (0.5, -1.08, 0.2),
            (0.86, -0.72, 0.1),
            (0.96, -0.25, 0.0),
            (look.cheek, 0.08, 0.0),
            (look.cheek - 0.055, 0.34, 0.05),
            (look.jaw + 0.22, 0.6, 0.12),
            (look.jaw - 0.02, 0.82 * look.chin, 0.24),
            (0.2, 0.95 * look.chin + 0.01, 0.36),
            (0.05, look.chin, 0.42),
        ]
    )
    mirrored = half[:0:-1] * (-1, 1, 1)
    outline = spline(np.concatenate([half, mirrored]), closed=True)
    return outline[:, :2], outline[:, 2]


def draw_skin(layer: Layer, look: Look) -> None:
    for side in (-1, 1):
        _draw_ear(layer, look, side)
    outline, depth = face_outline(look)
    layer.fill(outline, look.skin.base, depth)
    layer.line(outline, look.skin.line, 0.025, depth, closed=True)


def _draw_ear(layer: Layer, look: Look, side: int) -> None:
    shape = np.array([(0.86, -0.16), (1.02, -0.2), (1.1, -0.06), (1.05, 0.16), (0.95, 0.3), (0.84, 0.26)]) * (side, 1)
    outline = spline(shape, closed=True)
    layer.fill(outline, look.skin.base, -0.1)
    layer.line(outline, look.skin.line, 0.022, -0.1, closed=True)
    layer.stroke(bend((0.93 * side, -0.07), (1.07 * side, -0.08), (0.97 * side, 0.15)), look.skin.deep, 0.05, -0.1)


# --- eyes


class _Eye:
    """One eye in its own place: x runs from the inner corner (below 0) to the outer one, whatever the side."""

    def __init__(self, layer: Layer, look: Look, side: int, width: float) -> None:
        self.layer, self.side, self.width, self.height = layer, side, width, look.eye_height
        self.slant = look.eye_slant

    def at(self, points: Array) -> Array:
        return turn(points, -self.slant) * (self.side, 1) + (EYE_X * self.side, 0.0)

    def fill(self, points: Array, color: Color) -> None:
        self.layer.fill(self.at(points), color, EYE_DEPTH)

    def stroke(self, curve: Array, color: Color, width: float, start: float = 0.0, end: float = 0.0) -> None:
        self.layer.stroke(self.at(curve), color, width, EYE_DEPTH, start, end)


def draw_eyes(layer: Layer, look: Look, rng: np.random.Generator) -> None:
    width = rng.uniform(0.29, 0.33)
    gaze = (rng.normal(0, 0.02), rng.normal(0.0, 0.015))
    iris_share, pupil_share = rng.uniform(0.7, 0.78), rng.uniform(0.4, 0.52)
    lash = mix(LASH, look.hair.line, rng.uniform(0.15, 0.5))
    lash_width = rng.uniform(0.075, 0.11)
    happy = bool(rng.random() < (0.75 if look.labels["smile"] else 0.25))
    round_lid = rng.uniform(-0.12, 0.1)
    for side in (-1, 1):
        eye = _Eye(layer, look, side, width)
        if look.labels["closed_eyes"]:
            _draw_closed_eye(eye, look, happy, lash, lash_width)
            continue
        upper, lower = _lids(eye, round_lid)
        _draw_ball(eye, look, upper, lower)
        _draw_iris(eye, look, upper, lower, (gaze[0] * side, gaze[1]), iris_share, pupil_share)
        _draw_lashes(eye, look, upper, lower, lash, lash_width)


def _lids(eye: _Eye, round_lid: float) -> tuple[Array, Array]:
    """Both from the inner corner to the outer one."""
    w, h = eye.width, eye.height
    upper = spline([(-w, 0.1 * h), (-0.68 * w, (-0.5 + round_lid) * h), (-0.05 * w, -0.86 * h), (0.58 * w, (-0.74 + round_lid) * h), (w, -0.08 * h)])
    lower = spline([(-w, 0.1 * h), (-0.62 * w, 0.74 * h), (0.0, 0.98 * h), (0.62 * w, 0.8 * h), (w, -0.08 * h)])
    return upper, lower


def _draw_ball(eye: _Eye, look: Look, upper: Array, lower: Array) -> None:
    """Its white takes a little of the skin's tone, darkest under the lid."""
    white = mix((250, 248, 252), look.skin.base, 0.2)
    eye.fill(np.concatenate([upper, lower[::-1]]), white)
    eye.fill(Lock(upper, lower).band(0.0, 0.3), times(white, (206, 202, 222)))


def _draw_iris(eye: _Eye, look: Look, upper: Array, lower: Array, gaze: tuple[float, float], iris_share: float, pupil_share: float) -> None:
    """From dark under the lid to bright at the bottom, as light falls in from above."""
    rx, ry = eye.width * iris_share, eye.height * 0.96
    center = np.array([gaze[0] - 0.02, gaze[1] - 0.01])

    def part(radius: float, top: float = -1.2, shift: float = 0.0) -> Array:
        """The iris's ellipse at `radius`, below `top`, cut by the lids."""
        points = arc(center + xy(0, shift * ry), (rx * radius, ry * radius), 0, 360, 40)
        points[:, 1] = np.maximum(points[:, 1], center[1] + top * ry)
        points[:, 1] = points[:, 1].clip(np.interp(points[:, 0], upper[:, 0], upper[:, 1]), np.interp(points[:, 0], lower[:, 0], lower[:, 1]))
        return points

    color, bright = (times(tone, mix(WHITE, look.skin.base, 0.4)) for tone in look.iris)
    dark = mix(times(color, color), (30, 20, 44), 0.35)
    eye.fill(part(1.0), mix(dark, (20, 12, 28), 0.45))
    eye.fill(part(0.9), mix(dark, color, 0.25))
    for step in range(5):
        eye.fill(part(0.9, top=-0.4 + 0.2 * step), mix(mix(dark, color, 0.6), mix(color, bright, 0.5), step / 4))
    eye.fill(part(pupil_share, shift=0.02), mix(dark, (14, 8, 20), 0.7))
    glow = arc(center + xy(0, 0.48 * ry), (rx * 0.58, ry * 0.34), 0, 180, 16)
    eye.fill(np.minimum(glow, (9.0, center[1] + 0.82 * ry)), bright)
    light = look.light * eye.side
    eye.fill(arc(center + xy(light * 0.34 * rx, -0.42 * ry), (rx * 0.34, ry * 0.25), 0, 360, 18), WHITE)
    eye.fill(arc(center + xy(-light * 0.4 * rx, 0.4 * ry), (rx * 0.17, ry * 0.13), 0, 360, 12), mix(WHITE, bright, 0.15))


def _draw_lashes(eye: _Eye, look: Look, upper: Array, lower: Array, lash: Color, lash_width: float) -> None:
    w, h = eye.width, eye.height
    wing = np.concatenate([upper, [(w * 1.16, -0.02 * h)]])
    pressure = np.interp(np.linspace(0, 1, len(wing)), [0, 0.2, 0.6, 0.9, 1], [0.3, 0.75, 1.0, 0.8, 0.0])
    below = wing + np.stack([0 * pressure, pressure * lash_width * 0.35], axis=1)
    above = wing - np.stack([-pressure * 0.02, pressure * lash_width * 0.75], axis=1)
    eye.fill(np.concatenate([below, above[::-1]]), lash)
    for start, tip in (((0.8 * w, -0.62 * h), (1.22 * w, -0.66 * h)), ((0.95 * w, -0.25 * h), (1.3 * w, -0.3 * h))):
        eye.stroke(bend(start, (start[0] + 0.1, start[1] + 0.05), tip, 6), lash, lash_width * 0.55, start=1.0)
    eye.stroke(lower[len(lower) * 2 // 5 :], mix(lash, look.skin.deep, 0.2), 0.035, end=0.6)
    eye.stroke(lower[3 : len(lower) // 2], look.skin.deep, 0.022)
    fold = upper[5:-3] * (0.98, 1.0) - (0, lash_width + 0.07)
    eye.stroke(fold, look.skin.line, 0.022)


def _draw_closed_eye(eye: _Eye, look: Look, happy: bool, lash: Color, lash_width: float) -> None:
    w, h = eye.width, eye.height
    sign = -1 if happy else 1
    middle = 0.12 * h + 0.1
    curve = spline([(-w, middle), (-0.45 * w, middle + sign * 0.38 * h), (0.2 * w, middle + sign * 0.46 * h), (1.05 * w, middle - 0.05 * sign)])
    eye.stroke(curve, lash, lash_width * 0.85, start=0.3, end=0.25)
    for t, length in ((0.78, 0.16), (0.93, 0.17)):
        root = curve[int(t * len(curve))]
        eye.stroke(bend(root, root + xy(0.06, 0.05), root + xy(length, 0.1 if not happy else 0.02), 6), lash, 0.05, start=1.0)
    eye.stroke(curve[4:-4] * (0.95, 1.0) - (0, 0.24 if sign > 0 else 0.1), mix(look.skin.line, look.skin.deep, 0.4), 0.02)


# --- brows, nose, mouth


def draw_brows(layer: Layer, look: Look, rng: np.random.Generator) -> None:
    """`mood` above 0 lifts the inner ends (gentle, worried), below 0 lowers them (resolute)."""
    mood, lift, thick = rng.normal(0.03, 0.06), rng.uniform(-0.03, 0.06), rng.uniform(0.045, 0.085)
    if look.labels["smile"]:
        mood, lift = max(mood, 0.0), lift + 0.03
    color = mix(look.hair.line, look.hair.shade, 0.3)
    top = -look.eye_height - 0.14 - lift
    for side in (-1, 1):
        inner, peak, outer = (0.2, top + 0.05 - mood), (0.5, top - 0.06), (0.78, top + 0.1 + mood * 0.6)
        curve = spline(np.array([inner, peak, outer]) * (side, 1))
        layer.stroke(curve, color, thick, BROW_DEPTH, start=0.75)


def draw_nose(layer: Layer, look: Look, rng: np.random.Generator) -> None:
    y = rng.uniform(0.4, 0.45)
    side = -look.light
    if rng.random() < 0.5:
        layer.fill(np.array([(0.0, y - 0.05), (0.06 * side, y + 0.035), (-0.015 * side, y + 0.04)]), look.skin.deep, NOSE_DEPTH)
    else:
        layer.stroke(bend((0.015 * side, y - 0.06), (0.05 * side, y + 0.02), (-0.01 * side, y + 0.035), 6), look.skin.line, 0.03, NOSE_DEPTH)
    layer.fill(arc((-0.02 * side, y - 0.07), (0.018, 0.03), 0, 360, 10), look.skin.light, NOSE_DEPTH)


def draw_mouth(layer: Layer, look: Look, rng: np.random.Generator) -> None:
    y = rng.uniform(0.64, 0.69)
    smile, is_open = look.labels["smile"], look.labels["open_mouth"]
    if smile and is_open:
        _draw_laugh(layer, look, y, rng.uniform(0.26, 0.34), rng.uniform(0.24, 0.32))
    elif is_open:
        _draw_open_mouth(layer, look, y, rng.uniform(0.09, 0.13), rng.uniform(0.1, 0.14))
    elif smile:
        _draw_smile(layer, look, y, rng.uniform(0.25, 0.32), rng.uniform(0.12, 0.16), bool(rng.random() < 0.2))
    else:
        _draw_neutral(layer, look, y, rng.uniform(0.07, 0.11), rng.uniform(-0.014, 0.008))


def _lip_color(look: Look) -> Color:
    return mix(look.skin.line, (110, 30, 40), 0.4)


def _draw_laugh(layer: Layer, look: Look, y: float, half_width: float, height: float) -> None:
    lip, top = _lip_color(look), y - 0.07
    upper = bend((-half_width, top), (0, top + 0.1), (half_width, top), 13)
    lower = spline(
        [
            (-half_width, top),
            (-half_width * 0.78, top + height * 0.62),
            (0, top + height),
            (half_width * 0.78, top + height * 0.62),
            (half_width, top),
        ]
    )
    inside = Lock(upper, lower[np.linspace(0, len(lower) - 1, 13).round().astype(int)])
    layer.fill(inside.outline, (168, 52, 60), MOUTH_DEPTH)
    layer.fill(inside.band(0.0, 0.28, 0.1, 0.9), (255, 252, 250), MOUTH_DEPTH)
    tongue = arc((0, top + height * 1.02), (half_width * 0.62, height * 0.45), 180, 360, 14)
    tongue[:, 1] = np.minimum(tongue[:, 1], np.interp(tongue[:, 0], lower[:, 0], lower[:, 1]))
    layer.fill(tongue, (240, 128, 128), MOUTH_DEPTH)
    layer.line(lower, lip, 0.03, MOUTH_DEPTH)
    layer.stroke(upper, lip, 0.05, MOUTH_DEPTH, start=0.5, end=0.5)


def _draw_open_mouth(layer: Layer, look: Look, y: float, half_width: float, half_height: float) -> None:
    lip = _lip_color(look)
    center = (0.0, y + 0.03)
    shape = spline(
        np.array([(0, -1), (0.75, -0.6), (1, 0.3), (0.6, 0.95), (-0.6, 0.95), (-1, 0.3), (-0.75, -0.6)]) * (half_width, half_height), closed=True
    )
    layer.fill(shape + center, (150, 44, 54), MOUTH_DEPTH)
    tongue = arc((0, half_height * 0.95), (half_width * 0.62, half_height * 0.75), 180, 360, 12)
    layer.fill(tongue + center, (232, 118, 120), MOUTH_DEPTH)
    layer.line(shape + center, lip, 0.032, MOUTH_DEPTH, closed=True)


def _draw_smile(layer: Layer, look: Look, y: float, half_width: float, depth: float, cat: bool) -> None:
    lip = _lip_color(look)
    if cat:
        for side in (-1, 1):
            curve = spline(np.array([(0, 0), (0.35, 0.75), (0.75, 0.6), (1.0, -0.45)]) * (half_width * side, depth * 0.9)) + xy(0, y - 0.02)
            layer.stroke(curve, lip, 0.055, MOUTH_DEPTH, start=0.6, end=0.4)
        return
    layer.stroke(
        bend((-half_width, y - depth * 0.7), (0, y + depth * 1.5), (half_width, y - depth * 0.7), 13), lip, 0.06, MOUTH_DEPTH, start=0.35, end=0.35
    )
    for side in (-1, 1):
        corner = np.array([half_width * side, y - depth * 0.7])
        layer.stroke(bend(corner - xy(0.035 * side, -0.015), corner, corner + xy(0.035 * side, 0.015), 5), lip, 0.036, MOUTH_DEPTH)
    layer.stroke(bend((-0.07, y + 0.19), (0, y + 0.205), (0.07, y + 0.19), 5), look.skin.deep, 0.026, MOUTH_DEPTH)


def _draw_neutral(layer: Layer, look: Look, y: float, half_width: float, bow: float) -> None:
    layer.stroke(
        bend((-half_width, y - bow), (0, y + bow * 2 - 0.01), (half_width, y - bow), 9), _lip_color(look), 0.045, MOUTH_DEPTH, start=0.4, end=0.4
    )
    layer.stroke(bend((-0.05, y + 0.11), (0, y + 0.12), (0.05, y + 0.11), 5), look.skin.deep, 0.026, MOUTH_DEPTH)


# --- blush and glasses


def cheek(side: int) -> Array:
    """The ellipse that blush colors."""
    return arc((0.6 * side, 0.46), (0.24, 0.12), 0, 360)


def draw_blush_lines(layer: Layer, look: Look) -> None:
    color = mix((240, 84, 98), look.skin.shade, 0.2)
    for side in (-1, 1):
        for step in range(3):
            x = (0.52 + 0.09 * step) * side
            layer.stroke(np.array([(x + 0.025, 0.4), (x, 0.47), (x - 0.025, 0.54)]), color, 0.032, EYE_DEPTH, start=0.4, end=0.4)


@dataclass(frozen=True)
class Glasses:
    """Rims above, thinner ones below; some have only the upper ones."""

    color: Color
    width: float
    rims: tuple[Array, ...]
    rim_widths: tuple[float, ...]
    center: tuple[float, float]
    reach: tuple[float, float]

    def glare(self) -> list[Array]:
        """What the lenses reflect."""
        slants = [np.array([(left, -0.72), (right, -0.72), (right - 0.5, 0.72), (left - 0.5, 0.72)]) for left, right in ((0.1, 0.4), (0.5, 0.6))]
        return [slant * self.reach + np.array(self.center) * (side, 1) for slant in slants for side in (-1, 1)]


def random_glasses(look: Look, rng: np.random.Generator) -> Glasses:
    color = accent(rng) if rng.random() < 0.45 else from_hsv(rng.random(), 0.2, rng.uniform(0.12, 0.3))
    width, corner = rng.uniform(0.038, 0.056), rng.choice([2.0, 2.6, 4.0])
    reach = (rng.uniform(0.36, 0.39), look.eye_height + rng.uniform(-0.05, 0.02))
    circle = arc((0, 0), (1, 1), 0, 360, 41)
    lens = np.sign(circle) * np.abs(circle) ** (2 / corner) * reach
    lower, upper = lens[:21], lens[20:]
    rims, rim_widths = ((upper, lower), (width, width * 0.45)) if rng.random() < 0.6 else ((upper,), (width * 1.2,))
    return Glasses(mix(color, (30, 20, 30), 0.25), width, rims, rim_widths, (EYE_X, 0.06), reach)


def draw_glasses(layer: Layer, glasses: Glasses) -> None:
    (x, y), (rx, _), width = glasses.center, glasses.reach, glasses.width
    for side in (-1, 1):
        for rim, rim_width in zip(glasses.rims, glasses.rim_widths, strict=True):
            layer.line(rim + xy(x * side, y), glasses.color, rim_width, GLASSES_DEPTH)
        temple = bend(((x + rx) * side, y - 0.06), (0.92 * side, y - 0.1), (1.06 * side, y - 0.06))
        layer.stroke(temple, glasses.color, width * 1.1, 0.3, start=1.0, end=0.6)
    bridge = bend((rx - x, y - 0.04), (0, y - 0.13), (x - rx, y - 0.04))
    layer.stroke(bridge, glasses.color, width * 1.2, GLASSES_DEPTH, start=1.0, end=1.0)
