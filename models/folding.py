"""A trained network as it is asked: without batch norms, which are a part of the convolutions before them."""

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.networks.mirrored import MirrorBatchNorm2d, MirrorConv2d
from models.precision import channels_last

M = TypeVar("M", bound=nn.Module)


def folded(network: M) -> M:
    """A copy that says the same, to rounding, in four fifths of the time, and cannot learn any more."""
    asked = copy.deepcopy(network).eval().requires_grad_(False)
    for part in [part for part in asked.modules() if isinstance(part, nn.Sequential)]:
        for at, (conv, norm) in enumerate(pairwise([*part])):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                whole_conv = conv.whole() if isinstance(conv, MirrorConv2d) else conv
                whole_norm = norm.whole() if isinstance(norm, MirrorBatchNorm2d) else norm
                part[at], part[at + 1] = fuse_conv_bn_eval(whole_conv, whole_norm), nn.Identity()
    return channels_last(asked)
