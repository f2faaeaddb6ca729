"""Labels in other people's formats, without a server: Label Studio's JSON, COCO keypoints, CVAT's XML ("CVAT for images 1.1").

Each reads and writes `Labeled`: one person's word on one picture, which is its id (sha256) where that is known, else its file name: what stands in
`file_name` (COCO) or `name` (CVAT). Written is the id with `.png`. What an import does with file names: labeling/names.py. A figure or tag of COCO
or CVAT that cannot be taken is a `Problem`, and the rest comes in. So is a figure on a picture of another shape than ours, in all three: ours was
turned or cropped there. A picture that is not here is left out by its name, and kept by its id: it may be imported later.
COCO holds joints only: v = 2 visible, 1 hidden, 0 not placed. CVAT holds joints as points of one `figure` skeleton or as single points, a hidden one
occluded or with the attribute `hidden` true, and tags as image tags: a group with the attribute `value`, a flag with `value` true or false.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from defusedxml.ElementTree import fromstring

from genga import tags
from genga.errors import DataError
from genga.skeleton import JOINTS, STICKS
from genga.tags import Labels
from genga.whole import write_whole
from labeling.agreement import word
from labeling.exports import UNTOLD, Annotation, Exports, add_answers
from labeling.keypoints import BAD, ODD, SIGHT, JsonObject, Pose, Problem, annotator, keypoints_of, named, picture_of, read_tasks, size_of, where_of
from labeling.names import Here, Size, find_pictures
from labeling.tasks import label_regions, pose_regions, sight_regions, verdict_region

SHA256 = re.compile("[0-9a-f]{64}")
TIMES = re.compile(r',\s*"updated_at": "[^"]*"')
FAULTS = (DataError, *ODD)
NO_PICTURE = "no picture of the file"
CATEGORY = {
    "id": 1,
    "name": "figure",
    "supercategory": "person",
    "keypoints": list(JOINTS),
    "skeleton": [[start + 1, end + 1] for start, end in STICKS],
}


@dataclass(frozen=True)
class Labeled:
    """`size`: the picture's width and height, UNTOLD where nobody tells them; a pose (11, 2) is in shares of it. `by`: "" where nobody is named.
    `at`: when it was said, where that is known. `hidden`, `decides` and `bad`: as in labeling/exports.py."""

    picture: str
    by: str
    size: Size
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


def labeled_of(annotations: Sequence[Annotation], sizes: Mapping[str, Size]) -> list[Labeled]:
    """`sizes`: id of each picture here -> its width and height, for answers that do not tell them; else those that another answer tells."""
    known = {said.picture_id: said.size for said in annotations if said.size != UNTOLD} | dict(sizes)
    sized = [(said, known.get(said.picture_id, UNTOLD) if said.size == UNTOLD else said.size) for said in annotations]
    return [
        Labeled(said.picture_id, said.annotator, size, said.labels, said.pose, said.hidden, said.at, said.decides, said.bad) for said, size in sized
    ]


def _untimed(found: Sequence[Labeled]) -> list[Labeled]:
    """For formats that tell no times and no stars: what counts more comes later, and of one person's poses of a picture only the last stays."""
    found = sorted(found, key=lambda said: (said.decides, said.at))
    last = {(said.picture, said.by): said for said in found if said.pose is not None}
    return [said if said.pose is None or said is last[said.picture, said.by] else replace(said, pose=None, hidden=frozenset()) for said in found]


def held(found: Sequence[Labeled], form: str) -> list[Labeled]:
    """The answers of which the format can hold something, as it holds them."""
    if form == "label-studio":
        return list(found)
    return [said for said in _untimed(found) if said.pose is not None or (said.labels and form == "cvat")]


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
    posed = held(found, "coco")
    images: dict[str, JsonObject] = {}
    for said in posed:
        images.setdefault(said.picture, {"id": len(images) + 1, "file_name": f"{said.picture}.png", "width": said.size[0], "height": said.size[1]})
    annotations = [_coco_annotation(number, said, images[said.picture]) for number, said in enumerate(posed, start=1)]
    return json.dumps({"images": list(images.values()), "annotations": annotations, "categories": [CATEGORY]}, indent=1)


def _coco_annotation(number: int, said: Labeled, image: JsonObject) -> JsonObject:
    assert said.pose is not None
    pixels = said.pose * (image["width"], image["height"])
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    width, height = (high - low).tolist()
    sights = [1 if joint in (said.hidden or ()) else 2 for joint in JOINTS]
    return {
        "id": number, "image_id": image["id"], "category_id": 1, "iscrowd": 0, "num_keypoints": len(JOINTS), "annotator": said.by,
        "keypoints": [value for (x, y), sight in zip(pixels.tolist(), sights, strict=True) for value in (x, y, sight)],
        "bbox": [*low.tolist(), width, height], "area": width * height,
    }  # fmt: skip


