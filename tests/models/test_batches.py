from pathlib import Path

import numpy as np
import pytest
import torch

from genga.errors import DataError
from genga.store import Store, StoreWriter
from models.batches import Pictures, Sampler, to_signed, to_uint8


@pytest.fixture
def store(tmp_path: Path) -> Store:
    pictures = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((10, 4, 4, 3), np.uint8)
    with StoreWriter(tmp_path / "store", {"4": (4, 4, 3)}) as writer:
        writer.append([{"id": str(row), "split": "train" if row % 2 else "val"} for row in range(10)], **{"4": pictures})
    return Store(tmp_path / "store")


def test_pictures_of_one_split_are_read_by_their_place_in_it(store: Store) -> None:
    pictures = Pictures(store, 4, store.indices("train"))
    assert len(pictures) == 5
    assert pictures[1].shape == (4, 4, 3) and pictures[1].unique().tolist() == [3]
    assert pictures.__getitems__([4, 0])[:, 0, 0, 0].tolist() == [9, 1]


def test_a_data_loader_reads_them(store: Store) -> None:
    loader = torch.utils.data.DataLoader(Pictures(store, 4), batch_size=4, collate_fn=lambda batch: batch)
    assert [tuple(batch.shape) for batch in loader] == [(4, 4, 4, 3), (4, 4, 4, 3), (2, 4, 4, 3)]


def test_a_split_without_pictures_is_refused(store: Store) -> None:
    with pytest.raises(DataError, match="no pictures to read"):
        Pictures(store, 4, store.indices("test"))


def test_every_epoch_shows_every_picture_once_in_its_own_order() -> None:
    sampler = Sampler(10, seed=1)
    shown = np.concatenate([sampler.idxs_at(start, 4) for start in range(0, 40, 4)]).reshape(4, 10)
    assert (np.sort(shown, axis=1) == np.arange(10)).all()
    assert len({tuple(epoch) for epoch in shown.tolist()}) == 4


def test_a_batch_follows_from_its_place_alone() -> None:
    forwards = Sampler(7, seed=1)
    for start in range(0, 60, 3):
        forwards.idxs_at(start, 3)
    assert np.array_equal(forwards.idxs_at(33, 20), Sampler(7, seed=1).idxs_at(33, 20))
    assert not np.array_equal(forwards.idxs_at(33, 20), Sampler(7, seed=2).idxs_at(33, 20))


def test_a_batch_may_be_larger_than_the_set() -> None:
    assert sorted(Sampler(3, seed=0).idxs_at(0, 9).tolist()) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_pixels_survive_the_way_to_the_network_and_back() -> None:
    pictures = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    signed = to_signed(pictures)
    assert signed.shape == (1, 3, 16, 16) and signed.min() == -1 and signed.max() == 1
    assert np.array_equal(to_uint8(signed), pictures.numpy())


def test_grey_pictures_get_one_channel() -> None:
    assert to_signed(torch.zeros(2, 5, 4, dtype=torch.uint8)).shape == (2, 1, 5, 4)
