"""Who is drawn: random labels, the colors that they mean, and how the head is held.

Face units: (0, 0) lies between the eyes, x grows to the picture's right and y down; the face is about 2 wide, the chin lies
near y = 1 and the top of the hair near y = -1.45. Depth is how far before (or, below 0, behind) the head's axis a thing lies.
"""

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from drawing.face_ink import Array, Color, Place, Tones, from_hsv, mix, times
from genga import tags
from genga.errors import DataError
from genga.tags import Labels

GROUP_WEIGHTS = {
    "hair_color": {
        "blonde": 12,
        "brown": 13,
        "black": 12,
        "blue": 9,
        "pink": 9,
        "purple": 8,
        "aqua": 7,
        "green": 6,
        "gray": 6,
        "red": 7,
        "white": 6,
        "orange": 5,
    },
    "hair_length": {"short": 30, "medium": 30, "long": 40},
    "eye_color": {
        "blue": 15,
        "red": 10,
        "green": 11,
        "purple": 10,
        "brown": 12,
        "aqua": 8,
        "yellow": 8,
        "pink": 7,
        "orange": 7,
        "black": 6,
        "gray": 6,
    },
    "skin_tone": {"pale": 27, "fair": 43, "tan": 17, "dark": 13},
}
FLAG_SHARES = {"glasses": 0.18, "smile": 0.5, "open_mouth": 0.35, "blush": 0.35, "closed_eyes": 0.08, "bangs": 0.7, "hair_ornament": 0.3}
# how every face is drawn where tags.yaml has no such tag any more
WITHOUT: Labels = {"hair_color": "brown", "hair_length": "medium", "skin_tone": "fair"} | dict.fromkeys(FLAG_SHARES, False)


def _tones(base: Color, shade: Color, light: Color | None = None) -> Tones:
    deep = mix(times(shade, shade), shade, 0.45)
    return Tones(
        base, shade, deep, light or mix(base, (255, 252, 244), 0.6), mix(mix(times(times(shade, shade), shade), (40, 20, 40), 0.45), shade, 0.28)
    )


HAIR = {
    "blonde": _tones((250, 218, 122), (224, 170, 84), (255, 248, 205)),
    "brown": _tones((140, 92, 62), (102, 62, 48), (208, 160, 120)),
    "black": _tones((58, 54, 66), (36, 32, 46), (128, 130, 158)),
    "blue": _tones((74, 108, 206), (46, 68, 160), (160, 196, 250)),
    "pink": _tones((252, 164, 196), (226, 116, 168), (255, 226, 238)),
    "purple": _tones((152, 104, 202), (112, 70, 164), (214, 184, 248)),
    "aqua": _tones((112, 214, 220), (62, 168, 190), (210, 250, 248)),
    "green": _tones((104, 178, 96), (62, 132, 84), (186, 230, 156)),
    "gray": _tones((158, 160, 172), (116, 118, 136), (212, 216, 226)),
    "red": _tones((206, 52, 58), (150, 28, 54), (250, 140, 124)),
    "white": _tones((240, 240, 246), (200, 204, 224), (255, 255, 255)),
    "orange": _tones((250, 146, 62), (216, 98, 46), (255, 210, 146)),
}
# the iris and the light that gathers at its bottom
EYES: dict[str, tuple[Color, Color]] = {
    "blue": ((44, 108, 236), (150, 206, 255)),
    "red": ((222, 30, 50), (255, 150, 140)),
    "green": ((38, 166, 70), (164, 240, 140)),
    "purple": ((138, 62, 214), (220, 170, 255)),
    "brown": ((128, 70, 36), (190, 132, 84)),
    "aqua": ((36, 196, 214), (180, 255, 244)),
    "yellow": ((246, 200, 24), (255, 250, 160)),
    "pink": ((250, 98, 170), (255, 204, 230)),
    "orange": ((250, 124, 16), (255, 214, 120)),
    "black": ((40, 36, 46), (78, 74, 90)),
    "gray": ((140, 146, 160), (218, 224, 234)),
}
SKIN = {
    "pale": Tones((255, 243, 236), (246, 212, 208), (232, 176, 178), (255, 252, 250), (176, 104, 106)),
    "fair": Tones((255, 226, 204), (242, 188, 164), (222, 148, 130), (255, 244, 230), (164, 86, 74)),
    "tan": Tones((238, 190, 148), (206, 144, 112), (172, 106, 86), (252, 216, 178), (112, 58, 48)),
    "dark": Tones((188, 134, 98), (148, 94, 74), (112, 66, 56), (220, 168, 130), (74, 34, 32)),
}


def drawn_values() -> dict[str, list[str]]:
    """Of today's groups those whose values are drawn here, with these values."""
    found = {group: [value for value in tags.groups().get(group, []) if value in shares] for group, shares in GROUP_WEIGHTS.items()}
    return {group: values for group, values in found.items() if values}


def drawn_flags() -> list[str]:
    return [flag for flag in tags.flags() if flag in FLAG_SHARES]


