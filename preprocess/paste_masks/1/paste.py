"""Masks of people's crops, pasted into one mask of the image."""

from __future__ import annotations

import numpy as np


def paste(masks: np.ndarray, regions: np.ndarray, height: int, width: int) -> np.ndarray:
    """Class ids u8 [m, H, W] of crops, and regions [m, 4] centre x, centre y, width, height -> u8 [height, width].

    The inverse of the UDP crop, nearest neighbour. Where crops overlap, each pixel belongs to the one in whose middle
    it lies: a neighbour's limb at the edge of a crop is seen better in the neighbour's own. A region without area is
    nobody.
    """
    image = np.zeros((height, width), np.uint8)
    nearest = np.full((height, width), np.inf, np.float32)
    for mask, (x, y, w, h) in zip(masks, regions.astype(np.float64), strict=True):
        if not (w > 0 and h > 0):
            continue
        rows, columns = _inside(y, h, height), _inside(x, w, width)
        patch = np.ix_(rows, columns)
        aside, astray = np.abs(columns - x) / w, np.abs(rows - y) / h
        distance = np.maximum(astray[:, None], aside[None]).astype(np.float32)
        crop_rows = np.rint((rows - y + h / 2) * (mask.shape[0] - 1) / h).astype(int)
        crop_columns = np.rint((columns - x + w / 2) * (mask.shape[1] - 1) / w).astype(int)
        own = distance < nearest[patch]
        image[patch] = np.where(own, mask[np.ix_(crop_rows, crop_columns)], image[patch])
        nearest[patch] = np.where(own, distance, nearest[patch])
    return image


def _inside(centre: float, size: float, limit: int) -> np.ndarray:
    """The pixels of one axis whose centres lie in the region and in the image."""
    first, last = np.ceil(centre - size / 2), np.floor(centre + size / 2)
    return np.arange(max(0, int(first)), min(limit - 1, int(last)) + 1)
