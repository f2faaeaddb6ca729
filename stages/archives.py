"""A folder, zip or tar as a list of files that can be read in any order and from any fork of the process, without unpacking anything to disk.

An archive is told by its content and checked as a whole before one byte of a file is read: no path that leaves it, no links or devices,
limits on the unpacked size and on its ratio to the packed size. Sizes that an archive states too low do not help it: no more is read.
"""

import bz2
import gzip
import io
import lzma
import mmap
import os
import posixpath
import re
import shlex
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, cast

from genga.door import FORBIDDEN
from genga.errors import FULL, DataError, PictureError

CHUNK_BYTES = 1 << 20
MAX_HEADER = 1 << 17  # bytes of what a tar says of one file: names and notes of the file system, which hold 64 KiB at most
COMPRESSIONS: dict[bytes, Callable[[Path], IO[bytes]]] = {
    b"\x1f\x8b": cast(Any, gzip.open),
    b"BZh": cast(Any, bz2.open),
    b"\xfd7zXZ\0": cast(Any, lzma.open),
}
DAMAGES = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, UnicodeError, RuntimeError, struct.error)
LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of the name and of what follows it
MAX_END = (1 << 16) + 22  # bytes of a zip's end-of-directory record with its comment (4.3.16)
DISK_IN_ZIP64 = 0xFFFF  # the record says so where another one has the number
PART_NAME = re.compile(r"\.(z\d\d+|\d{3})$")  # s.z01, s.zip.001
ENCRYPTED, UTF8_NAME = 1, 1 << 11  # flags (APPNOTE.TXT, 4.4.4)
NAMES = ("utf-8", "cp932")  # of zips that do not say: as Linux and macOS write them, and Windows in Japan


@dataclass(frozen=True)
class Member:
    name: str
    size: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class ArchiveLimits:
    max_bytes: int
    max_ratio: float


def list_folder(folder: Path) -> list[Member]:
    """Every file under it, by name. Links to files are followed, links to folders are not: each is a member that cannot be read.
    Where DVC comes first, it stops at broken links, pipes and names that are not in UTF-8; `genga import` refuses such folders."""
    if not folder.is_dir():
        raise DataError(f"no folder at {folder}; correct import_faces.source.path in params.yaml")
    paths = files_under(folder)
    members = [Member(utf8_name(path.relative_to(folder).as_posix()), _size(path), partial(_read_file, path)) for path in paths]
    return sorted(members, key=lambda member: member.name)


def files_under(folder: Path) -> list[Path]:
    """Every file, and every link to a folder, which is not followed; DataError where a folder cannot be read."""
    paths = []
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        paths += [Path(parent) / name for name in (*names, *(name for name in folders if Path(parent, name).is_symlink()))]
    return paths


def list_archive(path: Path, limits: ArchiveLimits) -> list[Member]:
    """Every file in it, by name."""
    if not path.is_file():
        raise DataError(f"no archive at {path}; correct import_faces.source.path in params.yaml")
    try:
        match kind_of_archive(path):
            case "tar":
                members = _list_tar(path, limits)
            case "zip":
                members = _list_zip(path, limits)
            case None:
                raise DataError(f"{path} is neither a zip nor a tar archive; give one of these, or a folder")
    except DAMAGES as error:
        if isinstance(error, OSError) and error.errno in (*FULL, *FORBIDDEN):
            raise  # no damage: the door says it
        raise DataError(f"{path} is a damaged archive ({error}); delete it and fetch it again") from error
    return sorted(members, key=lambda member: member.name)


def kind_of_archive(path: Path) -> Literal["tar", "zip"] | None:
    """By its content. One part of a split archive is refused."""
    if PART_NAME.search(path.name):
        raise _part(path)
    if _is_tar(path):  # first: a zip is told by its end, and a tar may end with one
        return "tar"
    if not zipfile.is_zipfile(path):
        return None
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - MAX_END, 0))
        end = file.read()
    (disk,) = struct.unpack_from("<H", end, end.rindex(b"PK\5\6") + 4)
    if disk not in (0, DISK_IN_ZIP64):
        raise _part(path)
    return "zip"


