import bz2
import csv
import errno
import gzip
import io
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import time
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from genga import store as store_module
from genga.errors import DataError, PictureError
from genga.params import ArchiveSource, FolderSource, ImportFaces, SampleSource
from genga.pictures import Limits, decode, encode_png
from genga.store import Store, StoreWriter, picture_id
from stages.archives import ArchiveLimits, Member, list_archive, list_folder
from stages.import_faces import by_bytes, import_faces

REPO = Path(__file__).parents[2]
LIMITS = Limits(10**7, 10**7, 1)


def params(source_path: Path, **changes: Any) -> ImportFaces:
    kind = FolderSource(kind="folder", path=str(source_path)) if source_path.is_dir() else ArchiveSource(kind="archive", path=str(source_path))
    values: dict[str, Any] = {
        "source": kind,
        "licence": "CC0-1.0",
        "origin": "a test",
        "max_picture_bytes": 1_000_000,
        "max_picture_pixels": 250_000,
        "min_side": 16,
        "max_archive_bytes": 50_000_000,
        "max_archive_ratio": 100.0,
        "max_rejected": 0.5,
    }
    return ImportFaces(**(values | changes))


def picture(seed: int, side: int = 48) -> np.ndarray:
    corners = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(corners, (side, side), interpolation=cv2.INTER_CUBIC)


