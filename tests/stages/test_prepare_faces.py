import csv
import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drawing.face import draw_face, random_labels
from genga import store as store_module
from genga.errors import DataError
from genga.params import ArchiveSource, Crop, FolderSource, ImportFaces, PrepareFaces
from genga.pictures import Limits, decode, encode_png
from genga.store import Store, picture_id
from stages import prepare_faces as stage
from stages.face_finder import Box, FaceFinder, square_around
from stages.import_faces import import_faces
from stages.near_duplicates import THUMBNAIL, Kept, difference_hash
from stages.prepare_faces import prepare_faces, resize

LIMITS = Limits(10**9, 10**9, 1)


def params(**changes: Any) -> PrepareFaces:
    values: dict[str, Any] = {"sizes": [32, 64], "crop": None, "near_duplicate_bits": 6, "near_duplicate_rms": 8.0, "val": 0.2, "test": 0.2}
    return PrepareFaces(**(values | changes))


def picture(seed: int, height: int = 96, width: int = 96) -> NDArray[np.uint8]:
    corners = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), dtype=np.uint8)
    return cv2.resize(corners, (width, height), interpolation=cv2.INTER_CUBIC)


OTHER = {"z.png": encode_png(picture(5))}  # in train: one face alone is refused


def jpeg(face: NDArray[np.uint8], quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(face).save(file, "JPEG", quality=quality)
    return file.getvalue()


def imported(tmp_path: Path, files: Mapping[str, bytes]) -> Path:
    source_dir = tmp_path / "source"
    source_dir.mkdir()
    for name, data in files.items():
        (source_dir / name).write_bytes(data)
    return imported_from(tmp_path, FolderSource(kind="folder", path="source"), source_dir)


def imported_from(tmp_path: Path, source: FolderSource | ArchiveSource, source_path: Path) -> Path:
    section = ImportFaces(
        source=source,
        licence="CC0-1.0",
        origin="a test",
        max_picture_bytes=10**7,
        max_picture_pixels=10**7,
        min_side=16,
        max_archive_bytes=10**9,
        max_archive_ratio=100.0,
        max_rejected=0.5,
    )
    import_faces(section, source_path, tmp_path / "imported")
    return tmp_path / "imported"


def prepared(tmp_path: Path, files: Mapping[str, bytes], **changes: Any) -> Store:
    prepare_faces(params(**changes), imported(tmp_path, files), bad(tmp_path), tmp_path / "prepared")
    return Store(tmp_path / "prepared")


def bad(root: Path, *ids: str) -> Path:
    (root / "bad.csv").write_text("\n".join(["id", *ids, ""]))
    return root / "bad.csv"


def rejected(store: Store) -> list[tuple[str, str]]:
    with (store.dir / "rejected.csv").open(newline="") as file:
        return [(row["path"], row["reason"]) for row in csv.DictReader(file)]


def test_each_face_is_there_at_every_size(tmp_path: Path) -> None:
    store = prepared(tmp_path, {f"{n}.png": encode_png(picture(n)) for n in range(5)}, sizes=[32, 64, 128])
    assert store.sizes == ["128", "32", "64"]
    for size in (32, 64, 128):
        assert store.images(size).shape == (5, size, size, 3)
    np.testing.assert_array_equal(store.images(32)[3], cv2.resize(picture(3), (32, 32), interpolation=cv2.INTER_AREA))
    np.testing.assert_array_equal(store.images(128)[3], cv2.resize(picture(3), (128, 128), interpolation=cv2.INTER_CUBIC))
    assert store.column("width") == store.column("height") == [96] * 5
    assert store.terms() == {"licences": ["CC0-1.0"], "sources": ["a test"]}


def test_a_face_of_the_wanted_size_is_not_touched(tmp_path: Path) -> None:
    store = prepared(tmp_path, {"a.png": encode_png(picture(1, 64, 64))} | OTHER)
    np.testing.assert_array_equal(store.images(64)[0], picture(1, 64, 64))


def test_a_square_picture_keeps_its_id(tmp_path: Path) -> None:
    store = prepared(tmp_path, {"a.png": encode_png(picture(1))} | OTHER)
    assert store.column("id") == store.column("imported_id") == [picture_id(picture(1)), picture_id(picture(5))]
    assert store.column("crop") == [None, None]


@pytest.mark.parametrize(("height", "width", "box"), [(96, 120, [12, 0, 108, 96]), (120, 96, [0, 12, 96, 108])])
def test_of_an_oblong_picture_the_centred_square_is_taken(tmp_path: Path, height: int, width: int, box: list[int]) -> None:
    whole = picture(1, height, width)
    store = prepared(tmp_path, {"a.png": encode_png(whole)} | OTHER, sizes=[32])
    x0, y0, x1, y1 = box
    square = np.ascontiguousarray(whole[y0:y1, x0:x1])
    assert json.loads(store.column("crop")[0]) == box
    assert store.column("id")[0] == store.column("imported_id")[0] == picture_id(whole)  # what people say of the picture is said of its face
    assert store.column("crop_id")[0] == picture_id(square)
    np.testing.assert_array_equal(store.images(32)[0], cv2.resize(square, (32, 32), interpolation=cv2.INTER_AREA))


def test_a_picture_saved_again_is_a_near_duplicate_and_the_first_stays(tmp_path: Path) -> None:
    files = {"a.jpg": jpeg(picture(1), 95), "b.jpg": jpeg(picture(1), 60), "c.jpg": jpeg(picture(2), 90)}
    files |= {"d.jpg": jpeg(cv2.resize(picture(1), (150, 150)), 90), "e.png": encode_png(np.minimum(picture(2), 251) + np.uint8(4))}
    store = prepared(tmp_path, files)
    assert [json.loads(names) for names in store.column("duplicates")] == [["b.jpg", "d.jpg"], ["e.png"]]
    assert rejected(store) == [
        ("b.jpg", "near duplicate of a.jpg"),
        ("d.jpg", "near duplicate of a.jpg"),
        ("e.png", "near duplicate of c.jpg"),
    ]


def test_copies_are_named_however_many_faces_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "TABLE_ROWS", 4)
    monkeypatch.setattr(stage, "CHUNK", 2)
    files = {f"{n}.png": encode_png(picture(n)) for n in range(9)} | {"z.jpg": jpeg(picture(0), 90)}
    store = prepared(tmp_path, files)
    assert [json.loads(names) for names in store.column("duplicates")] == [["z.jpg"], *[[]] * 8]
    assert [json.loads(ids) for ids in store.column("duplicate_ids")] == [[picture_id(decode(files["z.jpg"], LIMITS))], *[[]] * 8]


