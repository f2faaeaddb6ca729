"""Faces of noise, for benches that ask how fast and not how well."""

from pathlib import Path

import numpy as np

from genga.store import Store, StoreWriter

CHUNK = 1000


def write_noise(faces_dir: Path, count: int, side: int) -> Store:
    """`count`: a multiple of CHUNK."""
    rng = np.random.default_rng(0)
    with StoreWriter(faces_dir, {str(side): (side, side, 3)}) as writer:
        for start in range(0, count, CHUNK):
            rows = [{"id": f"{start + at:064x}", "split": "train"} for at in range(CHUNK)]
            writer.append(rows, **{str(side): rng.integers(0, 256, (CHUNK, side, side, 3), dtype=np.uint8)})
    return Store(faces_dir)