def jpeg(seed: int, side: int = 48, quality: int = 90) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(seed, side)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def zip_of(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tar_of(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def folder_of(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def imported(tmp_path: Path, source_path: Path, **changes: Any) -> Store:
    import_faces(params(source_path, **changes), source_path, tmp_path / "imported")
    return Store(tmp_path / "imported")


def rejected(store: Store) -> dict[str, str]:
    with (store.dir / "rejected.csv").open(newline="") as file:
        return {row["path"]: row["reason"] for row in csv.DictReader(file)}


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


FACES = {"b/2.jpg": jpeg(2), "a/1.jpg": jpeg(1), "c.png": encode_png(picture(3))}

MAKERS: dict[str, Callable[[Path], Path]] = {
    "folder": lambda tmp: folder_of(tmp / "folder", FACES),
    "zip": lambda tmp: zip_of(tmp / "faces.zip", FACES),
    "tar": lambda tmp: tar_of(tmp / "faces.tar", FACES),
    "tar.gz": lambda tmp: tar_of(tmp / "faces.tgz", FACES, "w:gz"),
    "tar.bz2": lambda tmp: tar_of(tmp / "faces.tar.bz2", FACES, "w:bz2"),
    "tar.xz": lambda tmp: tar_of(tmp / "faces.txz", FACES, "w:xz"),
    "zip named .tar": lambda tmp: zip_of(tmp / "faces.tar", FACES),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_source_gives_the_same_store(tmp_path: Path, kind: str) -> None:
    store = imported(tmp_path, MAKERS[kind](tmp_path))
    assert store.column("name") == ["a/1.jpg", "b/2.jpg", "c.png"]
    assert [store.encoded(idx) for idx in range(3)] == [FACES[name] for name in store.column("name")]
    assert store.column("id") == [picture_id(decode(FACES[name], LIMITS)) for name in store.column("name")]
    assert store.column("format") == ["jpeg", "jpeg", "png"]
    assert store.column("width") == store.column("height") == [48] * 3
    assert store.terms() == {"licences": ["CC0-1.0"], "sources": ["a test"]}
    assert store.column("labels") == [None] * 3
    assert rejected(store) == {}


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_names_that_begin_at_the_folder_itself_are_those_without(tmp_path: Path, make: Callable[..., Path]) -> None:
    files = {f"./{name}": data for name, data in FACES.items()} | {"./.DS_Store": b"x"}
    store = imported(tmp_path, make(tmp_path / "a", files))
    assert store.column("name") == ["a/1.jpg", "b/2.jpg", "c.png"] and rejected(store) == {}


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = zip_of(tmp_path / "z.zip", {"inner.jpg": jpeg(4)}).read_bytes()
    store = imported(tmp_path, tar_of(tmp_path / "faces.tar", FACES | {"z.zip": inner}))
    assert store.column("name") == ["a/1.jpg", "b/2.jpg", "c.png"] and rejected(store) == {"z.zip": "not a picture"}


def test_each_rejected_file_is_one_row_with_its_reason(tmp_path: Path) -> None:
    good = {f"good{idx}.jpg": jpeg(idx) for idx in range(5)}
    bad = {
        "cut.jpg": jpeg(20)[:-300],
        "cut.png": encode_png(picture(21))[:-300],
        "page.jpg": b"<html>not found</html>",
        "photoshop.psd": b"8BPS" + bytes(100),
        "tiny.png": encode_png(picture(22, 8)),
        "wide.png": encode_png(np.zeros((501, 500), np.uint8)),
        "empty.jpg": b"",
    }
    store = imported(tmp_path, zip_of(tmp_path / "a.zip", good | bad), max_rejected=0.6)
    assert store.column("name") == list(good)
    assert rejected(store) == {
        "cut.jpg": "damaged",
        "cut.png": "damaged",
        "empty.jpg": "not a picture",
        "page.jpg": "not a picture",
        "photoshop.psd": "not a picture",
        "tiny.png": "too small",
        "wide.png": "too many pixels",
    }
    assert list(rejected(store)) == sorted(rejected(store))


def test_a_file_with_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    store = imported(tmp_path, folder_of(tmp_path / "f", {"a.jpg": jpeg(1), "huge.bin": bytes(5000)}), max_picture_bytes=4000)
    assert rejected(store) == {"huge.bin": "too many bytes"}


def test_the_name_of_a_file_does_not_say_what_it_is(tmp_path: Path) -> None:
    files = {"really_a_png.jpg": encode_png(picture(1)), "really_a_jpeg.txt": jpeg(2), "no_suffix": jpeg(3)}
    store = imported(tmp_path, folder_of(tmp_path / "f", files))
    assert dict(zip(store.column("name"), store.column("format"), strict=True)) == {
        "no_suffix": "jpeg",
        "really_a_jpeg.txt": "jpeg",
        "really_a_png.jpg": "png",
    }


def test_texts_beside_the_pictures_are_listed_but_do_not_make_an_import_fail(tmp_path: Path) -> None:
    side = {f"notes{idx}.txt": b"text" for idx in range(9)} | {"README": b"hello", "boxes.json": b"{}"}
    store = imported(tmp_path, folder_of(tmp_path / "f", {"a.jpg": jpeg(1), **side}), max_rejected=0.0)
    assert set(rejected(store)) == set(side)


def test_what_operating_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    junk = {".DS_Store": b"x", "__MACOSX/._a.jpg": b"x", "Thumbs.db": b"x", "sub/desktop.ini": b"x", ".git/a.jpg": jpeg(5)}
    store = imported(tmp_path, folder_of(tmp_path / "f", {"a.jpg": jpeg(1), **junk}))
    assert (store.column("name"), rejected(store)) == (["a.jpg"], {})


@pytest.mark.parametrize("make", [folder_of, zip_of])
def test_hidden_pictures_are_listed_and_do_not_make_an_import_fail(tmp_path: Path, make: Callable[..., Path]) -> None:
    hidden = {".hack/a.jpg": jpeg(5), "...and_a.JPG": jpeg(6), "b/.c.png": b"x"}
    junk = {".hack/._a.jpg": b"x", ".hack/.DS_Store": b"x", ".hack/notes.txt": b"x", "__MACOSX/.d.jpg": b"x", ".Trashes/e.jpg": jpeg(7)}
    store = imported(tmp_path, make(tmp_path / "f", {"a.jpg": jpeg(1), **hidden, **junk}), max_rejected=0.0)
    assert (store.column("name"), rejected(store)) == (["a.jpg"], dict.fromkeys(hidden, "hidden"))


def test_the_second_of_two_equal_pictures_is_rejected_and_named_by_the_first(tmp_path: Path) -> None:
    same = {"a.png": encode_png(picture(1)), "b.bmp": cv2.imencode(".bmp", picture(1)[..., ::-1])[1].tobytes(), "c.png": encode_png(picture(2))}
    store = imported(tmp_path, folder_of(tmp_path / "f", same), max_rejected=0.0)
    assert store.column("name") == ["a.png", "c.png"]
    assert store.column("duplicates") == [["b.bmp"], []]
    assert rejected(store) == {"b.bmp": "duplicate of a.png"}


def test_what_is_said_of_a_copy_is_said_of_the_picture_that_stays(tmp_path: Path) -> None:
    table = b"file,hair,eyes\nb.png,blue,red\na.png,green,\nc.png,red,\n"
    files = {"a.png": encode_png(picture(1)), "b.png": encode_png(picture(1)), "c.png": encode_png(picture(2)), "labels.csv": table}
    store = imported(tmp_path, folder_of(tmp_path / "f", files))
    assert [json.loads(labels) for labels in store.column("labels")] == [{"hair_color": "green", "eye_color": "red"}, {"hair_color": "red"}]


def test_what_one_row_of_tags_leaves_out_another_may_name(tmp_path: Path) -> None:
    table = b"file,tags\na.png,blue_hair\na.png,glasses\na.png,open_mouth\n"
    store = imported(
        tmp_path, folder_of(tmp_path / "f", {"a.png": encode_png(picture(1)), "labels.csv": table, "more.csv": b"file,tags\na.png,smile\n"})
    )
    (labels,) = map(json.loads, store.column("labels"))
    assert {name for name, value in labels.items() if value is True} == {"glasses", "open_mouth", "smile"}
    assert labels["hair_color"] == "blue" and labels["blush"] is False


def test_of_two_rows_and_two_tables_that_differ_the_first_is_right(tmp_path: Path) -> None:
    tables = {"a.csv": b"file,hair\na.png,blue\na.png,green\n", "b.csv": b"file,hair\na.png,red\n"}
    store = imported(tmp_path, folder_of(tmp_path / "f", {"a.png": encode_png(picture(1)), **tables}))
    assert [json.loads(labels) for labels in store.column("labels")] == [{"hair_color": "blue"}]


def test_copies_are_named_however_many_pictures_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "TABLE_ROWS", 4)
    files = {f"a/{idx}.png": encode_png(picture(idx)) for idx in range(9)} | {"z/first.png": encode_png(picture(0))}
    store = imported(tmp_path, zip_of(tmp_path / "a.zip", files))
    assert store.column("duplicates") == [["z/first.png"], *[[]] * 8]


def test_an_import_where_most_is_rejected_stops_and_leaves_nothing(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "f", {"a.jpg": jpeg(1), "b.jpg": b"x", "c.jpg": b"x", "d.jpg": jpeg(2)[:400]})
    with pytest.raises(
        DataError, match=r"3 of 4 files in .* cannot be used \(2 not a picture, 1 damaged; the first is b.jpg\), expected at most 50%"
    ):
        imported(tmp_path, source)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_copies_and_texts_do_not_hide_that_most_is_rejected(tmp_path: Path) -> None:
    files = {f"a{number}.png": encode_png(picture(1)) for number in range(10)} | {"b.jpg": b"x", "c.jpg": b"x", "notes.txt": b"text"}
    with pytest.raises(DataError, match=r"2 of 3 files in .* cannot be used"):
        imported(tmp_path, folder_of(tmp_path / "f", files))


@pytest.mark.parametrize("files", [{}, {"readme.txt": b"hello"}, {"a.jpg": b"x"}])
def test_a_source_without_a_picture_stops_and_says_what_was_found(tmp_path: Path, files: dict[str, bytes]) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(DataError, match=r"no picture in .*/f: found (nothing|1 files, all rejected \(1 not a picture\)), expected JPEG"):
        imported(tmp_path, folder_of(tmp_path / "f", files))
    assert not (tmp_path / "imported").exists()


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no archive at .*faces.zip; correct import_faces.source.path"):
        imported(tmp_path, tmp_path / "faces.zip")
    with pytest.raises(DataError, match="no folder at"):
        imported(tmp_path, tmp_path / "faces", source=FolderSource(kind="folder", path="faces"))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faces.zip").write_bytes(b"PK but nothing more" * 100)
    with pytest.raises(DataError, match="neither a zip nor a tar archive"):
        imported(tmp_path, tmp_path / "faces.zip")


# --- hostile archives


def everything_in(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", ["../escape.jpg", "a/../../escape.jpg", "/etc/escape.jpg", "..\\escape.jpg", "C:\\escape.jpg", "C:/escape.jpg"])
@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_a_path_that_leaves_the_archive_stops_the_import(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    (tmp_path / "inner").mkdir()
    archive = make(tmp_path / "inner" / "a.zip", {"good.jpg": jpeg(1), name: jpeg(2)})
    before = everything_in(tmp_path)
    with pytest.raises(DataError, match="which leaves the archive"):
        imported(tmp_path, archive)
    assert everything_in(tmp_path) == before
    assert not Path("/etc/escape.jpg").exists()


def test_a_zip_of_nothing_is_said(tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "a.zip", "w").close()
    with pytest.raises(DataError, match=r"no picture in .*a\.zip: found nothing"):
        imported(tmp_path, tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("written", "read"), [("utf-8", "髪/ソ赤.jpg"), ("cp932", "髪/ソ赤.jpg"), ("cp437", "\u00fcber/\u00fc.jpg")], ids=["utf-8", "cp932", "cp437"]
)
def test_names_in_a_zip_that_does_not_say_how_they_are_written_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, read: str
) -> None:
    """The second byte of ソ in cp932 is a backslash."""
    monkeypatch.setattr(zipfile.ZipInfo, "_encodeFilenameFlags", lambda info: (info.filename.encode(written), 0))
    archive = zip_of(tmp_path / "a.zip", {read: jpeg(1), "plain.jpg": jpeg(2)})
    monkeypatch.undo()
    assert set(imported(tmp_path, archive).column("name")) == {read, "plain.jpg"}


def test_a_link_in_a_zip_stops_the_import(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good.jpg", jpeg(1))
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"holds 'link.jpg', a link or device"):
        imported(tmp_path, tmp_path / "a.zip")
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_in_a_tar_stops_the_import(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("bad.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match=r"holds 'bad.jpg', a link or device"):
        imported(tmp_path, tmp_path / "a.tar")


def test_a_zip_bomb_stops_by_its_ratio(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than 100 times its size"):
        imported(tmp_path, zip_of(tmp_path / "a.zip", {"good.jpg": jpeg(1), "bomb.bmp": bytes(20_000_000)}))


@pytest.mark.parametrize("make", [zip_of, lambda path, files: tar_of(path, files, "w:gz")])
def test_an_archive_that_unpacks_to_too_much_stops(tmp_path: Path, make: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="unpacks to more than 1000 bytes"):
        imported(tmp_path, make(tmp_path / "a.zip", {"good.jpg": jpeg(1)}), max_archive_bytes=1000)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_tar_bomb_stops_by_its_ratio(tmp_path: Path, mode: str) -> None:
    with pytest.raises(DataError, match="more than 100 times its size"):
        imported(tmp_path, tar_of(tmp_path / "a.tar", {"good.jpg": jpeg(1), "bomb.bmp": bytes(30_000_000), "more.jpg": jpeg(2)}, mode))


def test_a_tar_whose_last_file_claims_to_be_huge_stops_before_it_is_unpacked(tmp_path: Path) -> None:
    header = tarfile.TarInfo("bomb.bmp")
    header.size = 10**12
    (tmp_path / "a.tar.bz2").write_bytes(bz2.compress(header.tobuf()))
    with pytest.raises(DataError, match="unpacks to more than"):
        imported(tmp_path, tmp_path / "a.tar.bz2")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
@pytest.mark.parametrize("before", [{}, {"good.jpg": b"x"}], ids=["first", "later"])
def test_what_a_tar_says_of_one_file_is_not_read_however_long_it_is(tmp_path: Path, kind: bytes, before: dict[str, bytes]) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, 10_000_000
    first = tar_of(tmp_path / "first.tar", before).read_bytes()[: 1024 * len(before)]
    (tmp_path / "a.tgz").write_bytes(gzip.compress(first + header.tobuf(tarfile.GNU_FORMAT) + bytes(header.size)))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"a\.tgz is a damaged archive \(more than 131072 bytes about one file"):
        imported(tmp_path, tmp_path / "a.tgz")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5_000_000


@pytest.mark.parametrize(("kind", "said"), [(tarfile.REGTYPE, "back of -1024 bytes"), (tarfile.GNUTYPE_LONGNAME, "more than 131072 bytes")])
def test_a_size_below_nothing_in_a_tar_is_damage(tmp_path: Path, kind: bytes, said: str) -> None:
    header = tarfile.TarInfo("back")
    header.type, header.size = kind, -1024
    (tmp_path / "a.tar").write_bytes(
        tar_of(tmp_path / "first.tar", {"good.jpg": b"x"}).read_bytes()[:1024] + header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240)
    )
    with pytest.raises(DataError, match=rf"a\.tar is a damaged archive \({said}"):
        imported(tmp_path, tmp_path / "a.tar")


def test_names_longer_than_a_header_holds_are_read(tmp_path: Path) -> None:
    names = {f"{'f' * 200}/{'n' * 200}{n}.jpg" for n in range(400)}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name))
        assert {member.name for member in list_archive(tmp_path / "a.tar", ArchiveLimits(10**9, 1e9))} == names


def test_a_zip_member_that_claims_to_be_smaller_than_it_is_is_damaged(tmp_path: Path) -> None:
    zip_of(tmp_path / "a.zip", {"good.jpg": jpeg(1), "liar.bmp": bytes(100_000)})
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace((100_000).to_bytes(4, "little"), (2000).to_bytes(4, "little")))
    assert rejected(imported(tmp_path, tmp_path / "a.zip")) == {"liar.bmp": "damaged"}


@pytest.mark.parametrize("extra", [b"", b"\xca\xfe\x04\0java"])
def test_files_stored_in_a_zip_come_out_like_deflated_ones(tmp_path: Path, extra: bytes) -> None:
    files = {"a.jpg": jpeg(1), "b/b.png": encode_png(picture(2)), "empty.jpg": b""}
    both = []
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", how) as archive:
            for name, data in files.items():
                info = zipfile.ZipInfo(name)
                info.extra, info.compress_type = extra, how
                archive.writestr(info, data)
        members = list_archive(tmp_path / "a.zip", ArchiveLimits(10**6, 100.0))
        both.append({member.name: member.read() for member in members})
    assert both[0] == both[1] == files


def in_header(data: bytes) -> bytes:
    return data.replace(b"PK\3\4", b"PK\3\5", 1)


def in_picture(data: bytes) -> bytes:
    at = data.index(jpeg(1)) + 100
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def in_offset(data: bytes) -> bytes:
    """The list of contents says that the first file begins far behind the end."""
    at = data.index(b"PK\1\2") + 42
    return data[:at] + struct.pack("<I", 10**9) + data[at + 4 :]


@pytest.mark.parametrize("damage", [in_header, in_picture, in_offset])
def test_a_stored_file_that_is_not_what_the_zip_says_is_rejected_alone(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        for name, seed in (("a.jpg", 1), ("b.jpg", 2)):
            archive.writestr(name, jpeg(seed))
    (tmp_path / "a.zip").write_bytes(damage((tmp_path / "a.zip").read_bytes()))
    store = imported(tmp_path, tmp_path / "a.zip")
    assert (store.column("name"), rejected(store)) == (["b.jpg"], {"a.jpg": "damaged"})


@pytest.mark.parametrize(("method", "reason"), [(zipfile.ZIP_DEFLATED, "damaged"), (zipfile.ZIP_LZMA, "packed in another way")])
def test_a_size_that_is_stated_too_low_unpacks_no_further(tmp_path: Path, method: int, reason: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("good.jpg", jpeg(1), zipfile.ZIP_STORED)
        archive.writestr("bomb.jpg", bytes(200_000_000))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    at = data.rindex(b"PK\1\2") + 24
    data[at : at + 4] = struct.pack("<I", 2000)
    (tmp_path / "a.zip").write_bytes(data)
    bomb = list_archive(tmp_path / "a.zip", ArchiveLimits(10**6, 100.0))[0]
    tracemalloc.start()
    with pytest.raises(PictureError) as refused:
        bomb.read()
    assert refused.value.reason == reason
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, 99])
def test_an_encrypted_member_is_rejected_as_such(tmp_path: Path, method: int) -> None:
    """99: by AES, as WinZip and 7-Zip do."""
    data = bytearray(zip_of(tmp_path / "a.zip", {"good.jpg": jpeg(1), "secret.jpg": jpeg(2)}).read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # the central directory's last
    data[entry + 8] |= 1
    data[entry + 10] = method
    (tmp_path / "a.zip").write_bytes(data)
    assert rejected(imported(tmp_path, tmp_path / "a.zip")) == {"secret.jpg": "encrypted"}


def test_a_zip_with_the_folders_of_old_windows_tools_keeps_its_labels(tmp_path: Path) -> None:
    table = b"file,hair\r\n0.png,blue\r\nfaces\\1.png,red\r\n"
    files = {"faces_0.png": jpeg(0), "faces_1.png": jpeg(1), "faces_Thumbs.db": b"x", "labels.csv": table, "faces_": b""}
    archive = zip_of(tmp_path / "a.zip", files)
    archive.write_bytes(archive.read_bytes().replace(b"faces_", b"faces\\"))
    store = imported(tmp_path, archive)
    assert dict(zip(store.column("name"), map(json.loads, store.column("labels")), strict=True)) == {
        "faces/0.png": {"hair_color": "blue"},
        "faces/1.png": {"hair_color": "red"},
    }
    assert rejected(store) == {}


def test_few_large_pictures_are_ahead_where_many_small_ones_are() -> None:
    def sizes(*sizes: int) -> list[list[int]]:
        return [[member.size for member in chunk] for chunk in by_bytes([Member("", size, bytes) for size in sizes], 100)]

    assert sizes(40, 40, 40, 300, 10, 0) == [[40, 40], [40], [300], [10, 0]]
    assert [len(chunk) for chunk in sizes(*[1] * 130)] == [64, 64, 2]
    assert sizes(0, 0) == [[0, 0]] and sizes() == []


WORKERS = """
import os, signal, sys, time
from genga.door import run
from stages.processes import in_order_forked
def work(number):
    if number == 6 and sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return bytes(30_000_000)
def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a shell is born without
    with in_order_forked(work, [[number] for number in range(60)], 4) as results:
        print("begun", flush=True)
        for _ in results:
            time.sleep(0.02)
run(main)
"""


@pytest.mark.parametrize(("how", "status"), [("killed", 2), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_workers_that_are_ended_or_told_to_stop_never_leave_their_parent_waiting(how: str | int, status: int) -> None:
    """As a terminal and systemd do, the signal is sent to all; one answer is larger than a pipe holds."""
    command = [sys.executable, "-c", WORKERS, str(how)]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        if how != "killed":
            os.killpg(process.pid, int(how))
        try:
            _, said = process.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == status, said
    if how == "killed":
        assert said == "error: a process of this command was ended from outside, mostly for want of memory; free some and run it again\n"


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_half_an_archive_is_refused(tmp_path: Path, kind: str) -> None:
    archive = MAKERS[kind](tmp_path)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(DataError, match=r"delete it and fetch it again|neither a zip nor a tar"):
        imported(tmp_path, archive)
    assert not (tmp_path / "imported").exists()


TAR = tuple(range(0, 20_480, 2048))  # of its members: a header and three blocks each


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "tar.gz"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda tar: tar[: TAR[5] + 3] + b"?" + tar[TAR[5] + 4 :], r"after byte 10240 comes neither"),
        (lambda tar: tar[: TAR[5]] + bytes(1024) + tar[TAR[5] + 1024 :], r"after byte 10240 comes neither"),
        (lambda tar: tar[: TAR[5] + 100], r"after byte 10240 comes neither"),
        (lambda tar: tar[: TAR[5]], r"cut at byte 10240, .* where they were left out, unpack it"),
        (lambda tar: tar + tar, r"after byte 20480 comes neither .* of tars that were joined, unpack each"),
    ],
    ids=["header", "hole", "cut in a header", "cut between files", "joined"],
)
def test_a_tar_that_does_not_go_on_to_its_end_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes], said: str, pack: Callable[[bytes], bytes]
) -> None:
    whole = tar_of(tmp_path / "whole.tar", {f"{n}.jpg": jpeg(n)[:1025].ljust(1025, b"x") for n in range(10)}).read_bytes()
    (tmp_path / "a.tar").write_bytes(pack(damage(whole)))
    with pytest.raises(DataError, match=rf"a\.tar is a damaged archive \({said}.*delete it and fetch it again"):
        imported(tmp_path, tmp_path / "a.tar")
    assert not (tmp_path / "imported").exists()


