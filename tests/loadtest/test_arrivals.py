"""When users send: cameras at a fixed rate, bursts all at once, open loops whether or not responses come."""

import random
from itertools import pairwise
from types import SimpleNamespace

import gevent
import pytest

from loadtest import arrivals as arrivals_module
from loadtest.arrivals import BURST, Bursts, Camera, OpenLoop


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(arrivals_module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_a_camera_drops_what_is_due_while_it_waits(clock):
    camera, sent = Camera(fps=10), []
    first = clock.now + camera.wait()
    for response_after in (0.02, 0.25, 0.09):
        clock.now += camera.wait() if sent else first - clock.now
        camera.turn(lambda due, frame: sent.append((due, frame.number, frame.dropped)))
        clock.now += response_after
    assert [(round(10 * (due - first)), *frame) for due, *frame in sent] == [(0, 0, 0), (1, 1, 0), (4, 4, 2)]


def test_a_burst_is_all_at_once():
    in_flight, most = 0, 0

    def send(due, frame):
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        gevent.sleep(0)
        in_flight -= 1

    Bursts().turn(send)
    assert (most, in_flight) == (BURST, 0)


def test_greenlets_stay_for_the_next_requests_until_all_is_over():
    bursts, greenlets = Bursts(), []

    def send(due, frame):
        greenlets.append(gevent.getcurrent())
        gevent.sleep(0)

    bursts.turn(send)
    bursts.turn(send)
    assert (len(greenlets), len(set(greenlets))) == (2 * BURST, BURST)
    assert not any(greenlet.dead for greenlet in greenlets)
    bursts.in_flight.close()
    assert all(greenlet.dead for greenlet in greenlets)


def test_arrivals_are_poisson(clock):
    random.seed(0)
    arrivals, times = OpenLoop(rate=50), []
    for _ in range(4000):
        clock.now += arrivals.wait()
        times.append(clock.now)
    gaps = [b - a for a, b in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(1 / 50, rel=0.05)
    # Of an exponential distribution the standard deviation is the mean.
    assert (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5 == pytest.approx(mean, rel=0.05)


def test_what_a_stall_delays_was_due_before(clock):
    random.seed(0)
    arrivals, due, response = OpenLoop(rate=10), [], gevent.event.Event()

    def send(when, frame):
        due.append(when)
        response.wait()

    clock.now += 2  # nothing could be sent for so long
    late = []
    while arrivals.wait() == 0:
        arrivals.turn(send)
        late.append(clock.now)
    gevent.sleep(0)
    assert len(due) == len(late) > 10  # on their way together
    assert due == sorted(due)
    assert 100 < due[0] < due[-1] <= 102
    response.set()
    arrivals.in_flight.join()
