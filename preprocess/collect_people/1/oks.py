"""Non-maximum suppression by object keypoint similarity (Papandreou et al., arXiv 1701.01779, 3.2.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

USUAL_SIGMA = 0.08  # of keypoint sets that name none: about the mean of COCO's


def similarity(
    keypoints: NDArray[np.float32], areas: NDArray[np.floating[Any]], sigmas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """OKS of every pair of people, as COCO defines it: keypoints [n, K, 3], areas [n] in pixels, sigmas [K] -> [n, n].

    The area of a pair is the mean of the two.
    """
    apart = ((keypoints[:, None, :, :2] - keypoints[None, :, :, :2]) ** 2).sum(3)
    area = (areas[:, None] + areas) / 2
    oks: NDArray[np.float64] = np.exp(-apart / (8 * sigmas**2 * area[..., None])).mean(2)
    return oks


def keep(
    keypoints: NDArray[np.float32],
    regions: NDArray[np.float32],
    scores: NDArray[np.float32],
    sigmas: Mapping[int, Sequence[float]],
    max_oks: float,
) -> NDArray[np.intp]:
    """The rows to keep, ascending, of keypoints [n, K, 3] with their regions [n, 4] and the scores of the poses [n].

    sigmas: by number of keypoints, as a pose does not say of which set it is.
    """
    if max_oks >= 1 or len(scores) < 2:
        return np.arange(len(scores))
    count = keypoints.shape[1]
    known = np.array(sigmas.get(count, [USUAL_SIGMA] * count))
    return select(similarity(keypoints, regions[:, 2:].prod(1), known), scores, max_oks)


def select(oks: NDArray[np.float64], scores: NDArray[np.float32], max_oks: float) -> NDArray[np.intp]:
    """The rows to keep, ascending: a person goes when one that scores better and stays is more alike than `max_oks`."""
    keep = np.ones(len(scores), bool)
    order = np.argsort(-scores, kind="stable")
    for place, row in enumerate(order):
        if keep[row]:
            later = order[place + 1 :]
            keep[later] &= oks[row, later] <= max_oks
    return np.flatnonzero(keep)


def parse_oks_nms(parameters: Mapping[str, object], default: float) -> float:
    """Most similarity of two people, 0..1, where 1 suppresses nobody: `default`, unless `oks_nms` says otherwise.

    Raises ValueError for a value that is no number from 0 to 1, nor a string that holds one.
    """
    value = parameters.get("oks_nms", default)
    number = math.nan
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            number = float(value)
    if not 0 <= number <= 1:  # false for NaN too
        raise ValueError(f"parameter oks_nms is {value!a:.60}; accepted is a number from 0 to 1")
    return number
