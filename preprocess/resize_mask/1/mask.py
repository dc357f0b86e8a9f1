"""Stretches a map of class ids to the size of the image."""

from __future__ import annotations

import cv2
import numpy as np

MAX_PIXELS, MAX_SIDE = 2**27, 32766  # of an image, as in decode_image


def stretch(classes: np.ndarray, size: np.ndarray) -> np.ndarray:
    """u8 [H, W] -> u8 [h, w]: the class of the nearest pixel, centres aligned; `size` is h, w.

    Raises ValueError for a size that no image has.
    """
    height, width = (int(side) for side in size)
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE and height * width <= MAX_PIXELS):
        raise ValueError(
            f"SIZE is {height}, {width}; accepted are sides from 1 to {MAX_SIDE}, at most {MAX_PIXELS} pixels"
        )
    return cv2.resize(classes, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
