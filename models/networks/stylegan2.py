"""StyleGAN2 (Karras et al. 2020, https://arxiv.org/abs/1912.04958): mapping, modulated convolutions, skip generator, input skips in D.

Differences from the paper, for speed on a CPU and for short trainings:
- modulation scales the activations going in and demodulation those coming out, which is the same sum without grouped convolutions;
- the discriminator halves by Haar's wavelets: means of four pixels, or the paper's blur, hide grain from it, which is then left on faces;
- the discriminator sees the picture at every size (input skips, figure 7b) unless it is asked to be residual (7c): each level begins silent, so
  growing disturbs nothing, and in trainings of 36 kimg eyes and mouths came out where a residual one left hardly any;
- the mapping learns at 0.1 of the rate, not 0.01: a training here takes thousands of steps, not millions.
Both networks can grow, with the fade-in of Karras et al. 2018 (https://arxiv.org/abs/1710.10196), section 2.
Both can be told tags, as in StyleGAN2-ADA (https://arxiv.org/abs/2006.06676): the mapping reads them beside z, the discriminator projects on them
(Miyato & Koyama 2018, https://arxiv.org/abs/1802.05637). Tags of a picture are C numbers in [0, 1]: how likely it shows each.
N batch, Z and W latent dims, L layers with a style, R resolution. Images are NCHW in [-1, 1].
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise, product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parallel import over_whole_batch

LR_MUL = 0.1  # of the mapping
GAIN = math.sqrt(2)  # keeps the variance through a leaky ReLU
MEETING = [0, 2], [1]  # rows or columns of a 3x3 over pixels with zeros between that meet pixels, at even and at odd places
CALM = 0.4  # of its noise a finished network adds so much: all of it stays as grain on faces after a short training
TAGGED = 1024  # training pictures whose tags a generator keeps


def channels_at(resolution: int, channel_base: int, channel_max: int) -> int:
    return max(1, min(channel_base // resolution, channel_max))


def kind_of(x: Tensor) -> torch.dtype:
    """What a convolution of x computes in."""
    return torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype


def bilinear(channels: int, like: Tensor) -> Tensor:
    """(C, 1, 4, 4), for each channel by itself: pixels with zeros between become what lies between them (the paper's filter)."""
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25], dtype=like.dtype, device=like.device)
    return (taps[:, None] * taps).expand(channels, 1, 4, 4)


def smooth(x: Tensor) -> Tensor:
    """(N, C, 2 S + 1, 2 S + 1), convolved with zeros between its pixels -> (N, C, 2 S, 2 S), as if those had been filled in bilinearly: without
    it a grid is left on faces (Zhang 2019, https://arxiv.org/abs/1904.11486)."""
    if torch.compiler.is_compiling():  # what is compiled is differentiated once
        return _smoothed(x, 1)
    return Smoothing.apply(x, 1)  # type: ignore[no-untyped-call, no-any-return]


def _smoothed(x: Tensor, padding: int) -> Tensor:
    return F.conv2d(x, bilinear(x.shape[1], x), padding=padding, groups=x.shape[1])


