"""The measurement of videos runs to its end and compares three ways on the same frames."""

from __future__ import annotations

import re
from contextlib import nullcontext
from types import SimpleNamespace

from loadtest.experiments import video


def test_video(server, scene, monkeypatch, capsys):
    monkeypatch.setattr(video, "scratch_server", lambda *_: nullcontext(server))
    monkeypatch.setattr(video, "rendered", lambda _: [SimpleNamespace(image=scene.image)])
    assert video.main(["--frames", "6", "--rounds", "1"]) == 0
    out = capsys.readouterr().out
    assert "6 frames of 720 x 540, 8 in flight" in out
    ratios = re.findall(r"^(.+?)  +[\d.]+ +([\d.]+)$", out, re.MULTILINE)
    assert [name for name, _ in ratios] == ["JPEGs in memory", "track", "poseclient video"]
    assert ratios[0][1] == "1.00"
