"""Stretches an image to a network's input."""

from __future__ import annotations

import cv2
import numpy as np


def stretch(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """u8 [h, w, 3] -> u8 [height, width, 3], bilinear."""
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)


def region(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """What a crop of height x width would be cut from to hold what the stretched image holds: f32 [4], centre x,
    centre y, width, height. A crop is measured between the centres of its outer pixels, an image at their edges."""
    h, w = pixels.shape[:2]
    return np.array([w / 2 - 0.5, h / 2 - 0.5, w * (1 - 1 / width), h * (1 - 1 / height)], np.float32)
