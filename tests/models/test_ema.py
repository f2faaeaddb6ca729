import torch
from torch import nn

from models.ema import averaged_copy, update_ema


def test_an_averaged_network_has_the_batch_norm_statistics_of_the_newest() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    averaged = averaged_copy(net)
    net.train()(torch.randn(64, 2) + 5)
    update_ema(averaged, net, 64, 1.0, 64)
    newest = net.get_buffer("1.running_mean")
    assert torch.equal(averaged.get_buffer("1.running_mean"), newest) and newest.abs().max() > 0
