"""The pose: 11 joints, 10 sticks, 22 numbers.

A pose is float64 (11, 2), x then y in [0, 1] of the picture's width and height, y down; left and right are the subject's.
As a vector: 22 numbers x0, y0, x1, y1, ... Functions take one pose or a stack (..., 11, 2).
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genga.errors import DataError

Array = NDArray[Any]
Point = tuple[float, float]

JOINTS = ("head", "neck", "l_elbow", "r_elbow", "l_wrist", "r_wrist", "hip", "l_knee", "r_knee", "l_ankle", "r_ankle")
J = {name: joint_idx for joint_idx, name in enumerate(JOINTS)}
STICKS = tuple(
    (J[a], J[b])
    for a, b in (
        ("head", "neck"),
        ("neck", "l_elbow"),
        ("neck", "r_elbow"),
        ("l_elbow", "l_wrist"),
        ("r_elbow", "r_wrist"),
        ("neck", "hip"),
        ("hip", "l_knee"),
        ("hip", "r_knee"),
        ("l_knee", "l_ankle"),
        ("r_knee", "r_ankle"),
    )
)
# limb by limb: the joints that a stick drawing cannot tell apart
LIMBS = {"arm": ((J["l_elbow"], J["l_wrist"]), (J["r_elbow"], J["r_wrist"])), "leg": ((J["l_knee"], J["l_ankle"]), (J["r_knee"], J["r_ankle"]))}
MIRRORED = tuple(J[{"l": "r", "r": "l"}[name[0]] + name[1:]] if name[1] == "_" else J[name] for name in JOINTS)

OWN = "own"  # kind and style of a figure that the user drew
Reference = Literal["bbox", "torso", "head"]


def to_vector(pose: ArrayLike) -> Array:
    """(..., 11, 2) -> (..., 22)."""
    poses = np.asarray(pose, dtype=np.float64)
    if poses.shape[-2:] != (11, 2):
        raise DataError(f"a pose of shape {poses.shape} was found, expected (..., 11, 2): one x, y for each of {', '.join(JOINTS)}")
    return poses.reshape(*poses.shape[:-2], 22)


def from_vector(vector: ArrayLike) -> Array:
    """(..., 22) -> (..., 11, 2)."""
    vectors = np.asarray(vector, dtype=np.float64)
    if vectors.shape[-1:] != (22,):
        raise DataError(f"a vector of shape {vectors.shape} was found, expected (..., 22): x0, y0, x1, y1, ...")
    pose: Array = vectors.reshape(*vectors.shape[:-1], 11, 2)
    return pose


def bounds(pose: Array) -> tuple[Array, Array]:
    """Lowest and highest corner (..., 1, 2) of the pose's box."""
    return pose.min(axis=-2, keepdims=True), pose.max(axis=-2, keepdims=True)


def box_of(pose: Array) -> tuple[Point, Point]:
    """The same of one pose (11, 2), as plain numbers."""
    x, y = pose.T.tolist()
    return (min(x), min(y)), (max(x), max(y))


def normalise(pose: Array) -> Array:
    """Centre of the box at 0, longer side of the box 1: what stays is the pose, not where or how large it stands."""
    low, high = bounds(pose)
    side = (high - low).max(axis=-1, keepdims=True)
    unit: Array = (pose - (low + high) / 2) / np.maximum(side, 1e-9)
    return unit


def fit_into(pose: Array, margin: float) -> Array:
    """Scaled and moved, shape kept, so that the longer side of the box fills [margin, 1 - margin]."""
    return normalise(pose) * (1 - 2 * margin) + 0.5


def mirror(pose: Array) -> Array:
    """The picture flipped left to right: x -> 1 - x, and the subject's left becomes the right."""
    flipped = pose[..., list(MIRRORED), :].copy()
    flipped[..., 0] = 1 - flipped[..., 0]
    return flipped


def reference_length(truth: Array, reference: Reference) -> Array:
    """(...): `bbox` longer side of the pose's box, `torso` neck to hip, `head` head to neck."""
    if reference == "bbox":
        low, high = bounds(truth)
        length: Array = (high - low).max(axis=-1)[..., 0]
        return length
    a, b = ("neck", "hip") if reference == "torso" else ("head", "neck")
    torso: Array = np.linalg.norm(truth[..., J[a], :] - truth[..., J[b], :], axis=-1)
    return torso


def swap_limbs(pose: Array, truth: Array) -> Array:
    """For stick drawings: left and right of each limb exchanged where that lies closer to the truth, limb by limb."""
    swapped = pose.copy()
    for left, right in LIMBS.values():
        here, there = [*left, *right], [*right, *left]
        kept = np.linalg.norm(pose[..., here, :] - truth[..., here, :], axis=-1).sum(axis=-1)
        crossed = np.linalg.norm(pose[..., there, :] - truth[..., here, :], axis=-1).sum(axis=-1)
        swapped[..., here, :] = np.where((crossed < kept)[..., None, None], pose[..., there, :], pose[..., here, :])
    return swapped


def pck(pose: Array, truth: Array, alpha: float, reference: Reference, *, limbs_may_swap: bool = False) -> Array:
    """PCK@alpha per joint (11,): share of poses (N, 11, 2) whose joint lies within alpha x the reference length of the truth.

    With reference "torso" this is PDJ@alpha (Sapp & Taskar 2013, MODEC, section 6).
    """
    found = swap_limbs(pose, truth) if limbs_may_swap else pose
    distance = np.linalg.norm(found - truth, axis=-1)
    share: Array = (distance <= alpha * reference_length(truth, reference)[..., None]).mean(axis=0)
    return share


def pdj(pose: Array, truth: Array, alpha: float, *, limbs_may_swap: bool = False) -> Array:
    """PDJ@alpha per joint (11,): PCK with the torso as reference length."""
    return pck(pose, truth, alpha, "torso", limbs_may_swap=limbs_may_swap)
