"""Poses of a 3D body from joint-angle limits: it stands, walks, sits, kneels, kicks or lies, seen from any side.

World axes: x to the right of the picture, y down, z away from the viewer; lengths in body heights. At rest the body stands upright and
faces the viewer, arms hanging, so its left side lies at positive x. Angles are in degrees.

pixels: a pose's x, y in [0, 1] are edges to edges: pixel i of a picture of `size` pixels covers [i, i + 1] / size.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from drawing.kinematics import turned_frames
from genga.skeleton import JOINTS, Point

Array = NDArray[Any]
Range = tuple[float, float]
Angles = dict[str, float]

MARGIN = 0.02  # of the picture, for the width of lines

# fmt: off
# What each joint can do.
#   whole body: `tumble` tips over forward (lying on the back is negative)
#   torso: `pitch` bows from the hips, `roll` leans to the body's left; spine and head: `nod` forward, `tilt` and `twist` to the left
#   arm: `raise` away from the side, `swing` forward, `arm_twist` turns the forearm from forward to inward, `elbow` bends
#   leg: `lift` forward, `spread` sideward, `turn` knee outward, `knee` bends, `point` stretches the foot
LIMITS: dict[str, Range] = {
    "tumble": (-15, 15), "pitch": (-20, 60), "roll": (-15, 15), "spine_nod": (-20, 35), "spine_tilt": (-18, 18), "spine_twist": (-35, 35),
    "head_nod": (-25, 30), "head_tilt": (-20, 20), "head_twist": (-45, 45),
    "raise": (0, 160), "swing": (-45, 110), "arm_twist": (-90, 90), "elbow": (0, 140),
    "lift": (-25, 110), "spread": (0, 45), "turn": (-10, 40), "knee": (0, 135), "point": (0, 40),
}
# What an upright body at ease does; the kinds below say where they differ.
EASE: dict[str, Range] = {
    "tumble": (-3, 3), "pitch": (-5, 8), "roll": (-5, 5), "spine_nod": (-6, 10), "spine_tilt": (-7, 7), "spine_twist": (-12, 12),
    "head_nod": (-12, 18), "head_tilt": (-12, 12), "head_twist": (-30, 30),
    "raise": (6, 25), "swing": (-12, 20), "arm_twist": (-10, 60), "elbow": (4, 50),
    "lift": (-6, 8), "spread": (0, 10), "turn": (0, 20), "knee": (0, 10), "point": (0, 12),
}
# Ranges under "l_" and "r_" belong to one side, and change sides half of the time.
KINDS: dict[str, dict[str, Range]] = {
    "stand": {},
    "weight_on_one_leg": {"roll": (-8, 8), "l_lift": (0, 20), "l_spread": (8, 22), "l_knee": (5, 35), "r_raise": (10, 55), "r_elbow": (40, 130)},
    "hands_on_hips": {"raise": (35, 60), "swing": (-25, 5), "arm_twist": (60, 90), "elbow": (75, 115)},
    "gesture": {"raise": (4, 60), "swing": (-10, 60), "arm_twist": (-60, 90), "elbow": (20, 140)},
    "arms_raised": {"raise": (85, 170), "swing": (-10, 30), "arm_twist": (-110, 20), "elbow": (0, 120)},
    "arms_forward": {"raise": (-15, 35), "swing": (50, 105), "arm_twist": (-40, 60), "elbow": (0, 100)},
    "one_arm_up": {"l_raise": (75, 170), "l_swing": (-20, 60), "l_arm_twist": (-110, 20), "l_elbow": (0, 120), "r_raise": (8, 45),
                   "r_elbow": (10, 120)},
    "walk": {"pitch": (0, 12), "l_lift": (15, 38), "l_knee": (0, 25), "r_lift": (-25, -5), "r_knee": (5, 55), "l_swing": (-40, -5),
             "r_swing": (5, 40), "elbow": (10, 80)},
    "run": {"pitch": (8, 30), "l_lift": (35, 90), "l_knee": (40, 110), "r_lift": (-30, 5), "r_knee": (15, 110), "l_swing": (-50, -10),
            "r_swing": (15, 65), "elbow": (60, 120)},
    "lunge": {"pitch": (0, 35), "l_lift": (45, 90), "l_knee": (50, 100), "r_lift": (-45, -10), "r_knee": (0, 40), "raise": (5, 110),
              "swing": (-30, 90), "arm_twist": (-90, 90), "elbow": (0, 120)},
    "kick": {"pitch": (-25, 10), "l_lift": (50, 120), "l_spread": (0, 30), "l_knee": (0, 60), "r_knee": (0, 30), "raise": (15, 100),
             "swing": (-40, 60), "arm_twist": (-90, 90), "elbow": (20, 120)},
    "legs_apart": {"lift": (-5, 40), "spread": (15, 45), "turn": (0, 45), "knee": (0, 60), "raise": (10, 130), "swing": (-30, 70),
                   "arm_twist": (-90, 90), "elbow": (0, 130)},
    "bow": {"pitch": (25, 90), "spine_nod": (0, 30), "lift": (-10, 25), "knee": (0, 45), "raise": (2, 50), "swing": (0, 110), "elbow": (0, 100)},
    "squat": {"pitch": (10, 50), "lift": (70, 125), "spread": (5, 35), "knee": (85, 145), "raise": (5, 60), "swing": (10, 90), "elbow": (0, 120)},
    "sit": {"pitch": (-20, 20), "lift": (65, 100), "spread": (0, 25), "knee": (50, 105), "raise": (5, 50), "swing": (-35, 70), "elbow": (0, 120)},
    "sit_on_ground": {"pitch": (-35, 20), "lift": (70, 135), "spread": (0, 40), "turn": (-10, 60), "knee": (0, 140), "raise": (8, 60),
                      "swing": (-60, 70), "elbow": (0, 110)},
    "kneel": {"pitch": (-10, 35), "lift": (0, 70), "spread": (0, 20), "knee": (80, 145), "point": (50, 80), "raise": (5, 90),
              "swing": (-30, 90), "elbow": (0, 130)},
    "on_one_knee": {"pitch": (-5, 30), "l_lift": (70, 110), "l_knee": (70, 120), "r_lift": (-10, 25), "r_knee": (70, 115), "r_point": (20, 80),
                    "raise": (5, 90), "swing": (-20, 90), "elbow": (0, 120)},
    "jump": {"tumble": (-20, 25), "lift": (-20, 80), "spread": (0, 40), "knee": (20, 130), "point": (20, 60), "raise": (10, 165),
             "swing": (-40, 80), "arm_twist": (-90, 60), "elbow": (0, 110)},
    "all_fours": {"pitch": (65, 100), "spine_nod": (-15, 20), "head_nod": (-45, -5), "lift": (-15, 25), "spread": (0, 25), "knee": (60, 105),
                  "point": (40, 80), "raise": (0, 30), "swing": (60, 110), "elbow": (0, 40)},
    "lie": {"tumble": (-100, -65), "head_nod": (-5, 40), "pitch": (0, 35), "lift": (-5, 90), "spread": (0, 40), "knee": (0, 120),
            "raise": (5, 165), "swing": (-30, 90), "arm_twist": (-60, 90), "elbow": (0, 130)},
    "lie_on_belly": {"tumble": (70, 105), "pitch": (-25, 0), "head_nod": (-45, 0), "lift": (-15, 30), "spread": (0, 35), "knee": (0, 110),
                     "raise": (5, 165), "swing": (0, 140), "elbow": (0, 140)},
    "free": LIMITS,
}
WEIGHTS = {
    "stand": 6, "weight_on_one_leg": 6, "hands_on_hips": 2, "gesture": 8, "arms_raised": 3, "arms_forward": 3, "one_arm_up": 3, "walk": 6,
    "run": 3, "lunge": 3, "kick": 2, "legs_apart": 4, "bow": 3, "squat": 2, "sit": 4, "sit_on_ground": 4, "kneel": 2, "on_one_knee": 2,
    "jump": 3, "all_fours": 1, "lie": 2, "lie_on_belly": 1, "free": 8,
}
# fmt: on
KIND_NAMES, KIND_ODDS = list(WEIGHTS), (np.cumsum(list(WEIGHTS.values())) / sum(WEIGHTS.values())).tolist()
SIDED = ("raise", "swing", "arm_twist", "elbow", "lift", "spread", "turn", "knee", "point")
WHOLE = tuple(name for name in LIMITS if name not in SIDED)
ANGLES = (*WHOLE, *(f"{side}_{name}" for side in "lr" for name in SIDED))

Turns = tuple[tuple[str, int, int], ...]  # angle, axis (x, y, z: 0, 1, 2), direction; each in the frame that the one before leaves

# Each part: the part that carries it, and its turns. Those of a limb are the left one's: on the right, turns about y and z go the other way.
TRUNK: dict[str, tuple[str, Turns]] = {
    "pelvis": ("whole", (("roll", 2, 1), ("pitch", 0, 1))),
    "chest": ("pelvis", (("spine_twist", 1, -1), ("spine_tilt", 2, 1), ("spine_nod", 0, 1))),
    "head": ("chest", (("head_twist", 1, -1), ("head_tilt", 2, 1), ("head_nod", 0, 1))),
}
LIMBS: dict[str, tuple[str, Turns]] = {
    "arm": ("chest", (("swing", 0, -1), ("raise", 2, -1), ("arm_twist", 1, 1))),
    "forearm": ("arm", (("elbow", 0, -1),)),
    "thigh": ("whole", (("lift", 0, -1), ("spread", 2, -1), ("turn", 1, -1))),
    "shank": ("thigh", (("knee", 0, 1),)),
    "foot": ("shank", (("point", 0, 1),)),
}


def _both_sides() -> dict[str, tuple[str, Turns]]:
    return {
        f"{side}_{part}": (
            f"{side}_{before}" if before in LIMBS else before,
            tuple((f"{side}_{angle}", axis, way if axis == 0 else sign * way) for angle, axis, way in turns),
        )
        for side, sign in (("l", 1), ("r", -1))
        for part, (before, turns) in LIMBS.items()
    }


PARTS: dict[str, tuple[str, Turns]] = {"whole": ("world", (("tumble", 0, 1),))} | TRUNK | _both_sides()
FRAMES = ("world", *PARTS)


def _turns() -> Array:
    """As `turned_frames` takes them."""
    turns = []
    for part, (before, own) in PARTS.items():
        for number, (angle, axis, way) in enumerate(own):
            turns.append((ANGLES.index(angle), FRAMES.index(part), FRAMES.index(part if number else before), axis, way))
    return np.array(turns)


TURNS = _turns()


def _ranges(own: dict[str, Range], sides: str) -> Array:
    """(2, 27): the least and the greatest of each angle; what is named "l_" belongs to the first of `sides`."""
    ranges = [own.get(name, EASE[name]) for name in WHOLE]
    ranges += [own.get(f"{side}_{name}", own.get(name, EASE[name])) for side in sides for name in SIDED]
    return np.array(ranges).T


RANGES = {kind: (_ranges(own, "lr"), _ranges(own, "rl")) for kind, own in KINDS.items()}


def sample_angles(kind: str, rng: np.random.Generator) -> Array:
    """(27,) in the order of ANGLES: one draw from the ranges of a kind."""
    low, high = RANGES[kind][int(rng.random() >= 0.5)]
    angles: Array = low + rng.random(len(low)) * (high - low)
    return angles


@dataclass(frozen=True)
class Build:
    """Proportions, in body heights from crown to sole."""

    head: float
    neck: float
    torso: float
    shoulder: float
    pelvis: float
    upper_arm: float
    forearm: float
    hand: float
    thigh: float
    shank: float
    foot: float


SPREAD = np.array([0.06, 0.07, 0.12])  # of legs, arms and shoulders


def sample_build(head_ratio: float, rng: np.random.Generator) -> Build:
    """An anime body `head_ratio` heads tall; legs, arms and shoulders vary a little from one to the next."""
    head = 1 / head_ratio
    below = 1 - 1.3 * head  # from the neck's base to the sole
    legs, arms, shoulders = (1 + SPREAD * rng.uniform(-1, 1, 3)).tolist()
    return Build(
        head=head, neck=0.8 * head, torso=below * (1 - 0.64 * legs), shoulder=0.118 * below * shoulders, pelvis=0.066 * below,
        upper_arm=0.195 * below * arms, forearm=0.175 * below * arms, hand=0.085 * below,
        thigh=0.30 * below * legs, shank=0.29 * below * legs, foot=0.12 * below,
    )  # fmt: skip


def rotation(axis: int, degrees: float) -> Array:
    """Right-handed, about x, y or z (0, 1, 2)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = (((1, 0, 0), (0, c, -s), (0, s, c)), ((c, 0, s), (0, 1, 0), (-s, 0, c)), ((c, -s, 0), (s, c, 0), (0, 0, 1)))
    return np.array(rows[axis])


