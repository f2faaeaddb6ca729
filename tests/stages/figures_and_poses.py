"""Figures that are a dot of ink at each joint."""

from pathlib import Path

import numpy as np

from genga.store import StoreWriter, picture_id

SPLITS = ("train", "train", "train", "test")


def write_figures(store_dir: Path, sizes: tuple[int, ...], count: int, splits: tuple[str, ...] = SPLITS) -> None:
    rng = np.random.default_rng(len(sizes))
    poses = rng.uniform(0.15, 0.85, (count, 11, 2))
    arrays = {str(size): np.stack([dotted(pose, size) for pose in poses]) for size in sizes}
    rows = [
        {
            "id": picture_id(picture),
            "source": "a test",
            "licence": "CC0-1.0",
            "split": splits[at % len(splits)],
            "pose": pose.ravel().tolist(),
            "visible": [at % 2 == 0] + [True] * 10,
        }
        for at, (picture, pose) in enumerate(zip(arrays[str(sizes[0])], poses, strict=True))
    ]
    with StoreWriter(store_dir, {size: array.shape[1:] for size, array in arrays.items()}) as writer:
        writer.append(rows, **arrays)


def dotted(pose: np.ndarray, size: int) -> np.ndarray:
    picture = np.full((size, size), 255, np.uint8)
    for x, y in (pose * size).astype(int):
        picture[y - 1 : y + 2, x - 1 : x + 2] = 0
    return picture
