"""What users of the server send: images, and the tasks that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

CROWD = 20  # people of a crowded photo
PAN = [*range(0, 320, 16), *range(320, 0, -16)]  # left edges of a video's frames in a scene wider than they are


@dataclass(frozen=True)
class Scenario:
    """What one kind of user sends. tasks: methods of PoseClient, with their shares of the requests. render: images, u8
    [h, w, 3] RGB, when no others are given; those of a video in the order of time."""

    tasks: Mapping[str, int]
    render: Callable[[], list[NDArray[np.uint8]]]


def photos() -> list[NDArray[np.uint8]]:
    """One person or few."""
    return [_rendered(seed, (480, 640), 1 + seed % 3) for seed in range(9)]


def crowds() -> list[NDArray[np.uint8]]:
    """Many people in every image."""
    return [_rendered(seed, (720, 1280), CROWD) for seed in range(3)]


def video() -> list[NDArray[np.uint8]]:
    """A camera that pans from left to right and back over four people."""
    scene = _rendered(3, (480, 960), 4)
    return [scene[:, left : left + 640] for left in PAN]


def any_scenes() -> list[NDArray[np.uint8]]:
    """Nobody to twelve people."""
    return [_rendered(seed, (480, 640), None) for seed in range(8)]


SCENARIOS = {
    "photos": Scenario({"pose": 1}, photos),
    "crowds": Scenario({"pose": 1}, crowds),
    "video": Scenario({"pose": 1}, video),
    "mixed": Scenario({"pose": 3, "detect": 1, "parts": 1, "people": 1}, any_scenes),
    "bursts": Scenario({"pose": 1}, photos),
}


@cache
def encoded_images(scenario: str, folder: str) -> list[bytes]:
    """The JPEG files of the folder, ordered by name, or rendered ones. OSError when the folder holds none."""
    if not folder:
        scenes = SCENARIOS[scenario].render()
        return [jpeg(scene) for scene in scenes]
    files = [path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
    if not files:
        raise FileNotFoundError(f"{folder} holds no JPEG files")
    return [path.read_bytes() for path in files]


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """A JPEG file of u8 [h, w, 3] RGB."""
    return cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()


def _rendered(seed: int, size: tuple[int, int], people: int | None) -> NDArray[np.uint8]:
    from demo.scene import render_scene  # not needed where a folder is sent

    return render_scene(seed, size, people).image
