"""The mannequin's body and face as grids of points: a trunk, limbs that bend, hands, feet and a head with an anime face.

Lengths in body heights. `u` is half the width between the hip sockets: what limbs are measured in, as a head is measured in its height `h`.
A limb's rings lie across it, its first axis along the hinge that elbow and knee turn about.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drawing.mesh import Grid, cross, smooth, tube, unit
from drawing.poses import Body

Array = NDArray[Any]

PARTS = ("torso", "neck", "head", "hair", "hood", "skirt", "bow", "l_arm", "r_arm", "l_hand", "r_hand", "l_leg", "r_leg", "l_foot", "r_foot")
P = {name: idx for idx, name in enumerate(PARTS)}
SKIN, HAIR, INK, WHITE, TOP, BOTTOM, SHOES, TRIM, PAPER = TONES = range(9)
ROUND = 12  # points around a limb
BROAD = 20  # around the trunk and the head
HAND = 8
FEW = 6  # around a thumb or a lock of hair


class Profile(NamedTuple):
    """A limb from 0 to 1 of its length: how far along, how wide along the hinge, how deep across it, how far back its middle lies."""

    along: Array
    wide: Array
    deep: Array
    back: Array


def profile(*knots: tuple[float, float, float, float]) -> Profile:
    return Profile(*smooth(np.array(knots), 2).T)


UPPER_ARM = profile((0, 0.44, 0.48, 0), (0.2, 0.45, 0.5, 0), (0.55, 0.38, 0.42, 0), (0.85, 0.34, 0.36, 0), (1, 0.33, 0.34, 0))
FOREARM = profile((0, 0.33, 0.34, 0), (0.25, 0.36, 0.36, 0), (0.5, 0.32, 0.32, 0), (0.8, 0.23, 0.24, 0), (1, 0.19, 0.22, 0))
THIGH = profile((0, 1, 1.1, 0.05), (0.25, 0.93, 1.02, 0), (0.5, 0.8, 0.88, -0.03), (0.8, 0.6, 0.64, -0.03), (1, 0.52, 0.55, 0))
SHANK = profile(
    (0, 0.52, 0.55, 0), (0.15, 0.53, 0.58, 0.08), (0.33, 0.55, 0.6, 0.14), (0.6, 0.42, 0.46, 0.08), (0.85, 0.28, 0.32, 0), (1, 0.27, 0.31, 0)
)
PALM = profile((0, 0.19, 0.22, 0), (0.25, 0.18, 0.32, 0), (0.6, 0.19, 0.42, 0), (1, 0.18, 0.4, 0))
FINGERS = profile((0, 0.18, 0.4, 0), (0.35, 0.16, 0.37, 0), (0.75, 0.12, 0.27, 0.03), (1, 0.08, 0.14, 0.05))
THUMB = profile((0, 0.17, 0.17, 0), (0.4, 0.14, 0.14, 0), (1, 0.09, 0.09, 0))
# half of a ball: how far out, how wide
CAP = np.array([(0.5, 0.866), (0.866, 0.5), (1, 0)])


def section(start: Array, end: Array, hinge: Array, shape: Profile, u: float) -> Array:
    """Rings (K, 4, 3) from start to end."""
    along = end - start
    front = cross(unit(along), hinge)
    rings = np.zeros((len(shape.along), 4, 3))
    rings[:, 0] = start + shape.along[:, None] * along - (shape.back * u)[:, None] * front
    rings[:, 1] = (shape.wide * u)[:, None] * hinge
    rings[:, 2] = (shape.deep * u)[:, None] * front
    return rings


def ramp(values: Array, start: float, end: float) -> Array:
    """From 0 to 1, gently."""
    share = np.clip((values - start) / (end - start), 0, 1)
    eased: Array = share * share * (3 - 2 * share)
    return eased


TURN = np.array([0.25, 0.5, 0.75])[:, None]


def bend(before: Array, after: Array) -> Array:
    """Rings (3, 4, 3) between the last of one section and the first of the next, which share their middle and their hinge."""
    deep = float(np.linalg.norm(before[2]))
    angle = float(np.arccos(np.clip(before[2] @ after[2] / (deep * np.linalg.norm(after[2])), -0.999, 0.9999)))
    rings = np.repeat(before[None], len(TURN), axis=0)
    rings[:, 2] = (np.sin((1 - TURN) * angle) * before[2] + np.sin(TURN * angle) * after[2]) / np.sin(angle)
    return rings


def cap(ring: Array, way: Array) -> Array:
    """Rings that close a tube beyond `ring`, in the direction and as far as `way` says."""
    rings = np.repeat(ring[None], len(CAP), axis=0)
    rings[:, 0] += CAP[:, :1] * way
    rings[:, 1:] *= CAP[:, 1, None, None]
    return rings


def capped(rings: Array, start: float = 0.0, end: float = 0.0) -> Array:
    """Rounded at both ends, by these lengths; 0 leaves an end open."""
    pieces = [rings]
    if start:
        pieces.insert(0, cap(rings[0], unit(rings[0, 0] - rings[1, 0]) * start)[::-1])
    if end:
        pieces.append(cap(rings[-1], unit(rings[-1, 0] - rings[-2, 0]) * end))
    return np.concatenate(pieces)


def limb(body: Body, side: str, names: Sequence[str], hinge: str, shapes: tuple[Profile, Profile]) -> Array:
    """Rings (K, 4, 3) of two sections that meet in a joint."""
    a, b, c = (body.points[f"{side}_{name}"] for name in names)
    across, u = body.frames[f"{side}_{hinge}"][:, 0], body.build.pelvis
    upper, lower = section(a, b, across, shapes[0], u), section(b, c, across, shapes[1], u)
    return np.concatenate([upper, bend(upper[-1], lower[0]), lower])


def arm(body: Body, side: str) -> Array:
    return limb(body, side, ("shoulder", "elbow", "wrist"), "arm", (UPPER_ARM, FOREARM))


def leg(body: Body, side: str) -> Array:
    return limb(body, side, ("socket", "knee", "ankle"), "thigh", (THIGH, SHANK))


def around(rings: Array, wider: Array | float) -> Array:
    """Cloth over a limb, so much wider than each of its rings (K,)."""
    cloth = rings.copy()
    cloth[:, 1:3] += np.reshape(wider, (-1, 1, 1)) * unit(rings[:, 1:3])
    return cloth


# --- trunk


def trunk(body: Body, loose: float) -> Array:
    """Rings (K, 4, 3) from the neck down to the crotch; `loose`: how far cloth stands off, in u, most of all at the waist."""
    p, s, h, u = body.points, body.build.shoulder, body.build.head, body.build.pelvis
    chest, hips = body.frames["chest"], body.frames["pelvis"]
    girdle = (p["l_shoulder"] - p["r_shoulder"]) / 2
    yoke = (p["l_shoulder"] + p["r_shoulder"]) / 2 - p["neck"] - chest[:, 1] * 0.15 * s  # shoulders rise with the arms
    rise, drop = p["waist"] - p["neck"], p["hip"] - p["waist"]
    waist = 0.26 * s + 0.52 * u
    spine = (
        # middle, half of the width, front and back
        (p["neck"] - chest[:, 1] * 0.15 * h, chest[:, 0] * 0.06 * h, 0.04 * h, 0.1 * h, chest),
        (p["neck"] + yoke * 0.2 - chest[:, 1] * 0.09 * h, girdle * 0.22, 0.13 * h, 0.17 * h, chest),
        (p["neck"] + yoke * 0.5 - chest[:, 1] * 0.1 * s, girdle * 0.52, 0.26 * s, 0.34 * s, chest),
        (p["neck"] + yoke * 0.9 + chest[:, 1] * 0.0 * s, girdle * 0.86, 0.32 * s, 0.36 * s, chest),
        (p["neck"] + yoke * 0.9 + chest[:, 1] * 0.22 * s, girdle * 1.0, 0.44 * s, 0.44 * s, chest),
        (p["neck"] + yoke * 0.4 + rise * 0.27, girdle * 0.95, 0.56 * s, 0.5 * s, chest),
        (p["neck"] + rise * 0.5, chest[:, 0] * 0.84 * s, 0.66 * s, 0.5 * s, chest),
        (p["neck"] + rise * 0.76, chest[:, 0] * (0.4 * s + 0.5 * waist + 0.3 * loose * u), 0.5 * s, 0.46 * s, chest),
        (p["waist"], (chest + hips)[:, 0] / 2 * (waist + loose * u), 0.44 * s + 0.5 * loose * u, 0.4 * s + 0.5 * loose * u, (chest + hips) / 2),
        (p["waist"] + drop * 0.5, hips[:, 0] * (1.55 + 0.5 * loose) * u, 0.98 * u, 0.95 * u, hips),
        (p["hip"], hips[:, 0] * 1.9 * u, 1.05 * u, 1.25 * u, hips),
        (p["hip"] + hips[:, 1] * 0.4 * u, hips[:, 0] * 1.75 * u, 1.0 * u, 1.25 * u, hips),
        (p["hip"] + hips[:, 1] * 0.85 * u, hips[:, 0] * 0.9 * u, 0.75 * u, 0.9 * u, hips),
        (p["hip"] + hips[:, 1] * 1.05 * u, hips[:, 0] * 0.01 * u, 0.01 * u, 0.01 * u, hips),
    )
    knots = np.zeros((len(spine), 4, 3))
    for knot, (middle, across, front, back, frame) in zip(knots, spine, strict=True):
        knot[0], knot[1] = middle, across
        knot[2], knot[3] = -frame[:, 2] * (front + back) / 2, -frame[:, 2] * (front - back) / 2
    if loose:
        knots[1:-1, 1:] *= 1 + 0.06 * loose
    return smooth(knots, 2)


BELT = 18  # the ring of the trunk where top and bottom meet


def neck(body: Body) -> Grid:
    h, chest, head = body.build.head, body.frames["chest"], body.frames["head"]
    rings = np.zeros((4, 4, 3))
    foot, top = body.points["neck"] + chest @ (0, 0.08 * h, 0.02 * h), body.points["head"] + head @ (0, 0.1 * h, 0.08 * h)
    rings[:, 0] = foot + np.array([0, 0.3, 0.65, 1])[:, None] * (top - foot)
    thick = np.array([0.21, 0.145, 0.135, 0.14])[:, None] * h
    rings[:, 1], rings[:, 2] = thick * head[:, 0], -thick * head[:, 2]
    return Grid(tube(rings, ROUND), P["neck"], SKIN)


# --- shapes that are the same on every body but for their size


class Shape(NamedTuple):
    """Points (K, n, 3) to the left, down and back, and which way they are lit as facing."""

    points: Array
    facing: Array | None = None

    def placed(self, origin: Array, frame: Array, size: Array | float, part: str, tone: int) -> Grid:
        turned = None if self.facing is None else self.facing @ frame.T
        return Grid(origin + self.points * size @ frame.T, P[part], tone, facing=turned)


LEFT, DOWN, BACK = np.eye(3)


def hand_shape(curl: float) -> tuple[Shape, Shape]:
    """The left hand's palm with the fingers as a mitten, and its thumb, in hands' lengths along it and in u across it; the fingers curl `curl`
    degrees at the knuckles and nearly as much again in their middle."""
    u = 0.78  # of a usual hand's length
    knuckles = 0.52 * DOWN
    palm = section(np.zeros(3), knuckles, LEFT, PALM, u)
    share, wide, deep, back = FINGERS
    angle = np.radians(curl) * (1 + 0.9 * ramp(share, 0.35, 0.65))[:, None]
    ways = np.cos(angle) * DOWN - np.sin(angle) * LEFT
    fingers = np.zeros((len(share), 4, 3))
    fingers[:, 0] = knuckles + 0.52 * np.cumsum(np.diff(share, prepend=0)[:, None] * ways, axis=0) + (back * u)[:, None] * BACK
    fingers[:, 1], fingers[:, 2] = (wide * u)[:, None] * cross(-BACK, ways), (deep * u)[:, None] * -BACK
    mitten = np.concatenate([palm, fingers[1:], cap(fingers[-1], ways[-1] * 0.1 * u)])
    root = 0.22 * DOWN - (0.2 * BACK + 0.06 * LEFT) * u
    tip = root + 0.42 * unit(0.75 * DOWN - 0.6 * BACK - 0.3 * LEFT)
    thumb = capped(section(root, tip, cross(-BACK, DOWN), THUMB, u), 0.15 * u, 0.09 * u)
    across = np.array([1 / u, 1, 1 / u])
    return Shape(tube(mitten, HAND) * across), Shape(tube(thumb, FEW) * across)


HANDS = [hand_shape(curl) for curl in (8, 25, 70)]  # flat, at ease, a fist
MIRROR = np.array([-1, 1, 1])


def hand(body: Body, side: str, rng: np.random.Generator) -> Iterator[Grid]:
    wrist, frame, u = body.points[f"{side}_wrist"], body.frames[f"{side}_forearm"], body.build.pelvis
    reach = body.points[f"{side}_fingers"] - wrist
    size = np.array([u, np.sqrt(reach @ reach), u])
    for shape in HANDS[int(rng.integers(len(HANDS)))]:
        if side == "r":
            shape = Shape((shape.points * MIRROR)[:, ::-1])
        yield shape.placed(wrist, frame, size, f"{side}_hand", SKIN)


def shoe_shape() -> Shape:
    """From the heel forward, in feet's lengths along it and in u across it: along, half of the width, height of the top over the sole."""
    knots = [(-0.3, 0, 0.3, 0), (-0.29, 0.24, 0.62, 1), (-0.2, 0.34, 0.86, 1), (0, 0.36, 0.92, 1), (0.2, 0.35, 0.84, 1), (0.4, 0.36, 0.6, 1)]
    knots += [(0.65, 0.42, 0.46, 1), (0.85, 0.38, 0.38, 1), (0.97, 0.22, 0.28, 1), (1, 0, 0.16, 0)]
    along, wide, top, open_ = np.array(knots).T[:, :, None]
    low = np.minimum(0.1, 0.5 * top)
    up, under = (top - low) * open_, low * open_
    return Shape(tube(np.stack([(SOLE - low) * DOWN - along * BACK, wide * LEFT, -(up + under) / 2 * DOWN, -(up - under) / 2 * DOWN], axis=1), ROUND))


