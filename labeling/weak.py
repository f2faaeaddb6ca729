"""Labels without people: hair and eye colour by clustering the colours of a face, in CIELAB, where equal distances look alike.

Where in the pictures the eyes lie is read off their mean (`layout_of`), so that tight crops and busts both work. Around that, the pixels where
hair and irises are to be expected are clustered; the cluster that is large, in its place and no skin is the colour; the nearest of a palette
is its name. What is nearly as close to another name stays unsaid: a labelling function may abstain (Ratner et al. 2017,
https://arxiv.org/abs/1711.10160). The palette was set by eye.
"""

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from genga.progress import progress
from genga.tags import Labels, groups

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float64]

SIDE = 64
CHUNK = 500  # pictures read for the mean
# L, a, b of each colour as it is painted
HAIR = {
    "blonde": (78, 8, 32),
    "brown": (44, 13, 15),
    "black": (22, 3, -1),
    "blue": (52, 5, -28),
    "pink": (72, 27, 4),
    "purple": (52, 21, -20),
    "aqua": (70, -19, -12),
    "green": (59, -22, 16),
    "gray": (64, 4, -1),
    "red": (45, 42, 18),
    "white": (86, 3, -2),
    "orange": (61, 28, 40),
}
EYES = {
    "blue": (42, 4, -27),
    "red": (38, 38, 17),
    "green": (48, -22, 16),
    "purple": (40, 25, -22),
    "brown": (35, 16, 14),
    "aqua": (52, -14, -11),
    "yellow": (60, 9, 38),
    "pink": (52, 40, 2),
    "orange": (53, 30, 36),
    "black": (22, 4, 0),
    "gray": (48, 3, 0),
}
LIGHTNESS = 0.6  # weight of a difference in L beside one in a and b
CLEARLY = 8.0  # how much farther off the second name has to be


def weak_labels(pictures: Pictures) -> list[Labels]:
    """uint8 (N, R, R, 3) of faces that lie alike -> what hair and eyes look like, where that is clear; 1,000 pictures take about a second."""
    if len(pictures) == 0:
        return []
    places = places_of(layout_of(pictures))
    found: list[Labels] = []
    for picture in progress(pictures, what="name colours", unit="faces"):
        hair, eyes = hair_and_eyes(lab_of(picture), places)
        named = {"hair_color": clear_name(hair, HAIR), "eye_color": clear_name(eyes, EYES)}
        found.append({group: name for group, name in named.items() if name and name in groups().get(group, ())})
    return found


def clear_name(colour: Floats, palette: Mapping[str, tuple[int, int, int]]) -> str | None:
    """The nearest name of L, a, b; None where another is almost as near."""
    away = _apart(np.array(list(palette.values()), np.float64), colour, LIGHTNESS)
    first, second = np.argsort(away)[:2]
    return list(palette)[first] if away[second] - away[first] >= CLEARLY else None


class Layout(NamedTuple):
    """The eyes of a mean face, in [0, 1] of its side: both at height `y`, each `apart` from the middle."""

    y: float
    apart: float


def layout_of(pictures: Pictures) -> Layout:
    """From uint8 (N, R, R, 3) of faces that lie alike: the eyes are the two dark spots, mirror images of each other, in their mean."""
    sums = sum(pictures[at : at + CHUNK].sum(axis=0, dtype=np.float64) for at in range(0, len(pictures), CHUNK))
    gray = cv2.resize(np.asarray(sums / len(pictures)).mean(axis=2), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    dark = cv2.GaussianBlur(gray, (0, 0), SIDE / 12) - cv2.GaussianBlur(gray, (0, 0), SIDE / 50)
    both = (dark + dark[:, ::-1])[round(0.3 * SIDE) : round(0.65 * SIDE), round(0.18 * SIDE) : round(0.44 * SIDE)]
    row, column = np.unravel_index(int(both.argmax()), both.shape)
    return Layout(float(row + round(0.3 * SIDE) + 0.5) / SIDE, float(0.5 - (column + round(0.18 * SIDE) + 0.5) / SIDE))


class Places(NamedTuple):
    """Where, on SIDE x SIDE pixels, hair, skin and irises are to be expected, at most about 1."""

    hair: Floats
    skin: Floats
    eyes: Floats


def places_of(layout: Layout) -> Places:
    """All in lengths of `apart`, from between the eyes."""
    down, across = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    down, across = (down - layout.y) / layout.apart, np.abs(across - 0.5) / layout.apart

    def around(x: float, y: float, wide: float, high: float) -> Floats:
        near: Floats = np.exp(-(((across - x) / wide) ** 2 + ((down - y) / high) ** 2) / 2)
        return near

    crown, sides = around(0, -1.14, 1.26, 0.51), around(1.7, -0.57, 0.51, 0.86)
    return Places(crown + 0.6 * sides, around(0, 1.03, 0.57, 0.34), around(1, 0.1, 0.51, 0.43))


def clusters(pixels: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
    """k-means of (P, 3): which cluster each pixel is in, and their middles (count, 3). The same pixels give the same clusters."""
    cv2.setRNGSeed(0)
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 1.0)
    _, chosen, middles = cv2.kmeans(pixels.astype(np.float32), count, np.empty(0), until, 1, cv2.KMEANS_PP_CENTERS)
    return chosen.ravel().astype(np.int64), middles.astype(np.float64)


def beyond(distance: Floats, near: float, blur: float) -> Floats:
    """0 for what is nearer than `near`, 1 for what is farther, and in between."""
    return 1 / (1 + np.exp((near - distance) / blur))


def lab_of(picture: Pictures) -> Floats:
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).astype(np.float64)


def hair_and_eyes(lab: Floats, places: Places) -> tuple[Floats, Floats]:
    """L, a, b of each."""
    skin = np.median(lab[places.skin > 0.5], axis=0)
    where = places.hair > 0.15
    chosen, middles = clusters(lab[where], 5)
    weight = np.bincount(chosen, places.hair[where], len(middles)) * beyond(_apart(middles, skin, 0.5), 9, 2.5)
    hair: Floats = middles[weight.argmax()]

    where = places.eyes > 0.2
    chosen, middles = clusters(lab[where], 7)
    weights = np.bincount(chosen, places.eyes[where], len(middles))
    centred = weights / np.bincount(chosen, minlength=len(middles)).clip(1)
    no_skin, no_hair = beyond(_apart(middles, skin, 0.5), 14, 3), beyond(_apart(middles, hair, 0.7), 12, 3)
    colourful = np.hypot(middles[:, 1], middles[:, 2]) + 8
    lit = (middles[:, 0] > 12) & (middles[:, 0] < 85)
    score = np.sqrt(weights) * centred**2 * no_skin * (0.5 + no_hair) * colourful * lit
    return hair, middles[score.argmax()]


def _apart(colours: Floats, colour: Floats, lightness: float) -> Floats:
    apart: Floats = np.linalg.norm((colours - colour) * (lightness, 1, 1), axis=1)
    return apart
