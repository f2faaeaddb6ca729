"""What a face looks like without any network that learned: the colours of its parts and the directions of its edges."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 64
COLOURS = 8  # cells of the picture's side whose mean colour is taken
# histograms of nine directions of edges in cells of 16 pixels (Dalal and Triggs 2005, Histograms of oriented gradients)
EDGES = cv2.HOGDescriptor((SIDE, SIDE), (32, 32), (16, 16), (16, 16), 9)

Floats = NDArray[np.float32]


def colours_and_edges(pictures: NDArray[np.uint8]) -> Floats:
    """uint8 (N, R, R, 3) -> (N, F)"""
    described: Floats = np.stack([_described(picture) for picture in pictures])
    return described


def _described(picture: NDArray[np.uint8]) -> Floats:
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    colours = cv2.resize(lab, (COLOURS, COLOURS), interpolation=cv2.INTER_AREA)
    edges = EDGES.compute(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    return np.asarray(np.concatenate([colours.ravel(), 50 * np.asarray(edges).ravel()]), np.float32)
