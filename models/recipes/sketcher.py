"""Training of the sketcher, in two parts: first where the outlines run, then how they are inked.

Outlines. One pose fits many figures, so an encoder first says in z which one is meant (a conditional VAE: Sohn, Lee and Yan 2015, "Learning
structured output representation using deep conditional generative models"). Without it the mean of them all would win. Lines begin wide and
become thin: a thin line beside the true one would not learn where to go. Meanwhile z is bound to a normal distribution, no sooner: else it would
stay silent.
Ink. Outliner and encoder stay as they are. Sketches of the encoder's z are held against their drawings, by pixels and by what a
discriminator of patches sees in them (feature matching: Wang et al. 2018, https://arxiv.org/abs/1711.11585, eq. 4); these and sketches of
random z have to pass for drawings (both halves of BicycleGAN, Zhu et al. 2017, https://arxiv.org/abs/1711.11586, without its third network).
A second discriminator sees heads alone, upright and close (as in Iizuka et al. 2017, "Globally and locally consistent image completion"):
without it they have no faces, and what has no face has no left and right (PCK@0.1 of sketches .75 instead of .79).
What is kept is the sketcher; encoder and discriminator are only used here.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.params import TrainSketcher, Views
from genga.skeleton import JOINTS, J
from models.ema import averaged_copy, update_ema
from models.export import grid
from models.loop import Resumable, Scalars
from models.networks import build
from models.networks.sketcher import LINE_WIDTH, Sketcher, draw_lines, outline, unit_of
from models.networks.stick_unet import draw_sticks
from models.precision import autocast, channels_last, device
from models.recipes.pose import Batch, ink_of
from models.schedule import set_lr
from models.views import seen_differently

SHOWN_SKETCHES = 3
FAR = 1 / 8  # of the side: what counts as far from a line
THIN_FROM = 0.7  # share of the first part after which lines are as thin as they get
THINNEST = 0.6  # pixels of the drawing at hand: the standard deviation across a line that can still be seen on it
SMALLEST = 32  # side of the smallest drawing that outlines are learned on
STEEPEST = 1.0  # longer gradients of the outliner are shortened: a part that flips over would throw the others about
MATCHING = 10.0  # what a discriminator sees in a sketch counts for this many times what it says of it
ONLY_MIRRORED = Views(shift=0.0, scale=0.0, turn=0.0)
CROP = 32  # side of what the encoder reads
READ_WIDTH = 0.75 / 64  # of the lines in it, as a share of the picture's side


class Look(NamedTuple):
    """A square upright on the spine: its middle, `below` a place between two joints, and half its side; in units of the mean stick."""

    joints: tuple[str, str]
    below: float
    reach: float


LOOKS = (Look(("head", "head"), 0.4, 1.1), Look(("neck", "hip"), 0.0, 1.2), Look(("hip", "hip"), 0.4, 1.2))
FACE = (Look(("head", "head"), 0.0, 0.7),)


def _halve(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 4, 2, 1), nn.LeakyReLU(0.2))


class Encoder(nn.Module):
    """What is seen of a figure (N, LOOKS, CROP, CROP) and its pose (N, 11, 2) -> mean and logarithm of the variance of z (N, Z) each."""

    def __init__(self, z_dim: int, width: int) -> None:
        super().__init__()
        self.read = nn.Sequential(_halve(len(LOOKS), width), _halve(width, 2 * width), _halve(2 * width, 4 * width), nn.Flatten())
        self.out = nn.Sequential(nn.Linear(64 * width + 2 * len(JOINTS), 256), nn.LeakyReLU(0.2), nn.Linear(256, 2 * z_dim))

    def forward(self, crops: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        placed = (pose - pose.mean(dim=1, keepdim=True)) / unit_of(pose)[:, None, None]
        mean, log_variance = self.out(torch.cat([self.read(crops), placed.flatten(1)], dim=1)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 8)


def crops_of(lines: Tensor, pose: Tensor, looks: Sequence[Look]) -> Tensor:
    """lines (N, 1, H, H) -> what is seen by these looks, each upright and as large as any other figure's (N, looks, CROP, CROP)."""
    unit = unit_of(pose)[:, None]
    down = F.normalize(pose[:, J["hip"]] - pose[:, J["neck"]], dim=1, eps=1e-4)
    right = torch.stack([down[:, 1], -down[:, 0]], dim=1)
    crops = []
    for (a, b), below, reach in looks:
        middle = (pose[:, J[a]] + pose[:, J[b]]) / 2 + below * unit * down
        # affine_grid's axes run from -1 to 1
        views = torch.stack([2 * reach * unit * right, 2 * reach * unit * down, 2 * middle - 1], dim=2)
        places = F.affine_grid(views, [len(lines), 1, CROP, CROP], align_corners=False)
        crops.append(F.grid_sample(lines, places, align_corners=False))
    return torch.cat(crops, dim=1).contiguous(memory_format=torch.channels_last)


