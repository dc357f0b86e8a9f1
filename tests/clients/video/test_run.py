"""`poseclient video` against a real server: what it writes, how it ends, goes on, waits, and what it refuses."""

import asyncio
import csv
import json
import os
import signal

import cv2
import numpy as np
import psutil
import pytest

from poseclient import AsyncPoseClient, InputError, PoseClient
from poseclient.cli import main
from poseclient.people import PosedPeople
from poseclient.video import live, writer
from tests.clients.gate import Gate
from tests.clients.video.numbered import bars, seconds_of_sound, shown

FRAMES = 12


@pytest.fixture
def walk(make_video, scene):
    """12 frames of four people who drift to the left, with sound."""
    height, width = scene.image.shape[:2]
    shifts = [np.float32([[1, 0, -3 * i], [0, 1, 0]]) for i in range(FRAMES)]
    return make_video("in/walk.mp4", [cv2.warpAffine(scene.image, s, (width, height)) for s in shifts], sound=True)


@pytest.fixture
def run(server, tmp_path):
    """Runs `video` into a folder; gives the exit code."""

    def run(*arguments, out="out", url=f"grpc://{server.grpc_url}"):
        return main(["video", *map(str, arguments), "--url", url, "--out", str(tmp_path / out)])

    return run


@pytest.fixture
def asked(monkeypatch):
    """Runs something before every request for a pose, with their number."""
    requests, then = [], []
    pose = AsyncPoseClient.pose

    async def counted(client, data, **options):
        requests.append(options)
        for step in then:
            step(len(requests))
        return await pose(client, data, **options)

    monkeypatch.setattr(AsyncPoseClient, "pose", counted)
    return requests, then


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_people_keep_their_ids_and_the_video_its_frames_times_and_sound(run, walk, tmp_path, capsys):
    assert run(walk, "--format", "csv,mot,easy_vitpose", "--draw", "skeletons,boxes,ids,detections") == 0
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        *("run.jsonl", "walk.mp4.csv", "walk.mp4.json", "walk.mp4.txt", "walk.mp4_overlay.mp4")
    ]
    table = rows(out / "walk.mp4.csv")
    assert {int(row["frame"]) for row in table} == set(range(FRAMES))
    assert {int(row["id"]) for row in table if row["frame"] != "0"} == {1, 2, 3, 4}
    noses = [float(row["x"]) for row in table if row["id"] == "1" and row["keypoint"] == "nose"]
    assert np.allclose(np.diff(noses), -3, atol=2)
    before, after = shown(walk), shown(out / "walk.mp4_overlay.mp4")
    assert np.allclose([time for time, _ in before], [time for time, _ in after], atol=1e-6)
    assert seconds_of_sound(out / "walk.mp4_overlay.mp4") == pytest.approx(seconds_of_sound(walk), abs=0.1)
    assert np.abs(after[5][1].astype(int) - before[5][1]).max() > 100
    assert f"1 sources, {FRAMES} frames, {4 * FRAMES} poses" in capsys.readouterr().out


def test_the_detector_may_be_asked_less_often(run, walk, asked, tmp_path):
    assert run(walk, "--detect-every", "4", "--no-overlay", "--smooth", "--focus", "largest") == 0
    assert len(asked[0]) == 3
    people = {(row["frame"], row["id"]) for row in rows(tmp_path / "out" / "walk.mp4.csv")}
    assert len(people) == FRAMES - 1  # one person, from the second frame on
    assert len({i for _, i in people}) == 1


def test_one_person_without_a_tracker(run, walk, asked, tmp_path):
    assert run(walk, "--single-pose", "--every", "4", "--format", "easy_vitpose", "--no-overlay") == 0
    written = json.loads((tmp_path / "out" / "walk.mp4.json").read_text())
    assert [list(frame) for frame in written["keypoints"]] == [["0"]] * 3
    assert {options["max_people"] for options in asked[0]} == {1}


