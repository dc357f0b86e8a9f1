"""The soak asks for everything and sees growth; the measure of memory sees what processes share only once."""

import subprocess
import sys

import numpy as np
import pytest

from loadtest import soak
from loadtest.machine import cpu_seconds, resident_bytes

# A process that holds 64 MB, and its fork that shares them.
SHARING = """
import os, sys
held = b"x" * 64_000_000
if os.fork():
    print(flush=True)
sys.stdin.read()
"""


async def test_a_soak_samples_a_server_that_answers_everything(server):
    memory = await soak.soak(f"grpc://{server.grpc_url}", server.pid, 2 * soak.SAMPLES)
    assert len(memory) == soak.SAMPLES
    assert all(300 < megabytes < 10_000 for megabytes in memory)
    assert cpu_seconds(server.pid) > 1


def test_memory_that_processes_share_counts_once():
    with subprocess.Popen([sys.executable, "-c", SHARING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert 64e6 < resident_bytes(process.pid) < 110e6
        process.stdin.close()


def test_a_leak_is_growth_and_noise_is_not():
    flat = 1000 + 5 * np.sin(np.arange(soak.SAMPLES))
    warm_up = np.where(np.arange(soak.SAMPLES) < 4, 600, flat)
    leak = flat + 4 * np.arange(soak.SAMPLES)
    for memory, grows in ((flat, False), (warm_up, False), (leak, True)):
        grown, limit = soak.growth(memory)
        assert (grown > limit) == grows
    assert soak.growth([0, 100, 0, 0, 160]) == (60, 22)


def test_the_slope_is_that_of_least_squares():
    assert soak.slope([1, 3, 5, 7]) == pytest.approx(2)
    assert soak.slope([5, 5, 5]) == pytest.approx(0)


def test_too_few_requests_are_refused():
    with pytest.raises(SystemExit):
        soak.main(["--requests", "3"])
