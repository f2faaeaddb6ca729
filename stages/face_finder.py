"""Faces in whole pictures, by an OpenCV cascade such as https://github.com/nagadomi/lbpcascade_animeface.

The cascade is a local file or an https address; either way its content must have the sha256 that stands in params.yaml. What was fetched
stays in the user's cache (XDG_CACHE_HOME, by default ~/.cache/genga).
"""

import hashlib
import http.client
import os
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from genga.errors import DataError
from genga.params import Crop

TIMEOUT_S = 30
MAX_CASCADE_BYTES = 50_000_000


class Box(NamedTuple):
    """Pixels; x1 and y1 are the first outside."""

    x0: int
    y0: int
    x1: int
    y1: int


class FaceFinder:
    """`find` may be called from any thread."""

    def __init__(self, params: Crop) -> None:
        self._params = params
        self._path = str(_cascade_path(params))
        self._local = threading.local()
        try:
            self._cascade()
        except (cv2.error, SystemError) as error:
            raise DataError(f"{params.cascade} is no OpenCV cascade; give another one as prepare_faces.crop in params.yaml") from error

    def _cascade(self) -> cv2.CascadeClassifier:
        # a CascadeClassifier holds buffers of its own: one for each thread
        if not hasattr(self._local, "cascade"):
            self._local.cascade = cv2.CascadeClassifier(self._path)
        cascade: cv2.CascadeClassifier = self._local.cascade
        return cascade

    def find(self, picture: NDArray[np.uint8]) -> list[Box]:
        """The faces as found, from top to bottom."""
        grey = cv2.equalizeHist(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
        params = self._params
        found = self._cascade().detectMultiScale(
            grey, scaleFactor=params.scale_factor, minNeighbors=params.min_neighbours, minSize=(params.min_face, params.min_face)
        )
        return sorted(
            (Box(x, y, x + w, y + h) for x, y, w, h in np.array(found, dtype=int).reshape(-1, 4).tolist()), key=lambda box: (box.y0, box.x0)
        )


def square_around(box: Box, margin: float, width: int, height: int) -> Box:
    """A square with `margin` of the box's side added on each side, moved, and where need be shrunk, to lie within the picture."""
    side = min(round(max(box.x1 - box.x0, box.y1 - box.y0) * (1 + 2 * margin)), width, height)
    x0 = min(max((box.x0 + box.x1 - side) // 2, 0), width - side)
    y0 = min(max((box.y0 + box.y1 - side) // 2, 0), height - side)
    return Box(x0, y0, x0 + side, y0 + side)


def _cascade_path(params: Crop) -> Path:
    if "://" not in params.cascade:
        path = Path(params.cascade)
        if not path.is_file():
            raise DataError(f"no cascade at {path}; give its path or https address as prepare_faces.crop.cascade in params.yaml")
        _check_sha256(path.read_bytes(), params)
        return path
    cache_dir = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genga"
    path = cache_dir / f"{params.sha256}.xml"
    if not path.is_file():
        content = _fetch(params.cascade)
        _check_sha256(content, params)
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache_dir, delete=False) as partial:
            partial.write(content)
        Path(partial.name).replace(path)
    return path


def _fetch(address: str) -> bytes:
    if not address.startswith("https://"):
        raise DataError(f"the cascade's address is {address}, expected https://...; correct prepare_faces.crop.cascade in params.yaml")
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as reply:
            content: bytes = reply.read(MAX_CASCADE_BYTES)
            return content
    except (OSError, ValueError, http.client.HTTPException) as error:  # the latter two: an address that is none
        raise DataError(f"{address} cannot be fetched ({error}); try again, or fetch it by hand and give its path") from error


def _check_sha256(content: bytes, params: Crop) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != params.sha256:
        raise DataError(f"{params.cascade} has sha256 {found}, expected {params.sha256}; give the right one in prepare_faces.crop of params.yaml")
