"""Pictures from the sample, a folder, an archive or Kaggle -> a store of the pictures as they came, each one checked.

    reads   data/faces/sample/ (store), or a folder or archive; for Kaggle see stages/kaggle.py
    writes  data/faces/imported/   store with encoded.bin, and rejected.csv (path, reason)

Every file is opened, whatever its name: what decodes to its end is a picture. CSV files are read for labels: one column names the picture,
others hold tags in vocabularies of genga/tags.py. The second of two equal pictures is rejected, its labels go to the first. Texts and tables
that lie beside pictures (README, annotations ...), hidden and equal pictures are listed in rejected.csv too, but do not count towards
`max_rejected`.
"""

import argparse
import codecs
import csv
import json
import logging
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from genga.pictures import SUFFIXES, Limits, decode, encode_png, is_hidden_picture, is_junk, kind_of
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
FILE_COLUMNS = ("file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_name", "image_path")
OTHER_NAMES = ("name", "md5", "id")  # may be a character's, or the table's own number, which fits a picture by chance
MOST_WORDS = 5  # that are said of a table


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
    members = _of_sample(sample) if sample else _without_junk(_list_members(params, source_path), rejected)
    tables = [member for member in members if _suffix(member.name) in TABLE_SUFFIXES]
    pictures = [member for member in members if _suffix(member.name) not in TABLE_SUFFIXES]
    _say_texts([member.name for member in pictures])
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


def _without_junk(members: Sequence[Member], rejected: list[Rejected]) -> list[Member]:
    """What is left behind by systems goes without a word, a hidden picture goes to `rejected`."""
    rejected += [Rejected(member.name, "hidden", counts=False) for member in members if is_hidden_picture(member.name)]
    return [member for member in members if not is_junk(member.name)]


