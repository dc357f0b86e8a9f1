"""What the GPU benchmark computes, and its path through export, network and server, which a CPU can walk too."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from loadtest.experiments import gpu
from loadtest.experiments.gpu import Benchmark, Measurement
from poseserve.catalogue import CATALOGUE
from poseserve.repository.folders import ROOT

CPU = torch.device("cpu")
SMALL = CATALOGUE["vitpose-s-coco_25"]


@pytest.mark.slow
def test_a_network_goes_from_random_weights_through_a_real_server(tmp_path, monkeypatch):
    small = {"BATCHES": (1,), "BATCH": 2, "IN_FLIGHT": gpu.PEOPLE, "LOAD_SECONDS": 0.5}
    for name, value in {**small, "COMPILERS": {"as it is": lambda network, images: network}}.items():
        monkeypatch.setattr(gpu, name, value)
    rows = gpu.measure([SMALL], CPU, tmp_path, seconds=300)
    assert [(row.network, row.variant, row.batch, row.why) for row in rows] == [
        (SMALL.name, "TorchScript", 1, ""),
        (SMALL.name, "server", gpu.PEOPLE, ""),
        (SMALL.name, "as it is", 2, ""),
    ]
    assert all(row.crops > 0 for row in rows)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("The following failed: CUDA out of memory.")]
)
@pytest.mark.parametrize("where", ["_images", "seconds_of"])
def test_batches_grow_until_the_memory_is_full(error, where, monkeypatch):
    def full(*_):
        if next(sizes) > 2:
            raise error
        return 0.5

    sizes = iter(gpu.BATCHES)
    monkeypatch.setattr(gpu, "_images", lambda *_: None)
    monkeypatch.setattr(gpu, "seconds_of", lambda *_: 0.5)
    monkeypatch.setattr(gpu, where, full)
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: SimpleNamespace(network=print))
    rows = gpu.batches(SimpleNamespace(model_file=Path), SMALL, CPU)
    assert [(row.batch, row.crops) for row in rows] == [(1, 2.0), (2, 4.0)]


def test_what_fails_or_takes_too_long_is_not_measured_and_the_rest_is():
    def stuck():
        yield Measurement("a", "stuck", 1, 2.0)
        threading.Event().wait()

    def broken():
        raise RuntimeError("no such kernel\nand a long story")
        yield

    good = Measurement("a", "good", 1, 3.0)
    benchmarks = [
        Benchmark("a", "stuck", 1, stuck),
        Benchmark("a", "broken", 9, broken),
        Benchmark("a", "good", 9, lambda: [good]),
    ]
    assert gpu.run(benchmarks, seconds=60) == [
        Measurement("a", "stuck", 1, 2.0),
        Measurement("a", "stuck", why="out of time"),
        Measurement("a", "broken", why="no such kernel"),
        good,
    ]
    assert gpu.run(benchmarks[2:], seconds=0) == [Measurement("a", "good", why="out of time")]


def patient() -> None:
    """Waits for what does not come, as for a server: errors of a connection mean that it is not there yet."""
    for _ in range(30):
        with contextlib.suppress(OSError):
            threading.Event().wait(1)


async def calling_back() -> None:
    """asyncio logs the errors of its callbacks and goes on."""
    asyncio.get_running_loop().call_soon(threading.Event().wait, 5)
    await asyncio.sleep(10)


@pytest.mark.parametrize("wait", [patient, lambda: asyncio.run(calling_back())])
def test_nothing_keeps_the_end_of_the_time(wait):
    def rows():
        wait()
        yield Measurement("a", "late", 1, 2.0)

    assert gpu.run([Benchmark("a", "late", 0.5, rows)], seconds=60) == [Measurement("a", "late", why="out of time")]


def test_the_page_promises_the_table_that_is_printed():
    lines = (ROOT / "docs" / "gpu.md").read_text().splitlines()
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    assert tuple(header) == gpu.HEADER
    assert {row[0] for row in rows} == {network.name for network in gpu.NETWORKS}


def test_shares_are_of_the_matrix_product_and_of_the_network_alone():
    rows = [
        Measurement(SMALL.name, "TorchScript", 1, 50.0),
        Measurement(SMALL.name, "TorchScript", 4, 100.0),
        Measurement(SMALL.name, "server", 64, 90.0),
        Measurement(SMALL.name, "AOTInductor", why="out of time"),
    ]
    lines = gpu.table(rows, [SMALL], {SMALL.name: 2 * 10**12}, rate=400e12).splitlines()
    assert lines[2].split() == [SMALL.name, "2.00", "TorchScript", "4", "100.0", "200.0", "0.50"]
    assert lines[3].split() == [SMALL.name, "2.00", "server", "64", "90.0", "180.0", "0.45", "0.90", "147.5", "0.3"]
    assert lines[4].endswith("not measured: out of time")


def test_the_operations_of_a_vision_transformer_are_those_counted_by_hand():
    width, tokens = 384, 16 * 12
    block = 12 * tokens * width**2 + 2 * tokens**2 * width  # multiplications of linear layers and attention
    patches = tokens * 3 * 16**2 * width
    deconvolutions = 16 * (tokens * width * 256 + 4 * tokens * 256 * 256)
    last = 16 * tokens * 256 * 25
    assert gpu.flops(SMALL) == 2 * (12 * block + patches + deconvolutions + last)


def test_a_crop_of_308_keypoints_costs_little_traffic():
    to_gpu, back = gpu.bytes_moved(gpu.POSE)
    assert to_gpu == 1024 * 768 * 3 + 16 <= 2.4e6
    assert back == 308 * 3 * 4 <= 4e3


def test_the_matrix_rate_is_per_second():
    assert 1e7 < gpu.matmul_rate(CPU, size=128, min_seconds=0.05) < 1e15


@pytest.mark.skipif(torch.cuda.is_available(), reason="would measure for ten minutes")
def test_without_a_gpu_it_says_so(capsys):
    gpu.main()
    assert capsys.readouterr().out == "torch sees no GPU here: nothing was measured\n"


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["torch.compile", "AOTInductor"])
def test_a_compiled_network_returns_what_the_network_does(compiler):
    network, x = nn.Sequential(nn.Linear(8, 8), nn.GELU()).eval(), torch.randn(4, 8)
    with torch.no_grad():
        torch.testing.assert_close(gpu.COMPILERS[compiler](network, x)(x), network(x))