def test_an_oblong_near_duplicate_is_known_by_its_own_id_and_that_of_its_square(tmp_path: Path) -> None:
    wide = picture(1, 96, 160)
    files = {"a.png": encode_png(wide), "b.jpg": jpeg(wide, 95)}
    copy = decode(files["b.jpg"], LIMITS)
    square = np.ascontiguousarray(copy[:, 32:128])
    store = prepared(tmp_path, files | OTHER)
    assert sorted(json.loads(store.column("duplicate_ids")[0])) == sorted([picture_id(copy), picture_id(square)])


def test_exact_duplicates_of_the_import_are_named_too(tmp_path: Path) -> None:
    store = prepared(tmp_path, {"a.png": encode_png(picture(1)), "b.png": encode_png(picture(1)), "c.png": jpeg(picture(1), 90)} | OTHER)
    assert [json.loads(names) for names in store.column("duplicates")] == [["b.png", "c.png"], []]


def test_pictures_of_one_layout_in_other_colours_all_stay(tmp_path: Path) -> None:
    def face(hair: tuple[int, int, int], eyes: tuple[int, int, int]) -> bytes:
        drawn = np.full((96, 96, 3), 245, np.uint8)
        cv2.circle(drawn, (48, 40), 38, hair, -1)
        cv2.circle(drawn, (48, 52), 28, (255, 224, 200), -1)
        for x in (38, 58):
            cv2.circle(drawn, (x, 52), 7, eyes, -1)
        return encode_png(drawn)

    colours = [(200, 60, 60), (60, 60, 200), (60, 160, 60), (230, 200, 90)]
    files = {f"{h}{e}.png": face(hair, eyes) for h, hair in enumerate(colours) for e, eyes in enumerate(colours)}
    assert len(prepared(tmp_path, files)) == 16


def test_a_picture_that_differs_in_a_corner_is_no_near_duplicate(tmp_path: Path) -> None:
    other = picture(1)
    other[:40, :40] = 255 - other[:40, :40]
    assert len(prepared(tmp_path, {"a.png": encode_png(picture(1)), "b.png": encode_png(other)})) == 2


