"""Patterns and lists on the command line."""

import pytest

from poseclient import InputError
from poseclient.image_files import find_images
from poseclient.path_lists import expand


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch):
    for name in ("mon/a.jpg", "mon/b.jpg", "tue/a.jpg", "tue/[1].jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("mon", ["mon"]),
        ("mon/*.jpg", ["mon/a.jpg", "mon/b.jpg"]),
        ("**/a.jpg", ["mon/a.jpg", "tue/a.jpg"]),
        ("tue/[1].jpg", ["tue/[1].jpg"]),
        ("missing.jpg", ["missing.jpg"]),
        ("rtsp://host/1?a=*", ["rtsp://host/1?a=*"]),
    ],
)
def test_patterns_become_files_and_others_stay(argument, expected):
    assert list(expand([argument])) == expected


def test_a_list_may_hold_patterns_and_lists_and_starts_where_it_stands(tree):
    (tree / "mon" / "list.txt").write_text("# two days\n\na.jpg\n  ../tue/*.jpg\nmore.TXT\n")
    (tree / "mon" / "more.TXT").write_text("b.jpg\n")
    assert list(expand(["mon/list.txt", "mon"])) == [
        *("mon/a.jpg", "mon/../tue/[1].jpg", "mon/../tue/a.jpg", "mon/b.jpg", "mon")
    ]
    images = find_images([tree / "mon" / "list.txt"], tree / "out").images
    assert list(images) == ["mon/a.jpg", "tue/[1].jpg", "tue/a.jpg", "mon/b.jpg"]


@pytest.mark.parametrize(("argument", "message"), [("no*.jpg", "nothing fits"), ("no.txt", "no such list")])
def test_what_is_not_there_is_named(argument, message):
    with pytest.raises(InputError, match=message):
        list(expand([argument]))