def _say_texts(names: Sequence[str]) -> None:
    """They may be a tagger's, and what a text does not name is not known to be a no."""
    called = {key for name in names if _suffix(name) in SUFFIXES for key in (name, posixpath.splitext(name)[0])}
    num_texts = sum(_suffix(name) == ".txt" and posixpath.splitext(name)[0] in called for name in names)
    if num_texts:
        log.warning("import: %d texts beside pictures are not read as labels; put their tags into a table with the columns file and tags", num_texts)
    if documents := [name for name in names if _suffix(name) == ".json"]:
        log.warning(
            "import: %d JSON files are not read as labels, the first is %s; put their tags into a table with the columns file and tags",
            len(documents),
            documents[0],
        )


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
    just so, in small or capital letters too. What fits two pictures is none of them. Texts beside pictures are found by their whole name alone,
    other files where no picture is called so."""

    def __init__(self, names: Sequence[str]) -> None:
        pictures = [name for name in names if _suffix(name) in SUFFIXES]
        others = [name for name in names if _suffix(name) not in (SUFFIXES | SIDE_SUFFIXES) - {""}]
        self._keys: tuple[Callable[[str], str], ...] = (str, _folded)
        self._indices = [
            _index(others, key_of, _endings) | _index(pictures, key_of, _endings) | _index(names, key_of, lambda name: (name,))
            for key_of in self._keys
        ]
        self._whole = _index(names, _folded, lambda name: (name,))

    def find(self, cells: Sequence[str], folder: str) -> list[str | None]:
        """For each cell a picture's name. `folder`: of the table, whose pictures go first.

        Paths from another place, as `/home/ann/faces/1.jpg`, are read without their leading folders where these are the same in all that then are
        the whole name of a picture; where they are not, as in `train/1.jpg` and `val/1.jpg`, one of the two is no picture here.
        """
        paths = [cell.strip().replace("\\", "/").removeprefix("./").lstrip("/") for cell in cells]
        found = [self._find(path, folder) for path in paths]
        leads = {self._lead(path, folder) for path, name in zip(paths, found, strict=True) if name is None} - {""}
        if len(leads) != 1:
            return found
        lead = leads.pop()
        return [name or self._find(path.removeprefix(lead), folder) for path, name in zip(paths, found, strict=True)]

    def _find(self, path: str, folder: str) -> str | None:
        for key_of, index in zip(self._keys, self._indices, strict=True):
            if name := index.get(key_of(posixpath.join(folder, path))) or index.get(key_of(path)):
                return name
        return None

    def _lead(self, path: str, folder: str) -> str:
        """The folders without which it is a whole name, here or in the table's folder; "" where there are none such."""
        rest = path
        while rest := rest.partition("/")[2]:
            if self._whole.get(_folded(rest)) or self._whole.get(_folded(posixpath.join(folder, rest))):
                return path.removesuffix(rest)
        return ""


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
    columns, rows = _parsed(table, max_bytes)
    vocabularies = tags.vocabularies_for(columns)
    folder = posixpath.dirname(table.name)
    named = {column: index.find([row.get(column, "") for row in rows], folder) for column in (*FILE_COLUMNS, *OTHER_NAMES) if column in columns}
    if not named or not vocabularies:
        raise PictureError("no column that names pictures, or none of tags that we know", f"{table.name} has {columns}")
    name_column, names = max(named.items(), key=lambda item: (item[0] in FILE_COLUMNS and any(item[1]), len(rows) - item[1].count(None)))
    groups = {column: group for known in vocabularies for column, group in known.columns.items() if column in columns and group in tags.groups()}
    labels: dict[str, Told] = {}
    unknown: Counter[str] = Counter()
    for row, name in zip(rows, names, strict=True):
        told = tags.translate(vocabularies, row)
        unknown.update(f"{column} {row[column]!r}" for column, group in groups.items() if row.get(column) and group not in told.said)
        if name is not None and told.labels:
            labels[name] = labels.get(name, NOTHING).over(told)
    missed = [row.get(name_column, "") for row, name in zip(rows, names, strict=True) if name is None]
    if missed:
        log.info("import: %s: %d of %d rows name no picture here, the first is %r", table.name, len(missed), len(rows), missed[0])
    if unknown:
        words = ", ".join(f"{count} {word}" for word, count in unknown.most_common(MOST_WORDS))
        log.info("import: %s: %d words say no tag that we know, the most frequent: %s", table.name, unknown.total(), words)
    if not labels:
        raise PictureError("no row names a picture here and a tag that we know", table.name)
    return labels


def _parsed(table: Member, max_bytes: int) -> tuple[list[str], list[dict[str, str]]]:
    """Its columns and its rows."""
    if table.size > max_bytes:
        raise TooLargeError("too many bytes", f"{table.name} has {table.size} bytes")
    try:
        text = _decoded(table.read()).lstrip("\r\n")
        if text[:4].lower() == "sep=":  # Excel's
            text = text.partition("\n")[2]
        if not text.strip():
            raise PictureError("an empty table", f"{table.name} holds nothing")
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        header, *lines = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    except (ValueError, csv.Error) as error:
        raise PictureError("not a table in UTF-8, UTF-16 or cp932", f"{table.name}: {error}") from error
    columns = [column.strip().lower() for column in header]
    return columns, [dict(zip(columns, line, strict=False)) for line in lines if line]


def _decoded(data: bytes) -> str:
    """UTF-16 as Excel's "Unicode text" is, UTF-8, or else cp932, as Windows in Japan writes it."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeError:
        return data.decode("cp932")


def _index(names: Sequence[str], key_of: Callable[[str], str], calls: Callable[[str], Iterable[str]]) -> dict[str, str | None]:
    """What each is called -> its name, or None where two are called so."""
    index: dict[str, str | None] = {}
    for name in names:
        for key in map(key_of, calls(name)):
            index[key] = name if index.get(key, name) == name else None
    return index


def _endings(name: str) -> Iterator[str]:
    while name:
        yield name
        yield posixpath.splitext(name)[0]
        name = name.partition("/")[2]


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
