"""Training of the face generators: a generator against a discriminator (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661).

Non-saturating logistic loss; lazy R1 (Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, eq. 9; StyleGAN2, section 3.1);
differentiable augmentation; averaged weights. Two things help where a training is minutes on a CPU, and can be left out:
growth begins at smaller pictures (Karras et al. 2018, https://arxiv.org/abs/1710.10196), and a warm-up teaches the generator to rebuild
pictures as the decoder of a variational autoencoder (Kingma & Welling 2014, https://arxiv.org/abs/1312.6114, eq. 10), so that the contest
begins with faces instead of noise. The pictures are mirrored at random.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.params import Adversarial, Growth, WarmUp
from models.augment import augment
from models.batches import to_signed
from models.ema import averaged_copy, update_ema
from models.export import grid
from models.loop import Resumable, Scalars
from models.networks import stylegan2
from models.precision import autocast, channels_last, compile_on_gpu, device

SHOWN = 64
SETTLED_ON = 1024  # latents


class GanRecipe(Resumable):
    """G with mapping, synthesis and settle; D with a trunk, which the warm-up's encoder shares."""

    def __init__(self, G: Any, D: Any, params: Adversarial, warm_up: WarmUp | None = None, growth: Sequence[Growth] = ()) -> None:
        self.params = params
        self.G, self.D = channels_last(G), channels_last(D)
        self.G_ema = averaged_copy(self.G)
        compile_on_gpu(self.G, self.D)
        betas = (params.beta1, params.beta2)
        self._g_optimizer = torch.optim.Adam([weight for weight in G.parameters() if weight.requires_grad], params.g_lr, betas, fused=True)
        self._d_optimizer = torch.optim.Adam(D.parameters(), params.d_lr, betas, fused=True)
        self._warm_up = Rebuilding(self.G, self.D, warm_up, params) if warm_up else None
        self._growth = growth
        self._shown = torch.randn(SHOWN, G.z_dim, generator=torch.Generator().manual_seed(params.training.seed))

    def step(self, batch: Tensor, cur_nimg: int) -> Scalars:
        """`batch`: uint8 (N, R, R, 3)."""
        side = self._side_at(cur_nimg)
        real = _at_side(_mirrored(to_signed(batch.to(device()))), side).contiguous(memory_format=torch.channels_last)
        self.G.train()
        self.D.train()
        warming_up = self._warm_up if self._warm_up and cur_nimg < self._warm_up.nimg else None
        scalars = warming_up.step(real, side) if warming_up else self._contest(real, side, cur_nimg)
        update_ema(self.G_ema, self.G, size := self.params.training.batch_size, self.params.ema_kimg, cur_nimg + size)
        return scalars

    def _side_at(self, cur_nimg: int) -> int:
        return next((step.side for step in self._growth if cur_nimg < step.until_kimg * 1000), self.G.resolution)

    def _contest(self, real: Tensor, side: int, cur_nimg: int) -> Scalars:
        return self._train_discriminator(real, side, cur_nimg) | self._train_generator(len(real), side)

    def _train_discriminator(self, real: Tensor, side: int, cur_nimg: int) -> Scalars:
        params = self.params
        self.D.requires_grad_(True)
        with autocast(params.training.precision):
            with torch.no_grad():
                made = self._make(len(real), side)
            on_made, on_real = self.D(augment(made, params.augment)), self.D(augment(real, params.augment))
        flips = torch.where(torch.rand(2, len(real), 1, device=device()) < params.label_noise, -1, 1)
        loss = F.softplus(flips[0] * on_made).mean() + F.softplus(-flips[1] * on_real).mean()
        scalars = {"d_loss": loss.item(), "d_real": on_real.mean().item(), "d_made": on_made.mean().item()}
        if params.r1_gamma and (cur_nimg // params.training.batch_size) % params.r1_interval == 0:
            penalty = _r1(self.D, augment(real, params.augment))
            loss = loss + params.r1_gamma / 2 * penalty * params.r1_interval
            scalars["r1"] = penalty.item()
        descend(loss, self._d_optimizer)
        return scalars

    def _train_generator(self, count: int, side: int) -> Scalars:
        self.D.requires_grad_(False)
        with autocast(self.params.training.precision):
            on_made = self.D(augment(self._make(count, side), self.params.augment))
        loss = F.softplus(-on_made).mean()
        descend(loss, self._g_optimizer)
        return {"g_loss": loss.item()}

    def _make(self, count: int, side: int) -> Tensor:
        return _synthesis(self.G, self.G.mapping(torch.randn(count, self.G.z_dim, device=device())), side)

    @torch.no_grad()
    def settle(self) -> None:
        """What the averaged generator needs to sample: w_avg or batch norm's statistics, for exactly its weights."""
        z = torch.randn(SETTLED_ON, self.G.z_dim, generator=torch.Generator().manual_seed(self.params.training.seed + 1))
        self.G_ema.settle(z.to(device()))

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        """The same latents each time."""
        self.settle()
        return grid(self.G_ema(self._shown.to(device())))

    def _parts(self) -> dict[str, Any]:
        parts = {"G": self.G, "D": self.D, "G_ema": self.G_ema, "g_optimizer": self._g_optimizer, "d_optimizer": self._d_optimizer}
        return parts | ({"head": self._warm_up.head, "warm_up_optimizer": self._warm_up.optimizer} if self._warm_up else {})


class Rebuilding:
    """The warm-up: the discriminator's trunk and a head encode a picture as a normal distribution of z, the generator rebuilds it."""

    def __init__(self, G: Any, D: Any, warm_up: WarmUp, params: Adversarial) -> None:
        self._G, self._trunk, self._precision = G, D.trunk, params.training.precision
        self._kl_weight = warm_up.kl_weight
        self.nimg = round(warm_up.kimg * 1000)
        self.head = channels_last(stylegan2.Head(D.trunk.num_features, D.trunk.num_features, 2 * G.z_dim))
        weights = [*G.parameters(), *D.trunk.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.Adam(weights, warm_up.lr, betas=(0.9, 0.99), fused=True)

    def step(self, real: Tensor, side: int) -> Scalars:
        with autocast(self._precision):
            mean, log_var = self.head(self._trunk(real)).chunk(2, dim=1)
            z = mean + torch.randn_like(mean) * (log_var / 2).exp()
            rebuilt = _synthesis(self._G, self._G.mapping(z), side)
        l1 = (rebuilt - real).abs().mean()
        kl = (mean.square() + log_var.exp() - 1 - log_var).sum(dim=1).mean() / 2
        descend(l1 + self._kl_weight * kl, self.optimizer)
        return {"l1": l1.item(), "kl": kl.item()}


def _synthesis(G: Any, w: Tensor, side: int) -> Tensor:
    images: Tensor = G.synthesis(w) if side == G.resolution else G.synthesis(w, side)
    return images


def _at_side(images: Tensor, side: int) -> Tensor:
    return images if images.shape[2] == side else F.avg_pool2d(images, images.shape[2] // side)


def _mirrored(images: Tensor) -> Tensor:
    return torch.where(torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5, images.flip(3), images)


def _r1(D: nn.Module, real: Tensor) -> Tensor:
    """|grad D(real)|^2, mean over the pictures; in float32, because it is differentiated twice."""
    real = real.detach().requires_grad_()
    (slope,) = torch.autograd.grad(D.forward(real).sum(), real, create_graph=True)
    return slope.square().sum(dim=(1, 2, 3)).mean()


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
