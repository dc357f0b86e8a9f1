"""Brings an image to a network's input, as the authors of the network do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def stretch(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """u8 [h, w, 3] -> u8 [height, width, 3], bilinear."""
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def average(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The same, each pixel the mean of what it covers, or bicubic where the width grows."""
    interpolation = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(pixels, (width, height), interpolation=interpolation).astype(np.uint8, copy=False)


def pad(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """u8 [h, w, 3] -> u8 [height, width, 3]: scaled to fit, bilinear, in the middle of black."""
    padded = np.zeros((height, width, 3), np.uint8)
    top, left, h, w = bounds(pixels, height, width)
    padded[top : top + h, left : left + w] = stretch(pixels, h, w)
    return padded


def bounds(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.int32]:
    """Where the padded image shows the image: i32 [4], top, left, height, width. Sides are rounded down, and black that
    cannot be halved is more at the bottom and on the right, as in the test pipelines of Sapiens2."""
    h, w = pixels.shape[:2]
    scale = min(width / w, height / h)
    h, w = max(1, int(h * scale)), max(1, int(w * scale))
    return np.array([(height - h) // 2, (width - w) // 2, h, w], np.int32)


def region(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """What a crop of height x width would be cut from to hold what the stretched image holds: f32 [4], centre x,
    centre y, width, height. A crop is measured between the centres of its outer pixels, an image at their edges."""
    h, w = pixels.shape[:2]
    return np.array([w / 2 - 0.5, h / 2 - 0.5, w * (1 - 1 / width), h * (1 - 1 / height)], np.float32)


# Outputs of the step, without the input size in their names.
MAKE: dict[str, Callable[[NDArray[np.uint8], int, int], NDArray[Any]]] = {
    "RESIZED": stretch,
    "AVERAGED": average,
    "REGIONS": region,
    "PADDED": pad,
    "BOUNDS": bounds,
}
