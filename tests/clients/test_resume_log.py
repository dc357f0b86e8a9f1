"""Runs that go on where they were stopped."""

import asyncio
import tracemalloc

import pytest

from poseclient import InputError, RequestError
from poseclient.resume_log import ResumeLog, send_missing

SETTINGS = {"model": "pose", "oks_nms": None}


def written(path, answers):
    with ResumeLog(path, SETTINGS) as log:
        for name, answer in answers.items():
            log.add(name, answer)
    return path


def test_answers_are_there_again(tmp_path):
    path = written(tmp_path / "answers.jsonl", {"a": [1, 2], "b": {"ü": None}})
    with ResumeLog(path, SETTINGS) as log:
        assert dict(log) == {"a": [1, 2], "b": {"ü": None}}
        log.add("c", 3)
    with ResumeLog(path, SETTINGS) as log:
        assert list(log) == ["a", "b", "c"]


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_an_answer_that_was_not_written_to_its_end_is_forgotten(cut, tmp_path):
    path = written(tmp_path / "answers.jsonl", {"a": 1, "b": "x" * 30})
    path.write_bytes(path.read_bytes()[:-cut])
    with ResumeLog(path, SETTINGS) as log:
        assert dict(log) == {"a": 1}
        log.add("b", 2)
    with ResumeLog(path, SETTINGS) as log:
        assert dict(log) == {"a": 1, "b": 2}


def test_answers_to_other_settings_are_refused(tmp_path):
    path = written(tmp_path / "answers.jsonl", {"a": 1})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"model 'pose', now 'pose\.b'"):
        ResumeLog(path, SETTINGS | {"model": "pose.b"})
    with pytest.raises(ValueError, match=r"oks_nms None, now 0\.9"):
        ResumeLog(path, SETTINGS | {"oks_nms": 0.9})
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["hello\n", "{}\n", '{"settings": 3}\n', '{"settings": {"model": "pose"}}\n{}\n'])
def test_another_file_is_not_taken_for_answers(text, tmp_path):
    (tmp_path / "answers.jsonl").write_text(text)
    with pytest.raises(ValueError, match="no file of answers"):
        ResumeLog(tmp_path / "answers.jsonl", SETTINGS)
    assert (tmp_path / "answers.jsonl").read_text() == text


async def test_only_what_is_missing_is_sent_and_failures_stay_missing(tmp_path, capsys):
    sent = []

    def request(name):
        async def send():
            sent.append(name)
            if name == "bad":
                raise InputError("no image")
            return len(sent)

        return send

    requests = {name: request(name) for name in ("a", "bad", "b", "c")}
    path = written(tmp_path / "answers.jsonl", {"b": 1})
    for expected in (["a", "bad", "c"], ["bad"]):
        sent.clear()
        with ResumeLog(path, SETTINGS) as log:
            assert await send_missing(requests, log, concurrency=2, max_failures=9) == {"bad"}
            assert set(log) == {"a", "b", "c"}
        assert sorted(sent) == expected
    assert "bad: no image" in capsys.readouterr().err


async def test_a_fault_of_the_program_ends_the_run(tmp_path):
    async def send():
        raise ZeroDivisionError

    with ResumeLog(tmp_path / "answers.jsonl", SETTINGS) as log, pytest.raises(ZeroDivisionError):
        await send_missing({"a": send}, log, concurrency=2, max_failures=9)


async def test_failures_in_a_row_end_the_run_and_others_do_not(tmp_path, capsys):
    sent = []

    def request(name):
        async def send():
            sent.append(name)
            if name.startswith("bad"):
                raise InputError("no image")
            return name

        return send

    names = ["bad 1", "good 1", "bad 2", "bad 3", "good 2", "bad 4", "bad 5", "bad 6", "good 3"]
    with ResumeLog(tmp_path / "answers.jsonl", SETTINGS) as log:
        failed = await send_missing({name: request(name) for name in names}, log, concurrency=1, max_failures=3)
        assert list(log) == ["good 1", "good 2"]
    assert sent == names[:-1]
    assert failed == {f"bad {i}" for i in range(1, 7)}
    assert "stopped after 3 failures in a row" in capsys.readouterr().err


@pytest.mark.parametrize("status", ["DEADLINE_EXCEEDED", "UNAVAILABLE", "INTERNAL"])
async def test_what_a_busy_server_did_not_answer_is_sent_once_more_one_at_a_time(status, tmp_path, capsys):
    sent, in_flight = [], 0

    def request(name):
        async def send():
            nonlocal in_flight
            sent.append(name)
            in_flight += 1
            await asyncio.sleep(0)
            busy, in_flight = in_flight > 1 and name != "e", in_flight - 1
            if name == "refused":
                raise RequestError("no image", "INVALID_ARGUMENT")
            if busy or name == "never":
                raise RequestError("too late", status)
            return name

        return send

    names = ["a", "b", "refused", "never", "e"]
    with ResumeLog(tmp_path / "answers.jsonl", SETTINGS) as log:
        requests = {name: request(name) for name in names}
        refused = await send_missing(requests, log, concurrency=5, max_failures=9)
        assert set(log) == {"a", "b", "e"}
    assert refused == {"refused"}
    assert sent == [*names, "a", "b", "never"]
    assert capsys.readouterr().err.count("never: too late") == 2


async def test_a_server_that_is_gone_is_not_asked_once_more(tmp_path):
    sent = []

    def request(name):
        async def send():
            sent.append(name)
            raise RequestError("gone", "UNAVAILABLE")

        return send

    with ResumeLog(tmp_path / "answers.jsonl", SETTINGS) as log:
        requests = {str(i): request(str(i)) for i in range(9)}
        assert await send_missing(requests, log, concurrency=1, max_failures=3) == set()
    assert sent == ["0", "1", "2"]


def test_answers_stay_in_the_file(tmp_path):
    """A folder of a million images must fit into memory."""
    path = written(tmp_path / "answers.jsonl", {str(i): [i] * 1000 for i in range(300)})
    tracemalloc.start()
    with ResumeLog(path, SETTINGS) as log:
        assert (len(log), log["7"][0], log["299"][-1]) == (300, 7, 299)
        log.add("more", 1)
        assert log["more"] == 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < path.stat().st_size / 4
