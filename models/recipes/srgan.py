"""Training of the third system's upscaler: SRGAN (Ledig et al. 2017, https://arxiv.org/abs/1609.04802) with Adam throughout.

First the mean squared error alone (SRResNet-MSE), then that and binary cross entropy against a discriminator (SRGAN-MSE of section 3.4).
Differences: no loss on VGG's features, whose weights Genga does not bring; pictures are made small by averaging instead of bicubically; the
learning rate stays what it is.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from genga.params import TrainUpscaler
from models.batches import to_signed
from models.descent import descend
from models.ema import averaged_copy, update_ema
from models.loop import Resumable, Scalars
from models.networks import build
from models.networks.srgan import Discriminator
from models.precision import autocast, channels_last, device, on_device
from models.recipes.upscaler import enlarged_rows, shrink


class SRGANRecipe(Resumable):
    def __init__(self, params: TrainUpscaler, shown: NDArray[np.uint8]) -> None:
        """`shown`: uint8 (N, R, R, 3), the pictures of the sample grid."""
        torch.manual_seed(params.training.seed)
        assert params.srgan is not None
        self.params, self._contest = params, params.srgan
        self.upscaler = channels_last(build(params.model))
        self.upscaler_ema = averaged_copy(self.upscaler)
        self.D = channels_last(Discriminator(params.crop, params.srgan.d_width))
        self._optimizer = torch.optim.Adam(self.upscaler.parameters(), params.lr, fused=True)  # beta1 0.9: section 3.2
        self._d_optimizer = torch.optim.Adam(self.D.parameters(), params.srgan.d_lr, fused=True)
        self._shown = to_signed(torch.from_numpy(shown)).to(device())

    @property
    def faithful_nimg(self) -> int:
        """So many pictures long it learns from the squared error alone."""
        return round((self.params.training.total_kimg - self._contest.kimg) * 1000)

    def step(self, batch: Tensor, cur_nimg: int) -> Scalars:
        """`batch`: uint8 (N, crop, crop, 3)."""
        params, size = self.params, self.params.training.batch_size
        truth = to_signed(on_device(batch)).contiguous(memory_format=torch.channels_last)
        with autocast(params.training.precision):
            found = self.upscaler.train()(shrink(truth))
        loss = mse = F.mse_loss(found, truth)  # eq. 4
        scalars = {"mse": mse.item()}
        if cur_nimg >= self.faithful_nimg:
            scalars["told_apart"] = self._train_discriminator(found.detach(), truth)
            self.D.requires_grad_(False)
            fooled = self._says(found, 1)  # eq. 6, mean over pictures
            loss = mse + self._contest.weight * fooled  # eq. 3
            scalars["fooled"] = fooled.item()
        descend(loss, self._optimizer)
        update_ema(self.upscaler_ema, self.upscaler, size, params.ema_kimg, cur_nimg + size)
        return scalars

    def _train_discriminator(self, found: Tensor, truth: Tensor) -> float:
        self.D.requires_grad_(True)
        loss = self._says(truth, 1) + self._says(found, 0)  # eq. 2
        descend(loss, self._d_optimizer)
        return loss.item()

    def _says(self, images: Tensor, what: int) -> Tensor:
        """Each batch by itself: batch norm then compares pictures that are all real or all made."""
        with autocast(self.params.training.precision):
            logits = self.D(images)
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, what))

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        return enlarged_rows(self.upscaler_ema, self._shown)

    def _parts(self) -> dict[str, Any]:
        networks = {"upscaler": self.upscaler, "upscaler_ema": self.upscaler_ema, "discriminator": self.D}
        return networks | {"optimizer": self._optimizer, "d_optimizer": self._d_optimizer}
