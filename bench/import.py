"""Promise: importing an archive runs at >= 0.6 of a bare loop `cv2.imdecode + resize` over the same bytes, already in memory, on as many cores.

python -m bench.import [archive]      default: faces96.zip of ../shared/data (or $GENGA_SHARED), or 4,000 drawn pictures where that is absent
"""

import logging
import os
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.arguments import Parser
from genga.door import run
from genga.errors import DataError
from genga.params import ArchiveSource, ImportFaces
from genga.store import Store
from stages.import_faces import import_faces
from stages.threads import num_cores

ROUNDS = 7
PROMISED = 0.6


def draw_archive(path: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for picture_idx in range(count):
            blobs = cv2.resize(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)
            archive.writestr(f"{picture_idx}.jpg", cv2.imencode(".jpg", blobs)[1].tobytes())
    return path


def decode_and_resize(data: bytes) -> NDArray[Any]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)


def bare_loop(pictures: list[bytes]) -> float:
    start = time.perf_counter()
    parts = [pictures[core :: num_cores()] for core in range(num_cores())]
    with ThreadPoolExecutor(num_cores()) as pool:
        list(pool.map(lambda part: [decode_and_resize(data).shape for data in part], parts))
    return time.perf_counter() - start


def our_import(archive: Path, out_dir: Path) -> float:
    params = ImportFaces(
        source=ArchiveSource(kind="archive", path=str(archive)),
        licence="unknown",
        origin=archive.name,
        max_picture_bytes=20_000_000,
        max_picture_pixels=40_000_000,
        min_side=32,
        max_archive_bytes=20_000_000_000,
        max_archive_ratio=200.0,
        max_rejected=0.5,
    )
    start = time.perf_counter()
    import_faces(params, archive, out_dir)
    return time.perf_counter() - start


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("archive", nargs="?", type=Path)
    named = parser.parse_args().archive
    if named and not named.is_file():
        raise DataError(f"no file {named} was found, expected a zip or tar archive of pictures; name one, or none for the default")
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as scratch:
        archive = named or Path(os.environ.get("GENGA_SHARED", "../shared/data")) / "faces96.zip"
        if not archive.is_file():
            archive = draw_archive(Path(scratch) / "drawn.zip", 4000)
        out_dir = Path(scratch) / "imported"
        our_import(archive, out_dir)  # warms the file cache and the imports
        store = Store(out_dir)
        pictures = [store.encoded(row_idx) for row_idx in range(len(store))]
        times = [(bare_loop(pictures), our_import(archive, out_dir)) for _ in range(ROUNDS)]
    bare, ours = (median(column) for column in zip(*times, strict=True))
    print(
        f"import: {len(pictures) / ours:.0f} pictures/s of {archive.name}, bare loop {len(pictures) / bare:.0f} on {num_cores()} cores; "
        f"ratio {bare / ours:.2f} (promised >= {PROMISED}; median of {ROUNDS} alternating runs)"
    )


if __name__ == "__main__":
    run(main)
