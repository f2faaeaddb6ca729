"""Imported pictures -> square faces at every size that a family needs, each once, split by content.

    reads   data/faces/imported/   store;   data/labels/bad-faces.csv (id)   faces that people call bad pictures
    writes  data/faces/prepared/   store with one array for each size, and rejected.csv (path, reason)

With `crop`, every face that the cascade finds becomes a picture of its own, with its margin. Without it the whole picture is the face: its
largest centred square is taken, since bars along the sides would be drawn again by every model. Shrinking averages, enlarging is bicubic.
Of equal and nearly equal faces the first by name stays; its manifest row names the others and their ids, so that what is said of them counts
for it. A bad picture goes, and with it what nearly equals it, also what comes before it by name. All faces of one picture go to one split. A
picture's only face has the picture's id, so that what people say of either counts for both; each of several has one of its own. `crop_id` is what
a face was cut out as.
"""

import argparse
import csv
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from genga.door import run
from genga.errors import DataError
from genga.params import PrepareFaces, load_params
from genga.pictures import Limits, decode
from genga.progress import progress
from genga.splits import split_of
from genga.store import Store, StoreWriter, picture_id
from stages.face_finder import Box, FaceFinder, square_around
from stages.near_duplicates import THUMBNAIL, Kept, Thumbnail, difference_hash
from stages.threads import in_order

log = logging.getLogger(__name__)

Array = NDArray[np.uint8]

CHUNK = 256
# the pictures passed the import's limits
NO_LIMITS = Limits(sys.maxsize, sys.maxsize, 1)


class Face(NamedTuple):
    id: str
    crop_id: str
    side: int
    crop: Box | None
    hash: np.uint64
    thumbnail: Thumbnail
    sizes: dict[str, Array]


class Seen:
    """Faces of which others may be copies, by place; `names` of their pictures."""

    def __init__(self, params: PrepareFaces) -> None:
        self.names: list[str] = []
        self._kept = Kept(params.near_duplicate_bits, params.near_duplicate_rms)
        self._places: dict[str, int] = {}

    def find(self, face: Face) -> int | None:
        """The place of the first that equals it, to the byte or to the eye."""
        place = self._places.get(face.crop_id)
        return self._kept.find(face.hash, face.thumbnail) if place is None else place

    def add(self, face: Face, name: str) -> None:
        self._kept.keep(face.hash, face.thumbnail)
        self._places.setdefault(face.crop_id, len(self.names))
        self.names.append(name)


