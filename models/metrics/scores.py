"""One protocol for each kind of network: what is measured and how. On which pictures, stages/judge.py says.

A score is numbers, the protocol beside them, and a sheet to look at. What a network draws is judged as 256-level pictures, as it is served.
Pictures are uint8 (N, R, R, 3), or (N, R, R) where gray.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.protocols import TAGGER
from models.batches import to_signed, to_uint8
from models.export import grid
from models.metrics.distance import Reference, compare
from models.metrics.extractors import Extractor, Onlooker
from models.metrics.fidelity import psnr, sharpness, sharpness_error, ssim
from models.metrics.poses import as_all_read, pose_metrics, read_poses
from models.metrics.sampling import CONTACT_SHEET, Sampling, draw_faces
from models.metrics.sketches import draw_all, sketch_metrics
from models.metrics.tags import tag_logits, tag_metrics
from models.networks.tagger import probabilities
from models.networks.upscaler import enlarge_bicubic
from models.precision import autocast, channels_last, device
from models.recipes.pose import ink_of, pose_sheet
from models.recipes.tagger import tagged_sheet
from models.recipes.upscaler import shrink
from models.targets import Targets

Array = NDArray[Any]
Pictures = NDArray[np.uint8]

INCEPTION = "inception"
SHOWN = 24  # on the other sheets
REFERENCE = "longer side of the pose's box"
READ_AS = "ink, cut out around the figure"


@dataclass(frozen=True)
class Score:
    metrics: dict[str, float]
    protocol: dict[str, Any]
    sheet: Pictures


@dataclass(frozen=True)
class Seen:
    """Real pictures as an extractor sees them. `ids_sha256` names exactly these pictures."""

    extractor: Extractor
    real: Reference
    ids_sha256: str

    def protocol(self) -> dict[str, Any]:
        return {**self.extractor.protocol(), "reference_count": len(self.real.features), "reference_sha256": self.ids_sha256}


def score_face(generator: Any, onlooker: Onlooker, references: Mapping[str, Seen], sampling: Sampling, tag: str | None) -> Score:
    """How far the samples lie from real faces and how varied they are, as each extractor sees it: the tagger's numbers by their plain names, those
    of another as `<extractor>/<number>`. Of a generator for one tag also how many of its faces show it, and how many the faces of the generator
    that it was made from."""
    made = draw_faces(generator, sampling)
    metrics: dict[str, float] = {}
    for name, seen in references.items():
        found = compare(seen.real, seen.extractor.features(made, sampling.batch_size))
        if name == INCEPTION:
            found["fid"] = found.pop("fd")
        metrics |= {metric if name == TAGGER else f"{name}/{metric}": value for metric, value in found.items()}
    if tag is not None:
        metrics["tag_share"] = onlooker.tag_share(made, tag, sampling.batch_size)
        metrics["tag_share_of_base"] = onlooker.tag_share(draw_faces(generator.base, sampling), tag, sampling.batch_size)
    extractors = {name: seen.protocol() for name, seen in references.items()}
    protocol = {"samples": len(made), "seed": sampling.seed, "psi": 1.0, "side": generator.resolution, "extractors": extractors}
    return Score(metrics, protocol, grid(made[:CONTACT_SHEET]))


def score_tagger(tagger: nn.Module, card: dict[str, Any], pictures: Pictures, targets: Targets, sampling: Sampling) -> Score:
    """Accuracy and macro-F1 of each tag, by the card's own thresholds."""
    rows = np.arange(len(pictures))
    logits = tag_logits(tagger, pictures, rows, batch_size=sampling.batch_size, precision="auto", what="read tags of held-out faces")
    found = probabilities(logits, card["temperatures"]).numpy()
    sheet = tagged_sheet(pictures[:SHOWN], found[:SHOWN], card["thresholds"])
    return Score(tag_metrics(found, targets, card["thresholds"]), {"pictures": len(pictures)}, sheet)


