"""Labels as arrays: one row per picture, one column per group or flag, holding the number of the value, or UNKNOWN.

A group's values are numbered as in genga/tags.yaml; a flag is 0 (no) or 1 (yes).
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from genga.errors import DataError
from genga.store import Store
from genga.tags import ORIGINS, Labels, check, flags, groups

log = logging.getLogger(__name__)

UNKNOWN = -1

Targets = NDArray[np.int64]


def names() -> list[str]:
    """Groups, then flags: the columns of a target array."""
    return [*groups(), *flags()]


def value_names(name: str) -> list[str]:
    return groups().get(name, ["no", "yes"])


def targets_of(labels: Labels) -> list[int]:
    """One picture's labels -> its row."""
    checked = check(labels)
    found = {name: int(value) if isinstance(value, bool) else groups()[name].index(value) for name, value in checked.items()}
    return [found.get(name, UNKNOWN) for name in names()]


@dataclass(frozen=True)
class Labelled:
    """Targets (N, names) and, in the same places, the origin as an index into ORIGINS, or UNKNOWN."""

    targets: Targets
    origins: Targets

    def known(self) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = self.targets != UNKNOWN
        return known


def read_labels(labels_dir: Path, store: Store) -> Labelled:
    """The labels of a store's pictures, by what they, their cut-out or their copies are called. Where several speak about one tag, the most trusted
    origin wins, of these what is said of the picture itself. What is said of a picture with several faces is said of none of them."""
    table = _read_table(labels_dir / "tags.parquet")
    rows = {picture: row for name in ("crop_id", "id") if name in store.manifest.column_names for row, picture in enumerate(store.column(name))}
    rows_of_copies = _rows_of_copies(store)
    columns = {name: column for column, name in enumerate(names())}
    targets = np.full((len(store), len(columns)), UNKNOWN, np.int64)
    origins = np.full_like(targets, UNKNOWN)
    several = set(store.column("imported_id")) - rows.keys() if "imported_id" in store.manifest.column_names else set()
    if unclear := several.intersection(table["id"].to_pylist()):
        log.warning("labels of %d pictures with several faces are left out: nobody says which face they mean", len(unclear))
    said = zip(*(table[key].to_pylist() for key in ("id", "name", "value", "origin")), strict=True)
    for picture, name, value, origin in sorted(said, key=lambda row: row[0] not in rows):
        row = rows.get(picture, rows_of_copies.get(picture))
        if row is None:
            continue
        column = _place(columns, name, labels_dir)
        trust = _place({known: at for at, known in enumerate(ORIGINS)}, origin, labels_dir)
        if origins[row, column] == UNKNOWN or trust < origins[row, column]:
            targets[row, column] = _place(_values(name), value, labels_dir)
            origins[row, column] = trust
    return Labelled(targets, origins)


def _rows_of_copies(store: Store) -> dict[str, int]:
    if "duplicate_ids" not in store.manifest.column_names:
        return {}
    return {picture: row for row, ids in enumerate(store.column("duplicate_ids")) for picture in json.loads(ids)}


def read_truth(store: Store) -> Labelled:
    """The truth that a store of drawn pictures carries in its manifest."""
    targets = np.array([targets_of(json.loads(labels)) for labels in store.column("labels")], np.int64)
    return Labelled(targets, np.where(targets == UNKNOWN, UNKNOWN, ORIGINS.index("drawn")))


def counts(targets: Targets) -> dict[str, NDArray[np.int64]]:
    """name -> how often each of its values occurs."""
    return {name: np.bincount(column[column != UNKNOWN], minlength=len(value_names(name))) for name, column in zip(names(), targets.T, strict=True)}


def _values(name: str) -> dict[str, int]:
    return {value: at for at, value in enumerate(groups().get(name, ["false", "true"]))}


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, columns=["id", "name", "value", "origin"])
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise DataError(f"{path} cannot be read ({error}); expected a table id, name, value, origin; make it with `dvc repro labels`") from error


def _place(known: dict[str, int], word: str, labels_dir: Path) -> int:
    if word not in known:
        raise DataError(f"{labels_dir}/tags.parquet says {word!r}, expected one of {', '.join(known)}; run `dvc repro labels`")
    return known[word]