def _part(path: Path) -> DataError:
    numbered = f"cat {shlex.quote(path.stem)}.[0-9]* > whole{Path(path.stem).suffix}"
    join = numbered if path.suffix[1:].isdecimal() else f"zip -s 0 {shlex.quote(path.stem)}.zip --out whole.zip"
    return DataError(f"{path} is one part of a split archive, expected a whole one; join the parts (`{join}`) and give that")


def _refuse(error: OSError) -> None:
    raise DataError(f"the folder {error.filename} cannot be read ({error.strerror}); allow it or take it out") from error


def utf8_name(name: str) -> str:
    """A name that UTF-8 can hold: stray bytes of old file systems are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # a broken link: reading it says so


def _read_file(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise PictureError("not a file", f"{path} is no plain file")
        return path.read_bytes()
    except OSError as error:
        raise PictureError("unreadable", f"{path} cannot be read: {error}") from error


def _check_name(path: Path, name: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name[:1] in ("/", "\\") or parts[0].endswith(":"):
        raise DataError(f"{path} holds the path {name!r}, which leaves the archive; nothing was read, do not trust it")


def _plain(name: str) -> str:
    """`tar czf faces.tgz .` calls its files `./a.png`."""
    return utf8_name(posixpath.normpath(name))


def _check_size(path: Path, unpacked: int, limits: ArchiveLimits) -> None:
    packed = max(path.stat().st_size, 1)
    if unpacked > limits.max_bytes:
        raise DataError(f"{path} unpacks to more than {limits.max_bytes} bytes; raise import_faces.max_archive_bytes if you trust it")
    if unpacked > limits.max_ratio * packed:
        raise DataError(f"{path} unpacks to more than {limits.max_ratio:g} times its size; raise import_faces.max_archive_ratio if you trust it")


class Mapped(mmap.mmap):
    """A file in memory, its place in every process its own: forks that share an open file move each other's."""

    def seekable(self) -> bool:  # zipfile asks; mmap has it from Python 3.13 on
        return True

    def seek(self, pos: int, whence: Any = os.SEEK_SET) -> Any:
        try:
            return super().seek(pos, whence)
        except ValueError as error:  # zipfile expects what a file says; an archive of nothing is shorter than all that it looks for
            raise OSError(str(error)) from error


