"""Cameras: what nobody takes is dropped and counted, what is lost comes back, and nobody learns the password."""

import asyncio
import socket
import threading
import time
from contextlib import aclosing

import numpy as np
import pytest

from poseclient import InputError
from poseclient.video import live, sources
from poseclient.video.frames import Selection
from poseclient.video.live import LiveSource
from poseclient.video.source_run import until
from poseclient.video.sources import Source
from tests.clients.video.numbered import bars, number_of

FRAMES = 30
ENDLESS = Source("testsrc2=size=64x48:rate=200,realtime", "endless", "lavfi")


class Camera:
    """A port that sends a stream to whoever connects; `then` says what it does after it: "end" or "stall"."""

    def __init__(self, stream: bytes, then: list[str]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.stream, self.then, self.open = stream, then, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        for then in self.then:
            connection = self.listener.accept()[0]
            connection.sendall(self.stream)
            if then == "end":
                connection.close()
            self.open.append(connection)
        self.listener.close()

    def close(self) -> None:
        for connection in self.open:
            connection.close()


@pytest.fixture
def camera(make_video):
    """Makes a camera of 30 numbered frames."""
    cameras = []

    def make(*then: str) -> Camera:
        path = make_video("a.ts", [bars(i) for i in range(FRAMES)])
        cameras.append(Camera(path.read_bytes(), list(then)))
        return cameras[-1]

    yield make
    for one in cameras:
        one.close()


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """It does not wait long; a slow machine does not drop."""
    monkeypatch.setattr(live, "DELAYS", (0.02,))
    monkeypatch.setattr(live, "STALE", 60.0)
    monkeypatch.setattr(live, "BUFFER", 1000)
    monkeypatch.setattr(sources, "TIMEOUT", (5.0, 0.3))


async def take(source, count):
    """The first frames."""
    async with aclosing(source.frames()) as frames:
        return [frame async for frame, _ in _zip(frames, count)]


async def _zip(frames, count):
    i = 0
    async for frame in frames:
        yield frame, i
        i += 1
        if i == count:
            return


@pytest.mark.parametrize(("then", "reason"), [("end", "it ended"), ("stall", "nothing came for 0.3 s")])
async def test_a_lost_camera_is_opened_again(then, reason, camera):
    said = []
    address = camera(then, then, "end").address
    source = LiveSource(Source(address, "a"), Selection(), said.append)
    frames = await take(source, 3 * FRAMES)
    assert [number_of(frame.image) for frame in frames] == 3 * list(range(FRAMES))
    assert [frame.index for frame in frames] == list(range(3 * FRAMES))
    times = np.array([frame.time for frame in frames]).reshape(3, FRAMES)
    assert np.allclose(np.diff(times), 1 / 25, atol=1e-4)  # the clock of the camera
    assert (times[1:, 0] > times[:-1, -1]).all()
    assert source.reconnects == 2
    assert said[:2] == [f"{address} is lost ({reason})", f"{address} is back"]


async def test_it_stays_away_for_long_and_says_so_once(camera, monkeypatch):
    said = []
    one = camera("end")
    source = LiveSource(Source(one.address, "a"), Selection(), said.append)
    stop = asyncio.Event()
    attempts = []
    read = source._read

    def counted():
        attempts.append(0)
        if len(attempts) == 6:
            asyncio.run_coroutine_threadsafe(set_stop(), loop)
        read()

    async def set_stop():
        stop.set()

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(source, "_read", counted)
    frames = [frame async for frame in until(source.frames(), stop)]
    assert len(frames) == FRAMES
    assert said == [f"{one.address} is lost (it ended)"]


async def test_frames_that_nobody_takes_are_dropped_and_counted(monkeypatch):
    """The oldest first, so that memory holds no more than BUFFER."""
    monkeypatch.setattr(live, "BUFFER", 5)
    source = LiveSource(ENDLESS, Selection(), print)
    async with aclosing(source.frames()) as frames:
        first = await anext(frames)
        while source.read < 40:
            await asyncio.sleep(0.01)
        second = await anext(frames)
        assert first.index == 0
        assert second.index >= 35
        assert source.dropped >= 34
        assert len(source._buffer) <= 5


async def test_a_frame_that_waited_too_long_gives_way_to_a_newer_one(monkeypatch):
    monkeypatch.setattr(live, "STALE", 0.0)
    source = LiveSource(ENDLESS, Selection(), print)
    async with aclosing(source.frames()) as frames:
        await anext(frames)
        while source.read < 20:
            await asyncio.sleep(0.01)
        newest = await anext(frames)
        assert newest.index >= 19
        assert source.dropped == newest.index - 1


async def test_it_ends_at_its_end_and_skips_frames():
    source = LiveSource(ENDLESS, Selection(end=0.5, every=4), print)
    frames = [frame async for frame in source.frames()]
    assert frames[-1].time < 0.5
    assert np.allclose(np.diff([frame.time for frame in frames]), 4 / 200, atol=1e-4)


@pytest.mark.parametrize(
    "location", ["rtsp://user:secret@127.0.0.1:1/street?token=secret", "tcp://user:secret@127.0.0.1:1"]
)
async def test_a_camera_that_there_never_was_is_an_error_without_the_password(location):
    source = LiveSource(Source(location, "a"), Selection(), print)
    with pytest.raises(InputError, match=r"127\.0\.0\.1:1.*refused") as failure:
        await take(source, 1)
    assert "secret" not in str(failure.value)
    assert failure.value.__cause__ is None


async def test_a_fault_of_the_reader_reaches_the_caller(monkeypatch):
    source = LiveSource(ENDLESS, Selection(), print)
    monkeypatch.setattr(source, "_add", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await take(source, 1)


async def test_the_end_is_seen_while_no_frame_comes(camera, monkeypatch):
    monkeypatch.setattr(live, "DELAYS", (60.0,))
    source, stop, numbers = LiveSource(Source(camera("end").address, "a"), Selection(), print), asyncio.Event(), []
    start = time.monotonic()
    async for frame in until(source.frames(), stop):
        numbers.append(number_of(frame.image))
        if len(numbers) == FRAMES:
            asyncio.get_running_loop().call_later(0.05, stop.set)
    assert numbers == list(range(FRAMES))
    assert time.monotonic() - start < 10
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader")]
