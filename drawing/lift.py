"""A 2D pose, or 3D joints -> the body and the camera that look like it: mannequins in the poses of real people.

Each pose starts at the procedural bodies that look most like it, which also guess what lies in front and what behind, and is refined by
Levenberg-Marquardt (Marquardt 1963, https://doi.org/10.1137/0111030), all poses at once. The unknowns are the angles, the camera's three,
the lengths of the parts, and size and place in the picture; angles stay where some kind of drawing/poses.py may take them. Least squares
weigh how far the joints lie off against how far the body is from the one it started at.

N bodies; P unknowns: 27 angles and 3 of the camera in degrees, 8 logarithms of lengths, the logarithm of the size, 2 or 3 of place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drawing.poses import (
    ANGLES,
    EASE,
    KINDS,
    LIMITS,
    WEIGHTS,
    Body,
    Build,
    Camera,
    Range,
    collides,
    move,
    sample_angles,
    sample_build,
    sample_camera,
    shrug,
)
from genga.skeleton import JOINTS, J, normalise

Array = NDArray[Any]

GALLERY = 4096  # procedural bodies to start at
STARTS = 4  # of them are tried for each pose
FIRST_STEPS, STEPS = 12, 24
TOLERANCE = 0.02  # of the pose's longer side: how exactly joints are placed
OVERSTEP = 1.0  # degrees: how hard the limits are
# how far the unknowns stray from where they start
ANGLE_SPREAD, TURN_SPREAD, TILT_SPREAD, LENGTH_SPREAD = 30.0, 30.0, 8.0, 0.12
CLEAR, CONTACT = 1.1, 0.005  # limbs keep this much more than the distance at which they collide; body heights: how hard they push
MAX_ERROR = 0.08  # mean distance of the joints, of the longer side: farther off, a body is not in that pose
MAX_STRETCH = 0.4  # logarithm: a part more than 1.5 times too long or too short is none of that pose
MIN_DISTANCE = 3.0  # of the camera, in body heights

UPPER = ("neck", "head", "l_elbow", "l_wrist", "r_elbow", "r_wrist")
# Lengths that the 11 joints tell, and what each lengthens: the way from one point to another, and the joints beyond it.
LENGTHS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "neck": (("neck", "head", ("head",)),),
    "torso": (("hip", "neck", UPPER),),
    "shoulder": tuple(("neck", f"{side}_shoulder", (f"{side}_elbow", f"{side}_wrist")) for side in "lr"),
    "pelvis": tuple(("hip", f"{side}_socket", (f"{side}_knee", f"{side}_ankle")) for side in "lr"),
    "upper_arm": tuple((f"{side}_shoulder", f"{side}_elbow", (f"{side}_elbow", f"{side}_wrist")) for side in "lr"),
    "forearm": tuple((f"{side}_elbow", f"{side}_wrist", (f"{side}_wrist",)) for side in "lr"),
    "thigh": tuple((f"{side}_socket", f"{side}_knee", (f"{side}_knee", f"{side}_ankle")) for side in "lr"),
    "shank": tuple((f"{side}_knee", f"{side}_ankle", (f"{side}_ankle",)) for side in "lr"),
}
# Angles: the point about which each turns, and the joints that it carries along.
ABOUT = {("tumble",): ("hip", JOINTS), ("roll", "pitch"): ("hip", UPPER), ("spine_twist", "spine_tilt", "spine_nod"): ("waist", UPPER)}
ABOUT[("head_twist", "head_tilt", "head_nod")] = ("neck", ("head",))
for _side in "lr":
    ABOUT[tuple(f"{_side}_{angle}" for angle in ("swing", "raise", "arm_twist"))] = (f"{_side}_shoulder", (f"{_side}_elbow", f"{_side}_wrist"))
    ABOUT[tuple(f"{_side}_{angle}" for angle in ("lift", "spread", "turn"))] = (f"{_side}_socket", (f"{_side}_knee", f"{_side}_ankle"))
    ABOUT |= {(f"{_side}_elbow",): (f"{_side}_elbow", (f"{_side}_wrist",)), (f"{_side}_knee",): (f"{_side}_knee", (f"{_side}_ankle",))}


def keep_apart() -> tuple[Array, Array]:
    """What drawing.poses.collides compares, by joints alone: the ways between R pairs of points (R, 11) as weights of joints, and the distance
    that each pair keeps (R, 11) as weights of a build's lengths."""
    joint = dict(zip(JOINTS, np.eye(len(JOINTS)), strict=True))
    torso = [joint["hip"] + share * (joint["neck"] - joint["hip"]) for share in (0.0, 0.4, 0.6, 0.8)]
    arms = [[joint[f"{side}_elbow"], joint[f"{side}_wrist"], 1.5 * joint[f"{side}_wrist"] - 0.5 * joint[f"{side}_elbow"]] for side in "lr"]
    legs = [[joint[f"{side}_knee"], joint[f"{side}_ankle"]] for side in "lr"]
    limbs = [*arms[0], *arms[1], *legs[0], *legs[1]]
    groups = [(limbs, torso, "shoulder", 0.9), (limbs, [joint["head"]], "head", 0.55), (arms[0], arms[1], "hand", 0.3)]
    groups += [(legs[0], legs[1], "pelvis", 0.5), (limbs[:6], limbs[6:], "pelvis", 0.8)]
    pairs = [(a, b, name, share) for ours, theirs, name, share in groups for a in ours for b in theirs]
    names = [field.name for field in fields(Build)]
    lengths = np.array([[share * (name == other) for other in names] for _, _, name, share in pairs])
    return np.array([a - b for a, b, _, _ in pairs]), lengths


