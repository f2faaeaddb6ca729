"""Sliders found in a generator whose every latent number is known to do one thing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genga.errors import CheckpointError
from genga.params import FindDirections, load_params
from genga.tags import column_slices, columns, flags, groups
from models.export import save_model
from models.metrics.directions import fit_directions, log_odds, shares, slider_names, tag_of
from models.networks import NETWORKS, build
from models.targets import names
from stages.find_directions import _is_real, find_directions

REPO = Path(__file__).parents[2]
W = 6
DIALS = ("glasses", "smile", "hair_length", "hair_color=blue")  # what the first numbers of w change, each in its own quarter of the picture


class Painter(nn.Module):
    """w (N, 6) -> a picture whose quarters are as bright as the first four numbers say. Each w is correlated with the next one."""

    def __init__(self, resolution: int) -> None:
        super().__init__()
        self.z_dim, self.resolution = W, resolution
        self.w_avg: Tensor
        self.register_buffer("w_avg", torch.zeros(W))
        self.mix = nn.Parameter(torch.eye(W) + 0.5 * torch.diag(torch.ones(W - 1), 1))

    def mapping(self, z: Tensor) -> Tensor:
        return z @ self.mix

    def synthesis(self, w: Tensor) -> Tensor:
        quarters = torch.tanh(w[:, :4] / 3).reshape(-1, 1, 2, 2)
        return nn.functional.interpolate(quarters, self.resolution).expand(-1, 3, -1, -1)


class Reader(nn.Module):
    """Reads each dial off its quarter; all other columns never change."""

    def __init__(self, resolution: int, crosstalk: float) -> None:
        super().__init__()
        self.resolution = resolution
        self.weight = nn.Parameter(self._weights(crosstalk))

    @staticmethod
    def _weights(crosstalk: float) -> Tensor:
        weights = torch.zeros(len(columns()), 4)
        weights[columns().index("glasses"), 0] = 4
        weights[columns().index("smile"), :2] = torch.tensor([crosstalk, 4])
        weights[column_slices()["hair_length"], 2] = torch.tensor([-3.0, 0, 3])
        weights[columns().index("hair_color=blue"), 3] = 6
        return weights

    def forward(self, images: Tensor) -> Tensor:
        quarters = nn.functional.adaptive_avg_pool2d(images[:, :1], 2).flatten(1)
        return quarters @ self.weight.T - 0.5


@pytest.fixture
def params() -> FindDirections:
    return load_params(REPO / "params.yaml").find_directions.model_copy(update={"samples": 400, "judged": 24})


@pytest.fixture
def sliders_of(params: FindDirections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Saves both networks, runs the stage, returns directions.json."""
    for arch in (Painter, Reader):
        monkeypatch.setitem(NETWORKS, arch.__name__, (__name__, arch.__name__))

    def run(crosstalk: float = 0.0, params: FindDirections = params, learned: list[str] | None = None) -> dict[str, Any]:
        model = {"arch": "Painter", "resolution": 16}
        save_model(tmp_path / "painter", build(model), {"family": "painter", "model": model})
        model = {"arch": "Reader", "resolution": 8, "crosstalk": crosstalk}
        spoken = {
            "columns": learned or columns(),
            "temperatures": dict.fromkeys(names(), 1.0),
            "sure": {},
            "learned_from": dict.fromkeys(names(), "drawn") | {"smile": "human"},
        }
        save_model(tmp_path / "reader", build(model), {"family": "tagger", "model": model, **spoken})
        find_directions(params, tmp_path / "painter", tmp_path / "reader", tmp_path / "out")
        document: dict[str, Any] = json.loads((tmp_path / "out" / "directions.json").read_text())
        return document

    return run


def test_each_planted_dial_is_found_as_a_slider_and_nothing_else_is(sliders_of: Any) -> None:
    document = sliders_of()
    assert (document["family"], document["space"]) == ("painter", "w")
    sliders = document["sliders"]
    assert set(DIALS) <= set(sliders)
    assert {tag_of(name) for name in sliders} == {tag_of(dial) for dial in DIALS}
    for dial_idx, dial in enumerate(DIALS):
        vector = np.array(sliders[dial]["vector"])
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)
        assert vector[dial_idx] > 0.85, dial
        assert sliders[dial]["effect"] > 0.2
        assert max(map(abs, sliders[dial]["drag"].values())) < 0.25 * sliders[dial]["effect"]
        assert not any(tag_of(other) == tag_of(dial) for other in sliders[dial]["drag"])
    assert {name: slider["learned_from"] for name, slider in sliders.items()} == {name: "human" if name == "smile" else "drawn" for name in sliders}


