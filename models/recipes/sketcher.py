"""Training of the sketcher: which drawing can be bent to which pose.

Drawings of poses like that of a drawing at hand are bent to its pose and held against it: where limbs cross otherwise, or a body faces the other
way, they differ. A network learns to say so beforehand, from both poses (a learned metric, as in Chopra, Hadsell and LeCun 2005, "Learning a
similarity metric discriminatively", here by regression). Drawings of the very same pose are left out, because there are none when it is used.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.params import TrainSketcher, Views
from models.ema import averaged_copy, update_ema
from models.export import grid
from models.loop import Resumable, Scalars
from models.networks import build
from models.networks.sketcher import Sketcher
from models.networks.stick_unet import draw_sticks
from models.precision import channels_last, device
from models.recipes.pose import Batch, ink_of
from models.schedule import set_lr
from models.views import seen_differently

SHOWN_SKETCHES = 3
SAME_POSE = 0.5
ONLY_MIRRORED = Views(shift=0.0, scale=0.0, turn=0.0)
CELLS = 32  # to a side: ink is compared cell by cell, since no two drawings share every line


class SketcherRecipe(Resumable):
    def __init__(self, params: TrainSketcher, known: Batch, shown: Batch) -> None:
        """`known`: the pictures and poses that are learned from, of which the first are remembered; `shown`: those of the sample grid."""
        torch.manual_seed(params.training.seed)
        self.params, self._shown = params, shown
        sketcher = build(params.model)
        assert isinstance(sketcher, Sketcher)
        kept = slice(params.remembered)
        sketcher.remember(known.pictures[kept].numpy(), known.poses[kept])
        self.sketcher_ema = averaged_copy(channels_last(sketcher))
        self.misfit = sketcher.misfit
        self._optimizer = torch.optim.AdamW(self.misfit.parameters(), params.lr, fused=True)
        self._shown_z = torch.randn(SHOWN_SKETCHES, len(shown.poses), params.model.z_dim)

    def step(self, batch: Batch, cur_nimg: int) -> Scalars:
        params, sketcher, count = self.params, self.sketcher_ema, len(batch.poses)
        set_lr(self._optimizer, params.lr, cur_nimg, params.training)
        ink, pose = seen_differently(ink_of(batch.pictures).to(device()), batch.poses.to(device()), ONLY_MIRRORED)
        with torch.no_grad():
            rows = sketcher.near(pose, SAME_POSE)
            row = rows.gather(1, torch.randint(rows.shape[1], (count, 1), device=pose.device))
            found = misfit_of(sketcher.bent(row[:, 0], pose), ink)
        expected = sketcher.expect(pose, row, self.misfit)[:, 0]
        loss = F.mse_loss(expected, found)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        update_ema(sketcher.misfit, self.misfit, count, params.ema_kimg, cur_nimg + count)
        return {"surprise": loss.item(), "misfit": found.mean().item()}

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        return pose_rows(self.sketcher_ema, self._shown, self._shown_z)

    def _parts(self) -> dict[str, Any]:
        return {"misfit": self.misfit, "misfit_ema": self.sketcher_ema.misfit, "optimizer": self._optimizer}


def misfit_of(found: Tensor, wanted: Tensor) -> Tensor:
    """Ink (N, 1, R, R) twice -> (N,): 0 where cells have as much ink, 1 where no cell has ink in both."""
    a, b = (F.adaptive_avg_pool2d(ink, CELLS).flatten(1) for ink in (found, wanted))
    return 1 - F.cosine_similarity(a, b, dim=1, eps=1e-6)


def pose_rows(sketcher: nn.Module, shown: Batch, z: Tensor) -> NDArray[np.uint8]:
    """Each row: the pose, what a mannequin in it looks like, sketches of it by several z (S, N, Z); two poses to a row."""
    poses = shown.poses.to(device())
    latents = z.to(device())
    sketches = [sketcher(poses, each, latents[:at]) for at, each in enumerate(latents)]
    columns = torch.stack([1 - draw_sticks(poses, shown.pictures.shape[-1]), 1 - ink_of(shown.pictures).to(device()), *sketches], dim=1)
    return grid(columns.flatten(0, 1) * 2 - 1, columns=2 * columns.shape[1])