BETWEEN, CLEARANCE = keep_apart()
NUM_ANGLES, NUM_LENGTHS = len(ANGLES), len(LENGTHS)
VIEW = slice(NUM_ANGLES, NUM_ANGLES + 3)
LOG_LENGTHS = slice(VIEW.stop, VIEW.stop + NUM_LENGTHS)
LOG_SIZE = LOG_LENGTHS.stop


def widest(name: str) -> Range:
    """The range that an angle has in any kind of pose."""
    part = name[2:] if name[:2] in ("l_", "r_") else name
    ranges = [LIMITS[part], EASE[part], *(own[key] for own in KINDS.values() for key in (part, f"l_{part}", f"r_{part}") if key in own)]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


OTHER_SIDE = [ANGLES.index({"l_": "r_", "r_": "l_"}.get(name[:2], name[:2]) + name[2:]) for name in ANGLES]
MIRROR_SIGNS = np.array([-1 if name in ("roll", "spine_tilt", "spine_twist", "head_tilt", "head_twist") else 1 for name in ANGLES])
LOW, HIGH = (np.array(ends, float) for ends in zip(*map(widest, ANGLES), strict=True))


@dataclass(frozen=True)
class Bodies:
    """N bodies in front of cameras: angles (N, 27); lengths (N, 11), the fields of Build; cameras (N, 4), the fields of Camera."""

    angles: Array
    lengths: Array
    cameras: Array

    def __len__(self) -> int:
        return len(self.angles)

    def __getitem__(self, rows: Any) -> "Bodies":
        return Bodies(self.angles[rows], self.lengths[rows], self.cameras[rows])

    @staticmethod
    def joined(parts: Sequence["Bodies"]) -> "Bodies":
        return Bodies(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Bodies)))

    def move(self) -> Body:
        return move(Build(*self.lengths.T[..., None]), self.angles)

    def body(self, row: int) -> Body:
        return move(Build(*self.lengths[row].tolist()), self.angles[row])

    def camera(self, row: int) -> Camera:
        return Camera(*self.cameras[row].tolist())

    def mirrored(self) -> "Bodies":
        """The same bodies in a mirror."""
        return Bodies(self.angles[:, OTHER_SIDE] * MIRROR_SIGNS, self.lengths, self.cameras * (-1, 1, -1, 1))

    def varied(self, spread: float, rng: np.random.Generator) -> "Bodies":
        """Angles and cameras changed by normals of this spread in degrees, parts by as many percent; a body that would then collide stays."""
        angles = self.angles + rng.normal(0, spread, self.angles.shape)
        lengths = self.lengths * np.exp(rng.normal(0, spread / 100, self.lengths.shape))
        cameras = self.cameras + rng.normal(0, spread, self.cameras.shape) * (1, 1, 1, 0)
        varied = Bodies(angles.clip(np.minimum(LOW, self.angles), np.maximum(HIGH, self.angles)), lengths, cameras)
        stays = collides(varied.move())
        return Bodies(*(np.where(stays[:, None], getattr(self, part.name), getattr(varied, part.name)) for part in fields(Bodies)))


