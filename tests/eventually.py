"""Triton counts a request after it has sent the answer, so its statistics may come a moment later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
SECONDS = 10.0


def eventually(read: Callable[[], T], expected: T) -> T:
    """What `read` gives, as soon as it is `expected`, or what it still is after ten seconds."""
    end = time.monotonic() + SECONDS
    while (found := read()) != expected and time.monotonic() < end:
        time.sleep(0.01)
    return found
