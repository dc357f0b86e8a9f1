"""What a command line means by its sources: files, folders, patterns, lists, addresses, cameras."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from poseclient.errors import InputError
from poseclient.path_lists import expand
from poseclient.video.frames import Frame, Selection, av, read_frames

if TYPE_CHECKING:
    from av.container import InputContainer

SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".ogv", ".3gp", ".y4m", ".gif"),
}
LIVE_SCHEMES = {"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp"}
RTSP = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay"}
TIMEOUT = 5.0, 5.0  # seconds until an address answers, and between two packets


@dataclass(frozen=True)
class Source:
    """A video or a camera.

    location: a path, an address, or what FFmpeg's device or filter `format` reads. name: of its files, below the folder
    of the results.
    """

    location: str
    name: str
    format: str | None = None

    @property
    def is_address(self) -> bool:
        """Whether it comes over the network."""
        return "://" in self.location

    @property
    def is_live(self) -> bool:
        """Whether it has no end and waits for nobody: it cannot be read twice."""
        return self.format is not None or urlsplit(self.location).scheme in LIVE_SCHEMES

    @property
    def label(self) -> str:
        """What messages call it: the location without user, password and query, which may hold a token."""
        return hide_credentials(self.location)

    @contextmanager
    def open(self) -> Iterator[InputContainer]:
        """The open container. What FFmpeg says goes wrong in it becomes an InputError that hides credentials."""
        if self.format:
            _check_format(self.format)
        options = RTSP if self.location.startswith("rtsp") else {}
        timeout = TIMEOUT if self.is_address or self.is_live else None
        with readable(self), av().open(self.location, "r", self.format, options, timeout=timeout) as container:
            yield container


def _check_format(name: str) -> None:
    try:
        av().ContainerFormat(name, "r")
    except ValueError as error:
        raise InputError(f"FFmpeg has no input format {name!r} here") from error


@contextmanager
def readable(source: Source) -> Iterator[None]:
    """Whatever FFmpeg cannot read becomes an InputError. Its own words hold the location, and so credentials."""
    try:
        yield
    except av().error.ExitError:
        raise InputError(f"{source.label}: nothing came for {TIMEOUT[1]:g} s") from None
    except av().error.FFmpegError as error:
        raise InputError(f"{source.label}: {error.strerror}") from None


def file_frames(source: Source, selection: Selection) -> Generator[Frame, None, None]:
    """The frames of a source that is no camera; InputError for one that cannot be read."""
    with readable(source), source.open() as container:
        yield from read_frames(container, selection)


def hide_credentials(text: str) -> str:
    """An address without user, password and query; other text as it is."""
    return re.sub(r"(\w+://)(?:[^/@\s]*@)?([^?\s]*)(?:\?\S*)?", r"\1\2", text)


def find_sources(
    arguments: Sequence[str], out: Path, input_format: str | None = None
) -> tuple[list[Source], list[Path]]:
    """The sources, and files of the folders that are no videos by their suffix.

    An argument is a file, a folder, which is searched with all its sub folders, `out` excepted, a pattern such as
    `day*/*.mp4`, a list `.txt` with one of these a line, beside which its paths start, or an address. With
    `input_format` it is what that device or filter reads, as it is. InputError for a path where there is nothing.
    """
    if input_format:
        return _named([], arguments, input_format), []
    paths, addresses, others = list[Path](), list[str](), list[Path]()
    tops = list[Path]()
    for text in expand(arguments):
        if "://" in text:
            addresses.append(text)
            continue
        path = Path(os.path.abspath(text))
        if not path.exists():
            raise InputError(f"{text}: no such file or folder")
        found = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        tops.append(path if path.is_dir() else path.parent)
        for file in found:
            if not path.is_dir() or (file.suffix.lower() in SUFFIXES and out.absolute() not in file.parents):
                paths.append(file)
            elif out.absolute() not in file.parents:
                others.append(file)
    top = os.path.commonpath(tops) if tops else ""
    files = [Source(str(path), path.relative_to(top).as_posix()) for path in dict.fromkeys(paths)]
    return _named(files, addresses, None), others


def _named(files: Sequence[Source], locations: Sequence[str], input_format: str | None) -> list[Source]:
    """The files and the other locations, with names that no two of them share."""
    sources, taken = list(files), {source.name for source in files}
    for location in dict.fromkeys(locations):
        parts = re.findall(r"[\w.-]+", hide_credentials(location).partition("://")[2] or location)
        stem = "_".join(parts).strip(".")[:100] or "source"
        name = next(name for n in range(1, len(taken) + 2) if (name := stem if n == 1 else f"{stem}-{n}") not in taken)
        taken.add(name)
        sources.append(Source(location, name, input_format))
    return sources
