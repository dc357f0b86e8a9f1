"""Frames of a video file, as a viewer shows them and when."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MICROSECOND = Fraction(1, 1_000_000)  # FFmpeg's unit of a container's times


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    index: its number in the source, from 0. pts: when it is shown, in ticks after the start of the source; a frame has
    more than the one before. tick: seconds. image: u8 [h, w, 3] RGB.
    """

    index: int
    pts: int
    tick: Fraction
    image: NDArray[np.uint8]

    @property
    def time(self) -> float:
        """When it is shown, in seconds after the start of the source."""
        return float(self.pts * self.tick)


@dataclass(frozen=True)
class Selection:
    """Which frames, and how they are turned.

    start, end: seconds of the source, a frame at `end` is left out. every: 2 takes every other frame. rotate: degrees
    counter-clockwise, a multiple of 90, after the turn that the file itself asks for.
    """

    start: float = 0.0
    end: float = math.inf
    every: int = 1
    rotate: int = 0


def av() -> Any:
    """The package `av`; MissingExtraError without it."""
    try:
        return import_module("av")
    except ModuleNotFoundError as error:
        raise MissingExtraError("videos need av, on Python 3.11 or later: pip install 'poseclient[video]'") from error


def read_frames(container: InputContainer, selection: Selection, is_live: bool = False) -> Generator[Frame, None, None]:
    """The frames of an open container. InputError for one without video. is_live: each frame as soon as it is there.

    Packets that cannot be decoded are passed over, as a viewer does. After a seek to `start`, the frame there has the
    index 0.
    """
    stream = video_stream(container)
    # Threads that decode several frames at once are faster, but hold as many frames back.
    stream.thread_type = "SLICE" if is_live else "AUTO"
    tick = stream.time_base or Fraction(1, 1000)
    origin = round((container.start_time or 0) * MICROSECOND / tick)
    if selection.start:
        container.seek(round(selection.start / MICROSECOND) + (container.start_time or 0))
    index, last = 0, -1
    for frame in _decoded(container, stream):
        # Some files, such as AVI with B-frames, have times out of order; those of decoding are in order then.
        times = [ticks - origin for ticks in (frame.pts, frame.dts) if ticks is not None and ticks - origin > last]
        pts = times[0] if times else last + _ticks(stream, tick)
        time = float(pts * tick)
        if time < selection.start:
            continue  # from the key frame before the start up to it
        if time >= selection.end:
            return
        last = pts
        if index % selection.every == 0:
            yield Frame(index, pts, tick, pixels(frame, selection.rotate))
        index += 1


def count_frames(container: InputContainer, selection: Selection) -> int | None:
    """About how many frames are selected, None where the container does not say how long it is."""
    stream = video_stream(container)
    duration = float(container.duration * MICROSECOND) if container.duration else None
    if duration is None or not stream.average_rate:
        return None
    selected = max(0.0, min(duration, selection.end) - selection.start)
    whole = stream.frames or duration * float(stream.average_rate)
    return math.ceil(whole * selected / duration / selection.every) if duration else None


def video_stream(container: InputContainer) -> VideoStream:
    """The first video of a container; InputError where there is none."""
    if not container.streams.video:
        raise InputError("there is no video in it")
    return container.streams.video[0]


def pixels(frame: VideoFrame, rotate: int) -> NDArray[np.uint8]:
    """u8 [h, w, 3] RGB, turned as the display matrix of the file says and then by `rotate`, both counter-clockwise."""
    turns = (round(frame.rotation / 90) + rotate // 90) % 4
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))


def _decoded(container: InputContainer, stream: VideoStream) -> Generator[VideoFrame, None, None]:
    error = av().error
    try:
        for packet in container.demux(stream):  # the last one is empty, for the frames that the decoder still holds
            try:
                yield from packet.decode()
            except error.InvalidDataError:
                continue
    except error.FFmpegError:  # such as a camera that stalls
        yield from stream.decode(None)
        raise


def _ticks(stream: VideoStream, tick: Fraction) -> int:
    """Of a frame without a time: as long as the average frame is shown."""
    return max(1, round(1 / (stream.average_rate or 25) / tick))