SOLE = 0.76  # from the ankle down to the ground
SHOE = shoe_shape()


def foot(body: Body, side: str, tone: int) -> Grid:
    ankle, u = body.points[f"{side}_ankle"], body.build.pelvis
    ahead = body.points[f"{side}_toes"] - ankle
    return SHOE.placed(ankle, body.frames[f"{side}_foot"], np.array([u, u, np.sqrt(ahead @ ahead)]), f"{side}_foot", tone)


# --- head, in heads around its middle

# from the crown down to the chin: height, half of the width, how far the front and the back lie from the middle
SKULL = smooth(
    np.array(
        [(-0.47, 0.01, 0.01, 0.03), (-0.455, 0.13, 0.12, 0.16), (-0.4, 0.25, 0.24, 0.29), (-0.27, 0.36, 0.35, 0.41), (-0.1, 0.41, 0.395, 0.45),
         (0.06, 0.415, 0.4, 0.43), (0.18, 0.395, 0.4, 0.36), (0.28, 0.34, 0.395, 0.25), (0.37, 0.25, 0.385, 0.12), (0.44, 0.155, 0.36, 0.0),
         (0.485, 0.07, 0.32, -0.15), (0.5, 0.01, 0.27, -0.25)]
    ),
    2,
)  # fmt: skip
FOREHEAD = 6  # the first ring that shows under hair
FLAT = np.array([1, 0.35, 1])  # a face is lit as if it were a column