def test_a_picture_stays_in_its_split_whatever_else_is_imported(tmp_path: Path) -> None:
    files = {f"{n:03}.png": encode_png(picture(n, 48, 48)) for n in range(200)}
    splits = []
    for name, part in (("all", files), ("some", dict(list(files.items())[::3]))):
        (tmp_path / name).mkdir()
        store = prepared(tmp_path / name, part, sizes=[32])
        splits.append(dict(zip(store.column("id"), store.column("split"), strict=True)))
    assert splits[1].items() <= splits[0].items()
    counts = {split: list(splits[0].values()).count(split) for split in ("train", "val", "test")}
    assert counts["train"] in range(95, 145) and counts["val"] in range(22, 60) and counts["test"] in range(22, 60)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a.png": encode_png(picture(0))}, r"imported leaves 1 face \(pictures: 1, rejected: none\), expected 2 or more; import more that differ"),
        ({f"{quality}.jpg": jpeg(picture(0), quality) for quality in (95, 90, 80)}, r"leaves 1 face \(pictures: 3, rejected: 2 near duplicate\)"),
        ({f"{n}.png": encode_png(picture(n)) for n in (1, 2)}, "all 2 faces of .* fall into val or test, expected 1 or more in train; import more"),
    ],
    ids=["one", "alike", "none to train on"],
)
def test_too_few_faces_to_train_on_or_to_compare_are_refused(tmp_path: Path, files: dict[str, bytes], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        prepared(tmp_path, files)
    assert not (tmp_path / "prepared").exists()


def test_a_folder_of_which_most_goes_as_near_duplicates_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {f"{n}{quality}.jpg": jpeg(picture(n), quality) for n, qualities in ((0, (95, 90, 80)), (5, (95, 80))) for quality in qualities}
    prepared(tmp_path, files)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"prepare: 3 near duplicates go and 2 faces stay, expected more to stay than to go; look at {tmp_path / 'prepared' / 'rejected.csv'}, "
        "and lower prepare_faces.near_duplicate_rms in params.yaml where it names pictures that differ"
    ]


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    imported_dir = imported(tmp_path, {f"{n}.jpg": jpeg(picture(n % 70), 90) for n in range(100)})
    for name in ("one", "two"):
        prepare_faces(params(), imported_dir, bad(tmp_path), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_what_people_call_a_bad_picture_goes_with_its_near_duplicates(tmp_path: Path) -> None:
    files = {"a.png": encode_png(picture(1)), "b.jpg": jpeg(picture(1), 95), "c.png": encode_png(picture(2))}
    prepare_faces(params(), imported(tmp_path, files | OTHER), bad(tmp_path, picture_id(picture(1))), tmp_path / "prepared")
    store = Store(tmp_path / "prepared")
    assert store.column("id") == [picture_id(picture(2)), picture_id(picture(5))]
    np.testing.assert_array_equal(store.images(64)[0], cv2.resize(picture(2), (64, 64), interpolation=cv2.INTER_AREA))
    assert rejected(store) == [("a.png", "bad picture, as people say"), ("b.jpg", "near duplicate of a.png")]


def test_what_nearly_equals_a_bad_picture_goes_also_where_it_comes_first_by_name(tmp_path: Path) -> None:
    files = {"b.png": encode_png(picture(1)), "a.jpg": jpeg(picture(1), 95), "c.jpg": jpeg(picture(1), 90), "d.png": encode_png(picture(2))}
    prepare_faces(params(), imported(tmp_path, files | OTHER), bad(tmp_path, picture_id(picture(1))), tmp_path / "prepared")
    store = Store(tmp_path / "prepared")
    assert store.column("id") == [picture_id(picture(2)), picture_id(picture(5))]
    assert rejected(store) == [("a.jpg", "near duplicate of b.png"), ("b.png", "bad picture, as people say"), ("c.jpg", "near duplicate of b.png")]


def test_what_nearly_equals_a_bad_face_of_a_picture_with_several_goes_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each picture's two halves stand in for two faces that a cascade finds: whose id is called bad only cutting them out tells."""
    monkeypatch.setattr(FaceFinder, "__init__", lambda *_: None)
    monkeypatch.setattr(FaceFinder, "find", lambda *_: [Box(0, 0, 96, 96), Box(96, 0, 192, 96)])
    files = {name: encode_png(np.hstack([picture(one), picture(other)])) for name, one, other in (("b.png", 1, 2), ("c.png", 4, 5))}
    files["a.jpg"] = jpeg(np.hstack([picture(1), picture(3)]), 95)
    section = params(crop=crop(tmp_path / "any", margin=0.0))
    prepare_faces(section, imported(tmp_path, files), bad(tmp_path, picture_id(picture(1))), tmp_path / "prepared")
    store = Store(tmp_path / "prepared")
    assert rejected(store) == [("a.jpg", "near duplicate of b.png"), ("b.png", "bad picture, as people say")]
    assert store.column("id")[1:] == [picture_id(picture(seed)) for seed in (2, 4, 5)]


@pytest.mark.parametrize("name_of", [lambda whole: whole, lambda whole: np.ascontiguousarray(whole[:, 12:108])], ids=["picture", "face"])
def test_of_an_oblong_picture_the_whole_or_its_face_may_be_called_bad(tmp_path: Path, name_of: Callable[[np.ndarray], np.ndarray]) -> None:
    whole = picture(1, 96, 120)
    files = {"a.png": encode_png(whole), "b.png": encode_png(picture(2))}
    prepare_faces(params(), imported(tmp_path, files | OTHER), bad(tmp_path, picture_id(name_of(whole))), tmp_path / "prepared")
    assert Store(tmp_path / "prepared").column("id") == [picture_id(picture(2)), picture_id(picture(5))]


# --- near duplicates


def test_a_hash_has_64_bits_and_follows_the_picture() -> None:
    hashes = [difference_hash(picture(seed, 32, 32)) for seed in range(20)]
    assert len(set(hashes)) == 20
    assert difference_hash(picture(3, 32, 32)) == hashes[3]
    assert difference_hash(np.full((32, 32, 3), 200, np.uint8)) == 0


def test_the_hash_decides_who_is_compared_and_the_colours_who_is_the_same() -> None:
    kept = Kept(max_bits=2, max_rms=8.0)
    one, other = picture(1, 32, 32), picture(2, 32, 32)
    kept.keep(np.uint64(0b0000), one)
    kept.keep(np.uint64(0b1111), other)
    assert kept.find(np.uint64(0b0011), one) == 0
    assert kept.find(np.uint64(0b0111), one) is None  # three bits away from the first
    assert kept.find(np.uint64(0b0111), other) == 1
    assert kept.find(np.uint64(0b0000), other) is None  # four bits away from the second


@pytest.mark.parametrize("tag", ["smile", "open_mouth", "blush", "glasses"])
def test_one_face_with_and_without_a_tag_is_no_near_duplicate(tag: str) -> None:
    for seed in range(10):
        labels = random_labels(np.random.default_rng(seed))
        kept = Kept(max_bits=64, max_rms=8.0)
        for answer in (False, True):
            thumbnail = resize(draw_face({**labels, tag: answer}, np.random.default_rng(seed), 128), THUMBNAIL)
            assert kept.find(difference_hash(thumbnail), thumbnail) is None
            kept.keep(difference_hash(thumbnail), thumbnail)


@pytest.mark.parametrize(
    "change",
    [lambda face: resize(face, 72), lambda face: np.minimum(face, 249) + np.uint8(6), lambda face: decode(jpeg(face, 80), LIMITS)],
    ids=["scaled", "brighter", "saved again"],
)
def test_a_copy_of_a_drawn_face_is_a_near_duplicate(change: Callable[[np.ndarray], np.ndarray]) -> None:
    for seed in range(10):
        face = draw_face(random_labels(np.random.default_rng(seed)), np.random.default_rng(seed), 96)
        kept = Kept(max_bits=6, max_rms=8.0)
        for one in (face, change(face)):
            thumbnail = resize(one, THUMBNAIL)
            found = kept.find(difference_hash(thumbnail), thumbnail)
            kept.keep(difference_hash(thumbnail), thumbnail)
        assert found == 0


def test_comparing_with_twenty_thousand_pictures_takes_less_than_a_millisecond() -> None:
    rng = np.random.default_rng(0)
    kept = Kept(max_bits=6, max_rms=8.0)
    thumbnail = picture(1, 32, 32)
    for hash_ in rng.integers(0, 2**63, 20_000, dtype=np.uint64):
        kept.keep(hash_, thumbnail)
    start = time.process_time()
    for hash_ in rng.integers(0, 2**63, 500, dtype=np.uint64):
        kept.find(hash_, thumbnail)
    assert (time.process_time() - start) / 500 < 0.001


# --- faces in whole pictures


def crop(file: Path, **changes: Any) -> Crop:
    content = file.read_bytes() if file.is_file() else b""
    values: dict[str, Any] = {"cascade": str(file), "sha256": hashlib.sha256(content).hexdigest(), "margin": 0.1, "min_face": 24}
    return Crop(**(values | {"scale_factor": 1.05, "min_neighbours": 5} | changes))


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        (Box(40, 40, 60, 60), 0.0, Box(40, 40, 60, 60)),
        (Box(40, 40, 60, 60), 0.5, Box(30, 30, 70, 70)),
        (Box(0, 40, 20, 60), 0.5, Box(0, 30, 40, 70)),
        (Box(80, 80, 100, 100), 0.5, Box(60, 40, 100, 80)),
        (Box(10, 10, 70, 70), 1.0, Box(0, 0, 80, 80)),
    ],
)
def test_a_crop_is_square_and_lies_within_the_picture(box: Box, margin: float, expected: Box) -> None:
    assert square_around(box, margin, width=100, height=80) == expected


