import logging
import resource
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from genga import store as store_module
from genga.errors import DataError
from genga.store import Store, StoreWriter, picture_id


def row(idx: int, split: str = "train") -> dict[str, object]:
    return {"id": f"id{idx}", "source": "drawn", "licence": "CC0-1.0", "split": split}


def random_pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def write(store_dir: Path, pictures: np.ndarray, chunk: int = 3) -> Store:
    with StoreWriter(store_dir, {"8": (8, 8, 3), "grey": (8, 8)}) as writer:
        for start in range(0, len(pictures), chunk):
            part = pictures[start : start + chunk]
            writer.append([row(start + idx) for idx in range(len(part))], **{"8": part, "grey": part[..., 0]})
    return Store(store_dir)


def test_chunks_read_back_as_one_array_by_index(tmp_path: Path) -> None:
    pictures = random_pictures(10)
    store = write(tmp_path / "store", pictures)
    assert len(store) == 10 and store.sizes == ["8", "grey"]
    idxs = np.array([9, 0, 4, 4])
    np.testing.assert_array_equal(store.images(8)[idxs], pictures[idxs])
    np.testing.assert_array_equal(store.images("grey")[idxs], pictures[idxs, ..., 0])
    assert store.column("id") == [f"id{idx}" for idx in range(10)]


def test_arrays_are_mapped_and_not_loaded(tmp_path: Path) -> None:
    assert isinstance(write(tmp_path / "store", random_pictures(4)).images(8), np.memmap)


def test_the_same_pictures_give_the_same_bytes_however_they_are_cut_into_chunks(tmp_path: Path) -> None:
    for name, chunk in (("one", 1), ("all", 100)):
        write(tmp_path / name, random_pictures(7), chunk)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["images-8.npy", "images-grey.npy", "manifest.parquet"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "all" / file).read_bytes()


def test_a_manifest_in_many_tables_is_that_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(idx) | {"crop": None if idx < 6 else [0, idx], "pose": [0.5, idx]} for idx in range(10)]
    for name, table_rows in (("one", 100), ("many", 4), ("whole", 5)):
        monkeypatch.setattr(store_module, "TABLE_ROWS", table_rows)
        with StoreWriter(tmp_path / name, {}) as writer:
            for each in rows:
                writer.append([each])
    store = Store(tmp_path / "many")
    assert [{key: store.column(key)[idx] for key in rows[idx]} for idx in range(10)] == rows
    assert store.manifest == Store(tmp_path / "whole").manifest == Store(tmp_path / "one").manifest


def test_a_column_that_is_known_last_is_there_for_every_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = [[f"copy{idx}"] if idx % 3 == 0 else [] for idx in range(10)]
    ids = set()
    for name, table_rows in (("one", 100), ("many", 4), ("whole", 5)):
        monkeypatch.setattr(store_module, "TABLE_ROWS", table_rows)
        with StoreWriter(tmp_path / name, {}) as writer:
            for idx in range(10):
                writer.append([row(idx)])
            writer.fill("duplicates", copies)
        assert Store(tmp_path / name).column("duplicates") == copies
        ids.add(Store(tmp_path / name).data_id)
    assert len(ids) == 1


