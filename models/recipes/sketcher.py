"""Training of the sketcher: one pose fits many figures, so an encoder first says in z which one is meant
(a conditional VAE: Sohn, Lee and Yan 2015, "Learning structured output representation using deep conditional generative models";
with a discriminator as in BicycleGAN, Zhu et al. 2017, https://arxiv.org/abs/1711.11586). Without it the mean of them all, gray mush, would win.

The encoder and the discriminator are only used here; what is kept is the sketcher.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.params import TrainSketcher
from models.ema import averaged_copy, update_ema
from models.export import grid
from models.loop import Scalars
from models.networks import build
from models.networks.sketcher import POSE_CHANNELS, Sketcher, draw_pose
from models.precision import autocast, channels_last, device
from models.recipes.pose import Batch, ink_of
from models.schedule import set_lr
from models.views import seen_differently

SHOWN_SKETCHES = 3


def _halve(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 4, 2, 1), nn.LeakyReLU(0.2))


class Reader(nn.Module):
    """ink (N, 1, R, R) and the pose it should show, drawn (N, 21, R / 4, R / 4) -> (N, out, R / 8, R / 8)."""

    def __init__(self, width: int, out_channels: int) -> None:
        super().__init__()
        self.ink = nn.Sequential(_halve(1, width), _halve(width, 2 * width))
        self.both = nn.Sequential(_halve(2 * width + POSE_CHANNELS, 4 * width), nn.Conv2d(4 * width, out_channels, 3, 1, 1))

    def forward(self, ink: Tensor, maps: Tensor) -> Tensor:
        return self.both(torch.cat([self.ink(ink), maps], dim=1))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """The same -> mean and logarithm of the variance of z (N, Z) each."""

    def __init__(self, width: int, z_dim: int) -> None:
        super().__init__()
        self.reader = Reader(width, 4 * width)
        self.out = nn.Linear(4 * width, 2 * z_dim)

    def forward(self, ink: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.out(self.reader(ink, maps).relu().mean(dim=(2, 3))).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 8)


class SketcherRecipe:
    def __init__(self, params: TrainSketcher, shown: Batch) -> None:
        """`shown`: the pictures and poses of the sample grid."""
        torch.manual_seed(params.training.seed)
        self.params, self._shown = params, shown
        sketcher = build(params.model)
        assert isinstance(sketcher, Sketcher)
        self.sketcher = channels_last(sketcher)
        self.sketcher_ema = averaged_copy(self.sketcher)
        self.encoder = channels_last(Encoder(params.model.width, params.model.z_dim))
        self.discriminator = channels_last(Reader(params.model.width, 1))
        betas = (params.beta1, 0.99)
        self._optimizer = torch.optim.Adam([*self.sketcher.parameters(), *self.encoder.parameters()], params.lr, betas)
        self._d_optimizer = torch.optim.Adam(self.discriminator.parameters(), params.lr, betas)
        self._shown_z = torch.randn(SHOWN_SKETCHES, len(shown.poses), params.model.z_dim)

    def step(self, batch: Batch, cur_nimg: int) -> Scalars:
        params = self.params
        for optimizer in (self._optimizer, self._d_optimizer):
            set_lr(optimizer, params.lr, cur_nimg, params.training)
        ink, pose = seen_differently(ink_of(batch.pictures.to(device())), batch.poses.to(device()), params.views)
        maps = draw_pose(pose, params.model.resolution // 4).contiguous(memory_format=torch.channels_last)
        with autocast(params.training.precision):
            mean, log_variance = self.encoder(ink, maps)
            z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            logits = self.sketcher.train().ink_logits(maps, z).float()
            fooled = F.softplus(-self.discriminator(logits.sigmoid(), maps).float()).mean()
        drawn = F.binary_cross_entropy_with_logits(logits, ink, weight=1 + params.ink_weight * ink)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
        loss = drawn + params.kl_weight * kl + params.adversarial * fooled
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        told_apart = self._step_discriminator(ink, logits.detach().sigmoid(), maps)
        update_ema(self.sketcher_ema, self.sketcher, len(ink), params.ema_kimg, cur_nimg + len(ink))
        return {"drawn": drawn.item(), "kl": kl.item(), "fooled": fooled.item(), "told_apart": told_apart}

    def _step_discriminator(self, real: Tensor, fake: Tensor, maps: Tensor) -> float:
        with autocast(self.params.training.precision):
            loss = F.softplus(-self.discriminator(real, maps).float()).mean() + F.softplus(self.discriminator(fake, maps).float()).mean()
        self._d_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._d_optimizer.step()
        return loss.item()

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        """Each row: the pose, what a mannequin in it looks like, sketches of it by several z."""
        poses = self._shown.poses.to(device())
        sketches = [self.sketcher_ema(poses, z.to(device())) for z in self._shown_z]
        sticks = 1 - draw_pose(poses, self.params.model.resolution).amax(dim=1, keepdim=True)
        columns = torch.stack([sticks, 1 - ink_of(self._shown.pictures).to(device()), *sketches], dim=1)
        return grid(columns.flatten(0, 1) * 2 - 1, columns=2 * columns.shape[1])

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        names = ("sketcher", "sketcher_ema", "encoder", "discriminator", "_optimizer", "_d_optimizer")
        return {name: getattr(self, name) for name in names}
