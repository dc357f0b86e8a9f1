"""Small videos made by the tests, with or without sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clients.video.numbered import Image

TICK = Fraction(1, 90_000)


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Writes images as a video of that name, with a tone where `sound` is; each image at its time in seconds."""

    def make(
        name: str,
        images: Sequence[Image],
        times: Sequence[float] | None = None,
        sound: bool = False,
        rotation: int = 0,
        encoder: str = "libx264",
        pix_fmt: str = "yuv420p",
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        times = [i / 25 for i in range(len(images))] if times is None else times
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(encoder, rate=25, options={"preset": "ultrafast"})
            stream.height, stream.width = images[0].shape[:2]
            stream.pix_fmt, stream.codec_context.time_base = pix_fmt, TICK
            stream.codec_context.max_b_frames = 2  # so that the decoder still holds frames at the end
            if rotation:
                stream.set_display_rotation(rotation)
            tone: Any = container.add_stream("aac", rate=48_000) if sound else None
            for image, time in zip(images, times, strict=True):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = round(time / TICK), TICK
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if tone:
                for start in range(0, int(times[-1] * 48_000), 1024):
                    wave = np.sin(np.arange(start, start + 1024) / 17)[None].astype(np.float32)
                    samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                    samples.sample_rate, samples.pts = 48_000, start
                    container.mux(tone.encode(samples))
                container.mux(tone.encode(None))
        return path

    return make