def skull_shape() -> Shape:
    height, wide, front, back = SKULL.T[:, :, None]
    points = tube(np.stack([height * DOWN, wide * LEFT, -(front + back) / 2 * BACK, -(front - back) / 2 * BACK], axis=1), BROAD)
    face = points[FOREHEAD:]  # nobody is bald
    return Shape(face, face * FLAT)


def nose_shape() -> Shape:
    y, z, wide, deep = np.array([(0.12, -0.37, 0.01, 0.01), (0.2, -0.385, 0.035, 0.04), (0.25, -0.4, 0.045, 0.065), (0.275, -0.37, 0.01, 0.01)]).T[
        :, :, None
    ]
    points = tube(np.stack([y * DOWN + z * BACK, wide * LEFT, -deep * BACK, 0 * BACK + 0 * y], axis=1), FEW)
    return Shape(points, points * FLAT)


HEAD = skull_shape(), nose_shape()


def head(body: Body) -> Iterator[Grid]:
    for shape in HEAD:
        yield shape.placed(body.points["head"], body.frames["head"], body.build.head, "head", SKIN)


# --- face

# Features of the left side in heads, x from the middle outward and y down: loops of ROUND points, and the skeleton that each is filled from.
HALF = ROUND // 2


def oval(x: float, y: float, wide: float, high: float) -> Array:
    turn = -np.arange(ROUND) * (2 * np.pi / ROUND)
    loop = np.stack([x + wide * np.cos(turn), y + high * np.sin(turn)], axis=1)
    return np.stack([loop, np.full_like(loop, (x, y))])


