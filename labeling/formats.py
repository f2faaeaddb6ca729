"""Labels in other people's formats, without a server: Label Studio's JSON, COCO keypoints, CVAT's XML ("CVAT for images 1.1").

Each reads and writes `Labeled`: one person's word on one picture, which is its id (sha256) where that is known, else its file name: what stands in
`file_name` (COCO) or `name` (CVAT). Written is the id with `.png`. What an import does with file names: labeling/names.py. A figure or tag of COCO
or CVAT that cannot be taken is a `Problem`, and the rest comes in.
COCO holds joints only: v = 2 visible, 1 hidden, 0 not placed. CVAT holds joints as points of one `figure` skeleton or as single points, a hidden one
occluded or with the attribute `hidden` true, and tags as image tags: a group with the attribute `value`, a flag with `value` true or false.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from defusedxml.ElementTree import fromstring

from genga import tags
from genga.errors import DataError
from genga.skeleton import JOINTS, STICKS
from genga.tags import Labels
from genga.whole import write_whole
from labeling.agreement import word
from labeling.exports import Annotation, read_exports, read_result, words_of_today
from labeling.keypoints import BAD, SIGHT, JsonObject, Pose, Problem, annotator, named, picture_of, read_tasks, where_of
from labeling.names import find_pictures
from labeling.tasks import label_regions, pose_regions, sight_regions, verdict_region

SHA256 = re.compile("[0-9a-f]{64}")
TIMES = re.compile(r',\s*"updated_at": "[^"]*"')
ODD = (DataError, ValueError, KeyError, TypeError, IndexError)  # what is not as its format has it raises one of these
CATEGORY = {
    "id": 1,
    "name": "figure",
    "supercategory": "person",
    "keypoints": list(JOINTS),
    "skeleton": [[start + 1, end + 1] for start, end in STICKS],
}


@dataclass(frozen=True)
class Labeled:
    """`size`: the picture's width and height; a pose (11, 2) is in shares of it. `by`: "" where nobody is named. `at`: when it was said, where
    that is known. `hidden`, `decides` and `bad`: as in labeling/exports.py."""

    picture: str
    by: str
    size: tuple[int, int]
    labels: Labels
    pose: Pose | None
    hidden: frozenset[str] | None = frozenset()
    at: str = ""
    decides: bool = False
    bad: bool = False


class Read(NamedTuple):
    """What a file holds, and what of it is kept out."""

    found: list[Labeled]
    problems: list[Problem]


def labeled_of(annotations: Sequence[Annotation]) -> list[Labeled]:
    return [
        Labeled(said.picture_id, said.annotator, said.size, said.labels, said.pose, said.hidden, said.at, said.decides, said.bad)
        for said in annotations
    ]


def _untimed(found: Sequence[Labeled]) -> list[Labeled]:
    """For formats that tell no times and no stars: what counts more comes later, and of one person's poses of a picture only the last stays."""
    found = sorted(found, key=lambda said: (said.decides, said.at))
    last = {(said.picture, said.by): said for said in found if said.pose is not None}
    return [said if said.pose is None or said is last[said.picture, said.by] else replace(said, pose=None, hidden=frozenset()) for said in found]


# --- Label Studio


def to_label_studio(found: Sequence[Labeled]) -> str:
    """Tasks with annotations: what Label Studio imports, and what the labels stage reads."""
    return json.dumps([_task(number, said) for number, said in enumerate(found, start=1)], indent=1, ensure_ascii=False)


def _task(number: int, said: Labeled) -> JsonObject:
    points = [] if said.pose is None else pose_regions(said.pose, *said.size)
    result = [*points, *sight_regions(said.hidden or frozenset(), points), *label_regions(said.labels), *([verdict_region(BAD)] if said.bad else [])]
    data = {
        "image": said.picture if PurePosixPath(said.picture).suffix else f"{said.picture}.png",
        "id": said.picture,
        "asks": [flag for flag in tags.flags() if flag in said.labels],
    } | ({"unasked": [SIGHT]} if said.hidden is None else {})
    annotation = {"id": number, "completed_by": {"email": said.by}, "result": result, "was_cancelled": False}
    known = ({"updated_at": said.at} if said.at else {}) | ({"ground_truth": True} if said.decides else {})
    return {"id": number, "data": data, "annotations": [annotation | known]}


