"""The baselines answer as the pipeline does, and whatever serves gets the same requests."""

from __future__ import annotations

import contextlib
import http.client
from dataclasses import replace

import psutil
import pytest

from demo.evaluate import evaluation_scene
from loadtest.baselines.compare import BASELINE, OURS, Load, post, summary, variants
from loadtest.baselines.process import Baseline, fastapi_command, litserve_command
from loadtest.baselines.settings import Settings, read_settings
from loadtest.load import Answer
from loadtest.turns import check_server, shares
from poseserve.in_process import InProcess
from poseserve.repository.folders import ROOT

SETTINGS = Settings(workers=1, threads=1, at_once=2, wait=0.01, root=str(ROOT))


@pytest.fixture(scope="module")
def load() -> Load:
    pipeline, images = InProcess(), [evaluation_scene(seed)[0] for seed in (45, 46)]
    return Load(images, [pipeline.pose(image) for image in images], clients=3)


@pytest.mark.slow
@pytest.mark.usefixtures("baselines")
@pytest.mark.parametrize("command", [fastapi_command, litserve_command])
def test_a_baseline_answers_as_the_pipeline_and_stands_still_between_its_turns(command, load):
    with Baseline(command, SETTINGS) as baseline:
        processes = psutil.Process(baseline.pid).children(recursive=True)
        asleep = http.client.HTTPConnection(baseline.url, timeout=2)
        with contextlib.closing(asleep), pytest.raises(TimeoutError):
            post(asleep, BASELINE, load.images[0])
        with baseline.awake():
            load.check(baseline.url)
            answers = load.on(baseline.url, BASELINE, 0)
    assert len(answers) >= load.clients
    _, left = psutil.wait_procs(processes, timeout=30)
    assert not left


def test_poseserve_gets_the_same_requests_and_gives_the_same_answers(server, load):
    check_server(f"http://{server.http_url}", load.images, load.people)
    people = {len(p) for p in load.people}
    assert {answer.people for answer in load.on(server.http_url, OURS, 0)} == people


def test_an_answer_that_is_none_ends_the_comparison(server, load):
    broken = replace(load, images=[b"no image"] * len(load.people))
    with pytest.raises(RuntimeError, match=r"answered 400: .*IMAGE is not an image"):
        broken.on(server.http_url, OURS, 0)


def test_a_baseline_that_ends_at_once_says_why(monkeypatch):
    monkeypatch.setattr("loadtest.baselines.process.PYTHON", "python3")
    with (
        pytest.raises(RuntimeError, match="no such application"),
        Baseline(lambda *_: ["-c", "raise SystemExit('no such application')"], SETTINGS),
    ):
        pass


@pytest.mark.parametrize("name", ["FastAPI", "LitServe"])
def test_a_baseline_is_tried_in_every_layout(name):
    assert {(tried.workers, tried.threads) for tried in variants(name, 16)} == set(shares(16))


def test_settings_reach_other_processes(monkeypatch):
    for name, value in SETTINGS.environment().items():
        monkeypatch.setenv(name, value)
    assert read_settings() == SETTINGS


def test_ratios_are_ours_by_theirs_in_the_same_round():
    def turn(seconds: float) -> list[Answer]:
        return [Answer(i * seconds, (i + 1) * seconds, 2) for i in range(6)]

    answers = {"poseserve": [turn(0.1), turn(0.2)], "FastAPI": [turn(0.2), turn(0.4)]}
    rows = summary(answers, clients=1)
    assert rows[1] == ("poseserve", "15.0", "100.0", "200.0", "1.000")
    assert rows[2] == ("FastAPI", "7.5", "200.0", "400.0", "2.000")
