"""Who is who in rendered films, by a real server and each tracker; and that the figures mean what they say."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from demo.film import STORIES, Film
from loadtest.experiments import tracking
from loadtest.experiments.tracking import ask_in_turns, box_iou, oks, score, with_ids, with_true_ids
from poseclient import PoseClient, PosedPeople
from poseclient.tracking import TRACKERS, Tracker

SMALL = 240, 320


@pytest.fixture(scope="module")
def film():
    """Four people walk past each other for a second and a half."""
    return list(Film("returning", seed=0, seconds=1.6, size=SMALL))


@pytest.fixture(scope="module")
def answers(film, server):
    with PoseClient(f"grpc://{server.grpc_url}") as client:
        return [a.people for a in ask_in_turns(client, film, every=5)]


def true_people(frame) -> PosedPeople:
    keypoints = np.array([p.keypoints for p in frame.people], np.float32).reshape(-1, 17, 3)
    n = len(keypoints)
    boxes = np.array([p.box for p in frame.people], np.float32).reshape(-1, 4)
    ones = np.ones(n, np.float32)
    return PosedPeople(boxes, ones, keypoints, "coco_17", SMALL, n, ones, track_ids=frame.track_ids)


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("mode", [0, 1], ids=["every frame", "every 5"])
def test_ids_stay_with_people(name, mode, film, answers):
    found = score([film], [with_ids(Tracker(name), film, answers[mode])])
    best = score([film], [with_true_ids(film, answers[mode])])
    assert found["OKS"]["HOTA"] > 0.75
    assert found["IoU"]["HOTA"] > 0.85 * best["IoU"]["HOTA"]


def test_the_truth_is_right_and_ids_that_change_are_not(film):
    people = [true_people(frame) for frame in film]
    assert score([film], [people]) == {by: {"HOTA": 1, "IDF1": 1, "MOTA": 1} for by in ("IoU", "OKS")}
    half = len(people) // 2
    changed = people[:half] + [replace(p, track_ids=p.track_ids + 100) for p in people[half:]]
    assert score([film], [changed])["IoU"]["HOTA"] == pytest.approx(0.5**0.5, abs=0.05)
    assert score([film, film], [people, changed])["IoU"]["IDF1"] == pytest.approx(0.75, abs=0.05)
    assert score([film], [[p[:0] for p in people]])["OKS"]["HOTA"] == 0


def test_true_ids_are_those_of_the_most_alike(film):
    people = [replace(true_people(frame)[::-1], track_ids=None) for frame in film]
    named = with_true_ids(film, people)
    assert [p.track_ids.tolist() for p in named] == [frame.track_ids[::-1].tolist() for frame in film]
    apart = [replace(p, keypoints=p.keypoints + 500) for p in people]
    ids = np.concatenate([p.track_ids for p in with_true_ids(film, apart)])
    assert ids.min() >= tracking.OTHERS
    assert len(set(ids)) == len(ids)


def test_likenesses(film):
    frame = film[0]
    people = true_people(frame)
    np.testing.assert_allclose(np.diag(box_iou(frame.people, people)), 1)
    np.testing.assert_allclose(np.diag(oks(frame.people, people)), 1)
    assert oks(frame.people, people)[0, 1] < 0.1
    assert oks(frame.people, people[:0]).shape == box_iou(frame.people, people[:0]).shape == (len(people), 0)
    assert oks([], people).shape == box_iou([], people).shape == (0, len(people))


def test_the_command_prints_every_figure(server, capsys, monkeypatch):
    monkeypatch.setattr(tracking, "Film", partial(Film, size=SMALL))
    monkeypatch.setattr(tracking, "rendered", list)
    assert tracking.main(["--films", "1", "--seconds", "0.24", "--url", f"grpc://{server.grpc_url}"]) == 0
    text = capsys.readouterr().out
    assert f"{len(STORIES)} films, 18 frames" in text
    rows = re.findall(r"^every (?:frame|5)  +(\w+(?: ids)?)((?: +\d\.\d{3}){6})$", text, re.MULTILINE)
    assert [name for name, _ in rows] == [*TRACKERS, "true ids"] * 2
    assert len(re.findall(r"keypoint AP 0\.\d{4}, \d+\.\d frames/s", text)) == 2
    assert re.search(r"ratio of the speeds: \d\.\d\d", text)
