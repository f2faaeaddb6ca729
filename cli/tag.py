"""`genga tag FOLDER`: the released tagger's words for pictures, as files that other people's tools read.

    csv    file, tags, version, and the probability of every tag; `genga import` takes what `tags` names as labels, all else stays unknown
    json   {file: {tags, version, probabilities}}
    txt    beside each picture its tags, separated by commas, as trainers of image models read them

Tags are Danbooru's words. One is written where the tagger is as sure as its card asks for, or as --threshold says.
What stands is kept: --append adds what is missing, after what is there and in its form; only --overwrite replaces it.
"""

import csv
import io
import json
import logging
import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from genga.errors import DataError, PictureError, ReleaseError
from genga.pictures import SUFFIXES, decode, is_hidden_picture, is_junk
from genga.progress import progress
from genga.release import Release
from genga.tags import check_tagger, columns, flags, groups, vocabularies
from genga.whole import write_whole
from models.export import load_model
from models.folding import folded
from models.metrics.tags import answers, batch_logits
from models.networks.tagger import probabilities
from models.targets import UNKNOWN, names, value_names
from serve.reading import fit_square
from serve.schemas import PICTURE_LIMITS
from stages.archives import files_under, utf8_name

Format = Literal["csv", "json", "txt"]
Existing = Literal["keep", "append", "overwrite"]

BATCH = 64
VOCABULARY = "danbooru"
UNDERSCORED = re.compile(r"[^\W_]{2}_[^\W_]")  # pink_hair; not o_o

log = logging.getLogger(__name__)


class Tagged(NamedTuple):
    """What the tagger says of one file, by its path within the folder."""

    file: str
    tags: list[str]
    version: str
    probabilities: dict[str, float]


class Tagger:
    """The released tagger, with thresholds and exclusions of the caller's."""

    def __init__(self, release_dir: Path, thresholds: Mapping[str | None, float], excluded: Sequence[str]) -> None:
        """`thresholds`: by group or flag; None stands for all that are not named. `excluded`: groups, flags, columns or words."""
        families = Release.open(release_dir).families
        if "tagger" not in families:
            raise ReleaseError(f"the release in {release_dir} has no tagger, it has {', '.join(families)}; train and deploy one with `genga repro`")
        released = families["tagger"]
        check_tagger(released.card, "the released tagger")
        network, card = load_model(released.dir)
        self._network = folded(network)
        self.version = f"tagger/{released.version}"
        self._temperatures = card["temperatures"]
        self._thresholds, self._sure = _asked_for(card["thresholds"], card["sure"], thresholds)
        self._words = {column: word for column, word in words().items() if not _is_excluded(column, word, excluded)}

    @property
    def resolution(self) -> int:
        return int(cast(Any, self._network).resolution)

    def read(self, files: Sequence[str], pictures: NDArray[np.uint8]) -> Iterator[Tagged]:
        """`pictures`: uint8 (N, R, R, 3) at the tagger's resolution."""
        found = probabilities(batch_logits(self._network, pictures, "auto"), self._temperatures).numpy()
        for file, row, said in zip(files, found, answers(found, self._thresholds, self._sure), strict=True):
            yield Tagged(file, self._tags(said), self.version, {column: round(float(p), 4) for column, p in zip(columns(), row, strict=True)})

    def _tags(self, said: NDArray[np.int64]) -> list[str]:
        spoken = [column for name, value in zip(names(), said.tolist(), strict=True) if (column := column_of(name, value))]
        return [self._words[column] for column in spoken if column in self._words]


def column_of(name: str, value: int) -> str | None:
    """The tag that an answer is: none where the tagger abstains, or says no."""
    if value == UNKNOWN:
        return None
    if name in flags():
        return name if value else None
    return f"{name}={value_names(name)[value]}"


def words() -> dict[str, str]:
    """Column -> the first of Danbooru's words that means just this. Columns that it has no word for are left out."""
    found: dict[str, str] = {}
    for word, column in vocabularies()[VOCABULARY].words.items():
        found.setdefault(column, word)
    return {column: found[column] for column in columns() if column in found}


