"""Every program that measures runs to its end, with as little work as it can, and prints shares that are numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import cv2
import pytest
import torch

from loadtest import crowds, engines, limit, overhead, people, turns
from loadtest.baselines import compare
from poseserve import tune

pytestmark = pytest.mark.slow
SHORT = ["--seconds", "0.1", "--rounds", "1"]


@pytest.fixture(autouse=True)
def hasty(monkeypatch) -> Iterator[None]:
    """Little is measured, and in this process: it has the server's settings already."""
    monkeypatch.setattr(tune, "SECONDS", 0.1)
    monkeypatch.setattr(tune, "DELAYS_US", (0,))
    monkeypatch.setattr(limit, "BATCHES", (2,))
    monkeypatch.setattr(limit, "GROUPS", (1,))
    monkeypatch.setattr(crowds, "IMAGES", 2)
    for module in (turns, limit):
        monkeypatch.setattr(module, "SCENES", 2)
    for name, value in turns.server_settings().items():
        monkeypatch.setenv(name, value)
    threads, threads_of_opencv = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads_of_opencv)


@pytest.fixture
def checked(monkeypatch) -> list[None]:
    """Grows with every comparison of answers."""
    calls: list[None] = []
    check = turns.check_equal
    for module in (turns, compare, engines):
        monkeypatch.setattr(module, "check_equal", lambda *answers: calls.append(check(*answers)))
    return calls


def numbers(shown: str, *rows: str) -> list[float]:
    """The last number of the lines that begin so, all of them finite and above 0."""
    found = [float(re.findall(rf"^ *{row}.* ([0-9.]+|nan|inf)\b", shown, re.MULTILINE)[-1]) for row in rows]
    assert all(0 < number < math.inf for number in found), shown
    return found


def test_the_limit(checked, capsys):
    assert limit.main([*SHORT, "--clients", "1"]) == 0
    shares = numbers(capsys.readouterr().out, "batch 2", "1 images", "server")
    assert shares[-1] == 1
    assert len(checked) == turns.SCENES


def test_the_baselines(baselines, checked, capsys, monkeypatch):
    tried = {name: compare.variants(name, turns.CORES)[-1:] for name in compare.COMMANDS}
    monkeypatch.setattr(compare, "variants", lambda name, cores: tried[name])
    assert compare.main([*SHORT, "--clients", "2"]) == 0
    numbers(capsys.readouterr().out, "poseserve ", "FastAPI ", "LitServe ")
    assert len(checked) == 3 * turns.SCENES


@pytest.mark.skipif(torch.cuda.is_available(), reason="engines of a CPU")
def test_the_engines(checked, capsys):
    assert engines.main([*SHORT, "--precision", "fp32", "--rows", "2"]) == 0
    names = [f"{engine} fp32, 1" for engine in ("TorchScript", "AOTInductor", "ONNX Runtime", "OpenVINO")]
    shares = numbers(capsys.readouterr().out, *names, "what tune picks")
    assert max(shares) <= 1
    assert len(checked) == 3


def test_crowds(capsys):
    assert crowds.main(["--rounds", "1"]) == 0
    numbers(capsys.readouterr().out, *(f"{calls} x {threads} threads" for calls, threads in turns.shares(turns.CORES)))


def test_people(capsys):
    assert people.main(["--rounds", "1"]) == 0
    numbers(capsys.readouterr().out, "ratio")


def test_overhead(capsys, monkeypatch):
    monkeypatch.setattr(overhead, "WARM_UP", 2)
    assert overhead.main(["--rounds", "1"]) == 0
    assert re.search(r"^server +p50 +[1-9]", capsys.readouterr().out, re.MULTILINE)
