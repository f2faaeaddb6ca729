"""A dataset as few large files: uint8 arrays that are memory-mapped, plus one Parquet manifest.

    <dir>/images-64.npy       uint8 (N, 64, 64, 3), one such file per array name
    <dir>/encoded.bin         only where pictures of many sizes are kept as they came: their bytes end to end
    <dir>/manifest.parquet    one row per picture: id (sha256 of the decoded picture), source, licence, split, size ...

Written beside its place and renamed when whole, so a store that exists is complete.
"""

import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from genga.errors import DataError

log = logging.getLogger(__name__)

Array = NDArray[np.uint8]
Row = Mapping[str, Any]

NOT_LEARNED = ("name", "source", "licence", "duplicates", "duplicate_ids")  # what pictures are called, whose they are, and which others equal them
DATA_ID = "data_id"
ENCODED, MANIFEST = "encoded.bin", "manifest.parquet"
TABLE_ROWS = 4096
BUFFER = 2**20  # bytes: many small pictures in one write


def picture_id(picture: Array) -> str:
    """sha256 of a decoded picture: its shape, then its uint8 values."""
    digest = hashlib.sha256(repr(picture.shape).encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


def _locked(folder: Path) -> int:
    """The open folder, empty, and ours until it is closed: two writers of one store would mix it, as one whose run was killed and that of the next
    run. The lock goes with the process, whatever ends it, and with the folder itself, so nothing lies beside."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another's, and whole meanwhile
            lock = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # some file systems of networks lock no folders
                _wait(lock, folder)
            if _is_at(folder, lock):
                if not any(folder.iterdir()):
                    return lock
                shutil.rmtree(folder)  # of one that was killed
            os.close(lock)


def _wait(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("another process writes to %s; waiting until it has ended", folder)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _is_at(folder: Path, lock: int) -> bool:
    return folder.is_dir() and os.path.samestat(folder.stat(), os.fstat(lock))


class StoreWriter:
    """Appends in chunks; `with` closes it whole, or leaves nothing behind when an error comes out of the block."""

    def __init__(self, store_dir: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """`shapes`: array name -> shape of one item, such as {"64": (64, 64, 3)}."""
        self._store_dir = store_dir.resolve()  # where its place is a link, what that leads to is replaced
        self._partial_dir = self._store_dir.with_name(self._store_dir.name + ".partial")
        self._shapes = dict(shapes)
        self._rows: list[Row] = []  # the last ones, until they are enough for a table
        self._tables: list[pa.Table] = []
        self._late: dict[str, Sequence[Any]] = {}
        self._count = 0
        self._files: dict[str, BinaryIO] = {}
        self._encoded: BinaryIO | None = None
        self._encoded_bytes = 0
        self._digests = {name: hashlib.sha256() for name in (*self._shapes, ENCODED, MANIFEST)}

    def __enter__(self) -> Self:
        self._lock = _locked(self._partial_dir)
        for name in self._shapes:
            self._files[name] = (self._partial_dir / f"images-{name}.npy").open("wb")
            self._write_header(name)
        return self

    def _write_header(self, name: str) -> None:
        # numpy pads the header so that its length stays the same while the first axis grows
        file = self._files[name]
        file.seek(0)
        header = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self._shapes[name])}
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]

    def append(self, rows: Sequence[Row], **arrays: Array) -> None:
        """One chunk: N rows, and for every array name a uint8 (N, ...). Names that start with a digit go in as `**{"64": chunk}`."""
        assert arrays.keys() == self._shapes.keys(), f"arrays {sorted(arrays)}, expected {sorted(self._shapes)}"
        for name, chunk in arrays.items():
            assert chunk.dtype == np.uint8 and chunk.shape == (len(rows), *self._shapes[name]), f"{name}: {chunk.dtype} {chunk.shape}"
            dense = np.ascontiguousarray(chunk)
            self._files[name].write(dense.data)
            self._digests[name].update(dense.data)
        self._add(rows)

    def append_encoded(self, row: Row, data: bytes) -> None:
        """One picture as it came; the manifest row gets its offset and length."""
        if self._encoded is None:
            self._encoded = (self._partial_dir / ENCODED).open("wb", buffering=BUFFER)
        self._encoded.write(data)
        self._digests[ENCODED].update(data)
        self._add([{**row, "offset": self._encoded_bytes, "length": len(data)}])
        self._encoded_bytes += len(data)

    def _add(self, rows: Sequence[Row]) -> None:
        self._count += len(rows)
        self._rows.extend(rows)
        if len(self._rows) >= TABLE_ROWS:
            self._settle()

    def _settle(self) -> None:
        """Rows become a table, which holds them in a fraction of the memory."""
        self._tables.append(pa.Table.from_pylist([dict(row) for row in self._rows]))
        self._rows = []

    def fill(self, name: str, values: Sequence[Any]) -> None:
        """A further column of the manifest, known only when all pictures are there: one value for each."""
        assert len(values) == self._count, f"{name}: {len(values)} values for {self._count} pictures"
        self._late[name] = values

    def beside(self, name: str) -> Path:
        """Where a further file of this store is written, such as rejected.csv: it appears with the rest, or not at all."""
        return self._partial_dir / name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._close()
            if kind is None:
                if not _is_at(self._partial_dir, self._lock):
                    raise DataError(f"another process has cleared {self._partial_dir} away; wait until it has ended and run this again")
                self._settle()
                manifest = pa.concat_tables(self._tables, promote_options="permissive").combine_chunks()  # a column may be empty for long
                for name, values in self._late.items():
                    manifest = manifest.append_column(name, pa.array(values))
                pq.write_table(self._named(manifest), self._partial_dir / MANIFEST)
                if self._store_dir.exists():
                    shutil.rmtree(self._store_dir)
                self._partial_dir.rename(self._store_dir)
        finally:
            if _is_at(self._partial_dir, self._lock):  # else it is whole, or the next writer's
                shutil.rmtree(self._partial_dir, ignore_errors=True)
            os.close(self._lock)

    def _close(self) -> None:
        for name, file in self._files.items():
            self._write_header(name)
            file.close()
        if self._encoded is not None:
            self._encoded.close()

    def _named(self, manifest: pa.Table) -> pa.Table:
        """With the data id, which is the same however pictures came in chunks."""
        said = manifest.select([name for name in manifest.column_names if name not in NOT_LEARNED])
        for batch in said.to_batches(TABLE_ROWS):
            for row in batch.to_pylist():
                self._digests[MANIFEST].update(repr(row).encode())
        parts = [f"{name} {digest.hexdigest()}" for name, digest in self._digests.items()]
        return manifest.replace_schema_metadata({DATA_ID: hashlib.sha256("\n".join(parts).encode()).hexdigest()})


@contextmanager
def _damage_said(path: Path) -> Iterator[None]:
    """Around what reads one file of a store."""
    try:
        yield
    except PermissionError:
        raise  # no damage: the door says it
    except (OSError, ValueError, TokenError, KeyError) as error:  # of the header of an array; of a manifest that is another store's
        raise _damaged(path, error) from error


def _damaged(path: Path, what: object) -> DataError:
    return DataError(f"{path} is damaged ({what}); make the store again with `dvc repro`")


class Store:
    def __init__(self, store_dir: Path) -> None:
        if not (store_dir / MANIFEST).is_file():
            raise DataError(f"no store in {store_dir}: expected manifest.parquet there; run `dvc repro` to make it")
        self.dir = store_dir

    @cached_property
    def manifest(self) -> pa.Table:
        """One row per picture, in the order of the arrays."""
        with _damage_said(self.dir / MANIFEST):
            return pq.read_table(self.dir / MANIFEST)

    def __len__(self) -> int:
        return int(self.manifest.num_rows)

    @cached_property
    def sizes(self) -> list[str]:
        return sorted(path.stem.removeprefix("images-") for path in self.dir.glob("images-*.npy"))

    def images(self, name: str | int) -> Array:
        """The memory-mapped array, uint8 (N, ...); read batches with `images[idxs]`."""
        path = self.dir / f"images-{name}.npy"
        if not path.is_file():
            raise DataError(f"{self.dir} has no pictures of size {name}, it has {', '.join(self.sizes)}; ask for one of these in params.yaml")
        with _damage_said(path):
            images: Array = np.lib.format.open_memmap(path, mode="r")  # type: ignore[no-untyped-call]
        if images.dtype != np.uint8 or not images.ndim:
            raise _damaged(path, f"it holds {images.dtype}, expected pictures of uint8")
        if len(images) != len(self):
            raise DataError(f"{path} holds {len(images)} pictures and its manifest {len(self)}; make the store again with `dvc repro`")
        return images

    @cached_property
    def _encoded(self) -> Array:
        with _damage_said(self.dir / ENCODED):
            return np.memmap(self.dir / ENCODED, dtype=np.uint8, mode="r")

    def encoded(self, row_idx: int) -> bytes:
        """The bytes of one picture as it came."""
        with _damage_said(self.dir / MANIFEST):
            offset, length = (self.manifest[column][row_idx].as_py() for column in ("offset", "length"))
        data = self._encoded[offset : offset + length].tobytes()
        if len(data) != length:
            raise _damaged(self.dir / ENCODED, f"it ends within picture {row_idx} of {len(self)}")
        return data

    def column(self, name: str) -> list[Any]:
        with _damage_said(self.dir / MANIFEST):
            return list(self.manifest[name].to_pylist())

    def indices(self, split: str) -> NDArray[np.int64]:
        """Rows of one split, in order."""
        return np.flatnonzero(np.asarray(self.column("split")) == split)

    @cached_property
    def data_id(self) -> str:
        """sha256 over the pictures in order, at every size, and over what the manifest says that matters to a training: splits, joints, crops."""
        if name := (self.manifest.schema.metadata or {}).get(DATA_ID.encode()):
            return str(name.decode())
        raise DataError(f"{self.dir} was made by older code; make the store again with `genga repro`")

    def terms(self) -> dict[str, list[str]]:
        """What every card of a model trained on this shows: the licences and sources of its pictures."""
        return {"licences": sorted(set(self.column("licence"))), "sources": sorted(set(self.column("source")))}
