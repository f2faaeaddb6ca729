"""Training of the upscaler: pictures made small by averaging, and the L1 distance to what they were (EDSR, section 4.3)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from genga.params import TrainUpscaler
from models.batches import to_signed
from models.ema import averaged_copy, update_ema
from models.export import grid
from models.loop import Resumable, Scalars
from models.networks import build
from models.networks.upscaler import SCALE, enlarge_bicubic
from models.precision import autocast, channels_last, device
from models.schedule import set_lr


def shrink(truth: Tensor) -> Tensor:
    """(N, 3, 4h, 4w) -> (N, 3, h, w): the mean of each 4x4 block, rounded to the 256 levels of a picture file."""
    return F.avg_pool2d(truth, SCALE).add(1).mul(127.5).round().div(127.5).sub(1)


class UpscalerRecipe(Resumable):
    def __init__(self, params: TrainUpscaler, shown: NDArray[np.uint8]) -> None:
        """`shown`: uint8 (N, R, R, 3), the pictures of the sample grid."""
        torch.manual_seed(params.training.seed)
        self.params = params
        self.upscaler = channels_last(build(params.model))
        self.upscaler_ema = averaged_copy(self.upscaler)
        self._optimizer = torch.optim.Adam(self.upscaler.parameters(), params.lr, fused=True)
        self._shown = to_signed(torch.from_numpy(shown)).to(device())

    def step(self, batch: Tensor, cur_nimg: int) -> Scalars:
        """`batch`: uint8 (N, crop, crop, 3)."""
        params = self.params
        set_lr(self._optimizer, params.lr, cur_nimg, params.training)
        truth = to_signed(batch.to(device()))
        with autocast(params.training.precision):
            found = self.upscaler.train()(shrink(truth).contiguous(memory_format=torch.channels_last))
        loss = (found - truth).abs().mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        update_ema(self.upscaler_ema, self.upscaler, len(batch), params.ema_kimg, cur_nimg + len(batch))
        return {"l1": loss.item()}

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        """Each row: pictures enlarged bicubically, the same by the network, the truth."""
        small = shrink(self._shown)
        rows = torch.stack([enlarge_bicubic(small), self.upscaler_ema(small), self._shown], dim=1)
        return grid(rows.flatten(0, 1), columns=6)

    def _parts(self) -> dict[str, Any]:
        return {"upscaler": self.upscaler, "upscaler_ema": self.upscaler_ema, "optimizer": self._optimizer}
