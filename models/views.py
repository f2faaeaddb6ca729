"""Each picture of a batch seen a little moved, sized and turned, and points in it moved along."""

import torch
from torch import Tensor
from torch.nn import functional as F

from genga.params import Views
from genga.skeleton import MIRRORED


def random_views(count: int, views: Views, device: torch.device) -> Tensor:
    """(N, 2, 3): where in the old picture, whose axes run from -1 to 1, each place of the new one looks."""
    shift, scale, turn = (torch.rand(count, n, device=device) * 2 - 1 for n in (2, 1, 1))
    size = torch.exp(scale[:, 0] * views.scale)
    angle = torch.deg2rad(turn[:, 0] * views.turn)
    cosine, sine = angle.cos() * size, angle.sin() * size
    by = shift * 2 * views.shift
    return torch.stack([torch.stack([cosine, -sine, by[:, 0]], 1), torch.stack([sine, cosine, by[:, 1]], 1)], 1)


def look(images: Tensor, views: Tensor, beyond: str) -> Tensor:
    """NCHW -> NCHW. `beyond` the old picture's edge: "zeros", or "border" for its last pixels."""
    places = F.affine_grid(views, list(images.shape), align_corners=False)
    return F.grid_sample(images, places, padding_mode=beyond, align_corners=False)


def look_points(points: Tensor, views: Tensor) -> Tensor:
    """(N, P, 2) in [0, 1] of the old pictures -> of the new ones."""
    moved = points * 2 - 1 - views[:, None, :, 2]
    old: Tensor = torch.linalg.solve(views[:, :, :2], moved.transpose(1, 2))
    return (old.transpose(1, 2) + 1) / 2


def mirror_image(poses: Tensor) -> Tensor:
    """(N, 11, 2) in [0, 1]: flipped left to right, and the subject's left becomes the right."""
    return poses[:, list(MIRRORED)] * poses.new_tensor([-1, 1]) + poses.new_tensor([1, 0])


def half_mirrored(ink: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
    """Figures (N, 1, R, R) and their poses (N, 11, 2), half of them mirrored."""
    flipped = torch.rand(len(ink), device=ink.device) < 0.5
    return torch.where(flipped[:, None, None, None], ink.flip(3), ink), torch.where(flipped[:, None, None], mirror_image(poses), poses)


def seen_differently(ink: Tensor, poses: Tensor, views: Views) -> tuple[Tensor, Tensor]:
    """Figures (N, 1, R, R) and their poses (N, 11, 2), half of them mirrored, each moved, sized and turned."""
    ink, poses = half_mirrored(ink, poses)
    chosen = random_views(len(ink), views, ink.device)
    return look(ink, chosen, "zeros"), look_points(poses, chosen)
