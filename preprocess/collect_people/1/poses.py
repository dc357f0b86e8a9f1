"""Only the rows that are people, scored as poses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COUNTED = 0.2  # least score of a keypoint that counts in the score of its person, as in COCO's top-down evaluations


def collect(regions: NDArray[np.float32], poses: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows of poses f32 [m, K, 3] whose region has an area.

    regions f32 [m, 4]: centre x, centre y, width, height. Raises ValueError when the two differ in rows.
    """
    if len(regions) != len(poses):
        raise ValueError(f"REGIONS has {len(regions)} rows, POSES {len(poses)}; accepted are as many of both")
    seen: NDArray[np.bool_] = (regions[:, 2:] > 0).all(1)
    return poses[seen]


def pose_scores(scores: NDArray[np.float32], keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """f32 [n]: the score of the box times the mean score of the keypoints above COUNTED, 0 when there is none."""
    confidence = keypoints[..., 2]
    counted = confidence > COUNTED
    sums, counts = (confidence * counted).sum(1), counted.sum(1).clip(1)
    ranks: NDArray[np.float32] = (scores * sums / counts).astype(np.float32)
    return ranks
