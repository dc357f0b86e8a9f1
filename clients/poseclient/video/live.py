"""A camera or stream: a thread reads it, the newest frames wait, what is lost is opened again for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from fractions import Fraction

from poseclient.errors import InputError
from poseclient.video.frames import Frame, Selection, read_frames
from poseclient.video.sources import Source, readable

BUFFER = 16  # frames that wait at most: 100 MB of 1080p
STALE = 0.5  # seconds that a frame may wait, where there is a newer one
PATIENCE = 10.0  # seconds for the thread to end; a device may hang
TICK = Fraction(1, 90_000)  # of the times that live frames get
DELAYS = 1.0, 2.0, 4.0, 8.0, 16.0, 30.0  # seconds before each attempt to open it again; the last for all further ones


class LiveSource:
    """The frames of a live source as they come, with counts of those that nobody took.

    Times are seconds since the first frame. They follow the source's own clock, which starts anew when it was lost.
    read, dropped: frames. reconnects: how often it came back. say: gets what the user should know.
    """

    def __init__(self, source: Source, selection: Selection, say: Callable[[str], None]) -> None:
        self.read = self.dropped = self.reconnects = 0
        self._source, self._selection, self._say = source, selection, say
        self._buffer: deque[tuple[float, Frame]] = deque()  # when it came, the frame
        self._error: Exception | None = None  # that ends it
        self._arrived = asyncio.Event()
        self._lock, self._stop = threading.Lock(), threading.Event()

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """The frames until `end`, the oldest first, none that waited too long. InputError if it never opened."""
        self._loop = asyncio.get_running_loop()
        thread = threading.Thread(target=self._follow, name=f"reader of {self._source.name}", daemon=True)
        thread.start()
        try:
            while (frame := await self._next()).time < self._selection.end:
                yield frame
        finally:
            self._stop.set()
            await asyncio.to_thread(thread.join, PATIENCE)

    async def _next(self) -> Frame:
        while True:
            await self._arrived.wait()
            if self._error:
                raise self._error
            with self._lock:
                while len(self._buffer) > 1 and time.monotonic() - self._buffer[0][0] > STALE:
                    self._drop()
                if self._buffer:
                    return self._buffer.popleft()[1]
                self._arrived.clear()

    def _follow(self) -> None:
        """Of the thread: read, and open again what was lost."""
        attempt = 0
        while not self._stop.is_set():
            before = self.read
            try:
                self._read()
                reason = "it ended"
            except InputError as error:
                reason = str(error)
                if not self.read:  # it never was there
                    return self._fail(error)
            except Exception as error:  # a fault of the program: the caller must not wait for ever
                return self._fail(error)
            if self._stop.is_set():
                return
            if self.read > before:
                attempt = 0
            if not attempt:
                self._say(f"{self._source.label} is lost ({reason.removeprefix(f'{self._source.label}: ')})")
            self._stop.wait(DELAYS[min(attempt, len(DELAYS) - 1)])
            attempt += 1

    def _read(self) -> None:
        """The frames of one connection."""
        offset: float | None = None
        how = Selection(every=self._selection.every, rotate=self._selection.rotate)
        with readable(self._source), self._source.open() as container:
            for frame in read_frames(container, how, is_live=True):
                now = time.monotonic()
                if offset is None:
                    offset = self._connected(now, frame)
                self._add(now, frame, round((frame.time + offset) / TICK))
                if self._stop.is_set():
                    return

    def _connected(self, now: float, frame: Frame) -> float:
        """What to add to the times of this connection."""
        if not self.read:
            self._start, self._last = now, -1
        else:
            self.reconnects += 1
            self._say(f"{self._source.label} is back")
        return max(now - self._start, float((self._last + 1) * TICK)) - frame.time

    def _add(self, now: float, frame: Frame, pts: int) -> None:
        self._last = max(pts, self._last + 1)
        with self._lock:
            self._buffer.append((now, replace(frame, index=self.read, pts=self._last, tick=TICK)))
            self.read += 1
            if len(self._buffer) > BUFFER:
                self._drop()
        self._wake()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._wake()

    def _drop(self) -> None:
        self._buffer.popleft()
        self.dropped += 1

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._arrived.set)
