"""Images that tell their number, and what is in a video that was written."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

Image = np.ndarray


def bars(number: int, size: tuple[int, int] = (96, 128)) -> Image:
    """An image that tells its number: eight grey bars, white ones for the bits of the number, the lowest on the left.

    The upper left corner is red.
    """
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    for bit in range(8):
        image[:, bit * width // 8 : (bit + 1) * width // 8] = 200 if number >> bit & 1 else 40
    image[: height // 4, : width // 8] = (220, 30, 30)
    return image


def number_of(image: Image) -> int:
    """The number of `bars`, read in the lower half."""
    height, width = image.shape[:2]
    return sum(1 << bit for bit in range(8) if image[height * 3 // 4, (2 * bit + 1) * width // 16].mean() > 120)


def shown(path: Path) -> list[tuple[float, Image]]:
    """The time and the pixels of each frame of a video, by PyAV, without any turn."""
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def seconds_of_sound(path: Path) -> float:
    """How long the sound is."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return 0.0
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
