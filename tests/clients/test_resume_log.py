"""Runs that go on where they were stopped."""

import pytest

from poseclient import InputError
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
        assert log.answers == {"a": [1, 2], "b": {"ü": None}}
        log.add("c", 3)
    with ResumeLog(path, SETTINGS) as log:
        assert list(log.answers) == ["a", "b", "c"]


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_an_answer_that_was_not_written_to_its_end_is_forgotten(cut, tmp_path):
    path = written(tmp_path / "answers.jsonl", {"a": 1, "b": "x" * 30})
    path.write_bytes(path.read_bytes()[:-cut])
    with ResumeLog(path, SETTINGS) as log:
        assert log.answers == {"a": 1}
        log.add("b", 2)
    with ResumeLog(path, SETTINGS) as log:
        assert log.answers == {"a": 1, "b": 2}


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
            assert await send_missing(requests, log, concurrency=2) == 1
            assert set(log.answers) == {"a", "b", "c"}
        assert sorted(sent) == expected
    assert "bad: no image" in capsys.readouterr().err


async def test_a_fault_of_the_program_ends_the_run(tmp_path):
    async def send():
        raise ZeroDivisionError

    with ResumeLog(tmp_path / "answers.jsonl", SETTINGS) as log, pytest.raises(ZeroDivisionError):
        await send_missing({"a": send}, log, concurrency=2)
