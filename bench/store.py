"""Promise: random batches of 64 px faces are read from a store at >= 0.8 of a bare numpy memmap gather, and faster than from h5py.

python -m bench.store
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bench.arguments import Parser
from genga.door import run
from genga.store import Store, StoreWriter
from models.batches import Pictures

COUNT, SIZE, BATCH, BATCHES = 12_000, 64, 64, 200
ROUNDS = 9
PROMISED = 0.8

Indices = NDArray[np.int64]


def write_store(store_dir: Path, pictures: NDArray[np.uint8]) -> Store:
    with StoreWriter(store_dir, {str(SIZE): (SIZE, SIZE, 3)}) as writer:
        writer.append([{"id": str(idx)} for idx in range(COUNT)], **{str(SIZE): pictures})
    return Store(store_dir)


def faces_per_second(read: Callable[[Indices], Any], batches: list[Indices]) -> float:
    start = time.perf_counter()
    for idxs in batches:
        read(idxs)
    return len(batches) * BATCH / (time.perf_counter() - start)


def main() -> None:
    Parser(__doc__).parse_args()
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (COUNT, SIZE, SIZE, 3), dtype=np.uint8)
    batches = [rng.integers(0, COUNT, BATCH) for _ in range(BATCHES)]
    with tempfile.TemporaryDirectory() as scratch:
        store = write_store(Path(scratch) / "store", pictures)
        np.save(Path(scratch) / "bare.npy", pictures)
        bare = np.load(Path(scratch) / "bare.npy", mmap_mode="r")
        with h5py.File(Path(scratch) / "faces.h5", "w") as file:
            file.create_dataset("faces", data=pictures)
        h5 = h5py.File(Path(scratch) / "faces.h5", "r")["faces"]
        images, dataset = store.images(SIZE), Pictures(store, SIZE)
        readers: dict[str, Callable[[Indices], Any]] = {
            "bare memmap": lambda idxs: bare[idxs],
            "store": lambda idxs: images[idxs],
            "Pictures": lambda idxs: dataset.__getitems__(idxs),
            # one by one out of a contiguous dataset: far faster than h5py's own indexing with a list
            "h5py": lambda idxs: np.stack([h5[idx] for idx in idxs]),
        }
        speeds: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(ROUNDS):
            for name, read in readers.items():
                speeds[name].append(faces_per_second(read, batches))
    middle = {name: median(values) for name, values in speeds.items()}
    for name in ("store", "Pictures"):
        print(
            f"store: {name} {middle[name]:.0f} faces/s of {SIZE} px in random batches of {BATCH}: {middle[name] / middle['bare memmap']:.2f} "
            f"of a bare memmap gather (promised >= {PROMISED}), {middle[name] / middle['h5py']:.1f} times h5py (promised > 1); "
            f"median of {ROUNDS} alternating runs"
        )


if __name__ == "__main__":
    run(main)
