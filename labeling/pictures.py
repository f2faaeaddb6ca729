"""The pictures that people may label: figures for poses, prepared faces for tags.

Figures are the user's own drawings in `own-figures/`; while there are none, drawn figures held out for test stand in, so that there is
something to try. Nobody learns from those labels: the drawing knows its joints.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genga.errors import DataError, PictureError
from genga.params import OwnFigures, Params
from genga.pictures import SUFFIXES, Limits, decode
from genga.store import Store, picture_id
from labeling.exports import Annotation, read_annotations
from labeling.projects import KindName

Picture = NDArray[np.uint8]
OWN_FOLDERS = ("figures", "sticks")  # what stages/own_figures.py takes


@dataclass(frozen=True)
class Entry:
    """One picture by its id; `read` gives it as uint8 (H, W, 3) or, where gray, (H, W)."""

    id: str
    read: Callable[[], Picture]


def entries(kind: KindName, params: Params, figures_dir: Path, faces_dir: Path) -> list[Entry]:
    """Every picture of this kind, or DataError where there is none."""
    if kind == "tags":
        return _faces(faces_dir)
    own: dict[str, Entry] = {}
    for _, entry in _own(params.draw_figures.own):
        own.setdefault(entry.id, entry)
    return list(own.values()) or _drawn(figures_dir)


def _faces(faces_dir: Path) -> list[Entry]:
    store = Store(faces_dir)
    pictures = store.images(max(store.sizes, key=int))
    return [Entry(id_, partial(_row, pictures, row)) for row, id_ in enumerate(store.column("id"))]


def _own(params: OwnFigures) -> list[tuple[str, Entry]]:
    """Each by its name in the folder. Those that cannot be read are left to the stage draw_figures, which lists them."""
    folder, limits = Path(params.path), Limits(params.max_picture_bytes, params.max_picture_pixels, params.min_side)
    found = []
    for path in sorted(path for name in OWN_FOLDERS for path in (folder / name).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        read = partial(_decoded, path, limits)
        try:
            found.append((name.as_posix(), Entry(picture_id(read()), read)))
        except PictureError:
            continue
    return found


def known_names(params: Params, imported_dir: Path) -> list[tuple[str, str]]:
    """File name and id of every imported picture, of its copies, and of every own drawing, as far as there are any."""
    imported = Store(imported_dir) if (imported_dir / "manifest.parquet").is_file() else None
    columns = [imported.column(name) for name in ("id", "name", "duplicates")] if imported else []
    found = [(name, id_) for id_, first, copies in zip(*columns, strict=True) for name in (first, *copies)]
    return found + [(name, entry.id) for name, entry in _own(params.draw_figures.own)]


def _drawn(figures_dir: Path) -> list[Entry]:
    found = []
    for name in ("mannequins", "sticks"):
        store = Store(figures_dir / name)
        ids, pictures = store.column("id"), store.images(max(store.sizes, key=int))
        found += [Entry(ids[row], partial(_row, pictures, int(row))) for row in store.indices("test")]
    if not found:
        raise DataError(f"no figures to label: own-figures/ is empty and {figures_dir} holds none for test; put drawings into own-figures/figures/")
    return found


def _decoded(path: Path, limits: Limits) -> Picture:
    return decode(path.read_bytes(), limits)


def _row(pictures: Picture, row: int) -> Picture:
    return np.asarray(pictures[row])


def labeled(kind: KindName, annotations_dir: Path) -> set[str]:
    """Ids of the pictures that people have labeled or called bad, as far as the last pull knows."""
    return {said.picture_id for said in read_annotations(annotations_dir).annotations if _answers(kind, said)}


def _answers(kind: KindName, said: Annotation) -> bool:
    return said.bad or (said.pose is not None if kind == "poses" else bool(said.labels))


def doubtful(path: Path, found: Sequence[Entry]) -> list[Entry]:
    """Of these pictures the ones that train_tagger's doubtful.json names, the surest mistake first."""
    try:
        ids = [str(named["id"]) for named in json.loads(path.read_text(encoding="utf-8"))["pictures"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} does not name doubtful pictures ({error!r}), expected what `genga repro` writes: weights/tagger/doubtful.json"
        ) from error
    by_id = {entry.id: entry for entry in found}
    chosen = [by_id[id_] for id_ in dict.fromkeys(ids) if id_ in by_id]
    if not chosen:
        raise DataError(f"none of the {len(ids)} pictures that {path} names is here and not labeled by people; run `genga repro` to find others")
    return chosen
