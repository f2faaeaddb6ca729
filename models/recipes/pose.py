"""Training of the two pose networks: the heat of each joint becomes a blob where the joint is.

Left and right of a stick figure's limbs cannot be told apart: there, each limb is held against that one of its two names
which the network speaks for more, so that a right answer under the other name costs nothing.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from genga.params import TrainPose
from genga.skeleton import LIMBS, MIRRORED, STICKS
from models.ema import averaged_copy, update_ema
from models.export import grid
from models.loop import Resumable, Scalars
from models.muon import NARROWEST, Muon
from models.networks import build
from models.networks.pose import AROUND, PoseNet, hints, nothing_seen, read_heat, square_around
from models.networks.strokes import cell_centres
from models.precision import autocast, channels_last, device
from models.schedule import set_lr
from models.views import look, look_points, random_views

HEAT_SIGMA = 0.02  # of the heat that is asked for, as a share of the picture's side
LOOKED_AT_AGAIN = 0.6  # share of a batch
CHANGED_LINES = 0.15  # share whose lines are thicker, and as many thinner
PEN_CELLS = 128  # of a picture: how far they grow or pale to each side
SHOWN_SIDE = 192


class Batch(NamedTuple):
    """pictures uint8 (N, R, R), dark ink on white; poses float32 (N, 11, 2) in [0, 1]."""

    pictures: Tensor
    poses: Tensor


def ink_of(pictures: Tensor) -> Tensor:
    """uint8 (N, R, R) -> (N, 1, R, R) in [0, 1], 1 = ink. The paper is what the border is made of, be it light or dark."""
    gray = pictures[:, None].float() / 255
    border = torch.cat([gray[:, :, 0], gray[:, :, -1], gray[:, :, :, 0], gray[:, :, :, -1]], dim=2)
    paper = border.median(dim=2).values[:, :, None, None]
    darker = torch.where(paper >= 0.5, 1.0, -1.0)
    return (paper - gray).mul_(darker).clamp_min_(0)


def pose_losses(logits: Tensor, truth: Tensor, *, limbs_may_swap: bool) -> tuple[Tensor, Tensor]:
    """Cross entropy of the heatmaps (N, 11, H, H) with a blob around each joint, above what the blob itself has; to look at,
    the mean distance of the joints that are read off them, as a share of the picture's side.

    Where limbs may swap, each limb, elbow and wrist together, takes that one of its two names which the heat speaks for more.
    The distance is not trained on: that draws a joint between the places where it may be (PCK@0.1 of sticks .91 instead of .94).
    """
    centres = cell_centres(logits.shape[-1], logits)
    x, y = (torch.softmax(-((centres - truth[:, :, None, axis]) ** 2) / (2 * HEAT_SIGMA**2), dim=2) for axis in (0, 1))
    wanted = (y[:, :, :, None] * x[:, :, None, :]).flatten(2)
    entropy = -(torch.xlogy(x, x).sum(dim=2) + torch.xlogy(y, y).sum(dim=2))
    heat = logits.flatten(2).log_softmax(dim=2)
    loss = -(wanted * heat).sum(dim=2) - entropy
    named = truth
    if limbs_may_swap:
        other = list(MIRRORED)
        crossed = -(wanted[:, other] * heat).sum(dim=2) - entropy[:, other]
        swapped = torch.zeros_like(loss, dtype=torch.bool)
        for left, right in LIMBS.values():
            limb = [*left, *right]
            swapped[:, limb] = (crossed[:, limb].sum(dim=1) < loss[:, limb].sum(dim=1))[:, None]
        loss, named = torch.where(swapped, crossed, loss), torch.where(swapped[..., None], truth[:, other], truth)
    joints, _ = read_heat(logits.detach())
    return loss.mean(), (joints - named).norm(dim=2).mean()


class PoseRecipe(Resumable):
    def __init__(self, params: TrainPose, shown: Batch, *, limbs_may_swap: bool) -> None:
        """`shown`: the pictures and poses of the sample grid."""
        torch.manual_seed(params.training.seed)
        self.params, self._shown, self._limbs_may_swap = params, shown, limbs_may_swap
        net = build(params.model)
        assert isinstance(net, PoseNet)
        self.net = channels_last(net)
        self.net_ema = averaged_copy(self.net)
        self._optimizer = Muon(self.net, params.lr, params.weight_decay, NARROWEST // 2)  # its kernels are halves

    def step(self, batch: Batch, cur_nimg: int) -> Scalars:
        params = self.params
        set_lr(self._optimizer, params.lr, cur_nimg, params.training)
        ink, truth, seen = self._augment(ink_of(batch.pictures.to(device())), batch.poses.to(device()))
        with autocast(params.training.precision):
            logits = self.net.train().heat_logits(ink, seen)
        loss, distance = pose_losses(logits.float(), truth, limbs_may_swap=self._limbs_may_swap)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        update_ema(self.net_ema, self.net, len(ink), params.ema_kimg, cur_nimg + len(ink))
        return {"heat": loss.item(), "distance": distance.item()}

    def _augment(self, ink: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Some with thicker or thinner lines, all seen a little differently; most of them as when the network looks again, around the joints, with
        blobs where it sees them by now. None is mirrored: the network would learn the same of it."""
        count, again = len(ink), round(len(ink) * LOOKED_AT_AGAIN)
        line, pen = torch.rand(count, device=ink.device), max(1, self.net.resolution // PEN_CELLS)
        thick, thin = line < CHANGED_LINES, line > 1 - CHANGED_LINES
        ink[thick] = thickened(ink[thick], pen)
        ink[thin] = F.avg_pool2d(ink[thin], 2 * pen + 1, 1, pen)
        views = random_views(count, self.params.views, ink.device)
        middle, side = square_around(truth[:again])
        views[:again] *= AROUND * side[:, None, None]
        views[:again, :, 2] += 2 * middle - 1
        joints, share = self._seen_by_now(ink[:again])
        seen = nothing_seen(count, ink)
        seen[:again] = hints(look_points(joints, views[:again]), share)
        return look(ink, views, "zeros"), look_points(truth, views), seen

    @torch.no_grad()
    def _seen_by_now(self, ink: Tensor) -> tuple[Tensor, Tensor]:
        with autocast(self.params.training.precision):
            return self.net_ema.first_look(ink)

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        joints, _ = self.net_ema(ink_of(self._shown.pictures.to(device())))
        return pose_sheet(self._shown.pictures.numpy(), joints.cpu().numpy())

    def _parts(self) -> dict[str, Any]:
        return {"net": self.net, "net_ema": self.net_ema, "optimizer": self._optimizer}


def thickened(ink: Tensor, pen: int) -> Tensor:
    """(N, 1, R, R): the darkest ink within `pen` pixels, in a tenth of the time of max_pool2d on a CPU."""
    size = 2 * pen + 1
    return F.pad(ink, [pen] * 4).unfold(2, size, 1).amax(dim=4).unfold(3, size, 1).amax(dim=4)


def pose_sheet(pictures: NDArray[np.uint8], poses: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The pictures, paled, with the found sticks over them: the body's middle gray, its left blue, its right red."""
    return grid(np.stack([_with_sticks(picture, pose) for picture, pose in zip(pictures, poses, strict=True)]))


def _with_sticks(picture: NDArray[np.uint8], pose: NDArray[np.float32]) -> NDArray[np.uint8]:
    side = SHOWN_SIDE
    sheet = cv2.cvtColor(cv2.resize(picture // 2 + 128, (side, side), interpolation=cv2.INTER_LINEAR), cv2.COLOR_GRAY2RGB)
    places = np.rint(pose * side).astype(int).tolist()
    for start, end in STICKS:
        colour = {0: (90, 90, 90), 1: (40, 90, 220), 2: (220, 60, 40)}[_side_of(end)]
        cv2.line(sheet, places[start], places[end], colour, 2, cv2.LINE_AA)
    for place in places:
        cv2.circle(sheet, place, 3, (20, 20, 20), -1, cv2.LINE_AA)
    return np.asarray(sheet, np.uint8)


def _side_of(joint: int) -> int:
    """0: neither, 1: left, 2: right."""
    return 0 if MIRRORED[joint] == joint else 1 if joint < MIRRORED[joint] else 2