def test_a_cascade_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no cascade at .*faces.xml; give its path or https address"):
        FaceFinder(crop(tmp_path / "faces.xml"))


def test_a_cascade_with_another_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faces.xml").write_text("<opencv_storage/>")
    with pytest.raises(DataError, match=f"expected {'0' * 64}"):
        FaceFinder(crop(tmp_path / "faces.xml", sha256="0" * 64))


def test_a_file_that_is_no_cascade_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faces.xml").write_text("<opencv_storage/>")
    with pytest.raises(DataError, match="is no OpenCV cascade"):
        FaceFinder(crop(tmp_path / "faces.xml"))


def test_an_address_without_tls_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match="expected https"):
        FaceFinder(crop(tmp_path / "x", cascade="http://example.com/faces.xml"))


def test_an_address_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"https://127.0.0.1:1/faces.xml cannot be fetched .*or fetch it by hand"):
        FaceFinder(crop(tmp_path / "x", cascade="https://127.0.0.1:1/faces.xml"))
    assert list(tmp_path.iterdir()) == []


def test_a_fetched_cascade_is_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Callable[[str], Path]) -> None:
    cascade = shared("lbpcascade_animeface.xml")
    section = crop(cascade, cascade="https://example.com/faces.xml")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "genga").mkdir()
    (tmp_path / "genga" / f"{section.sha256}.xml").write_bytes(cascade.read_bytes())
    assert FaceFinder(section).find(np.zeros((64, 64, 3), np.uint8)) == []


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width, height = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
    both = max(width, 0) * max(height, 0)
    areas = [(box.x1 - box.x0) * (box.y1 - box.y0) for box in (one, other)]
    return both / (sum(areas) - both)


