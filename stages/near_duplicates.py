"""Pictures that people would call the same: saved again, scaled, or a little brighter.

A 64-bit difference hash (http://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html) names candidates, the colours
of 32-pixel thumbnails decide: drawn faces share their layout, and so their hash, while hair and eyes differ.
Two expressions of one character differ in a mouth or a blush alone: there, and nowhere else. Copies differ along all their lines. So a block of
4x4 pixels that differs much more than the whole tells two pictures apart. Measured on real and on drawn faces, a copy's farthest block is nearly
always at most 3 times as far off as the whole, that of another mouth, blush or eye colour 3.4 to 8 times.
The hash of a new picture is compared with all that were kept: 71,300 pictures take a few seconds, and no radius is too wide for that.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL = 32
BLOCK = 4
# times the difference of the whole: beyond it a block shows something else
STANDS_OUT = 3.0
# neighbours must differ by more than this to set a bit: in flat paper and hair the noise of a second JPEG must not
STEP = 2

Thumbnail = NDArray[np.uint8]


def difference_hash(thumbnail: Thumbnail) -> np.uint64:
    grey = cv2.resize(cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits: np.uint64 = np.packbits(grey[:, 1:] - grey[:, :-1] > STEP).view(np.uint64)[0]
    return bits


class Kept:
    """The pictures kept so far, by place."""

    def __init__(self, max_bits: int, max_rms: float) -> None:
        self._max_bits, self._max_rms = max_bits, max_rms
        self._count = 0
        self._hashes: NDArray[np.uint64] = np.empty(1024, np.uint64)
        self._thumbnails: NDArray[np.uint8] = np.empty((1024, THUMBNAIL, THUMBNAIL, 3), np.uint8)

    def find(self, hash_: np.uint64, thumbnail: Thumbnail) -> int | None:
        """The place of the first kept picture that is the same to the eye: its root mean square difference is below `max_rms`, and that of each
        block is too, or below STANDS_OUT times the whole's."""
        candidates = np.flatnonzero(np.bitwise_count(self._hashes[: self._count] ^ hash_) <= self._max_bits)
        if len(candidates) == 0:
            return None
        difference = self._thumbnails[candidates].astype(np.float32) - thumbnail
        blocks = np.square(difference).reshape(-1, THUMBNAIL // BLOCK, BLOCK, THUMBNAIL // BLOCK, BLOCK * 3).mean(axis=(2, 4))
        whole, farthest = np.sqrt(blocks.mean(axis=(1, 2))), np.sqrt(blocks.max(axis=(1, 2)))
        same = np.flatnonzero((whole < self._max_rms) & (farthest < np.maximum(self._max_rms, STANDS_OUT * whole)))
        return int(candidates[same[0]]) if len(same) else None

    def keep(self, hash_: np.uint64, thumbnail: Thumbnail) -> None:
        if self._count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
            self._thumbnails = np.concatenate([self._thumbnails, np.empty_like(self._thumbnails)])
        self._hashes[self._count], self._thumbnails[self._count] = hash_, thumbnail
        self._count += 1
