"""Several items in work at once, their results in order."""

import asyncio
import threading
from contextlib import aclosing

import pytest

from poseclient.video.window import in_order, in_thread


async def count(n, seen=None):
    """0 to n - 1; whether it was closed is noted in `seen`."""
    try:
        for i in range(n):
            if seen is not None:
                seen.append(i)
            yield i
    finally:
        if seen is not None:
            seen.append("closed")


async def test_results_come_in_the_order_of_the_items():
    """The first of three is the last that is ready."""
    ready = [asyncio.Event() for _ in range(3)]

    async def work(i):
        await ready[i].wait()
        if i:
            ready[i - 1].set()
        return i * 10

    ready[2].set()
    assert [pair async for pair in in_order(count(3), work, 3)] == [(0, 0), (1, 10), (2, 20)]


@pytest.mark.parametrize("window", [1, 2, 5])
async def test_no_more_than_the_window_is_in_work_or_waits(window):
    taken, working = [], 0
    most = 0

    async def work(i):
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0)
        working -= 1
        return i

    results = in_order(count(20, taken), work, window)
    done = 0
    async for _ in results:
        for _ in range(10):
            await asyncio.sleep(0)  # lets everything run that can
        assert len(taken) <= done + window
        done += 1
    assert (done, most) == (20, window)


async def test_an_error_comes_after_the_results_before_it():
    seen, found = [], []

    async def work(i):
        if i == 2:
            raise ValueError("two")
        return i

    async def take():
        async for item, _ in in_order(count(10, seen), work, 4):
            found.append(item)

    with pytest.raises(ValueError, match="two"):
        await take()
    assert found == [0, 1]
    assert seen[-1] == "closed"


async def test_an_error_of_the_items_comes_after_all_their_results():
    async def items():
        yield 1
        yield 2
        raise OSError("gone")

    async def work(i):
        await asyncio.sleep(0)
        return i

    found = []

    async def take():
        async for item, _ in in_order(items(), work, 8):
            found.append(item)

    with pytest.raises(OSError, match="gone"):
        await take()
    assert found == [1, 2]


async def test_who_stops_early_leaves_no_work_behind():
    seen, started = [], []

    async def work(i):
        started.append(i)
        if i:
            await asyncio.Event().wait()

    async with aclosing(in_order(count(10, seen), work, 3)) as results:
        async for _ in results:
            break
    assert seen[-1] == "closed"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_generator_runs_and_is_closed_in_one_thread_of_its_own():
    threads = set()

    def items():
        try:
            for i in range(5):
                threads.add(threading.current_thread())
                yield i
        finally:
            threads.add(threading.current_thread())
            threads.add("closed")

    assert [i async for i in in_thread(items())] == list(range(5))
    async with aclosing(in_thread(items())) as some:
        async for _ in some:
            break
    assert len(threads) == 3  # two threads, and that they were closed
    assert threading.current_thread() not in threads


async def test_an_error_in_the_thread_reaches_the_caller():
    def items():
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        [i async for i in in_thread(items())]
