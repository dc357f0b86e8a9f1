"""Orthographic rendering of solids: depth, surface normals, and which solid every pixel shows; then their colours.

A round cone is the envelope of spheres along a segment, |X - (A + t D)| = r_a + t (r_b - r_a). At the surface the
derivative by t vanishes, which leaves one quadratic in z for every pixel, so depth and normals are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.solids import Solid, Vector

NOTHING = -1
_DepthAndNormals = tuple[NDArray[np.float32], list[NDArray[np.float32]]]  # depth [h, w], x, y and z of the normals


@dataclass(frozen=True)
class Surface:
    """What an orthographic camera sees of some solids, on a patch whose first pixel is (`x0`, `y0`).

    depth: f32 [h, w] towards the viewer, -inf where nothing is. normals: f32 [h, w, 3]. solid: int16 [h, w], index of
    the solid or NOTHING. `step` is the distance of the samples in image pixels.
    """

    x0: float
    y0: float
    step: float
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]
    solid: NDArray[np.int16]


def _extent(s: Solid) -> tuple[float, float, float, float]:
    if s.axes is not None:
        rx, ry = np.sqrt((s.axes[:2] ** 2).sum(1))
        return s.a[0] - rx, s.a[1] - ry, s.a[0] + rx, s.a[1] + ry
    low = np.minimum(s.a[:2] - s.ra, s.b[:2] - s.rb)
    high = np.maximum(s.a[:2] + s.ra, s.b[:2] + s.rb)
    return low[0], low[1], high[0], high[1]


def extent(solids: list[Solid]) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 of all solids together, in the units of the solids."""
    boxes = np.array([_extent(s) for s in solids])
    return (*boxes[:, :2].min(0), *boxes[:, 2:].max(0))


def render(solids: list[Solid], x1: int, y1: int, x2: int, y2: int, samples: int = 1) -> Surface:
    """Render pixels x1..x2-1, y1..y2-1, with `samples` x `samples` samples in each, centred on the pixel."""
    step = 1.0 / samples
    x0, y0 = x1 - 0.5 + step / 2, y1 - 0.5 + step / 2
    shape = ((y2 - y1) * samples, (x2 - x1) * samples)
    depth = np.full(shape, -np.inf, np.float32)
    normals = np.zeros((*shape, 3), np.float32)
    which = np.full(shape, NOTHING, np.int16)
    for i, s in enumerate(solids):
        ex1, ey1, ex2, ey2 = _extent(s)
        c1, c2 = max(0, int(np.ceil((ex1 - x0) / step))), min(shape[1], int(np.floor((ex2 - x0) / step)) + 1)
        r1, r2 = max(0, int(np.ceil((ey1 - y0) / step))), min(shape[0], int(np.floor((ey2 - y0) / step)) + 1)
        if c1 >= c2 or r1 >= r2:
            continue
        px = (x0 + step * np.arange(c1, c2, dtype=np.float64) - s.a[0]).astype(np.float32)[None, :]
        py = (y0 + step * np.arange(r1, r2, dtype=np.float64) - s.a[1]).astype(np.float32)[:, None]
        z, normal = _ellipsoid(s, px, py) if s.axes is not None else _round_cone(s, px, py)
        z += np.float32(s.a[2])
        window = (slice(r1, r2), slice(c1, c2))
        nearer = z > depth[window]
        depth[window][nearer] = z[nearer]
        normals[window][nearer] = np.stack([n[nearer] for n in normal], -1)
        which[window][nearer] = i
    return Surface(x0, y0, step, depth, normals, which)


