"""Long runs: they are resumed, stop by themselves or by Ctrl-C, wait for a server, and spoil no other run's files."""

import json
import os
import signal
import socket

import cv2
import numpy as np
import pytest

from poseclient.aio import AsyncPoseClient
from poseclient.cli import main
from tests.clients.gate import Gate

IMAGES = 12


@pytest.fixture
def folder(tmp_path):
    """Small images with names in their order."""
    (tmp_path / "photos").mkdir()
    for i in range(IMAGES):
        cv2.imwrite(str(tmp_path / "photos" / f"{i:02}.png"), np.full((40, 30, 3), 9 * i, np.uint8))
    return tmp_path / "photos"


@pytest.fixture
def run(server, folder, tmp_path):
    """Runs `detect` on the folder, one image at a time; gives the exit code."""

    def run(*options, url=f"grpc://{server.grpc_url}"):
        return main(["detect", str(folder), "--url", url, "--out", str(tmp_path / "out"), "--concurrency=1", *options])

    return run


@pytest.fixture
def asked(monkeypatch):
    """Runs something after every answer of the server, with the number of answers so far."""
    answers, then = [], []
    detect = AsyncPoseClient.detect

    async def counted(client, data, **options):
        people = await detect(client, data, **options)
        answers.append(people)
        for step in then:
            step(len(answers))
        return people

    monkeypatch.setattr(AsyncPoseClient, "detect", counted)
    return answers, then


def answered(out):
    """The names of the images that the lists in the folder know."""
    return [row["file_name"] for row in json.loads((out / "images.json").read_text())["images"]]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_in_order_and_it_is_resumed(number, code, run, asked, tmp_path, capsys):
    answers, then = asked
    then.append(lambda count: os.kill(os.getpid(), number) if count == 5 else None)
    assert run() == code
    first = answered(tmp_path / "out")
    assert first == [f"{i:02}.png" for i in range(len(first))]
    assert 5 <= len(first) < IMAGES  # one more may have been in flight
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jpg")) == [f"{name}_overlay.jpg" for name in first]
    assert not list((tmp_path / "out").glob(".part*"))
    assert "--resume goes on from here" in capsys.readouterr().err
    then.clear()
    assert run("--resume") == 0
    assert len(answers) == IMAGES
    assert answered(tmp_path / "out") == [f"{i:02}.png" for i in range(IMAGES)]
    assert f"{IMAGES - len(first)} images, 0 people, {len(first)} were there already" in capsys.readouterr().out


def test_an_image_that_was_added_changes_nothing_but_its_own(run, asked, folder, tmp_path):
    assert run() == 0
    (folder / "00a.png").write_bytes((folder / "00.png").read_bytes())
    assert run("--resume") == 0
    assert len(asked[0]) == IMAGES + 1
    dataset = json.loads((tmp_path / "out" / "images.json").read_text())
    assert [row["id"] for row in dataset["images"]] == list(range(1, IMAGES + 2))
    assert dataset["images"][1]["file_name"] == "00a.png"


def test_another_runs_files_are_not_overwritten_unasked(run, asked, tmp_path, capsys):
    assert run() == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    capsys.readouterr()
    assert run() == 1
    said = capsys.readouterr().err
    assert "holds the files of another run: --resume continues it, --overwrite replaces it" in said.replace(
        "them", "it"
    )
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    assert run("--resume", "--max-people=2") == 1
    assert "max_people None, now 2" in capsys.readouterr().err
    assert len(asked[0]) == IMAGES
    assert run("--overwrite", "--max-people=2") == 0
    assert len(asked[0]) == 2 * IMAGES


@pytest.mark.parametrize("name", ["results.json", "03.png_overlay.jpg"])
def test_files_of_nobody_knows_whom_are_not_overwritten_unasked(name, run, asked, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    (tmp_path / "out" / "notes.txt").touch()
    assert run() == run("--resume") == 1
    assert f"holds files that this run would write ({name})" in capsys.readouterr().err
    assert (tmp_path / "out" / name).read_text() == "mine"
    assert not asked[0]
    assert run("--overwrite") == 0


def test_failures_in_a_row_end_the_run(run, asked, folder, tmp_path, capsys):
    for i in (1, 3, 4, 5, 9):
        (folder / f"{i:02}.png").write_bytes(b"no image")
    assert run("--max-failures=3") == 1
    assert len(asked[0]) == 2
    said = capsys.readouterr().err
    assert "stopped after 3 failures in a row; --resume goes on from here" in said
    assert list(json.loads((tmp_path / "out" / "failed.json").read_text())) == [
        str(folder / f"{i:02}.png") for i in (1, 3, 4, 5)
    ]
    (folder / "04.png").write_bytes((folder / "02.png").read_bytes())
    assert run("--resume", "--max-failures=3") == 1
    assert answered(tmp_path / "out") == [f"{i:02}.png" for i in range(IMAGES) if i not in (1, 3, 5, 9)]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_run_waits_for_the_server_to_start_and_to_come_back(protocol, run, asked, server, monkeypatch):
    """A server that goes away in the middle fails no image when it is back in time."""
    gate = Gate(getattr(server, f"{protocol}_url"))
    is_ready = AsyncPoseClient.is_ready

    async def ready_soon(client):
        ready = await is_ready(client)
        if not ready and not gate.is_open:
            await gate.open()
        return ready

    monkeypatch.setattr(AsyncPoseClient, "is_ready", ready_soon)
    asked[1].append(lambda count: gate.close() if count == 3 else None)
    assert run("--wait=60", url=f"{protocol}://127.0.0.1:{gate.port}") == 0
    assert gate.opened == 2
    assert len(asked[0]) == IMAGES


def test_a_server_that_stays_away_ends_the_run(run, asked, server, monkeypatch, tmp_path, capsys):
    gate = Gate(server.grpc_url)
    is_ready = AsyncPoseClient.is_ready

    async def ready_once(client):
        if not gate.opened:
            await gate.open()
        return await is_ready(client)

    monkeypatch.setattr(AsyncPoseClient, "is_ready", ready_once)
    asked[1].append(lambda count: gate.close() if count == 3 else None)
    assert run("--max-failures=4", url=f"grpc://127.0.0.1:{gate.port}") == 1
    assert answered(tmp_path / "out") == ["00.png", "01.png", "02.png"]
    said = capsys.readouterr().err
    assert "unavailable" in said
    assert "stopped after 4 failures in a row" in said


def test_without_waiting_a_missing_server_is_one_line(run, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert run(url=f"grpc://127.0.0.1:{port}") == run("--wait=0.1", url=f"grpc://127.0.0.1:{port}") == 1
    assert capsys.readouterr().err == f"poseclient: no server is ready at grpc://127.0.0.1:{port}\n" * 2
    assert not (tmp_path / "out").exists()