def test_a_file_without_a_name_in_a_zip_is_damage(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", {"good.jpg": jpeg(1), "??": b""})
    archive.write_bytes(archive.read_bytes().replace(b"??", b"\0\0"))
    with pytest.raises(DataError, match=r"a\.zip is a damaged archive \(a file without a name\)"):
        imported(tmp_path, archive)


@pytest.mark.parametrize(
    ("name", "part", "join"),
    [
        ("my s.zip.001", slice(None, 3000), r"`cat 'my s\.zip'\.\[0-9\]\* > whole\.zip`"),
        ("s.zip.002", slice(3000, None), r"`cat s\.zip\.\[0-9\]\* > whole\.zip`"),
        ("s.z01", slice(None, 3000), r"`zip -s 0 s\.zip --out whole\.zip`"),
        ("end.zip", slice(3000, None), "`zip -s 0 "),
        ("s.zip", slice(None), r"`zip -s 0 s\.zip --out whole\.zip`"),
    ],
)
def test_one_part_of_a_split_archive_is_refused_and_says_how_to_join_them(tmp_path: Path, name: str, part: slice, join: str) -> None:
    data = bytearray(zip_of(tmp_path / "whole.zip", {f"{n}.jpg": jpeg(n) for n in range(9)}).read_bytes())
    if name == "s.zip":  # what `zip -s` leaves for the last one
        data[-18:-14] = struct.pack("<HH", 1, 1)
    (tmp_path / name).write_bytes(data[part])
    with pytest.raises(DataError, match=rf"{name} is one part of a split archive, expected a whole one; join the parts \({join}"):
        imported(tmp_path, tmp_path / name)
    assert not (tmp_path / "imported").exists()


def test_a_full_disk_or_a_forbidden_archive_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = MAKERS["tar.gz"](tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: io.FileIO("/dev/full", "r+"))
    with pytest.raises(OSError, match="No space left on device"):
        imported(tmp_path, archive)

    def forbid(path: Path, mode: str) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", forbid)  # root may read every file
    with pytest.raises(PermissionError, match=r"Permission denied: .*faces.tgz"):
        imported(tmp_path, archive)


def test_a_file_that_cannot_be_read_is_a_row(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "f", {"a.jpg": jpeg(1)})
    (source / "broken.jpg").symlink_to(source / "nowhere.jpg")
    os.mkfifo(source / "pipe.jpg")
    (source / "elsewhere").symlink_to(tmp_path)
    store = imported(tmp_path, source, max_rejected=0.8)
    assert rejected(store) == {"broken.jpg": "unreadable", "pipe.jpg": "not a file", "elsewhere": "not a file"}


def test_a_folder_that_may_not_be_entered_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, scandir = folder_of(tmp_path / "f", {"a.jpg": jpeg(1), "closed/b.jpg": jpeg(2)}), os.scandir

    def guarded(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match=r"closed cannot be read \(Permission denied\); allow it or take it out"):
        list_folder(source)


# --- labels


NOT_NAMED = dict.fromkeys(("blush", "closed_eyes", "bangs", "hair_ornament"), False)


def test_labels_of_faces96_come_along(tmp_path: Path) -> None:
    table = "file,hair,eyes\n1.jpg,blue,green\n2.jpg,Pink,nonsense\nmissing.jpg,red,red\n"
    store = imported(tmp_path, zip_of(tmp_path / "a.zip", {f"faces/{n}.jpg": jpeg(n) for n in (1, 2, 3)} | {"labels.csv": table.encode()}))
    labels = dict(zip(store.column("name"), store.column("labels"), strict=True))
    assert json.loads(labels["faces/1.jpg"]) == {"hair_color": "blue", "eye_color": "green"}
    assert json.loads(labels["faces/2.jpg"]) == {"hair_color": "pink"}
    assert labels["faces/3.jpg"] is None
    assert rejected(store) == {}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("Filename,Hair_Class,Skin_Class\nx/1.jpg,blond,tanned\n", {"hair_color": "blonde", "skin_tone": "tan"}),
        ('id,tags\n1,"blue_hair glasses :d"\n', {"hair_color": "blue", "glasses": True, "smile": True, "open_mouth": True} | NOT_NAMED),
        ("file,tags,version,glasses\n1.jpg,blue_hair bangs,tagger/1,0\n", {"hair_color": "blue", "bangs": True}),
        ("\ufeffpath,hair\r\n./x/1.jpg,red\r\n", {"hair_color": "red"}),
        ("image,hair\nx\\1.jpg,red\n", {"hair_color": "red"}),
        ("file;hair;eyes\n1.jpg;blue;red\n", {"hair_color": "blue", "eye_color": "red"}),
        ("\ufeffsep=;\r\nfile;hair;eyes\r\n1.jpg;blue;red\r\n", {"hair_color": "blue", "eye_color": "red"}),
        ("\n\nfile;hair;eyes\n1.jpg;blue;red\n", {"hair_color": "blue", "eye_color": "red"}),
        ("file\thair\teyes\n1.jpg\tblue\tred\n", {"hair_color": "blue", "eye_color": "red"}),
        ("image_path,hair_color,eyes\n1.JPG,blond,red\n", {"hair_color": "blonde", "eye_color": "red"}),
        ("file_path,glasses\n1,yes\n", {"glasses": True}),
    ],
)
def test_other_vocabularies_and_ways_to_name_a_picture_are_understood(tmp_path: Path, table: str, expected: dict[str, Any]) -> None:
    store = imported(tmp_path, folder_of(tmp_path / "f", {"x/1.jpg": jpeg(1), "x/2.jpg": jpeg(2), "t.csv": table.encode()}))
    assert json.loads(store.column("labels")[0]) == expected