# --- COCO keypoints


def to_coco(found: Sequence[Labeled]) -> str:
    """Poses only; joints in pixels of the picture."""
    posed = [said for said in _untimed(found) if said.pose is not None]
    images: dict[str, JsonObject] = {}
    for said in posed:
        images.setdefault(said.picture, {"id": len(images) + 1, "file_name": f"{said.picture}.png", "width": said.size[0], "height": said.size[1]})
    annotations = [_coco_annotation(number, said, images[said.picture]["id"]) for number, said in enumerate(posed, start=1)]
    return json.dumps({"images": list(images.values()), "annotations": annotations, "categories": [CATEGORY]}, indent=1)


def _coco_annotation(number: int, said: Labeled, image: int) -> JsonObject:
    assert said.pose is not None
    pixels = said.pose * said.size
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    width, height = (high - low).tolist()
    sights = [1 if joint in (said.hidden or ()) else 2 for joint in JOINTS]
    return {
        "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "num_keypoints": len(JOINTS), "annotator": said.by,
        "keypoints": [value for (x, y), sight in zip(pixels.tolist(), sights, strict=True) for value in (x, y, sight)],
        "bbox": [*low.tolist(), width, height], "area": width * height,
    }  # fmt: skip


def from_coco(text: str) -> Read:
    """Figures whose category names our 11 joints, in any order."""
    document = json.loads(text)
    images = {image["id"]: image for image in document["images"]}
    orders = {category["id"]: category["keypoints"] for category in document["categories"] if set(JOINTS) <= set(category.get("keypoints", []))}
    if not orders:
        raise DataError(f"no category has the joints {', '.join(JOINTS)}; pose files with other joints go into poses/")
    read = Read([], [])
    for figure in (annotation for annotation in document["annotations"] if annotation["category_id"] in orders):
        name = str(images.get(figure["image_id"], {}).get("file_name", "no picture of the file"))
        try:
            read.found.append(_from_coco(figure, images[figure["image_id"]], orders[figure["category_id"]]))
        except ODD as error:
            read.problems.append(Problem(f"figure {figure.get('id')} on {name}", _picture(name), _said(error)))
    return read


def _from_coco(annotation: JsonObject, image: JsonObject, order: Sequence[str]) -> Labeled:
    size = (int(image["width"]), int(image["height"]))
    points = dict(zip(order, np.array(annotation["keypoints"], dtype=np.float64).reshape(-1, 3), strict=True))
    if missing := [joint for joint in JOINTS if points[joint][2] == 0]:
        raise DataError(f"lacks {', '.join(missing)}; place every joint, hidden ones with v = 1")
    pose = np.array([points[joint][:2] for joint in JOINTS]) / size
    hidden = frozenset(joint for joint in JOINTS if points[joint][2] == 1)
    return Labeled(_picture(image["file_name"]), str(annotation.get("annotator") or ""), size, {}, pose, hidden)


# --- CVAT


def to_cvat(found: Sequence[Labeled]) -> str:
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    for number, said in enumerate(said for said in _untimed(found) if said.labels or said.pose is not None):
        width, height = map(str, said.size)
        image = ET.SubElement(
            root, "image", {"id": str(number), "name": f"{said.picture}.png", "width": width, "height": height, "annotator": said.by}
        )
        if said.pose is not None:
            skeleton = ET.SubElement(image, "skeleton", {"label": "figure", "source": "manual", "z_order": "0"})
            for joint, (x, y) in zip(JOINTS, (said.pose * said.size).tolist(), strict=True):
                occluded = str(int(joint in (said.hidden or ())))
                ET.SubElement(skeleton, "points", {"label": joint, "outside": "0", "occluded": occluded, "points": f"{x:.6f},{y:.6f}"})
        for name, value in said.labels.items():
            tag = ET.SubElement(image, "tag", {"label": name, "source": "manual"})
            ET.SubElement(tag, "attribute", {"name": "value"}).text = word(value)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def from_cvat(text: str) -> Read:
    """Images that hold a pose or a tag."""
    read = Read([], [])
    for image in fromstring(text, forbid_dtd=True).iter("image"):
        said = _from_cvat(image, read.problems)
        if said.labels or said.pose is not None:
            read.found.append(said)
    return read


