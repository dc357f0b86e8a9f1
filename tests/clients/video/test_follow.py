"""From frames to people with a client of the tests: what it is asked, in which order, and when there is no answer."""

import asyncio
from fractions import Fraction

import numpy as np
import pytest

from poseclient import InputError, RequestError
from poseclient.people import PosedPeople
from poseclient.video import follow as follow_module
from poseclient.video.answers import AnswerLog
from poseclient.video.follow import Asking, follow, frames_at_once
from poseclient.video.frames import Frame
from poseclient.video.track import tracking
from tests.clients.video.numbered import bars


def posed(boxes, size=(96, 128)):
    """People whose keypoints fill their boxes."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    steps = np.linspace(0, 1, 17)[:, None]
    keypoints = np.concatenate(
        [boxes[:, None, :2] + steps * (boxes[:, None, 2:] - boxes[:, None, :2]), np.full((len(boxes), 17, 1), 0.9)], 2
    )
    scores = np.full(len(boxes), 0.8, np.float32)
    return PosedPeople(boxes, scores, keypoints.astype(np.float32), "coco_17", size, len(boxes), scores)


class Client:
    """Finds one person, two pixels further right at each detection; notes what it is asked.

    at_once: it answers nobody before so many requests were in flight together.
    """

    def __init__(self, away=0, at_once=1):
        self.asked, self.away, self.in_flight, self.most = [], away, 0, 0
        self.at_once, self.are_together = at_once, asyncio.Event()

    async def pose(self, jpeg, **options):
        return await self.answer(("pose", options), lambda n: posed([[10 + 2 * n, 10, 40 + 2 * n, 80]]))

    async def pose_in_boxes(self, jpeg, boxes, **options):
        return await self.answer(("pose_in_boxes", options), lambda n: posed(boxes + np.array([2, 0, 2, 0])))

    async def answer(self, request, people):
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        n = len(self.asked)
        self.asked.append(request)
        if self.most >= self.at_once:
            self.are_together.set()
        await asyncio.wait_for(self.are_together.wait(), 10)
        await asyncio.sleep(0)
        self.in_flight -= 1
        if self.away:
            self.away -= 1
            raise RequestError("no server", "UNAVAILABLE")
        return people(n)

    async def is_ready(self):
        return not self.away


async def frames(count, start=0):
    for i in range(start, count):
        yield Frame(i, i, Fraction(1, 25), bars(i))


async def results(client, asking, count=12, steps=(), log=None):
    return [result async for result in follow(client, frames(count), asking, list(steps), log)]


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(follow_module, "PAUSE", 0.001)


async def test_frames_are_asked_about_at_once_and_come_in_order():
    client = Client(at_once=2)
    found = await results(client, Asking(options={"max_people": 3}, window=4))
    assert [result.index for result in found] == list(range(12))
    assert found[3].people.image_size == (96, 128)
    assert client.asked == [("pose", {"model": "pose", "max_people": 3})] * 12
    assert client.most > 1


@pytest.mark.parametrize(("model", "boxes_model"), [("pose", "pose_in_boxes"), ("pose.big", "pose_in_boxes.big")])
async def test_between_detections_the_people_are_followed(model, boxes_model):
    client = Client(at_once=2)
    found = await results(client, Asking(model, {"oks_nms": 0.9}, detect_every=4, window=12))
    names = sorted(name for name, _ in client.asked)
    assert names == ["pose"] * 3 + ["pose_in_boxes"] * 9
    assert {options["model"] for name, options in client.asked if name == "pose_in_boxes"} == {boxes_model}
    assert client.most > 1  # a frame waits for the one before, not for other detections
    moves = np.diff([result.people.boxes[0, 0] for result in found])
    assert np.allclose(np.delete(moves, [3, 7]), 2)


@pytest.mark.parametrize(
    ("in_flight", "detect_every", "expected"), [(8, 1, 8), (8, 5, 40), (8, 30, 48), (64, 1, 64), (64, 5, 64), (1, 3, 3)]
)
def test_frames_in_work_are_bounded(in_flight, detect_every, expected):
    assert frames_at_once(in_flight, detect_every) == expected


async def test_steps_get_the_people_in_order_with_their_times():
    seen = []

    def note(people, time):
        seen.append(time)
        return people

    await results(Client(), Asking(window=5), steps=[note, *tracking("bytetrack", None, True, "largest")])
    assert seen == [i / 25 for i in range(12)]


async def test_ids_stay():
    found = await results(Client(), Asking(detect_every=3, window=6), steps=tracking("bytetrack", None, False, None))
    assert [result.people.track_ids.tolist() for result in found] == [[-1]] + [[1]] * 11


async def test_a_server_that_is_away_is_waited_for_and_no_frame_is_lost():
    said = []
    found = await results(Client(away=7), Asking(window=4, wait=60, say=said.append))
    assert [result.index for result in found] == list(range(12))
    assert said[0] == "waiting for the server: no server"
    assert said[-1] == "the server is back"


@pytest.mark.parametrize("asking", [Asking(window=4), Asking(window=4, wait=60, is_over=lambda: True)])
async def test_nobody_waits_without_being_told_to_or_at_the_end(asking):
    with pytest.raises(RequestError, match="no server"):
        await results(Client(away=100), asking)


async def test_a_server_that_stays_away_ends_it():
    with pytest.raises(RequestError, match="no server"):
        await results(Client(away=10**9), Asking(window=4, wait=0.02))


async def test_what_was_answered_before_is_not_asked_again(tmp_path):
    asking = Asking(detect_every=3, window=6)
    with AnswerLog(tmp_path / "a.jsonl", {}) as log:
        first = Client()
        expected = await results(first, asking, 8, log=log)
        assert len(first.asked) == 8
    with AnswerLog(tmp_path / "a.jsonl", {}) as log:
        second = Client()
        found = await results(second, asking, log=log)
    assert [name for name, _ in second.asked] == ["pose_in_boxes", "pose", "pose_in_boxes", "pose_in_boxes"]
    assert np.array_equal(found[7].people.keypoints, expected[7].people.keypoints)
    with AnswerLog(tmp_path / "a.jsonl", {}) as log:
        third = Client()
        assert len(await results(third, asking, log=log)) == 12
    assert third.asked == []


@pytest.mark.parametrize(("smooth", "focus"), [(True, None), (False, "largest")])
def test_what_needs_ids_needs_a_tracker(smooth, focus):
    with pytest.raises(InputError, match="choose a tracker"):
        tracking("none", None, smooth, focus)