def hair_of(tmp_path: Path, names: Sequence[str], table: str | bytes, at: str = "t.csv") -> list[str | None]:
    """What the table says of each picture."""
    pictures = {name: jpeg(number) for number, name in enumerate(names)}
    data = table if isinstance(table, bytes) else table.encode()
    store = imported(tmp_path, folder_of(tmp_path / "f", pictures | {at: data}), max_rejected=0.9)
    found = {name: json.loads(labels or "{}").get("hair_color") for name, labels in zip(store.column("name"), store.column("labels"), strict=True)}
    return [found[name] for name in names]


@pytest.mark.parametrize(
    "table",
    [
        "id,name,hair\n1,Rei,blue\n2,Asuka,red\n3,Misato,pink\n",
        "id,md5,hair\n7,1,blue\n8,2,red\n9,3,pink\n",
        "id,file,hair\n3,1.jpg,blue\n1,2.jpg,red\n2,3.jpg,pink\n",
        "id,file,hair\n3,1.jpg,blue\n1,2.jpg,red\n2,3.jpg,pink\n1,gone.jpg,green\n2,gone too.jpg,green\n",
        'file, hair\n"1.jpg", "blue"\n "2.jpg", "red"\n3.jpg, pink\n',
        "file\thair\n1.jpg\tblue\n2.jpg\tred\n3.jpg\tpink\n".encode("utf-16"),
    ],
    ids=["name of a character", "md5", "number of its own", "files that are not here", "space before a quote", "UTF-16"],
)
def test_a_table_s_own_way_of_naming_pictures_is_found_out(tmp_path: Path, table: str | bytes) -> None:
    assert hair_of(tmp_path, ("1.jpg", "2.jpg", "3.jpg"), table) == ["blue", "red", "pink"]


