"""Work on the items of a stream, several at a time, with the results in the order of the items."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
END = object()


async def in_order(
    items: AsyncGenerator[T, None], work: Callable[[T], Awaitable[R]], window: int
) -> AsyncGenerator[tuple[T, R], None]:
    """Each item with its result, in the order of the items.

    At most `window` of them are in work or wait to be taken; only then is the next item taken from `items`. So with a
    window of 1 an item is taken when the caller is done with the one before. The first error ends it, after the results
    before it.
    """
    tasks: asyncio.Queue[tuple[T, asyncio.Future[R]] | None] = asyncio.Queue()
    slots = asyncio.Semaphore(window)

    async def fill() -> None:
        try:
            async with aclosing(items):
                while True:
                    await slots.acquire()
                    item = await anext(items)
                    tasks.put_nowait((item, asyncio.ensure_future(work(item))))
        except StopAsyncIteration:
            pass
        finally:
            tasks.put_nowait(None)

    filling = asyncio.ensure_future(fill())
    try:
        while entry := await tasks.get():
            item, task = entry
            yield item, await task
            slots.release()
        await filling  # raises what went wrong in `items`
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        left = [entry[1] for _ in range(tasks.qsize()) if (entry := tasks.get_nowait())]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def in_thread(items: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """The items of a generator that blocks, from a thread of their own, in which it is also closed."""
    loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    try:
        while (item := await loop.run_in_executor(thread, next, items, END)) is not END:
            yield item  # type: ignore[misc]
    finally:
        closing = loop.run_in_executor(thread, items.close)  # after an item that was given up
        thread.shutdown(wait=False)
        await asyncio.shield(closing)
