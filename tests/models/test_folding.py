"""Networks without batch norms of their own."""

import pytest
import torch
from torch import Tensor, nn

from models.folding import folded
from models.networks import build
from models.networks.pose import HEAT_SIDE, HINTS

TAGGER = {"arch": "tagger", "resolution": 64, "width": 8, "dropout": 0.1}
TAGGERS = [TAGGER | {"mirrored": mirrored} for mirrored in (False, True)]
POSE = {"arch": "pose", "resolution": 64, "width": 16, "strokes": True}


def used(model: dict[str, object]) -> nn.Module:
    """Whose batch norms have seen something."""
    torch.manual_seed(1)
    network = build(model)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values in (part.weight.data, part.running_var):
                values.uniform_(0.5, 2)
            for values in (part.bias.data, part.running_mean):
                values.normal_(0, 0.3)
    return network.eval()


@pytest.mark.parametrize("model", TAGGERS)
@torch.no_grad()
def test_a_folded_tagger_says_the_same(model: dict[str, object]) -> None:
    check_same(used(model), torch.rand(3, 3, 64, 64))


@torch.no_grad()
def test_a_folded_network_sees_joints_in_the_same_places() -> None:
    network = used(POSE)
    network.forward = network.heat_logits  # type: ignore[assignment]
    check_same(network, torch.rand(3, 1, 64, 64), torch.rand(3, HINTS, HEAT_SIDE, HEAT_SIDE))


def check_same(network: nn.Module, *asked: Tensor) -> None:
    without = folded(network)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in without.modules())
    said = network(*asked)
    assert said.std() > 0.1
    torch.testing.assert_close(without(*asked), said, rtol=1e-4, atol=1e-4)


def test_the_network_itself_stays_as_it_was() -> None:
    network = used(TAGGERS[0]).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded(network)
    assert network.training and all(weight.requires_grad for weight in network.parameters())
    assert before.keys() == network.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
