"""Training samples: random views of rendered scenes with the targets of each network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from cv2.typing import MatLike
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from demo.dataset import SIDE, Shard, load_shards
from poseclient.keypoints import class_set, keypoint_set

CROP = 256, 192  # height, width
PARTS_CROP = 320, 240
WHOLE = 384, 384  # the whole image, stretched
CELLS, STRIDE = 80, 8

Arrays = tuple[NDArray[Any], ...]


def _recolour(rng: np.random.Generator, image: MatLike) -> MatLike:
    """Random gain, gamma and tint, sometimes grey, blurred or JPEG-compressed; u8 [h, w, 3]."""
    ramp = np.linspace(0, 1, 256) ** rng.uniform(0.7, 1.4) * 255 * rng.uniform(0.7, 1.3)
    table = ramp[:, None] * rng.normal(1, 0.07, 3) + rng.normal(0, 6)
    image = cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[None])
    if rng.random() < 0.1:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.3))
    if rng.random() < 0.15:
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))])
        image = cv2.imdecode(code, cv2.IMREAD_UNCHANGED)
    return image


def _mirror(width: float) -> NDArray[np.float64]:
    """x -> width - x."""
    return np.array([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]])


class Samples(IterableDataset[tuple[torch.Tensor, ...]]):
    """An endless stream of samples of `task`, one of those of `demo.train`, the same for the same seed."""

    def __init__(self, task: str, seed: int) -> None:
        samples: dict[str, Callable[[np.random.Generator, Shard], Arrays]] = {
            "detector": self._detector,
            "pose": partial(self._pose, np.array(keypoint_set("coco_17").mirrored)),
            "pose_133": partial(self._pose, np.array(keypoint_set("coco_wholebody_133").mirrored)),
            "parts": self._parts,
            "geometry": self._geometry,
        }
        self.sample = samples[task]
        self.seed = seed
        self.class_swap = np.array(class_set("sapiens_28").mirrored, np.uint8)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        shards = load_shards()
        while True:
            arrays = self.sample(rng, shards[rng.integers(len(shards))])
            yield tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)

    def _person(
        self, rng: np.random.Generator, person: NDArray[np.float32], crop: tuple[int, int]
    ) -> tuple[NDArray[np.float64], bool]:
        """The map from pixels of the scene of a row of `people` to those of a crop [3, 3], and whether that mirrors."""
        height, width = crop
        box = person[1:5].astype(float)
        size = (box[2:] - box[:2]) * 1.25
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.04, 2) * size
        side = max(size[0] / width, size[1] / height) * np.exp(rng.normal(0, 0.1))
        angle = np.radians(rng.normal(0, 10)) if rng.random() < 0.5 else 0.0
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        shift = np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, 1]])
        scale = np.array(
            [
                [(width - 1) / width / side, 0, (width - 1) / 2],
                [0, (height - 1) / height / side, (height - 1) / 2],
                [0, 0, 1],
            ]
        )
        m = scale @ turn @ shift
        mirrored = rng.random() < 0.5
        return _mirror(width - 1) @ m if mirrored else m, mirrored

    def _pose(self, swap: NDArray[np.int64], rng: np.random.Generator, shard: Shard) -> Arrays:
        """Crop u8 [256, 192, 3]; the first keypoints f32 [K, 3] in crop pixels with visibility. swap: [K]."""
        person = shard.people[rng.integers(len(shard.people))]
        m, mirrored = self._person(rng, person, CROP)
        scene = int(person[0])
        h, w = shard.sizes[scene]
        keypoints = person[5:].reshape(-1, 3)[: len(swap)].copy()
        if mirrored:
            keypoints = keypoints[swap]
        crop = cv2.warpAffine(shard.images[scene, :h, :w], m[:2], CROP[::-1])
        keypoints[:, :2] = keypoints[:, :2] @ m[:2, :2].T + m[:2, 2]
        inside = (keypoints[:, :2] >= -2).all(1) & (keypoints[:, :2] <= [CROP[1] + 1, CROP[0] + 1]).all(1)
        keypoints[~inside, 2] = 0
        return _recolour(rng, crop), keypoints

    def _view(
        self, rng: np.random.Generator, low: float, high: float, width: float, height: float
    ) -> NDArray[np.float64]:
        """A random zoom and mirror of a `width` x `height` frame, in edge coordinates, [3, 3]."""
        zoom = np.exp(rng.uniform(np.log(low), np.log(high)))
        x, y = rng.uniform(0, 1, 2) * (1 - zoom) * [width, height]
        m = np.array([[zoom, 0, x], [0, zoom, y], [0, 0, 1.0]])
        return _mirror(width) @ m if rng.random() < 0.5 else m

    def _detector(self, rng: np.random.Generator, shard: Shard) -> Arrays:
        """Image u8 [640, 640, 3]; f32 peaks and weights [80, 80], boxes x1, y1, x2, y2 in cells [4, 80, 80]."""
        scene = int(rng.integers(len(shard.images)))
        h, w = shard.sizes[scene]
        m = self._view(rng, 0.55, 1.5, float(w), float(h))
        border = (114, 114, 114)
        image = cv2.warpAffine(shard.images[scene, :h, :w], _centres(m)[:2], (SIDE, SIDE), borderValue=border)
        peaks, weights = np.zeros((CELLS, CELLS), np.float32), np.zeros((CELLS, CELLS), np.float32)
        boxes = np.zeros((4, CELLS, CELLS), np.float32)
        cells = np.arange(CELLS) + 0.5
        for row in shard.people[shard.people[:, 0] == scene]:
            corners = row[1:5].reshape(2, 2) @ m[:2, :2].T + m[:2, 2]
            full = np.concatenate([corners.min(0), corners.max(0)])
            box = np.clip(full, 0, SIDE)
            sides = box[2:] - box[:2]
            if sides.min() < 6 or sides.prod() < 0.3 * (full[2:] - full[:2]).prod():
                continue
            sigma = np.maximum(sides * 0.07 / STRIDE, 0.7)
            centre = (box[:2] + box[2:]) / 2 / STRIDE
            centre = np.clip(np.floor(centre), 0, CELLS - 1) + 0.5
            gx, gy = (np.exp(-0.5 * ((cells - c) / s) ** 2) for c, s in zip(centre, sigma, strict=True))
            bump = (gy[:, None] * gx[None, :]).astype(np.float32)
            stronger = bump > np.maximum(weights, 0.3)
            weights[stronger] = bump[stronger]
            boxes[:, stronger] = (box / STRIDE)[:, None]
            peaks = np.maximum(peaks, bump)
        return _recolour(rng, image), peaks, weights, boxes

    def _parts(self, rng: np.random.Generator, shard: Shard) -> Arrays:
        """Crop u8 [320, 240, 3]; class ids u8 [160, 120] of all people in it, at the centres of 2 x 2 pixels."""
        sides = shard.people[:, 3:5] - shard.people[:, 1:3]
        share = np.sqrt(sides.prod(1))  # masks are scored by the pixel: large people count for more
        person = rng.choice(shard.people, p=share / share.sum())
        m, mirrored = self._person(rng, person, PARTS_CROP)
        scene = int(person[0])
        h, w = shard.sizes[scene]
        crop = cv2.warpAffine(shard.images[scene, :h, :w], m[:2], PARTS_CROP[::-1])
        halved = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])
        size = (PARTS_CROP[1] // 2, PARTS_CROP[0] // 2)
        mask = cv2.warpAffine(shard.parts[scene, :h, :w], (halved @ m)[:2], size, flags=cv2.INTER_NEAREST)
        return _recolour(rng, crop), self.class_swap[mask] if mirrored else mask

    def _geometry(self, rng: np.random.Generator, shard: Shard) -> Arrays:
        """Image u8 [384, 384, 3]; at the centres of 2 x 2 pixels depth f32 [192, 192], NaN without people, and normals
        f32 [3, 192, 192]. Stretching changes neither: they are those of the original image."""
        scene = int(rng.integers(len(shard.images)))
        h, w = shard.sizes[scene]
        size = WHOLE[1] // 2, WHOLE[0] // 2
        view = self._view(rng, 1.0, 1.5, float(w), float(h))
        stretch = np.diag([WHOLE[1] / w, WHOLE[0] / h, 1]) @ view
        half = _centres(np.diag([0.5, 0.5, 1]) @ stretch)[:2]
        image = cv2.warpAffine(shard.images[scene, :h, :w], _centres(stretch)[:2], WHOLE[::-1])
        original = shard.depth[scene, :h, :w].astype(np.float32)
        depth = cv2.warpAffine(original, half, size, flags=cv2.INTER_NEAREST, borderValue=(np.nan,))
        normals = cv2.warpAffine(shard.normals[scene, :h, :w], half, size, flags=cv2.INTER_NEAREST)
        towards_right = np.sign(view[0, 0])  # of the original image, -1 if mirrored
        normals = normals * np.float32(1 / 127) * np.array([towards_right, 1, 1], np.float32)
        return _recolour(rng, image), depth, normals.transpose(2, 0, 1)


def _centres(m: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine map of edge coordinates as the same map of pixel-centre coordinates."""
    half: NDArray[np.float64] = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    return np.linalg.inv(half) @ m @ half