def from_coco(text: str) -> Read:
    """Figures whose category names our 11 joints, in any order."""
    document = json.loads(text)
    images, categories = _by_id(document["images"]), _by_id(document["categories"])
    ours = {id_: several for id_, several in categories.items() if any(_has_our_joints(category) for category in several)}
    if not ours:
        raise DataError(f"no category has the joints {', '.join(JOINTS)}; pose files with other joints go into poses/")
    read = Read([], [])
    for number, figure in enumerate(document["annotations"], start=1):
        try:
            if figure["category_id"] in ours:
                read.found.append(_from_coco(figure, _only(images, figure["image_id"], "image"), _only(ours, figure["category_id"], "category")))
        except FAULTS as error:
            name, id_ = _picture_of_figure(figure, images), figure.get("id", number) if isinstance(figure, dict) else number
            read.problems.append(Problem(f"figure {id_} on {name}", _picture(name), _said(error)))
    return read


def _by_id(entries: Iterable[Any]) -> dict[Any, list[JsonObject]]:
    """Those that have an id; another one nothing can mean."""
    found = defaultdict(list)
    for entry in entries:
        with suppress(KeyError, TypeError):
            found[entry["id"]].append(entry)
    return dict(found)


def _only(entries: Mapping[Any, Sequence[JsonObject]], id_: Any, what: str) -> JsonObject:
    several = entries.get(id_, [])
    if len(several) != 1:
        raise DataError(f"is of {what} {id_}, which stands in the file {len(several)} times, expected once; mend the file")
    return several[0]


def _has_our_joints(category: JsonObject) -> bool:
    joints = category.get("keypoints")
    return isinstance(joints, list) and all(joints.count(joint) == 1 for joint in JOINTS)


def _picture_of_figure(figure: Any, images: Mapping[Any, Sequence[JsonObject]]) -> str:
    """In words."""
    with suppress(*ODD):
        return " or ".join(str(image.get("file_name")) for image in images[figure["image_id"]])
    return NO_PICTURE


def _size(image: Mapping[str, Any]) -> Size:
    width, height = int(image["width"]), int(image["height"])
    if min(width, height) < 1:
        raise DataError(f"is on a picture of {width}x{height}, expected at least 1x1; export it again with its size")
    return width, height


def _from_coco(annotation: JsonObject, image: JsonObject, category: JsonObject) -> Labeled:
    if not isinstance(name := image["file_name"], str):
        raise DataError(f"is on a picture with the file_name {name!r}, expected text; mend the file")
    size = _size(image)
    points = dict(zip(category["keypoints"], np.array(annotation["keypoints"], dtype=np.float64).reshape(-1, 3), strict=True))
    if missing := [joint for joint in JOINTS if points[joint][2] == 0]:
        raise DataError(f"lacks {', '.join(missing)}; place every joint, hidden ones with v = 1")
    pose = np.array([points[joint][:2] for joint in JOINTS]) / size
    hidden = frozenset(joint for joint in JOINTS if points[joint][2] == 1)
    return Labeled(_picture(name), str(annotation.get("annotator") or ""), size, {}, pose, hidden)


# --- CVAT


def to_cvat(found: Sequence[Labeled]) -> str:
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    for number, said in enumerate(held(found, "cvat")):
        width, height = map(str, said.size)
        size = {} if said.pose is None and said.size == UNTOLD else {"width": width, "height": height}
        image = ET.SubElement(root, "image", {"id": str(number), "name": f"{said.picture}.png", **size, "annotator": said.by})
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
        if "name" not in image.attrib:
            read.problems.append(Problem("an image without a name", NO_PICTURE, "expected the file name of its picture; export it again"))
            continue
        said = _from_cvat(image, read.problems)
        if said.labels or said.pose is not None:
            read.found.append(said)
    return read


def _from_cvat(image: ET.Element, problems: list[Problem]) -> Labeled:
    name, size = image.attrib["name"], UNTOLD
    pose, hidden = None, frozenset[str]()
    told: dict[str, set[str | bool]] = defaultdict(set)
    for element in image.findall("tag"):
        try:
            for label, value in tags.check({element.attrib["label"]: _cvat_value(element)}).items():
                told[label].add(value)
        except FAULTS as error:
            problems.append(Problem(f"a tag of {name}", _picture(name), _said(error)))
    for label, values in told.items():
        if len(values) > 1:
            both = " and as ".join(sorted(map(word, values)))
            problems.append(Problem(f"a tag of {name}", _picture(name), f"{label} stands there as {both}, expected one; take the wrong ones away"))
    labels = {label: value for label, (value, *others) in told.items() if not others}
    points = [element for element in image.iter("points") if element.get("label") in JOINTS and element.get("outside") != "1"]
    try:
        if points:
            size = _size(image.attrib)
            pose, hidden = _cvat_pose(points) / size, frozenset(element.attrib["label"] for element in points if _is_hidden(element))
    except FAULTS as error:
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
        return _once(READERS[form](path.read_text(encoding="utf-8-sig")))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"no file {path}; give the one that was exported") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8, expected a {form} file; unpack it where it is a zip, or save it as UTF-8") from error
    except (OSError, ET.ParseError, RecursionError, *ODD) as error:
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
    """`pictures`: how many are labeled in `path`; `unknown`: names in the file that mean no picture here, or several; `absent`: ids of those of the
    pictures that are not here; `problems`: answers of the file that are kept out of the labels."""

    path: Path
    pictures: int
    unknown: list[str]
    absent: list[str]
    problems: list[Problem]


