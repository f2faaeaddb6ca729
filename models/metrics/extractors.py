"""What pictures of faces are compared by. Three kinds, so that a generator can please none of them by chance:
the tagger's features; plain colours and edges, which nothing was trained for; and Inception's, where params name a file of its weights.

N pictures of side R, F features.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from genga.errors import CheckpointError
from genga.params import INCEPTION_FEATURES, InceptionFile
from genga.tags import columns
from models.batches import to_signed
from models.metrics import colours_edges
from models.networks.tagger import probabilities
from models.precision import autocast, channels_last, device

Array = NDArray[Any]
Pictures = NDArray[np.uint8]

INCEPTION_SIDE = 299
MISREAD = 0.001  # of the features' length: rounding is a thousandth of this, padding that is counted fifty times as much


class Extractor(Protocol):
    def features(self, pictures: Pictures, batch_size: int) -> Array:
        """uint8 (N, R, R, 3) -> (N, F)"""

    def protocol(self) -> dict[str, Any]:
        """Which extractor this is, and how pictures come to its size."""


class Onlooker:
    """The tagger: its features are what pictures of faces are compared by, and it says whether they show a tag."""

    def __init__(self, tagger: nn.Module, card: dict[str, Any]) -> None:
        self._tagger: Any = channels_last(tagger).eval()
        self._card = card

    @torch.inference_mode()
    def features(self, pictures: Pictures, batch_size: int) -> Array:
        return self._of_each(self._tagger.features, pictures, batch_size).numpy()

    @torch.inference_mode()
    def tag_share(self, pictures: Pictures, column: str, batch_size: int) -> float:
        """How many of the pictures more likely show the tag than not."""
        found = probabilities(self._of_each(self._tagger, pictures, batch_size), self._card["temperatures"])
        return float((found[:, columns().index(column)] >= 0.5).float().mean())

    def _of_each(self, read: Callable[[Tensor], Tensor], pictures: Pictures, batch_size: int) -> Tensor:
        found = []
        with autocast("auto"):
            for start in range(0, len(pictures), batch_size):
                images = to_signed(torch.from_numpy(pictures[start : start + batch_size]).to(device()))
                found.append(read(_at_side(images, self._tagger.resolution)).float().cpu())
        return torch.cat(found)

    def protocol(self) -> dict[str, Any]:
        return {
            "features": f"the tagger's {self._tagger.num_features}, standardised by the reference",
            "sha256": self._card["weights_sha256"],
            "side": self._tagger.resolution,
            "resize": "bilinear, shrunk with antialiasing",
        }


class Edges:
    """Colours and edges by rule."""

    def features(self, pictures: Pictures, batch_size: int) -> Array:
        del batch_size
        return colours_edges.colours_and_edges(pictures)

    def protocol(self) -> dict[str, Any]:
        return {
            "features": "Lab colours of 8 x 8 cells and histograms of edges, standardised by the reference",
            "sha256": hashlib.sha256(Path(colours_edges.__file__).read_bytes()).hexdigest(),
            "side": colours_edges.SIDE,
            "resize": "area",
        }


class Inception:
    """The network of the Frechet Inception distance, as ONNX: (N, 3, 299, 299) in [-1, 1] -> (N, 2048), its last pooling. OpenCV runs it, and what
    it makes of one picture is held against what the network gave where it was exported: docs/measuring.md.

    Raises ParamsError where the file is missing or another, CheckpointError where it is no such network or read otherwise than it was exported.
    """

    def __init__(self, file: InceptionFile) -> None:
        self._sha256, data = file.sha256, file.read()
        try:
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
        except cv2.error as error:
            raise CheckpointError(f"{file.path} is no ONNX file that OpenCV reads ({' '.join(str(error).split())[:200]}); export it again") from error
        self._check(Path(file.path))

    def _check(self, path: Path) -> None:
        found, expected_path = self._of(stripes()), path.with_suffix(".npy")
        try:
            expected = np.load(expected_path).reshape(found.shape)
        except (OSError, EOFError, ValueError) as error:
            raise CheckpointError(
                f"{expected_path} holds no features of one picture ({error}), expected the {INCEPTION_FEATURES} that the network gave where {path} "
                "was exported; export both as docs/measuring.md says"
            ) from error
        off = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        if not off < MISREAD:
            raise CheckpointError(
                f"OpenCV reads {path} otherwise than it was exported: its features of one picture are off by {off:.2g} of their length, expected "
                f"less than {MISREAD:g}; export it as docs/measuring.md says"
            )

    def features(self, pictures: Pictures, batch_size: int) -> Array:
        found = []
        for start in range(0, len(pictures), batch_size):
            images = to_signed(torch.from_numpy(pictures[start : start + batch_size]))
            found.append(self._of(_at_side(images, INCEPTION_SIDE).clamp(-1, 1)))
        return np.concatenate(found)

    def _of(self, images: Tensor) -> Array:
        """(N, 3, 299, 299) -> (N, 2048)."""
        self._net.setInput(images.contiguous().numpy())
        features = np.array(self._net.forward()).reshape(len(images), -1)
        if (count := features.shape[1]) != INCEPTION_FEATURES:
            raise CheckpointError(
                f"evaluate.inception gives {count} features of a picture, expected {INCEPTION_FEATURES}; export Inception up to its last pooling"
            )
        return features

    def protocol(self) -> dict[str, Any]:
        return {
            "features": f"{INCEPTION_FEATURES}, as they are",
            "sha256": self._sha256,
            "side": INCEPTION_SIDE,
            "resize": "bilinear, shrunk with antialiasing",
        }


def stripes() -> Tensor:
    """(1, 3, 299, 299) in [-1, 1], by the rule that stands in docs/measuring.md too."""
    return (torch.arange(3 * INCEPTION_SIDE**2) % 255 / 127 - 1).reshape(1, 3, INCEPTION_SIDE, INCEPTION_SIDE)


def _at_side(images: Tensor, side: int) -> Tensor:
    shrinks = images.shape[-1] > side
    return images if images.shape[-1] == side else F.interpolate(images, size=(side, side), mode="bilinear", antialias=shrinks)
