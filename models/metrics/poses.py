"""How well joints are read, by the names of genga/skeleton.py."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from genga.skeleton import JOINTS, pck, pdj
from models.precision import channels_last
from models.recipes.pose import ink_of

JUDGE_BATCH = 128


@torch.no_grad()
def read_poses(net: nn.Module, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """uint8 (N, R, R) -> joints (N, 11, 2) and confidence (N, 11)."""
    net = channels_last(net).eval()
    where = next(net.parameters()).device
    batches = [net(ink_of(torch.from_numpy(pictures[start : start + JUDGE_BATCH]).to(where))) for start in range(0, len(pictures), JUDGE_BATCH)]
    joints, confidence = (torch.cat(parts).cpu().double().numpy() for parts in zip(*batches, strict=True))
    return joints, confidence


def pose_metrics(found: NDArray[Any], truth: NDArray[Any], *, limbs_may_swap: bool) -> dict[str, float]:
    """`pck_0.1` and `pck_0.05` of the longer side of the pose's box, `pdj_0.2` of the torso, each the mean over joints; `pck_0.1/<joint>`."""
    tenth = pck(found, truth, 0.1, "bbox", limbs_may_swap=limbs_may_swap)
    return {
        "pck_0.1": float(tenth.mean()),
        "pck_0.05": float(pck(found, truth, 0.05, "bbox", limbs_may_swap=limbs_may_swap).mean()),
        "pdj_0.2": float(pdj(found, truth, 0.2, limbs_may_swap=limbs_may_swap).mean()),
        **{f"pck_0.1/{joint}": float(share) for joint, share in zip(JOINTS, tenth, strict=True)},
    }
