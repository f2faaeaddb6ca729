"""The user's own drawings, and where people said that their joints are.

A folder holds pictures in `sticks/` and `figures/` and, anywhere in it, Label Studio exports that name the pictures by their files or by sha256.
Each picture becomes gray, or line art, on white square paper, its aspect kept, its joints moved along; which of these one sees, people said too. A
drawing whose joints nobody has placed yet waits, unless people call it a bad picture: most of them, in a tie the newest. What cannot be used is
listed with the reason.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from drawing.pose_files import PoseFile, whole
from genga.errors import DataError, PictureError
from genga.params import OwnFigures
from genga.pictures import Limits, decode, decode_rgba, is_junk, on_paper
from genga.skeleton import JOINTS
from genga.store import picture_id
from labeling.keypoints import Called, Posed, hidden_by_most, read_poses, settle_pose
from labeling.names import SIDE_SUFFIXES, WORK_SUFFIXES, folded
from models.ink import Picture, is_light_on_dark, read_ink, thickened
from stages.threads import in_order

Array = NDArray[Any]

WAITS = "waits for its joints: `genga label push` puts it into Label Studio"
BAD = "bad picture, as people say"
BLANK = "no drawing was found in it, it is all of one shade"
KINDS = ("sticks/", "figures/")
PEN = 1.5  # pixels of line art of 128 px, as wide as the outlines of drawing/mannequin.py


class Placed(NamedTuple):
    """Joints (11, 2), in [0, 1] of the picture's width and height, and which of the 11 one sees."""

    pose: Array
    visible: list[bool]


class Own(NamedTuple):
    """One drawing that passed."""

    path: Path
    placed: Placed


class Rejected(NamedTuple):
    """`counts`: towards `max_rejected`."""

    name: str
    reason: str
    counts: bool


@dataclass(frozen=True)
class OwnSet:
    sticks: list[Own]
    figures: list[Own]
    rejected: list[Rejected]


class Opened(NamedTuple):
    name: str
    id: str
    width: int
    height: int
    is_blank: bool


class Folder(NamedTuple):
    """`names`: of what lies there as a drawing; `first`: the first of equal pictures by their id; `blank`: ids of those without a drawing in them;
    `poses`, `bad`, `faults`: what the exports say."""

    names: list[str]
    first: dict[str, Opened]
    blank: set[str]
    rejected: list[Rejected]
    poses: dict[str, Placed]
    bad: set[str]
    faults: dict[str, str]


def labeled_poses(path: Path) -> PoseFile:
    """The poses of a Label Studio export, in pixels of the pictures, whatever these are."""
    exports = read_poses([path])
    poses = [posed.pose * (posed.size or (1, 1)) for posed in exports.poses]
    left_out = [problem.reason for problem in exports.problems] + [BAD] * len(exports.bad)
    return whole(np.array(poses).reshape(-1, len(JOINTS), 2), ["labeled"] * len(poses), left_out)


def read_placed(labels_path: Path) -> dict[str, Placed]:
    """data/labels/poses.parquet: picture id -> the joints that people placed."""
    table = pq.read_table(labels_path, filters=[("origin", "==", "human")])
    poses = np.array([table[name].to_numpy() for name in table.column_names if name[0] in "xy"]).T.reshape(-1, len(JOINTS), 2)
    visible = [[joint not in hidden for joint in JOINTS] for hidden in table["hidden"].to_pylist()]
    return dict(zip(table["id"].to_pylist(), map(Placed, poses, visible), strict=True))


def read_bad(bad_path: Path) -> set[str]:
    """data/labels/bad-figures.csv: ids of the pictures that people call bad."""
    with bad_path.open(encoding="utf-8", newline="") as file:
        return {row["id"] for row in csv.DictReader(file)}