@cache
def gallery(head_ratio: Range) -> Bodies:
    """Procedural bodies that can take their pose, the same in every process."""
    rng = np.random.default_rng(0)
    kinds = rng.choice(list(WEIGHTS), GALLERY, p=np.array(list(WEIGHTS.values())) / sum(WEIGHTS.values()))
    angles = np.stack([sample_angles(kind, rng) for kind in kinds])
    builds = [sample_build(float(rng.uniform(*head_ratio)), rng) for _ in kinds]
    cameras = [sample_camera(rng) for _ in kinds]
    lengths, views = (np.array([[getattr(item, field.name) for field in fields(item)] for item in items]) for items in (builds, cameras))
    views[:, 3] = np.maximum(views[:, 3], MIN_DISTANCE)
    bodies = Bodies(angles, lengths, views)
    return bodies[~collides(bodies.move())]


# --- what the unknowns make of a body, and how that changes with each


def carried(body: Body) -> tuple[Array, Array]:
    """Joints (N, 11, 3), and how they move with each angle (in degrees) and each logarithm of a length (N, 35, 11, 3)."""
    points, joints = body.points, body.joints()
    levers = np.zeros((len(joints), NUM_ANGLES, len(JOINTS), 3))
    for angles, (pivot, names) in ABOUT.items():
        moved = [J[name] for name in names]
        levers[:, [[ANGLES.index(angle)] for angle in angles], moved] = (joints[:, moved] - points[pivot][:, None])[:, None]
    for angle in ("roll", "pitch"):  # the pelvis carries the sockets; the legs keep their direction
        for joint in ("knee", "ankle"):
            for side in "lr":
                levers[:, ANGLES.index(angle), J[f"{side}_{joint}"]] = points[f"{side}_socket"] - points["hip"]
    axes = np.radians(np.stack([body.axes[angle] for angle in ANGLES], axis=1))
    by_angle = cross(axes[:, :, None], levers)
    chest = body.frames["chest"]
    for side in "lr":
        arm, moved = body.frames[f"{side}_arm"], [J[f"{side}_elbow"], J[f"{side}_wrist"]]
        rising = (shrug(arm, chest) > 0) * 0.25 * body.build.shoulder  # as the slope of drawing.poses.shrug
        for name in ("swing", "raise", "arm_twist"):
            angle_idx = ANGLES.index(f"{side}_{name}")
            rise = (cross(axes[:, angle_idx], arm[..., 1]) * chest[..., 1]).sum(axis=-1, keepdims=True) * rising
            by_angle[:, angle_idx, moved] += (rise * chest[..., 1])[:, None]
    by_length = np.zeros((len(joints), NUM_LENGTHS, len(JOINTS), 3))
    for length_idx, ways in enumerate(LENGTHS.values()):
        for start, end, names in ways:
            by_length[:, length_idx, [J[name] for name in names]] += (points[end] - points[start])[:, None]
    return joints, np.concatenate([by_angle, by_length], axis=1)


