"""Stretches an image to a network's input."""

from __future__ import annotations

import cv2
import numpy as np


def stretch(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """u8 [h, w, 3] -> u8 [height, width, 3], bilinear."""
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