def test_a_table_in_cp932_is_read(tmp_path: Path) -> None:
    assert hair_of(tmp_path, ("綾波.jpg",), "file,hair\n綾波.jpg,blue\n".encode("cp932")) == ["blue"]


@pytest.mark.parametrize("at", ["t.csv", "lists/t.csv"])
@pytest.mark.parametrize("lead", ["faces/", "/home/ann/faces/", "C:\\faces\\"])
def test_paths_of_another_place_are_read_without_the_folders_that_lead_there(tmp_path: Path, lead: str, at: str) -> None:
    table = f"file,hair\n{lead}1.jpg,blue\n{lead}a/2.jpg,red\n{lead}b/2.jpg,pink\n{lead}gone.jpg,green\n"
    assert hair_of(tmp_path, ("1.jpg", "a/2.jpg", "c/2.jpg"), table, at) == ["blue", "red", None]


def test_of_two_leading_folders_none_is_left_out(tmp_path: Path) -> None:
    assert hair_of(tmp_path, ("1.jpg", "2.jpg"), "file,hair\ntrain/1.jpg,blue\nval/1.jpg,red\nval/2.jpg,pink\n") == [None, None]


def test_files_that_are_no_pictures_do_not_keep_a_table_from_naming_these_without_suffix(tmp_path: Path) -> None:
    folder_of(tmp_path / "f", {"1.npz": b"x", "2.mp4": b"x", "2.caption": b"x"})
    assert hair_of(tmp_path, ("1.png", "2.png"), "id,hair\n1,blue\n2,red\n") == ["blue", "red"]