def score_pose(net: nn.Module, pictures: Pictures, truth: Array, *, limbs_may_swap: bool) -> Score:
    """Shares of joints found near their place."""
    found, _ = read_poses(net, pictures)
    shown = np.linspace(0, len(pictures) - 1, min(SHOWN, len(pictures))).astype(np.int64)
    sheet = pose_sheet(pictures[shown], found[shown].astype(np.float32))
    protocol = {"pictures": len(pictures), "reference_length": REFERENCE, "read_as": READ_AS, "limbs_may_swap": limbs_may_swap}
    return Score(pose_metrics(found, truth, limbs_may_swap=limbs_may_swap), protocol, sheet)


@torch.inference_mode()
def score_upscaler(upscaler: nn.Module, truth: Pictures, sampling: Sampling) -> Score:
    """PSNR, SSIM, sharpness and how far that is from the truth's, beside those of bicubic enlarging. Small pictures are means of 4 x 4 pixels."""
    module = channels_last(upscaler).eval()
    plain, ours = np.empty_like(truth), np.empty_like(truth)
    for part in sampling.parts(len(truth)):
        images = _shrunk(truth[part])
        plain[part] = to_uint8(enlarge_bicubic(images))
        with autocast("auto"):
            ours[part] = to_uint8(module(images))
    measures = {"psnr": psnr, "ssim": ssim, "sharpness": sharpness, "sharpness_error": sharpness_error}
    metrics = {f"{name}{of}": measure(pictures, truth) for of, pictures in (("", ours), ("_bicubic", plain)) for name, measure in measures.items()}
    shown = slice(SHOWN // 2)
    pixels = to_uint8(F.interpolate(_shrunk(truth[shown]), scale_factor=4.0))
    sheet = grid(np.stack([pixels, plain[shown], ours[shown], truth[shown]], axis=1).reshape(-1, *truth.shape[1:]), columns=8)
    return Score(metrics, {"pictures": len(truth), "side": truth.shape[1], "data_range": 255, "shrunk_by": "means of 4 x 4 pixels"}, sheet)


def _shrunk(truth: Pictures) -> Tensor:
    return shrink(to_signed(torch.from_numpy(truth).to(device())))


def score_sketcher(sketcher: Any, reader: Any, poses: Array, truth: Pictures, sampling: Sampling) -> Score:
    """How near the ink lies to that of held-out line art, and how many joints the figure-pose network (`reader`) finds where they were asked for."""
    asked = torch.from_numpy(poses).float()
    metrics = sketch_metrics(sketcher, asked, 1 - ink_of(torch.from_numpy(truth)), sampling.seed)
    z, other = (torch.randn(len(asked), sketcher.z_dim, generator=torch.Generator().manual_seed(sampling.seed + at)) for at in (0, 1))
    drawn, again = _sketches(sketcher, asked, z), _sketches(sketcher, asked[:SHOWN], other[:SHOWN], z[None, :SHOWN])
    for of, pictures in (("", drawn), ("_of_truth", truth)):
        read, placed = as_all_read(pictures, poses, reader.resolution)
        metrics[f"pck_0.1{of}"] = pose_metrics(read_poses(reader, read)[0], placed, limbs_may_swap=False)["pck_0.1"]
    protocol = {"poses": len(poses), "seed": sampling.seed, "side": truth.shape[1], "reference_length": REFERENCE, "read_as": READ_AS}
    return Score(metrics, protocol, _sketch_sheet(poses, drawn, again, truth))


def _sketches(sketcher: Any, poses: Tensor, z: Tensor, before: Tensor | None = None) -> Pictures:
    """Gray, dark on white."""
    return to_uint8(draw_all(sketcher, poses, z, before) * 2 - 1)[..., 0]


def _sketch_sheet(poses: Array, drawn: Pictures, again: Pictures, truth: Pictures) -> Pictures:
    """The pose, two sketches of it, the line art of the figure that had it; two poses to a row."""
    count, side = min(SHOWN, len(poses)), truth.shape[1]
    paper = np.full((1, side, side), 255, np.uint8)
    asked = [cv2.resize(pose_sheet(paper, pose[None]), (side, side), interpolation=cv2.INTER_AREA) for pose in poses[:count].astype(np.float32)]
    pictures = [np.repeat(gray[:count, ..., None], 3, axis=-1) for gray in (drawn, again, truth)]
    return grid(np.stack([np.stack(asked), *pictures], axis=1).reshape(-1, side, side, 3).astype(np.uint8, copy=False), columns=8)
