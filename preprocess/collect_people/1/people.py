"""Only the rows that are people, scored as poses."""

from __future__ import annotations

import numpy as np

COUNTED = 0.2  # least score of a keypoint that counts in the score of its person, as in COCO's top-down evaluations


def collect(regions: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """The rows of poses f32 [m, K, 3] whose region has an area.

    regions f32 [m, 4]: centre x, centre y, width, height. Raises ValueError when the two differ in rows.
    """
    if len(regions) != len(poses):
        raise ValueError(f"REGIONS has {len(regions)} rows, POSES {len(poses)}; accepted are as many of both")
    return poses[(regions[:, 2:] > 0).all(1)]


def pose_scores(scores: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """f32 [n]: the score of the box times the mean score of the keypoints above COUNTED, 0 when there is none."""
    confidence = keypoints[..., 2]
    counted = confidence > COUNTED
    return (scores * (confidence * counted).sum(1) / counted.sum(1).clip(1)).astype(np.float32)
