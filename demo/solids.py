"""The shapes that a rendered person is made of: round cones and ellipsoids of some material."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]  # [3]
Matrix = NDArray[np.float64]  # [3, 3]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """A colour, RGB 0..1, and a pattern of a second colour over it, whose period is in body units."""

    colour: Vector
    second: Vector = field(default_factory=lambda: np.zeros(3))
    pattern: str = "plain"  # plain, stripes, hoops, checks, dots
    period: float = 0.06


@dataclass(frozen=True)
class Solid:
    """A round cone from `a` to `b` (radii `ra`, `rb`), or, with `axes`, an ellipsoid at `a`.

    `part` is its Sapiens class id. `frame` [3, 3] turns patterns with the limb. `axes` [3, 3] holds the ellipsoid's
    semi-axes as columns.
    """

    part: int
    material: Material
    a: Vector
    b: Vector
    ra: float
    rb: float
    frame: Matrix = field(default_factory=lambda: np.eye(3))
    axes: Matrix | None = None


def ellipsoid(part: int, material: Material, centre: Vector, semi_axes: Vector, frame: Matrix) -> Solid:
    """An ellipsoid whose three semi-axes lie along the columns of `frame` [3, 3]."""
    return Solid(part, material, centre, centre, 0.0, 0.0, frame, frame @ np.diag(semi_axes))


def rotation(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Matrix:
    """Rz(z) @ Ry(y) @ Rx(x), angles in degrees, f64 [3, 3]."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(np.radians([x, y, z])), np.cos(np.radians([x, y, z]))
    rx: Matrix = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry: Matrix = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz: Matrix = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return rz @ ry @ rx