def test_rows_that_name_no_picture_and_words_that_are_no_tag_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rows = ["x.jpg,red,green", "1.jpg,blue,rainbow", "2.jpg,plaid,rainbow", "y.jpg,red,"]
    assert hair_of(tmp_path, ("1.jpg", "2.jpg"), "\n".join(["file,hair,eyes", *rows])) == ["blue", None]
    said = [record.message for record in caplog.records if "t.csv" in record.message]
    assert said == [
        "import: t.csv: 2 of 4 rows name no picture here, the first is 'x.jpg'",
        "import: t.csv: 3 words say no tag that we know, the most frequent: 2 eyes 'rainbow', 1 hair 'plaid'",
        "import: t.csv labels 1 of 2 files",
    ]


def test_captions_beside_pictures_do_not_keep_a_table_from_naming_these_without_suffix(tmp_path: Path) -> None:
    files = {f"x/{n}.jpg": jpeg(n) for n in (1, 2)} | {f"x/{n}.txt": b"blue hair" for n in (1, 2)} | {"t.csv": b"id,hair\n1,blue\n2,red\n"}
    store = imported(tmp_path, folder_of(tmp_path / "f", files))
    assert [json.loads(labels) for labels in store.column("labels")] == [{"hair_color": "blue"}, {"hair_color": "red"}]


