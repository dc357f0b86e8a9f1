"""Scenes of 0 to 12 rendered people with exact boxes, keypoints, masks, depth and normals; deterministic from a seed.

>>> scene = render_scene(seed=7)
>>> scene.image.shape, scene.parts.shape
((480, 640, 3), (480, 640))
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.backgrounds import background, foreground
from demo.body import FACE_KEYPOINTS, KEYPOINTS, Body, build_body
from demo.render import Light, Surface, extent, render, shade
from demo.solids import rotation

MAX_PEOPLE = 12
SAMPLES = 2  # per pixel and axis, for smooth edges
MIN_VISIBLE = 0.7  # of a person's own silhouette
MIN_INSIDE = 0.6  # of a person's extent, within the image
NEAREST = 2.0  # body heights from the camera to the largest person of a scene


@dataclass(frozen=True)
class Person:
    """Ground truth of one person, in image pixels.

    box: f32 [4] x1, y1, x2, y2 at pixel edges, around the visible pixels. whole_body: f32 [133, 3] COCO-WholeBody x, y,
    visibility at pixel centres: 2 visible, 1 hidden by the person's own body, 0 not labelled (outside the image, behind
    something else, or a face point turned away; x and y are still true). The points that such a body does not define
    (most of its fingers) are 0, 0, 0. area: visible pixels.
    """

    box: NDArray[np.float32]
    whole_body: NDArray[np.float32]
    area: int

    @property
    def keypoints(self) -> NDArray[np.float32]:
        """f32 [17, 3]: COCO's."""
        return self.whole_body[:17]


@dataclass(frozen=True)
class Scene:
    """image: u8 [h, w, 3] RGB. parts: u8 [h, w] Sapiens-28 class ids. people: nearest last.

    depth: f16 [h, w] of all people together, 0 at their nearest pixel, 1 at the farthest; the camera stands NEAREST
    body heights from the largest of them, and who looks half as large is twice as far. normals: f16 [h, w, 3] unit
    vectors, x right, y up, z towards the viewer. Both are NaN without people.
    """

    image: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    depth: NDArray[np.float16]
    normals: NDArray[np.float16]
    people: list[Person]


@dataclass(frozen=True)
class Placed:
    """A person in the image: what `render` sees of the patch of the image that holds them."""

    body: Body
    scale: float
    inside: float  # share of the body's extent that lies within the image
    patch: tuple[int, int, int, int]  # x1, y1, x2, y2, clipped to the image
    surface: Surface  # of the patch
    parts: NDArray[np.uint8]

    @property
    def silhouette(self) -> NDArray[np.bool_]:
        """The person's pixels of the patch, whatever is in front of them."""
        return self.surface.solid >= 0


def place(
    body: Body, scale: float, x: float, y: float, size: tuple[int, int], least_inside: float = MIN_INSIDE
) -> Placed | None:
    """The body in the image with its pelvis at (x, y), or None when less of its extent than `least_inside` is there."""
    placed = body.placed(scale, x, y)
    x1, y1, x2, y2 = extent(placed.solids)
    cx1, cy1 = max(0, int(np.floor(x1))), max(0, int(np.floor(y1)))
    cx2, cy2 = min(size[1], int(np.ceil(x2)) + 1), min(size[0], int(np.ceil(y2)) + 1)
    inside = max(0, cx2 - cx1) * max(0, cy2 - cy1) / ((x2 - x1) * (y2 - y1))
    if inside < least_inside:
        return None
    surface = render(placed.solids, cx1, cy1, cx2, cy2)
    part_of = np.array([s.part for s in placed.solids], np.uint8)
    parts = np.where(surface.solid >= 0, part_of[surface.solid], 0).astype(np.uint8)
    return Placed(placed, scale, inside, (cx1, cy1, cx2, cy2), surface, parts)


def _sizes(rng: np.random.Generator, count: int, height: int) -> NDArray[np.float64]:
    """Heights in pixels of `count` people: few people stand near, crowds stand farther away."""
    high = 0.95 if count <= 2 else 0.8 if count <= 5 else 0.62
    low = 0.4 if count <= 2 else 0.32 if count <= 5 else 0.28
    heights: NDArray[np.float64] = rng.uniform(low, high) * rng.uniform(0.65, 1.35, count)
    return heights.clip(0.22, 1.1) * float(height)


def _arrange(rng: np.random.Generator, size: tuple[int, int], count: int, before: NDArray[np.bool_]) -> list[Placed]:
    """Up to `count` people, farthest first, each visible by at least MIN_VISIBLE past the others and `before`."""
    h, w = size
    people: list[Placed] = []
    for pixels in sorted(_sizes(rng, count, min(h, w))):
        for _attempt in range(4):
            candidate = place(build_body(rng), pixels, rng.uniform(0.02, 0.98) * w, rng.uniform(0.3, 0.8) * h, size)
            if candidate is None:
                continue
            if all(v >= MIN_VISIBLE for v in _visible_shares([*people, candidate], before)):
                people.append(candidate)
                break
    return people