class Smoothing(torch.autograd.Function):
    """Its gradient is the same with other padding, as the filter is symmetric, and so on: PyTorch's own second derivative of a convolution in groups,
    which path lengths take, goes from group to group."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: int) -> Tensor:
        ctx.padding = padding
        return _smoothed(x, padding)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return Smoothing.apply(slope, 3 - ctx.padding), None  # type: ignore[no-untyped-call]


class EqualLinear(nn.Module):
    """Weights of unit variance, scaled when used (equalized learning rate); `lr_mul` slows them further (section 2.1 of StyleGAN)."""

    def __init__(self, num_in: int, num_out: int, bias: float = 0.0, lr_mul: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_out, num_in) / lr_mul)
        self.bias = nn.Parameter(torch.full((num_out,), bias / lr_mul))
        self.lr_mul = lr_mul

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x * (self.lr_mul / math.sqrt(x.shape[1])), self.weight, self.bias * self.lr_mul)


def normalised(x: Tensor) -> Tensor:
    """(N, C), each row of mean square 1."""
    return x * x.square().mean(dim=1, keepdim=True).add(1e-8).rsqrt()


class Mapping(nn.Module):
    """z (N, Z) -> w (N, W); of a generator that is told tags, z and tags (N, C) -> w."""

    def __init__(self, z_dim: int, w_dim: int, layers: int, num_tags: int = 0) -> None:
        super().__init__()
        dims = [z_dim + (w_dim if num_tags else 0)] + [w_dim] * layers
        self.layers = nn.ModuleList(EqualLinear(a, b, lr_mul=LR_MUL) for a, b in pairwise(dims))
        self.embed = EqualLinear(num_tags, w_dim) if num_tags else None
        self.kept: Tensor | None  # tags of training pictures
        self.register_buffer("kept", torch.zeros(TAGGED, num_tags) if num_tags else None)

    def forward(self, z: Tensor, tags: Tensor | None = None) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            w = normalised(z.float())
            if self.embed is not None:
                w = torch.cat([w, normalised(self.embed(self.drawn(z) if tags is None else tags))], dim=1)
            for layer in self.layers:
                w = F.leaky_relu(layer(w), 0.2) * GAIN
        return w

    def keep(self, tags: Tensor) -> None:
        """Some of these (N, C), drawn at random, become those that `drawn` chooses from."""
        assert self.kept is not None
        self.kept.copy_(tags[torch.randint(0, len(tags), (TAGGED,))])

    def drawn(self, z: Tensor) -> Tensor:
        """Tags (N, C) of training pictures. The first number of z chooses, so that the same z always has the same ones."""
        assert self.kept is not None
        idxs = (torch.special.ndtr(z[:, 0].float()) * TAGGED).long()  # evenly spread, as z is normal
        return self.kept[idxs.clamp(max=TAGGED - 1)]


class Finishing(nn.Module):
    """Makes what follows from its weights alone once, when it is finished."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, tuple[object, Tensor]] = {}

    def is_finished(self) -> bool:
        return not self.training and not torch.is_grad_enabled()

    def once(self, name: str, weights: Sequence[Tensor | None], made: Callable[[], Tensor]) -> Tensor:
        """What is made of `weights`, until they change."""
        if not self.is_finished():
            return made()
        # a buffer laid out anew in inference mode has no version
        of = [(weight.data_ptr(), weight.is_inference() or weight._version) for weight in weights if weight is not None]
        if name not in self._made or self._made[name][0] != of:
            self._made[name] = of, made()
        return self._made[name][1]


