"""Training of the tagger: one loss per group and flag, each only where a picture has that label.

Labels may be wrong. What is asked for is softened (`label_smoothing`), and later in a training it is in part what the tagger itself has said of that
picture on average (Reed et al. 2015, https://arxiv.org/abs/1412.6596, eq. 6, over epochs as in Laine and Aila 2017, https://arxiv.org/abs/1610.02242):
a label against which all pictures like it speak is not learned by heart.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.params import TrainTagger
from genga.tags import column_slices, columns, groups
from models.batches import to_signed
from models.ema import averaged_copy, update_ema
from models.export import grid
from models.loop import Resumable, Scalars
from models.metrics.tags import decide, in_words
from models.muon import Muon
from models.networks import build
from models.networks.tagger import probabilities
from models.precision import autocast, channels_last, device
from models.schedule import set_lr
from models.targets import UNKNOWN, Targets, counts, names
from models.views import look, random_views

Weights = Mapping[str, Tensor]

EVEN = dict.fromkeys(names(), 1.0)  # temperatures that change nothing
OPINION_KEPT = 0.7  # of an opinion, when the picture is seen again
OPINIONS_FROM, OPINIONS_FULL = 0.2, 0.5  # of the training: from here on they count, and by there as much as they will


class Batch(NamedTuple):
    """pictures uint8 (N, R, R, 3); targets int64 (N, names), UNKNOWN where a picture has no such label; rows int64 (N,): which training picture
    each one is."""

    pictures: Tensor
    targets: Tensor
    rows: Tensor


def value_weights(targets: Targets, balance: float) -> dict[str, Tensor]:
    """name -> weight of each of its values: 1 / count ** balance, so that rare values count for more; 1 on average over the labels."""
    weights = {}
    for name, count in counts(targets).items():
        raw = np.where(count > 0, np.maximum(count, 1.0) ** -balance, 0.0)
        weights[name] = torch.from_numpy((raw * count.sum() / max((raw * count).sum(), 1e-9)).astype(np.float32))
    return weights


def tag_loss(logits: Tensor, targets: Tensor, weights: Weights, smoothing: float) -> Tensor:
    """Mean over all labels of the weighted cross entropy; no label, no gradient. A group that all faces are labelled for moves the network more
    than one that only the drawn faces among them show (faces96, 40 kimg: hair .70 instead of .67, eyes .69 instead of .64)."""
    losses = []
    for name, target in zip(names(), targets.unbind(dim=1), strict=True):
        part, weight = logits[:, column_slices()[name]], weights[name]
        known = (target != UNKNOWN).float()
        value = target.clamp_min(0)
        if name in groups():
            each = F.cross_entropy(part, value, label_smoothing=smoothing, reduction="none")
        else:
            each = F.binary_cross_entropy_with_logits(part[:, 0], value * (1 - smoothing) + smoothing / 2, reduction="none")
        losses.append(each * weight[value] * known)
    return _mean(losses, targets)


def opinion_loss(logits: Tensor, targets: Tensor, opinions: Tensor, weights: Weights) -> Tensor:
    """As `tag_loss`, with what the tagger has said before, probabilities (N, C), in place of the labels; only where there is a label."""
    losses = []
    for name, target in zip(names(), targets.unbind(dim=1), strict=True):
        part, said, known = logits[:, column_slices()[name]], opinions[:, column_slices()[name]], (target != UNKNOWN).float()
        if name in groups():
            each = -(said * part.log_softmax(dim=1)).sum(dim=1)
        else:
            each = F.binary_cross_entropy_with_logits(part[:, 0], said[:, 0], reduction="none")
        losses.append(each * weights[name][target.clamp_min(0)] * known)
    return _mean(losses, targets)


def _mean(losses: list[Tensor], targets: Tensor) -> Tensor:
    """Over the labels that there are."""
    return torch.stack(losses).sum() / (targets != UNKNOWN).sum().clamp_min(1)


class Opinions(nn.Module):
    """What the tagger says of each training picture, averaged over the times that it saw it."""

    said: Tensor
    times: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("said", torch.zeros(count, len(columns())))
        self.register_buffer("times", torch.zeros(count, 1))

    @torch.no_grad()
    def of(self, rows: Tensor, found: Tensor) -> Tensor:
        """(N, C): the averages with what was found just now."""
        self.said[rows] = self.said[rows] * OPINION_KEPT + found * (1 - OPINION_KEPT)
        self.times[rows] += 1
        return self.said[rows] / (1 - OPINION_KEPT ** self.times[rows])


class TaggerRecipe(Resumable):
    def __init__(self, params: TrainTagger, weights: Weights, shown: NDArray[np.uint8], count: int) -> None:
        """`weights`: value_weights of the training labels. `shown`: uint8 (N, R, R, 3), the pictures of the sample grid.
        `count`: how many pictures there are to learn from."""
        torch.manual_seed(params.training.seed)
        self.params, self._shown = params, shown
        self.tagger = channels_last(build(params.model))
        self.tagger_ema = averaged_copy(self.tagger)
        self._weights = {name: weight.to(device()) for name, weight in weights.items()}
        self._optimizer = Muon(self.tagger, params.lr, params.weight_decay)
        self._opinions = Opinions(count).to(device())

    def step(self, batch: Batch, cur_nimg: int) -> Scalars:
        params = self.params
        set_lr(self._optimizer, params.lr, cur_nimg, params.training)
        images, targets = self._augment(to_signed(batch.pictures.to(device()))), batch.targets.to(device())
        with autocast(params.training.precision):
            logits = self.tagger.train()(images)
        logits = logits.float()
        loss = tag_loss(logits, targets, self._weights, params.label_smoothing)
        opinions = self._opinions.of(batch.rows.to(device()), probabilities(logits.detach(), EVEN))
        heard = params.own_opinion * self._opinions_count(cur_nimg)
        if heard:
            loss = (1 - heard) * loss + heard * opinion_loss(logits, targets, opinions, self._weights)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        update_ema(self.tagger_ema, self.tagger, len(images), params.ema_kimg, cur_nimg + len(images))
        return {"loss": loss.item()}

    def _opinions_count(self, cur_nimg: int) -> float:
        done = cur_nimg / (self.params.training.total_kimg * 1000)
        return min(1.0, max(0.0, (done - OPINIONS_FROM) / (OPINIONS_FULL - OPINIONS_FROM)))

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
        found = probabilities(logits.float().cpu(), EVEN).numpy()
        return tagged_sheet(self._shown, found, {})

    def _parts(self) -> dict[str, Any]:
        return {"tagger": self.tagger, "tagger_ema": self.tagger_ema, "optimizer": self._optimizer, "opinions": self._opinions}


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