def test_ctrl_c_leaves_whole_files_and_the_run_goes_on_as_if_nothing_had_been(run, walk, asked, tmp_path, capsys):
    assert run(walk, "--detect-every", "2", out="whole") == 0
    requests, then = asked
    requests.clear()
    then.append(lambda count: os.kill(os.getpid(), signal.SIGINT) if count == 4 else None)
    options = ["--detect-every", "2", "--concurrency", "1"]
    assert run(walk, *options) == 130
    assert "--resume goes on from here" in capsys.readouterr().err
    out = tmp_path / "out"
    first = shown(out / "walk.mp4_overlay.mp4")
    assert 5 <= len(first) < FRAMES
    assert {int(row["frame"]) for row in rows(out / "walk.mp4.csv")} == set(range(len(first)))
    then.clear()
    before = len(requests)
    assert run(walk, "--resume", *options) == 0
    assert len(requests) - before < FRAMES // 2
    assert len(shown(out / "walk.mp4_overlay.mp4")) == FRAMES
    for row, same in zip(rows(out / "walk.mp4.csv"), rows(tmp_path / "whole" / "walk.mp4.csv"), strict=True):
        assert (row["frame"], row["id"], row["keypoint"]) == (same["frame"], same["id"], same["keypoint"])
    assert not list(out.glob("*_answers.jsonl"))
    assert run(walk, "--resume", *options) == 0
    assert "1 were there already" in capsys.readouterr().out


def test_a_server_that_goes_away_and_comes_back_costs_no_frame(run, walk, server, monkeypatch, tmp_path):
    """The requests in flight are lost with it."""
    gate = Gate(server.grpc_url)
    is_ready, pose, count = AsyncPoseClient.is_ready, AsyncPoseClient.pose, []
    reopening = []

    async def ready_soon(client):
        if not gate.opened:
            await gate.open()
        return await is_ready(client)

    async def counted(client, data, **options):
        count.append(0)
        if len(count) == 7:
            gate.close()
            asyncio.get_running_loop().call_later(0.5, lambda: reopening.append(asyncio.ensure_future(gate.open())))
        return await pose(client, data, **options)

    monkeypatch.setattr(AsyncPoseClient, "is_ready", ready_soon)
    monkeypatch.setattr(AsyncPoseClient, "pose", counted)
    assert run(walk, "--no-overlay", url=f"grpc://127.0.0.1:{gate.port}") == 0
    assert gate.opened == 2
    table = rows(tmp_path / "out" / "walk.mp4.csv")
    assert {int(row["frame"]) for row in table} == set(range(FRAMES))
    assert {int(row["id"]) for row in table if row["frame"] != "0"} == {1, 2, 3, 4}
    assert len(count) > FRAMES


def test_sources_are_handled_each_for_itself(run, walk, make_video, tmp_path, capsys):
    """One is broken, one shows nobody, one is turned."""
    make_video("in/sub/nobody.mkv", [bars(i) for i in range(5)])
    make_video("in/sub/turned.mp4", [bars(i) for i in range(3)], rotation=90)
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no video")
    assert run(tmp_path / "in", "--end", "0.2", "--format", "csv,posetrack") == 1
    out = tmp_path / "out"
    assert [len(shown(out / name)) for name in ("walk.mp4_overlay.mp4", "sub/nobody.mkv_overlay.mp4")] == [5, 5]
    assert shown(out / "sub" / "turned.mp4_overlay.mp4")[0][1].shape == (128, 96, 3)
    assert rows(out / "sub" / "nobody.mkv.csv") == []
    assert list(json.loads((out / "failed.json").read_text())) == [str(tmp_path / "in" / "broken.mp4")]
    said = capsys.readouterr()
    assert "broken.mp4: Invalid data" in said.err
    assert "3 sources, 13 frames, 20 poses, 1 failed" in said.out
    make_video("in/broken.mp4", [bars(0)])
    assert run(tmp_path / "in", "--end", "0.2", "--format", "csv,posetrack", "--resume") == 0
    assert not (out / "failed.json").exists()


def test_a_camera_is_a_source_like_others(run, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "STALE", 60.0)
    cameras = [f"testsrc2=size={size}:rate=10,realtime" for size in ("64x48", "96x64")]
    assert run(*cameras, "--input-format", "lavfi", "--end", "0.8") == 0
    sizes = set()
    for path in (tmp_path / "out").glob("*_overlay.mp4"):
        frames = shown(path)
        assert len(frames) == 8
        sizes.add(frames[0][1].shape)
    assert sizes == {(48, 64, 3), (64, 96, 3)}