def _from_cvat(image: ET.Element, problems: list[Problem]) -> Labeled:
    name, size = image.attrib["name"], (int(image.attrib["width"]), int(image.attrib["height"]))
    labels: Labels = {}
    pose, hidden = None, frozenset[str]()
    for element in image.findall("tag"):
        try:
            labels |= tags.check({element.attrib["label"]: _cvat_value(element)})
        except ODD as error:
            problems.append(Problem(f"a tag of {name}", _picture(name), _said(error)))
    points = [element for element in image.iter("points") if element.get("label") in JOINTS and element.get("outside") != "1"]
    try:
        if points:
            pose, hidden = _cvat_pose(points) / size, frozenset(element.attrib["label"] for element in points if _is_hidden(element))
    except ODD as error:
        problems.append(Problem(f"the figure on {name}", _picture(name), _said(error)))
    return Labeled(_picture(name), image.get("annotator", ""), size, labels, pose, hidden)


def _cvat_pose(points: Sequence[ET.Element]) -> Pose:
    """(11, 2), in pixels."""
    names = [element.attrib["label"] for element in points]
    if sorted(names) != sorted(JOINTS):
        raise DataError(f"has the joints {', '.join(names)}, expected each of {', '.join(JOINTS)} once; mend it in CVAT")
    placed = {element.attrib["label"]: [float(value) for value in element.attrib["points"].split(",")] for element in points}
    return np.array([placed[joint] for joint in JOINTS]).reshape(len(JOINTS), 2)


def _cvat_value(tag: ET.Element) -> str | bool:
    """A flag without the attribute is a yes."""
    told = _attribute(tag, "value", "true")
    return _yes_or_no(told) if tag.attrib["label"] in tags.flags() else told


def _attribute(element: ET.Element, name: str, otherwise: str) -> str:
    return next((attribute.text or "" for attribute in element.findall("attribute") if attribute.get("name") == name), otherwise)


def _yes_or_no(told: str) -> bool:
    if told.lower() not in ("true", "false"):
        raise DataError(f"has the value {told!r}, expected true or false")
    return told.lower() == "true"


def _is_hidden(joint: ET.Element) -> bool:
    return joint.get("occluded") == "1" or _yes_or_no(_attribute(joint, "hidden", "false"))


