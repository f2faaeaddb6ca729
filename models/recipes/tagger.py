"""Training of the tagger: one loss per group and flag, each only where a picture has that label."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from genga.params import TrainTagger
from genga.tags import column_slices, groups
from models.batches import to_signed
from models.ema import averaged_copy, update_ema
from models.export import grid
from models.loop import Resumable, Scalars
from models.metrics.tags import decide, in_words
from models.networks import build
from models.networks.tagger import probabilities
from models.precision import autocast, channels_last, device
from models.schedule import set_lr
from models.targets import UNKNOWN, Targets, counts, names
from models.views import look, random_views

Weights = Mapping[str, Tensor]


class Batch(NamedTuple):
    """pictures uint8 (N, R, R, 3); targets int64 (N, names), UNKNOWN where a picture has no such label."""

    pictures: Tensor
    targets: Tensor


def value_weights(targets: Targets, balance: float) -> dict[str, Tensor]:
    """name -> weight of each of its values: 1 / count ** balance, so that rare values count for more; 1 on average over the labels."""
    weights = {}
    for name, count in counts(targets).items():
        raw = np.where(count > 0, np.maximum(count, 1.0) ** -balance, 0.0)
        weights[name] = torch.from_numpy((raw * count.sum() / max((raw * count).sum(), 1e-9)).astype(np.float32))
    return weights


def tag_loss(logits: Tensor, targets: Tensor, weights: Weights, smoothing: float) -> Tensor:
    """Mean over groups and flags of the weighted cross entropy over those pictures that have the label; no label, no gradient."""
    losses = []
    for name, target in zip(names(), targets.unbind(dim=1), strict=True):
        part, weight = logits[:, column_slices()[name]], weights[name]
        known = (target != UNKNOWN).float()
        value = target.clamp_min(0)
        if name in groups():
            each = F.cross_entropy(part, value, label_smoothing=smoothing, reduction="none")
        else:
            each = F.binary_cross_entropy_with_logits(part[:, 0], value * (1 - smoothing) + smoothing / 2, reduction="none")
        losses.append((each * weight[value] * known).sum() / known.sum().clamp_min(1))
    return torch.stack(losses).mean()


class TaggerRecipe(Resumable):
    def __init__(self, params: TrainTagger, weights: Weights, shown: NDArray[np.uint8]) -> None:
        """`weights`: value_weights of the training labels. `shown`: uint8 (N, R, R, 3), the pictures of the sample grid."""
        torch.manual_seed(params.training.seed)
        self.params, self._shown = params, shown
        self.tagger = channels_last(build(params.model))
        self.tagger_ema = averaged_copy(self.tagger)
        self._weights = {name: weight.to(device()) for name, weight in weights.items()}
        self._optimizer = torch.optim.AdamW(self.tagger.parameters(), params.lr, weight_decay=params.weight_decay, fused=True)

    def step(self, batch: Batch, cur_nimg: int) -> Scalars:
        params = self.params
        set_lr(self._optimizer, params.lr, cur_nimg, params.training)
        images = self._augment(to_signed(batch.pictures.to(device())))
        with autocast(params.training.precision):
            logits = self.tagger.train()(images)
        loss = tag_loss(logits.float(), batch.targets.to(device()), self._weights, params.label_smoothing)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        update_ema(self.tagger_ema, self.tagger, len(images), params.ema_kimg, cur_nimg + len(images))
        return {"loss": loss.item()}

    def _augment(self, images: Tensor) -> Tensor:
        """Flipped, seen a little differently, brighter or darker. Hue stays: it is what half of the tags say."""
        count = len(images)
        flipped = torch.where(torch.rand(count, 1, 1, 1, device=images.device) < 0.5, images.flip(3), images)
        viewed = look(flipped, random_views(count, self.params.views, images.device), "border")
        gain, lift = torch.rand(2, count, 1, 1, 1, device=images.device) * 2 - 1
        jittered: Tensor = viewed * (1 + self.params.brightness * gain) + self.params.brightness * lift
        return jittered.clamp(-1, 1).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def sample(self) -> NDArray[np.uint8]:
        with autocast(self.params.training.precision):
            logits = self.tagger_ema(to_signed(torch.from_numpy(self._shown).to(device())))
        found = probabilities(logits.float().cpu(), dict.fromkeys(names(), 1.0)).numpy()
        return tagged_sheet(self._shown, found, {})

    def _parts(self) -> dict[str, Any]:
        return {"tagger": self.tagger, "tagger_ema": self.tagger_ema, "optimizer": self._optimizer}


def tagged_sheet(pictures: NDArray[np.uint8], found: NDArray[np.float32], thresholds: Mapping[str, float]) -> NDArray[np.uint8]:
    """Faces with the tags that were found written under each. Flags without a threshold are read at 0.5."""
    decided = decide(found, {flag: thresholds.get(flag, 0.5) for flag in column_slices()})
    return grid(np.stack([_captioned(picture, in_words(row)) for picture, row in zip(pictures, decided, strict=True)]))


def _captioned(picture: NDArray[np.uint8], words: list[str], side: int = 160, line: int = 13) -> NDArray[np.uint8]:
    card = np.full((side + 6 * line, side, 3), 255, np.uint8)
    card[:side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)
    lines = [", ".join(words[at : at + 2]) for at in range(0, len(words), 2)]
    for at, text in enumerate(lines):
        cv2.putText(card, text, (3, side + line * (at + 1) - 2), cv2.FONT_HERSHEY_SIMPLEX, 0.34, (30, 30, 30), 1, cv2.LINE_AA)
    return card
