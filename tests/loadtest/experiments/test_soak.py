"""The soak asks for everything and sees growth."""

from math import gcd

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient

from loadtest.experiments import soak
from loadtest.experiments.machine import cpu_seconds
from loadtest.experiments.triton_statistics import read_counters, steps
from poseserve.repository.folders import ENSEMBLE
from tests.eventually import eventually


async def test_a_soak_samples_a_server_that_answers_everything(server):
    with InferenceServerClient(server.grpc_url) as api:
        before = read_counters(api)
        memory = await soak.soak(f"grpc://{server.grpc_url}", server.pid, 2 * soak.SAMPLES)
        ensembles = {folder.name for folder in ENSEMBLE.iterdir()}
        asked = eventually(lambda: ensembles & {step.model for step in steps(before, read_counters(api))}, ensembles)
    assert len(memory) == soak.SAMPLES
    assert all(300 < megabytes < 10_000 for megabytes in memory)
    assert cpu_seconds(server.pid) > 1
    assert asked == ensembles
    assert gcd(len(soak.TASKS), len(soak.SCENES) + 1) == 1


def test_a_leak_is_growth_and_noise_is_not():
    samples = np.arange(soak.SAMPLES)
    flat = 2500 + 5 * np.sin(samples)
    warm_up = flat - np.where(samples < soak.SAMPLES // 2, 20 * (soak.SAMPLES // 2 - samples), 0)
    assert abs(soak.growth(flat, 1000)) < soak.LIMIT
    assert abs(soak.growth(warm_up, 1000)) < soak.LIMIT
    assert soak.growth(warm_up + 2 * samples, 1000) > soak.LIMIT


def test_growth_is_per_1000_requests_of_the_second_half():
    assert soak.growth([9, 0, 1, 3, 5, 7], 500) == pytest.approx(4)
    assert soak.growth([1, 2, 5, 5], 500) == pytest.approx(0)


def test_too_few_requests_are_refused():
    with pytest.raises(SystemExit):
        soak.main(["--requests", "3"])
