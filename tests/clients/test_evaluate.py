"""`poseclient evaluate` says why it cannot begin; tests/pipeline has its figures."""

import json

import pytest

from poseclient.arguments import TASKS, parser
from poseclient.evaluate import main, patience, table
from poseclient.evaluations import EVALUATIONS

BAD_ANNOTATIONS = {
    "no JSON": lambda _: "{",
    "a list": lambda _: "[]",
    "other keys": lambda _: '{"frames": []}',
    "two categories": lambda good: json.dumps(good() | {"categories": [{"id": 1, "name": n} for n in ("cat", "dog")]}),
    "no area": lambda good: json.dumps(good(area=None)),
    "no box": lambda good: json.dumps(good(bbox=None)),
    "nobody": lambda good: json.dumps(good(image_id=9)),
}


@pytest.mark.parametrize("kind", BAD_ANNOTATIONS)
def test_a_bad_annotation_file_is_one_clear_line(kind, annotations, tmp_path, capsys):
    (tmp_path / "truth.json").write_text(BAD_ANNOTATIONS[kind](annotations))
    assert main(["--annotations", str(tmp_path / "truth.json"), "--images", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(tmp_path / "truth.json") in said


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--task", "keypoints"], "--annotations"),
        (["--task", "parts"], "--masks"),
        (["--task", "boxes", "--annotations", "a.json", "--truth-boxes"], "--truth-boxes"),
        (["--annotations", "missing.json"], "missing.json"),
    ],
)
def test_a_run_that_cannot_begin_says_why(arguments, word, tmp_path, capsys):
    assert main(["--images", str(tmp_path), "--out", str(tmp_path / "out"), *arguments]) == 1
    assert word in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [["--concurrency", "0"], ["--url", "gpu"], ["--limit", "-3"], ["--task", "part"]])
def test_a_wrong_command_line_is_exit_code_2(option, tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["--annotations", "a.json", "--images", str(tmp_path), *option])
    assert end.value.code == 2


def test_the_command_line_has_every_task():
    assert tuple(EVALUATIONS) == TASKS


def test_figures_are_printed_in_percent_and_false_people_counted():
    figures = {
        "body": {"AP_all": 0.5, "AR_all": 1.0},
        "left hand": {"AP_all": -1.0, "AR_all": 0.0625},
        "boxes": {"AP_small": 0.125},
        "false people": {"per_image": 0.15, "images": 40.0},
    }
    assert table(figures).splitlines() == [
        "              AP_all     AR_all",
        "body            50.0      100.0",
        "left hand          -        6.2",
        "            AP_small",
        "boxes           12.5",
        "false people: 0.15 an image, of 40 images without people",
    ]
    figures["false people"] = {"per_image": -1.0, "images": 0.0}
    assert len(table(figures).splitlines()) == 5


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ([], 60 * 8 * 3),
        (["--concurrency", "1"], 60 * 3),
        (["--concurrency", "16", "--max-people", "100"], 60 * 16 * 10),
        (["--concurrency", "1", "--max-people", "1", "--timeout", "2.5"], 2.5),
    ],
)
def test_a_request_is_waited_for_as_long_as_its_people_and_the_others_may_take(options, seconds):
    assert patience(parser().parse_args(["evaluate", "--images", "x", *options])) == seconds


def test_a_fault_of_the_program_shows_its_traceback(annotations, monkeypatch, tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(annotations()))
    monkeypatch.setitem(EVALUATIONS, "boxes", None)
    with pytest.raises(TypeError):
        main(["--task", "boxes", "--annotations", str(tmp_path / "truth.json"), "--images", str(tmp_path)])