def test_a_video_without_its_sound_costs_no_table(run, walk, monkeypatch, tmp_path, capsys):
    def fail(*_):
        raise InputError("no sound")

    monkeypatch.setattr(writer, "_with_sound", fail)
    assert run(walk, "--every", "3") == 1
    assert "walk.mp4: no sound" in capsys.readouterr().err
    assert {row["frame"] for row in rows(tmp_path / "out" / "walk.mp4.csv")} == {"0", "3", "6", "9"}
    assert len(shown(tmp_path / "out" / "walk.mp4_overlay.part.mp4")) == 4


def test_a_window_shows_it_and_a_key_ends_it(run, walk, monkeypatch, tmp_path):
    pictures = []
    monkeypatch.setattr(cv2, "imshow", lambda name, picture: pictures.append(picture.shape))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(pictures) == 2 else -1)
    assert run(walk, "--show", "--no-overlay", "--concurrency", "1") == 0
    assert 2 <= len(pictures) < FRAMES
    assert not list((tmp_path / "out").glob("*.mp4"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--start", "0:02", "--end", "1"], "--start 2 is not before --end 1"),
        (["--start", "100"], "no frame between --start and --end"),
        (["--tracker", "none", "--smooth"], "they go with a tracker"),
        (["--focus", "nobody"], "focus 'nobody' must be"),
        (["--input-format", "nix"], "FFmpeg has no input format 'nix'"),
        (["--input-format", "lavfi", "--resume"], "a live source has no past"),
        (["--model", "pose.nix"], "pose.nix"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(options, message, run, walk, capsys):
    assert run(walk, *options) == 1
    assert message in capsys.readouterr().err


def test_another_runs_files_are_not_overwritten_unasked(run, make_video, capsys):
    path = make_video("a.mp4", [bars(i) for i in range(2)])
    assert run(path) == 0
    assert run(path) == 1
    assert "holds the files of another run" in capsys.readouterr().err
    assert run(path, "--resume", "--rotate", "90") == 1
    assert "rotate 0, now 90" in capsys.readouterr().err
    assert run(path, "--overwrite", "--rotate", "90") == 0


async def test_the_clients_track_files_and_frames(server, walk):
    """The blocking one also where an event loop runs."""
    url = f"grpc://{server.grpc_url}"
    async with AsyncPoseClient(url) as client:
        found = [result async for result in client.track(walk, detect_every=3)]
        assert [result.index for result in found] == list(range(FRAMES))
        assert {tuple(sorted(result.people.track_ids)) for result in found[1:]} == {(1, 2, 3, 4)}
        assert found[3].time == pytest.approx(3 / 25)
        detections = found[-1].people.to_supervision()[0]
        assert sorted(detections.tracker_id) == [1, 2, 3, 4]

        async def images():
            for result in found[:2]:
                yield result.image

        assert [result.time async for result in client.track(images(), tracker="none", fps=2)] == [0, 0.5]
    with PoseClient(url) as blocking:
        timed = [(result.time, result.image) for result in found[:4]]
        for result in blocking.track(timed):
            assert np.array_equal(result.image, found[result.index].image)
            if result.index == 2:
                break
        with pytest.raises(ValueError, match=r"frame 0 is float64 \[4\], must be pixels u8"):
            list(blocking.track([np.zeros(4)]))


@pytest.mark.slow
def test_memory_stays_flat_for_ten_minutes(run, make_video, monkeypatch, tmp_path):
    """Of a video at 25 frames a second; the answers are made up, so that it takes minutes, not hours."""
    keypoints = np.random.default_rng(0).uniform(0, 90, (4, 17, 3)).astype(np.float32)
    boxes, scores = np.array([[0, 0, 90, 90]] * 4, np.float32) + np.arange(4)[:, None], np.full(4, 0.8, np.float32)
    people, memory = PosedPeople(boxes, scores, keypoints, "coco_17", pose_scores=scores), []

    async def answer(*_, **__):
        memory.append(psutil.Process().memory_info().rss)
        return people

    monkeypatch.setattr(AsyncPoseClient, "pose", answer)
    images = [bars(i, (240, 320)) for i in range(256)]
    path = make_video("long.mp4", [images[i % 256] for i in range(15_000)])
    assert run(path, "--format", "csv,parquet,posetrack") == 0
    assert len(memory) == 15_000
    assert max(memory) - memory[1500] < 100e6