def cross(a: Array, b: Array) -> Array:
    """a x b over the last axis; numpy's own takes several times as long."""
    ax, ay, az = np.moveaxis(a, -1, 0)
    bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def camera_rotations(views: Array) -> Array:
    """Turn, elevation and roll (N, 3) in degrees -> (N, 3, 3), as Camera.rotation."""
    (ct, ce, cr), (st, se, sr) = (wave(np.radians(views.T)) for wave in (np.cos, np.sin))
    right, down = np.stack([ct, 0 * ct, st], axis=-1), np.stack([se * st, ce, -se * ct], axis=-1)
    cr, sr = cr[:, None], sr[:, None]
    return np.stack([cr * right - sr * down, sr * right + cr * down, np.stack([-ce * st, se, ce * ct], axis=-1)], axis=1)


def seen(joints: Array, slopes: Array, bodies: Bodies, unknowns: Array, dims: int) -> tuple[Array, Array]:
    """Joints as the camera sees them (N, 11, dims), and how they move with each unknown (N, P, 11, dims).

    With 2 dims in perspective (drawing.poses.look); with 3 only turned and moved.
    """
    rotation = camera_rotations(bodies.cameras[:, :3])
    back = rotation.swapaxes(1, 2)
    middle, middle_slopes = middle_of(joints, slopes)
    points, slopes = (joints - middle) @ back, ((slopes - middle_slopes).reshape(len(joints), -1, 3) @ back).reshape(slopes.shape)
    roll = np.radians(bodies.cameras[:, 2])
    zero = np.zeros(len(points))
    turning = np.stack([rotation[:, :, 1], np.stack([np.cos(roll), np.sin(roll), zero], axis=1), np.stack([zero, zero, zero + 1], axis=1)], axis=1)
    by_view = cross(np.radians(turning)[:, :, None], points[:, None])
    slopes = np.concatenate([slopes[:, :NUM_ANGLES], by_view, slopes[:, NUM_ANGLES:]], axis=1)
    if dims == 2:
        distance = bodies.cameras[:, 3, None, None]
        far = distance + points[..., 2:]
        points = points[..., :2] * distance / far
        slopes = (slopes[..., :2] * distance[:, None] - points[:, None] * slopes[..., 2:]) / far[:, None]
    size = np.exp(unknowns[:, LOG_SIZE, None, None])
    points = size * points
    moved = np.broadcast_to(np.eye(dims)[:, None], (len(points), dims, len(JOINTS), dims))
    slopes = np.concatenate([size[:, None] * slopes, points[:, None], moved], axis=1)
    return points + unknowns[:, None, LOG_SIZE + 1 :], slopes


def middle_of(joints: Array, slopes: Array) -> tuple[Array, Array]:
    """Middle of the box (N, 1, 3), which the camera looks at, and its slopes (N, 35, 1, 3)."""
    rows, axes = np.arange(len(joints))[:, None], np.arange(3)
    low, high = joints.argmin(axis=1), joints.argmax(axis=1)
    middle = (joints[rows, low, axes] + joints[rows, high, axes]) / 2
    middle_slopes = (slopes[rows, :, low, axes] + slopes[rows, :, high, axes]) / 2
    return middle[:, None], middle_slopes.swapaxes(1, 2)[:, :, None]


def contacts(joints: Array, slopes: Array, bodies: Bodies) -> tuple[NDArray[np.int64], Array, Array]:
    """Points that drawing.poses.collides would find too near each other: their rows (C,), by how much (C,), and its slopes (C, 35)."""
    gaps = BETWEEN @ joints
    apart = np.linalg.norm(gaps, axis=-1)
    lack = CLEAR * CLEARANCE @ bodies.lengths.T - apart.T
    pairs, rows = np.nonzero(lack > 0)
    way = gaps[rows, pairs] / np.maximum(apart[rows, pairs], 1e-9)[:, None]
    return rows, lack[pairs, rows], -np.einsum("cajk,cj,ck->ca", slopes[rows], BETWEEN[pairs], way, optimize=True)


