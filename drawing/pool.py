"""What figures are posed like: the limits of drawing/poses.py, or the user's own poses from files.

A pose keeps its source and licence, and an id that follows from the pose alone, the same for its mirror image: all figures of one id belong to one
split. Frames of a motion that follow one another share an id, which follows from the motion's name where OpenPose wrote a file for each. A motion
comes back to its poses, so of its frames on both sides of a split one side is left out, see `apart`.
"""

import csv
import hashlib
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from drawing.bvh import read_bvh, spread
from drawing.lift import Bodies, Lifted
from drawing.pose_files import PoseFile, read_pose_file, sound
from genga.errors import DataError
from genga.params import PoseFiles
from genga.pictures import is_junk
from genga.skeleton import MIRRORED, STICKS, J, normalise

log = logging.getLogger(__name__)

Array = NDArray[Any]

SUFFIXES = frozenset({".npz", ".json", ".bvh"})
SIDE_SUFFIXES = frozenset({".md", ".txt", ".csv", ".pdf", ".html", ""})  # what lies beside data: notes, licences, tables
SOURCES = "sources.csv"
LIFTED_AT_ONCE = 64
SEGMENT = 2.0  # seconds of a motion under one id
OPENPOSE_FRAME = re.compile(r"(.*)_(\d{12})_keypoints\.json", re.IGNORECASE)
FRAME_RATE = 30  # OpenPose's files do not tell theirs
OFF_TIES = 1 / np.pi  # whole pixels lie halfway between two numbers often, from where a pose and its mirror image may be rounded apart
NEAR = 0.05  # of the longer side of the pose's box, root mean square over the joints: nearer frames are one pose to PCK@0.05


class FilePose(NamedTuple):
    """`joints`: (11, 2), y down; of a motion in BVH (11, 3), see drawing/bvh.py. `motion`: what all frames of one share, empty for single poses."""

    id: str
    kind: str
    source: str
    licence: str
    joints: Array
    motion: str = ""


def pose_id(pose: Array) -> str:
    """sha256 of what the pose is, wherever and however large it stands."""
    return pose_ids(pose[None])[0]


def pose_ids(poses: Array) -> list[str]:
    """Of each of these (N, 11, 2)."""
    return [hashlib.sha256(content).hexdigest() for content in _contents(poses)]


def twin_id(pose: Array) -> str:
    """The same for a pose of a file and its mirror image, since figures take either."""
    return hashlib.sha256(min(_contents(np.stack([pose, flip(pose)]), OFF_TIES))).hexdigest()


def _contents(poses: Array, shift: float = 0.0) -> list[bytes]:
    return [pose.tobytes() for pose in np.round(normalise(poses) * 1e4 + shift).astype(np.int32)]


# --- files


def read_poses(params: PoseFiles, path: Path, read_labels: Callable[[Path], PoseFile]) -> list[FilePose]:
    """Every pose of the file or folder, each one and its mirror image once, files in the order of their names. `read_labels` reads Label Studio
    exports."""
    files = _files(path)
    terms = _terms(params, path, files)
    poses: dict[str, FilePose] = {}
    left_out: Counter[str] = Counter()
    for file in files:
        if file.suffix.lower() == ".bvh":
            found, lacking = _of_motion(file, params.motion_frames, terms[file])
        else:
            content = read_pose_file(file, read_labels)
            lacking = content.left_out
            motion, shared = _frame_of(file.relative_to(path).parent, file.name)
            found = [
                FilePose(shared or twin_id(pose), kind, *terms[file], pose, motion) for pose, kind in zip(content.poses, content.kinds, strict=True)
            ]
        left_out += lacking
        for pose in found:
            key = twin_id(pose.joints) if pose.joints.shape[-1] == 2 else f"{pose.id} {len(poses)}"  # frames share their id
            left_out["a pose twice"] += key in poses
            poses.setdefault(key, pose)
    if files and not poses:
        raise DataError(f"no pose in {path}: {_counted(left_out) or 'the files are empty'}; give poses with all 11 joints, or take the files away")
    if files:
        log.info("poses: %d from %d files, left out: %s", len(poses), len(files), _counted(left_out) or "none")
    return list(poses.values())


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise DataError(f"nothing at {path}, expected pose files; correct draw_figures.poses.path in params.yaml")
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and not is_junk(file.relative_to(path).as_posix()))
    strange = [file for file in files if file.suffix.lower() not in SUFFIXES | SIDE_SUFFIXES]
    if strange:
        raise DataError(f"{strange[0]} is no pose file that we read, expected {', '.join(sorted(SUFFIXES))}; convert it or take it away")
    return [file for file in files if file.suffix.lower() in SUFFIXES]


