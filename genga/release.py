"""The folder that deploy writes and serve reads: model folders, and one release.json that names each file's sha256.

    <release>/<family>/<version>/       weights.safetensors, card.json ... of one version, never changed once written;
                                        <version>-<hash> where release.json names another model of that number (of another registry)
    <release>/release.json              which version of each family is served; swapped in one rename, last

The server needs nothing else: no registry, no data. Older versions' folders stay for requests under way. No pickles: a file
counts by its content, not by its name alone.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from genga.errors import ReleaseError

# suffix -> does the start of the file look like that format (safetensors: 8 bytes of length, then a JSON header)
FORMATS: dict[str, Callable[[bytes], bool]] = {
    ".safetensors": lambda head: head[8:9] == b"{",
    ".json": lambda head: head.lstrip()[:1] in (b"{", b"["),
    ".png": lambda head: head.startswith(b"\x89PNG\r\n"),
    ".npy": lambda head: head.startswith(b"\x93NUMPY") and b"|O" not in head,  # an array of objects is a pickle
    ".parquet": lambda head: head.startswith(b"PAR1"),
}


def file_hashes(model_dir: Path) -> dict[str, str]:
    """relative path -> sha256 of every file in the folder, sorted; ReleaseError for a link, or a file that is none of FORMATS."""
    if not model_dir.is_dir():
        raise ReleaseError(f"no folder {model_dir}; run `dvc repro` to make it")
    hashes = {}
    for path in sorted(model_dir.rglob("*")):
        if path.is_symlink():
            raise ReleaseError(f"{path} is a link, expected plain files only; put the file itself there")
        if path.is_file():
            hashes[path.relative_to(model_dir).as_posix()] = _file_hash(path)
    return hashes


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        looks_right = FORMATS.get(path.suffix)
        if looks_right is None or not looks_right(file.read(256)):
            raise ReleaseError(f"{path} is no {' or '.join(sorted(FORMATS))} file by its content; only those are registered, released and served")
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(hashes: Mapping[str, str]) -> str:
    """One sha256 for a folder's names and contents."""
    return hashlib.sha256(json.dumps(dict(hashes), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One family as it goes into a release: a checked model folder and what users must be told about it."""

    version: str
    model_dir: Path
    metrics: dict[str, Any]
    licences: list[str]
    sources: list[str]
    notes: list[str]
    learned_from: dict[str, str]
    git_commit: str


@dataclass(frozen=True)
class Released:
    """One served family; every file in `dir` had its sha256 when the release was opened."""

    family: str
    version: str
    dir: Path
    files: dict[str, str]
    metrics: dict[str, Any]
    licences: list[str]
    sources: list[str]
    notes: list[str]
    learned_from: dict[str, str]
    git_commit: str

    @cached_property
    def card(self) -> dict[str, Any]:
        """card.json; empty for a family without a network."""
        return self._document("card.json")

    @cached_property
    def directions(self) -> dict[str, Any]:
        """directions.json: the sliders; empty for a family without any."""
        return self._document("directions.json")

    def _document(self, name: str) -> dict[str, Any]:
        return json.loads((self.dir / name).read_text(encoding="utf-8")) if name in self.files else {}


@dataclass(frozen=True)
class Release:
    id: str
    dir: Path
    families: dict[str, Released]

    @classmethod
    def open(cls, release_dir: Path) -> Self:
        """The release named by release.json, or ReleaseError when one file is missing, added, changed or of a wrong kind."""
        return cls._verified(release_dir, read_document(release_dir))

    @classmethod
    def _verified(cls, release_dir: Path, document: dict[str, Any]) -> Self:
        try:
            families = {family: _released(release_dir, family, entry) for family, entry in document["families"].items()}
            return cls(document["release"], release_dir, families)
        except (KeyError, TypeError, AttributeError) as error:
            raise ReleaseError(
                f"{release_dir / 'release.json'} is no release of ours ({error!r}); run `dvc repro deploy` to write it again"
            ) from error


def read_document(release_dir: Path) -> dict[str, Any]:
    """release.json as it stands; its id must be that of its content."""
    path = release_dir / "release.json"
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReleaseError(f"no release in {release_dir}: expected release.json there; run `dvc repro deploy` to write one") from error
    except OSError as error:
        raise ReleaseError(
            f"{path} cannot be read ({error.strerror}); name the folder of a release, or run `dvc repro deploy` to write one"
        ) from error
    except ValueError as error:
        raise ReleaseError(f"{path} is not valid JSON ({error}); run `dvc repro deploy` to write it again") from error
    if not isinstance(document, dict) or document.get("release") != _release_id(document.get("families")):
        raise ReleaseError(f"{path} was changed after it was written: its id is not that of its content; run `dvc repro deploy` to write it again")
    return document


def _release_id(families: Any) -> str:
    return hashlib.sha256(json.dumps(families, sort_keys=True).encode()).hexdigest()


def _released(release_dir: Path, family: str, entry: dict[str, Any]) -> Released:
    model_dir = release_dir / family / _folder(entry)
    facts = {name: value for name, value in entry.items() if name != "folder"}
    released = Released(family=family, dir=model_dir, **facts)
    found = file_hashes(model_dir)
    if found != released.files:
        wrong = sorted(name for name in found.keys() | released.files.keys() if found.get(name) != released.files.get(name))
        raise ReleaseError(f"{model_dir}: {', '.join(wrong)} missing, added or changed since the release was written; run `dvc repro deploy --force`")
    return released


def _folder(entry: Mapping[str, Any]) -> str:
    return str(entry.get("folder", entry["version"]))


@contextmanager
def locked(lock_path: Path) -> Iterator[None]:
    """One process at a time, waiting for each other; the lock goes with the process, however that ends."""
    lock_path.parent.mkdir(parents=True, exist_ok=True)
    with lock_path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_release(release_dir: Path, entries: Mapping[str, Entry], keep: int, check: Callable[[Release], None]) -> Release:
    """Puts the model folders in place, lets `check` try them, then swaps release.json. Look up what to release and
    call this inside one `locked(release_dir / ".lock")`, so that the last writer knows the newest champions.

    When `check` raises, release.json and all that it names stay as they were. `keep` older folders of each family stay.
    """
    before = _before(release_dir)
    families = {family: _record(entry, release_dir / family, before) for family, entry in sorted(entries.items())}
    for family, entry in entries.items():
        _place(entry.model_dir, release_dir / family / _folder(families[family]))
    document = {"release": _release_id(families), "families": families, "earlier": _earlier(before, families, keep)}
    release = Release._verified(release_dir, document)
    check(release)
    _swap(release_dir / "release.json", json.dumps(document, indent=1, sort_keys=True) + "\n")
    _remove_others(release_dir, before, document)
    return release


def _before(release_dir: Path) -> dict[str, Any]:
    try:
        return {"earlier": {}} | read_document(release_dir)
    except ReleaseError:
        return {"families": {}, "earlier": {}}


def _record(entry: Entry, family_dir: Path, before: Mapping[str, Any]) -> dict[str, Any]:
    record = {name: value for name, value in vars(entry).items() if name != "model_dir"}
    record["files"] = file_hashes(entry.model_dir)
    folder = _choose_folder(entry.version, record["files"], family_dir, before)
    return record if folder == entry.version else record | {"folder": folder}


def _choose_folder(version: str, files: dict[str, str], family_dir: Path, before: Mapping[str, Any]) -> str:
    """Numbers begin at 1 again in another registry: a folder that release.json names keeps what it holds."""
    now = before["families"].get(family_dir.name)
    if now and (now["version"], now["files"]) == (version, files):
        return _folder(now)
    named = [_folder(now)] if now else []
    if version in (*named, *before["earlier"].get(family_dir.name, [])) and not _holds(family_dir / version, files):
        return f"{version}-{content_hash(files)[:8]}"
    return version


def _holds(model_dir: Path, files: dict[str, str]) -> bool:
    try:
        return file_hashes(model_dir) == files
    except ReleaseError:  # absent, or a file in it that does not belong there
        return False


def _place(source_dir: Path, model_dir: Path) -> None:
    """A whole copy, renamed into place; a version that stands there undamaged is left alone."""
    if _holds(model_dir, file_hashes(source_dir)):
        return
    shutil.rmtree(model_dir, ignore_errors=True)
    partial_dir = model_dir.with_name(model_dir.name + ".partial")
    shutil.rmtree(partial_dir, ignore_errors=True)
    copy_files(source_dir, partial_dir)
    partial_dir.rename(model_dir)


def copy_files(source_dir: Path, out_dir: Path) -> None:
    """Into a folder that may be there. A full disk is the OSError that it is, where shutil.copytree makes another one of it."""
    for path in source_dir.rglob("*"):
        if path.is_file():
            copy_path = out_dir / path.relative_to(source_dir)
            copy_path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy_path)


def _earlier(before: Mapping[str, Any], families: Mapping[str, Any], keep: int) -> dict[str, list[str]]:
    """family -> folders served before, newest first."""
    earlier = {}
    for family, entry in before["families"].items():
        served = [_folder(entry), *before["earlier"].get(family, [])]
        now = _folder(families[family]) if family in families else None
        earlier[family] = [folder for folder in dict.fromkeys(served) if folder != now][:keep]
    return {family: folders for family, folders in earlier.items() if folders}


def _swap(path: Path, text: str) -> None:
    partial_path = path.with_suffix(".partial")
    with partial_path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial_path.replace(path)


def _remove_others(release_dir: Path, before: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    """Old folders of families that were or are released; what else lies there is not ours."""
    wanted = {(family, _folder(entry)) for family, entry in document["families"].items()}
    wanted |= {(family, folder) for family, folders in document["earlier"].items() for folder in folders}
    for family in {*before["families"], *before["earlier"], *document["families"]}:
        for model_dir in (release_dir / family).glob("[!.]*"):
            if (family, model_dir.name) not in wanted and model_dir.is_dir() and not model_dir.is_symlink():
                shutil.rmtree(model_dir)
