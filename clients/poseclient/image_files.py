"""The images that a command line names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from poseclient.images import SUFFIXES
from poseclient.path_lists import expand


class Inputs(NamedTuple):
    """Images by names that no two of them share, and files of the folders that are no images by their suffix."""

    images: dict[str, Path]
    others: list[Path]


def find_images(paths: Sequence[Path], out: Path) -> Inputs:
    """The images of files and folders; their names are the paths below the folder that holds them all.

    Patterns and lists are expanded first. Folders are searched with all their sub folders, `out` excepted; a file that
    is named is taken whatever its suffix.
    """
    tops: list[Path] = []
    found: list[Path] = []
    others: list[Path] = []
    for path in (Path(os.path.abspath(path)) for path in expand(map(str, paths))):
        if path.is_dir():
            tops.append(path)
            files = [file for file in sorted(path.rglob("*")) if out.absolute() not in file.parents and file.is_file()]
            found += (file for file in files if file.suffix.lower() in SUFFIXES)
            others += (file for file in files if file.suffix.lower() not in SUFFIXES)
        else:
            tops.append(path.parent)
            found.append(path)
    top = os.path.commonpath(tops)
    return Inputs({file.relative_to(top).as_posix(): file for file in found}, others)