def _list_zip(path: Path, limits: ArchiveLimits) -> list[Member]:
    with path.open("rb") as file:
        mapped = Mapped(file.fileno(), 0, access=mmap.ACCESS_READ)
    archive = zipfile.ZipFile(cast(IO[bytes], mapped))
    infos = archive.infolist()
    if any(info.header_offset < 0 for info in infos):  # it begins in another part
        raise _part(path)
    for info, name in zip(infos, _zipped_names(infos), strict=True):
        if not name:
            raise zipfile.BadZipFile("a file without a name")
        info.filename = name.replace("\\", "/")  # as old tools of Windows write it
        _check_name(path, info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{path} holds {info.filename!r}, a link or device; nothing was read, pack plain files only")
    _check_size(path, sum(info.file_size for info in infos), limits)
    return [Member(_plain(info.filename), info.file_size, partial(_read_zipped, archive, mapped, info)) for info in infos if not info.is_dir()]


def _zipped_names(infos: list[zipfile.ZipInfo]) -> list[str]:
    """By the first of NAMES that can be that of all names which do not say theirs, else as zipfile reads them, by cp437."""
    for encoding in NAMES:
        with suppress(UnicodeError):
            return [info.filename if info.flag_bits & UTF8_NAME else info.filename.encode("cp437").decode(encoding) for info in infos]
    return [info.filename for info in infos]


def _read_zipped(archive: zipfile.ZipFile, mapped: Mapped, info: zipfile.ZipInfo) -> bytes:
    try:
        if info.flag_bits & ENCRYPTED:
            raise PictureError("encrypted", f"{info.filename} wants a password; pack it again without one")
        if info.compress_type == zipfile.ZIP_STORED:
            return _stored(mapped, info)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack more than they are asked for
            raise PictureError("packed in another way", f"{info.filename} is packed by another method than deflate; pack it again")
        with archive.open(info) as file:
            return file.read(info.file_size)
    except DAMAGES as error:
        raise PictureError("damaged", f"{info.filename} does not unpack: {error}") from error


def _stored(mapped: Mapped, info: zipfile.ZipInfo) -> bytes:
    """What pictures mostly are in zips, at a third of the time that zipfile takes. Its own header comes first (APPNOTE.TXT, 4.3.7)."""
    signature, name_length, extra_length = LOCAL_HEADER.unpack_from(mapped, info.header_offset)
    start = info.header_offset + LOCAL_HEADER.size + name_length + extra_length
    data = mapped[start : start + info.file_size]
    if signature != b"PK\3\4" or zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile("other bytes than its list of contents says")
    return data


class Headers:
    """An unpacked tar for tarfile, which reads at once, and keeps, as much as a header says that it has."""

    def __init__(self, file: IO[bytes]) -> None:
        self.left = MAX_HEADER
        self.tell, self.seek, self._read = file.tell, file.seek, file.read

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.left:  # below 0 is all there is
            raise RuntimeError(f"more than {MAX_HEADER} bytes about one file, besides its own")  # no TarError: a tar it is
        self.left -= size
        return self._read(size)


@contextmanager
def _open_tar(path: Path) -> Iterator[tuple[tarfile.TarFile, Headers]]:
    with _without_compression(path) as file:
        headers = Headers(file)
        with tarfile.open(fileobj=cast(IO[bytes], headers), mode="r:") as archive:
            yield archive, headers


def _is_tar(path: Path) -> bool:
    try:
        with _open_tar(path):
            return True
    except tarfile.TarError:
        return False


def _list_tar(path: Path, limits: ArchiveLimits) -> list[Member]:
    """Two passes over a compressed tar: the first looks and keeps nothing, the second unpacks to a nameless file, for reading in any order."""
    with _open_tar(path) as (archive, headers):
        infos = []
        for info in archive:
            if info.size < 0:  # it would come again and again
                raise tarfile.ReadError(f"{info.name} of {info.size} bytes")
            # where this file's bytes end: what has to be unpacked to get past it
            _check_size(path, info.offset_data + info.size, limits)
            _check_name(path, info.name)
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise DataError(f"{path} holds {info.name!r}, a link or device; nothing was read, pack plain files only")
            infos.append(info)
            headers.left = MAX_HEADER
    unpacked = _unpacked_tar(path, limits)
    _check_end(unpacked, archive.offset)
    return [Member(_plain(info.name), info.size, partial(_read_slice, unpacked, info)) for info in infos if info.isreg()]


def _check_end(unpacked: IO[bytes], end: int) -> None:
    """For tarfile a damaged header, a cut and a second tar behind the first are the end, which is blocks of zeros and nothing after them."""
    unpacked.seek(end)
    at = end
    while chunk := unpacked.read(CHUNK_BYTES):
        if chunk.strip(b"\0"):
            raise tarfile.ReadError(f"after byte {end} comes neither a file nor the end; of tars that were joined, unpack each and give the folder")
        at += len(chunk)
    if at < end + tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"cut at byte {at}, no zeros mark its end; where they were left out, unpack it and give the folder")


def _without_compression(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        start = file.read(8)
    return next((opener(path) for magic, opener in COMPRESSIONS.items() if start.startswith(magic)), None) or path.open("rb")


def _unpacked_tar(path: Path, limits: ArchiveLimits) -> IO[bytes]:
    """The tar without its compression. A nameless file: gone with the process, whatever ends it."""
    packed = _without_compression(path)
    if isinstance(packed, io.BufferedReader):
        return packed
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as its members
    with packed:
        while chunk := packed.read(CHUNK_BYTES):
            unpacked.write(chunk)
            _check_size(path, unpacked.tell(), limits)
    unpacked.flush()
    return unpacked


def _read_slice(file: IO[bytes], info: tarfile.TarInfo) -> bytes:
    data = os.pread(file.fileno(), info.size, info.offset_data)
    if len(data) != info.size:
        raise PictureError("damaged", f"{info.name} ends after {len(data)} of {info.size} bytes")
    return data
