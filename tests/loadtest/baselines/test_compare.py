"""All servers get the same requests, in every layout of workers and threads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest.baselines.compare import POSESERVE_PATH, summary, variants
from loadtest.experiments.load import Response
from loadtest.experiments.turns import check_server, instances_and_threads


def test_poseserve_gets_the_same_requests_and_finds_the_same_people(server, workload):
    check_server(f"http://{server.http_url}", workload.images, workload.people)
    people = {len(p) for p in workload.people}
    assert {response.people for response in workload.send(server.http_url, POSESERVE_PATH, 0)} == people


def test_a_failed_request_ends_the_comparison(server, workload):
    broken = replace(workload, images=[b"no image"] * len(workload.people))
    with pytest.raises(RuntimeError, match=r"answered 400: .*IMAGE is not an image"):
        broken.send(server.http_url, POSESERVE_PATH, 0)


@pytest.mark.parametrize("name", ["FastAPI", "LitServe"])
def test_a_baseline_is_tried_in_every_layout(name):
    assert {(tried.workers, tried.threads) for tried in variants(name, 16)} == set(instances_and_threads(16))


def test_ratios_are_poseserve_by_the_other_in_the_same_round():
    def turn(seconds: float) -> list[Response]:
        return [Response(i * seconds, (i + 1) * seconds, 2) for i in range(6)]

    responses = {"poseserve": [turn(0.1), turn(0.2)], "FastAPI": [turn(0.2), turn(0.4)]}
    rows = summary(responses, clients=1)
    assert rows[1] == ("poseserve", "15.0", "100.0", "200.0", "1.000")
    assert rows[2] == ("FastAPI", "7.5", "200.0", "400.0", "2.000")
