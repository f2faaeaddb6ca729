"""Pictures from the sample, a folder, an archive or Kaggle -> a store of the pictures as they came, each one checked.

    reads   data/faces/sample/ (store), or a folder or archive; for Kaggle see stages/kaggle.py
    writes  data/faces/imported/   store with encoded.bin, and rejected.csv (path, reason)

Every file is opened, whatever its name: what decodes to its end is a picture. CSV files are read for labels: one column names the picture,
others hold tags in vocabularies of genga/tags.py. The second of two equal pictures is rejected, its labels go to the first. Texts and tables
that lie beside pictures (README, annotations ...) and equal pictures are listed in rejected.csv too, but do not count towards `max_rejected`.
"""

import argparse
import csv
import json
import logging
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from genga import tags
from genga.door import run
from genga.errors import DataError, PictureError, TooLargeError
from genga.params import ArchiveSource, FolderSource, ImportFaces, KaggleSource, SampleSource, load_params
from genga.pictures import Limits, decode, encode_png, is_junk, kind_of
from genga.progress import progress
from genga.store import Store, StoreWriter, picture_id
from genga.tags import NOTHING, Told
from stages.archives import ArchiveLimits, Member, list_archive, list_folder
from stages.processes import in_order_forked
from stages.threads import CHUNK, num_cores

log = logging.getLogger(__name__)

SIDE_SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl", ".txt", ".md", ".rst", ".html", ".xml", ".yaml", ".yml", ".toml", ".pdf", ".log", ""})
MOST_AHEAD = 2**28  # bytes of pictures that wait to be written
TABLE_SUFFIXES = (".csv", ".tsv")
NAME_COLUMNS = ("file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_name", "image_path", "name", "id")


class Taken(NamedTuple):
    """One picture that passed."""

    name: str
    id: str
    width: int
    height: int
    format: str
    data: bytes


@dataclass(frozen=True)
class Rejected:
    """`counts`: towards `max_rejected`."""

    name: str
    reason: str
    counts: bool


