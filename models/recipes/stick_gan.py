"""Training of the first system's sketch generator: a conditional GAN with Adam and binary cross entropy throughout.

Generator against discriminator (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, eq. 1, the generator's term as in section 3), and
the cross entropy of each pixel, without which it would not keep to the pose (pix2pix, https://arxiv.org/abs/1611.07004, eq. 4, has L1 there).
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.params import TrainSketcher
from models.ema import averaged_copy, update_ema
from models.loop import Resumable, Scalars
from models.networks import build
from models.networks.stick_unet import StickUNet, draw_sticks
from models.precision import autocast, channels_last, device
from models.recipes.pose import Batch, ink_of
from models.recipes.sketcher import SHOWN_SKETCHES, pose_rows
from models.schedule import set_lr
from models.views import seen_differently


class Discriminator(nn.Module):
    """sticks and ink (N, 2, R, R) -> logit (N, 1), high on real drawings."""

    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        widths = [2, *(width * min(2**level, 8) for level in range(resolution.bit_length() - 3))]
        layers: list[nn.Module] = []
        for num_in, num_out in pairwise(widths):
            layers += [nn.Conv2d(num_in, num_out, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * 16, 1))

    def forward(self, sticks: Tensor, ink: Tensor) -> Tensor:
        return self.layers(torch.cat([sticks, ink], dim=1)).float()  # type: ignore[no-any-return]


class StickGanRecipe(Resumable):
    def __init__(self, params: TrainSketcher, shown: Batch) -> None:
        """`shown`: the pictures and poses of the sample grid."""
        torch.manual_seed(params.training.seed)
        assert params.gan is not None
        self.params, self._gan, self._shown = params, params.gan, shown
        generator = build(params.model)
        assert isinstance(generator, StickUNet)
        self.sketcher = channels_last(generator)
        self.sketcher_ema = averaged_copy(self.sketcher)
        self.discriminator = channels_last(Discriminator(params.model.resolution, params.model.width))
        betas = (params.gan.beta1, 0.999)
        self._optimizer = torch.optim.Adam(self.sketcher.parameters(), params.lr, betas, fused=True)
        self._d_optimizer = torch.optim.Adam(self.discriminator.parameters(), params.lr, betas, fused=True)
        self._shown_z = torch.randn(SHOWN_SKETCHES, len(shown.poses), params.model.z_dim)

    def step(self, batch: Batch, cur_nimg: int) -> Scalars:
        params = self.params
        for optimizer in (self._optimizer, self._d_optimizer):
            set_lr(optimizer, params.lr, cur_nimg, params.training)
        ink, pose = seen_differently(ink_of(batch.pictures.to(device())), batch.poses.to(device()), self._gan.views)
        sticks = draw_sticks(pose, params.model.resolution)
        z = torch.randn(len(pose), params.model.z_dim, device=device())
        with autocast(params.training.precision):
            logits = self.sketcher.train().logits(sticks, z)
            fooled = _says(self.discriminator(sticks, logits.sigmoid()), 1)
        drawn = F.binary_cross_entropy_with_logits(logits, ink, weight=1 + self._gan.ink_weight * ink)
        self._optimizer.zero_grad(set_to_none=True)
        (drawn + self._gan.adversarial * fooled).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

        with autocast(params.training.precision):
            told_apart = _says(self.discriminator(sticks, ink), 1) + _says(self.discriminator(sticks, logits.detach().sigmoid()), 0)
        self._d_optimizer.zero_grad(set_to_none=True)
        told_apart.backward()  # type: ignore[no-untyped-call]
        self._d_optimizer.step()
        update_ema(self.sketcher_ema, self.sketcher, len(ink), params.ema_kimg, cur_nimg + len(ink))
        return {"drawn": drawn.item(), "fooled": fooled.item(), "told_apart": told_apart.item()}

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        return pose_rows(self.sketcher_ema, self._shown, self._shown_z)

    def _parts(self) -> dict[str, Any]:
        networks = {"sketcher": self.sketcher, "sketcher_ema": self.sketcher_ema, "discriminator": self.discriminator}
        return networks | {"optimizer": self._optimizer, "d_optimizer": self._d_optimizer}


def _says(logits: Tensor, what: int) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, what))
