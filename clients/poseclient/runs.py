"""What runs that write as they go and can be resumed have in common: of images, and of videos."""

from __future__ import annotations

import asyncio
import signal
import time
from argparse import Namespace
from collections.abc import Callable, Iterable
from contextlib import suppress

from poseclient.aio import AsyncPoseClient
from poseclient.errors import InputError
from poseclient.truth_checks import name_some

LOG = "run.jsonl"
FAILED = "failed.json"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def wait_until_ready(client: AsyncPoseClient, seconds: float) -> bool:
    """Whether the server is ready within that time."""
    end = time.monotonic() + seconds
    while not await client.is_ready():
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(min(1.0, max(0.0, end - time.monotonic())))
    return True


def end_by_signals(end: Callable[[int], None], say: Callable[[str], None]) -> None:
    """Let Ctrl-C and SIGTERM end the run in order, where the platform can.

    end: gets the number of the signal, and ends the run after the requests in flight; the next signal ends it at once.
    """
    loop = asyncio.get_running_loop()

    def receive(number: int) -> None:
        end(number)
        for each in SIGNALS:
            loop.remove_signal_handler(each)
        say("ending after the requests in flight; once more ends at once")

    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, other threads
        for number in SIGNALS:
            loop.add_signal_handler(number, receive, number)


def check_earlier_files(args: Namespace, names: Iterable[str]) -> None:
    """InputError for files in the folder that this run would overwrite, unless it was asked to.

    names: of the files that it writes, beside the log and the list of what failed.
    """
    if args.overwrite or (args.resume and (args.out / LOG).exists()):
        return
    advice = "--overwrite replaces them, or choose another --out"
    if (args.out / LOG).is_file():
        raise InputError(f"--out {args.out} holds the files of another run: --resume continues it, {advice}")
    if earlier := name_some(name for name in (*names, FAILED) if (args.out / name).exists()):
        raise InputError(f"--out {args.out} holds files that this run would write ({earlier}): {advice}")


def check_keypoint_set(found: str | None, known: str | None) -> None:
    """InputError where the server has come to answer with other keypoints than the files of the run hold."""
    if found != known:
        raise InputError(f"the server's keypoint set is now {found}, was {known}: start another run")