def test_a_slider_is_turned_away_from_what_it_would_drag_along(sliders_of: Any, params: FindDirections) -> None:
    drag = {
        weight: sliders_of(2.0, params.model_copy(update={"decorrelate": weight}))["sliders"]["smile"]["drag"]["glasses"] for weight in (0.0, 30.0)
    }
    assert drag[0.0] > 0.2
    assert abs(drag[30.0]) < drag[0.0] / 4


def test_a_slider_at_one_stays_within_the_stated_spread(sliders_of: Any, params: FindDirections) -> None:
    near, far = (sliders_of(params=params.model_copy(update={"sigmas": sigmas}))["sliders"] for sigmas in (1.0, 3.0))
    assert far["glasses"]["scale"] == pytest.approx(3 * near["glasses"]["scale"], rel=1e-4)
    assert far["glasses"]["effect"] > near["glasses"]["effect"]


def test_the_same_networks_give_the_same_file(sliders_of: Any) -> None:
    assert sliders_of() == sliders_of()


def test_effects_too_small_to_see_are_left_out(sliders_of: Any, params: FindDirections) -> None:
    assert sliders_of(params=params.model_copy(update={"min_effect": 0.99}))["sliders"] == {}


def test_an_effect_within_four_standard_errors_is_chance() -> None:
    change = np.tile([0.5, -0.4], 50)  # 0.05 in the mean, and its standard error is 0.045
    assert not _is_real(change, 0.01)
    assert _is_real(change + 0.4, 0.01)


def test_a_tagger_of_another_vocabulary_is_refused(sliders_of: Any) -> None:
    with pytest.raises(CheckpointError, match="another list of tags"):
        sliders_of(learned=columns()[::-1])


def test_a_tagger_of_before_a_new_tag_is_refused_as_that(
    sliders_of: Any, params: FindDirections, tmp_path: Path, add_a_tag: Callable[[], None]
) -> None:
    with pytest.raises(CheckpointError):
        sliders_of(learned=columns()[::-1])  # both networks are there
    add_a_tag()
    with pytest.raises(CheckpointError, match="another list of tags"):
        find_directions(params, tmp_path / "painter", tmp_path / "reader", tmp_path / "out")


def test_ordered_groups_have_one_slider_and_say_how_far_along_they_are() -> None:
    assert "hair_length" in slider_names() and "hair_length=long" not in slider_names()
    assert "hair_color=blue" in slider_names() and "hair_color" not in slider_names()
    assert len(slider_names()) == sum(1 if name in ("hair_length", "skin_tone") else len(values) for name, values in groups().items()) + len(flags())
    found = np.zeros((3, len(columns())))
    for row, value in enumerate(groups()["hair_length"]):
        found[row, columns().index(f"hair_length={value}")] = 1
    assert shares(found)[:, slider_names().index("hair_length")].tolist() == [0, 0.5, 1]
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()


def test_latents_that_fill_only_a_part_of_their_space_give_directions_within_it(params: FindDirections) -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(8, 3)))[0].T
    latents = rng.normal(size=(300, 3)) @ basis + 5
    scores = np.stack([latents @ basis[0], latents @ basis[1]], axis=1)
    moves = fit_directions(latents, scores, ["glasses", "smile"], params)
    assert np.allclose(moves @ basis.T @ basis, moves)
    assert moves[0] @ basis[0] > 0.9 * np.linalg.norm(moves[0])


def test_latents_of_a_single_number_give_directions_along_it(params: FindDirections) -> None:
    latents = np.random.default_rng(0).normal(size=(300, 1)) * 2 + 5
    moves = fit_directions(latents, np.concatenate([latents, -latents], axis=1), ["glasses", "smile"], params)
    assert moves[:, 0] == pytest.approx([params.sigmas * latents.std(ddof=1), -params.sigmas * latents.std(ddof=1)])
