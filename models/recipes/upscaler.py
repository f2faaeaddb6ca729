"""Training of the upscaler: pictures made small by averaging, and the L1 distance to what they were (EDSR, section 4.3).

It can end in a contest (SRGAN, Ledig et al. 2017, https://arxiv.org/abs/1609.04802, eq. 2 and 3): what a discriminator says of the enlarged
pictures joins the L1 distance. Differences: it begins as the upscaler of the first part, as SRGAN's begins as SRResNet; it compares the enlarged
picture with the truth of the same one (Huang et al. 2024, https://arxiv.org/abs/2501.05441, eq. 2), with an R1 penalty (Mescheder et al. 2018,
https://arxiv.org/abs/1801.04406, eq. 9); there is no loss on another network's features, because no trained one is brought along.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.params import Sharpening, TrainUpscaler
from models.batches import to_signed
from models.descent import descend, squared_slope
from models.ema import averaged_copy, update_ema
from models.export import grid
from models.loop import Resumable, Scalars
from models.muon import Muon
from models.networks import build
from models.networks.stylegan2 import Discriminator
from models.networks.upscaler import SCALE, enlarge_bicubic
from models.precision import Precision, autocast, channels_last, device, on_device
from models.schedule import set_lr, whole_nimg


def shrink(truth: Tensor) -> Tensor:
    """(N, 3, 4h, 4w) -> (N, 3, h, w): the mean of each 4x4 block, rounded to the 256 levels of a picture file."""
    return F.avg_pool2d(truth, SCALE).add(1).mul(127.5).round().div(127.5).sub(1)


def enlarged_rows(upscaler: nn.Module, shown: Tensor) -> NDArray[np.uint8]:
    """Each row: pictures (N, 3, R, R) enlarged bicubically, the same by the network, the truth; two pictures to a row."""
    small = shrink(shown)
    rows = torch.stack([enlarge_bicubic(small), upscaler(small), shown], dim=1)
    return grid(rows.flatten(0, 1), columns=6)


class UpscalerRecipe(Resumable):
    def __init__(self, params: TrainUpscaler, shown: NDArray[np.uint8]) -> None:
        """`shown`: uint8 (N, R, R, 3), the pictures of the sample grid."""
        torch.manual_seed(params.training.seed)
        self.params = params
        self.upscaler = channels_last(build(params.model))
        self.upscaler_ema = averaged_copy(self.upscaler)
        self._optimizer = Muon(self.upscaler, params.lr, weight_decay=0.0)
        self._rival = Rival(params.adversarial, params.crop, params.training.precision) if params.adversarial else None
        last_kimg = params.adversarial.kimg if params.adversarial else 0.0
        self._first = params.training.model_copy(update={"total_kimg": params.training.total_kimg - last_kimg})
        self._last = params.training.model_copy(update={"total_kimg": params.training.total_kimg - self.faithful_nimg / 1000})
        self._shown = to_signed(torch.from_numpy(shown)).to(device())

    @property
    def faithful_nimg(self) -> int:
        """So many pictures long it learns from the L1 distance alone."""
        return whole_nimg(self._first)

    def step(self, batch: Tensor, cur_nimg: int) -> Scalars:
        """`batch`: uint8 (N, crop, crop, 3)."""
        params, size = self.params, self.params.training.batch_size
        rival = self._rival if cur_nimg >= self.faithful_nimg else None
        if rival:
            set_lr(self._optimizer, rival.params.lr, cur_nimg - self.faithful_nimg, self._last)
        else:
            set_lr(self._optimizer, params.lr, cur_nimg, self._first)
        truth = to_signed(on_device(batch)).contiguous(memory_format=torch.channels_last)
        with autocast(params.training.precision):
            found = self.upscaler.train()(shrink(truth))
        loss = l1 = (found - truth).abs().mean()
        scalars = {"l1": l1.item()}
        if rival:
            fooled = rival.fooled(found, truth)
            loss = l1 + rival.params.weight * fooled
            scalars["fooled"] = fooled.item()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        if rival:
            scalars |= rival.step(found.detach(), truth, cur_nimg // size)
        update_ema(self.upscaler_ema, self.upscaler, size, params.ema_kimg, cur_nimg + size)
        return scalars

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        return enlarged_rows(self.upscaler_ema, self._shown)

    def _parts(self) -> dict[str, Any]:
        parts = {"upscaler": self.upscaler, "upscaler_ema": self.upscaler_ema, "optimizer": self._optimizer}
        return parts | ({"discriminator": self._rival.D, "d_optimizer": self._rival.optimizer} if self._rival else {})


class Rival:
    """The discriminator, and how it learns. `found` and `truth`: (N, 3, crop, crop), the same pictures."""

    def __init__(self, params: Sharpening, crop: int, precision: Precision) -> None:
        self.params, self._precision = params, precision
        self.D = channels_last(Discriminator(crop, params.channel_base, params.channel_max))
        self.optimizer = torch.optim.Adam(self.D.parameters(), params.d_lr, betas=(0.0, 0.99), fused=True)

    def fooled(self, found: Tensor, truth: Tensor) -> Tensor:
        """What the upscaler is to lower."""
        self.D.requires_grad_(False)
        return F.softplus(self._preferred(truth, found)).mean()

    def step(self, found: Tensor, truth: Tensor, step: int) -> Scalars:
        self.D.requires_grad_(True)
        told_apart = F.softplus(self._preferred(found, truth)).mean()
        loss, scalars = told_apart, {"told_apart": told_apart.item()}
        if self.params.r1_gamma and step % self.params.r1_interval == 0:
            penalty = squared_slope(self.D, truth)
            loss = loss + self.params.r1_gamma / 2 * penalty * self.params.r1_interval
            scalars["r1"] = penalty.item()
        descend(loss, self.optimizer)
        return scalars

    def _preferred(self, one: Tensor, other: Tensor) -> Tensor:
        """(N, 1): by how much the discriminator takes `one` for more real than `other`."""
        with autocast(self._precision):
            first, second = self.D(torch.cat([one, other])).chunk(2)
        preferred: Tensor = first - second
        return preferred
