"""Motion in BVH (Biovision hierarchy; Meredith and Maddock 2001, "Motion capture file formats explained") -> our 11 joints.

A joint stands at its OFFSET from the one that carries it, or where its position channels say, and turns by its rotation channels in the order
in which they are listed: R = R_first R_second R_third, in degrees. What each rig calls our joints stands in one table, NAMES.

Given are joints (F, 11, 3) in the axes of drawing/poses.py: x to the right of the picture, y down, z away from the viewer; hip at 0, the body
facing the viewer, lengths in body heights.
"""

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genga.errors import DataError
from genga.skeleton import JOINTS, J

Array = NDArray[Any]

# What limbs' joints are called without their side, the best name first: CMU, Mixamo, Rokoko, Xsens, LAFAN, DeepMotion; Biped, Unreal, VRM,
# Rigify; Poser, DAZ (Bend); MakeHuman (01); OptiTrack; ASF; Perfume, SMPL, AdvancedSkeleton; MMD. The side stands before or after it.
LIMB_NAMES = {
    "shoulder": ("arm", "upperarm", "upperarm01", "uparm", "uarm", "shldr", "shldrbend", "humerus", "shoulder", "腕"),
    "elbow": ("forearm", "forearmbend", "lowerarm", "lowerarm01", "lowarm", "farm", "elbow", "radius", "ひじ"),
    "wrist": ("wrist", "hand", "手首"),
    "socket": ("upleg", "upperleg", "upperleg01", "thigh", "thighbend", "femur", "hip", "足"),
    "knee": ("knee", "shin", "calf", "lowerleg", "lowerleg01", "lowleg", "tibia", "leg", "ひざ"),
    "ankle": ("ankle", "foot", "足首"),
}
NAMES = {"head": ("head", "skull", "頭"), "neck": ("neck", "neck1", "neck01", "lowerneck", "necklower", "首")} | {
    f"{side}_{part}": tuple(key for name in names for word in words for key in (word + name, name + word))
    for side, words in (("l", ("left", "l", "左")), ("r", ("right", "r", "右")))
    for part, names in LIMB_NAMES.items()
}
# before the name in some files, besides `mixamorig:` and what else all joints of a file begin with
PREFIX = re.compile(r"^(?:(?:mixamorig|bip|character|jbipc|jbip|def|org)\d*)(?=\D)")
SUFFIX = re.compile(r"[ ._](?:jnt|joint|m)$")  # after it in some files; `_M` is the middle, beside `_L` and `_R`
LONGEST_FRAME = 3600  # seconds; nobody samples a motion more rarely than every hour
HEIGHT = 0.87  # body heights from the ankle along the bones to the middle of the head


