"""What kind of file somebody's network is in."""

from pathlib import Path

from poseserve.errors import concerning


def is_onnx(path: Path) -> bool:
    """Whether it begins as an ONNX file does, with the tag of a model's first field; TorchScript begins as a zip.

    Raises InputError where it cannot be read.
    """
    with concerning(path), path.open("rb") as file:
        return file.read(1) == b"\x08"
