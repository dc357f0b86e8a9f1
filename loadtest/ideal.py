"""What waiting makes of unequal requests at best: beside it the tail of an open run can be judged."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import cycle

import numpy as np


def ideal_queue(due: Sequence[float], alone: Sequence[float], rate: float) -> tuple[list[float], int]:
    """Seconds from when each request was due, ascending, to its end, first in, first out; and how many are worked on
    side by side.

    alone: seconds that the images, which come in turn, take when there is no other. rate: images per second that the
    server makes at most. By Little's law it then works on rate x mean(alone) of them side by side. So do we, and each
    takes its time alone, scaled so that all places together make just this rate.
    """
    busy = rate * float(np.mean(alone))
    places = max(1, round(busy))
    free = [0.0] * places  # when each is
    seconds = []
    for arrival, work in zip(due, cycle(alone), strict=False):
        end = max(arrival, free[0]) + work * places / busy
        heapq.heapreplace(free, end)
        seconds.append(end - arrival)
    return seconds, places
