"""What sources a command line means."""

import os
from pathlib import Path

import pytest

from poseclient import InputError
from poseclient.video.sources import Source, find_sources, hide_credentials


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Files of two days, one of them no video."""
    for name in ("mon/a.mp4", "mon/b.MOV", "mon/notes.md", "tue/a.mp4", "out/a.mp4_overlay.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*arguments, **options):
    return [source.name for source in find_sources(arguments, Path("out"), **options)[0]]


def test_a_folder_is_searched_and_its_tree_is_kept(tree):
    sources, others = find_sources(["."], Path("out"))
    assert [source.name for source in sources] == ["mon/a.mp4", "mon/b.MOV", "tue/a.mp4"]
    assert [Path(source.location) for source in sources] == [tree / source.name for source in sources]
    assert others == [tree / "mon/notes.md"]


def test_files_patterns_and_folders_mix_and_nothing_comes_twice(tree):
    assert names("mon/a.mp4", "*/*.mp4", "mon") == ["mon/a.mp4", "out/a.mp4_overlay.mp4", "tue/a.mp4", "mon/b.MOV"]
    assert names("mon/a.mp4") == ["a.mp4"]
    assert names("**/b.*") == ["b.MOV"]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(tree):
    assert names("mon/notes.md") == ["notes.md"]


def test_a_list_holds_what_a_command_line_could(tree):
    (tree / "mon" / "list.txt").write_text("# videos\na.mp4\n\n../tue/*.mp4\nrtsp://host/1\n")
    assert names("mon/list.txt") == ["mon/a.mp4", "tue/a.mp4", "host_1"]


@pytest.mark.parametrize("missing", ["c.mp4", "wed/*.mp4", "list.txt"])
def test_a_path_where_nothing_is_names_itself(missing, tree):
    with pytest.raises(InputError, match=missing.replace("*", r"\*")):
        find_sources([missing], Path("out"))


def test_no_two_sources_write_one_file(tree):
    (tree / "host_1").touch()
    assert names("rtsp://host/1", "rtsp://me:pw@host/1", "rtsp://host/1", "host_1") == [
        "host_1",
        "host_1-2",
        "host_1-3",
    ]


@pytest.mark.parametrize("location", ["/dev/video0", "testsrc2=size=64x48", "../../etc", "a?b", ":0.0", "...", "/"])
def test_the_name_of_a_device_is_that_of_a_file(location):
    (name,) = names(location, input_format="v4l2")
    assert name
    assert os.sep not in name
    assert not name.startswith(".")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Source("a.mp4", ""), False),
        (Source("https://host/a.mp4", ""), False),
        (Source("rtsp://host/1", ""), True),
        (Source("/dev/video0", "", "v4l2"), True),
    ],
)
def test_what_has_no_end_is_live(source, expected):
    assert source.is_live == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://me:pw@host:554/1", "rtsp://host:554/1"),
        ("http://me:p%40w@host/1?token=secret&x=1", "http://host/1"),
        ("https://host/a@b.mp4", "https://host/a@b.mp4"),
        ("what's up?.mp4", "what's up?.mp4"),
        ("me@home.mp4", "me@home.mp4"),
    ],
)
def test_credentials_are_hidden(text, expected):
    assert hide_credentials(text) == Source(text, "").label == expected
