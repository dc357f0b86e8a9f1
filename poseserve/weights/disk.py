"""Room on a disk, asked for before anything large is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from poseserve.errors import DiskFullError


def check_space(path: Path, size: int) -> None:
    """DiskFullError when the disk of `path`, which need not exist, has less than `size` bytes free."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DiskFullError(
            f"{path.name} needs {_human(size)}, {folder} has {_human(free)} free: make room or choose another folder"
        )


def _human(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
