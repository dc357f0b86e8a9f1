"""The command lines of `video` and `webcam`."""

import sys

import pytest

from poseclient.arguments import parser
from poseclient.tracking import TRACKERS
from poseclient.video import command


def parse(*arguments):
    return parser().parse_args(arguments)


@pytest.mark.parametrize(
    ("platform", "expected"),
    [("linux", ("v4l2", "/dev/video0")), ("darwin", ("avfoundation", "0")), ("freebsd14", ("v4l2", "/dev/video0"))],
)
def test_a_webcam_is_a_video_with_a_default(platform, expected, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    args = parse("webcam")
    assert (args.input_format, args.sources) == (expected[0], [expected[1]])
    assert parse("webcam", "/dev/video1").sources == ["/dev/video1"]
    assert vars(parse("video", expected[1], "--input-format", expected[0])) == vars(args) | {"command": "video"}


@pytest.mark.parametrize(("text", "seconds"), [("2.5", 2.5), ("1:02", 62), ("01:00:01.5", 3601.5)])
def test_times_are_written_as_people_write_them(text, seconds):
    assert parse("video", "a.mp4", "--start", text).start == seconds


@pytest.mark.parametrize(
    "options",
    [
        *(["--start", text] for text in ("soon", "-1", "1:2:3:4", "nan", "1:")),
        *(["--format", "csv,xml"], ["--draw", ""], ["--rotate", "45"], ["--every", "0"], ["--detect-every", "0"]),
    ],
)
def test_other_values_are_refused(options, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse("video", "a.mp4", *options)
    assert options[0] in capsys.readouterr().err


def test_several_formats_are_one_value():
    assert parse("video", "a.mp4", "--format", "mot,csv,mot").format == ["mot", "csv"]


def test_all_trackers_are_offered():
    assert set(command.TRACKERS) == {*TRACKERS, "none"}
