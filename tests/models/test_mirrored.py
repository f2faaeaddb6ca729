"""Layers that see the mirror image of a picture as the mirror image of what they see in it."""

import torch
from torch import Tensor, nn

from models.networks.mirrored import MirrorBatchNorm2d, MirrorConv2d, halves_exchanged
from models.networks.pose import HINTS_MIRRORED, PoseNet, hints
from models.views import mirror_image

HALVES = halves_exchanged(8)
SHARES = torch.tensor([0.2, 0.5, 0.9])


def some_layers() -> nn.Sequential:
    return nn.Sequential(
        MirrorConv2d([0, 2, 1], 8, 3), MirrorBatchNorm2d(8), nn.ReLU(), MirrorConv2d(HALVES, 8, 4, stride=2), MirrorBatchNorm2d(8), nn.ReLU()
    )


def in_the_mirror(seen: Tensor, mirrored: list[int]) -> Tensor:
    return seen.flip(3)[:, mirrored]


def test_in_training_and_after_it_the_mirror_image_is_seen_mirrored() -> None:
    layers, images = some_layers(), torch.rand(3, 3, 12, 16)
    turned = in_the_mirror(images, [0, 2, 1])
    for training in (True, False):
        layers.train(training)
        seen = layers(images)
        assert seen.shape == (3, 8, 6, 8)
        assert torch.allclose(in_the_mirror(layers(turned), HALVES), seen, atol=1e-5)
        assert not torch.allclose(in_the_mirror(seen, HALVES), seen, atol=0.1)


def test_a_picture_and_its_mirror_image_teach_the_same() -> None:
    layers, images, wanted = some_layers(), torch.rand(3, 3, 12, 16), torch.rand(3, 8, 6, 8)
    taught = []
    for picture, answer in ((images, wanted), (in_the_mirror(images, [0, 2, 1]), in_the_mirror(wanted, HALVES))):
        layers.zero_grad()
        ((layers(picture) - answer) ** 2).sum().backward()
        taught.append([weight.grad.clone() for weight in layers.parameters() if weight.grad is not None])
    assert len(taught[0]) == 6
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-4) for one, other in zip(*taught, strict=True))


def test_a_channel_and_its_mirror_image_share_mean_and_variance() -> None:
    norm = MirrorBatchNorm2d(4)
    x = torch.randn(5, 4, 6, 6) * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None] + torch.tensor([0.0, 1.0, 2.0, 3.0])[:, None, None]
    pairs = torch.stack([x[:, :2], x[:, 2:]])
    mean, std = pairs.mean(dim=(0, 1, 3, 4)), pairs.var(dim=(0, 1, 3, 4), unbiased=False).sqrt()
    for memory_format in (torch.contiguous_format, torch.channels_last):
        expected = (x - mean.repeat(2)[:, None, None]) / std.repeat(2)[:, None, None]
        assert torch.allclose(norm(x.contiguous(memory_format=memory_format)), expected, atol=1e-3)


def test_hints_of_a_mirrored_pose_are_the_hints_mirrored() -> None:
    joints, share = torch.rand(3, 11, 2), SHARES[:, None].expand(3, 11)
    assert torch.allclose(in_the_mirror(hints(mirror_image(joints), share), HINTS_MIRRORED), hints(joints, share), atol=1e-5)


def test_heat_of_a_mirrored_drawing_is_the_heat_mirrored_left_for_right() -> None:
    for resolution in (32, 128, 256):
        net = PoseNet(resolution, 8, strokes=False).train()
        ink, joints, share = torch.rand(3, 1, resolution, resolution), torch.rand(3, 11, 2), SHARES[:, None].expand(3, 11)
        heat = net.heat_logits(ink, hints(joints, share))
        turned = net.heat_logits(ink.flip(3), hints(mirror_image(joints), share))
        assert heat.shape == (3, 11, 32, 32)
        assert (in_the_mirror(turned, HINTS_MIRRORED[:11]) - heat).abs().max() < 1e-4 < 0.1 * heat.std()
