"""Training of the sketcher: one pose fits many figures, so an encoder first says in z which one is meant (a conditional VAE: Sohn, Lee
and Yan 2015, "Learning structured output representation using deep conditional generative models"). Without it the mean of them all would win.
Where `adversarial` is above 0, a discriminator also compares sketches with drawings (BicycleGAN, Zhu et al. 2017, https://arxiv.org/abs/1711.11586).

Lines begin wide and become thin: a thin line beside the true one would not learn where to go.
The encoder and the discriminator are only used here; what is kept is the sketcher.
"""

from typing import Any

import cv2
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
from models.networks.sketcher import LINE_WIDTH, POSE_CHANNELS, Sketcher, draw_pose
from models.precision import autocast, channels_last, device
from models.recipes.pose import Batch, ink_of
from models.schedule import set_lr
from models.views import seen_differently

SHOWN_SKETCHES = 3
ON_A_STICK = 0.9
FAR = 16.0  # pixels from a line that count as far away
THIN_FROM = 0.7  # share of the training after which lines are as thin as they get


def _halve(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 4, 2, 1), nn.LeakyReLU(0.2))


class Reader(nn.Module):
    """ink (N, 1, R, R) and its pose, drawn (N, 21, R / 2, R / 2) -> (N, out, R / 8, R / 8). With one channel out, a discriminator of patches."""

    def __init__(self, width: int, out_channels: int) -> None:
        super().__init__()
        self.ink = nn.Sequential(_halve(1, width), _halve(width, 2 * width))
        self.both = nn.Sequential(_halve(2 * width + POSE_CHANNELS, 4 * width), nn.Conv2d(4 * width, out_channels, 3, 1, 1))

    def forward(self, ink: Tensor, maps: Tensor) -> Tensor:
        return self.both(torch.cat([self.ink(ink), F.avg_pool2d(maps, 2)], dim=1)).float()  # type: ignore[no-any-return]


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
        pictures = torch.cat([ink_of(batch.pictures), nearness_of_ink(batch.pictures)], dim=1).to(device())
        pictures, pose = seen_differently(pictures, batch.poses.to(device()), params.views)
        ink, distance = pictures[:, :1], (1 - pictures[:, 1:]) * FAR
        maps = draw_pose(pose, params.model.resolution // 2)
        line_width = LINE_WIDTH * params.first_lines ** max(0.0, 1 - cur_nimg / (THIN_FROM * params.training.total_kimg * 1000))
        with autocast(params.training.precision):
            mean, log_variance = self.encoder(ink, maps)
            z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            found = self.sketcher.train().ink(maps, z, line_width)
        wanted = torch.exp(distance**2 * (-0.5 / (line_width * params.model.resolution) ** 2))
        drawn = F.binary_cross_entropy(found.clamp(1e-3, 1 - 1e-3), wanted, weight=1 + params.ink_weight * wanted)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
        loss, scalars = drawn + params.kl_weight * kl, {"drawn": drawn.item(), "kl": kl.item()}
        if params.adversarial > 0:
            fooled = F.softplus(-self.discriminator(found, maps)).mean()
            loss = loss + params.adversarial * fooled
            scalars["fooled"] = fooled.item()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        if params.adversarial > 0:
            scalars["told_apart"] = self._step_discriminator(wanted, found.detach(), maps)
        update_ema(self.sketcher_ema, self.sketcher, len(ink), params.ema_kimg, cur_nimg + len(ink))
        return scalars

    def _step_discriminator(self, real: Tensor, fake: Tensor, maps: Tensor) -> float:
        loss = F.softplus(-self.discriminator(real, maps)).mean() + F.softplus(self.discriminator(fake, maps)).mean()
        self._d_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._d_optimizer.step()
        return loss.item()

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        """Each row: the pose, what a mannequin in it looks like, sketches of it by several z."""
        poses = self._shown.poses.to(device())
        sketches = [self.sketcher_ema(poses, z.to(device())) for z in self._shown_z]
        sticks = (draw_pose(poses, self.params.model.resolution).amax(dim=1, keepdim=True) < ON_A_STICK).float()
        columns = torch.stack([sticks, 1 - ink_of(self._shown.pictures).to(device()), *sketches], dim=1)
        return grid(columns.flatten(0, 1) * 2 - 1, columns=2 * columns.shape[1])

    def state_dict(self) -> dict[str, Any]:
        return {
            "sketcher": self.sketcher.state_dict(),
            "sketcher_ema": self.sketcher_ema.state_dict(),
            "encoder": self.encoder.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "d_optimizer": self._d_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sketcher.load_state_dict(state["sketcher"])
        self.sketcher_ema.load_state_dict(state["sketcher_ema"])
        self.encoder.load_state_dict(state["encoder"])
        self.discriminator.load_state_dict(state["discriminator"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._d_optimizer.load_state_dict(state["d_optimizer"])


def nearness_of_ink(pictures: Tensor) -> Tensor:
    """uint8 (N, R, R), dark on white -> (N, 1, R, R): 1 on ink, falling in a line to 0 at FAR pixels from it."""
    distances = [cv2.distanceTransform((picture > 127).astype(np.uint8), cv2.DIST_L2, 5) for picture in pictures.numpy()]
    return 1 - (torch.from_numpy(np.stack(distances))[:, None] / FAR).clamp(max=1)