def bodies_of(unknowns: Array, start: Bodies) -> Bodies:
    lengths, cameras = start.lengths.copy(), start.cameras.copy()
    names = [field.name for field in fields(Build)]
    lengths[:, [names.index(name) for name in LENGTHS]] *= np.exp(unknowns[:, LOG_LENGTHS])
    cameras[:, :3] = unknowns[:, VIEW]
    return Bodies(unknowns[:, :NUM_ANGLES], lengths, cameras)


# --- least squares


class Fit(NamedTuple):
    """Where each of N fits stands: unknowns (N, P), cost (N,), mean distance of the joints (N,)."""

    unknowns: Array
    cost: Array
    error: Array


class Normal(NamedTuple):
    """The normal equations at some unknowns."""

    cost: Array  # (N,)
    error: Array  # (N,)
    gradient: Array  # (N, P)
    curvature: Array  # (N, P, P)


def normal_equations(unknowns: Array, first: Array, start: Bodies, targets: Array) -> Normal:
    bodies = bodies_of(unknowns, start)
    joints, moves = carried(bodies.move())
    found, slopes = seen(joints, moves, bodies, unknowns, targets.shape[-1])
    off = (found - targets).reshape(len(found), -1)
    slopes = slopes.reshape(*slopes.shape[:2], -1)
    angles = unknowns[:, :NUM_ANGLES]
    over = (angles - np.clip(angles, LOW, HIGH)) / OVERSTEP
    stray = (unknowns - first) / spreads(targets.shape[-1])
    cost = (off**2).sum(axis=1) / TOLERANCE**2 + (stray**2).sum(axis=1) + (over**2).sum(axis=1)
    gradient = (slopes @ off[..., None])[..., 0] / TOLERANCE**2 + stray / spreads(targets.shape[-1])
    gradient[:, :NUM_ANGLES] += over / OVERSTEP
    stiffness = np.broadcast_to(spreads(targets.shape[-1]) ** -2.0, unknowns.shape).copy()
    stiffness[:, :NUM_ANGLES] += (over != 0) / OVERSTEP**2
    curvature = slopes @ slopes.swapaxes(1, 2) / TOLERANCE**2
    curvature[:, range(unknowns.shape[1]), range(unknowns.shape[1])] += stiffness
    rows, lack, lack_slopes = contacts(joints, moves, bodies)
    body = np.r_[:NUM_ANGLES, LOG_LENGTHS]
    np.add.at(cost, rows, (lack / CONTACT) ** 2)
    np.add.at(gradient, (rows[:, None], body), lack_slopes * lack[:, None] / CONTACT**2)
    np.add.at(curvature, (rows[:, None, None], body[:, None], body), lack_slopes[:, :, None] * lack_slopes[:, None] / CONTACT**2)
    return Normal(cost, np.linalg.norm(found - targets, axis=-1).mean(axis=-1), gradient, curvature)


@cache
def spreads(dims: int) -> Array:
    """(P,): how far each unknown strays; size and place are free."""
    return np.array([ANGLE_SPREAD] * NUM_ANGLES + [TURN_SPREAD, TILT_SPREAD, TILT_SPREAD] + [LENGTH_SPREAD] * NUM_LENGTHS + [1e3] * (1 + dims))


def refine(fit: Fit, first: Array, start: Bodies, targets: Array, steps: int) -> Fit:
    """Levenberg-Marquardt; a pose whose cost no longer falls rests."""
    unknowns = fit.unknowns.copy()
    state = normal_equations(unknowns, first, start, targets)
    damping = np.full(len(unknowns), 1e-3)
    active = np.arange(len(unknowns))
    for _ in range(steps):
        if not len(active):
            break
        curvature = state.curvature[active]
        diagonal = np.einsum("npp->np", curvature)
        diagonal *= 1 + damping[active, None]
        trial = unknowns[active] - np.linalg.solve(curvature, state.gradient[active][..., None])[..., 0]
        new = normal_equations(trial, first[active], start[active], targets[active])
        gain = 1 - new.cost / state.cost[active]
        better = gain > 0
        rows = active[better]
        unknowns[rows] = trial[better]
        for ours, theirs in zip(state, new, strict=True):
            ours[rows] = theirs[better]
        damping[active] *= np.where(better, 0.2, 8.0)
        active = active[~(better & (gain < 1e-3)) & (damping[active] < 1e4)]
    return Fit(unknowns, state.cost, state.error)


