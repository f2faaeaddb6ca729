"""StyleGAN2 (Karras et al. 2020, https://arxiv.org/abs/1912.04958): mapping, modulated convolutions, skip generator, residual discriminator.

Differences from the paper, all for speed on a CPU:
- modulation scales the activations going in and demodulation those coming out, which is the same sum without grouped convolutions;
- enlarging is nearest-neighbour fused with the 3x3 convolution into one 4x4 of stride 2, at 4/9 of its cost (Karras et al. 2018,
  https://arxiv.org/abs/1710.10196, in its code), for RGB bilinear; the discriminator halves by a free 4x4 of stride 2;
- the discriminator sees the picture at every size (input skips, figure 7b) instead of being residual, so that both networks can grow;
- the mapping learns at 0.1 of the rate, not 0.01: a training here takes thousands of steps, not millions;
- no noise inputs, as in StyleGAN3 (in so short a training they stay as grain), no style mixing.
N batch, Z and W latent dims, R resolution. Images are NCHW in [-1, 1].
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parallel import over_whole_batch

LR_MUL = 0.1  # of the mapping
GAIN = math.sqrt(2)  # keeps the variance through a leaky ReLU


def channels_at(resolution: int, channel_base: int, channel_max: int) -> int:
    return min(channel_base // resolution, channel_max)


def fused(weight: Tensor) -> Tensor:
    """3x3 -> 4x4, which transposed and with stride 2 is the 3x3 after doubling each pixel."""
    padded = F.pad(weight, [1, 1, 1, 1])
    return padded[..., 1:, 1:] + padded[..., 1:, :-1] + padded[..., :-1, 1:] + padded[..., :-1, :-1]


class EqualLinear(nn.Module):
    """Weights of unit variance, scaled when used (equalized learning rate); `lr_mul` slows them further (section 2.1 of StyleGAN)."""

    def __init__(self, num_in: int, num_out: int, bias: float = 0.0, lr_mul: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_out, num_in) / lr_mul)
        self.bias = nn.Parameter(torch.full((num_out,), bias / lr_mul))
        self.lr_mul = lr_mul

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * (self.lr_mul / math.sqrt(x.shape[1])), self.bias * self.lr_mul)


class Mapping(nn.Module):
    """z (N, Z) -> w (N, W)."""

    def __init__(self, z_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        dims = [z_dim] + [w_dim] * layers
        self.layers = nn.ModuleList(EqualLinear(a, b, lr_mul=LR_MUL) for a, b in pairwise(dims))

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            w = z.float() * z.float().square().mean(dim=1, keepdim=True).add(1e-8).rsqrt()
            for layer in self.layers:
                w = F.leaky_relu(layer(w), 0.2) * GAIN
        return w


class ModulatedConv(nn.Module):
    """x (N, I, R, R), w (N, W) -> (N, O, R, R), or twice as large when `up`."""

    def __init__(self, num_in: int, num_out: int, w_dim: int, kernel: int, *, up: bool = False, demodulate: bool = True) -> None:
        super().__init__()
        shape = (num_out, num_in, kernel, kernel)
        # a colour layer starts at nothing, so a level that joins later does not disturb those below
        self.weight = nn.Parameter(torch.randn(shape) if demodulate else torch.zeros(shape))
        self.affine = EqualLinear(w_dim, num_in, bias=1.0)
        self.scale = 1 / math.sqrt(num_in * kernel**2)
        self.up, self.demodulate = up, demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            style = self.affine(w)  # (N, I)
            weight = self.weight * self.scale
            energy = weight.square().sum(dim=(2, 3))
            norm = (style.square() @ energy.t() + 1e-8).rsqrt() * GAIN if self.demodulate else None  # eq. 3, (N, O)
        x = x * style.to(x.dtype)[:, :, None, None]  # eq. 1
        if self.up:
            x = F.conv_transpose2d(x, fused(weight.flip(2, 3)).transpose(0, 1), stride=2, padding=1)
        else:
            x = F.conv2d(x, weight, padding=weight.shape[2] // 2)
        return x if norm is None else x * norm.to(x.dtype)[:, :, None, None]


class StyledConv(nn.Module):
    """Modulated convolution, bias, leaky ReLU."""

    def __init__(self, num_in: int, num_out: int, w_dim: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(num_in, num_out, w_dim, 3, up=up)
        self.bias = nn.Parameter(torch.zeros(num_out))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = self.conv(x, w)
        return F.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], 0.2)


class Generator(nn.Module):
    """z (N, Z) -> image (N, 3, R, R)."""

    def __init__(self, *, resolution: int, z_dim: int, w_dim: int, mapping_layers: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        self.resolution, self.z_dim = resolution, z_dim
        self.mapping = Mapping(z_dim, w_dim, mapping_layers)
        self.w_avg: Tensor
        self.register_buffer("w_avg", torch.zeros(w_dim))
        widths = [channels_at(2**power, channel_base, channel_max) for power in range(2, resolution.bit_length())]
        self.constant = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.ups = nn.ModuleList(StyledConv(a, b, w_dim, up=True) for a, b in pairwise(widths))
        self.convs = nn.ModuleList(StyledConv(width, width, w_dim) for width in widths)
        self.to_rgbs = nn.ModuleList(ModulatedConv(width, 3, w_dim, 1, demodulate=False) for width in widths)
        self.rgb_bias = nn.Parameter(torch.zeros(3))

    def synthesis(self, w: Tensor, side: int | None = None) -> Tensor:
        """w (N, W) -> image (N, 3, R, R), not clamped; while the network is growing, the image (N, 3, side, side)."""
        x = self.convs[0](self.constant.expand(len(w), -1, -1, -1).contiguous(memory_format=torch.channels_last), w)
        rgb = self.to_rgbs[0](x, w)
        for up, conv, to_rgb in zip(self.ups, self.convs[1:], self.to_rgbs[1:], strict=True):
            if rgb.shape[2] == side:
                break
            x = conv(up(x, w), w)
            rgb = F.interpolate(rgb, scale_factor=2, mode="bilinear") + to_rgb(x, w)
        images: Tensor = rgb.float() + self.rgb_bias[:, None, None]
        return images

    def forward(self, z: Tensor, psi: float = 1.0) -> Tensor:
        return self.synthesis(self.w_avg + psi * (self.mapping(z) - self.w_avg))

    @torch.no_grad()
    def settle(self, z: Tensor) -> None:
        """w_avg becomes the mean over these z (N, Z), for exactly these weights."""
        self.w_avg.copy_(self.mapping(z).mean(dim=0))


class EqualConv(nn.Module):
    """Kernel 1 and 3 keep the size, kernel 4 halves it."""

    def __init__(self, num_in: int, num_out: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_out, num_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(num_out))
        self.scale = 1 / math.sqrt(num_in * kernel**2)
        self.stride, self.padding = (2, 1) if kernel == 4 else (1, kernel // 2)

    def forward(self, x: Tensor, gain: float) -> Tensor:
        return F.conv2d(x, self.weight * (self.scale * gain), self.bias * gain, stride=self.stride, padding=self.padding)


class DownBlock(nn.Module):
    """x (N, I, R, R) -> (N, O, R/2, R/2). Its last layer starts at nothing, so a level that joins later does not disturb those below."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv, self.down = EqualConv(num_in, num_in, 3), EqualConv(num_in, num_out, 4)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        # leaky_relu(g x) = g leaky_relu(x): gains go into the weights
        x = F.leaky_relu(self.conv(x, GAIN), 0.2)
        return F.leaky_relu(self.down(x, GAIN), 0.2)


