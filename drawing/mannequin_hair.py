"""The mannequin's hair: a cap over the skull, bangs over the forehead, and locks that end in a point.

A lock is a path of knots with a width and a thickness at each. Knots are given in heads around the middle of the head: x to its left, y down,
z back. Long hair goes on from there: down where the head is upright, along the head where it is not, and outside of the trunk.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drawing.mannequin_body import BROAD, FEW, HAIR, TRIM, P
from drawing.mesh import Grid, cross, smooth, tube, unit
from drawing.poses import Body

Array = NDArray[Any]
Rng = np.random.Generator

SIZE = np.array([0.475, 0.5, 0.49])  # of the hair over the skull, from its middle
MIDDLE = np.array([0, -0.03, 0.03])
# how wide and how thick a lock is at its knots: half of it, in heads
SHORT = ((0.12, 0.19, 0.17, 0), (0.05, 0.09, 0.09, 0))
LONG = ((0.13, 0.2, 0.21, 0.2, 0), (0.05, 0.1, 0.11, 0.1, 0))
TIED = ((0.08, 0.15, 0.18, 0.15, 0), (0.07, 0.13, 0.15, 0.12, 0))
SIDE = ((0.1, 0.13, 0.11, 0), (0.05, 0.07, 0.06, 0))
SPIKE = ((0.12, 0.2, 0.17, 0), (0.05, 0.1, 0.1, 0))
PLAIT = ((0.08, 0.15, 0.1, 0.14, 0.1, 0.13, 0.09, 0.1, 0), (0.07, 0.12, 0.09, 0.12, 0.09, 0.11, 0.08, 0.08, 0))
Girth = tuple[Sequence[float], Sequence[float]]


def around(turn: ArrayLike, rise: ArrayLike, far: ArrayLike = 1.0) -> Array:
    """On the hair over the skull, in heads; `turn` from the front to the left and `rise` over the horizon, in degrees."""
    turn, rise = np.radians(turn), np.radians(rise)
    way = np.stack(np.broadcast_arrays(np.sin(turn) * np.cos(rise), -np.sin(rise), -np.cos(turn) * np.cos(rise)), axis=-1)
    spots: Array = MIDDLE + np.asarray(far)[..., None] * SIZE * way
    return spots


def in_world(body: Body, spots: Array) -> Array:
    placed: Array = body.points["head"] + body.build.head * spots @ body.frames["head"].T
    return placed


LEAN = np.radians(38)  # of the cap's axis, to the back
CAP = MIDDLE + SIZE * tube(
    np.array(
        [
            [
                np.sin(r) * np.array([0, -np.cos(LEAN), np.sin(LEAN)]),
                [np.cos(r), 0, 0],
                np.cos(r) * np.array([0, -np.sin(LEAN), -np.cos(LEAN)]),
                [0] * 3,
            ]
            for r in np.radians([90, 70, 50, 30, 12, -6, -22])
        ]
    ),
    BROAD,
)


def strands(body: Body, knots: Array, girth: Girth, ball: bool = True) -> Iterator[Grid]:
    """One tube for each lock (L, k, 3) in the world, flat on the head; `ball`: lit as one mass."""
    h, centre = body.build.head, body.points["head"]
    middle = smooth(np.moveaxis(knots, 1, 0), 3)  # (K, L, 3)
    wide, thick = (np.maximum(smooth(np.array(values), 3), 1e-4)[:, None, None] * h for values in girth)
    along = unit(np.gradient(middle, axis=0))
    side = unit(cross(middle - centre, along))
    rings = np.stack([middle, side * wide, cross(along, side) * thick, np.zeros_like(middle)], axis=2)
    for points in np.moveaxis(tube(rings, FEW), 1, 0):
        yield Grid(points, P["hair"], HAIR, facing=points - centre if ball else None)


def fringe(body: Body, rng: Rng, sides: float) -> Iterator[Grid]:
    """Bangs from the crown over the forehead, and a lock before each ear that hangs down to `sides`."""
    count = int(rng.integers(5, 8))
    sweep = float(rng.uniform(-14, 14))  # degrees
    turn = np.linspace(-58, 58, count) + rng.uniform(-5, 5, count)
    knots = np.stack([around(0.5 * turn, 72), around(0.8 * turn, 42, 1.03), around(turn + 0.3 * sweep, 14, 1.05), around(turn + sweep, 0)], axis=1)
    knots[:, 3, 1] = rng.uniform(-0.02, 0.07) + 0.04 * np.abs(turn) / 58 + rng.uniform(-0.05, 0.03, count)
    wide = 0.6 / (count - 1)
    yield from strands(body, in_world(body, knots), ((0.1, wide, 0.9 * wide, 0), (0.04, 0.06, 0.05, 0)))
    tips = sides + rng.uniform(-0.04, 0.04, 2)
    knots = np.array([[(0.3, -0.36, -0.2), (0.43, -0.1, -0.24), (0.465, 0.15, -0.22), (0.43, tip, -0.26)] for tip in tips])
    knots[1, :, 0] *= -1
    yield from strands(body, in_world(body, knots), SIDE)


def mop(body: Body, rng: Rng, low: float, flick: float) -> Iterator[Grid]:
    """From the crown to the nape; `low`: how far down the tips hang, `flick`: how far they stand out."""
    turn = np.linspace(88, 272, 7) + rng.uniform(-4, 4, 7)
    knots = np.stack([around(turn, 60, 0.96), around(turn, 20, 1.04), around(turn, -12, 1.1), around(turn, -12, 1.1 + flick)], axis=1)
    knots[:, 2, 1], knots[:, 3, 1] = 0.45 * low, low + rng.uniform(-0.06, 0.06, 7)
    yield from strands(body, in_world(body, knots), SHORT)


def tier(body: Body, rng: Rng, low: float) -> Iterator[Grid]:
    """Over the back of what lies below, with tips `low` down."""
    count = int(rng.integers(5, 10))
    turn = np.linspace(75, 285, count) + rng.uniform(-6, 6, count)
    knots = np.stack([around(turn, 70, 1.0), around(turn, 45, 1.14), around(turn, 22, 1.26), around(turn, 0, 1.34)], axis=1)
    knots[:, 3, 1] = low + rng.uniform(-0.08, 0.08, count)
    yield from strands(body, in_world(body, knots), ((0.05, 1.1 / count, 1.0 / count, 0), (0.02, 0.06, 0.05, 0)))


def fall(body: Body, starts: Array, length: Array, away: float = 0.0) -> Array:
    """Three knots more, after two each (L, 2, 3) in the world; `length` in heads, `away`: how much they go on away from the head."""
    h, head = body.build.head, body.frames["head"]
    hang = max(0.0, float(head[1, 1]))
    knots = [starts[:, 0], starts[:, 1]]
    down = 0.75 * hang * np.array([0, 1, 0]) + (1 - 0.6 * hang) * head[:, 1] + away * unit(starts[:, 1] - body.points["head"])
    down = unit(down)
    for mix in (0.45, 0.75, 1.0):
        on = unit(knots[-1] - knots[-2])
        knots.append(outside(body, knots[-1] + unit((1 - mix) * on + mix * down) * (length / 3 * h)[:, None]))
    return np.stack(knots, axis=1)


def outside(body: Body, points: Array) -> Array:
    """Points (N, 3) pushed out of the trunk, two oval columns, and out of the head."""
    p, s, h, u = body.points, body.build.shoulder, body.build.head, body.build.pelvis
    chest, pelvis, torso = body.frames["chest"], body.frames["pelvis"], body.build.torso
    for top, frame, long, wide, deep in (
        (p["neck"], chest, 0.6 * torso, 1.05 * s, 0.85 * s),
        (p["waist"], pelvis, 0.4 * torso + 1.5 * u, 2 * u, 1.5 * u),
    ):
        local = (points - top) @ frame
        reach = np.sqrt((local[:, 0] / wide) ** 2 + (local[:, 2] / deep) ** 2)
        inside = (reach < 1) & (local[:, 1] > -0.1 * h) & (local[:, 1] < long)
        local[:, ::2] *= np.where(inside, 1 / np.maximum(reach, 0.05), 1)[:, None]
        points = top + local @ frame.T
    off = points - p["head"]
    moved: Array = p["head"] + off * np.maximum(1, 0.5 * h / np.sqrt((off * off).sum(axis=1)))[:, None]
    return moved


BAND = np.array([(-0.05, 0.3), (-0.04, 0.9), (0, 1.1), (0.04, 0.9), (0.05, 0.3)])  # where along, how wide


def band(body: Body, spot: Sequence[float], way: Sequence[float], wide: float) -> Grid:
    """What ties the hair together, around `way` out of the head."""
    h, frame = body.build.head, body.frames["head"]
    along = unit(frame @ np.array(way))
    side = unit(cross(along, frame @ (0.3, 1, 0)))
    rings = np.zeros((len(BAND), 4, 3))
    rings[:, 0] = in_world(body, np.array(spot)) + BAND[:, :1] * h * along
    rings[:, 1], rings[:, 2] = BAND[:, 1:] * wide * h * side, BAND[:, 1:] * wide * h * cross(along, side)
    return Grid(tube(rings, FEW), P["hair"], TRIM)


def short(body: Body, rng: Rng) -> Iterator[Grid]:
    yield from fringe(body, rng, 0.28)
    yield from mop(body, rng, 0.36, float(rng.uniform(-0.1, 0.15)))


def bob(body: Body, rng: Rng) -> Iterator[Grid]:
    yield from fringe(body, rng, 0.46)
    yield from mop(body, rng, 0.6, float(rng.uniform(-0.25, 0.05)))


def long(body: Body, rng: Rng) -> Iterator[Grid]:
    yield from fringe(body, rng, float(rng.uniform(0.45, 0.8)))
    turn = np.linspace(98, 262, 7)
    starts = in_world(body, np.stack([around(turn, 50, 0.96), around(turn, 5, 1.08)], axis=1))
    yield from strands(body, fall(body, starts, rng.uniform(1.0, 2.6) + rng.uniform(-0.12, 0.12, 7)), LONG)


def ponytail(body: Body, rng: Rng) -> Iterator[Grid]:
    yield from fringe(body, rng, float(rng.uniform(0.3, 0.5)))
    y = float(rng.uniform(-0.35, 0.1))
    yield band(body, (0, y, 0.51), (0, -0.4, 1), 0.11)
    starts = in_world(body, np.array([[(0.5 * x, y, 0.47), (x, y - 0.08 + rise, 0.72)] for x, rise in ((-0.08, 0), (0.01, 0.04), (0.08, 0))]))
    yield from strands(body, fall(body, starts, rng.uniform(1.0, 2.2) + np.array([-0.15, 0.1, -0.05])), TIED, ball=False)


def tails(body: Body, rng: Rng) -> Iterator[Grid]:
    yield from fringe(body, rng, 0.4)
    y, length = float(rng.uniform(-0.3, 0.1)), float(rng.uniform(1.0, 2.2))
    for x in (-1, 1):
        yield band(body, (0.44 * x, y, 0.1), (x, 0, 0.1), 0.1)
        starts = in_world(body, np.array([[(0.42 * x, y, 0.1 + z), (0.66 * x, y + 0.02, 0.12 + 1.5 * z)] for z in (-0.06, 0.06)]))
        yield from strands(body, fall(body, starts, length + np.array([0, -0.15]), 0.25), TIED, ball=False)


def bun(body: Body, rng: Rng) -> Iterator[Grid]:
    yield from fringe(body, rng, float(rng.uniform(0.25, 0.5)))
    ball = np.stack([np.zeros((9, 3)), np.diag([1.0, 0, 0])[[0] * 9], np.diag([0, 0, -1.0])[[2] * 9], np.zeros((9, 3))], axis=1)
    ball *= np.sin(np.linspace(0, np.pi, 9))[:, None, None]
    ball[:, 0, 1] = -np.cos(np.linspace(0, np.pi, 9))
    yield Grid(in_world(body, (0, -0.38, 0.42) + 0.24 * tube(ball, BROAD)), P["hair"], HAIR)
    yield band(body, (0, -0.28, 0.34), (0, -0.7, 0.7), 0.2)


def spiky(body: Body, rng: Rng) -> Iterator[Grid]:
    yield from fringe(body, rng, 0.2)
    turn = np.concatenate([np.linspace(70, 290, 8), np.linspace(40, 320, 7)]) + rng.uniform(-8, 8, 15)
    low = np.arange(15) < 8
    rise = np.where(low, -8, 30) + rng.uniform(-8, 8, 15)
    tips = around(turn, np.where(low, rise - 16, rise + 2), np.where(low, 1.25, 1.45) + rng.uniform(0, 0.2, 15))
    knots = np.stack([around(turn, rise + 50, 0.95), around(turn, rise + 28, 1.03), around(turn, rise + 8, 1.12), tips], axis=1)
    yield from strands(body, in_world(body, knots), SPIKE)


def layered(body: Body, rng: Rng) -> Iterator[Grid]:
    """Its tips lie across the back of the head as bangs do across the forehead."""
    yield from fringe(body, rng, float(rng.uniform(0.25, 0.5)))
    yield from mop(body, rng, float(rng.uniform(0.4, 0.65)), float(rng.uniform(-0.25, 0)))
    for low in rng.uniform((-0.15, 0.1), (0.05, 0.3))[: int(rng.integers(1, 3))].tolist():
        yield from tier(body, rng, low)


def swept(body: Body, rng: Rng) -> Iterator[Grid]:
    """Combed back from a bare forehead; the tips end behind."""
    count = int(rng.integers(4, 8))
    turn = np.linspace(-52, 52, count) + rng.uniform(-4, 4, count)
    back, low = 180 - turn, rng.uniform(-20, 10, count)
    knots = [around(turn, 32, 0.98), around(turn, 60, 1.04), around(back, 55, 1.08), around(back, 20, 1.12), around(back, low, 1.16)]
    wide = 1 / count
    yield from strands(body, in_world(body, np.stack(knots, axis=1)), ((0.06, 0.9 * wide, wide, 0.8 * wide, 0), (0.03, 0.05, 0.06, 0.05, 0)))
    yield from mop(body, rng, float(rng.uniform(0.3, 0.5)), float(rng.uniform(-0.1, 0.1)))


def plait(body: Body, rng: Rng) -> Iterator[Grid]:
    yield from fringe(body, rng, float(rng.uniform(0.3, 0.5)))
    starts = in_world(body, np.array([[(0, 0.12, 0.47), (0, 0.3, 0.54)]]))
    knots = smooth(fall(body, starts, rng.uniform(1.2, 2.2, 1))[0], 2)
    yield from strands(body, knots[None], PLAIT, ball=False)


HAIR_STYLES: dict[str, Callable[[Body, Rng], Iterator[Grid]]] = {
    "short": short, "bob": bob, "long": long, "ponytail": ponytail, "tails": tails, "bun": bun, "spiky": spiky,
    "layered": layered, "swept": swept, "plait": plait,
}  # fmt: skip
TIERED = ("short", "bob", "long", "ponytail", "tails", "plait")


def hair(body: Body, style: str, rng: Rng) -> Iterator[Grid]:
    """Now and then with a tier over it, so that tips on a head do not say that it is seen from the front."""
    skull = in_world(body, CAP)
    yield Grid(skull, P["hair"], HAIR, facing=skull - body.points["head"])
    yield from HAIR_STYLES[style](body, rng)
    if style in TIERED and rng.random() < 0.3:
        yield from tier(body, rng, float(rng.uniform(-0.15, 0.3)))
