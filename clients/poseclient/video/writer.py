"""Writes a video with the times and the sound of its source; what is written can be played if the program is killed."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError
from poseclient.files import whole_file
from poseclient.video.frames import MICROSECOND, Frame, av
from poseclient.video.sources import Source

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# Each frame is a fragment of its own and reaches the disk at once, so that only those in the encoder can be lost.
FRAGMENTS = {"movflags": "frag_every_frame+empty_moov+default_base_moof", "flush_packets": "1"}
BT709 = 1  # FFmpeg's number of the colours of HD, for primaries, transfer and matrix alike


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg and its options: about as good as the usual video on the web, faster than real time."""

    encoder: str
    options: dict[str, str]


CODECS = {
    "h264": Codec("libx264", {"preset": "veryfast", "crf": "21"}),
    "vp9": Codec(
        "libvpx-vp9",
        {"deadline": "realtime", "cpu-used": "7", "row-mt": "1", "crf": "31", "b": "0", "lag-in-frames": "0"},
    ),
    "av1": Codec("libsvtav1", {"preset": "9", "crf": "32"}),
}


class VideoWriter:
    """Writes frames into `path`, an MP4: first beside it as `<stem>.part.mp4`, without sound.

    The size is that of the first frame, made even, as the encoders want it. Frames of another size are fitted into it.
    start: seconds of the source at which the video begins. A context manager: at its end, whatever ends it, the video
    is made whole.
    """

    def __init__(self, path: Path, codec: str, source: Source, start: float) -> None:
        self.path, self.part = path, path.with_name(f"{path.stem}.part.mp4")
        self._codec, self._source, self._start = CODECS[codec], source, start
        self._container: OutputContainer | None = None
        self._stream: Any = None
        self._size = 0, 0
        self._has_frames = False
        self._times = 0.0, 0.0  # of the first and the last frame in the source, in seconds

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._container is None:
            return
        with self._container as container:
            if self._has_frames:
                container.mux(self._stream.encode(None))
        if self._has_frames:
            _with_sound(self.part, self.path, self._source, self._start, *self._times)
        self.part.unlink(missing_ok=True)

    def add(self, frame: Frame, picture: NDArray[np.uint8]) -> None:
        """Write a picture u8 [h, w, 3] RGB in the place of the frame, at the frame's time.

        InputError for one that the encoder refuses, such as a very large one.
        """
        try:
            self._add(frame, picture)
        except av().error.FFmpegError as error:
            raise InputError(f"{self.part}: {self._codec.encoder}: {error.strerror}") from error

    def _add(self, frame: Frame, picture: NDArray[np.uint8]) -> None:
        if self._container is None:
            self._open(frame, picture)
        image = av().VideoFrame.from_ndarray(fit(picture, self._size), format="rgb24")
        image.pts, image.time_base = frame.pts, frame.tick
        assert self._container is not None
        self._container.mux(self._stream.encode(image.reformat(format="yuv420p", dst_colorspace=BT709)))
        self._has_frames, self._times = True, (self._times[0], frame.time)

    def _open(self, frame: Frame, picture: NDArray[np.uint8]) -> None:
        self._times = frame.time, frame.time
        height, width = picture.shape[:2]
        self._size = height + height % 2, width + width % 2
        os.environ["SVT_LOG"] = "1"  # the encoder of AV1 would report all its settings
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self._container = av().open(str(self.part), "w", options=FRAGMENTS)
        self._stream = self._container.add_stream(self._codec.encoder, options=dict(self._codec.options))
        context = self._stream.codec_context
        context.height, context.width = self._size
        context.pix_fmt, context.time_base = "yuv420p", frame.tick
        context.colorspace = context.color_primaries = context.color_trc = BT709


def fit(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture in the size (height, width): one row or column repeated if it lacks one, else scaled on black."""
    (height, width), (h, w) = size, picture.shape[:2]
    if (h, w) == size:
        return picture
    if 0 <= height - h <= 1 and 0 <= width - w <= 1:
        return cv2.copyMakeBorder(picture, 0, height - h, 0, width - w, cv2.BORDER_REPLICATE)  # type: ignore[return-value]
    scale = min(height / h, width / w)
    h, w = max(1, round(h * scale)), max(1, round(w * scale))
    top, left = (height - h) // 2, (width - w) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + h, left : left + w] = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    return canvas


def _with_sound(part: Path, path: Path, source: Source, start: float, first: float, last: float) -> None:
    """The video of `part` and the sound of the source as one plain MP4; nothing is encoded.

    Seconds of the source: start: at which the new file begins; first, last: of the frames of `part`, which does not
    keep them, because it cannot say when it begins.
    """
    with ExitStack() as stack:
        whole = stack.enter_context(whole_file(path))
        video = stack.enter_context(av().open(str(part)))
        output = stack.enter_context(av().open(str(whole), "w", options={"movflags": "faststart"}))
        zero = (video.start_time or 0) - round((first - start) / MICROSECOND)
        tracks = [_copied(video, video.streams.video[0], output, zero, 0.0, math.inf)]
        if not source.is_live:
            container = stack.enter_context(source.open())
            sounds = [sound for sound in container.streams.audio if sound.codec_context.name in output.supported_codecs]
            if sounds:
                zero = container.start_time or 0
                tracks.append(_copied(container, sounds[0], output, zero, start, last))
        for packet in heapq.merge(*tracks, key=lambda packet: (packet.dts or 0) * packet.time_base):
            output.mux(packet)


def _copied(
    container: InputContainer,
    stream: VideoStream | AudioStream,
    output: OutputContainer,
    zero: int,
    start: float,
    end: float,
) -> Iterator[Packet[Any]]:
    """The packets of a stream from `start` to `end`, for a new stream of the output, in which `start` is at 0.

    zero: microseconds of the container's own time at which these seconds begin.
    """
    copy, tick = output.add_stream_from_template(stream, opaque=True), stream.time_base or MICROSECOND
    origin = round(zero * MICROSECOND / tick)
    if start:
        container.seek(round(start / MICROSECOND) + zero)

    def packets() -> Iterator[Packet[Any]]:
        for packet in container.demux(stream):
            if packet.dts is None or packet.pts is None or float((packet.pts - origin) * tick) < start:
                continue
            if float((packet.pts - origin) * tick) > end:
                return
            packet.dts, packet.pts = (ticks - origin - round(start / tick) for ticks in (packet.dts, packet.pts))
            packet.stream = copy
            yield packet

    return packets()
