"""Batches straight from a store's memory-mapped arrays: no worker processes, no state.

Which pictures a batch holds follows from (seed, cur_nimg) alone, so a resumed training sees what an undisturbed one sees.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from genga.errors import DataError
from genga.params import Training
from genga.store import Store

Indices = NDArray[np.int64]


class Pictures(Dataset[Tensor]):
    """One array of a store, or some rows of it, as uint8 tensors (H, W, 3) or (H, W). A DataLoader or a plain loop reads it."""

    def __init__(self, store: Store, name: str | int, rows: Indices | None = None) -> None:
        self._images = store.images(name)
        self.rows = np.arange(len(store)) if rows is None else rows
        if len(self.rows) == 0:
            raise DataError(
                f"no pictures to read in {store.dir}: expected at least one; import more, or lower prepare_faces.val and .test in params.yaml"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, count: int) -> NDArray[np.uint8]:
        """At most `count` of them, evenly spread over all."""
        return np.asarray(self._images[self.rows[np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64)]])

    def __getitem__(self, idx: int) -> Tensor:
        return torch.from_numpy(self._images[self.rows[idx]].copy())

    def __getitems__(self, idxs: Sequence[int] | Indices) -> Tensor:
        """A batch (N, H, W, 3) in one read."""
        return torch.from_numpy(self._images[self.rows[idxs]])

    def batches(self, params: Training, beside: Tensor | None = None) -> Callable[[int], Any]:
        """cur_nimg -> the batch that stands there. `beside`: (M, ...), something about each picture; then a batch is its pictures and that."""
        sampler = Sampler(len(self), params.seed)

        def batch_at(cur_nimg: int) -> Tensor | tuple[Tensor, Tensor]:
            idxs = sampler.idxs_at(cur_nimg, params.batch_size)
            return self.__getitems__(idxs) if beside is None else (self.__getitems__(idxs), beside[idxs])

        return batch_at


class Sampler:
    """Every picture once per epoch, each epoch in an order of its own."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self._order = lru_cache(maxsize=2)(self._shuffle)

    def _shuffle(self, epoch: int) -> Indices:
        return np.random.default_rng((self._seed, epoch)).permutation(self._count)

    def idxs_at(self, cur_nimg: int, batch_size: int) -> Indices:
        """Which items stand at cur_nimg .. cur_nimg + batch_size of the endless sequence of epochs."""
        epochs, places = np.divmod(np.arange(cur_nimg, cur_nimg + batch_size), self._count)
        return np.concatenate([self._order(int(epoch))[places[epochs == epoch]] for epoch in np.unique(epochs)])


def to_signed(pictures: Tensor) -> Tensor:
    """uint8 (N, H, W, C) or (N, H, W) -> float32 (N, C, H, W) in [-1, 1], on the pictures' device."""
    nhwc = pictures if pictures.dim() == 4 else pictures.unsqueeze(-1)
    return nhwc.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_uint8(signed: Tensor) -> NDArray[np.uint8]:
    """float (N, C, H, W) in [-1, 1], clamped -> uint8 (N, H, W, C)."""
    nhwc = signed.detach().float().permute(0, 2, 3, 1).clamp(-1, 1).add(1).mul(127.5).round()
    return nhwc.to(torch.uint8).cpu().numpy()