def _round_cone(s: Solid, px: NDArray[np.float32], py: NDArray[np.float32]) -> _DepthAndNormals:
    dx, dy, dz = (s.b - s.a).astype(np.float32)
    dr = np.float32(s.rb - s.ra)
    k = dx * dx + dy * dy + dz * dz - dr * dr
    ra, rb = np.float32(s.ra), np.float32(s.rb)
    vv = px * px + py * py
    z = np.where(vv <= ra * ra, np.sqrt(np.maximum(ra * ra - vv, 0)), -np.inf).astype(np.float32)
    if k <= 0:  # one end lies inside the other
        if rb > ra:
            z = np.full_like(z, -np.inf)
    else:
        c0 = px * dx + py * dy + ra * dr
        a = 1 - dz * dz / k
        if a > 1e-6:
            half_b = c0 * (dz / k)
            disc = half_b * half_b - a * (vv - ra * ra - c0 * c0 / k)
            side = (half_b + np.sqrt(np.maximum(disc, 0))) / a
            t = (c0 + side * dz) / k
            z = np.maximum(z, np.where((disc >= 0) & (t >= 0) & (t <= 1), side, -np.inf))
    end = rb * rb - (px - dx) ** 2 - (py - dy) ** 2
    z = np.maximum(z, np.where(end >= 0, dz + np.sqrt(np.maximum(end, 0)), -np.inf)).astype(np.float32)
    finite = np.where(np.isfinite(z), z, 0)
    # Where the nearest point of the segment is; for one end inside the other, that other end.
    t = np.clip((px * dx + py * dy + ra * dr + finite * dz) / k, 0, 1) if k > 0 else np.full_like(z, rb > ra)
    r = np.maximum(ra + t * dr, 1e-6)
    return z, [(px - t * dx) / r, (py - t * dy) / r, (finite - t * dz) / r]


def _ellipsoid(s: Solid, px: NDArray[np.float32], py: NDArray[np.float32]) -> _DepthAndNormals:
    assert s.axes is not None
    inverse = np.linalg.inv(s.axes)
    m = (inverse.T @ inverse).astype(np.float32)
    half_b = m[0, 2] * px + m[1, 2] * py
    c = m[0, 0] * px * px + 2 * m[0, 1] * px * py + m[1, 1] * py * py - 1
    disc = half_b * half_b - m[2, 2] * c
    z = (-half_b + np.sqrt(np.maximum(disc, 0))) / m[2, 2]
    n = [m[i, 0] * px + m[i, 1] * py + m[i, 2] * z for i in range(3)]
    length = np.maximum(np.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2), 1e-9)
    return np.where(disc >= 0, z, -np.inf).astype(np.float32), [c / length for c in n]


@dataclass(frozen=True)
class Light:
    """A key light from `direction` (unit, towards the light) over ambient light; colours RGB 0..1."""

    direction: Vector
    key: Vector
    ambient: Vector


def shade(surface: Surface, solids: list[Solid], scale: float, light: Light) -> NDArray[np.float64]:
    """RGB f64 [h, w, 3] 0..1 of the surface; `scale` is the person's size in pixels per body unit."""
    seen = surface.solid >= 0
    colours = np.array([s.material.colour for s in solids], np.float32)
    base = colours[np.where(seen, surface.solid, 0)]
    for i, s in enumerate(solids):
        if s.material.pattern != "plain":
            rows, cols = np.nonzero(surface.solid == i)
            if rows.size:
                x = np.stack(
                    [
                        surface.x0 + surface.step * cols - s.a[0],
                        surface.y0 + surface.step * rows - s.a[1],
                        surface.depth[rows, cols] - s.a[2],
                    ],
                    -1,
                )
                local = (x @ s.frame) / (scale * s.material.period)
                base[rows, cols] = np.where(
                    _pattern(s.material.pattern, local)[:, None], s.material.second, s.material.colour
                )
    lambert = np.clip(surface.normals @ light.direction.astype(np.float32), 0, 1)[..., None]
    # Crevices: a pixel well behind its surroundings gets less ambient light.
    flat = np.where(seen, surface.depth, surface.depth[seen].min(initial=0.0) if seen.any() else 0.0)
    reach = 0.03 * scale / surface.step
    behind = (cv2.GaussianBlur(flat, (0, 0), max(reach, 0.5)) - flat) / (0.12 * scale)
    shadow = 1 - 0.75 * np.clip(behind, 0, 1)[..., None]
    ambient = light.ambient * (0.75 + 0.25 * surface.normals[..., 2:3])
    colour: NDArray[np.float64] = base * (ambient * shadow + light.key * lambert * shadow)
    return colour


def _pattern(name: str, local: NDArray[np.float64]) -> NDArray[np.bool_]:
    u, v = local[:, 0] % 1, local[:, 1] % 1
    if name == "stripes":
        return u < 0.5
    if name == "hoops":
        return v < 0.5
    if name == "checks":
        return (u < 0.5) ^ (v < 0.5)
    return (u - 0.5) ** 2 + (v - 0.5) ** 2 < 0.07
