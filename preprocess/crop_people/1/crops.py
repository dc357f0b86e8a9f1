"""The region of a person, and its UDP crop (Huang et al., "The Devil is in the Details", CVPR 2020)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def regions(boxes: NDArray[np.floating[Any]], aspect: float, scale: float) -> NDArray[np.float64]:
    """Boxes [n, 4] -> f64 [n, 4], centre x, centre y, width, height in image pixels.

    The box grown by `scale` around its centre, then widened or heightened to `aspect` (width / height).
    """
    boxes = boxes.astype(np.float64)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    width, height = ((boxes[:, 2:] - boxes[:, :2]) * scale).T
    sides = np.stack([np.maximum(width, height * aspect), np.maximum(height, width / aspect)], 1)
    return np.concatenate([centres, sides], 1)


def crop(pixels: NDArray[np.uint8], people: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    """The regions f64 [n, 4] of u8 [h, w, 3], bilinear, black outside the image: u8 [n, height, width, 3].

    Pixel centres of a region's border fall on pixel centres of the crop's border:
    x_crop = (width - 1) / region width * (x - centre x + region width / 2).
    A region without area gives a black crop.
    """
    crops = np.zeros((len(people), height, width, 3), np.uint8)
    for (x, y, w, h), out in zip(people, crops, strict=True):
        if w <= 0 or h <= 0:
            continue
        to_image = np.array([[w / (width - 1), 0, x - w / 2], [0, h / (height - 1), y - h / 2]])
        cv2.warpAffine(pixels, to_image, (width, height), dst=out, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return crops
