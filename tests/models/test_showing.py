"""Sheets of a generator, and how styles are mixed on one."""

from typing import Any

import numpy as np
import pytest
import small_models
import torch

from models.metrics import sampling
from models.metrics.sampling import CONTACT_SHEET, Sampling, at_once
from models.metrics.showing import COARSE, MIXED, contact_sheet, interpolation, mixes_styles, mixing_table, side_by_side, tag_table
from models.networks import build

DCGAN, STYLEGAN2 = small_models.DCGAN | {"resolution": 16}, small_models.STYLEGAN2 | {"resolution": 16, "noise": False}


def generator(model: dict[str, Any], seed: int = 0) -> Any:
    torch.manual_seed(seed)
    G = build(model).eval()
    with torch.no_grad():
        for weight in G.parameters():  # layers that start at nothing would hide what they do
            weight.add_(0.2 * torch.randn_like(weight))
    return G


def tiles(sheet: np.ndarray, side: int = 16) -> np.ndarray:
    """(rows, columns, side, side, 3)"""
    return sheet.reshape(sheet.shape[0] // side, side, -1, side, 3).swapaxes(1, 2).astype(int)


@pytest.mark.parametrize("model", [DCGAN, STYLEGAN2])
def test_a_hundred_faces_and_ways_that_begin_and_end_at_faces(model: dict[str, Any]) -> None:
    G = generator(model)
    assert contact_sheet(G, 0).shape == (160, 160, 3)
    assert np.array_equal(contact_sheet(G, 0), contact_sheet(G, 0))
    ways = tiles(interpolation(G, 0))
    steps = np.abs(np.diff(ways, axis=1)).mean(axis=(2, 3, 4))
    across = np.abs(ways[:, -1] - ways[:, 0]).mean(axis=(1, 2, 3))
    assert (steps.max(axis=1) < 0.5 * across).all(), "no step is a jump"


def test_a_row_shares_its_coarse_styles_and_a_column_its_fine_ones() -> None:
    G = generator(STYLEGAN2)
    assert mixes_styles(G) and not mixes_styles(generator(DCGAN))
    table = tiles(mixing_table(G, 3))
    assert table.shape[:2] == (MIXED + 1, MIXED + 1)
    w = G.mapping(torch.randn(2 * MIXED, 6, generator=torch.Generator().manual_seed(3)))
    with torch.no_grad():
        coarse, _ = G.synthesis(w[:1]), G.synthesis(w[MIXED:])
    assert np.abs(table[1, 0] - ((coarse[0].permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).numpy()).max() <= 1
    # the styles of levels above COARSE alone tell the faces of a row apart
    assert COARSE == 8
    with torch.no_grad():
        for layer in (*G.ups[1:], *G.convs[2:], *G.to_rgbs[2:]):
            getattr(layer, "conv", layer).affine.weight.zero_()
    table = tiles(mixing_table(G, 3))
    assert np.ptp(table[1:, 1:], axis=1).max() <= 1 and np.ptp(table[1:, 1:], axis=0).max() > 10


def test_large_pictures_are_drawn_a_few_at_a_time_and_small_ones_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_once(64) >= at_once(128) == CONTACT_SHEET > at_once(256) > at_once(512) > at_once(1024) == at_once(2048) == 1
    G = generator(STYLEGAN2 | {"tags": ["glasses", "hair_color=blue"]})
    sheets = (contact_sheet, interpolation, mixing_table, tag_table)
    whole = [sheet(G, 0) for sheet in sheets]
    drawn: list[int] = []
    G.convs[0].register_forward_pre_hook(lambda _, inputs: drawn.append(len(inputs[0])))
    monkeypatch.setattr(sampling, "AT_ONCE", 7 * 16**2)
    for sheet, expected in zip(sheets, whole, strict=True):
        assert np.abs(sheet(G, 0).astype(int) - expected).max() <= 1
    assert max(drawn) == 7 and sum(drawn) == 100 + 60 + MIXED**2 + 2 * MIXED + 2 * 12


def test_generators_stand_side_by_side_from_the_same_seeds_at_one_size() -> None:
    large = generator(STYLEGAN2 | {"resolution": 32})
    sheet = side_by_side({"version 1": generator(DCGAN), "version 2": generator(DCGAN), "other": large}, Sampling(12, 0, 4))
    assert sheet.shape == (3 * 32, 130 + 12 * 32, 3)
    assert np.array_equal(sheet[:32, 130:], sheet[32:64, 130:]) and not np.array_equal(sheet[:32, :130], sheet[32:64, :130])
