"""`make demo`: what it shows where there are no networks for photographs. With them: tests/test_readme.py."""

from __future__ import annotations

import sys

import pytest

import demo.__main__ as program
from poseserve.errors import FetchError


@pytest.fixture
def offline(monkeypatch):
    def fail(*_, **__):
        raise FetchError("npm is not on PATH")

    monkeypatch.setattr(program, "official_weights", fail)


def test_without_networks_for_photographs_a_scene_is_rendered(offline, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["demo", "--out", str(tmp_path)])
    program.main()
    output = capfd.readouterr().out
    assert "a rendered scene instead of a photograph: npm is not on PATH" in output
    assert f"6 people in {tmp_path / 'image.jpg'}" in output
    assert {p.name for p in tmp_path.iterdir()} == {"image.jpg", "people.jpg", "parts.jpg", "people.json"}


def test_a_photograph_is_not_shown_to_networks_that_know_none(offline, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo", "group.jpg", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 1
    assert "the networks for photographs are missing: npm is not on PATH" in capsys.readouterr().err