@dataclass(frozen=True)
class Body:
    """One body or a stack of them: named points (..., 3), the frames (..., 3, 3) of the parts between them, and the axis (..., 3) that each
    angle turns about. A frame's columns are the part's left, down and back."""

    build: Build
    points: dict[str, Array]
    frames: dict[str, Array]
    axes: dict[str, Array]

    def joints(self) -> Array:
        """(..., 11, 3), in the order of genga.skeleton.JOINTS."""
        return np.stack([self.points[name] for name in JOINTS], axis=-2)


def as_vector(angles: Angles) -> Array:
    """(27,), in the order of ANGLES."""
    return np.array([angles[name] for name in ANGLES])


def move(build: Build, angles: Angles | Array) -> Body:
    """Forward kinematics: from the hip outward, each part turned in the frame of the one before.

    Angles by name or (27,), and a build of numbers, make one body; angles (N, 27) and a build whose lengths are (N, 1) make N.
    """
    degrees = as_vector(angles) if isinstance(angles, dict) else angles
    one_each = [part.reshape(len(part), *degrees.shape[:-1], *part.shape[2:]) for part in turned_frames(np.atleast_2d(degrees), TURNS, len(FRAMES))]
    frames, axes = (dict(zip(names, values, strict=True)) for names, values in zip((FRAMES, ANGLES), one_each, strict=True))
    pelvis, chest = frames["pelvis"], frames["chest"]
    hip = np.zeros(pelvis.shape[:-1])
    waist = hip - pelvis[..., 1] * build.torso * 0.4
    neck = waist - chest[..., 1] * build.torso * 0.6
    points = {"hip": hip, "waist": waist, "neck": neck, "head": neck - frames["head"][..., 1] * build.neck}
    for side, sign in (("l", 1), ("r", -1)):
        arm, forearm, thigh, shank, foot = (frames[f"{side}_{part}"] for part in LIMBS)
        shoulder = neck + chest[..., 0] * sign * build.shoulder + chest[..., 1] * (0.15 - shrug(arm, chest)) * build.shoulder
        elbow = shoulder + arm[..., 1] * build.upper_arm
        wrist = elbow + forearm[..., 1] * build.forearm
        socket = hip + pelvis[..., 0] * sign * build.pelvis
        knee = socket + thigh[..., 1] * build.thigh
        ankle = knee + shank[..., 1] * build.shank
        side_points = {"shoulder": shoulder, "elbow": elbow, "wrist": wrist, "socket": socket, "knee": knee, "ankle": ankle}
        side_points |= {"fingers": wrist + forearm[..., 1] * build.hand, "toes": ankle - foot[..., 2] * build.foot}
        points |= {f"{side}_{name}": point for name, point in side_points.items()}
    return Body(build, points, frames, axes)


