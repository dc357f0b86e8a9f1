"""What is behind rendered people, and what is in front of them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def _noise(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> NDArray[np.float32]:
    """Smooth noise -1..1, f32 [h, w]; features are about `cell` pixels wide."""
    small = rng.uniform(-1, 1, (shape[0] // cell + 2, shape[1] // cell + 2)).astype(np.float32)
    return np.asarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _colour(rng: np.random.Generator, low: float = 0.1, high: float = 0.95) -> list[float]:
    grey = rng.uniform(low, high)
    return [float(v) for v in np.clip(grey + rng.normal(0, 0.13, 3), 0, 1)]


def background(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """A plain, indoor, outdoor or cluttered background, RGB f32 [h, w, 3] 0..1."""
    h, w = size
    kind = rng.choice(["plain", "room", "outdoors", "clutter"], p=[0.15, 0.3, 0.25, 0.3])
    canvas = np.empty((h, w, 3), np.float32)
    if kind == "plain":
        a, b = np.array(_colour(rng)), np.array(_colour(rng))
        ramp = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
        canvas[:] = a * (1 - 0.3 * ramp) + b * 0.3 * ramp
    elif kind == "room":
        _room(rng, canvas)
    elif kind == "outdoors":
        _outdoors(rng, canvas)
    else:
        canvas[:] = _colour(rng)
        for _ in range(int(rng.integers(10, 45))):
            _shape(rng, canvas, rng.uniform(0.02, 0.3))
    canvas += _noise(rng, size, int(rng.integers(8, 80)))[..., None] * rng.uniform(0.0, 0.06)
    if rng.random() < 0.4:
        cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.8, 5), dst=canvas)
    return np.clip(canvas, 0, 1)


def _room(rng: np.random.Generator, canvas: NDArray[np.float32]) -> None:
    h, w = canvas.shape[:2]
    horizon = int(h * rng.uniform(0.45, 0.75))
    canvas[:] = _colour(rng, 0.3)
    floor = np.array(_colour(rng), np.float32)
    canvas[horizon:] = floor * np.linspace(0.75, 1.1, h - horizon, dtype=np.float32)[:, None, None]
    vanish = w * rng.uniform(0.2, 0.8)
    line = (floor * rng.uniform(0.6, 0.9)).tolist()
    for x in np.arange(-3 * w, 4 * w, w * rng.uniform(0.1, 0.35)):
        cv2.line(canvas, (int(vanish), horizon), (int(x), h), line, 1, cv2.LINE_AA)
    cv2.line(canvas, (0, horizon), (w, horizon), _colour(rng), int(rng.integers(1, 6)))
    for _ in range(int(rng.integers(1, 6))):  # pictures, doors, windows, cupboards
        x, y = int(rng.uniform(0, w)), int(rng.uniform(-0.1, 0.5) * h)
        cw, ch = int(rng.uniform(0.06, 0.25) * w), int(rng.uniform(0.1, 0.5) * h)
        cv2.rectangle(canvas, (x, y), (x + cw, y + ch), _colour(rng), -1)
        cv2.rectangle(canvas, (x, y), (x + cw, y + ch), _colour(rng, 0.05, 0.5), 2)
    for _ in range(int(rng.integers(0, 5))):
        _shape(rng, canvas, rng.uniform(0.03, 0.15))


def _outdoors(rng: np.random.Generator, canvas: NDArray[np.float32]) -> None:
    h, w = canvas.shape[:2]
    horizon = int(h * rng.uniform(0.35, 0.65))
    ramp = np.linspace(0, 1, horizon, dtype=np.float32)[:, None, None]
    canvas[:horizon] = (
        np.array([0.35, 0.55, 0.85], np.float32) * (1 - ramp) + np.array([0.8, 0.87, 0.92], np.float32) * ramp
    )
    ground = np.array(
        [[0.3, 0.45, 0.2], [0.55, 0.5, 0.42], [0.45, 0.45, 0.47], [0.75, 0.68, 0.5]][rng.integers(4)],
        np.float32,
    )
    canvas[horizon:] = ground * np.linspace(0.8, 1.1, h - horizon, dtype=np.float32)[:, None, None]
    for _ in range(int(rng.integers(3, 14))):  # trees and houses along the horizon
        x, s = int(rng.uniform(0, w)), rng.uniform(0.05, 0.25) * h
        if rng.random() < 0.6:
            green = (np.array([0.2, 0.38, 0.15]) * rng.uniform(0.6, 1.4)).tolist()
            cv2.line(canvas, (x, horizon + 4), (x, int(horizon - s)), [0.3, 0.22, 0.15], max(1, int(s * 0.1)))
            for _ in range(6):
                dx, dy = rng.normal(0, s * 0.25, 2)
                cv2.circle(canvas, (int(x + dx), int(horizon - s + dy)), int(s * 0.3), green, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(
                canvas,
                (x, int(horizon - s)),
                (int(x + s * rng.uniform(0.6, 2)), horizon + 3),
                _colour(rng),
                -1,
            )
    canvas[horizon:] += (_noise(rng, (h - horizon, w), 3) * 0.05)[..., None]


def _shape(rng: np.random.Generator, canvas: NDArray[np.float32], relative: float) -> None:
    """One random shape; round limbs in skin and cloth colours are among them, so colour does not give people away."""
    h, w = canvas.shape[:2]
    x, y, s = rng.uniform(0, w), rng.uniform(0, h), relative * max(h, w)
    colour = _colour(rng)
    kind = rng.integers(5)
    if kind == 0:
        box = cv2.boxPoints(((x, y), (s, s * rng.uniform(0.2, 2)), rng.uniform(0, 180)))
        cv2.fillPoly(canvas, [box.astype(np.int32)], colour, cv2.LINE_AA)
    elif kind == 1:
        axes = (int(s * 0.5) + 1, int(s * rng.uniform(0.15, 0.5)) + 1)
        cv2.ellipse(canvas, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    elif kind == 2:
        points = (np.array([x, y]) + rng.normal(0, s * 0.5, (int(rng.integers(3, 7)), 2))).astype(np.int32)
        cv2.fillPoly(canvas, [points], colour, cv2.LINE_AA)
    elif kind == 3:
        angle = rng.uniform(0, 2 * np.pi)
        end = (int(x + s * np.cos(angle)), int(y + s * np.sin(angle)))
        skin = np.array([0.85, 0.65, 0.5]) * rng.uniform(0.4, 1.1)
        tone = np.clip(skin, 0, 1).tolist() if rng.random() < 0.5 else colour
        cv2.line(canvas, (int(x), int(y)), end, tone, max(2, int(s * rng.uniform(0.05, 0.25))), cv2.LINE_AA)
    else:
        for k in range(int(rng.integers(3, 10))):
            px = int(x + k * s * 0.15)
            cv2.line(canvas, (px, int(y - s * 0.5)), (px, int(y + s * 0.5)), colour, max(1, int(s * 0.04)))


def foreground(rng: np.random.Generator, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Objects in front of the people, often none: RGB f32 [h, w, 3] 0..1, and their mask, bool [h, w]."""
    h, w = size
    canvas, mask = np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.uint8)
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 4))):
            colour = _colour(rng)
            if rng.random() < 0.5:  # a post
                x, half = int(rng.uniform(0, w)), max(1, int(rng.uniform(0.004, 0.02) * w))
                corners = (x - half, int(rng.uniform(0, 0.5) * h)), (x + half, h)
            else:  # a box or a table
                x, y = int(rng.uniform(0, w)), int(rng.uniform(0.6, 0.95) * h)
                corners = (x, y), (x + int(rng.uniform(0.05, 0.2) * w), y + int(rng.uniform(0.05, 0.3) * h))
            cv2.rectangle(canvas, *corners, colour, -1)
            cv2.rectangle(mask, *corners, 1, -1)
            cv2.rectangle(canvas, *corners, [c * 0.6 for c in colour], 2)
            cv2.rectangle(mask, *corners, 1, 2)
    return canvas, mask.astype(bool)