def begin(start: Bodies, targets: Array) -> Array:
    """Unknowns at the start, as large as the target and on top of it."""
    dims = targets.shape[-1]
    unknowns = np.zeros((len(start), LOG_SIZE + 1 + dims))
    unknowns[:, :NUM_ANGLES], unknowns[:, VIEW] = start.angles, start.cameras[:, :3]
    found = look_at(start, dims)
    centres = found.mean(axis=1, keepdims=True), targets.mean(axis=1, keepdims=True)
    sizes = [np.sqrt(((points - centre) ** 2).sum(axis=(1, 2))) for points, centre in zip((found, targets), centres, strict=True)]
    unknowns[:, LOG_SIZE] = np.log(sizes[1] / sizes[0])
    unknowns[:, LOG_SIZE + 1 :] = (centres[1] - centres[0] * (sizes[1] / sizes[0])[:, None, None])[:, 0]
    return unknowns


class Lifted(NamedTuple):
    """What `lift` found for N poses: bodies; mean distance of the joints (N,) as a share of the pose's longer side; the largest
    logarithm by which a part is longer or shorter than it began (N,); which collide (N,)."""

    bodies: Bodies
    error: Array
    stretch: Array
    collides: NDArray[np.bool_]

    def good(self) -> NDArray[np.bool_]:
        fits: NDArray[np.bool_] = (self.error <= MAX_ERROR) & (self.stretch <= MAX_STRETCH) & ~self.collides
        return fits


def lift(poses: Array, head_ratio: Range) -> Lifted:
    """Poses (N, 11, 2), y down, or joints (N, 11, 3) in the axes of drawing/poses.py."""
    targets = normalise(poses)
    nearest = nearest_starts(targets, head_ratio)
    num, tries = nearest.shape
    start, repeated = gallery(head_ratio)[nearest.ravel()], np.repeat(targets, tries, axis=0)
    first = begin(start, repeated)
    fit = refine(Fit(first, np.zeros(len(first)), np.zeros(len(first))), first, start, repeated, FIRST_STEPS)
    best = fit.cost.reshape(num, tries).argmin(axis=1) + np.arange(num) * tries
    fit = refine(Fit(*(part[best] for part in fit)), first[best], start[best], targets, STEPS)
    bodies = bodies_of(fit.unknowns, start[best])
    return Lifted(bodies, fit.error, np.abs(fit.unknowns[:, LOG_LENGTHS]).max(axis=1), collides(bodies.move()))


@cache
def gallery_poses(head_ratio: Range, dims: int) -> Array:
    """(N, 11 * dims): the gallery as its own cameras see it."""
    poses: Array = normalise(look_at(gallery(head_ratio), dims)).reshape(-1, len(JOINTS) * dims)
    return poses


def nearest_starts(targets: Array, head_ratio: Range) -> NDArray[np.int64]:
    """(N, STARTS) rows of the gallery's bodies whose pose is most like each target."""
    found = gallery_poses(head_ratio, targets.shape[-1])
    flat = targets.reshape(len(targets), -1)
    squares = (found**2).sum(axis=1) - 2 * flat @ found.T
    return np.argpartition(squares, STARTS, axis=1)[:, :STARTS]


def look_at(bodies: Bodies, dims: int) -> Array:
    """Joints in front of each body's own camera (N, 11, dims)."""
    unknowns = np.concatenate([bodies.angles, bodies.cameras[:, :3], np.zeros((len(bodies), NUM_LENGTHS + 1 + dims))], axis=1)
    return seen(*carried(bodies.move()), bodies, unknowns, dims)[0]