def _picture(name: str) -> str:
    """The id, where the file is named by it."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if SHA256.fullmatch(path.stem) else path.as_posix().lstrip("/")


# --- files

WRITERS: dict[str, Callable[[Sequence[Labeled]], str]] = {"label-studio": to_label_studio, "coco": to_coco, "cvat": to_cvat}
READERS: dict[str, Callable[[str], Read]] = {"coco": from_coco, "cvat": from_cvat}


def lost(found: Sequence[Labeled], form: str) -> list[str]:
    """What of these answers the format cannot hold, in words."""
    if form == "label-studio":
        return []
    counts = {
        "answers' tags": sum(bool(said.labels) for said in found) if form == "coco" else 0,
        "older poses": sum(said.pose is not None for said in found) - sum(said.pose is not None for said in _untimed(found)),
        "poses that leave open what is hidden": sum(said.hidden is None for said in found),
        "bad pictures": sum(said.bad for said in found),
        "stars": sum(said.decides for said in found),
        "times": sum(bool(said.at) for said in found),
    }
    return [f"{count} {what}" for what, count in counts.items() if count]


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, DataError) else f"cannot be read ({error!r})"


def read_labeled(path: Path, form: str) -> Read:
    """DataError where the file is not of this form."""
    try:
        return _once(READERS[form](path.read_text(encoding="utf-8")))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"no file {path}; give the one that was exported") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8, expected a {form} file; unpack it where it is a zip, or save it as UTF-8") from error
    except (OSError, ET.ParseError, *ODD) as error:
        raise DataError(f"{path} is no {form} file that we read ({error!r}); export it again") from error


def _once(read: Read) -> Read:
    """Where one person placed several figures on a picture nobody knows which is meant: none is taken."""
    counts = Counter((said.picture, said.by) for said in read.found if said.pose is not None)
    several = {key: count for key, count in counts.items() if count > 1}
    problems = [
        Problem(picture, picture, f"{count} figures{f' by {by}' if by else ''}, expected one of each annotator; take the others away")
        for (picture, by), count in several.items()
    ]
    single = [replace(said, pose=None, hidden=frozenset()) if (said.picture, said.by) in several else said for said in read.found]
    return Read([said for said in single if said.labels or said.pose is not None], read.problems + problems)


@dataclass(frozen=True)
class Imported:
    """`pictures`: how many are labeled in `path`; `unknown`: names in the file that mean no picture here, or several; `problems`: answers of the file
    that are kept out of the labels."""

    path: Path
    pictures: int
    unknown: list[str]
    problems: list[Problem]


def import_labels(path: Path, form: str, annotations_dir: Path, known: Sequence[tuple[str, str]]) -> Imported:
    """The file's labels as a Label Studio export in annotations/, where the labels stage reads them. `known`: name and id of the pictures here."""
    tasks, problems = (_answered(path), []) if form == "label-studio" else _said_when_written(path, form)
    if not tasks:
        first = f" ({problems[0].task}: {problems[0].reason})" if problems else ""
        raise DataError(f"{path} holds no pose and no tag that can be taken{first}; see `genga label import --help`")
    names = {task["data"]["id"] for task in tasks}
    ids = find_pictures(names, known) | {name: name for name in names if SHA256.fullmatch(name)}
    unknown = sorted(names - ids.keys())
    if not ids:
        raise DataError(
            f"none of the {len(names)} pictures that {path} names is known here ({', '.join(unknown[:3])}), expected file names of imported "
            "pictures or of own-figures/, or sha256; import the pictures first with `genga repro import_faces`"
        )
    found = [task | {"data": task["data"] | {"id": ids[name]}} for task in tasks if (name := task["data"]["id"]) in ids]
    out, text = annotations_dir / f"{form}-{path.stem}.json", json.dumps(found, indent=1, ensure_ascii=False)
    if not out.is_file():
        write_whole(out, text)
    elif TIMES.sub("", out.read_text(encoding="utf-8")) != TIMES.sub("", text):
        raise DataError(f"{out} holds other labels of a file of the same name; rename {path.name} to add to them, or take {out.name} away first")
    return Imported(out, len(set(ids.values())), unknown, problems + read_exports([out]).problems)


def _said_when_written(path: Path, form: str) -> tuple[list[JsonObject], list[Problem]]:
    """Such a file does not tell when its labels were said."""
    read = read_labeled(path, form)
    at = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="milliseconds")
    return [_task(number, replace(said, at=at, by=_person(said.by, path))) for number, said in enumerate(read.found, start=1)], read.problems


def _answered(path: Path) -> list[JsonObject]:
    """The tasks of a Label Studio export that somebody answered, each checked. `data.id` becomes the picture's name where it is no sha256, and people
    are named apart from those of other files."""
    tasks = []
    for task in read_tasks(path):
        with named(where_of(task, path)):
            answers = [annotation["result"] for annotation in task["annotations"] if not annotation.get("was_cancelled")]
            for result in answers:
                read_result(words_of_today(result)[0])
            if answers:
                signed = [_signed(annotation, path) for annotation in task["annotations"]]
                tasks.append(task | {"data": task["data"] | {"id": _picture(picture_of(task.get("data")))}, "annotations": signed})
    return tasks


def _signed(annotation: JsonObject, path: Path) -> JsonObject:
    by = annotator(annotation)
    return annotation if by == (person := _person(by, path)) else annotation | {"completed_by": {"email": person}}


def _person(by: str, path: Path) -> str:
    """A number means somebody else in another installation; a file that names nobody stands for one person."""
    if by in ("", "None"):
        return path.stem
    return f"{path.stem}:{by}" if by.isdecimal() else by
