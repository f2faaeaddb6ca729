"""Training of the face generators: a generator against a discriminator (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661).

Non-saturating logistic loss, or the relativistic one of pairs (Huang et al. 2024, https://arxiv.org/abs/2501.05441, eq. 2); lazy R1 and R2
(Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, eq. 9; StyleGAN2, section 3.1), slopes at the pictures that the discriminator sees, not
through the augmentation to those before it; differentiable augmentation; averaged weights. Two things help where a training is minutes on a CPU,
and can be left out: growth begins at smaller pictures (Karras et al. 2018, https://arxiv.org/abs/1710.10196), and a warm-up teaches the generator
to rebuild pictures as the decoder of a variational autoencoder (Kingma & Welling 2014, https://arxiv.org/abs/1312.6114, eq. 10), so that the
contest begins with faces instead of noise. The pictures are mirrored at random. Networks that are told tags are told those of the batch's
pictures: what is made is to show what the real ones do.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.errors import ParamsError
from genga.params import Adversarial, Growth, Style, WarmUp
from models import parallel
from models.augment import Probability, augment
from models.batches import to_signed
from models.descent import descend, squared_slope
from models.ema import averaged_copy, update_ema
from models.export import grid
from models.loop import Resumable, Scalars
from models.metrics.sampling import draw_in_parts
from models.networks import stylegan2
from models.precision import autocast, channels_last, compile_on_gpu, device, on_device
from models.recipes.style import SHRINK, PathLength, mixed

SHOWN = 64
SETTLED_ON = 1024  # latents

Batch = Tensor | tuple[Tensor, Tensor]  # uint8 (N, R, R, 3); where the networks are told tags, also those, (N, C)


class Level(NamedTuple):
    """How large the pictures are now, and how far that size has been faded in."""

    side: int
    fade: float


class GanRecipe(Resumable):
    """G with mapping, synthesis and settle; D with a trunk, which the warm-up's encoder shares."""

    def __init__(
        self,
        G: Any,
        D: Any,
        params: Adversarial,
        *,
        warm_up: WarmUp | None = None,
        growth: Sequence[Growth] = (),
        style: Style | None = None,
    ) -> None:
        self.params = params
        self.G, self.D = channels_last(G), channels_last(D)
        self.G_ema = averaged_copy(self.G)
        self._each_by_itself = any(isinstance(layer, nn.BatchNorm2d) for layer in self.D.modules())
        compile_on_gpu(self.G, self.D)
        betas = (params.beta1, params.beta2)
        self._g_optimizer = torch.optim.Adam([weight for weight in G.parameters() if weight.requires_grad], params.g_lr, betas, fused=True)
        self._d_optimizer = torch.optim.Adam(D.parameters(), params.d_lr, betas, fused=True)
        self._warm_up = Rebuilding(self.G, self.D, warm_up, params) if warm_up else None
        self._growth, self._style = growth, style
        self._path_length = PathLength(style) if style else None
        if style and style.path_weight and parallel.size() > 1 and (part := parallel.part_size(params.training.batch_size)) % SHRINK:
            raise ParamsError(
                f"{part} pictures a process were found, expected a multiple of {SHRINK} where path_weight is not 0, which looks at one of {SHRINK}; "
                "change batch_size in params.yaml, --devices or GENGA_DEVICES"
            )
        self._augment = Probability(params.augment, params.adapt)
        self._shown = torch.randn(SHOWN, G.z_dim, generator=torch.Generator().manual_seed(params.training.seed))

    @property
    def warm_up_kimg(self) -> float:
        return self._warm_up.nimg / 1000 if self._warm_up else 0.0

    def step(self, batch: Batch, cur_nimg: int) -> Scalars:
        pictures, tags = map(on_device, batch) if isinstance(batch, tuple) else (on_device(batch), None)
        level = self._level_at(cur_nimg)
        real = _at_level(_mirrored(to_signed(pictures)), level).contiguous(memory_format=torch.channels_last)
        self.G.train()
        self.D.train()
        warming_up = self._warm_up if self._warm_up and cur_nimg < self._warm_up.nimg else None
        scalars = warming_up.step(real, tags, level) if warming_up else self._contest(real, tags, level, cur_nimg)
        update_ema(self.G_ema, self.G, size := self.params.training.batch_size, self.params.ema_kimg, cur_nimg + size)
        return scalars

    def _level_at(self, cur_nimg: int) -> Level:
        kimg, joined, fade_kimg = cur_nimg / 1000, 0.0, 0.0
        for growth in self._growth:
            if kimg < growth.until_kimg:
                return Level(growth.side, _share(kimg - joined, fade_kimg))
            joined, fade_kimg = growth.until_kimg, growth.fade_kimg
        return Level(self.G.resolution, _share(kimg - joined, fade_kimg))

    def _contest(self, real: Tensor, tags: Tensor | None, level: Level, cur_nimg: int) -> Scalars:
        step = cur_nimg // self.params.training.batch_size
        return self._train_discriminator(real, tags, level, step) | self._train_generator(real, tags, level, step)

    def _train_discriminator(self, real: Tensor, tags: Tensor | None, level: Level, step: int) -> Scalars:
        params = self.params
        self.D.requires_grad_(True)
        with autocast(params.training.precision):
            with torch.no_grad():
                made = self._make(len(real), level, tags)
            on_made, on_real = self._judged(self._seen(made), self._seen(real), tags=tags, level=level)
        if params.loss == "relativistic":
            loss = F.softplus(on_made - on_real).mean()
        else:
            flips = torch.where(torch.rand(2, len(real), 1, device=device()) < params.label_noise, -1, 1)
            loss = F.softplus(flips[0] * on_made).mean() + F.softplus(-flips[1] * on_real).mean()
        scalars = {"d_loss": loss.item(), "d_real": on_real.mean().item(), "d_made": on_made.mean().item()}
        if step % params.r1_interval == 0:
            for name, gamma, images in (("r1", params.r1_gamma, real), ("r2", params.r2_gamma, made)):
                if gamma:
                    penalty = self._penalty(self._seen(images), tags, level)
                    loss = loss + gamma / 2 * penalty * params.r1_interval
                    scalars[name] = penalty.item()
        descend(loss, self._d_optimizer)
        self._augment.heard(on_real - on_made if params.loss == "relativistic" else on_real)
        return scalars | ({"augment": self._augment.p} if params.adapt else {})

    def _train_generator(self, real: Tensor, tags: Tensor | None, level: Level, step: int) -> Scalars:
        self.D.requires_grad_(False)
        with autocast(self.params.training.precision):
            made = self._seen(self._make(len(real), level, tags))
            if self.params.loss == "relativistic":
                on_made, on_real = self._judged(made, self._seen(real), tags=tags, level=level)
                loss = F.softplus(on_real - on_made).mean()
            else:
                loss = F.softplus(-self._judged(made, tags=tags, level=level)[0]).mean()
        scalars = {"g_loss": loss.item()}
        if self._path_length and self._path_length.is_due(step):
            count = max(1, len(real) // SHRINK)
            with parallel.fewer(count):
                ws = self._latents(count, level, None if tags is None else tags[::SHRINK]).requires_grad_()
                made = type(self.G).synthesis(self.G, ws, *level)  # differentiated twice: never compiled
                penalty, scalars["path_length"] = self._path_length.penalty(made, ws)
            loss = loss + penalty
        descend(loss, self._g_optimizer)
        return scalars

    def _seen(self, images: Tensor) -> Tensor:
        return augment(images, self._augment.p)

    def _judged(self, *batches: Tensor, tags: Tensor | None, level: Level) -> tuple[Tensor, ...]:
        """What D says of each batch, in one go: its weights are made ready once. Batch norm then compares pictures that are all real or all made, so
        with it one by one. All have the same tags."""
        if self._each_by_itself and len(batches) > 1:
            return tuple(logits for batch in batches for logits in self._judged(batch, tags=tags, level=level))
        tags = None if tags is None else tags.repeat(len(batches), 1)
        logits = _faded(self.D, torch.cat(batches).contiguous(memory_format=torch.channels_last), level, tags)
        return torch.split(logits, [len(batch) for batch in batches])

    def _penalty(self, images: Tensor, tags: Tensor | None, level: Level) -> Tensor:
        return squared_slope(lambda seen: _faded(self.D.forward, seen, level, tags), images)

    def _latents(self, count: int, level: Level, tags: Tensor | None = None) -> Tensor:
        """w (N, W), or where the generator has styles (N, L, W) for the layers in use; `count` is at most that of the tags."""
        w = self._mapped(count, tags)
        if self._style is None:
            return w
        num_ws = self.G.num_ws_at(level.side)
        if torch.rand(()) < self._style.mixing:
            return mixed(w, self._mapped(count, tags), num_ws)
        return w[:, None].expand(-1, num_ws, -1).contiguous()  # laid out as mixed ones: a compiled generator is compiled once

    def _mapped(self, count: int, tags: Tensor | None) -> Tensor:
        return _mapping(self.G, torch.randn(count, self.G.z_dim, device=device()), None if tags is None else tags[:count])

    def _make(self, count: int, level: Level, tags: Tensor | None = None) -> Tensor:
        return _synthesis(self.G, self._latents(count, level, tags), level)

    @torch.no_grad()
    def settle(self) -> None:
        """What the averaged generator needs to sample: w_avg or batch norm's statistics, for exactly its weights."""
        z = torch.randn(SETTLED_ON, self.G.z_dim, generator=torch.Generator().manual_seed(self.params.training.seed + 1))
        self.G_ema.settle(z.to(device()))

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        """The same latents each time."""
        self.settle()
        return grid(draw_in_parts(self.G_ema, self.G.resolution, self._shown.to(device())))

    def _parts(self) -> dict[str, Any]:
        parts = {"G": self.G, "D": self.D, "G_ema": self.G_ema, "g_optimizer": self._g_optimizer, "d_optimizer": self._d_optimizer}
        parts |= {"augment": self._augment} | ({"path_length": self._path_length} if self._path_length else {})
        return parts | ({"head": self._warm_up.head, "warm_up_optimizer": self._warm_up.optimizer} if self._warm_up else {})


class Rebuilding:
    """The warm-up: the discriminator's trunk and a head encode a picture as a normal distribution of z, the generator rebuilds it."""

    def __init__(self, G: Any, D: Any, warm_up: WarmUp, params: Adversarial) -> None:
        self._G, self._trunk, self._precision = G, D.trunk, params.training.precision
        self._kl_weight = warm_up.kl_weight
        self.nimg = round(warm_up.kimg * 1000)
        self.head = channels_last(stylegan2.Head(D.trunk.num_features, D.trunk.num_features, 2 * G.z_dim, D.trunk.last_side))
        weights = [*G.parameters(), *D.trunk.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.Adam(weights, warm_up.lr, betas=(0.9, 0.99), fused=True)

    def step(self, real: Tensor, tags: Tensor | None, level: Level) -> Scalars:
        with autocast(self._precision):
            mean, log_var = self.head(_faded(self._trunk, real, level)).chunk(2, dim=1)
            z = mean + torch.randn_like(mean) * (log_var / 2).exp()
            rebuilt = _synthesis(self._G, _mapping(self._G, z, tags), level)
        l1 = (rebuilt - real).abs().mean()
        kl = (mean.square() + log_var.exp() - 1 - log_var).sum(dim=1).mean() / 2
        descend(l1 + self._kl_weight * kl, self.optimizer)
        return {"l1": l1.item(), "kl": kl.item()}


def _mapping(G: Any, z: Tensor, tags: Tensor | None) -> Tensor:
    w: Tensor = G.mapping(z) if tags is None else G.mapping(z, tags)
    return w


def _synthesis(G: Any, w: Tensor, level: Level) -> Tensor:
    images: Tensor = G.synthesis(w) if level == (G.resolution, 1.0) else G.synthesis(w, *level)
    return images


def _faded(network: Any, images: Tensor, level: Level, tags: Tensor | None = None) -> Tensor:
    told = {} if tags is None else {"tags": tags}
    seen: Tensor = network(images, **told) if level.fade == 1 else network(images, level.fade, **told)
    return seen


def _share(kimg: float, fade_kimg: float) -> float:
    return min(1.0, kimg / fade_kimg) if fade_kimg else 1.0


def _at_level(images: Tensor, level: Level) -> Tensor:
    """Made smaller; while a size is faded in, real pictures are as far from those of half that size."""
    if images.shape[2] != level.side:
        images = F.avg_pool2d(images, images.shape[2] // level.side)
    if level.fade == 1:
        return images
    return torch.lerp(F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear"), images, level.fade)


def _mirrored(images: Tensor) -> Tensor:
    return torch.where(torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5, images.flip(3), images)