def shrug(arm: Array, chest: Array) -> Array:
    """How far a shoulder rises with its arm, (..., 1), as a share of the shoulder's length."""
    rise: Array = 0.25 * np.maximum(0, -(arm[..., 1] * chest[..., 1]).sum(axis=-1, keepdims=True))
    return rise


def collides(body: Body) -> NDArray[np.bool_]:
    """(...): whether a hand, an elbow or a knee lies inside the torso, the head or another limb."""
    p, build = body.points, body.build
    arms = np.stack([p[f"{side}_{name}"] for side in "lr" for name in ("elbow", "wrist", "fingers")], axis=-2)
    legs = np.stack([p[f"{side}_{name}"] for side in "lr" for name in ("knee", "ankle")], axis=-2)
    torso = np.stack([p["waist"] + t * (p["neck"] - p["waist"]) for t in (0.0, 0.35, 0.7)] + [p["hip"]], axis=-2)
    near = [(np.concatenate([arms, legs], axis=-2), torso, 0.9 * build.shoulder), (arms, legs, 0.8 * build.pelvis)]
    near += [(np.concatenate([arms, legs], axis=-2), p["head"][..., None, :], 0.55 * build.head)]
    near += [(arms[..., :3, :], arms[..., 3:, :], 0.3 * build.hand), (legs[..., :2, :], legs[..., 2:, :], 0.5 * build.pelvis)]
    inside = np.zeros(p["hip"].shape[:-1], bool)
    for ours, theirs, distance in near:
        gaps = ours[..., :, None, :] - theirs[..., None, :, :]
        inside |= ((gaps**2).sum(axis=-1) < np.asarray(distance)[..., None] ** 2).any(axis=(-2, -1))
    return inside


