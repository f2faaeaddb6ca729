"""How well sketches are of their pose: ink against a true drawing's ink, with a little room, since no two drawings share every pixel."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.precision import channels_last

JUDGE_BATCH = 64
INK = 0.5
ROOM = 1  # pixels; with 2 a filled limb would pass for its two outlines


def ink_f1(found: Tensor, truth: Tensor) -> float:
    """Sketches (N, 1, R, R) in [0, 1], 1 = paper. Precision: share of the ink found that has true ink within ROOM pixels; recall: the reverse;
    their harmonic mean, averaged over pictures."""
    ours, theirs = (found < INK).float(), (truth < INK).float()
    precision = (ours * _widened(theirs)).sum(dim=(1, 2, 3)) / ours.sum(dim=(1, 2, 3)).clamp_min(1)
    recall = (theirs * _widened(ours)).sum(dim=(1, 2, 3)) / theirs.sum(dim=(1, 2, 3)).clamp_min(1)
    return float((2 * precision * recall / (precision + recall).clamp_min(1e-9)).mean())


def _widened(ink: Tensor) -> Tensor:
    return F.max_pool2d(ink, 2 * ROOM + 1, 1, ROOM)


@torch.no_grad()
def sketch_metrics(sketcher: Any, poses: Tensor, truth: Tensor, seed: int) -> dict[str, float]:
    """`truth` (N, 1, R, R) in [0, 1]. `ink_f1` and `l1` of one sketch per pose, `l1_blank` of an empty sheet, `variety` the L1 between two
    sketches of one pose: 0 means that z says nothing."""
    generator = torch.Generator().manual_seed(seed)
    first, second = (draw_all(sketcher, poses, torch.randn(len(poses), sketcher.z_dim, generator=generator)) for _ in range(2))
    return {
        "ink_f1": ink_f1(first, truth),
        "l1": float((first - truth).abs().mean()),
        "l1_blank": float((1 - truth).mean()),
        "variety": float((first - second).abs().mean()),
    }


@torch.no_grad()
def draw_all(sketcher: Any, poses: Tensor, z: Tensor, before: Tensor | None = None) -> Tensor:
    """(N, 1, R, R) on the CPU. `before` (T, N, Z): latents of sketches that there are already."""
    earlier = z[None][:0] if before is None else before
    sketcher = channels_last(sketcher).eval()
    where = next(sketcher.parameters()).device
    chunks = (slice(start, start + JUDGE_BATCH) for start in range(0, len(poses), JUDGE_BATCH))
    return torch.cat([sketcher(poses[chunk].to(where), z[chunk].to(where), earlier[:, chunk].to(where)).cpu() for chunk in chunks])