def stroke(knots: Sequence[tuple[float, float]], thick: float, ends: tuple[float, float] = (0.2, 0.2)) -> Array:
    """Thickest in the middle; `ends`: what is left of that at either end."""
    line = smooth(np.array(knots), 4)
    line = line[np.linspace(0, len(line) - 1, HALF).round().astype(int)]
    along = np.gradient(line, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
    share = np.linspace(0, 1, HALF)
    half = thick / 2 * (1 - (1 - np.interp(share, (0, 1), ends)) * (2 * np.abs(share - 0.5)) ** 2)[:, None]
    loop = np.concatenate([(line - half * across)[::-1], line + half * across])
    return np.stack([loop, np.concatenate([line[::-1], line])])


class Eyes(NamedTuple):
    """Features of a left eye: tone, how far each lies off the skin, and its shape."""

    tones: tuple[int, ...]
    lifts: Array
    shapes: Array


def eyes(tall: float, lid: float, anger: float) -> Eyes:
    """`tall`: how high they stand open, `lid`: how far the outer corner hangs, `anger`: how far the brows come down to the nose."""
    lash = ((0.075, 0.05), (0.13, 0.1 - 0.1 * tall + lid), (0.22, 0.095 - 0.1 * tall), (0.295, 0.07 + lid))
    features: list[tuple[int, float, Array]] = [
        (WHITE, 0.006, oval(0.18, 0.1, 0.1, 0.1 * tall)),
        (INK, 0.010, oval(0.175, 0.1 + lid / 4, 0.066, 0.098 * tall)),
        (INK, 0.014, stroke(lash, 0.042, (0.3, 0.6))),
        (INK, 0.012, stroke(((0.09, -0.1 + anger), (0.18, -0.135), (0.29, -0.1 - anger)), 0.022)),
        (WHITE, 0.018, oval(0.155, 0.055, 0.022, 0.032)),
    ]
    left = [shape for _, _, shape in features]
    right = [(shape * (-1, 1))[:, ::-1] for shape in left[:-1]] + [left[-1] - (0.33, 0)]  # both eyes shine on the same side
    return Eyes(tuple(tone for tone, _, _ in features) * 2, np.array([lift for _, lift, _ in features] * 2), np.stack(left + right))


EYES = [eyes(tall, lid, anger) for tall in (0.85, 1.0, 1.15) for lid, anger in ((-0.02, -0.02), (0.0, 0.0), (0.015, 0.03))]
NOSE = stroke(((0.012, 0.235), (0.018, 0.255), (-0.008, 0.265)), 0.018)
MOUTHS = (
    stroke(((-0.06, 0.355), (0, 0.372), (0.06, 0.355)), 0.022),
    stroke(((-0.05, 0.365), (0, 0.36), (0.05, 0.365)), 0.022),
    oval(0, 0.36, 0.045, 0.03),
)


def face(body: Body, rng: np.random.Generator) -> Iterator[Grid]:
    """Eyes, brows, a nose and a mouth, flat on the skin: they turn with the head and vanish behind it."""
    tones, lifts, shapes = EYES[int(rng.integers(len(EYES)))]
    shapes = np.concatenate([shapes, NOSE[None], MOUTHS[int(rng.integers(len(MOUTHS)))][None]])
    lift = np.append(lifts, (0.03, 0.006))[:, None, None]
    x, y = shapes[..., 0], shapes[..., 1]
    height, wide, front, _ = SKULL.T
    z = -np.interp(y, height, front) * np.sqrt(np.maximum(1 - (x / np.interp(y, height, wide)) ** 2, 0)) - lift
    points = body.points["head"] + body.build.head * np.stack([x, y, z], axis=-1) @ body.frames["head"].T
    for tone, grid in zip((*tones, INK, INK), points, strict=True):
        yield Grid(grid, P["head"], tone)
