"""What the mannequin wears: silhouettes over the trunk and the limbs, each open at its hem, and what is drawn on them.

Lengths as in mannequin_body.py. Skirts and the tails of jackets are shaped on a body that stands, then carried along by pelvis, thighs and
shanks, as skin is.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawing.mannequin_body import (
    BELT,
    BOTTOM,
    BROAD,
    INK,
    ROUND,
    SHOES,
    SKIN,
    TOP,
    TRIM,
    WHITE,
    P,
    arm,
    around,
    capped,
    foot,
    hand,
    leg,
    neck,
    ramp,
    trunk,
)  # fmt: skip
from drawing.mesh import Grid, circle, cross, smooth, tube, unit
from drawing.poses import Body

Array = NDArray[Any]
Rng = np.random.Generator
Spots = Sequence[tuple[float, float]]

PLEATED = 32  # points around a skirt
NECKLINE = 3  # the ring of the trunk where a shirt begins
SLIM = np.array([0.75, 0.82, 0.89, 0.96])[:, None, None]  # thighs under what hangs over them
THIN = 0.003  # a seam, in body heights
OFF = 0.0025  # how far what is drawn on cloth lies off it


def hemmed(points: Array, part: int, tone: int) -> Iterator[Grid]:
    """Cloth around a limb: open at its end, but one does not see far into it."""
    yield Grid(points[:-2], part, tone)
    yield Grid(points[-3:], part, tone, shell=True)


def arms(body: Body, sleeve: float, wider: float) -> Iterator[Grid]:
    """`sleeve`: 0 bare, 1 to the elbow, 2 to the wrist; how much `wider` than the arm, in u."""
    u = body.build.pelvis
    for side in "lr":
        bare = arm(body, side)
        covered = round(sleeve / 2 * (len(bare) - 1))
        yield Grid(tube(capped(bare[max(0, covered - 2) :], 0.36 * u * (covered == 0), 0.15 * u), ROUND), P[f"{side}_arm"], SKIN)
        if covered:
            yield from hemmed(tube(capped(around(bare[: covered + 1], wider * u), 0.36 * u), ROUND), P[f"{side}_arm"], TOP)


def legs(body: Body, hem: float, wider: float, shoes: int, socks: float = 0.0, slim: bool = False) -> Iterator[Grid]:
    """`hem`: 0 bare, 1 trousers to the knee, 2 to the ankle, so much `wider` there, in u; `socks` up from the ankle, 1 to the knee; `slim` at
    the top, to fit under a skirt."""
    u = body.build.pelvis
    for side in "lr":
        part, bare = P[f"{side}_leg"], leg(body, side)
        last = len(bare) - 1
        covered, sock = round(hem / 2 * last), last - round(socks / 2 * last)
        if slim:
            bare[: len(SLIM), 1:] *= SLIM
        if covered:
            cloth = around(bare[: covered + 1], (0.04 + wider * np.linspace(0, 1, covered + 1) ** 1.5) * u)
            yield from hemmed(tube(capped(cloth, 0.7 * u), ROUND), part, BOTTOM)
        if socks:
            yield Grid(tube(capped(bare[sock:], 0, 0.2 * u), ROUND), part, TRIM)
        yield Grid(tube(capped(bare[max(0, covered - 2) : sock + 1], 0.7 * u * (covered == 0), 0.2 * u * (socks == 0)), ROUND), part, SKIN)
        yield foot(body, side, shoes)


def turned(frame: Array, way: Array) -> Array:
    """The frame (3, 3) turned the shortest way until its down points along `way`."""
    axis = cross(frame[:, 1], way)
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    moved: Array = frame + (skew + skew @ skew / max(1 + float(frame[:, 1] @ way), 0.05)) @ frame
    return moved


# Around a skirt, rather a rounded box than an oval; each pleat rises slowly and falls back.
LEFTWARD, BACKWARD = (np.sign(wave) * np.abs(wave) ** 0.85 for wave in (circle(PLEATED)[:, 1], -circle(PLEATED)[:, 2]))
PLEATS = np.tile([-0.5, 0.1, 0.5, 0.6], PLEATED // 4)


def drape(body: Body, belt: Array, length: float, flare: float, pleats: float) -> Array:
    """Points (K, PLEATED, 3) from the belt, a ring (4, 3) of the trunk, down; `length` in thighs, `flare` in u, `pleats` in shares."""
    p, u, thigh, hips = body.points, body.build.pelvis, body.build.thigh, body.frames["pelvis"]
    ways = {side: [unit(p[f"{side}_{b}"] - p[f"{side}_{a}"]) for a, b in (("socket", "knee"), ("knee", "ankle"))] for side in "lr"}
    hang = max(0.0, float((ways["l"][0] + ways["r"][0])[1]) / 2)  # what does not hang lies close to the thighs
    top, bottom = -0.2 * body.build.torso, length * thigh
    height = smooth(np.array([top, 0.5 * top, 0.1 * u, 0.35 * bottom, 0.65 * bottom, bottom]), 2)
    share, over = np.clip(height / bottom, 0, 1), ramp(height, top, 0.1 * u)
    wide = 2.15 + (hang * (flare + 0.2) - 0.2) * share
    deep = 1.45 + (hang * (0.9 * flare + 0.5) - 0.5) * share
    folds = u * (1 + pleats * share[:, None] * PLEATS)
    # left, down and back from the hip
    rest = np.stack(
        [wide[:, None] * folds * LEFTWARD, np.repeat(height[:, None], PLEATED, axis=1), deep[:, None] * folds * BACKWARD + 0.12 * u], axis=-1
    )
    carried = p["hip"] + rest @ hips.T
    left = ramp(LEFTWARD, -0.6, 0.6)[:, None]
    below = ramp(height, 0.85 * thigh, 1.2 * thigh)[:, None, None]
    by_legs = np.zeros_like(carried)
    for side, sign, weight in (("l", 1, left), ("r", -1, 1 - left)):
        way, way_on = ways[side]
        frame = turned(hips, way)
        by_leg = p[f"{side}_socket"] + (rest - (sign * u, 0, 0)) @ frame.T
        if length > 0.85:
            by_leg += below * (p[f"{side}_knee"] + (rest - (sign * u, thigh, 0)) @ turned(frame, way_on).T - by_leg)
        by_legs += weight * by_leg
    points = carried + ramp(height, -0.6 * u, 1.6 * u)[:, None, None] * (by_legs - carried)
    from_belt: Array = points + (1 - over)[:, None, None] * (circle(PLEATED) @ belt - points[0])
    return from_belt


# --- drawn on cloth


def on(grid: Array, spots: Array) -> tuple[Array, Array]:
    """Points (..., 3) of a grid at `spots` (..., 2), degrees from the front to the left and rings, and which way is out there."""
    columns = grid.shape[1]
    column, ring = columns / 4 - spots[..., 0] * columns / 360, np.clip(spots[..., 1], 0, len(grid) - 1.001)
    at, row = np.floor(column).astype(int), ring.astype(int)
    a, b = (ring - row)[..., None], (column - at)[..., None]
    near, far = at % columns, (at + 1) % columns
    points = (1 - a) * ((1 - b) * grid[row, near] + b * grid[row, far]) + a * ((1 - b) * grid[row + 1, near] + b * grid[row + 1, far])
    return points, unit(points - grid.mean(axis=1)[row])


def path(spots: Spots, count: int) -> Array:
    """(count, 2): points along a path, as many on each of its edges."""
    knots = np.array(spots, float)
    share = np.linspace(0, len(knots) - 1, count)
    return np.stack([np.interp(share, np.arange(len(knots)), values) for values in knots.T], axis=1)


SHRINK = np.array([1, 0.7, 0.4, 0.15, 0])[:, None, None]


def patch(cloth: Grid, corners: Spots, tone: int, lift: float) -> Grid:
    """A polygon on cloth, filled toward its middle; corners as in `on`."""
    loop = path([*corners, corners[0]], BROAD + 1)[:-1]
    points, out = on(cloth.points, loop.mean(axis=0) + SHRINK * (loop - loop.mean(axis=0)))
    return Grid(points + lift * out, cloth.part, tone, shell=True, facing=out)


def both_sides(spots: Spots) -> tuple[Spots, Spots]:
    return spots, [(-turn, ring) for turn, ring in spots]


def ribbons(lines: Array, out: Array, part: int, tone: int, wide: float) -> Iterator[Grid]:
    """Along lines (L, R, 3) on a surface that faces `out`."""
    across = unit(cross(np.gradient(lines, axis=1), out)) * wide / 2
    edges, middles, facing = (np.concatenate([a, b[:, ::-1]], axis=1) for a, b in ((lines - across, lines + across), (lines, lines), (out, out)))
    for points, normals in zip(np.stack([edges, middles], axis=1), np.stack([facing, facing], axis=1), strict=True):
        yield Grid(points, part, tone, shell=True, facing=normals)


def seam(cloth: Grid, spots: Spots, tone: int = INK, wide: float = THIN, lift: float = OFF) -> Iterator[Grid]:
    line, out = on(cloth.points, path(spots, ROUND // 2))
    return ribbons((line + lift * out)[None], out[None], cloth.part, tone, wide)


def pleated(skirt: Array, tone: int, every: int) -> Iterator[Grid]:
    """A skirt with a line down every so many columns."""
    yield Grid(skirt, P["skirt"], tone, shell=True)
    low = skirt[4:]
    out = np.moveaxis(unit(low - low.mean(axis=1, keepdims=True))[:, ::every], 1, 0)
    yield from ribbons(np.moveaxis(low[:, ::every], 1, 0) + OFF * out, out, P["skirt"], INK, THIN)


def sash(skirt: Array, tone: int) -> Grid:
    """Around the waist, over the top of a skirt."""
    belt = skirt[1:3]
    return Grid(belt + 0.03 * (belt - belt.mean(axis=1, keepdims=True)), P["skirt"], tone, shell=True)


def bow(body: Body, cloth: Grid, spot: tuple[float, float], size: float) -> Iterator[Grid]:
    """Two loops and two ends; `size` in u."""
    u, left, down = size * body.build.pelvis, body.frames["chest"][:, 0], body.frames["chest"][:, 1]
    (middle,), (out,) = on(cloth.points, np.array([spot]))
    for sideways, downward, long, wide in ((1, 0.15, 0.75, 0.34), (-1, 0.15, 0.75, 0.34), (0.3, 1, 0.8, 0.2), (-0.3, 1, 0.8, 0.2)):
        way = unit(sideways * left + downward * down)
        across = unit(cross(out, way))
        rings = np.zeros((4, 4, 3))
        rings[:, 0] = middle + 0.12 * u * out + np.array([0, 0.2, 1.0, 1.05])[:, None] * long * u * way
        rings[:, 1] = np.array([0.1, 0.4, 1, 0.1])[:, None] * wide * u * across
        rings[:, 2] = np.array([0.05, 0.12, 0.12, 0.02])[:, None] * u * cross(way, across)
        yield Grid(tube(rings, ROUND), P["bow"], TRIM)


def hood(body: Body) -> Grid:
    """Thrown back: a roll around the neck, thick and low behind."""
    h, chest = body.build.head, body.frames["chest"]
    turn = np.radians(np.linspace(165, -165, 13))[:, None]  # from the back to the left
    left, back, none = np.sin(turn), np.cos(turn), np.zeros_like(turn)
    low = np.maximum(back, 0)
    thick = (0.085 + 0.11 * low) * h
    thick[[0, -1]] *= 0.3
    rings = np.zeros((len(turn), 4, 3))
    rings[:, 0] = body.points["neck"] + h * np.concatenate([0.26 * left, 0.14 * low - 0.05, 0.3 * back + 0.03], axis=1) @ chest.T
    rings[:, 1], rings[:, 2] = thick * np.concatenate([left, none, back], axis=1) @ chest.T, -1.3 * thick * chest[:, 1]
    return Grid(tube(rings, ROUND), P["hood"], TOP)


# --- outfits


def shirt(body: Body, rings: Array, sleeve: float, wider: float, below: int, slim: bool = False) -> Iterator[Grid]:
    """Over the rings of a trunk. The first grid is what can be drawn on; `slim` hips fit under what hangs over them."""
    points = tube(rings, BROAD)
    if slim:
        middle = points[BELT + 1 :].mean(axis=1, keepdims=True)
        points[BELT + 1 :] = middle + 0.82 * (points[BELT + 1 :] - middle)
    yield Grid(points[NECKLINE : BELT + 1 + slim], P["torso"], TOP)
    yield Grid(points[: NECKLINE + 1], P["torso"], SKIN)
    yield Grid(points[BELT:], P["torso"], below)
    yield from arms(body, sleeve, wider)


def croquis(body: Body, _: Rng) -> Iterator[Grid]:
    """Nothing, not even shoes."""
    yield Grid(tube(trunk(body, 0.0), BROAD), P["torso"], SKIN)
    yield from arms(body, 0, 0)
    yield from legs(body, 0, 0, SKIN)


def trousers(body: Body, rng: Rng) -> Iterator[Grid]:
    front, *others = shirt(body, trunk(body, 0.18), float(rng.choice((0.5, 1.92))), 0.08, BOTTOM)
    yield from (front, *others, *seam(front, [(0, 2), (0, 8), (0, 15)]))
    for collar in both_sides([(0, 0), (39, -0.5), (45, 2), (18, 3.2), (0, 2)]):
        yield patch(front, collar, TRIM, OFF)
    yield from legs(body, 1.92, float(rng.uniform(0.05, 0.35)), SHOES)


def shorts(body: Body, rng: Rng) -> Iterator[Grid]:
    yield from shirt(body, trunk(body, 0.2), float(rng.choice((0.0, 0.5))), 0.12, BOTTOM)
    yield from legs(body, float(rng.uniform(0.35, 0.7)), 0.3, SHOES, float(rng.choice((0.0, 0.3, 1.1))))


def uniform(body: Body, rng: Rng) -> Iterator[Grid]:
    """A sailor collar with a bow, and a pleated skirt."""
    rings = trunk(body, 0.15)
    front, *others = shirt(body, rings, float(rng.choice((0.55, 1.92))), 0.1, BOTTOM, slim=True)
    yield from (front, *others, patch(front, [(-39, -0.5), (39, -0.5), (0, 6.2)], SKIN, OFF))
    for collar in both_sides([(0, 6.2), (36, -0.5), (84, 0.5), (63, 3.5), (12, 7.4)]):
        yield patch(front, collar, TRIM, 1.5 * OFF)
    yield patch(front, [(96, 0.5), (264, 0.5), (240, 6.5), (120, 6.5)], TRIM, 2.5 * OFF)
    yield from bow(body, front, (0, 6.8), 1.0)  # where the collar meets
    yield from pleated(drape(body, rings[BELT], float(rng.uniform(0.5, 0.75)), float(rng.uniform(0.6, 1.1)), 0.05), BOTTOM, 4)
    yield from legs(body, 0, 0, SHOES, float(rng.choice((0.25, 0.85, 1.35))), slim=True)


def dress(body: Body, rng: Rng) -> Iterator[Grid]:
    rings = trunk(body, 0.1)
    yield from shirt(body, rings, float(rng.choice((0.0, 0.5, 1.92))), 0.1, TOP, slim=True)
    skirt = drape(body, rings[BELT], float(rng.uniform(0.8, 1.4)), float(rng.uniform(0.9, 1.6)), 0.02)
    yield from pleated(skirt, TOP, 8)
    yield sash(skirt, TRIM)
    yield from legs(body, 0, 0, SHOES, float(rng.choice((0, 0.3))), slim=True)


def jacket(body: Body, rng: Rng) -> Iterator[Grid]:
    """Lapels and a tie, down to the hips."""
    rings = trunk(body, 0.45)
    front, *others = shirt(body, rings, 1.9, 0.16, BOTTOM, slim=True)
    yield from (front, *others, *seam(front, [(0, 9), (0, 12), (0, 15)]))
    yield patch(front, [(-36, -0.5), (36, -0.5), (0, 9)], WHITE, OFF)
    yield from seam(front, [(0, 0.5), (3, 4), (0, 8)], TRIM, 3 * THIN, 1.5 * OFF)
    for lapel in both_sides([(0, 9), (42, 4.2), (69, 3.6), (66, 0.8), (33, -0.5)]):
        yield patch(front, lapel, TOP, 1.5 * OFF)
        yield from seam(front, lapel[:-1], lift=2 * OFF)
    yield Grid(drape(body, rings[BELT], float(rng.uniform(0.12, 0.25)), 0.1, 0.0), P["skirt"], TOP, shell=True)
    yield from legs(body, 1.92, float(rng.uniform(0.05, 0.3)), SHOES, slim=True)


def hoodie(body: Body, rng: Rng) -> Iterator[Grid]:
    rings = trunk(body, 0.6)
    front, *others = shirt(body, rings, 1.9, 0.2, BOTTOM, slim=True)
    yield from (front, *others, hood(body))
    for string in both_sides([(18, 0), (21, 3), (19.5, 5.5)]):
        yield from seam(front, string)
    yield Grid(drape(body, rings[BELT], 0.12, 0.0, 0.0), P["skirt"], TOP, shell=True)
    yield from legs(body, float(rng.choice((0.6, 1.92))), float(rng.uniform(0.05, 0.3)), SHOES, slim=True)


def apron(body: Body, rng: Rng) -> Iterator[Grid]:
    """A bib over a dress, whose straps cross behind and are tied there with a bow."""
    rings = trunk(body, 0.12)
    front, *others = shirt(body, rings, float(rng.choice((0.0, 0.5, 1.92))), 0.1, TOP, slim=True)
    yield from (front, *others, patch(front, [(-33, 4), (33, 4), (48, 15), (-48, 15)], WHITE, OFF))
    for edge, strap in zip(both_sides([(33, 4), (48, 15)]), both_sides([(150, 0), (192, 14)]), strict=True):
        yield from seam(front, edge, lift=2.5 * OFF)
        yield from seam(front, strap, TRIM, 5 * THIN, 2.5 * OFF)
    yield from bow(body, front, (180, 14.5), float(rng.uniform(0.9, 1.6)))
    skirt = drape(body, rings[BELT], float(rng.uniform(0.6, 1.2)), float(rng.uniform(0.7, 1.4)), 0.02)
    yield from pleated(skirt, TOP, 8)
    yield sash(skirt, WHITE)
    yield from legs(body, 0, 0, SHOES, float(rng.choice((0, 0.3, 1.1))), slim=True)


OUTFITS: dict[str, Callable[[Body, Rng], Iterator[Grid]]] = {
    "croquis": croquis, "trousers": trousers, "shorts": shorts, "uniform": uniform, "dress": dress, "jacket": jacket, "hoodie": hoodie,
    "apron": apron,
}  # fmt: skip


def clothed(body: Body, outfit: str, rng: Rng) -> Iterator[Grid]:
    """The body below the head."""
    yield neck(body)
    yield from OUTFITS[outfit](body, rng)
    for side in "lr":
        yield from hand(body, side, rng)
