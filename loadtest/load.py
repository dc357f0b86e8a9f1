"""Load over gRPC from one event loop: closed, by users who wait for their answers, or open, by requests that do not."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.results import percentiles
from poseclient import AsyncPoseClient

LAPS = 4
TIMEOUT = 600.0  # seconds; a queue of 64 images before a large network is long


@dataclass(frozen=True)
class Answer:
    """Seconds of one clock: when the request was sent (of open load: was due), and when its answer came."""

    sent: float
    answered: float
    people: int


@dataclass(frozen=True)
class Load:
    """The answers in the order in which they came, and the seconds that the client itself computed."""

    answers: list[Answer]
    cpu: float


Ask = Callable[[float], Awaitable[Answer]]


def closed_load(url: str, ensemble: str, images: Sequence[bytes], users: int, seconds: float) -> Load:
    """`users` requests in flight for `seconds` at least, and until there are LAPS answers for every user."""

    async def drive(ask: Ask, answers: list[Answer]) -> None:
        end = time.perf_counter() + seconds

        async def user() -> None:
            while time.perf_counter() < end or len(answers) < LAPS * users:
                answers.append(await ask(time.perf_counter()))

        await asyncio.gather(*(user() for _ in range(users)))

    return asyncio.run(_load(url, ensemble, images, drive))


def open_load(url: str, ensemble: str, images: Sequence[bytes], rate: float, seconds: float, seed: int) -> Load:
    """Poisson arrivals, `rate` in a second on average, whether or not the server keeps up."""

    async def drive(ask: Ask, answers: list[Answer]) -> None:
        start = time.perf_counter()

        async def visitor(due: float) -> None:
            await asyncio.sleep(due - time.perf_counter())
            answers.append(await ask(due))

        await asyncio.gather(*(visitor(start + offset) for offset in arrivals(rate, seconds, seed)))

    return asyncio.run(_load(url, ensemble, images, drive))


def arrivals(rate: float, seconds: float, seed: int) -> np.ndarray:
    """Seconds after the start: a Poisson process of that rate, the same one for the same seed; one arrival at least."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0, seconds, max(1, rng.poisson(rate * seconds))))


async def _load(
    url: str, ensemble: str, images: Sequence[bytes], drive: Callable[[Ask, list[Answer]], Awaitable[None]]
) -> Load:
    answers: list[Answer] = []
    turn = itertools.cycle(images)
    async with AsyncPoseClient(url, TIMEOUT) as client:
        method = getattr(client, ensemble.partition(".")[0])

        async def ask(sent: float) -> Answer:
            people = await method(next(turn), model=ensemble)
            return Answer(sent, time.perf_counter(), len(people))

        await ask(0.0)  # opens the connection and reads the description of the ensemble
        start = time.process_time()
        await drive(ask, answers)
        return Load(answers, time.process_time() - start)


def steady(answers: Sequence[Answer], users: int) -> tuple[float, float]:
    """When all users were at it: from the answer by which each had one on average, to the last sending."""
    return sorted(a.answered for a in answers)[users - 1], max(a.sent for a in answers)


def throughput(answers: Sequence[Answer], begin: float, end: float) -> tuple[float, float]:
    """Images and people per second between `begin` and `end`.

    A request counts by the share of its own time that lies between them: answers come by whole batches, so that to
    count the answers alone would be wrong by a batch.
    """
    shares = [max(0.0, min(a.answered, end) - max(a.sent, begin)) / (a.answered - a.sent) for a in answers]
    people = sum(share * a.people for share, a in zip(shares, answers, strict=True))
    return sum(shares) / (end - begin), people / (end - begin)


def latencies(answers: Sequence[Answer]) -> tuple[float, float, float]:
    """p50, p95 and p99 in milliseconds."""
    return percentiles([1000 * (a.answered - a.sent) for a in answers])