def _terms(params: PoseFiles, path: Path, files: Sequence[Path]) -> dict[Path, tuple[str, str]]:
    """Source and licence of each file."""
    usual = params.source, params.licence
    terms = dict.fromkeys(files, usual)
    table = (path if path.is_dir() else path.parent) / SOURCES
    if not table.is_file():
        return terms
    for row in _rows(table):
        if path.is_file() and row.get("file") != path.name:
            continue
        if not (row.keys() >= {"file", "source", "licence"} and all(row[name] for name in ("file", "source", "licence"))):
            raise DataError(f"{table} has a row {list(row.values())}, expected the columns file, source and licence, all filled; correct it")
        told = row["source"], row["licence"]
        if path.is_file() and told != usual:  # beside the path, so a change of the table would go unnoticed by DVC
            raise DataError(
                f"{table} says {', '.join(told)} of {path.name}, draw_figures.poses in params.yaml says {', '.join(usual)}, expected the same of a "
                f"file that is named alone; write that as source and licence there, or name its folder {path.parent} as path"
            )
        if table.parent / row["file"] not in terms:
            raise DataError(f"{table} names {row['file']!r}, which is no pose file in {path}; correct the row")
        terms[table.parent / row["file"]] = told
    return terms


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is no table in UTF-8 ({error}), expected the columns file, source and licence; save it again as UTF-8") from error


