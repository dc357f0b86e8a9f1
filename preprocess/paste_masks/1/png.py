"""A mask as a PNG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def encode(mask: NDArray[np.uint8]) -> bytes:
    """u8 [h, w] -> a grey PNG whose values are the mask's. Runs of equal bytes are what such a mask is made of: the
    cheapest compression finds them."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    return cv2.imencode(".png", mask, options)[1].tobytes()
