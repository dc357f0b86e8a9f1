"""Loads of a real server, and the arithmetic of what came back."""

import pytest
from tritonclient.grpc import InferenceServerClient

from loadtest.experiments.load import (
    LEAST_RESPONSES,
    Response,
    closed_load,
    latencies,
    open_load,
    poisson_arrivals,
    steady,
    throughput,
)
from loadtest.experiments.triton_statistics import read_counters, steps
from tests.eventually import eventually


def posed(before, after):
    """What the pose network did between two readings."""
    return {step.model: step for step in steps(before, after)}["demo_pose"]


def test_closed_load_counts_people_and_triton_tells_the_same_requests(server, scene):
    with InferenceServerClient(server.grpc_url) as api:
        before = read_counters(api)
        responses = closed_load(f"grpc://{server.grpc_url}", "pose", [scene.jpeg], users=2, seconds=0).responses
        eventually(lambda: posed(before, read_counters(api)).requests, len(responses) + 1)
        found = posed(before, read_counters(api))
    assert len(responses) >= 2 * LEAST_RESPONSES
    assert {response.people for response in responses} == {len(scene.people)}
    assert found.requests == len(responses) + 1
    assert len(scene.people) <= found.batch <= 2 * len(scene.people)
    assert found.milliseconds[2] > 1


def test_open_load_sends_what_is_due_however_slow_the_responses(server, scene):
    responses = open_load(f"grpc://{server.grpc_url}", "detect", [scene.jpeg], rate=100, seconds=0.1, seed=7).responses
    due = sorted(response.sent for response in responses)
    wanted = poisson_arrivals(100, 0.1, seed=7)
    assert [t - due[0] for t in due] == pytest.approx(wanted - wanted[0])
    assert all(response.received > response.sent for response in responses)


def test_arrivals_are_a_poisson_process():
    times = poisson_arrivals(50, 1000, seed=0)
    assert not set(times) & set(poisson_arrivals(50, 1000, seed=1))
    gaps = times[1:] - times[:-1]
    assert gaps.min() >= 0
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.02)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.02)


def test_a_request_counts_by_its_share_of_the_window():
    responses = [Response(0, 2, 4), Response(2, 4, 2), Response(4, 8, 0)]
    assert throughput(responses, 1, 5) == (1.75 / 4, 4 / 4)


def test_all_users_have_a_request_in_flight_from_their_first_responses_to_the_last_sending():
    assert steady([Response(0, 3, 1), Response(0, 2, 1), Response(2, 4, 1), Response(3, 9, 1)], 2) == (3, 3)


def test_latencies_are_percentiles_in_milliseconds():
    assert latencies([Response(0, i / 1000, 1) for i in range(1, 101)]) == pytest.approx((50, 95, 99))