def import_faces(params: ImportFaces, source_path: Path, out_dir: Path) -> None:
    rejected: list[Rejected] = []
    sample = Store(source_path) if isinstance(params.source, SampleSource) else None
    members = _of_sample(sample) if sample else [member for member in _list_members(params, source_path) if not is_junk(member.name)]
    tables = [member for member in members if _suffix(member.name) in TABLE_SUFFIXES]
    pictures = [member for member in members if _suffix(member.name) not in TABLE_SUFFIXES]
    take = partial(_take, limits=Limits(params.max_picture_bytes, params.max_picture_pixels, params.min_side))
    chunks = by_bytes(pictures, MOST_AHEAD // (2 * num_cores()))
    largest = max((sum(member.size for member in chunk) for chunk in chunks), default=0) or 1
    with in_order_forked(take, chunks, max(MOST_AHEAD // largest, 2 * num_cores())) as taken, StoreWriter(out_dir, {}) as writer:
        # while the first pictures are being taken
        labels = _labels_of(sample) if sample else _read_tables(tables, [member.name for member in pictures], params.max_archive_bytes, rejected)
        outcomes = progress(chain.from_iterable(taken), what="import", total=len(pictures))
        num_taken = _write_pictures(writer, params, outcomes, labels, rejected)
        _check_outcome(num_taken, rejected, params.max_rejected, source_path)
        _write_rejected(writer.beside("rejected.csv"), rejected)
    log.info("import: %d pictures taken, %d files not (%s)", num_taken, len(rejected), _count_reasons(rejected))


def _of_sample(sample: Store) -> list[Member]:
    images = sample.images(sample.sizes[0])

    def read(picture_idx: int) -> bytes:
        return encode_png(images[picture_idx])

    return [Member(name, images[0].nbytes, partial(read, picture_idx)) for picture_idx, name in enumerate(sample.column("name"))]


def by_bytes(members: Sequence[Member], most: int) -> list[list[Member]]:
    """In their order, at most CHUNK together, and of no more bytes than `most` together but where one alone has more."""
    chunks: list[list[Member]] = []
    room = 0
    for member in members:
        if not chunks or member.size > room or len(chunks[-1]) == CHUNK:
            chunks.append([])
            room = most
        chunks[-1].append(member)
        room -= member.size
    return chunks


def _labels_of(sample: Store) -> dict[str, Told]:
    return {name: Told(json.loads(labels), {}) for name, labels in zip(sample.column("name"), sample.column("labels"), strict=True)}


def _list_members(params: ImportFaces, source_path: Path) -> list[Member]:
    limits = ArchiveLimits(params.max_archive_bytes, params.max_archive_ratio)
    match params.source:
        case FolderSource():
            return list_folder(source_path)
        case ArchiveSource():
            return list_archive(source_path, limits)
        case KaggleSource(dataset=dataset, version=version):
            from stages.kaggle import fetch

            return list_archive(fetch(dataset, version), limits)
        case SampleSource():
            raise AssertionError("the sample is a store, not files")


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def _take(member: Member, limits: Limits) -> Taken | Rejected:
    try:
        if member.size > limits.max_bytes:
            raise TooLargeError("too many bytes", f"{member.name} has {member.size} bytes")
        data = member.read()
        picture = decode(data, limits)
        height, width = picture.shape[:2]
        return Taken(member.name, picture_id(picture), width, height, kind_of(data).lower(), data)
    except PictureError as error:
        return Rejected(member.name, error.reason, counts=_suffix(member.name) not in SIDE_SUFFIXES)


def _write_pictures(
    writer: StoreWriter, params: ImportFaces, outcomes: Iterable[Taken | Rejected], labels: Mapping[str, Told], rejected: list[Rejected]
) -> int:
    """Gives the number of pictures written; what is not written goes to `rejected`."""
    names: dict[str, list[str]] = {}  # of equal pictures by their id
    told: dict[str, Told] = {}
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            rejected.append(outcome)
            continue
        name, id_, width, height, kind, data = outcome
        names.setdefault(id_, []).append(name)
        told[id_] = told.get(id_, NOTHING).over(labels.get(name, NOTHING))
        if len(names[id_]) > 1:
            rejected.append(Rejected(name, f"duplicate of {names[id_][0]}", counts=False))
            continue
        row = {"id": id_, "name": name, "source": params.origin, "licence": params.licence, "width": width, "height": height, "format": kind}
        writer.append_encoded(row, data)
    writer.fill("labels", [json.dumps(found.labels) if found.labels else None for found in told.values()])
    writer.fill("duplicates", [copies for _, *copies in names.values()])
    return len(names)


def _check_outcome(num_taken: int, rejected: Sequence[Rejected], max_rejected: float, source_path: Path) -> None:
    bad = [row for row in rejected if row.counts]
    if num_taken == 0:
        found = f"{len(rejected)} files, all rejected ({_count_reasons(rejected)})" if rejected else "nothing"
        raise DataError(f"no picture in {source_path}: found {found}, expected JPEG, PNG, WebP, GIF, BMP or TIFF; give another folder or archive")
    if len(bad) > max_rejected * (num_taken + len(bad)):
        raise DataError(
            f"{len(bad)} of {num_taken + len(bad)} files in {source_path} cannot be used ({_count_reasons(bad)}; the first is {bad[0].name}), "
            f"expected at most {max_rejected:.0%}; mend the data, or raise import_faces.max_rejected in params.yaml"
        )


def _count_reasons(rejected: Sequence[Rejected]) -> str:
    """`3 damaged, 1 duplicate`, the most frequent first."""
    counts = Counter("duplicate" if row.reason.startswith("duplicate of") else row.reason for row in rejected)
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common()) or "none"


def _write_rejected(path: Path, rejected: Sequence[Rejected]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("path", "reason"))
        table.writerows(sorted((row.name, row.reason) for row in rejected))


# --- labels that came with the data


class NameIndex:
    """Pictures by what tables call them: `a/b/c.jpg` is found as `a/b/c.jpg`, `b/c.jpg`, `c.jpg`, and without the suffix; where nothing is called
    just so, in small or capital letters too. What fits two pictures is none of them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._keys: tuple[Callable[[str], str], ...] = (str, _folded)
        self._indices = [_index(names, key_of) for key_of in self._keys]

    def find(self, cell: str, folder: str) -> str | None:
        """`folder`: of the table, whose pictures go first."""
        path = cell.strip().replace("\\", "/").removeprefix("./").lstrip("/")
        for key_of, index in zip(self._keys, self._indices, strict=True):
            if name := index.get(key_of(posixpath.join(folder, path))) or index.get(key_of(path)):
                return name
        return None


def _read_tables(tables: Sequence[Member], names: Sequence[str], max_bytes: int, rejected: list[Rejected]) -> dict[str, Told]:
    """By picture's name. Where two tables tell different things, the first by name is right."""
    labels: dict[str, Told] = {}
    index = NameIndex(names if tables else [])
    for table in tables:
        try:
            found = _read_table(table, index, max_bytes)
        except PictureError as error:
            log.warning("import: %s labels nothing: %s", table.name, error.reason)
            rejected.append(Rejected(table.name, error.reason, counts=False))
            continue
        log.info("import: %s labels %d of %d files", table.name, len(found), len(names))
        for name, told in found.items():
            labels[name] = labels.get(name, NOTHING).over(told)
    return labels


def _read_table(table: Member, index: NameIndex, max_bytes: int) -> dict[str, Told]:
    if table.size > max_bytes:
        raise TooLargeError("too many bytes", f"{table.name} has {table.size} bytes")
    try:
        text = table.read().decode("utf-8-sig").lstrip("\r\n")
        if text[:4].lower() == "sep=":  # Excel's
            text = text.partition("\n")[2]
        if not text.strip():
            raise PictureError("an empty table", f"{table.name} holds nothing")
        header, *lines = csv.reader(StringIO(text, newline=""), delimiter=max(",;\t", key=text.partition("\n")[0].count))
    except (ValueError, csv.Error) as error:
        raise PictureError("not a table in UTF-8", f"{table.name}: {error}") from error
    columns = [column.strip().lower() for column in header]
    name_column = next((column for column in NAME_COLUMNS if column in columns), None)
    vocabularies = tags.vocabularies_for(columns)
    if name_column is None or not vocabularies:
        raise PictureError("no column that names pictures, or none of tags that we know", f"{table.name} has {columns}")
    labels: dict[str, Told] = {}
    folder = posixpath.dirname(table.name)
    for line in lines:
        row = dict(zip(columns, line, strict=False))
        name = index.find(row.get(name_column, ""), folder)
        told = tags.translate(vocabularies, row)
        if name is not None and told.labels:
            labels[name] = labels.get(name, NOTHING).over(told)
    if not labels:
        raise PictureError("no row names a picture here and a tag that we know", table.name)
    return labels


def _index(names: Sequence[str], key_of: Callable[[str], str]) -> dict[str, str | None]:
    """Whole names go before parts of them. Texts beside pictures are found by their whole name alone."""
    parts: dict[str, str | None] = {}
    whole: dict[str, str | None] = {}
    for name in names:
        _add(whole, key_of(name), name)
        ending, suffix = name, _suffix(name)
        while ending and not (suffix and suffix in SIDE_SUFFIXES):
            _add(parts, key_of(ending), name)
            _add(parts, key_of(posixpath.splitext(ending)[0]), name)
            ending = ending.partition("/")[2]
    return parts | whole


def _add(index: dict[str, str | None], key: str, name: str) -> None:
    index[key] = name if index.get(key, name) == name else None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path)
    args = parser.parse_args()
    params = load_params().import_faces
    import_faces(params, Path(params.source.path), args.out_dir)


if __name__ == "__main__":
    run(main)