def _of_motion(file: Path, frames: int, terms: tuple[str, str]) -> tuple[list[FilePose], Counter[str]]:
    """At most `frames` of its poses, and how many frames were left out for which reason."""
    motion = read_bvh(file)
    kept, lacking = sound(motion.joints)
    rows = np.flatnonzero(kept)
    if not len(rows):
        return [], lacking
    clip = hashlib.sha256(file.read_bytes()).hexdigest()
    rows = rows[np.sort(spread(motion.joints[rows], frames))]
    return [FilePose(_piece_id(clip, int(motion.seconds[row] // SEGMENT)), file.stem, *terms, motion.joints[row], clip) for row in rows], lacking


def _frame_of(folder: Path, name: str) -> tuple[str, str]:
    """The motion of an OpenPose sequence's frame, and the id that it shares with those about it; both empty for other files."""
    frame = OPENPOSE_FRAME.fullmatch(name)
    if frame is None:
        return "", ""
    motion = f"{folder.as_posix()}/{frame[1]}"
    return motion, _piece_id(motion, int(frame[2]) // int(SEGMENT * FRAME_RATE))


def _piece_id(motion: str, piece: int) -> str:
    return hashlib.sha256(f"{motion} {piece}".encode()).hexdigest()


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in (+reasons).most_common())


# --- splits


def apart(poses: Sequence[FilePose], is_held_out: Callable[[str], bool]) -> list[FilePose]:
    """Without the frames to learn from that lie NEAR a held-out one of their motion, or its mirror image: who walks is back in a second.
    Where that is most of them, the motion repeats itself; then its held-out frames are left out instead."""
    motions: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for row, pose in enumerate(poses):
        if pose.motion:
            motions[pose.motion][is_held_out(pose.id)].append(row)
    left_out: set[int] = set()
    num_repeating = 0
    for learned, held_out in motions.values():
        near = _near([poses[row].joints for row in learned], [poses[row].joints for row in held_out])
        repeats = near.sum() > len(learned) / 2
        num_repeating += int(repeats)
        left_out.update(held_out if repeats else np.array(learned, int)[near].tolist())
    if left_out:
        said = "motion: %d frames left out that would be both learned from and held out; %d of %d motions repeat themselves and are not held out"
        log.info(said, len(left_out), num_repeating, len(motions))
    return [pose for row, pose in enumerate(poses) if row not in left_out]


def _near(learned: Sequence[Array], held_out: Sequence[Array]) -> NDArray[np.bool_]:
    """(N,): which of the first lie NEAR any of the others or its mirror image."""
    if not learned or not held_out:
        return np.zeros(len(learned), bool)
    both = np.stack([*held_out, *map(flip, held_out)])
    tree, places = (normalise(joints).reshape(len(joints), -1) / np.sqrt(len(J)) for joints in (both, np.stack(learned)))
    near: NDArray[np.bool_] = np.isfinite(cKDTree(tree).query(places, distance_upper_bound=NEAR)[0])
    return near


# --- figures


@dataclass(frozen=True)
class Asked:
    """What figure n is posed like: within the limits where `pose` is None. `body`: one body in that pose, for mannequins."""

    figure_idx: int
    pose: FilePose | None
    body: Bodies | None


@dataclass(frozen=True)
class PosePool:
    """`share` of the figures take one of the poses, half of them mirrored."""

    poses: Sequence[FilePose]
    share: float

    def pick(self, rng: np.random.Generator) -> tuple[int, bool] | None:
        """The row of a pose, and whether it is mirrored; None: a pose within the limits."""
        from_file, which, mirrored = rng.random(3)
        return (int(which * len(self.poses)), bool(mirrored < 0.5)) if self.poses and from_file < self.share else None

    def ask(self, figure_idx: int, pick: tuple[int, bool] | None) -> Asked:
        if pick is None:
            return Asked(figure_idx, None, None)
        row, mirrored = pick
        pose = self.poses[row]
        return Asked(figure_idx, pose._replace(joints=flip(pose.joints)) if mirrored else pose, None)

    def ask_with_body(self, figure_idx: int, pick: tuple[int, bool] | None, bodies: "FoundBodies") -> Asked:
        """As `ask`; where no body was found for the pose, the next one that has a body."""
        if pick is None or pick[0] not in bodies:
            return Asked(figure_idx, None, None)
        row, body = bodies[pick[0]]
        asked = self.ask(figure_idx, (row, pick[1]))
        return Asked(figure_idx, asked.pose, body.mirrored() if pick[1] else body)

    def stacks(self) -> list[list[int]]:
        """Rows that are lifted together, always the same ones so that the numbers are the same: a few of as many dimensions."""
        by_dims = [[row for row, pose in enumerate(self.poses) if pose.joints.shape[-1] == dims] for dims in (2, 3)]
        return [rows[start : start + LIFTED_AT_ONCE] for rows in by_dims for start in range(0, len(rows), LIFTED_AT_ONCE)]


FoundBodies = dict[int, tuple[int, Bodies]]  # row -> the row whose pose is taken, and a body in that pose


def found_bodies(stack: Sequence[int], lifted: Lifted) -> FoundBodies:
    """For every row of a stack its body, or that of the next row that has a good one; nothing where none has."""
    good = np.flatnonzero(lifted.good())
    taken = [int(good[np.searchsorted(good, at) % len(good)]) for at in range(len(stack))] if len(good) else []
    return {row: (stack[at], lifted.bodies[[at]]) for row, at in zip(stack, taken, strict=False)}


def vary_flat(pose: Array, spread: float, rng: np.random.Generator) -> Array:
    """A pose (11, 2) whose sticks are turned by normals of this spread in degrees, and longer or shorter by as many percent."""
    turns, stretches = np.radians(rng.normal(0, spread, len(STICKS))), np.exp(rng.normal(0, spread / 100, len(STICKS)))
    varied = pose.copy()
    for (start, end), cosine, sine in zip(STICKS, stretches * np.cos(turns), stretches * np.sin(turns), strict=True):  # from the head outward
        x, y = pose[end] - pose[start]
        varied[end] = varied[start] + (cosine * x - sine * y, sine * x + cosine * y)
    return varied


def flip(joints: Array) -> Array:
    """Joints (11, 2 or 3) flipped left to right about x = 0: the subject's left becomes the right."""
    flipped: Array = joints[list(MIRRORED)] * np.array([-1, 1, 1])[: joints.shape[-1]]
    return flipped