def visible_pixels(people: list[Placed], before: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Per person the pixels of its patch where nothing is in front of it, bool."""
    hidden = before.copy()
    visible = []
    for p in reversed(people):
        x1, y1, x2, y2 = p.patch
        window = hidden[y1:y2, x1:x2]
        visible.append(p.silhouette & ~window)
        window |= p.silhouette
    return visible[::-1]


def _visible_shares(people: list[Placed], before: NDArray[np.bool_]) -> list[float]:
    return [v.sum() / max(1, p.silhouette.sum()) for p, v in zip(people, visible_pixels(people, before), strict=True)]


def ground_truth(p: Placed, visible: NDArray[np.bool_], size: tuple[int, int]) -> Person:
    """The person of whom `visible` [h, w] of the patch, one pixel at least, is seen in an image of `size`."""
    x1, y1, _, _ = p.patch
    rows, cols = np.nonzero(visible)
    box = np.array([cols.min() + x1, rows.min() + y1, cols.max() + x1 + 1, rows.max() + y1 + 1], np.float32)
    keypoints = np.zeros((KEYPOINTS, 3), np.float32)
    for k in np.flatnonzero(np.isfinite(p.body.joints[:, 0])):
        x, y, z = p.body.joints[k]
        column, row = round(x), round(y)
        state = 0
        if 0 <= column < size[1] and 0 <= row < size[0]:
            c, r = column - x1, row - y1
            within = 0 <= r < visible.shape[0] and 0 <= c < visible.shape[1]
            if within and visible[r, c]:
                own = p.surface.depth[r, c] <= z + 1.3 * p.body.joint_radii[k]
                state = 2 if own else 0 if k in FACE_KEYPOINTS else 1
        keypoints[k] = x, y, state
    return Person(box, keypoints, int(visible.sum()))


def render_scene(seed: int, size: tuple[int, int] = (480, 640), people: int | None = None) -> Scene:
    """A scene of `size` (height, width) with up to `people` persons (random 0..12 unless given)."""
    rng = np.random.default_rng(seed)
    if people is None:
        people = int(rng.choice(MAX_PEOPLE + 1, p=np.array([4, 20, 16, 12, 10, 8, 7, 6, 5, 4, 3, 3, 2]) / 100))
    canvas = background(rng, size)
    things, before = foreground(rng, size)
    placed = _arrange(rng, size, people, before)

    light = random_light(rng)
    for p in placed:
        drop_shadow(canvas, p, rng.uniform(0.1, 0.5))
        paint(canvas, p, light)
    canvas[before] = things[before]
    image = _photograph(rng, canvas)

    persons, parts = [], np.zeros(size, np.uint8)
    distance, normals = np.full(size, np.nan, np.float32), np.full((*size, 3), np.nan, np.float16)
    for p, visible in zip(placed, visible_pixels(placed, before), strict=True):
        x1, y1, x2, y2 = p.patch
        patch = slice(y1, y2), slice(x1, x2)
        parts[patch][visible] = p.parts[visible]
        distance[patch][visible] = (NEAREST * placed[-1].scale - p.surface.depth[visible]) / p.scale
        normal = p.surface.normals[visible] * np.array([1, -1, 1], np.float32)
        normals[patch][visible] = normal / np.linalg.norm(normal, axis=1, keepdims=True)  # rounded at the outline
        persons.append(ground_truth(p, visible, size))
    return Scene(image, parts, _relative(distance), normals, persons)


def random_light(rng: np.random.Generator) -> Light:
    """From in front of the people, of some strength and tint."""
    return Light(
        direction=rotation(x=float(rng.uniform(-10, 60)), y=float(rng.uniform(-70, 70))) @ np.array([0.0, 0.0, 1.0]),
        key=rng.uniform(0.35, 0.75) * (1 + rng.normal(0, 0.06, 3)),
        ambient=rng.uniform(0.3, 0.6) * (1 + rng.normal(0, 0.05, 3)),
    )


def _relative(distance: NDArray[np.float32]) -> NDArray[np.float16]:
    """Distances, NaN without people, to f16 0 (nearest) to 1 (farthest)."""
    low, high = np.nanmin(distance, initial=np.inf), np.nanmax(distance, initial=-np.inf)
    return ((distance - low) / (high - low)).astype(np.float16)


def drop_shadow(canvas: NDArray[np.float32], p: Placed, strength: float) -> None:
    """A soft dark ellipse on the ground below the feet."""
    feet = p.body.joints[15:17, :2]
    x, y = feet[:, 0].mean(), feet[:, 1].max() + 0.035 * p.scale
    half = 0.1 * p.scale + 0.5 * abs(feet[0, 0] - feet[1, 0])
    shadow = np.zeros(canvas.shape[:2], np.float32)
    cv2.ellipse(shadow, (int(x), int(y)), (int(half) + 1, int(0.035 * p.scale) + 1), 0, 0, 360, (1.0,), -1)
    reach = max(1.0, 0.03 * p.scale)
    top, bottom = max(0, int(y - 0.25 * p.scale)), max(0, int(y + 0.25 * p.scale))
    if bottom > top and top < canvas.shape[0]:
        band = cv2.GaussianBlur(shadow[top:bottom], (0, 0), reach)
        canvas[top:bottom] *= 1 - strength * band[..., None]


def paint(canvas: NDArray[np.float32], p: Placed, light: Light) -> None:
    """The person on the canvas f32 [h, w, 3] RGB 0..1, with smooth edges."""
    x1, y1, x2, y2 = p.patch
    surface = render(p.body.solids, x1, y1, x2, y2, SAMPLES)
    colour = shade(surface, p.body.solids, p.scale, light)
    cover = (surface.solid >= 0).astype(np.float32)
    shape = (x2 - x1, y2 - y1)
    alpha = cv2.resize(cover, shape, interpolation=cv2.INTER_AREA)[..., None]
    premultiplied = cv2.resize(colour * cover[..., None], shape, interpolation=cv2.INTER_AREA)
    window = canvas[y1:y2, x1:x2]
    window *= 1 - alpha
    window += premultiplied


def _photograph(rng: np.random.Generator, canvas: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Exposure, blur and sensor noise of a camera; u8."""
    if rng.random() < 0.3:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.9)), np.float32)
    canvas = np.clip(canvas, 0, 1) ** rng.uniform(0.75, 1.3)
    canvas = canvas + rng.normal(0, rng.uniform(0.002, 0.025), canvas.shape).astype(np.float32)
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)
