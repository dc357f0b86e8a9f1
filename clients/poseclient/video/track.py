"""`track` of both clients: the tracked people of a video, a camera, or frames of your own."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Coroutine, Generator, Iterable, Iterator
from contextlib import aclosing
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError
from poseclient.focus import Focus
from poseclient.smoothing import Smoother
from poseclient.tracking import SCORE_THRESHOLD, Tracker
from poseclient.video.follow import Asking, Step, TrackedFrame, follow, frames_at_once
from poseclient.video.frames import Frame, Selection
from poseclient.video.live import LiveSource
from poseclient.video.sources import Source, file_frames
from poseclient.video.window import in_thread

if TYPE_CHECKING:
    from poseclient.aio import AsyncPoseClient

T = TypeVar("T")
Pixels = NDArray[np.uint8]
OwnFrame = Pixels | tuple[float, Pixels]  # an image, or its time in seconds and the image
FrameSource = str | os.PathLike[str] | Iterable[OwnFrame] | AsyncIterable[OwnFrame]

TICK = Fraction(1, 1_000_000)  # of the times of frames that the caller gives
LOG = logging.getLogger("poseclient")


async def track(
    client: AsyncPoseClient,
    source: FrameSource,
    *,
    model: str,
    tracker: str,
    detect_every: int,
    window: int,
    wait: float,
    smooth: bool,
    focus: str | None,
    fps: float,
    input_format: str | None,
    **options: Any,
) -> AsyncGenerator[TrackedFrame, None]:
    """See `AsyncPoseClient.track`."""
    asking = Asking(model, options, detect_every, frames_at_once(window, detect_every), wait, say=LOG.warning)
    steps = tracking(tracker, options.get("score_threshold"), smooth, focus)
    async with aclosing(follow(client, _frames(source, fps, input_format), asking, steps)) as results:
        async for result in results:
            yield result


def track_blocking(client: AsyncPoseClient, source: FrameSource, **arguments: Any) -> Iterator[TrackedFrame]:
    """See `PoseClient.track`. It works in a thread, where requests go on while the caller looks at a frame."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="poseclient track", daemon=True)
    thread.start()

    def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    results = track(client, source, **arguments)
    try:
        while (result := wait_for(_next(results))) is not None:
            yield result
    finally:
        wait_for(results.aclose())
        wait_for(client.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _next(results: AsyncGenerator[TrackedFrame, None]) -> TrackedFrame | None:
    return await anext(results, None)


def tracking(tracker: str, score_threshold: float | None, smooth: bool, focus: str | None) -> list[Step]:
    """What happens to the people of a frame after they were found.

    tracker: of `poseclient.tracking`, or "none". focus: see `Focus`. InputError for what needs ids without a tracker.
    """
    follows = Focus(focus).follow if focus else None
    if tracker == "none":
        if smooth or focus:
            raise InputError("smoothing and a focus need to know who is who: choose a tracker")
        return []
    steps: list[Step] = [Tracker(tracker, SCORE_THRESHOLD if score_threshold is None else score_threshold).track]
    steps += [Smoother().smooth] if smooth else []
    return steps + ([follows] if follows else [])


def _frames(source: FrameSource, fps: float, input_format: str | None) -> AsyncGenerator[Frame, None]:
    if isinstance(source, str | os.PathLike):
        location = os.fspath(source)
        video = Source(location, location, input_format)
        if video.is_live:
            return LiveSource(video, Selection(), LOG.warning).frames()
        return in_thread(file_frames(video, Selection()))
    if isinstance(source, AsyncIterable):
        return _numbered_async(aiter(source), fps)
    return in_thread(_numbered(source, fps))


def _numbered(images: Iterable[OwnFrame], fps: float) -> Generator[Frame, None, None]:
    for index, image in enumerate(images):
        yield _frame(index, image, fps)


async def _numbered_async(images: AsyncIterator[OwnFrame], fps: float) -> AsyncGenerator[Frame, None]:
    index = 0
    async for image in images:
        yield _frame(index, image, fps)
        index += 1


def _frame(index: int, given: OwnFrame, fps: float) -> Frame:
    time, image = given if isinstance(given, tuple) else (index / fps, given)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        what = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else f"a {type(image).__name__}"
        raise InputError(f"frame {index} is {what}, must be pixels u8 [h, w, 3] RGB, or a time in seconds and pixels")
    return Frame(index, round(time / TICK), TICK, image)
