"""From the frames of one source to its people: encode, ask, follow, track; all in order, a few frames at a time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poseclient.aio import AsyncPoseClient
from poseclient.errors import RequestError
from poseclient.following import Following
from poseclient.people import PosedPeople
from poseclient.video.answers import AnswerLog
from poseclient.video.frames import Frame
from poseclient.video.window import in_order

JPEG_QUALITY = 90
AHEAD = 4  # frames that are decoded and encoded before they can be sent
MOST_FRAMES = 48  # in work at once for the sake of detections: 300 MB of 1080p
PAUSE = 0.2  # seconds between two attempts while the server comes back

Step = Callable[[PosedPeople, float], PosedPeople]  # of the people of a frame, and its time in seconds


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame and its people.

    people: with track_ids where they are tracked, who is who in all frames; -1 is somebody who is not tracked (yet).
    found: the people as they were found, before tracking.
    """

    frame: Frame
    people: PosedPeople
    found: PosedPeople

    @property
    def index(self) -> int:
        """The number of the frame in the source, from 0."""
        return self.frame.index

    @property
    def time(self) -> float:
        """When the frame is shown, in seconds after the start of the source."""
        return self.frame.time

    @property
    def image(self) -> NDArray[np.uint8]:
        """The frame, u8 [h, w, 3] RGB."""
        return self.frame.image


def frames_at_once(in_flight: int, detect_every: int) -> int:
    """How many frames are in work for so many requests in flight.

    A frame between two detections waits for the one before it, so there are more frames than requests.
    """
    return max(in_flight, min(in_flight * detect_every, MOST_FRAMES))


@dataclass(frozen=True)
class Asking:
    """How the server is asked.

    model: ensemble for frames in which people are looked for. options: of `pose`. detect_every: frames from one
    detection to the next. window: frames in work at once. wait: seconds for a server that went away to come back.
    is_over: whether nobody waits any more. say: gets what the user should know.
    """

    model: str = "pose"
    options: dict[str, Any] = field(default_factory=dict)
    detect_every: int = 1
    window: int = 8
    wait: float = 0.0
    is_over: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda _: None


async def follow(
    client: AsyncPoseClient,
    frames: AsyncGenerator[Frame, None],
    asking: Asking,
    steps: list[Step],
    log: AnswerLog | None = None,
) -> AsyncGenerator[TrackedFrame, None]:
    """The people of every frame, in the order of the frames.

    steps: what is done with them then, in this order, such as tracking. log: answers that need not be asked for again;
    it gets the others. RequestError for a frame that the server refuses, or when it stays away.
    """
    chain = _Chain(client, asking)
    encoded = in_order(_with_recorded(frames, log), _encode, AHEAD)
    async with aclosing(in_order(encoded, chain.answer, asking.window)) as answers:
        async for ((frame, recorded), _), (answer, found) in answers:
            if log is not None and recorded is None:
                log.add(answer)
            people = found
            for step in steps:
                people = step(people, frame.time)
            yield TrackedFrame(frame, people, found)


async def _with_recorded(
    frames: AsyncGenerator[Frame, None], log: AnswerLog | None
) -> AsyncGenerator[tuple[Frame, PosedPeople | None], None]:
    async with aclosing(frames):
        async for frame in frames:
            yield frame, log.recorded() if log is not None else None


async def _encode(item: tuple[Frame, PosedPeople | None]) -> bytes:
    frame, recorded = item
    return b"" if recorded is not None else await asyncio.to_thread(encode_jpeg, frame.image)


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """An image u8 [h, w, 3] RGB as it is sent; a tenth of the bytes of pixels, and less time in all."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()


class _Chain:
    """Asks for frames at once that were given in order: one is a detection, the next ones follow its people."""

    def __init__(self, client: AsyncPoseClient, asking: Asking) -> None:
        self._client, self._asking = client, asking
        network = asking.model.partition(".")[2]
        self._boxes_model = f"pose_in_boxes.{network}" if network else "pose_in_boxes"
        self._count, self._is_away = 0, False
        self._last: asyncio.Future[Following] | None = None

    async def answer(self, item: tuple[tuple[Frame, PosedPeople | None], bytes]) -> tuple[PosedPeople, PosedPeople]:
        """The server's answer for a frame, and the people in it who are followed."""
        (frame, recorded), jpeg = item
        is_detection = self._count % self._asking.detect_every == 0
        before, mine = self._last, asyncio.get_running_loop().create_future()
        self._count, self._last = self._count + 1, mine
        try:
            following = None if is_detection or before is None else await before
            answer = await self._ask(jpeg, following) if recorded is None else recorded
            answer = replace(answer, image_size=(frame.image.shape[0], frame.image.shape[1]))
            people = answer if following is None else following.take(answer)
            mine.set_result(following or Following(answer))
            return answer, people
        finally:
            mine.cancel()  # nobody can follow a frame without an answer

    async def _ask(self, jpeg: bytes, following: Following | None) -> PosedPeople:
        """The answer; as long as there is no server, it is asked again, until the time to wait is over."""
        asking, end = self._asking, math.inf
        while True:
            try:
                if following is None:
                    answer = await self._client.pose(jpeg, model=asking.model, **asking.options)
                else:
                    answer = await self._client.pose_in_boxes(jpeg, following.boxes, model=self._boxes_model)
            except RequestError as error:
                end = min(end, time.monotonic() + asking.wait)
                if error.status != "UNAVAILABLE" or time.monotonic() >= end or asking.is_over():
                    raise
                self._note(True, f"waiting for the server: {error}")
            else:
                self._note(False, "the server is back")
                return answer
            await asyncio.sleep(PAUSE)

    def _note(self, is_away: bool, text: str) -> None:
        """Say it once, whatever the number of frames in work."""
        if is_away != self._is_away:
            self._is_away = is_away
            self._asking.say(text)
