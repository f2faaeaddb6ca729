"""Pose and latent -> line art: a remembered drawing of a like pose, bent to the pose that is asked for.

Memory. The drawings that were learned from are kept, as in semi-parametric synthesis (SIMS, Qi et al. 2018, https://arxiv.org/abs/1804.10992):
faces, hair, clothes and lines are those that somebody drew. A network has learned how well a drawing of one pose can be bent to another; of the
drawings, mirrored ones too, that can be bent best, that one is taken whose look is nearest to z, unless it can be bent much worse or has been taken
for that pose already. Looks are what is seen of heads, chests and hips, in as many principal components as z has numbers, so that a random z is
like a drawing's. Bending: models/bend.py; z's first number also says how large the head becomes, its second how wide body and limbs.
N batch, Z latent dim, R resolution, M drawings in memory, C candidates. Sketches are NCHW float32 in [0, 1], 1 = white paper.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.skeleton import JOINTS, STICKS, J
from models.bend import ENDS, STARTS, Fields, bend, fields_of, unit_of
from models.views import mirror_image

Picture = NDArray[Any]

MEMORY = ("poses", "looks", "drawings", "ends")
CANDIDATES = 48  # drawings of the nearest poses
BEST = 6  # of them, among which z decides
WORSE = 10.0  # of the likeness to z: so much does it cost a drawing to be expected to become this much worse than the best
STICKS_WEIGH = 3.0**0.5  # of the likeness of poses: a stick of another way and length bends more than a joint of another place
WIDER_HEAD, WIDER_BODY = 0.12, 0.06  # at most, as logarithms, makes z them
UNLIKE = 0.05  # at first, before anything is learned: how much worse the sketch is for each unit that poses are apart
CROP = 32  # side of what is seen of a part
SEEN_AT = 16  # and of what is compared


class Look(NamedTuple):
    """A square upright on the spine: its middle, `below` a place between two joints, and half its side; in mean sticks."""

    joints: tuple[str, str]
    below: float
    reach: float


LOOKS = (Look(("head", "head"), 0.4, 1.1), Look(("neck", "hip"), 0.0, 1.2), Look(("hip", "hip"), 0.4, 1.2))


def crops_of(ink: Tensor, pose: Tensor, looks: Sequence[Look]) -> Tensor:
    """ink (N, 1, H, H) -> what is seen by these looks, each upright and as large as any other figure's (N, looks, CROP, CROP)."""
    unit = unit_of(pose)[:, None]
    down = F.normalize(pose[:, J["hip"]] - pose[:, J["neck"]], dim=1, eps=1e-4)
    right = torch.stack([down[:, 1], -down[:, 0]], dim=1)
    crops = []
    for (a, b), below, reach in looks:
        middle = (pose[:, J[a]] + pose[:, J[b]]) / 2 + below * unit * down
        # affine_grid's axes run from -1 to 1
        views = torch.stack([2 * reach * unit * right, 2 * reach * unit * down, 2 * middle - 1], dim=2)
        places = F.affine_grid(views, [len(ink), 1, CROP, CROP], align_corners=False)
        crops.append(F.grid_sample(ink, places, align_corners=False))
    return torch.cat(crops, dim=1).contiguous(memory_format=torch.channels_last)


def shapes_of(poses: Tensor) -> Tensor:
    """(N, 11, 2) -> (N, 42): what is compared of poses, wherever and however large they are."""
    unit = unit_of(poses)[:, None, None]
    joints, sticks = poses - poses.mean(dim=1, keepdim=True), poses[:, ENDS] - poses[:, STARTS]
    return torch.cat([joints / unit, STICKS_WEIGH * sticks / unit], dim=1).flatten(1)


def looks_of(seen: Tensor, count: int) -> Tensor:
    """(M, F) -> (M, count): principal components, each of variance 1; 0 where there are no more."""
    centred = (seen - seen.mean(dim=0)).double()
    variances, ways = torch.linalg.eigh(centred.T @ centred / max(1, len(seen) - 1))
    variances, ways = variances.flip(0)[:count], ways.flip(1)[:, :count]
    found = torch.where(variances > 1e-6 * variances[0], centred @ ways / variances.clamp_min(1e-12).sqrt(), 0.0)
    return F.pad(found, (0, count - found.shape[1])).float()


