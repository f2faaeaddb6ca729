"""The optimizer that steps kernels as matrices."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from models.muon import ITERATIONS, Muon, OrthogonalSteps, as_matrix


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(32, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 3, 1))
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def backward(net: nn.Module) -> None:
    torch.manual_seed(1)
    net(torch.rand(8, 32, 16, 16)).square().mean().backward()


def evenness(kernel: torch.Tensor) -> float:
    """How far the middle one of a kernel's directions goes, as a share of the one that goes farthest."""
    lengths = torch.linalg.svdvals(as_matrix(kernel))
    return float(lengths.median() / lengths.max())


def test_all_weights_move_and_the_kernel_by_an_orthogonal_step_of_the_length_of_adamws() -> None:
    net = network()
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    optimizer = Muon(net, 0.01, weight_decay=0.0)
    backward(net)
    optimizer.step()
    moved = {name: weight.detach() - before[name] for name, weight in net.named_parameters()}
    assert all(change.abs().max() > 0 for change in moved.values())
    gradient = net.get_parameter("0.weight").grad
    assert gradient is not None
    assert evenness(moved["0.weight"]) > 0.3 > 3 * evenness(gradient)
    assert moved["0.weight"].square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.5)
    optimizer.zero_grad()
    assert all(weight.grad is None for weight in net.parameters())


def test_it_goes_on_from_its_state_with_the_same_numbers() -> None:
    net = network()
    optimizer = Muon(net, 0.01, weight_decay=0.1)
    backward(net)
    optimizer.step()
    twin = network()
    twin.load_state_dict(net.state_dict())
    other = Muon(twin, 0.01, weight_decay=0.1)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    for each, its in ((net, optimizer), (twin, other)):
        its.zero_grad()
        backward(each)
        its.step()
    for weight, same in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(weight, same, rtol=0, atol=0)


def test_the_learning_rate_of_both_parts_is_set_at_once() -> None:
    net = network()
    optimizer = Muon(net, 0.01, weight_decay=0.0)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = [weight.detach().clone() for weight in net.parameters()]
    backward(net)
    optimizer.step()
    for weight, kept in zip(net.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), kept, rtol=0, atol=0)


def stepped(optimizer_of: type[torch.optim.Muon], shape: tuple[int, int], **more: str) -> torch.Tensor:
    """A matrix after three steps."""
    torch.manual_seed(0)
    matrix = torch.randn(shape).requires_grad_()
    optimizer = optimizer_of([matrix], 0.01, 0.1, ns_steps=ITERATIONS, **more)
    for _ in range(3):
        matrix.grad = torch.randn(shape)
        optimizer.step()
    return matrix.detach()


@pytest.mark.parametrize("shape", [(48, 96), (96, 48)])
def test_steps_are_those_of_pytorchs_muon_where_bf16_is_computed_and_nearly_where_it_is_not(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = stepped(torch.optim.Muon, shape, adjust_lr_fn="match_rms_adamw")
    monkeypatch.setattr("models.muon.uses_bf16", lambda _: True)
    torch.testing.assert_close(stepped(OrthogonalSteps, shape), theirs, rtol=0, atol=1e-6)
    monkeypatch.setattr("models.muon.uses_bf16", lambda _: False)
    torch.testing.assert_close(stepped(OrthogonalSteps, shape), theirs, rtol=0, atol=1e-3)  # of steps of 0.002 a number and time


def test_no_weight_decay_is_asked_for_and_none_is_there() -> None:
    assert {group["weight_decay"] for group in Muon(network(), 0.01, weight_decay=0.0).param_groups} == {0.0}
