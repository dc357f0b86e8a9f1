"""Images are read as the server reads them; tests/images has a file of every kind."""

from __future__ import annotations

from pathlib import Path

from poseclient import images, reading
from poseserve.defaults import MAX_PIXELS, MAX_SIDE
from poseserve.repository.folders import PREPROCESS


def test_the_step_and_the_client_read_by_the_same_file() -> None:
    of_the_step = PREPROCESS / "decode_image" / "1" / "reading.py"
    assert Path(reading.__file__).read_bytes() == of_the_step.read_bytes()


def test_the_limits_are_those_of_the_server() -> None:
    assert (images.MAX_PIXELS, images.MAX_SIDE) == (MAX_PIXELS, MAX_SIDE)
