"""`python -m loadtest.experiments.decoding`: how long the step `decode_image` takes for a 1080p image of each format,
against OpenCV alone and Pillow alone.

All are measured in turns in one process, with one thread.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from demo.evaluate import evaluation_scene
from loadtest.experiments import machine
from loadtest.experiments.turns import times_in_turns
from poseclient.columns import columns
from poseclient.images import decode_image
from poseserve.defaults import MAX_PIXELS, MAX_SIDE
from poseserve.in_process import step_module

SCENE, SIZE = 45, (1920, 1080)
FORMATS = {
    "JPEG": ("JPEG", {"quality": 90}),
    "JPEG, progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {"quality": 90}),
    "BMP": ("BMP", {}),
    "TIFF": ("TIFF", {}),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.experiments.decoding", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args(argv).rounds
    cv2.setNumThreads(1)
    step = step_module("decode_image", "images")
    picture = PIL.Image.fromarray(cv2.resize(decode_image(evaluation_scene(SCENE)[0]), SIZE))
    rows: list[tuple[str, ...]] = [("1080p, p50 ms", "OpenCV", "Pillow", "decode_image", "over OpenCV")]
    for name, (kind, options) in FORMATS.items():
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        encoded = buffer.getvalue()
        variants: dict[str, Callable[[], Any]] = {
            "OpenCV": partial(cv2.imdecode, np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB),
            "Pillow": partial(_by_pillow, encoded),
            "step": partial(step.decode, encoded, MAX_PIXELS, MAX_SIDE),
        }
        expected, *others = (decode() for decode in variants.values())
        if not all(np.array_equal(expected, pixels) for pixels in others):
            raise RuntimeError(f"{name}: the pixels of the step differ from those of OpenCV or Pillow")
        times = times_in_turns(variants, warm_up=3, rounds=rounds, requests=1)
        ratio = float(np.median(times["step"] / times["OpenCV"]))
        rows.append((name, *(f"{np.median(values):.1f}" for values in times.values()), f"{ratio:.2f}"))
    print(machine.described())
    print(columns(rows, left=1))
    return 0


def _by_pillow(encoded: bytes) -> NDArray[np.uint8]:
    return np.asarray(PIL.Image.open(io.BytesIO(encoded)).convert("RGB"))


if __name__ == "__main__":
    sys.exit(main())