def read_own(params: OwnFigures, path: Path, placed: Mapping[str, Placed] | None = None, bad: Set[str] = frozenset()) -> OwnSet:
    """Every drawing with one pose on which people agree. `placed`: picture id -> what was settled in Label Studio, which counts more; `bad`: ids of
    what is left out whatever its joints."""
    if not path.is_dir():
        raise DataError(f"no folder at {path}, expected one with sticks/ and figures/; correct draw_figures.own.path in params.yaml")
    names, first, _, rejected, poses, exported_bad, faults = _read(params, path)
    settled = {picture.name: placed[picture.id] for picture in first.values() if placed and picture.id in placed}
    poses |= settled
    if first and faults and not poses and not exported_bad and faults.keys().isdisjoint(names):
        raise DataError(
            f"none of the {len(faults)} pictures that exports in {path} name is a drawing there ({min(faults)}: {faults[min(faults)]}), "
            "expected file names or sha256; give the drawings these names, or take the exports away"
        )
    called_bad = {picture.name for picture in first.values() if picture.id in bad} | (exported_bad - settled.keys())
    taken = sorted(poses.keys() - called_bad)
    rejected += [Rejected(name, BAD, counts=False) for name in called_bad]
    rejected += [Rejected(name, fault, counts=name in names) for name, fault in faults.items() if name not in poses and name not in called_bad]
    known = {*taken, *(row.name for row in rejected)}
    rejected += [Rejected(name, WAITS, counts=False) for name in names if name not in known]
    _check(params, path, len(taken), rejected)
    sticks, figures = ([Own(path / name, poses[name]) for name in taken if name.startswith(kind)] for kind in KINDS)
    return OwnSet(sticks, figures, sorted(rejected))


def exported(params: OwnFigures, path: Path) -> dict[str, Array | None]:
    """The drawings that people need not see again, by their id: those whose joints an export in the folder tells, with these, (11, 2) in pixels, and
    those that it calls bad, or in which no drawing was found."""
    found = _read(params, path)
    told: dict[str, Array | None] = dict.fromkeys(found.blank)
    for id_, picture in found.first.items():
        if picture.name in found.poses:
            told[id_] = found.poses[picture.name].pose * (picture.width, picture.height)
        elif picture.name in found.bad:
            told[id_] = None
    return told


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file() and not is_junk(file.relative_to(path).as_posix()))


def _read(params: OwnFigures, path: Path) -> Folder:
    files = _files(path)
    names = [file.relative_to(path).as_posix() for file in files if file.suffix.lower() not in SIDE_SUFFIXES]
    limits = Limits(params.max_picture_bytes, params.max_picture_pixels, params.min_side)
    outcomes = list(in_order(partial(_open, path, limits=limits), names))
    opened = [outcome for outcome in outcomes if isinstance(outcome, Opened) and not outcome.is_blank]
    blank = [outcome for outcome in outcomes if isinstance(outcome, Opened) and outcome.is_blank]
    rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected)] + [Rejected(name, BLANK, counts=True) for name, *_ in blank]
    first = {picture.id: picture for picture in reversed(opened)}
    rejected += [Rejected(name, f"duplicate of {first[id_].name}", counts=False) for name, id_, *_ in opened if first[id_].name != name]
    exports = [file for file in files if file.suffix.lower() == ".json"]
    return Folder(names, first, {picture.id for picture in blank}, rejected, *_poses(params, exports, opened, first))


def _open(path: Path, name: str, limits: Limits) -> Opened | Rejected:
    if Path(name).suffix.lower() in WORK_SUFFIXES:
        return Rejected(name, "work file of a drawing program, not a picture", counts=False)
    if not name.startswith(KINDS):
        return Rejected(name, f"lies neither in {' nor in '.join(KINDS)}", counts=True)
    try:
        picture, drawing = opened(path / name, limits)
    except PictureError as error:
        return Rejected(name, error.reason, counts=True)
    except OSError as error:
        return Rejected(name, f"unreadable: {error}", counts=True)
    return Opened(name, picture_id(picture), picture.shape[1], picture.shape[0], _is_blank(drawing))


def _is_blank(drawing: Picture) -> bool:
    try:
        read_ink(drawing)
    except DataError:
        return True
    return False