def test_faces_of_real_illustrations_are_found(tmp_path: Path, shared: Callable[[str], Path]) -> None:
    archive, finder = shared("illustrations.zip"), FaceFinder(crop(shared("lbpcascade_animeface.xml")))
    truth = json.loads(zipfile.ZipFile(archive).read("boxes.json"))
    store = Store(imported_from(tmp_path, ArchiveSource(kind="archive", path=str(archive)), archive))
    num_found = num_right = 0
    for row_idx, name in enumerate(store.column("name")):
        found = finder.find(decode(store.encoded(row_idx), LIMITS))
        boxes = [Box(*box) for box in truth[Path(name).name]["faces_xyxy"]]
        num_found += len(found)
        num_right += sum(max((overlap(box, face) for face in found), default=0) >= 0.3 for box in boxes)
    num_faces = sum(len(entry["faces_xyxy"]) for entry in truth.values())
    assert num_right / num_faces >= 0.85
    assert num_right / num_found >= 0.85


def test_several_faces_of_one_picture_become_several_pictures_in_one_split(tmp_path: Path, shared: Callable[[str], Path]) -> None:
    archive = shared("illustrations.zip")
    imported_dir = imported_from(tmp_path, ArchiveSource(kind="archive", path=str(archive)), archive)
    prepare_faces(params(crop=crop(shared("lbpcascade_animeface.xml"), scale_factor=1.2)), imported_dir, bad(tmp_path), tmp_path / "prepared")
    store, sides = Store(tmp_path / "prepared"), {row["id"]: (row["width"], row["height"]) for row in Store(imported_dir).manifest.to_pylist()}
    rows = store.manifest.to_pylist()
    assert len(rows) >= 10 and len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        x0, y0, x1, y1 = json.loads(row["crop"])
        width, height = sides[row["imported_id"]]
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
        assert x1 - x0 == y1 - y0 == row["width"] == row["height"] >= 24
    assert len({(row["imported_id"], row["split"]) for row in rows}) == len({row["imported_id"] for row in rows})


def test_pictures_without_a_face_are_listed_and_stop_the_stage_when_there_is_no_other(tmp_path: Path, shared: Callable[[str], Path]) -> None:
    cascade = crop(shared("lbpcascade_animeface.xml"))
    imported_dir = imported(tmp_path, {"flat.png": encode_png(np.full((96, 96, 3), 200, np.uint8))})
    with pytest.raises(DataError, match=r"no face was found in the 1 pictures .* set prepare_faces.crop to null"):
        prepare_faces(params(crop=cascade), imported_dir, bad(tmp_path), tmp_path / "prepared")
    assert not (tmp_path / "prepared").exists()