def random_labels(rng: np.random.Generator) -> Labels:
    """A character's tags, of those that are drawn here. The color of closed eyes is left out: no picture shows it."""
    labels: Labels = {}
    for group, values in drawn_values().items():
        weights = np.array([GROUP_WEIGHTS[group][value] for value in values], dtype=float)
        labels[group] = values[rng.choice(len(values), p=weights / weights.sum())]
    labels |= {flag: bool(rng.random() < FLAG_SHARES[flag]) for flag in drawn_flags()}
    if labels.get("closed_eyes"):
        labels.pop("eye_color", None)
    return labels


def check_complete(labels: Labels) -> Labels:
    """The same labels, or DataError naming what is missing or not drawn here: every group and flag that is, but no eye color where the eyes are
    closed."""
    tags.check(labels)
    drawn = [*drawn_values(), *drawn_flags()]
    missing = [name for name in drawn if name not in labels and not (name == "eye_color" and labels.get("closed_eyes"))]
    if missing:
        raise DataError(f"a face cannot be drawn without {', '.join(missing)}, expected a value for every group and flag; add what is missing")
    for group, shares in GROUP_WEIGHTS.items():
        if group in labels and labels[group] not in shares:
            raise DataError(f"a face with {group} {labels[group]} cannot be drawn, expected one of {', '.join(shares)}; choose one of these")
    return labels


@dataclass(frozen=True)
class Look:
    """What several parts of the drawing share. `light` is -1 or 1, the side that the light comes from."""

    labels: Labels
    hair: Tones
    skin: Tones
    iris: tuple[Color, Color]
    light: int
    yaw: float
    pitch: float
    roll: float
    scale: float
    center: tuple[float, float]
    cheek: float
    jaw: float
    chin: float
    eye_height: float
    eye_slant: float


def _varied(tones: Tones, rng: np.random.Generator, spread: float) -> Tones:
    """A little lighter or darker, warmer or colder; never so much that a color would get another name."""
    lift, warmth = rng.uniform(-spread, spread), rng.uniform(-spread, spread) / 2
    gain: Color = (1 + lift + warmth, 1 + lift, 1 + lift - warmth)
    return Tones(*((min(c[0] * gain[0], 255.0), min(c[1] * gain[1], 255.0), min(c[2] * gain[2], 255.0)) for c in tones))


def _near(rng: np.random.Generator, mean: float, spread: float, low: float, high: float) -> float:
    return min(max(rng.normal(mean, spread), low), high)


def random_look(labels: Labels, rng: np.random.Generator) -> Look:
    labels = WITHOUT | check_complete(labels)
    return Look(
        labels=labels,
        hair=_varied(HAIR[str(labels["hair_color"])], rng, 0.08),
        skin=_varied(SKIN[str(labels["skin_tone"])], rng, 0.025),
        iris=EYES[str(labels.get("eye_color", "brown"))],
        light=int(rng.choice([-1, 1])),
        yaw=_near(rng, 0, 0.2, -0.42, 0.42),
        pitch=_near(rng, 0.02, 0.05, -0.1, 0.12),
        roll=_near(rng, 0, 0.09, -0.22, 0.22),
        scale=rng.uniform(0.25, 0.288),
        center=(rng.normal(0.5, 0.014), rng.uniform(0.515, 0.55)),
        cheek=rng.uniform(0.92, 0.98),
        jaw=rng.uniform(0.46, 0.58),
        chin=rng.uniform(0.96, 1.05),
        eye_height=rng.uniform(0.28, 0.39),
        eye_slant=_near(rng, 0, 0.09, -0.18, 0.2),
    )


def _frame(look: Look, roll: float, side: int) -> Array:
    return np.array([[cos(roll), sin(roll)], [-sin(roll), cos(roll)]]) * (look.scale * side)


def head_place(look: Look, side: int) -> Place:
    """Face units -> canvas pixels, for what turns with the head: depth shifts with the turn and foreshortens towards the edges."""
    frame, origin = _frame(look, look.roll, side), np.array(look.center) * side
    narrow, shift = np.array([cos(look.yaw), 1.0]), np.array([sin(look.yaw), look.pitch])

    def place(points: Array, depth: float | Array) -> Array:
        bulge = depth * np.sqrt(1 - np.minimum((points[:, 0] / 1.9) ** 2, 1))
        placed: Array = (points * narrow + bulge[:, None] * shift) @ frame + origin
        return placed

    return place


def body_place(look: Look, side: int) -> Place:
    """For what stays upright: hangs from the middle of the chin, and leans a little with the head."""
    anchor = np.array([0.0, 0.95])
    frame, origin = _frame(look, look.roll * 0.3, side), head_place(look, side)(anchor[None], 0.1)[0]

    def place(points: Array, depth: float | Array) -> Array:  # noqa: ARG001, the body is flat
        placed: Array = (points - anchor) @ frame + origin
        return placed

    return place


def accent(rng: np.random.Generator) -> Color:
    """A vivid color for ribbons, clothes and frames."""
    return from_hsv(rng.random(), rng.uniform(0.5, 0.85), rng.uniform(0.55, 0.95))
