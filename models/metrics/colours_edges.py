"""What a face looks like without any network that learned: the colours of its parts and the directions of its edges."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 64
COLOURS = 8  # cells of the picture's side whose mean colour is taken
# histograms of nine directions of edges in cells of 16 pixels (Dalal and Triggs 2005, Histograms of oriented gradients)
EDGES = cv2.HOGDescriptor((SIDE, SIDE), (32, 32), (16, 16), (16, 16), 9)

Floats = NDArray[np.float32]


def colours(pictures: NDArray[np.uint8], cells: int) -> Floats:
    """uint8 (N, R, R, 3) -> (N, 3 cells^2): the mean Lab colour of each cell. Pale pictures stay pale, where edges are told by direction alone."""
    described: Floats = np.stack([cv2.resize(_lab(picture), (cells, cells), interpolation=cv2.INTER_AREA).ravel() for picture in pictures])
    return described


def colours_and_edges(pictures: NDArray[np.uint8]) -> Floats:
    """uint8 (N, R, R, 3) -> (N, F)"""
    described: Floats = np.stack([_described(picture) for picture in pictures])
    return described


def _described(picture: NDArray[np.uint8]) -> Floats:
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    coloured = cv2.resize(_lab(small), (COLOURS, COLOURS), interpolation=cv2.INTER_AREA)
    edges = EDGES.compute(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    return np.asarray(np.concatenate([coloured.ravel(), 50 * np.asarray(edges).ravel()]), np.float32)


def _lab(picture: NDArray[Any]) -> Floats:
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