def _asked_for(
    thresholds: Mapping[str, float], sure: Mapping[str, Mapping[str, float]], asked: Mapping[str | None, float]
) -> tuple[dict[str, float], dict[str, Mapping[str, float]]]:
    """The card's thresholds, where the caller has none of their own: the probability of a group's value, or of a flag's yes."""
    mine = {name: asked.get(name, asked.get(None)) for name in names()}
    yes = {flag: default if mine[flag] is None else mine[flag] for flag, default in thresholds.items()}
    least = {
        name: sure[name] if mine[name] is None else dict.fromkeys(value_names(name), mine[name] if name in groups() else 0.0) for name in names()
    }
    return cast(dict[str, float], yes), cast(dict[str, Mapping[str, float]], least)


def parse_thresholds(texts: Iterable[str]) -> dict[str | None, float]:
    """`0.8` for every tag, `hair_color=0.8` or `glasses=0.8` for one."""
    found: dict[str | None, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        if name and name not in names():
            raise DataError(f"--threshold {text}: no tag {name!r}, expected one of {', '.join(names())}")
        if not re.fullmatch(r"0?\.\d+|[01](\.0*)?", number):
            raise DataError(f"--threshold {text}: expected a number from 0 to 1, or TAG=NUMBER")
        found[name or None] = float(number)
    return found


def _plain(word: str) -> str:
    return word.strip().lower().replace(" ", "_")


def check_excluded(excluded: Sequence[str]) -> None:
    known = {*groups(), *columns(), *words().values()}
    for word in excluded:
        if _plain(word) not in known:
            raise DataError(f"--exclude {word}: no such tag, expected one such as hair_length, glasses or blue_hair")


def _is_excluded(column: str, word: str, excluded: Sequence[str]) -> bool:
    return bool({column, column.partition("=")[0], word} & {_plain(each) for each in excluded})


def tag(
    folder: Path,
    *,
    release_dir: Path,
    form: Format,
    out: Path | None,
    thresholds: Sequence[str],
    excluded: Sequence[str],
    existing: Existing,
    underscores: bool,
) -> None:
    if not folder.is_dir():
        raise DataError(f"no folder {folder}; give the folder that holds the pictures")
    if form == "txt" and out is not None:
        raise DataError("--out names one file, and txt writes one beside each picture; leave it out, or choose --format csv or json")
    check_excluded(excluded)
    paths = _pictures(folder)
    if not paths:
        raise DataError(f"no pictures in {folder}, expected {', '.join(sorted(SUFFIXES))}; give the folder that holds them")
    tagger = Tagger(release_dir, parse_thresholds(thresholds), excluded)
    if form == "txt":
        todo = [path for path in paths if existing != "keep" or not path.with_suffix(".txt").exists()]
        sidecars = _sidecars(folder, todo)
        read = written = 0
        for each in _read(tagger, folder, todo):  # written at once: a run that is stopped goes on from there
            read, written = read + 1, written + write_sidecar(sidecars[each.file], each.tags, existing, underscores)
        place = "beside each"
    else:
        path = out or folder / f"tags.{form}"
        _check_writable(path)
        before = _standing(path, form, existing)
        todo = [path for path in paths if _name(folder, path) not in before.entries]
        tagged = list(_read(tagger, folder, todo))
        read = written = len(tagged)
        if tagged or len(todo) < len(paths):
            write_whole(path.resolve(), {"csv": as_csv, "json": as_json}[form](before, tagged))
        place = utf8_name(str(path))
    if not read and len(todo) == len(paths):
        raise DataError(f"none of {len(paths)} pictures in {folder} could be read, as is said above of each; put them right or take them away")
    unread = len(todo) - read
    kept = len(paths) - written - unread
    print(f"{written} pictures tagged by {tagger.version}, {place}; {kept} stood there and stay as they are; {unread} could not be read")


def _pictures(folder: Path) -> list[Path]:
    """What the import would take in, by their names. What of the rest might be missed is named in the log."""
    files = {path: path.relative_to(folder).as_posix() for path in sorted(files_under(folder))}
    if hidden := [path for path, name in files.items() if is_hidden_picture(name)]:
        log.warning("%d hidden pictures are left out, the first is %s", len(hidden), hidden[0])
    seen = [path for path, name in files.items() if not is_junk(name)]
    for path in seen:
        if path.is_dir():
            log.warning("%s is a link to a folder and is left out; give that folder itself", path)
    return [path for path in seen if path.suffix.lower() in SUFFIXES and path.is_file()]


def _read(tagger: Tagger, folder: Path, paths: Sequence[Path]) -> Iterator[Tagged]:
    """What could be read; each that could not is named in the log."""
    with ThreadPoolExecutor() as pool, progress(what="tag", total=len(paths), unit="pictures") as bar:
        for start in range(0, len(paths), BATCH):
            chunk = paths[start : start + BATCH]
            pictures = list(pool.map(lambda path: _face(path, tagger.resolution), chunk))
            good = [(_name(folder, path), picture) for path, picture in zip(chunk, pictures, strict=True) if picture is not None]
            if good:
                files, faces = zip(*good, strict=True)
                yield from tagger.read(files, np.stack(faces))
            bar.update(len(chunk))


def _face(path: Path, side: int) -> NDArray[np.uint8] | None:
    try:
        return fit_square(decode(path.read_bytes(), PICTURE_LIMITS), side)
    except (PictureError, OSError) as error:
        log.warning("%s: %s", path, error)
        return None


# --- files


def _name(folder: Path, path: Path) -> str:
    return utf8_name(path.relative_to(folder).as_posix())


def _check_writable(path: Path) -> None:
    """A link stays one: what is written goes where it leads."""
    real = path.resolve() if path.is_symlink() else path
    if path.is_dir():
        raise DataError(f"{path} is a folder, expected a file to write; move it away, or choose another place")
    if real.suffix.lower() in SUFFIXES:
        raise DataError(f"{real} is a picture by its name, expected a table or document to write; choose another name, such as tags.csv")
    if not (real.parent.is_dir() and os.access(real.parent, os.W_OK | os.X_OK)):
        raise DataError(f"{path} cannot be written, expected a folder {real.parent} that you may write into; make it, or choose another place")
    if real.exists() and not (real.stat().st_mode & 0o222 and os.access(real, os.W_OK)):  # root may write what is marked so too
        raise DataError(f"{path} is read-only, expected a file that you may write; make it so with chmod u+w, or move it away")


def _sidecars(folder: Path, paths: Iterable[Path]) -> dict[str, Path]:
    """Picture -> its text file, one of its own, where a link leads."""
    pictures: dict[Path, Path] = {}
    for path in paths:
        sidecar = path.with_suffix(".txt")
        _check_writable(sidecar)
        if (other := pictures.setdefault(sidecar.resolve(), path)) != path:
            raise DataError(f"{other} and {path} would both have their tags in {sidecar}; rename one of them, or choose --format csv or json")
    return {_name(folder, path): sidecar for sidecar, path in pictures.items()}


class Form(NamedTuple):
    """The tags of a text, what stands between them, and whether they are written with underscores."""

    tags: list[str]
    between: str
    underscored: bool


def form_of(text: str) -> Form:
    """Tags are parted by commas or ends of lines; by spaces where a line without commas has underscores."""
    by_spaces = "," not in text and any(" " in line.strip() and UNDERSCORED.search(line) for line in text.split("\n"))
    tags = text.split() if by_spaces else [tag.strip() for tag in re.split(r"[,\n]", text)]
    between = re.search(r"\s+" if by_spaces else r"\s*,\s*" if "," in text else r"\s*\n\s*", text)
    return Form(tags, between[0] if between else ", ", bool(UNDERSCORED.search(text)) and not any(" " in tag for tag in tags))


def named_in(tags: Iterable[str]) -> set[str]:
    """These tags with underscores, and what words of ours are in those of so many words that they are a sentence or several."""
    there = {_plain(tag) for tag in tags}
    runs = [f"_{tag}_" for tag in there if tag.count("_") >= 2]
    return there | {word for word in vocabularies()[VOCABULARY].words if any(f"_{word}_" in run for run in runs)}


def _one_of(word: str) -> set[str]:
    """All words for values of its group: one face shows no two of them. Of a flag none."""
    known = vocabularies()[VOCABULARY].words
    group = known.get(word, "").partition("=")[0]
    return {other for other, target in known.items() if target.startswith(f"{group}=")}


def write_sidecar(path: Path, words: Sequence[str], existing: Existing, underscores: bool) -> bool:
    """Own tags stay first and as they are written, and others follow in their form; a tag counts as there with spaces or underscores alike, and a
    group of which a value is there gets no other. False where the file is left alone."""
    standing = path.read_bytes() if existing == "append" and path.exists() else b""
    if standing.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        log.warning("%s is written in UTF-16 and stays as it is; save it as UTF-8 to have tags added", path)
        return False
    own = standing.decode(errors="surrogateescape").rstrip().rstrip(",")
    form = form_of(own.removeprefix("\ufeff").strip())
    there = named_in(form.tags)
    new = [word for word in words if word not in there and not there & _one_of(word)]
    parts = [own] if any(there) else []
    parts += [word if underscores or form.underscored else word.replace("_", " ") for word in new]
    end = "\r\n" if b"\r\n" in standing else "\n"
    write_whole(path, (form.between.join(parts) + end).encode(errors="surrogateescape"))
    return True


class Standing(NamedTuple):
    """What an earlier run, or a person, wrote: of each file, and the names of a table's columns."""

    entries: dict[str, Any]
    header: Sequence[str] = ()


def _standing(path: Path, form: Format, existing: Existing) -> Standing:
    if not path.exists() or existing == "overwrite":
        return Standing({})
    if existing == "keep":
        raise DataError(f"{path} stands there already; give --append to add the pictures that it lacks, --overwrite to replace it, or another --out")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if form == "json":
            entries = {str(file): entry for file, entry in dict(json.loads(text)).items()}
            as_json(standing := Standing(entries), [])  # what JSON escapes may not be what UTF-8 can hold
            return standing
        table = csv.DictReader(io.StringIO(text))
        rows, header = list(table), table.fieldnames or ["file"]
        _check_kept(path, header, rows)
        entries = {row["file"]: {name: value or "" for name, value in row.items() if name} for row in rows}
        return Standing(entries, [name for name in header if name])
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8; save it as UTF-8, give another --out, or --overwrite to replace it") from error
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.end]
        raise DataError(f"{path} holds {half!r}, half a character; correct it, give another --out, or --overwrite to replace it") from error
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise DataError(f"{path} is no {form} file with the files' names ({error!r}); give another --out, or --overwrite to replace it") from error