@dataclass
class Node:
    """`channels`: (kind, axis) of the numbers that a frame holds for it. `end`: an end site, which has a place and no joint."""

    name: str
    parent: int
    end: bool
    offset: Array = field(default_factory=lambda: np.zeros(3))
    channels: list[tuple[str, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Motion:
    joints: Array  # (F, 11, 3)
    seconds: Array  # (F,) since the beginning


def read_bvh(path: Path) -> Motion:
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); check the file") from error
    nodes, frames, frame_time = parse(text, path.name)
    found = find(nodes, path.name)
    joints = facing(upright(positions(nodes, frames), positions(nodes, np.zeros_like(frames[:1])), found), found)
    return Motion(joints, np.arange(len(frames)) * frame_time)


# --- the file


def decoded(data: bytes) -> str:
    """In UTF-8, or in Shift-JIS as MMD's tools write names; what is neither keeps its plain letters."""
    for encoding in ("utf-8", "cp932"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode(errors="replace")


def parse(text: str, name: str) -> tuple[list[Node], Array, float]:
    """Nodes, each after the one that carries it; frames (F, C); seconds per frame."""
    match = re.search(r"(?<!\S)MOTION\s+Frames\s*:\s*(\d+)\s+Frame\s*Time\s*:\s*(\S+)", text)
    head = text[: match.start()] if match else ""
    if match is None or "HIERARCHY" not in head:
        raise DataError(f"{name} is no BVH file, expected HIERARCHY, then MOTION with Frames: and Frame Time:; export the motion again")
    try:
        nodes, numbers, frame_time = (
            _nodes(head.partition("HIERARCHY")[2]),
            np.array(text[match.end() :].split(), dtype=np.float64),
            float(match[2]),
        )
    except (ValueError, IndexError) as error:
        raise DataError(f"{name} is a damaged BVH file ({error}); export the motion again") from error
    width = sum(len(node.channels) for node in nodes)
    if not len(numbers) or len(numbers) != int(match[1]) * width or not np.isfinite(numbers).all():
        raise DataError(f"{name} holds {len(numbers)} numbers of motion, expected {match[1]} frames of {width} numbers; export the motion again")
    if not 0 <= frame_time <= LONGEST_FRAME:
        raise DataError(f"{name} has a Frame Time of {match[2]}, expected seconds from 0 to {LONGEST_FRAME}; export the motion again")
    return nodes, numbers.reshape(-1, width), frame_time


def _nodes(head: str) -> list[Node]:
    nodes: list[Node] = []
    open_nodes: list[int] = []
    coming = ("", False)
    for line in re.sub(r"([{}])", r"\n\1\n", head).splitlines():
        match line.split():
            case ["ROOT" | "JOINT", *words]:
                coming = (" ".join(words), False)
            case ["End" | "END" | "end", *_]:
                coming = (nodes[open_nodes[-1]].name, True)
            case ["{"]:
                nodes.append(Node(coming[0], open_nodes[-1] if open_nodes else -1, coming[1]))
                open_nodes.append(len(nodes) - 1)
            case ["}"]:
                open_nodes.pop()
            case ["OFFSET", *numbers]:
                nodes[open_nodes[-1]].offset = offset = np.array(numbers, dtype=np.float64).reshape(3)
                if not np.isfinite(offset).all():
                    raise ValueError(f"the line {' '.join(['OFFSET', *numbers])[:40]!r}")
            case ["CHANNELS", count, *names]:
                if len(names) != int(count):
                    raise ValueError(f"{count} channels announced, {len(names)} named")
                nodes[open_nodes[-1]].channels = [(name[1:].lower(), "XYZ".index(name[0].upper())) for name in names]
            case []:
                pass
            case words:
                raise ValueError(f"the line {' '.join(words)[:40]!r}")
    return nodes


# --- places


def positions(nodes: Sequence[Node], frames: Array) -> Array:
    """Where each node stands (F, nodes, 3), in the file's own axes and unit."""
    places = np.zeros((len(frames), len(nodes), 3))
    frame_of = np.zeros((len(frames), len(nodes), 3, 3))
    column = 0
    for idx, node in enumerate(nodes):
        step, turn = np.tile(node.offset, (len(frames), 1)), np.broadcast_to(np.eye(3), (len(frames), 3, 3))
        for kind, axis in node.channels:
            if kind == "position":
                step[:, axis] = frames[:, column]
            else:
                turn = turn @ turned(axis, frames[:, column])
            column += 1
        carried = node.parent >= 0
        places[:, idx] = places[:, node.parent] + (frame_of[:, node.parent] @ step[..., None])[..., 0] if carried else step
        frame_of[:, idx] = frame_of[:, node.parent] @ turn if carried else turn
    return places


def turned(axis: int, degrees: Array) -> Array:
    """Right-handed rotations (F, 3, 3) about x, y or z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation = np.zeros((len(degrees), 3, 3))
    one, other = (axis + 1) % 3, (axis + 2) % 3
    rotation[:, axis, axis] = 1
    rotation[:, one, one] = rotation[:, other, other] = c
    rotation[:, other, one], rotation[:, one, other] = s, -s
    return rotation


# --- our joints


def find(nodes: Sequence[Node], name: str) -> dict[str, int]:
    """What NAMES knows -> its node; `head_end`, where there is one, the end site or the joint at the top of the head."""
    keys: dict[str, int] = {}
    for idx, names in enumerate(_keys(nodes)):
        for key in names if not nodes[idx].end else ():
            keys.setdefault(key, idx)
    found = {part: next(keys[key] for key in known if key in keys) for part, known in NAMES.items() if any(key in keys for key in known)}
    spine = [idx for key, idx in keys.items() if re.fullmatch(r"spine\d{3}", key)]
    if spine and "head" not in found and not _carries(nodes, spine[-1], found.get("l_elbow", -1)):
        found["head"] = spine[-1]  # Rigify's, from the hips to the head: spine, spine.001 ... spine.006
    lacking = [part for part in ("head", *(f"{side}_{part}" for part in LIMB_NAMES if part != "shoulder" for side in "lr")) if part not in found]
    if "neck" not in found and not {"l_shoulder", "r_shoulder"} <= found.keys():
        lacking.append("neck")
    if lacking:
        words = ", ".join(part.replace("socket", "hip") for part in lacking)
        known = ", ".join(node.name for node in nodes if not node.end)
        raise DataError(f"{name} has no joint that we know as {words}, it has {known[:300]}; name its joints as Mixamo or CMU do")
    tops = [idx for idx, node in enumerate(nodes) if node.parent == found["head"] and (node.end or re.search(r"(?i)top|end|nub", node.name))]
    return found | ({"head_end": tops[0]} if tops else {})


def _carries(nodes: Sequence[Node], idx: int, other: int) -> bool:
    """Whether the node `other` hangs from `idx`, or is it."""
    while other > idx:
        other = nodes[other].parent
    return other == idx


def _keys(nodes: Sequence[Node]) -> list[tuple[str, str, str]]:
    """Names in small letters without blanks, signs and SUFFIX; whole, and without what stands before them here and in all of the file."""
    plain = [unicodedata.normalize("NFKC", re.split(r"[:|]", node.name)[-1]).lower() for node in nodes]
    keys = [re.sub(r"[\W_]", "", SUFFIX.sub("", name)) for name in plain]
    below = [key for key, node in zip(keys, nodes, strict=True) if not node.end and node.parent >= 0] or [""]
    common = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(below), max(below), strict=False)))
    return [(key, PREFIX.sub("", key), key.removeprefix(common)) for key in keys]


def upright(places: Array, rest: Array, found: dict[str, int]) -> Array:
    """Turned so that y points down and z away: most files have y up, some z, few one of them down. The rest pose tells, or else the motion."""
    rises = []
    for stance in (rest, places):
        ankles = (stance[:, found["l_ankle"]] + stance[:, found["r_ankle"]]) / 2
        rise = (stance[:, found["head"]] - ankles).mean(axis=0)
        rises.append(rise)
    up = next((axis for axis in (np.abs(rise).argmax() for rise in rises) if axis > 0), 0)
    x, y, z = np.moveaxis(places, -1, 0)
    standing = np.stack([x, -z, y] if up == 2 else [x, -y, -z], axis=-1)
    is_down = up > 0 and rises[0][up] <= 0 and rises[1][up] < 0  # all bones of a rest pose may point up, and people stand on their hands
    return standing * (1, -1, -1) if is_down else standing


def facing(places: Array, found: dict[str, int]) -> Array:
    """Nodes (F, nodes, 3) -> our joints: turned to the viewer, hip at 0, in body heights."""
    at = {part: places[:, idx] for part, idx in found.items()}
    joints = np.stack([at.get(joint, np.zeros_like(at["head"])) for joint in JOINTS], axis=1)
    joints[:, J["hip"]] = (at["l_socket"] + at["r_socket"]) / 2
    if "l_shoulder" in at and "r_shoulder" in at:
        joints[:, J["neck"]] = (at["l_shoulder"] + at["r_shoulder"]) / 2
    # a rig's head begins where the neck ends
    top = at["head_end"] if "head_end" in at else at["head"] + 0.6 * (at["head"] - joints[:, J["neck"]])
    joints[:, J["head"]] = (at["head"] + top) / 2
    joints -= joints[:, J["hip"]][:, None].copy()
    left = at["l_socket"] - at["r_socket"]
    across, away = left[:, 0, None], left[:, 2, None]
    length = np.maximum(np.hypot(across, away), 1e-9)
    x, y, z = np.moveaxis(joints, -1, 0)
    joints = np.stack([(across * x + away * z) / length, y, (across * z - away * x) / length], axis=-1)

    def bone(one: str, other: str) -> float:
        return float(np.median(np.linalg.norm(joints[:, J[one]] - joints[:, J[other]], axis=-1)))

    legs = sum(bone("hip", f"{side}_knee") + bone(f"{side}_knee", f"{side}_ankle") for side in "lr") / 2
    scaled: Array = joints * (HEIGHT / max(bone("head", "neck") + bone("neck", "hip") + legs, 1e-9))
    return scaled


def spread(poses: Array, count: int) -> NDArray[np.int64]:
    """Rows of at most `count` poses (F, ...) that lie far from one another: each next one is the farthest from all before (Gonzalez 1985)."""
    flat = poses.reshape(len(poses), -1).astype(np.float32)
    rows = [int(((flat - flat.mean(axis=0)) ** 2).sum(axis=1).argmax())]
    nearest = np.full(len(flat), np.inf, np.float32)
    while len(rows) < min(count, len(flat)):
        nearest = np.minimum(nearest, ((flat - flat[rows[-1]]) ** 2).sum(axis=1))
        if nearest.max() == 0:
            break
        rows.append(int(nearest.argmax()))
    return np.array(rows)
