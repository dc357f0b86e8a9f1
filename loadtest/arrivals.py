"""When a user sends: closed loop, camera, bursts, or open loop."""

from __future__ import annotations

import math
import random
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from gevent.pool import Group
from gevent.queue import JoinableQueue

BURST = 16  # requests


class Frame(NamedTuple):
    """camera: its name. number: counts from 0 in time. dropped: frames between the last one that was sent and this."""

    camera: str
    number: int
    dropped: int


Send = Callable[[float, Frame | None], None]  # due (time.perf_counter), which frame; returns after the response


class InFlight:
    """Requests that `turn` does not wait for.

    The greenlets that send them stay, no more than were ever needed at once.
    """

    def __init__(self) -> None:
        self._waiting, self._greenlets = JoinableQueue(), Group()

    def spawn(self, send: Send, due: float) -> None:
        """Send as soon as a greenlet is free, which is at once."""
        self._waiting.put((send, due))
        if len(self._greenlets) < self._waiting.unfinished_tasks:
            self._greenlets.spawn(self._work)

    def _work(self) -> None:
        while True:
            send, due = self._waiting.get()
            try:
                send(due, None)
            finally:
                self._waiting.task_done()

    def join(self) -> None:
        """Returns after the last response."""
        self._waiting.join()

    def close(self) -> None:
        """After the last response the greenlets end."""
        self.join()
        self._greenlets.kill()


class Arrivals(ABC):
    """The requests of one user: after `wait()` seconds comes the next `turn`, which sends."""

    def __init__(self) -> None:
        self.in_flight = InFlight()

    @abstractmethod
    def wait(self) -> float:
        """Seconds until the next turn."""

    @abstractmethod
    def turn(self, send: Send) -> None:
        """Send what is due."""


class ClosedLoop(Arrivals):
    """The next request as soon as the response is there."""

    def wait(self) -> float:
        """No time at all."""
        return 0

    def turn(self, send: Send) -> None:
        """Send one request and wait for its response."""
        send(time.perf_counter(), None)


class Camera(Arrivals):
    """`fps` frames per second, one at a time: frames that are due before the last response are dropped."""

    def __init__(self, fps: float) -> None:
        super().__init__()
        self._name, self._fps = uuid.uuid4().hex[:8], fps
        self._start = time.perf_counter() + random.uniform(0, 1 / fps)  # no two cameras at once
        self._next = Frame(self._name, -1, 0)

    def wait(self) -> float:
        """Seconds until the next frame that is not yet late."""
        now, following = time.perf_counter(), self._next.number + 1
        number = max(following, math.ceil((now - self._start) * self._fps))
        self._next = Frame(self._name, number, number - following)
        return max(0.0, self._due - now)

    def turn(self, send: Send) -> None:
        """Send that frame and wait for its response."""
        send(self._due, self._next)

    @property
    def _due(self) -> float:
        return self._start + self._next.number / self._fps


class Bursts(Arrivals):
    """BURST requests at once, and a second or two of silence after the last response."""

    def wait(self) -> float:
        """The silence."""
        return random.uniform(1, 2)

    def turn(self, send: Send) -> None:
        """Send BURST requests at once and wait for all responses."""
        now = time.perf_counter()
        for _ in range(BURST):
            self.in_flight.spawn(send, now)
        self.in_flight.join()


class OpenLoop(Arrivals):
    """Poisson arrivals, `rate` per second, whether or not the server keeps up.

    Many such users together are Poisson arrivals too. A request's time counts from when it was due: were it counted
    from when it was sent, a stall would be measured by one request and not by all that had to wait ("coordinated
    omission").
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate, self._due = rate, time.perf_counter()

    def wait(self) -> float:
        """Seconds until the next arrival, 0 when it is late."""
        self._due += random.expovariate(self._rate)
        return max(0.0, self._due - time.perf_counter())

    def turn(self, send: Send) -> None:
        """Send one request, and do not wait."""
        self.in_flight.spawn(send, self._due)
