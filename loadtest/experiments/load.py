"""Load over gRPC from one event loop: closed, by users who wait for their responses, or open, by Poisson arrivals."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.results import percentiles
from poseclient import AsyncPoseClient

LEAST_RESPONSES = 4  # of each user, however short the load
TIMEOUT = 600.0  # seconds; a queue of 64 images before a large network is long


@dataclass(frozen=True)
class Response:
    """Seconds of one clock: when the request was sent (under open load: was due), and when its response came. people:
    in the response, or rows of a network."""

    sent: float
    received: float
    people: int

    @property
    def latency(self) -> float:
        """Seconds."""
        return self.received - self.sent


@dataclass(frozen=True)
class LoadResult:
    """The responses in the order in which they came. client_cpu: seconds that the client itself computed."""

    responses: list[Response]
    client_cpu: float


Send = Callable[[float], Awaitable[Response]]


def closed_load(url: str, ensemble: str, images: Sequence[bytes], users: int, seconds: float) -> LoadResult:
    """`users` requests in flight for `seconds` at least, and until there are LEAST_RESPONSES for every user."""

    async def drive(send: Send, responses: list[Response]) -> None:
        end = time.perf_counter() + seconds

        async def user() -> None:
            while time.perf_counter() < end or len(responses) < LEAST_RESPONSES * users:
                responses.append(await send(time.perf_counter()))

        await asyncio.gather(*(user() for _ in range(users)))

    return asyncio.run(_load(url, ensemble, images, drive))


def open_load(url: str, ensemble: str, images: Sequence[bytes], rate: float, seconds: float, seed: int) -> LoadResult:
    """Poisson arrivals, `rate` in a second on average, whether or not the server keeps up."""

    async def drive(send: Send, responses: list[Response]) -> None:
        start = time.perf_counter()

        async def visitor(due: float) -> None:
            await asyncio.sleep(due - time.perf_counter())
            responses.append(await send(due))

        await asyncio.gather(*(visitor(start + offset) for offset in poisson_arrivals(rate, seconds, seed)))

    return asyncio.run(_load(url, ensemble, images, drive))


def poisson_arrivals(rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """Seconds after the start, ascending: a Poisson process of that rate, the same one for the same seed; one arrival
    at least."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0, seconds, max(1, rng.poisson(rate * seconds))))


async def _load(
    url: str, ensemble: str, images: Sequence[bytes], drive: Callable[[Send, list[Response]], Awaitable[None]]
) -> LoadResult:
    responses: list[Response] = []
    images_in_turn = itertools.cycle(images)
    async with AsyncPoseClient(url, TIMEOUT) as client:
        method = getattr(client, ensemble.partition(".")[0])

        async def send(due: float) -> Response:
            people = await method(next(images_in_turn), model=ensemble)
            return Response(due, time.perf_counter(), len(people))

        await send(0.0)  # opens the connection and reads the description of the ensemble
        start = time.process_time()
        await drive(send, responses)
        return LoadResult(responses, time.process_time() - start)


def steady(responses: Sequence[Response], users: int) -> tuple[float, float]:
    """When all users had a request in flight: from the response by which each had one on average, to the last
    sending."""
    return sorted(r.received for r in responses)[users - 1], max(r.sent for r in responses)


def throughput(responses: Sequence[Response], begin: float, end: float) -> tuple[float, float]:
    """Images and people per second between `begin` and `end`.

    A request counts by the share of its own time that lies between them: responses come by whole batches, so that to
    count the responses alone would be wrong by a batch.
    """
    shares = [max(0.0, min(r.received, end) - max(r.sent, begin)) / r.latency for r in responses]
    people = sum(share * r.people for share, r in zip(shares, responses, strict=True))
    return sum(shares) / (end - begin), people / (end - begin)


def latencies(responses: Sequence[Response]) -> tuple[float, float, float]:
    """p50, p95 and p99 in milliseconds."""
    return percentiles([1000 * r.latency for r in responses])
