"""How near a picture is to the one it should be. Pictures are uint8 (N, H, W, C); the data range is 255.

One picture at a time is made float64: held-out sets have thousands.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]

PSNR_LIMIT = 100.0  # dB, for pictures without a difference
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03  # Wang et al. 2004, section III.C


def psnr(found: Pictures, truth: Pictures) -> float:
    """Mean over the pictures of each one's peak signal-to-noise ratio in dB."""
    mse = np.array([((a.astype(np.float64) - b) ** 2).mean() for a, b in zip(found, truth, strict=True)])
    return float(np.minimum(PSNR_LIMIT, 10 * np.log10(255**2 / np.maximum(mse, 1e-9))).mean())


def ssim(found: Pictures, truth: Pictures) -> float:
    """Mean structural similarity over pictures and channels (Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861, eq. 13)."""
    return float(np.mean([_ssim(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(found, truth, strict=True)]))


def sharpness(found: Pictures, truth: Pictures) -> float:
    """How steep the pictures are beside the truth: mean gradient of the luma, found / truth. 1: as sharp; enlarged by bicubic about a half; above 1
    are noise and haloes."""
    return _steepness(found) / max(_steepness(truth), 1e-9)


def sharpness_error(found: Pictures, truth: Pictures) -> float:
    """How far the sharpness is from the truth's, |log(found / truth)|. 0: as sharp; half and twice as steep are as wrong."""
    return float(np.abs(np.log(max(sharpness(found, truth), 1e-9))))


def _steepness(pictures: Pictures) -> float:
    """Mean length of the gradient, of 255 a pixel, by central differences."""
    return float(np.mean([np.hypot(*np.gradient(picture.astype(np.float64) @ LUMA)).mean() for picture in pictures]))


def _ssim(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    c1, c2 = (K1 * 255) ** 2, (K2 * 255) ** 2
    mean_a, mean_b, square_a, square_b, product = (_blurred(x) for x in (a, b, a * a, b * b, a * b))
    variance_a, variance_b, covariance = square_a - mean_a**2, square_b - mean_b**2, product - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2) / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))
    return float(similarity.mean())


def _blurred(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means over the window; beyond the edge the picture is mirrored."""
    return np.asarray(cv2.GaussianBlur(picture, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REFLECT_101), dtype=np.float64)