class Misfit(nn.Module):
    """Shapes of what is asked for (N, 1, F) and of what is to be bent (N, C, F) -> how unlike a drawing the sketch will be (N, C)."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        last = nn.Linear(width, 1)
        for weight in last.parameters():
            nn.init.zeros_(weight)
        self.say = nn.Sequential(nn.Linear(3 * features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)

    def forward(self, asked: Tensor, known: Tensor) -> Tensor:
        apart = known - asked
        more: Tensor = self.say(torch.cat([asked.expand_as(known), known, apart], dim=2))
        found: Tensor = UNLIKE * apart.norm(dim=2) + more[..., 0]
        return found


class Sketcher(nn.Module):
    """pose (N, 11, 2) in [0, 1], z (N, Z) -> sketch (N, 1, R, R) in [0, 1], once it remembers drawings; of other drawings than those
    that the latents `before` (T, N, Z) were given."""

    def __init__(self, resolution: int, z_dim: int, width: int) -> None:
        super().__init__()
        self.resolution, self.z_dim = resolution, z_dim
        self.misfit = Misfit(2 * (len(JOINTS) + len(STICKS)), width)
        self.poses: Tensor
        self.looks: Tensor
        self.drawings: Tensor
        self.ends: Tensor
        # drawings (bytes,) uint8: PNG after PNG; ends (M,): where each ends
        empty = (torch.zeros(0, 11, 2), torch.zeros(0, z_dim), torch.zeros(0, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
        for name, none in zip(MEMORY, empty, strict=True):
            self.register_buffer(name, none)

    def remember(self, drawings: Picture, poses: Tensor) -> None:
        """Gray (M, R, R), dark on white, and where their joints are (M, 11, 2), in place of what was remembered."""
        files = [cv2.imencode(".png", drawing)[1] for drawing in drawings]
        small = torch.from_numpy(np.stack([cv2.resize(drawing, (2 * CROP, 2 * CROP), interpolation=cv2.INTER_AREA) for drawing in drawings]))
        seen = F.adaptive_avg_pool2d(crops_of(1 - small[:, None].float() / 255, poses, LOOKS), SEEN_AT).flatten(1)
        found = (poses, looks_of(seen, self.z_dim), torch.from_numpy(np.concatenate(files)), torch.tensor([len(file) for file in files]).cumsum(0))
        for name, tensor in zip(MEMORY, found, strict=True):
            self.register_buffer(name, tensor.to(self.poses.device))

    def near(self, pose: Tensor, least: float = 0.0) -> Tensor:
        """(N, C): rows of the memory, M more for a drawing that is to be mirrored. `least`: drawings of poses that are more alike are left out."""
        apart = torch.cdist(shapes_of(pose), shapes_of(torch.cat([self.poses, mirror_image(self.poses)])))
        return apart.masked_fill(apart < least, torch.inf).topk(min(CANDIDATES, apart.shape[1]), largest=False).indices

    def expect(self, pose: Tensor, rows: Tensor, misfit: nn.Module | None = None) -> Tensor:
        """(N, C): how unlike a drawing each of these (N, C) will be, bent to the pose; `misfit`: by another network than its own."""
        known = shapes_of(self.poses_of(rows.flatten())).view(*rows.shape, -1)
        found: Tensor = (misfit or self.misfit)(shapes_of(pose)[:, None], known)
        return found

    def choose(self, pose: Tensor, z: Tensor, before: Tensor | None = None) -> Tensor:
        """(N,): rows as in near(). `before` (T, N, Z): what these latents chose, one after the other, is not chosen again while there is another."""
        rows = self.near(pose)
        expected, best = self.expect(pose, rows).sort(dim=1)
        rows = rows.gather(1, best)
        drawings, worse = rows % len(self.poses), WORSE * (expected - expected[:, :1])
        free = torch.ones_like(rows, dtype=torch.bool)
        for each in (*(() if before is None else before), z):
            alike = F.cosine_similarity(self.looks[drawings], each.expand_as(z)[:, None], dim=2)  # not the distance: it prefers what is usual
            among = free & (free.cumsum(dim=1) <= BEST)
            chosen = (alike - worse).masked_fill(~among, -torch.inf).argmax(dim=1, keepdim=True)
            free &= drawings != drawings.gather(1, chosen)
        return rows.gather(1, chosen)[:, 0]

    def poses_of(self, rows: Tensor) -> Tensor:
        """(N, 11, 2) of these rows."""
        poses = self.poses[rows % len(self.poses)]
        return torch.where(self._mirrored(rows)[:, None, None], mirror_image(poses), poses)

    def fields_of(self, rows: Tensor) -> Fields:
        """The drawings of these rows."""
        drawings = [self._drawing(row) for row in (rows % len(self.poses)).tolist()]
        turned = self._mirrored(rows).tolist()
        return fields_of([cv2.flip(drawing, 1) if flip else drawing for drawing, flip in zip(drawings, turned, strict=True)], self.poses)

    def _mirrored(self, rows: Tensor) -> Tensor:
        return rows >= len(self.poses)

    def _drawing(self, row: int) -> Picture:
        start = int(self.ends[row - 1]) if row else 0
        file = self.drawings[start : int(self.ends[row])].cpu().numpy()
        return np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE), np.uint8)

    def bent(self, rows: Tensor, pose: Tensor, wider: Tensor | None = None) -> Tensor:
        """The drawings of these rows (N,) in these poses -> ink (N, 1, R, R) in [0, 1], 1 = ink."""
        return bend(self.fields_of(rows), self.poses_of(rows), pose, wider)

    def forward(self, pose: Tensor, z: Tensor, before: Tensor | None = None) -> Tensor:
        head = torch.tensor([J["head"] in stick for stick in STICKS], device=z.device)
        wider = torch.exp(torch.where(head, WIDER_HEAD * z[:, :1].tanh(), WIDER_BODY * z[:, 1:2].tanh()))
        return 1 - self.bent(self.choose(pose, z, before), pose, wider)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in MEMORY:  # as many drawings as were saved
            if prefix + name in state_dict:
                self.register_buffer(name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args)
