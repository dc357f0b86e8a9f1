"""Patterns and lists on the command line."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from poseclient.errors import InputError


def expand(arguments: Iterable[str], folder: Path = Path()) -> Iterator[str]:
    """The arguments, with files in the place of patterns and of lists.

    A pattern is one of the shell, such as `day*/**/*.mp4`. A list is a file `.txt` with an argument on each line; its
    paths start beside it, and lines with # are comments. Addresses and other paths stay as they are. InputError for a
    pattern that fits nothing, and for a list that there is not.
    """
    for text in arguments:
        path = text if "://" in text else str(folder / text)
        if "://" in text or (os.path.exists(path) and not text.lower().endswith(".txt")):
            yield path
        elif text.lower().endswith(".txt"):
            yield from expand(_lines(Path(path)), Path(path).parent)
        elif glob.has_magic(text):
            yield from _matches(path)
        else:
            yield path


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such list")
    lines = map(str.strip, path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _matches(pattern: str) -> list[str]:
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise InputError(f"{pattern}: nothing fits this pattern")
    return found
