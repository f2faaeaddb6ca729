"""Each picture of a batch seen a little moved, sized and turned, and points in it moved along."""

import torch
from torch import Tensor
from torch.nn import functional as F

from genga.params import Views
from genga.skeleton import MIRRORED


def random_views(count: int, views: Views, device: torch.device) -> Tensor:
    """(N, 2, 3): where in the old picture, whose axes run from -1 to 1, each place of the new one looks."""
    shift, scale, turn = (torch.rand(count, n, device=device) * 2 - 1 for n in (2, 1, 1))
    chosen = turns(turn[:, 0] * views.turn) * torch.exp(scale * views.scale)[:, :, None]
    chosen[:, :, 2] = shift * 2 * views.shift
    return chosen


def turns(degrees: Tensor) -> Tensor:
    """(N,) -> (N, 2, 3): views that see the picture turned by so much around its middle."""
    angle = torch.deg2rad(degrees)
    cosine, sine, middle = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return torch.stack([torch.stack([cosine, -sine, middle], 1), torch.stack([sine, cosine, middle], 1)], 1)


def look(images: Tensor, views: Tensor, beyond: str) -> Tensor:
    """NCHW -> NCHW. `beyond` the old picture's edge: "zeros", or "border" for its last pixels."""
    # the places of F.affine_grid(views, images.shape, align_corners=False), in a quarter of its time on a CPU
    across, down = (torch.arange(1, 2 * side, 2, device=images.device) / side - 1 for side in (images.shape[3], images.shape[2]))
    places = views[:, :, :1, None] * across + (views[:, :, 1:2] * down + views[:, :, 2:])[..., None]
    return F.grid_sample(images, places.permute(0, 2, 3, 1), padding_mode=beyond, align_corners=False)


def look_points(points: Tensor, views: Tensor) -> Tensor:
    """(N, P, 2) in [0, 1] of the old pictures -> of the new ones."""
    moved = points * 2 - 1 - views[:, None, :, 2]
    old: Tensor = torch.linalg.solve(views[:, :, :2], moved.transpose(1, 2))
    return (old.transpose(1, 2) + 1) / 2


def points_looked_at(points: Tensor, views: Tensor) -> Tensor:
    """(N, P, 2) in [0, 1] of the new pictures -> of the old ones."""
    old = (points * 2 - 1) @ views[:, :, :2].mT + views[:, None, :, 2]
    return (old + 1) / 2


def mirror_image(poses: Tensor) -> Tensor:
    """(N, 11, 2) in [0, 1]: flipped left to right, and the subject's left becomes the right."""
    return poses[:, list(MIRRORED)] * poses.new_tensor([-1, 1]) + poses.new_tensor([1, 0])


def seen_differently(ink: Tensor, poses: Tensor, views: Views) -> tuple[Tensor, Tensor]:
    """Figures (N, C, R, R) and their poses (N, 11, 2), half of them mirrored, each moved, sized and turned."""
    mirrored, chosen = torch.rand(len(ink), device=ink.device) < 0.5, random_views(len(ink), views, ink.device)
    side = torch.where(mirrored, -1.0, 1.0)
    of_unmirrored = chosen * torch.stack([side, torch.ones_like(side)], dim=1)[:, :, None]
    return look(ink, of_unmirrored, "zeros"), look_points(torch.where(mirrored[:, None, None], mirror_image(poses), poses), chosen)
