"""How well joints are read, by the names of genga/skeleton.py, and how a network's confidence becomes a probability that means what it says."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.skeleton import JOINTS, pdj, reference_length, swap_limbs
from models.folding import folded
from models.ink import as_read
from models.metrics.calibration import BINS, Array, Flags, calibration_error, reliability
from models.recipes.pose import ink_of

JUDGE_BATCH = 128
NEAR = 0.1  # of the longer side of the pose's box: how near a joint is to its place when it counts as found
PLOT_SIDE, PLOT_EDGE = 360, 40


@torch.no_grad()
def read_poses(net: nn.Module, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """uint8 (N, R, R) -> joints (N, 11, 2) and confidence (N, 11)."""
    net = folded(net)
    where = next(net.parameters()).device
    batches = [net(ink_of(torch.from_numpy(pictures[start : start + JUDGE_BATCH]).to(where))) for start in range(0, len(pictures), JUDGE_BATCH)]
    joints, confidence = (torch.cat(parts).cpu().double().numpy() for parts in zip(*batches, strict=True))
    return joints, confidence


def as_all_read(pictures: NDArray[np.uint8], poses: Array, side: int) -> tuple[NDArray[np.uint8], Array]:
    """Gray (N, H, W) and (N, 11, 2) -> what a network of this resolution reads of them: see models/ink.py."""
    read, placed = zip(*(as_read(picture, pose, side) for picture, pose in zip(pictures, poses, strict=True)), strict=True)
    return np.stack(read), np.stack(placed)


def near(found: Array, truth: Array, alpha: float, *, limbs_may_swap: bool) -> Flags:
    """(N, 11): whether each joint lies within alpha x the longer side of the pose's box. Its mean over N is PCK@alpha."""
    named = swap_limbs(found, truth) if limbs_may_swap else found
    close: Flags = np.linalg.norm(named - truth, axis=-1) <= alpha * reference_length(truth, "bbox")[..., None]
    return close


def pose_metrics(found: Array, truth: Array, *, limbs_may_swap: bool, visible: Flags | None = None) -> dict[str, float]:
    """`pck_0.1` and `pck_0.05` of the longer side of the pose's box, `pdj_0.2` of the torso, each the mean over joints; `pck_0.1/<joint>`.

    With `visible` (N, 11), where some joint is hidden, also `pck_0.1/visible` and `pck_0.05/visible`: the share of the visible joints.
    """
    tenth, twentieth = (near(found, truth, alpha, limbs_may_swap=limbs_may_swap) for alpha in (0.1, 0.05))
    metrics = {
        "pck_0.1": float(tenth.mean()),
        "pck_0.05": float(twentieth.mean()),
        "pdj_0.2": float(pdj(found, truth, 0.2, limbs_may_swap=limbs_may_swap).mean()),
        **{f"pck_0.1/{joint}": float(share) for joint, share in zip(JOINTS, tenth.mean(axis=0), strict=True)},
    }
    if visible is not None and visible.any() and not visible.all():
        metrics |= {"pck_0.1/visible": float(tenth[visible].mean()), "pck_0.05/visible": float(twentieth[visible].mean())}
    return metrics


def calibration_for(confidence: Array, hit: Flags) -> Tensor:
    """(2,): scale and shift of the confidence's log odds under which it is likeliest that these joints, and no others, were found.

    Platt 1999 (Probabilistic outputs for support vector machines), section 2.2, with its targets for small sets.
    """
    found, missed = int(hit.sum()), int((~hit).sum())
    targets = torch.from_numpy(np.where(hit, (found + 1) / (found + 2), 1 / (missed + 2)))
    odds = torch.from_numpy(np.asarray(confidence, np.float64)).clamp(1e-3, 1 - 1e-3).logit()
    fit = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([fit], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(fit[0] * odds + fit[1], targets)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return fit.detach().float()


def reliability_plot(confidence: Array, hit: Flags) -> NDArray[np.uint8]:
    """RGB: the share of joints found against the confidence they were given, the diagonal where both agree, and how many joints (gray bars)."""
    side, edge = PLOT_SIDE, PLOT_EDGE
    plot = np.full((side + 2 * edge, side + 2 * edge, 3), 255, np.uint8)
    points = reliability(confidence, hit)

    def at(x: float, y: float) -> tuple[int, int]:
        return edge + round(x * side), edge + round((1 - y) * side)

    for sure, _, count in points:
        left = min(int(sure * BINS), BINS - 1) / BINS
        cv2.rectangle(plot, at(left, 0), at(left + 1 / BINS, count / confidence.size), (225, 225, 225), -1)
    cv2.rectangle(plot, at(0, 1), at(1, 0), (120, 120, 120), 1)
    cv2.line(plot, at(0, 0), at(1, 1), (170, 170, 170), 1, cv2.LINE_AA)
    cv2.polylines(plot, [np.array([at(sure, share) for sure, share, _ in points], np.int32)], False, (40, 90, 220), 2, cv2.LINE_AA)
    for sure, share, _ in points:
        cv2.circle(plot, at(sure, share), 4, (40, 90, 220), -1, cv2.LINE_AA)
    for value in (0.0, 0.5, 1.0):
        (x, y), (left, top) = at(value, 0), at(0, value)
        cv2.putText(plot, f"{value:g}", (x - 8, y + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (60, 60, 60), 1, cv2.LINE_AA)
        cv2.putText(plot, f"{value:g}", (left - 26, top + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (60, 60, 60), 1, cv2.LINE_AA)
    words = f"found within {NEAR:g}, against confidence; ECE {calibration_error(confidence, hit):.3f}, {confidence.size} joints"
    cv2.putText(plot, words, (edge, edge - 14), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (60, 60, 60), 1, cv2.LINE_AA)
    return plot
