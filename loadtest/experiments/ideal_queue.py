"""How long requests of unequal length wait in the best of queues: what the tail of an open run is compared with."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import cycle

import numpy as np


def ideal_queue(due: Sequence[float], alone: Sequence[float], rate: float) -> tuple[list[float], int]:
    """Seconds from when each request was due (`due`, ascending) to its end, first in, first out; and the number of
    places, which is how many requests are worked on at the same time.

    alone: seconds that each of the images, which come in turn, takes when there is no other. rate: the most images per
    second that the server reaches. By Little's law it then works on rate x mean(alone) of them at the same time. So
    does this queue, and each image takes its time alone, scaled so that all places together reach just this rate.
    """
    busy = rate * float(np.mean(alone))
    places = max(1, round(busy))
    free_at = [0.0] * places
    seconds = []
    for arrival, work in zip(due, cycle(alone), strict=False):
        end = max(arrival, free_at[0]) + work * places / busy
        heapq.heapreplace(free_at, end)
        seconds.append(end - arrival)
    return seconds, places
