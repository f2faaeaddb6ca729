"""The pictures that people may label: figures for poses, prepared faces for tags.

Figures are the user's own drawings in `own-figures/`; while there are none, drawn figures held out for test stand in, so that there is
something to try. Nobody learns from those labels: the drawing knows its joints.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genga.errors import DataError, PictureError
from genga.params import OwnFigures, Params
from genga.pictures import Limits, decode, decode_rgba, is_junk, on_paper
from genga.store import MANIFEST, Store, picture_id
from labeling.exports import read_annotations
from labeling.names import OWN_FOLDERS, SIDE_SUFFIXES, WORK_SUFFIXES, Here, Size
from labeling.projects import KindName
from labeling.tasks import asking

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Entry:
    """One picture by its id; `read` gives it as uint8 (H, W, 3) or, where gray, (H, W). `asks`: the tags that it is, or may be, asked for, () for
    all; `guess`: whether the models may say theirs; `copies`: ids of pictures that nearly equal it and went for it."""

    id: str
    read: Callable[[], Picture]
    asks: tuple[str, ...] = ()
    guess: bool = True
    copies: tuple[str, ...] = ()

    def without(self, said: Collection[str]) -> "Entry | None":
        """To be asked for the other tags; None where none is left. A pose is said with any of them."""
        if not said:
            return self
        left = tuple(name for name in asking(self.asks)["asks"] if name not in said)
        return replace(self, asks=left) if left else None

    def still_open(self, said: Mapping[str, Collection[str]]) -> "Entry | None":
        """`said`: of pictures, by id; what is said of a copy counts here too."""
        return self.without({name for id_ in (self.id, *self.copies) for name in said.get(id_, ())})


def entries(kind: KindName, params: Params, figures_dir: Path, faces_dir: Path) -> list[Entry]:
    """Every picture of this kind, or DataError where there is none."""
    if kind == "tags":
        return _faces(faces_dir)
    own: dict[str, Entry] = {}
    for _, _, entry in _own(params.draw_figures.own):
        own.setdefault(entry.id, entry)
    return list(own.values()) or _drawn(figures_dir)


def _faces(faces_dir: Path) -> list[Entry]:
    store = Store(faces_dir)
    pictures = store.images(max(store.sizes, key=int))
    rows = enumerate(zip(store.column("id"), _copies(store), strict=True))
    return [Entry(id_, partial(_row, pictures, row), copies=copies) for row, (id_, copies) in rows]


def _copies(faces: Store) -> list[tuple[str, ...]]:
    """Of each face the ids of those that nearly equal it."""
    told = faces.column("duplicate_ids") if "duplicate_ids" in faces.manifest.column_names else ["[]"] * len(faces)
    return [tuple(json.loads(ids)) for ids in told]


def _own(params: OwnFigures) -> list[tuple[str, Size, Entry]]:
    """Each with its name in the folder. Those that cannot be read are left to the stage draw_figures, which lists them."""
    folder, limits = Path(params.path), Limits(params.max_picture_bytes, params.max_picture_pixels, params.min_side)
    found = []
    for path in sorted(path for name in OWN_FOLDERS for path in (folder / name).rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if is_junk(name) or path.suffix.lower() in SIDE_SUFFIXES | WORK_SUFFIXES:
            continue
        try:
            picture = decode(path.read_bytes(), limits)
        except (PictureError, OSError):
            continue
        height, width = picture.shape[:2]
        found.append((name, (width, height), Entry(picture_id(picture), partial(_drawing, path, limits))))
    return found


def pictures_here(params: Params, imported_dir: Path, made_dirs: Sequence[Path]) -> Here:
    """As far as there are any. `made_dirs`: stores of prepared faces and of drawn pictures."""
    own = _own(params.draw_figures.own)
    here = Here([], {}, frozenset(entry.id for _, _, entry in own))
    for store in _stores(made_dirs):
        height, width = store.images(max(store.sizes, key=int)).shape[1:3]
        ids = [store.column(name) for name in ("id", "crop_id") if name in store.manifest.column_names]
        here.sizes.update((id_, (width, height)) for several in (*ids, *_copies(store)) for id_ in several)
    for imported in _stores([imported_dir]):
        for id_, width, height, name, copies in zip(*map(imported.column, ("id", "width", "height", "name", "duplicates")), strict=True):
            here.sizes[id_] = width, height
            here.names.extend((each, id_) for each in (name, *copies))
    for name, size, entry in own:
        here.sizes[entry.id] = size
        here.names.append((name, entry.id))
    return here


def _stores(dirs: Iterable[Path]) -> list[Store]:
    return [Store(store_dir) for store_dir in dirs if (store_dir / MANIFEST).is_file()]


def _drawn(figures_dir: Path) -> list[Entry]:
    found = []
    for name in ("mannequins", "sticks"):
        store = Store(figures_dir / name)
        ids, pictures = store.column("id"), store.images(max(store.sizes, key=int))
        found += [Entry(ids[row], partial(_row, pictures, int(row))) for row in store.indices("test")]
    if not found:
        raise DataError(f"no figures to label: own-figures/ is empty and {figures_dir} holds none for test; put drawings into own-figures/figures/")
    return found


def _drawing(path: Path, limits: Limits) -> Picture:
    return on_paper(decode_rgba(path.read_bytes(), limits))


def _row(pictures: Picture, row: int) -> Picture:
    return np.asarray(pictures[row])


def said_by_people(kind: KindName, annotations_dir: Path) -> dict[str, set[str]]:
    """Picture id -> the tags that people have said of it, as far as the last pull knows: every tag where they placed its joints, or called it bad."""
    found: dict[str, set[str]] = {}
    for said in read_annotations(annotations_dir).annotations:
        if said.bad or (kind == "poses" and said.pose is not None):
            found.setdefault(said.picture_id, set()).update(asking()["asks"])
        elif kind == "tags":
            found.setdefault(said.picture_id, set()).update(said.labels)
    return found


def doubtful(path: Path, found: Sequence[Entry]) -> list[Entry]:
    """Of these pictures the ones that train_tagger's doubtful.json names, the surest mistake first, each to be asked for what is doubted,
    without the doubter's guess."""
    names: dict[str, list[str]] = {}
    try:
        for named in json.loads(path.read_text(encoding="utf-8"))["pictures"]:
            names.setdefault(str(named["id"]), []).append(str(named["name"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} does not name doubtful pictures ({error!r}), expected what `genga repro` writes: weights/tagger/doubtful.json"
        ) from error
    by_id = {entry.id: entry for entry in found}
    open_tags = {id_: [name for name in doubted if name in asking(by_id[id_].asks)["asks"]] for id_, doubted in names.items() if id_ in by_id}
    chosen = [replace(by_id[id_], asks=tuple(doubted), guess=False) for id_, doubted in open_tags.items() if doubted]
    if not chosen:
        raise DataError(f"none of the {len(names)} pictures that {path} names is here and not labeled by people; run `genga repro` to find others")
    return chosen