def prepare_faces(params: PrepareFaces, imported_dir: Path, bad_path: Path, out_dir: Path) -> None:
    imported = Store(imported_dir)
    with bad_path.open(encoding="utf-8", newline="") as file:
        bad = {row["id"] for row in csv.DictReader(file)}
    finder = None if params.crop is None else FaceFinder(params.crop)
    ids, pictures = imported.column("id"), imported.manifest.to_pylist()
    faces_of = partial(_faces_of, imported=imported, ids=ids, sizes=params.sizes, finder=finder, margin=_margin(params))
    # one of several faces of a picture has an id that only cutting tells
    suspects = range(len(imported)) if finder and bad - set(ids) else [row_idx for row_idx, id_ in enumerate(ids) if id_ in bad]
    bad_faces = _bad_faces(params, [pictures[row_idx] for row_idx in suspects], in_order(faces_of, suspects), bad) if suspects else Seen(params)
    found = progress(in_order(faces_of, range(len(imported))), what="prepare", total=len(imported))
    rejected: list[tuple[str, str]] = []
    with StoreWriter(out_dir, {str(size): (size, size, 3) for size in params.sizes}) as writer:
        splits = _write_faces(writer, params, pictures, found, bad, bad_faces, rejected)
        count, reasons = splits.total(), Counter(reason.partition(" of ")[0] for _, reason in rejected)
        told = ", ".join(f"{number} {reason}" for reason, number in reasons.items()) or "none"
        _refuse_too_few(splits, told, len(imported), imported_dir)
        with writer.beside("rejected.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("path", "reason"), *sorted(rejected)])
    log.info("prepare: %d faces kept; rejected: %s", count, told)
    if (near := reasons["near duplicate"]) > count:
        log.warning(
            f"prepare: {near} near duplicates go and {count} faces stay, expected more to stay than to go; look at "
            f"{out_dir / 'rejected.csv'}, and lower prepare_faces.near_duplicate_rms in params.yaml where it names pictures that differ"
        )


def _refuse_too_few(splits: Counter[str], told: str, num_pictures: int, imported_dir: Path) -> None:
    """DataError where training has nothing to learn from, or judging nothing to compare; `told`: what was rejected."""
    count = splits.total()
    if count == 0:
        raise DataError(
            f"no face was found in the {num_pictures} pictures of {imported_dir}, or people call all of them bad; "
            "set prepare_faces.crop to null in params.yaml"
        )
    if count == 1:
        raise DataError(
            f"{imported_dir} leaves 1 face (pictures: {num_pictures}, rejected: {told}), expected 2 or more; import more that differ and run again"
        )
    if splits["train"] == 0:
        raise DataError(
            f"all {count} faces of {imported_dir} fall into val or test, expected 1 or more in train; import more pictures, "
            "or lower prepare_faces.val and prepare_faces.test in params.yaml"
        )


def _margin(params: PrepareFaces) -> float:
    return 0.0 if params.crop is None else params.crop.margin


def _faces_of(row_idx: int, *, imported: Store, ids: Sequence[str], sizes: Sequence[int], finder: FaceFinder | None, margin: float) -> list[Face]:
    picture = decode(imported.encoded(row_idx), NO_LIMITS)
    height, width = picture.shape[:2]
    if finder is None:
        box = square_around(Box(0, 0, width, height), 0, width, height)
        if width == height:
            return [_face(picture, sizes, None, ids[row_idx])]
        return [_face(_cut(picture, box), sizes, box, ids[row_idx])]
    boxes = [square_around(box, margin, width, height) for box in finder.find(picture)]
    return [_face(_cut(picture, box), sizes, box, ids[row_idx] if len(boxes) == 1 else None) for box in boxes]


def _cut(picture: Array, box: Box) -> Array:
    return np.ascontiguousarray(picture[box.y0 : box.y1, box.x0 : box.x1])


def _face(square: Array, sizes: Sequence[int], crop: Box | None, id_: str | None) -> Face:
    thumbnail = resize(square, THUMBNAIL)
    arrays = {str(size): resize(square, size) for size in sizes}
    crop_id = picture_id(square) if crop or id_ is None else id_
    return Face(id_ or crop_id, crop_id, square.shape[0], crop, difference_hash(thumbnail), thumbnail, arrays)


def resize(square: Array, size: int) -> Array:
    if square.shape[0] == size:
        return square
    interpolation = cv2.INTER_AREA if square.shape[0] > size else cv2.INTER_CUBIC
    return cv2.resize(square, (size, size), interpolation=interpolation).astype(np.uint8, copy=False)


def _bad_faces(params: PrepareFaces, pictures: Sequence[dict[str, Any]], found: Iterable[list[Face]], bad: Set[str]) -> Seen:
    bad_faces = Seen(params)
    for picture, faces in zip(pictures, progress(found, what="find bad pictures", total=len(pictures)), strict=True):
        for face in faces:
            if _is_bad(face, picture, bad):
                bad_faces.add(face, picture["name"])
    return bad_faces


def _write_faces(
    writer: StoreWriter,
    params: PrepareFaces,
    pictures: Sequence[dict[str, Any]],
    found: Iterable[list[Face]],
    bad: Set[str],
    bad_faces: Seen,
    rejected: list[tuple[str, str]],
) -> Counter[str]:
    """Gives the number of faces written to each split; what is not written goes to `rejected`."""
    kept = Seen(params)
    copies: list[list[str]] = []  # of each face written: names of pictures
    copy_ids: list[set[str]] = []
    splits: Counter[str] = Counter()
    waiting: list[tuple[dict[str, Any], Face]] = []
    for picture, faces in zip(pictures, found, strict=True):
        if not faces:
            rejected.append((picture["name"], "no face found"))
        for face in faces:
            if _is_bad(face, picture, bad):
                rejected.append((picture["name"], "bad picture, as people say"))
                continue
            if (place := bad_faces.find(face)) is not None:
                rejected.append((picture["name"], f"near duplicate of {bad_faces.names[place]}"))
                continue
            if (place := kept.find(face)) is not None:
                rejected.append((picture["name"], f"near duplicate of {kept.names[place]}"))
                copies[place] += [picture["name"], *picture["duplicates"]]
                copy_ids[place] |= {face.id, face.crop_id}
                continue
            kept.add(face, picture["name"])
            copies.append(list(picture["duplicates"]))
            copy_ids.append(set())
            split = split_of(picture["id"], params.val, params.test)
            splits[split] += 1
            waiting.append((_row(face, picture, split), face))
            if len(waiting) == CHUNK:
                _append(writer, waiting)
    _append(writer, waiting)
    writer.fill("duplicates", [json.dumps(names, ensure_ascii=False) for names in copies])
    writer.fill("duplicate_ids", [json.dumps(sorted(ids)) for ids in copy_ids])
    return splits


def _is_bad(face: Face, picture: Mapping[str, Any], bad: Set[str]) -> bool:
    return not bad.isdisjoint((face.id, face.crop_id, picture["id"]))


def _row(face: Face, picture: dict[str, Any], split: str) -> dict[str, Any]:
    crop = None if face.crop is None else json.dumps(face.crop)
    terms = {"source": picture["source"], "licence": picture["licence"]}
    return {
        "id": face.id,
        "crop_id": face.crop_id,
        "imported_id": picture["id"],
        **terms,
        "width": face.side,
        "height": face.side,
        "split": split,
        "crop": crop,
    }


def _append(writer: StoreWriter, waiting: list[tuple[dict[str, Any], Face]]) -> None:
    if waiting:
        rows, faces = zip(*waiting, strict=True)
        writer.append(list(rows), **{size: np.stack([face.sizes[size] for face in faces]) for size in faces[0].sizes})
        waiting.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imported_dir", type=Path)
    parser.add_argument("bad_path", type=Path)
    parser.add_argument("out_dir", type=Path)
    args = parser.parse_args()
    prepare_faces(load_params().prepare_faces, args.imported_dir, args.bad_path, args.out_dir)


if __name__ == "__main__":
    run(main)