def test_texts_with_tags_beside_pictures_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pictures = {f"x/{n}.jpg": jpeg(n) for n in (1, 2)}
    texts = {"x/1.txt": b"blue_hair", "x/2.jpg.txt": b"red_hair", "README.txt": b"hello", "1.txt": b"of another folder"}
    store = imported(tmp_path, folder_of(tmp_path / "f", pictures | texts))
    assert store.column("labels") == [None, None] and rejected(store) == dict.fromkeys(texts, "not a picture")
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "import: 2 texts beside pictures are not read as labels; put their tags into a table with the columns file and tags"
    ]


def test_json_beside_pictures_is_said_not_to_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"1.jpg": jpeg(1), "tags.json": b'{"1.jpg": {"tags": ["blue_hair"]}}', "1.json": b"{}"}
    store = imported(tmp_path, folder_of(tmp_path / "f", files))
    assert store.column("labels") == [None]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "import: 2 JSON files are not read as labels, the first is 1.json; put their tags into a table with the columns file and tags"
    ]


def test_capital_letters_and_marks_written_in_two_ways_tell_names_apart_only_where_they_must(tmp_path: Path) -> None:
    names = ["a.jpg", "A.jpg", unicodedata.normalize("NFD", "é.jpg")]
    rows = ["file,hair", "A.jpg,blue", "a.JPG,red", unicodedata.normalize("NFC", "É.jpg,green")]
    files = {name: jpeg(number) for number, name in enumerate(names)} | {"t.tsv": "\n".join(rows).encode()}
    store = imported(tmp_path, zip_of(tmp_path / "a.zip", files))
    assert dict(zip(store.column("name"), store.column("labels"), strict=True)) == {
        "A.jpg": '{"hair_color": "blue"}',
        "a.jpg": None,
        names[2]: '{"hair_color": "green"}',
    }