class Discriminator(nn.Module):
    """ink (N, 1, R, R) -> logits (N, 1, R / 8, R / 8), high on real drawings, and what each level saw."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList([_halve(1, width), _halve(width, 2 * width), _halve(2 * width, 4 * width)])
        self.out = nn.Conv2d(4 * width, 1, 3, 1, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.2)

    def forward(self, ink: Tensor) -> tuple[Tensor, list[Tensor]]:
        ink, seen = 2 * ink - 1, []
        for level in self.levels:
            ink = level(ink)
            seen.append(ink.float())
        return self.out(ink).float(), seen


class SketcherRecipe(Resumable):
    def __init__(self, params: TrainSketcher, shown: Batch) -> None:
        """`shown`: the pictures and poses of the sample grid."""
        assert params.outlines is not None
        torch.manual_seed(params.training.seed)
        self.params, self._outlines, self._shown = params, params.outlines, shown
        model, total, share = params.model, params.training.total_kimg, params.outlines.share
        self._outlining, self._inking = (params.training.model_copy(update={"total_kimg": part * total}) for part in (share, 1 - share))
        sketcher = build(model)
        assert isinstance(sketcher, Sketcher)
        self.sketcher = channels_last(sketcher)
        self.sketcher_ema = averaged_copy(self.sketcher)
        self.encoder = channels_last(Encoder(model.z_dim, model.width))
        self.discriminator, self.face_discriminator = (channels_last(Discriminator(model.width)) for _ in range(2))
        weights, betas = [*self.sketcher.outliner.parameters(), *self.encoder.parameters()], (params.beta1, 0.99)
        self._outline_optimizer = torch.optim.Adam(weights, self._outlines.lr, (0.9, 0.99), fused=True)
        self._optimizer = torch.optim.Adam(self.sketcher.inker.parameters(), params.lr, betas, fused=True)
        judging = [*self.discriminator.parameters(), *self.face_discriminator.parameters()]
        self._d_optimizer = torch.optim.Adam(judging, params.lr, betas, fused=True)
        self._shown_z = torch.randn(SHOWN_SKETCHES, len(shown.poses), model.z_dim)

    def step(self, batch: Batch, cur_nimg: int) -> Scalars:
        outlined = round(self._outlining.total_kimg * 1000)
        return self._step_outlines(batch, cur_nimg) if cur_nimg < outlined else self._step_ink(batch, cur_nimg - outlined)

    def _step_outlines(self, batch: Batch, cur_nimg: int) -> Scalars:
        params, outlines, resolution = self.params, self._outlines, self.params.model.resolution
        set_lr(self._outline_optimizer, outlines.lr, cur_nimg, self._outlining)
        nearness, pose = seen_differently(nearness_of_ink(batch.pictures).to(device()), batch.poses.to(device()), params.views)
        thinning = min(1.0, cur_nimg / (THIN_FROM * self._outlining.total_kimg * 1000))
        line_width = max(LINE_WIDTH, 2 * THINNEST / resolution) * outlines.first_lines ** (1 - thinning)
        shrinks = 2
        while line_width * resolution >= 2 * shrinks * THINNEST and resolution >= 2 * shrinks * SMALLEST:
            shrinks *= 2  # wide lines are seen on small drawings too, four times as fast
        mean, log_variance = self._meant(nearness, pose)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        shapes, _ = self.sketcher.outliner(pose, z)
        found = draw_lines(outline(shapes, resolution // shrinks, line_width), line_width)
        wanted = lines_at(F.avg_pool2d(nearness, shrinks), line_width)
        drawn = F.binary_cross_entropy(found.clamp(1e-3, 1 - 1e-3), wanted, weight=1 + params.ink_weight * wanted)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
        self._outline_optimizer.zero_grad(set_to_none=True)
        (drawn + thinning * outlines.kl_weight * kl).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.sketcher.outliner.parameters(), STEEPEST)
        self._outline_optimizer.step()
        update_ema(self.sketcher_ema.outliner, self.sketcher.outliner, len(pose), params.ema_kimg, cur_nimg + len(pose))
        return {"drawn": drawn.item(), "kl": kl.item()}

    def _meant(self, nearness: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of z (N, Z)."""
        crops = crops_of(lines_at(F.avg_pool2d(nearness, 2), READ_WIDTH), pose, LOOKS)
        with autocast(self.params.training.precision):
            found: tuple[Tensor, Tensor] = self.encoder(crops, pose)
        return found

    def _step_ink(self, batch: Batch, cur_nimg: int) -> Scalars:
        params, count = self.params, len(batch.poses)
        for optimizer in (self._optimizer, self._d_optimizer):
            set_lr(optimizer, params.lr, cur_nimg, self._inking)
        pictures = torch.cat([ink_of(batch.pictures), nearness_of_ink(batch.pictures)], dim=1).to(device())
        pictures, pose = seen_differently(pictures, batch.poses.to(device()), ONLY_MIRRORED)
        ink, nearness = pictures[:, :1], pictures[:, 1:]
        with torch.no_grad():
            mean, log_variance = self._meant(nearness, pose)
            z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            poses = torch.cat([pose, pose[: count // 2]])
            lines = self.sketcher_ema.lines(poses, torch.cat([z, torch.randn_like(z[: count // 2])]))
        with autocast(params.training.precision):
            found = self.sketcher.inker.train()(*lines)
        pairs = [(self.discriminator, ink, found), (self.face_discriminator, crops_of(ink, pose, FACE), crops_of(found.float(), poses, FACE))]
        features, fooled = [], []
        for judge, real, made in pairs:
            judge.requires_grad_(False)
            with autocast(params.training.precision):
                logits, made_seen = judge(made)
                _, real_seen = judge(real)
            features += [F.l1_loss(a[:count], b) for a, b in zip(made_seen, real_seen, strict=True)]
            fooled.append(F.softplus(-logits).mean())
        drawn = F.binary_cross_entropy(found[:count].float().clamp(1e-3, 1 - 1e-3), ink, weight=1 + params.ink_weight * ink)
        self._optimizer.zero_grad(set_to_none=True)
        seen_alike, fooling = torch.stack(features).sum(), torch.stack(fooled).sum()
        (drawn + params.adversarial * (fooling + MATCHING * seen_alike)).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

        told_apart = []
        for judge, real, made in pairs:
            judge.requires_grad_(True)
            with autocast(params.training.precision):
                logits, _ = judge(torch.cat([real, made.detach()]))
            told_apart += [F.softplus(-logits[:count]).mean(), F.softplus(logits[count:]).mean()]
        telling = torch.stack(told_apart).sum()
        self._d_optimizer.zero_grad(set_to_none=True)
        telling.backward()  # type: ignore[no-untyped-call]
        self._d_optimizer.step()
        update_ema(self.sketcher_ema.inker, self.sketcher.inker, count, params.ema_kimg, cur_nimg + count)
        return {"inked": drawn.item(), "features": seen_alike.item(), "fooled": fooling.item(), "told_apart": telling.item()}

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        return pose_rows(self.sketcher_ema, self._shown, self._shown_z)

    def _parts(self) -> dict[str, Any]:
        networks = {"sketcher": self.sketcher, "sketcher_ema": self.sketcher_ema, "encoder": self.encoder}
        networks |= {"discriminator": self.discriminator, "face_discriminator": self.face_discriminator}
        return networks | {"outline_optimizer": self._outline_optimizer, "optimizer": self._optimizer, "d_optimizer": self._d_optimizer}


def nearness_of_ink(pictures: Tensor) -> Tensor:
    """uint8 (N, R, R), dark on white -> (N, 1, R, R): 1 on ink, falling in a line to 0 at FAR from it."""
    distances = [cv2.distanceTransform((picture > 127).astype(np.uint8), cv2.DIST_L2, 5) for picture in pictures.numpy()]
    return 1 - (torch.from_numpy(np.stack(distances))[:, None] / (FAR * pictures.shape[-1])).clamp(max=1)


def lines_at(nearness: Tensor, line_width: float) -> Tensor:
    """(N, 1, H, H), 1 = ink: lines of this width, as a share of the side, where nearness is 1."""
    return torch.exp(((1 - nearness) * FAR) ** 2 * (-0.5 / line_width**2))


def pose_rows(sketcher: nn.Module, shown: Batch, z: Tensor) -> NDArray[np.uint8]:
    """Each row: the pose, what a mannequin in it looks like, sketches of it by several z (S, N, Z); two poses to a row."""
    poses = shown.poses.to(device())
    sketches = [sketcher(poses, each.to(device())) for each in z]
    columns = torch.stack([1 - draw_sticks(poses, shown.pictures.shape[-1]), 1 - ink_of(shown.pictures).to(device()), *sketches], dim=1)
    return grid(columns.flatten(0, 1) * 2 - 1, columns=2 * columns.shape[1])