def _check_kept(path: Path, header: Sequence[str], rows: Sequence[Mapping[Any, Any]]) -> None:
    """One row of a file, each cell under a name of its own: only that can be written again."""
    if "file" not in header:
        raise KeyError("file")
    if twice := [name for name, count in Counter(header).items() if name and count > 1]:
        raise DataError(f"{path} has {header.count(twice[0])} columns {twice[0]}, expected one; give each a name of its own, then append")
    num_rows = Counter(row["file"] for row in rows)
    for row in rows:
        if num_rows[row["file"]] > 1:
            raise DataError(f"{path} has {num_rows[row['file']]} rows of {row['file']}, expected one; make them one, then append")
        if row.get("") or any(row.get(None, ())):
            raise DataError(f"{path} has more cells than names of columns in the row of {row['file']}; name these columns, then append")


def as_csv(before: Standing, tagged: Iterable[Tagged]) -> bytes:
    """Columns that a person added stay, at the end."""
    header = dict.fromkeys(["file", "tags", "version", *columns(), *before.header])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(header), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(before.entries.values())
    writer.writerows({"file": each.file, "tags": " ".join(each.tags), "version": each.version, **each.probabilities} for each in tagged)
    return text.getvalue().encode()


def as_json(before: Standing, tagged: Iterable[Tagged]) -> bytes:
    new = {each.file: {"tags": each.tags, "version": each.version, "probabilities": each.probabilities} for each in tagged}
    return (json.dumps({**before.entries, **new}, indent=1, ensure_ascii=False) + "\n").encode()