def _poses(
    params: OwnFigures, exports_paths: Sequence[Path], opened: Sequence[Opened], first: Mapping[str, Opened]
) -> tuple[dict[str, Placed], set[str], dict[str, str]]:
    """Picture -> joints; bad pictures; and what is wrong: picture, or what an export calls one, -> reason. `first`: the first of equal pictures by
    their id."""
    exports = read_poses(exports_paths)
    index: dict[str, set[str]] = defaultdict(set)
    by_letters: dict[str, set[str]] = defaultdict(set)
    for picture in opened:
        for ending in (picture.id, *_endings(picture.name)):
            index[ending].add(first[picture.id].name)
            by_letters[folded(ending)].add(first[picture.id].name)
    sizes = {picture.name: (picture.width, picture.height) for picture in first.values()}
    faults: dict[str, str] = {}

    def find(name: str, task: str) -> str | None:
        fits = [*map(index.get, _endings(name)), *map(by_letters.get, _endings(folded(name)))]
        found: set[str] = next(filter(None, fits), set())
        if len(found) != 1:
            faults[name] = f"named in {task}, {'fits several pictures' if found else 'is no picture here'}"
        return next(iter(found)) if len(found) == 1 else None

    answers: dict[str, dict[str, Posed | Called]] = defaultdict(dict)
    said: list[Posed | Called] = [*exports.poses, *exports.bad]
    for answer in sorted(said, key=lambda answer: (answer.decides, answer.at)):  # each person's newest stays; a reviewer's is the last, or the newest
        name = find(answer.picture, answer.task)
        if name and isinstance(answer, Posed) and answer.size and answer.size != sizes[name]:
            faults[name] = f"labeled as {answer.size[0]}x{answer.size[1]}, is {sizes[name][0]}x{sizes[name][1]}"
        elif name:
            answers[name].pop(answer.annotator, None)
            answers[name][answer.annotator] = answer
    for problem in exports.problems:
        if name := find(problem.picture_id, problem.task):
            faults[name] = problem.reason
    poses: dict[str, Placed] = {}
    bad: set[str] = set()
    for name, by_person in answers.items():  # the rule of labeling/agreement.py
        given = [*by_person.values()]
        given = given[-1:] if given[-1].decides else given
        posed = [answer for answer in given if isinstance(answer, Posed)]
        if 2 * len(posed) < len(given) or (2 * len(posed) == len(given) and isinstance(given[-1], Called)):
            bad.add(name)
            continue
        pose, fault = settle_pose([each.pose for each in posed], sizes[name], params.pose_tolerance)
        if pose is None:
            faults[name] = fault
        else:
            hidden = hidden_by_most([each.hidden for each in posed], posed[-1].hidden)
            poses[name] = Placed(pose, [joint not in hidden for joint in JOINTS])
    return poses, bad, faults


def _endings(name: str) -> list[str]:
    """`a/b/c.png` -> itself, `b/c.png`, `c.png`."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _check(params: OwnFigures, path: Path, num_taken: int, rejected: Sequence[Rejected]) -> None:
    bad = [row for row in rejected if row.counts]
    num_all = num_taken + sum(row.reason == WAITS for row in rejected) + len(bad)
    if len(bad) > params.max_rejected * num_all:
        reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(row.reason for row in bad).most_common(3))
        raise DataError(
            f"{len(bad)} of {num_all} drawings in {path} cannot be used ({reasons}; the first is {bad[0].name}), "
            f"expected at most {params.max_rejected:.0%}; mend them, or raise draw_figures.own.max_rejected in params.yaml"
        )


def write_rejected(path: Path, rejected: Sequence[Rejected]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "reason"), *(row[:2] for row in rejected)])


def opened(path: Path, limits: Limits) -> tuple[Picture, Picture]:
    """RGB (H, W, 3): the picture by whose pixels it is known, and as a drawing on paper, which differs where it has no ground of its own."""
    data = path.read_bytes()
    return decode(data, limits), on_paper(decode_rgba(data, limits))


def as_gray(drawing: Picture, pose: Array, size: int) -> tuple[Picture, Array]:
    """RGB (H, W, 3) -> gray (size, size), whole and with its aspect, in the middle of white paper; and where its joints are then. Light lines on
    dark paper become dark ones on white."""
    gray = np.asarray(cv2.cvtColor(drawing, cv2.COLOR_RGB2GRAY), np.uint8)
    return _in_the_middle(255 - gray if is_light_on_dark(gray) else gray, pose, size)


def as_line_art(drawing: Picture, pose: Array, size: int) -> tuple[Picture, Array]:
    """The same of its ink alone, black on white, its lines as wide as drawn ones at least: whatever was drawn with, on, and how large."""
    ink = read_ink(drawing)
    pen = PEN * (size / 128) ** 0.5 / size
    return _in_the_middle(np.rint(255 - 255 * thickened(ink, pen * max(ink.shape))).astype(np.uint8), pose, size)


def _in_the_middle(gray: Picture, pose: Array, size: int) -> tuple[Picture, Array]:
    scale = size / max(gray.shape)
    height, width = (max(1, round(side * scale)) for side in gray.shape)
    smaller = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (size - height) // 2, (size - width) // 2
    paper = np.full((size, size), 255, np.uint8)
    paper[top : top + height, left : left + width] = smaller
    return paper, (pose * (width, height) + (left, top)) / size