class Trunk(nn.Module):
    """image (N, 3, S, S), S up to R -> features (N, C, 4, 4). Every level also sees the picture at its own size (input skips, figure 7b)."""

    def __init__(self, resolution: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        self.sides = [2**power for power in range(resolution.bit_length() - 1, 1, -1)]
        widths = [channels_at(side, channel_base, channel_max) for side in self.sides]
        self.from_rgbs = nn.ModuleList(EqualConv(3, width, 1) for width in widths)
        self.blocks = nn.ModuleList(DownBlock(a, b) for a, b in pairwise(widths))
        self.num_features = widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        first = self.sides.index(images.shape[2])
        x: Tensor = F.leaky_relu(self.from_rgbs[first](images, GAIN), 0.2)
        for block, from_rgb in zip(self.blocks[first:], self.from_rgbs[first + 1 :], strict=True):
            images = F.avg_pool2d(images, 2)
            x = block(x) + F.leaky_relu(from_rgb(images, GAIN), 0.2)
        return x


class Head(nn.Module):
    """features (N, C, 4, 4) -> (N, outputs)."""

    def __init__(self, num_in: int, width: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.dense, self.out = EqualConv(num_in, width, 3), EqualLinear(width * 16, width), EqualLinear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv(x, GAIN), 0.2)
        x = F.leaky_relu(self.dense(x.flatten(1)), 0.2) * GAIN
        outputs: Tensor = self.out(x)
        return outputs.float()


@over_whole_batch
def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """One more channel: how much the pictures of a group differ (Karras et al. 2018, section 3)."""
    N, _, H, W = x.shape
    G = math.gcd(group, N)
    spread = x.float().reshape(G, N // G, -1).var(dim=0, unbiased=False).add(1e-8).sqrt().mean(dim=1)  # (N / G,)
    return torch.cat([x, spread.to(x.dtype).repeat(G)[:, None, None, None].expand(-1, 1, H, W)], dim=1)


class Discriminator(nn.Module):
    """image (N, 3, R, R) -> logit (N, 1), high on real ones."""

    def __init__(self, resolution: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        self.trunk = Trunk(resolution, channel_base, channel_max)
        self.head = Head(self.trunk.num_features + 1, self.trunk.num_features, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(minibatch_stddev(self.trunk(images)))
        return logits