def test_splits_read_as_rows_in_order(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store", {}) as writer:
        writer.append([row(0), row(1, "val"), row(2), row(3, "val")])
    store = Store(tmp_path / "store")
    assert store.indices("val").tolist() == [1, 3]
    assert store.indices("train").tolist() == [0, 2]
    assert store.indices("test").tolist() == []


def test_pictures_kept_as_they_came_read_back_byte_for_byte(tmp_path: Path) -> None:
    contents = [b"first", b"", b"third one"]
    with StoreWriter(tmp_path / "store", {}) as writer:
        for idx, content in enumerate(contents):
            writer.append_encoded(row(idx), content)
    store = Store(tmp_path / "store")
    assert [store.encoded(idx) for idx in range(3)] == contents


def fail_half_way(store_dir: Path) -> None:
    with StoreWriter(store_dir, {"8": (8, 8, 3)}) as writer:
        writer.append([row(0)], **{"8": random_pictures(1)})
        writer.beside("rejected.csv").write_text("path,reason\n")
        raise RuntimeError("half way")


def test_an_error_while_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way(tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_writing_keeps_the_store_that_was_there(tmp_path: Path) -> None:
    write(tmp_path / "store", random_pictures(2))
    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way(tmp_path / "store")
    assert len(Store(tmp_path / "store")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_new_store_takes_the_place_of_the_old_one_with_what_lies_beside(tmp_path: Path) -> None:
    write(tmp_path / "store", random_pictures(2))
    with StoreWriter(tmp_path / "store", {}) as writer:
        writer.append_encoded(row(0), b"new")
        writer.beside("rejected.csv").write_text("path,reason\n")
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["encoded.bin", "manifest.parquet", "rejected.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_what_a_killed_writer_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "store.partial").mkdir()
    (tmp_path / "store.partial" / "images-8.npy").write_bytes(b"half")
    write(tmp_path / "store", random_pictures(2))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def fill_with(store_dir: Path, value: int, turns: list[int]) -> None:
    with StoreWriter(store_dir, {"8": (8, 8, 3)}) as writer:
        turns.append(value)
        for idx in range(20):
            writer.append([row(idx) | {"source": str(value)}], **{"8": np.full((1, 8, 8, 3), value, np.uint8)})
            time.sleep(0.01)
        turns.append(value)


def test_two_writers_of_one_store_wait_for_each_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    turns: list[int] = []
    with caplog.at_level(logging.INFO), ThreadPoolExecutor() as threads:
        for writer in [threads.submit(fill_with, tmp_path / "store", value, turns) for value in (1, 2, 3)]:
            writer.result()
    assert turns[::2] == turns[1::2] and sorted(turns[::2]) == [1, 2, 3]
    store = Store(tmp_path / "store")
    assert store.column("source") == [str(turns[-1])] * 20 and (store.images(8) == turns[-1]).all()
    assert "another process writes to" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_writer_whose_folder_was_cleared_away_leaves_the_next_one_alone(tmp_path: Path) -> None:
    first = StoreWriter(tmp_path / "store", {}).__enter__()
    first.append([row(0)])
    (tmp_path / "store.partial").rename(tmp_path / "away")
    with StoreWriter(tmp_path / "store", {}) as second:
        second.append([row(1), row(2)])
        with pytest.raises(DataError, match=r"another process has cleared .*store\.partial away; wait until it has ended and run this again"):
            first.__exit__(None, None, None)
    assert Store(tmp_path / "store").column("id") == ["id1", "id2"]


def test_where_the_place_of_a_store_is_a_link_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk" / "store")
    for count in (2, 3):
        assert len(write(tmp_path / "store", random_pictures(count))) == count
    assert (tmp_path / "store").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["store"]


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no store in .*dvc repro"):
        Store(tmp_path)


def test_a_size_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures of size 64, it has 8, grey"):
        write(tmp_path / "store", random_pictures(2)).images(64)


def test_an_array_that_does_not_fit_its_manifest_is_refused(tmp_path: Path) -> None:
    store = write(tmp_path / "store", random_pictures(5))
    write(tmp_path / "other", random_pictures(4))
    (tmp_path / "other" / "images-8.npy").replace(store.dir / "images-8.npy")
    with pytest.raises(DataError, match="holds 4 pictures and its manifest 5"):
        store.images(8)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_in_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"}", b"]", 1))


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flip_in_header,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\3\4" * 200),
        lambda path: np.save(path, np.zeros((5, 8, 8, 3), np.float32)),
        lambda path: np.save(path, np.uint8(1)),
    ],
)
def test_a_damaged_array_is_said(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    store = write(tmp_path / "store", random_pictures(5))
    damage(store.dir / "images-8.npy")
    with pytest.raises(DataError, match=r"images-8\.npy is damaged \(.*\); make the store again with `dvc repro`"):
        store.images(8)


def test_a_damaged_manifest_is_said(tmp_path: Path) -> None:
    store = write(tmp_path / "store", random_pictures(5))
    cut(store.dir / "manifest.parquet")
    with pytest.raises(DataError, match=r"manifest\.parquet is damaged \(.*\); make the store again with `dvc repro`"):
        len(store)


@pytest.mark.parametrize(
    ("damage", "said"),
    [(cut, r"\(it ends within picture 1 of 2\)"), (lambda path: path.write_bytes(b""), r"\(.*empty"), (Path.unlink, r"\(.*No such file")],
)
def test_damaged_pictures_that_were_kept_as_they_came_are_said(tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    with StoreWriter(tmp_path / "store", {}) as writer:
        writer.append_encoded(row(0), b"first")
        writer.append_encoded(row(1), b"second")
    damage(tmp_path / "store" / "encoded.bin")
    with pytest.raises(DataError, match=rf"encoded\.bin is damaged {said}.*; make the store again with `dvc repro`"):
        Store(tmp_path / "store").encoded(1)


def test_a_manifest_of_another_store_is_said(tmp_path: Path) -> None:
    store = write(tmp_path / "store", random_pictures(2))
    for ask in (lambda: store.encoded(0), lambda: store.column("pose")):
        with pytest.raises(DataError, match=r"manifest\.parquet is damaged \(.*(offset|pose).*\); make the store again with `dvc repro`"):
            ask()


def test_the_data_id_names_the_pictures_their_order_and_what_is_said_of_them(tmp_path: Path) -> None:
    pictures, rows = random_pictures(3), [row(idx) for idx in range(3)]

    def data_id(name: str, rows: list[dict[str, object]], pictures: np.ndarray) -> str:
        with StoreWriter(tmp_path / name, {"8": (8, 8, 3)}) as writer:
            writer.append(rows, **{"8": pictures})
        return Store(tmp_path / name).data_id

    first = data_id("first", rows, pictures)
    assert data_id("copied", [each | {"name": "a.png", "duplicates": ["b.png"]} for each in rows], pictures) == first
    assert data_id("again", rows, pictures) == first
    assert data_id("elsewhere", [each | {"source": "kaggle", "licence": "unknown"} for each in rows], pictures) == first
    others = {
        data_id("order", rows[::-1], pictures[::-1]),
        data_id("fewer", rows[:2], pictures[:2]),
        data_id("pixels", rows, 255 - pictures),
        data_id("splits", [rows[0], rows[1], row(2, "test")], pictures),
        data_id("joints", [each | {"pose": [0.5, 0.5]} for each in rows], pictures),
    }
    assert len(others | {first}) == 6


def test_the_data_id_covers_pictures_as_they_came(tmp_path: Path) -> None:
    ids = []
    for name, data in (("a", b"one"), ("b", b"two")):
        with StoreWriter(tmp_path / name, {}) as writer:
            writer.append_encoded(row(0), data)
        ids.append(Store(tmp_path / name).data_id)
    assert ids[0] != ids[1]


def test_a_store_of_older_code_has_no_data_id(tmp_path: Path) -> None:
    store = write(tmp_path / "store", random_pictures(2))
    pq.write_table(store.manifest.replace_schema_metadata({}), store.dir / "manifest.parquet")
    with pytest.raises(DataError, match="made by older code; make the store again"):
        _ = Store(store.dir).data_id


def test_a_disk_that_is_full_at_the_end_leaves_nothing_behind(tmp_path: Path) -> None:
    """Small encoded pictures wait in a buffer until the store is closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = StoreWriter(tmp_path / "store", {}).__enter__()
    writer.append_encoded(row(0), bytes(10_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            writer.__exit__(None, None, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


def test_terms_hold_each_licence_and_source_once(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store", {}) as writer:
        writer.append([row(0), row(1), row(2) | {"source": "kaggle", "licence": "unknown"}])
    assert Store(tmp_path / "store").terms() == {"licences": ["CC0-1.0", "unknown"], "sources": ["drawn", "kaggle"]}


def test_a_picture_id_follows_its_pixels_and_its_shape() -> None:
    picture = random_pictures(1)[0]
    assert picture_id(picture) == picture_id(np.asfortranarray(picture))
    assert len(picture_id(picture)) == 64
    other = picture.copy()
    other[0, 0, 0] ^= 1
    assert len({picture_id(picture), picture_id(other), picture_id(picture.reshape(4, 16, 3))}) == 3