def import_labels(path: Path, form: str, annotations_dir: Path, here: Here) -> Imported:
    """The file's labels as a Label Studio export in annotations/, where the labels stage reads them."""
    tasks, problems = (_answered(path), []) if form == "label-studio" else _said_when_written(path, form)
    names = {task["data"]["id"] for task in tasks}
    posed = {task["data"]["id"] for task in tasks for said in task["annotations"] if not said.get("was_cancelled") and keypoints_of(said["result"])}
    ids = {name: name for name in names if SHA256.fullmatch(name)} | find_pictures(names - here.sizes.keys(), here, posed)
    unknown = sorted(names - ids.keys())
    if names and not ids:
        raise DataError(
            f"none of the {len(names)} pictures that {path} names is known here ({', '.join(unknown[:3])}), expected file names of imported "
            "pictures or of own-figures/, or sha256; import the pictures first with `genga repro import_faces`"
        )
    known = [task | {"data": task["data"] | {"id": ids[name]}} for task in tasks if (name := task["data"]["id"]) in ids]
    found = [kept for task in known if (kept := _on_our_shape(task, here.sizes, problems))["annotations"]]
    if not found:
        first = f" ({problems[0].task}: {problems[0].reason})" if problems else ""
        raise DataError(f"{path} holds no pose and no tag that can be taken{first}; see `genga label import --help`")
    out, text = annotations_dir / f"{form}-{path.stem}.json", json.dumps(found, indent=1, ensure_ascii=False)
    said = Exports([], problems)
    add_answers(said, found, out)
    if not out.is_file():
        write_whole(out, text)
    elif TIMES.sub("", out.read_text(encoding="utf-8")) != TIMES.sub("", text):
        raise DataError(
            f"{out} holds other labels of a file of the same name; take {out.name} away first where {path.name} is the same file corrected, or "
            f"rename {path.name} where it holds other people's labels, which then count beside them"
        )
    labeled = {each.picture_id for each in said.annotations}
    return Imported(out, len(labeled), unknown, sorted(labeled - here.sizes.keys()), said.problems)


def _on_our_shape(task: JsonObject, sizes: Mapping[str, Size], problems: list[Problem]) -> JsonObject:
    """Without the poses that are no places in the picture here. An answer of which no choice is left goes with its pose: it answered nothing else."""
    kept, picture = [], task["data"]["id"]
    for annotation in task["annotations"]:
        size = None if annotation.get("was_cancelled") else size_of(keypoints_of(annotation["result"]))
        if size is None or _is_rescaled(size, ours := sizes.get(picture, size)):
            kept.append(annotation)
            continue
        reason = f"labeled as {size[0]}x{size[1]}, is {ours[0]}x{ours[1]}; label it as it is here, neither turned nor cropped"
        problems.append(Problem(f"the figure on {task['data'].get('image', picture)}", picture, reason))
        if left := [region for region in annotation["result"] if region["type"] == "choices" and region["from_name"] != SIGHT]:
            kept.append(annotation | {"result": left})
    return task | {"annotations": kept}


def _is_rescaled(size: Size, other: Size) -> bool:
    """Whether the sides have one ratio, to a pixel of the smaller picture."""
    return abs(size[0] * other[1] - size[1] * other[0]) <= max(sum(size), sum(other))


def _said_when_written(path: Path, form: str) -> tuple[list[JsonObject], list[Problem]]:
    """Such a file does not tell when its labels were said."""
    read = read_labeled(path, form)
    at = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="milliseconds")
    return [_task(number, replace(said, at=at, by=_person(said.by, path))) for number, said in enumerate(read.found, start=1)], read.problems


def _answered(path: Path) -> list[JsonObject]:
    """The tasks of a Label Studio export that somebody answered, all checked. `data.id` becomes the picture's name where it is no sha256, and people
    are named apart from those of other files."""
    tasks = []
    for task in read_tasks(path):
        with named(where_of(task, path)):
            if not all(annotation.get("was_cancelled") for annotation in task["annotations"]):
                signed = [_signed(annotation, path) for annotation in task["annotations"]]
                tasks.append(task | {"data": task["data"] | {"id": _picture(picture_of(task.get("data")))}, "annotations": signed})
    add_answers(Exports([], []), [{name: value for name, value in task.items() if name != "url"} for task in tasks], path)  # also a pulled one stops
    return tasks


def _signed(annotation: JsonObject, path: Path) -> JsonObject:
    by = annotator(annotation)
    return annotation if by == (person := _person(by, path)) else annotation | {"completed_by": {"email": person}}


def _person(by: str, path: Path) -> str:
    """A number means somebody else in another installation; a file that names nobody stands for one person."""
    if by in ("", "None"):
        return path.stem
    return f"{path.stem}:{by}" if by.isdecimal() else by