class ModulatedConv(Finishing):
    """x (N, I, R, R), style (N, I) -> (N, O, R, R), or twice as large when `up`. Modulated, not demodulated."""

    def __init__(self, num_in: int, num_out: int, w_dim: int, kernel: int, *, up: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_out, num_in, kernel, kernel))
        self.affine = EqualLinear(w_dim, num_in, bias=1.0)
        self.scale = 1 / math.sqrt(num_in * kernel**2)
        self.up = up

    def style(self, w: Tensor) -> Tensor:
        """w (N, W) -> (N, I), with the weights' scale, so that those are used as they are."""
        with torch.autocast(w.device.type, enabled=False):
            return self.affine(w) * self.scale  # type: ignore[no-any-return]

    def demodulation(self, style: Tensor) -> Tensor:
        """(N, O): eq. 3."""
        with torch.autocast(style.device.type, enabled=False):
            energy = self.once("energy", [self.weight], lambda: self.weight.square().sum(dim=(2, 3)))  # (O, I)
            return (style.float().square() @ energy.t() + 1e-8).rsqrt()

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x = x * style.to(x.dtype)[:, :, None, None]  # eq. 1
        kind = kind_of(x)
        if x.device.type == "cpu" and self.is_finished():
            return self._convolved_packed(x.to(kind))
        kernel = self.once(str(kind), [self.weight], lambda: self._kernel(kind))
        if self.up:
            return smooth(F.conv_transpose2d(x, kernel, stride=2))
        return F.conv2d(x, kernel, padding=self.weight.shape[2] // 2)

    def _convolved_packed(self, x: Tensor) -> Tensor:
        if not self.up:
            around = self.weight.shape[2] // 2
            return self._sum(x, lambda: self.weight, around, around)
        N, _, R, _ = x.shape
        C = len(self.weight)
        y = torch.empty(N, C, 2 * R + 1, 2 * R + 1, dtype=x.dtype, memory_format=torch.channels_last)
        for a, b in product((0, 1), repeat=2):
            y[:, :, a::2, b::2] = self._sum(x, partial(self._meeting, a, b), 1 - a, 1 - b)
        return self._sum(y, lambda: bilinear(C, y), 1, 1, C)

    def _meeting(self, a: int, b: int) -> Tensor:
        return self.weight[:, :, MEETING[a]][..., MEETING[b]]

    def _sum(self, x: Tensor, kernel: Callable[[], Tensor], above: int, beside: int, groups: int = 1) -> Tensor:
        """Convolved with a kernel that lies as oneDNN wants it: half the time of one small picture goes into laying them out. Around x are so
        many zeros."""
        padding, size, stride = [above, beside], list(x.shape), [1, 1]

        def packed() -> Tensor:
            dense: Tensor = kernel().detach().to(x.dtype).contiguous().to_mkldnn()
            return torch.ops.aten.mkldnn_reorder_conv2d_weight(dense, padding, stride, stride, groups, size)  # type: ignore[no-any-return]

        kept = self.once(f"{x.dtype} {size} {padding} {groups}", [self.weight], packed)
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(x, kept, None, padding, stride, stride, groups, "none", [], "")
        return y

    def _kernel(self, kind: torch.dtype) -> Tensor:
        weight = self.weight.to(kind)
        if not self.up:
            return weight
        O, I, _, _ = weight.shape
        flat = weight.permute(0, 2, 3, 1).reshape(O, 9 * I).t().contiguous()  # a transposed copy of a matrix is a fast one
        return flat.reshape(9, I, O).flip(0).transpose(0, 1).reshape(I, 3, 3, O).permute(0, 3, 1, 2)


class StyledConv(Finishing):
    """Modulated and demodulated convolution, noise, bias, leaky ReLU."""

    def __init__(self, num_in: int, num_out: int, w_dim: int, side: int, *, noise: bool, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(num_in, num_out, w_dim, 3, up=up)
        self.bias = nn.Parameter(torch.zeros(num_out))
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.noise: Tensor | None  # what a finished network adds: the same for every picture
        self.register_buffer("noise", CALM * torch.randn(1, 1, side, side) if noise else None)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        norm = self.conv.demodulation(style) * GAIN
        x = self.conv(x, style)
        shift = self.once(str(x.dtype), [self.bias, self.noise_strength, self.noise], lambda: self._shift().to(x.dtype))
        x = torch.addcmul(shift, x, norm.to(x.dtype)[:, :, None, None])
        if self.noise_strength is not None and self.training:
            assert self.noise is not None
            noise = torch.randn(len(x), *self.noise.shape[1:], device=x.device)
            x.add_((noise * (self.noise_strength * GAIN)).to(x.dtype))
        return F.leaky_relu(x, 0.2, inplace=True)

    def _shift(self) -> Tensor:
        """(1, C, R, R), or without noise, which in training is new each time, (C, 1, 1)."""
        shift = self.bias[:, None, None] * GAIN
        if self.noise_strength is None or self.training:
            return shift
        assert self.noise is not None
        return (shift + self.noise * (self.noise_strength * GAIN)).contiguous(memory_format=torch.channels_last)


class Generator(Finishing):
    """z (N, Z) -> image (N, 3, R, R)."""

    def __init__(
        self,
        *,
        resolution: int,
        z_dim: int,
        w_dim: int,
        mapping_layers: int,
        channel_base: int,
        channel_max: int,
        noise: bool = False,
        tags: Sequence[str] = (),
    ) -> None:
        """`tags`: names of the C tags that it is told, `group=value` or a yes/no tag's; none: it is told nothing."""
        super().__init__()
        self.resolution, self.z_dim, self.tags = resolution, z_dim, list(tags)
        self.mapping = Mapping(z_dim, w_dim, mapping_layers, len(tags))
        self.w_avg: Tensor
        self.register_buffer("w_avg", torch.zeros(w_dim))
        sides = [2**power for power in range(2, resolution.bit_length())]
        widths = [channels_at(side, channel_base, channel_max) for side in sides]
        self.constant = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.ups = nn.ModuleList(
            StyledConv(a, b, w_dim, side, noise=noise, up=True) for (a, b), side in zip(pairwise(widths), sides[1:], strict=True)
        )
        self.convs = nn.ModuleList(StyledConv(width, width, w_dim, side, noise=noise) for width, side in zip(widths, sides, strict=True))
        to_rgbs = [ModulatedConv(width, 3, w_dim, 1) for width in widths]
        for to_rgb in to_rgbs:
            nn.init.zeros_(to_rgb.weight)  # a level that joins later does not disturb those below
        self.to_rgbs = nn.ModuleList(to_rgbs)
        self.rgb_bias = nn.Parameter(torch.zeros(3))
        self.num_ws = self.num_ws_at(resolution)

    @staticmethod
    def num_ws_at(side: int) -> int:
        """L of a picture (N, 3, side, side): two for each of 4, 8, ... side."""
        return 2 * (side.bit_length() - 2)

    def synthesis(self, w: Tensor, side: int | None = None, fade: float = 1.0) -> Tensor:
        """w (N, W), or one for each layer in use (N, L, W) -> image (N, 3, R, R), not clamped.

        While the network is growing: the image (N, 3, side, side), to which the newest level adds `fade` of what it will.
        """
        styles = iter(self._styles(w))
        x = self.convs[0](self.constant.expand(len(w), -1, -1, -1).contiguous(memory_format=torch.channels_last), next(styles))
        rgb = self.to_rgbs[0](x, next(styles))
        for up, conv, to_rgb in zip(self.ups, self.convs[1:], self.to_rgbs[1:], strict=True):
            if rgb.shape[2] == side:
                break
            x = conv(up(x, next(styles)), next(styles))
            added = to_rgb(x, next(styles))
            newest = added.shape[2] == (side or self.resolution)
            rgb = F.interpolate(rgb, scale_factor=2, mode="bilinear") + (added * fade if newest and fade < 1 else added)
        images: Tensor = rgb.float() + self.rgb_bias[:, None, None]
        return images

    def _styles(self, w: Tensor) -> Iterable[Tensor]:
        """What each modulated convolution takes, in the order of their use. Where all take theirs of one w, a finished network makes them in one
        product: one by one their weights, in float32, take as long to fetch as a quarter of the convolutions' to use."""
        convs: list[Any] = [self.convs[0].conv, self.to_rgbs[0]]
        for up, conv, to_rgb in zip(self.ups, self.convs[1:], self.to_rgbs[1:], strict=True):
            convs += [up.conv, conv.conv, to_rgb]
        if w.dim() == 3:
            # a level's RGB and the next level's first convolution share theirs (as in the paper's code)
            return (conv.style(w[:, at - (at + 1) // 3]) for at, conv in enumerate(convs))
        if not self.is_finished():
            return (conv.style(w) for conv in convs)
        kind = kind_of(w)

        def stacked(part: str) -> Tensor:
            parts = [(getattr(conv.affine, part), conv.scale) for conv in convs]
            return self.once(f"{part} {kind}", [of for of, _ in parts], lambda: torch.cat([of * scale for of, scale in parts]).to(kind))

        with torch.autocast(w.device.type, enabled=False):
            styles = F.linear((w / math.sqrt(w.shape[1])).to(kind), stacked("weight"), stacked("bias"))
        return torch.split(styles, [conv.weight.shape[1] for conv in convs], dim=1)

    def forward(self, z: Tensor, psi: float = 1.0, tags: Tensor | None = None) -> Tensor:
        return self.synthesis(self.w_avg + psi * (self.mapping(z, tags) - self.w_avg))

    def asked(self, z: Tensor, shows: dict[str, str | bool]) -> Tensor:
        """Tags (N, C) for these z: groups and yes/no tags in `shows` as they stand there, the others as z draws them."""
        tags = self.mapping.drawn(z)
        for at, (name, _, value) in enumerate(column.partition("=") for column in self.tags):
            if name in shows:
                tags[:, at] = float(shows[name] == (value or True))
        return tags

    @torch.no_grad()
    def settle(self, z: Tensor) -> None:
        """w_avg becomes the mean over these z (N, Z), for exactly these weights."""
        self.w_avg.copy_(self.mapping(z).mean(dim=0))


class EqualConv(nn.Module):
    """Weights of unit variance, scaled when used, by the gain of the leaky ReLU that follows as well. Keeps the size."""

    def __init__(self, num_in: int, num_out: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_out, num_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(num_out))
        self.scale = GAIN / math.sqrt(num_in * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(kind_of(x))
        if x.numel() < weight.numel():
            x = x * self.scale
        else:
            weight = weight * self.scale
        return F.conv2d(x, weight, self.bias * GAIN, padding=weight.shape[2] // 2)


def active(x: Tensor) -> Tensor:
    """Leaky ReLU of what a convolution has just made; leaky_relu(g x) = g leaky_relu(x), so gains are in its weights."""
    return F.leaky_relu(x, 0.2, inplace=True)


def haar(x: Tensor) -> Tensor:
    """(N, C, R, R) -> (N, C, R/2, R/2): of each four pixels the mean, in the next channel that of the left two less that of the right two, then upper
    less lower, then one diagonal less the other, and so on in turn: the filters of Haar's wavelet."""
    N, C, R, _ = x.shape
    channels = torch.arange(C, device=x.device)
    below, beside = (1 - 2 * (channels // every % 2).to(x.dtype) for every in (2, 1))
    gain = torch.where(channels % 4 == 0, 0.25, 0.5).to(x.dtype)
    even, odd = x.permute(0, 2, 3, 1).reshape(N, R // 2, 2, R // 2, 2 * C).unbind(2)
    even, odd = torch.addcmul(even, odd, below.repeat(2)).chunk(2, -1)
    return (torch.addcmul(even, odd, beside) * gain).permute(0, 3, 1, 2)


class DownBlock(nn.Module):
    """x (N, I, R, R) -> (N, O, R/2, R/2). Where it is not residual its last layer starts at nothing, so that a level which joins later does not
    disturb those below."""

    def __init__(self, num_in: int, num_out: int, *, residual: bool = False) -> None:
        super().__init__()
        self.conv, self.down = EqualConv(num_in, num_in, 3), EqualConv(num_in, num_out, 3)
        self.skip = EqualConv(num_in, num_out, 1) if residual else None
        if not residual:
            nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = active(self.down(haar(active(self.conv(x)))))
        return y if self.skip is None else (y + self.skip(F.avg_pool2d(x, 2)) / GAIN) / GAIN  # nothing active follows the skip: it has no gain


def halvings(side: int) -> list[int]:
    """R, R/2, ... 4, or 6 for 96."""
    return [side, *halvings(side // 2)] if side >= 8 else [side]


class Trunk(nn.Module):
    """image (N, 3, S, S), S up to R -> features (N, C, F, F), F the last side.

    Every level also sees the picture at its own size, or, in a residual one, what the level before says alone. While the newest level joins,
    `fade` is the share of what it adds to what the one below says.
    """

    def __init__(self, resolution: int, channel_base: int, channel_max: int, *, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        self.sides = halvings(resolution)
        widths = [channels_at(side, channel_base, channel_max) for side in self.sides]
        self.from_rgbs = nn.ModuleList(EqualConv(3, width, 1) for width in widths)
        self.blocks = nn.ModuleList(DownBlock(a, b, residual=residual) for a, b in pairwise(widths))
        self.num_features, self.last_side = widths[-1], self.sides[-1]

    def forward(self, images: Tensor, fade: float = 1.0) -> Tensor:
        first = self.sides.index(images.shape[2])
        x: Tensor = active(self.from_rgbs[first](images))
        for level, (block, from_rgb) in enumerate(zip(self.blocks[first:], self.from_rgbs[first + 1 :], strict=True)):
            images = F.avg_pool2d(images, 2)
            joins, added = level == 0 and fade < 1, block(x)
            if not self.residual:
                x = active(from_rgb(images)) + (added * fade if joins else added)
            else:
                x = torch.lerp(active(from_rgb(images)), added, fade) if joins else added
        return x


class Head(nn.Module):
    """features (N, C, F, F) -> (N, outputs)."""

    def __init__(self, num_in: int, width: int, outputs: int, side: int) -> None:
        super().__init__()
        self.conv, self.dense, self.out = EqualConv(num_in, width, 3), EqualLinear(width * side**2, width), EqualLinear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.out(self.features(x))
        return outputs.float()

    def features(self, x: Tensor) -> Tensor:
        """(N, C, F, F) -> (N, width)."""
        x = active(self.conv(x))
        return F.leaky_relu(self.dense(x.flatten(1)), 0.2) * GAIN


@over_whole_batch
def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """One more channel: how much the pictures of a group, which follow one another, differ (Karras et al. 2018, section 3)."""
    N, _, H, W = x.shape
    G = math.gcd(group, N)
    grouped = x.float().reshape(N // G, G, -1)
    apart = (grouped - grouped.mean(dim=1, keepdim=True)).square().mean(dim=1).add(1e-8).sqrt().mean(dim=1)  # (N / G,)
    return torch.cat([x, apart.to(x.dtype).repeat_interleave(G)[:, None, None, None].expand(-1, 1, H, W)], dim=1)


class Discriminator(nn.Module):
    """image (N, 3, R, R) -> logit (N, 1), high on real ones; where it is told tags (N, C), high on real ones that show them."""

    def __init__(self, resolution: int, channel_base: int, channel_max: int, num_tags: int = 0, *, residual: bool = False) -> None:
        super().__init__()
        self.trunk = Trunk(resolution, channel_base, channel_max, residual=residual)
        width = self.trunk.num_features
        self.head = Head(width + 1, width, 1, self.trunk.last_side)
        self.embed = EqualLinear(num_tags, width) if num_tags else None

    def forward(self, images: Tensor, fade: float = 1.0, tags: Tensor | None = None) -> Tensor:
        features = self.head.features(minibatch_stddev(self.trunk(images, fade)))
        logits: Tensor = self.head.out(features).float()
        if self.embed is not None:
            projected = (self.embed(tags).float() * features.float()).sum(dim=1, keepdim=True)
            logits = logits + projected / math.sqrt(features.shape[1])  # eq. 3 of Miyato & Koyama, scaled as in StyleGAN2-ADA's code
        return logits
