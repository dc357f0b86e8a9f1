"""COCO's compressed run-length encoding (RLE) of masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 5  # of a run's length in one character; the sixth says that more follow
FIRST = ord("0")


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask [h, w] as COCO's `segmentation`: `size` [h, w], and `counts`, a string.

    Runs go down the columns and begin with one of zeros, which may be empty. From the fourth on, a run is written as
    its difference from the last but one.
    """
    pixels = np.concatenate([[False], mask.ravel(order="F")])
    edges = np.flatnonzero(pixels[1:] != pixels[:-1])
    runs = np.diff(np.concatenate([[0], edges, [mask.size]]))
    runs[3:] -= runs[1:-2].copy()
    return {"size": list(mask.shape), "counts": "".join(map(_characters, runs.tolist()))}


def _characters(number: int) -> str:
    """A signed number in groups of five bits, the lowest first, of which the last has its sign in its highest bit."""
    text = ""
    while True:
        group, number = number & 31, number >> BITS
        is_last = number == (-1 if group & 16 else 0)
        text += chr(FIRST + (group if is_last else group | 32))
        if is_last:
            return text