def sample_kind(rng: np.random.Generator) -> str:
    return KIND_NAMES[bisect_left(KIND_ODDS, rng.random())]


def sample_bodies(head_ratios: Sequence[float], rngs: Sequence[np.random.Generator]) -> tuple[Body, list[str]]:
    """A stack of bodies in poses that they can take, and the kinds of pose. Each follows from its own generator alone."""
    builds = [sample_build(ratio, rng) for ratio, rng in zip(head_ratios, rngs, strict=True)]
    lengths = np.array([list(vars(build).values()) for build in builds]).reshape(-1, len(fields(Build)))
    kinds = [sample_kind(rng) for rng in rngs]
    angles = np.empty((len(kinds), len(ANGLES)))

    def moved(rows: Any) -> Body:
        return move(Build(*lengths[rows].T[..., None]), angles[rows])

    left = list(range(len(kinds)))
    while left:
        angles[left] = [sample_angles(kinds[row], rngs[row]) for row in left]
        left = np.array(left)[collides(moved(left))].tolist()
    return moved(slice(None)), kinds


@dataclass(frozen=True)
class Camera:
    """Looks at the middle of the body: `turn` walks around it, `elevation` looks down on it, `roll` tilts the picture; `distance` in body heights."""

    turn: float
    elevation: float
    roll: float
    distance: float

    def rotation(self) -> Array:
        return rotation(2, self.roll) @ rotation(0, self.elevation) @ rotation(1, self.turn)

    @staticmethod
    def of(rotation: Array, distance: float) -> "Camera":
        """The camera that has this rotation (3, 3)."""
        turn, roll = math.atan2(-rotation[2, 0], rotation[2, 2]), math.atan2(-rotation[0, 1], rotation[1, 1])
        elevation = math.asin(max(-1.0, min(1.0, rotation[2, 1])))
        return Camera(math.degrees(turn), math.degrees(elevation), math.degrees(roll), distance)


