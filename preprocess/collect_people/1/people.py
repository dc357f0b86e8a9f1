"""Only the rows that are people."""

from __future__ import annotations

import numpy as np


def collect(regions: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """The rows of poses f32 [m, K, 3] whose region has an area.

    regions f32 [m, 4]: centre x, centre y, width, height. Raises ValueError when the two differ in rows.
    """
    if len(regions) != len(poses):
        raise ValueError(f"REGIONS has {len(regions)} rows, POSES {len(poses)}; accepted are as many of both")
    return poses[(regions[:, 2:] > 0).all(1)]