def test_a_name_that_fits_two_pictures_labels_neither_but_its_own_folder_goes_first(tmp_path: Path) -> None:
    table = b"file,hair\n1.jpg,blue\n"
    pictures = {"x/1.jpg": jpeg(1), "y/1.jpg": jpeg(2)}
    beside = imported(tmp_path, folder_of(tmp_path / "f", pictures | {"y/labels.csv": table}))
    assert [bool(labels) for labels in beside.column("labels")] == [False, True]
    above = imported(tmp_path, folder_of(tmp_path / "g", pictures | {"labels.csv": table}))
    assert above.column("labels") == [None, None]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (b"x,y\n1,2\n", "no column that names pictures, or none of tags that we know"),
        (b"file,hair\nother.jpg,blue\n", "no row names a picture here and a tag that we know"),
        (b"file,hair\n\x81,blue\n", "not a table in UTF-8, UTF-16 or cp932"),
        (b"\xff\xfef", "not a table in UTF-8, UTF-16 or cp932"),
        (b"", "an empty table"),
        (b"\r\n\n", "an empty table"),
    ],
)
def test_a_table_that_tells_nothing_is_listed_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, table: bytes, reason: str) -> None:
    store = imported(tmp_path, folder_of(tmp_path / "f", {"a.jpg": jpeg(1), "t.csv": table}), max_rejected=0.0)
    assert rejected(store) == {"t.csv": reason}
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [f"import: t.csv labels nothing: {reason}"]


def test_a_table_may_be_as_large_as_an_archive_and_larger_than_a_picture(tmp_path: Path) -> None:
    table = b"file,hair\na.jpg,blue\n" + b"other.jpg,red\n" * 1000
    source = folder_of(tmp_path / "f", {"a.jpg": jpeg(1), "t.csv": table})
    assert len(jpeg(1)) < 5000 < len(table)
    store = imported(tmp_path, source, max_picture_bytes=5000)
    assert [json.loads(labels) for labels in store.column("labels")] == [{"hair_color": "blue"}] and rejected(store) == {}
    bounded = imported(tmp_path, source, max_archive_bytes=5000)
    assert bounded.column("labels") == [None] and rejected(bounded) == {"t.csv": "too many bytes"}


# --- the sample


def test_the_sample_keeps_its_ids_names_and_labels(tmp_path: Path) -> None:
    labels = ['{"hair_color": "blue", "glasses": false}', '{"hair_color": "red", "glasses": true}']
    faces = np.stack([picture(1), picture(2)])
    with StoreWriter(tmp_path / "sample", {"48": (48, 48, 3)}) as writer:
        writer.append([{"id": picture_id(face), "name": f"{idx}.png", "labels": labels[idx]} for idx, face in enumerate(faces)], **{"48": faces})
    store = imported(tmp_path, tmp_path / "sample", source=SampleSource(kind="sample", path="data/faces/sample"))
    assert store.column("id") == Store(tmp_path / "sample").column("id")
    assert store.column("name") == ["0.png", "1.png"]
    assert [json.loads(text) for text in store.column("labels")] == [json.loads(text) for text in labels]
    np.testing.assert_array_equal(decode(store.encoded(1), LIMITS), faces[1])


# --- reruns


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "f", {f"{n}.jpg": jpeg(n) for n in range(100)} | {"bad.jpg": b"x"})
    for name in ("one", "two"):
        import_faces(params(source), source, tmp_path / name)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_a_killed_import_leaves_no_store_and_a_rerun_ends_in_the_same_bytes(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", {f"{n}.jpg": jpeg(n % 200, 96 + n // 200) for n in range(2000)})
    code = textwrap.dedent(f"""
        from pathlib import Path
        from genga.params import ImportFaces
        from stages.import_faces import import_faces
        params = ImportFaces.model_validate_json({params(archive).model_dump_json()!r})
        import_faces(params, Path({str(archive)!r}), Path({str(tmp_path / "killed")!r}))
    """)
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
    encoded = tmp_path / "killed.partial" / "encoded.bin"
    while process.poll() is None and not (encoded.exists() and encoded.stat().st_size):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    for name in ("killed", "undisturbed"):
        import_faces(params(archive), archive, tmp_path / name)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "undisturbed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "killed", "undisturbed"]


def test_real_faces_come_in_whole_with_their_labels(tmp_path: Path, shared: Callable[[str], Path]) -> None:
    store = imported(tmp_path, shared("faces96.zip"), max_archive_bytes=10**9)
    assert len(store) == 8000
    assert rejected(store) == {}
    assert sum(labels is not None for labels in store.column("labels")) == 8000