def sample_camera(rng: np.random.Generator) -> Camera:
    """Most often from the front, now and then from any side; mostly level."""
    turn = 45 * rng.standard_normal() if rng.random() < 0.65 else 360 * rng.random() - 180
    return Camera(turn, 6 + 12 * rng.standard_normal(), 4 * rng.standard_normal(), 2 + 3 * rng.standard_exponential())


class View(NamedTuple):
    """Points as the camera sees them, before they are placed in the picture."""

    xy: Array  # (N, 2)
    depth: Array  # (N,) in the unit of xy, larger is farther
    scale: Array  # (N,) how large a length at this depth appears


def look(camera: Camera, points: Array, middle: Array) -> View:
    """Perspective projection of points (N, 3); `middle` (3,) is what the camera looks at."""
    seen = (points - middle) @ camera.rotation().T
    scale = camera.distance / (camera.distance + seen[:, 2])
    return View(seen[:, :2] * scale[:, None], seen[:, 2], scale)


def looks(cameras: Sequence[Camera], points: Array) -> Array:
    """(N, P, 3) -> (N, P, 2): each body as a camera of its own sees it, which looks at its middle; `look` for many bodies of few points."""
    turns = np.array([(camera.roll, camera.elevation, camera.turn, camera.distance) for camera in cameras])
    rotations = Rotation.from_euler("ZXY", turns[:, :3], degrees=True).as_matrix()
    seen = (points - points.mean(axis=1, keepdims=True)) @ rotations.swapaxes(1, 2)
    distance = turns[:, 3:]
    xy: Array = seen[..., :2] * (distance / (distance + seen[..., 2]))[..., None]
    return xy


class Placement(NamedTuple):
    """xy * zoom + shift: from the camera's view into [0, 1] of the picture."""

    zoom: float
    shift: Array


def place(low: Point, high: Point, fill: Range, rng: np.random.Generator) -> Placement:
    """The box low..high put anywhere within the picture's margin, its longer side a share of the room there drawn from `fill`."""
    room, extent = 1 - 2 * MARGIN, [b - a for a, b in zip(low, high, strict=True)]
    zoom = (fill[0] + (fill[1] - fill[0]) * rng.random()) * room / max(extent)
    return Placement(zoom, np.array([MARGIN + rng.random() * (room - length * zoom) - a * zoom for a, length in zip(low, extent, strict=True)]))
