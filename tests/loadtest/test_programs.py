"""Every program that measures runs to its end, with as little work as it can, and prints shares that are numbers.

Starting a server takes longer than all of that, so that those with the same network share one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import cv2
import pytest
import torch

from loadtest.baselines import compare
from loadtest.experiments import crowds, engines, limit, overhead, people_ensemble, turns
from loadtest.experiments.random_weights import repository_with_random_weights
from poseserve import tune
from poseserve.deployment import Deployment
from poseserve.repository.installed import Repository
from poseserve.serving.server import Server

pytestmark = pytest.mark.slow
NETWORK = "vitpose-s-coco_25"
SHORT = ["--seconds", "0.1", "--rounds", "1"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The tree's with NETWORK, as tune may propose it."""
    layout = next(tune.layouts(Deployment(), turns.CORES))
    return repository_with_random_weights(tmp_path_factory.mktemp("repository"), [NETWORK], layout)


@pytest.fixture(scope="module")
def server_of_network(repository: Repository) -> Iterator[Server]:
    """A server of that."""
    with Server(repository.folders, http_port=0, grpc_port=0, metrics_port=0) as running:
        yield running


@pytest.fixture
def shared(monkeypatch, repository: Repository, server_of_network: Server) -> None:
    """The programs find that server in place of their own."""
    for module in (limit, crowds, compare):
        monkeypatch.setattr(module, "repository_with_random_weights", lambda *_: repository)
        monkeypatch.setattr(module, "Server", lambda *_, **__: nullcontext(server_of_network))


@pytest.fixture(autouse=True)
def hasty(monkeypatch) -> Iterator[None]:
    """Little is measured, and in this process: it has the server's settings already. tests/poseserve/test_tune.py
    measures what tune does."""
    monkeypatch.setattr(tune, "tune", lambda network, exported, tried, rows: next(tune.layouts(tried[0], turns.CORES)))
    monkeypatch.setattr(limit, "BATCHES", (2,))
    monkeypatch.setattr(limit, "GROUPS", (1,))
    monkeypatch.setattr(crowds, "IMAGES", 2)
    for module in (turns, limit):
        monkeypatch.setattr(module, "SCENES", 2)
    for name, value in turns.server_environment().items():
        monkeypatch.setenv(name, value)
    threads, threads_of_opencv = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads_of_opencv)


@pytest.fixture
def checked(monkeypatch) -> list[None]:
    """Grows with every comparison of outputs."""
    calls: list[None] = []
    check = turns.check_equal
    for module in (turns, compare, engines):
        monkeypatch.setattr(module, "check_equal", lambda *outputs: calls.append(check(*outputs)))
    return calls


@pytest.fixture
def numbers(capsys) -> Callable[..., list[float]]:
    """The last number of the printed lines that begin as given, all of them finite and above 0."""

    def read(*rows: str) -> list[float]:
        shown = capsys.readouterr().out
        found = [float(re.findall(rf"^ *{row}.* ([0-9.]+|nan|inf)\b", shown, re.MULTILINE)[-1]) for row in rows]
        assert all(0 < number < math.inf for number in found), shown
        return found

    return read


@pytest.mark.usefixtures("shared")
def test_the_limit(checked, numbers):
    assert limit.main([*SHORT, "--clients", "1"]) == 0
    assert numbers("batch 2", "1 images", "server")[-1] == 1
    assert len(checked) == turns.SCENES


@pytest.mark.usefixtures("shared", "baselines")
def test_the_baselines(checked, numbers, monkeypatch):
    tried = {name: compare.variants(name, turns.CORES)[-1:] for name in compare.COMMANDS}
    monkeypatch.setattr(compare, "variants", lambda name, cores: tried[name])
    assert compare.main([*SHORT, "--clients", "2"]) == 0
    numbers("poseserve ", "FastAPI ", "LitServe ")
    assert len(checked) == 3 * turns.SCENES


@pytest.mark.skipif(torch.cuda.is_available(), reason="engines of a CPU")
def test_the_engines(checked, numbers):
    assert engines.main([*SHORT, "--precision", "fp32", "--rows", "2"]) == 0
    names = [f"{engine} fp32, 1" for engine in ("TorchScript", "AOTInductor", "ONNX Runtime", "OpenVINO")]
    assert max(numbers(*names, "what tune picks")) <= 1
    assert len(checked) == 3


@pytest.mark.usefixtures("shared")
def test_crowds(numbers):
    assert crowds.main(["--rounds", "1"]) == 0
    numbers(*(f"{instances} x {threads} threads" for instances, threads in turns.instances_and_threads(turns.CORES)))


def test_people(server, numbers, monkeypatch):
    monkeypatch.setattr(people_ensemble, "Server", lambda *_, **__: nullcontext(server))
    assert people_ensemble.main(["--rounds", "1"]) == 0
    numbers("ratio")


def test_overhead(capsys, monkeypatch):
    monkeypatch.setattr(overhead, "WARM_UP", 2)
    assert overhead.main(["--rounds", "1"]) == 0
    assert re.search(r"^server +p50 +[1-9]", capsys.readouterr().out, re.MULTILINE)
