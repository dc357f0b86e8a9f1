"""Fetching: resumed, checked, with room, by the settings of huggingface_hub; licences asked for once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poseserve.catalogue import CC_BY_NC, SAPIENS2
from poseserve.errors import DiskFullError, FetchError, LicenceError
from poseserve.weights import disk, fetch
from poseserve.weights.fetch import accept_licence, fetch_url, find_local
from tests.hub import Hub

CONTENT = random.Random(0).randbytes(4 << 20)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = "/owner/network/resolve/main/folder/network.pth"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub({PATH: CONTENT}) as hub:
        yield hub


# ---- plain addresses


@pytest.fixture
def target(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(fetch.time, "sleep", lambda seconds: None)
    return tmp_path / "new" / "network.pth"


def test_a_plain_address(hub, target):
    assert fetch_url(hub.url + PATH, target, len(CONTENT), SHA256) == target
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_is_there_is_not_fetched_again(hub, target):
    fetch_url(hub.url + PATH, target)
    fetch_url(hub.url + PATH, target, len(CONTENT), SHA256)
    assert len(hub.requests) == 1


def test_cut_connections_are_resumed(hub, target):
    hub.cuts += [1 << 20, 1 << 21]
    fetch_url(hub.url + PATH, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert len(hub.requests) == 3
    assert hub.sent == len(CONTENT), "no byte comes twice"


def test_a_later_run_goes_on_where_the_last_one_stopped(hub, target):
    hub.cuts += [1 << 20] + [0] * fetch.ATTEMPTS
    with pytest.raises(FetchError, match="goes on where it stopped"):
        fetch_url(hub.url + PATH, target)
    assert not target.exists()
    fetch_url(hub.url + PATH, target)
    assert target.read_bytes() == CONTENT
    assert hub.sent == len(CONTENT)


def test_a_server_without_ranges_starts_again(hub, target):
    hub.ranges, hub.cuts = False, [1 << 20]
    fetch_url(hub.url + PATH, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("leftover", [CONTENT, CONTENT + b"of a longer file"])
def test_a_leftover_that_is_complete_or_too_long(hub, target, leftover):
    target.parent.mkdir()
    target.with_name("network.pth.part").write_bytes(leftover)
    fetch_url(hub.url + PATH, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("expected", "message"),
    [({"sha256": "0123abcd"}, f"SHA-256 {SHA256}, must be 0123abcd"), ({"size": 5}, "4,194,304 bytes, must be 5")],
)
def test_another_file_is_removed(hub, target, expected, message):
    with pytest.raises(FetchError, match=message):
        fetch_url(hub.url + PATH, target, **expected)
    assert not list(target.parent.iterdir())


def test_a_digest_may_be_given_by_its_first_digits(hub, target):
    assert fetch_url(hub.url + PATH, target, sha256=SHA256[:8].upper()).exists()


def test_a_full_disk_is_noticed_before_the_download(hub, target, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("", (), {"free": 3_000_000}))
    with pytest.raises(DiskFullError, match=r"needs 4\.2 MB, .* has 3\.0 MB free: make room"):
        fetch_url(hub.url + PATH, target)
    assert not list(target.parent.iterdir())


def test_an_address_without_a_file(hub, target):
    with pytest.raises(FetchError, match=r"/other: 404 Not Found"):
        fetch_url(hub.url + "/other", target)


# ---- the hub; huggingface_hub reads its settings when it is imported, so each download has a process of its own

SCRIPT = """
import json, sys
from poseserve.catalogue import CC_BY_NC, SAPIENS2
from poseserve.errors import PoseserveError
from poseserve.weights.fetch import fetch_hub
try:
    print(fetch_hub("owner/network", "folder/network.pth", **json.loads(sys.argv[1])))
except PoseserveError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def fetch_hub(hub, tmp_path):
    def run(settings: dict[str, str] | None = None, **arguments) -> str:
        """What fetch_hub(**arguments) returned, or its error."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        ours = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-c", SCRIPT, json.dumps(arguments)]
        done = subprocess.run(command, env=plain | ours | (settings or {}), capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stderr
        return (done.stdout if done.returncode == 0 else done.stderr.splitlines()[-1]).strip()

    return run


def test_the_hub_of_hf_endpoint_with_the_token_of_hf_token_then_offline_from_the_cache(hub, fetch_hub):
    path = fetch_hub({"HF_TOKEN": "hf_secret"}, size=len(CONTENT), sha256=SHA256)
    assert Path(path).read_bytes() == CONTENT
    tokens = [request.headers["Authorization"] for request in hub.requests if request.path == PATH]
    assert set(tokens) == {"Bearer hf_secret"}
    assert hub.sent == len(CONTENT)

    hub.requests.clear()
    assert fetch_hub({"HF_HUB_OFFLINE": "1"}) == path
    assert not hub.requests


def test_a_folder_of_ones_own(hub, fetch_hub, tmp_path):
    path = fetch_hub(folder=str(tmp_path / "weights"))
    assert path == str(tmp_path / "weights" / "folder" / "network.pth")
    assert Path(path).read_bytes() == CONTENT


def test_offline_without_the_file(hub, fetch_hub):
    assert fetch_hub({"HF_HUB_OFFLINE": "1"}).startswith("FetchError: owner/network/folder/network.pth: ")
    assert not hub.requests


def test_a_cut_download_from_the_hub_is_resumed(hub, fetch_hub):
    piece = 10 << 20  # huggingface_hub writes, and so resumes, in such pieces
    hub.files[PATH] = bytes(2 * piece)
    hub.cuts = [piece + 1000]
    assert Path(fetch_hub()).stat().st_size == 2 * piece
    assert hub.sent == 2 * piece + 1000


def test_another_file_on_the_hub_is_removed(hub, fetch_hub, tmp_path):
    assert f"SHA-256 {SHA256}, must be 0123" in fetch_hub(sha256="0123")
    assert Path(fetch_hub(sha256=SHA256)).read_bytes() == CONTENT
    assert hub.sent == 2 * len(CONTENT)


def test_no_room_for_a_file_of_the_hub(hub, fetch_hub):
    assert "needs 1000000000.0 GB" in fetch_hub(size=10**18)
    assert hub.sent == 0


def test_gated_repositories_say_what_to_do(hub, fetch_hub):
    hub.gated = True
    assert "accept them, and set HF_TOKEN" in fetch_hub()


def test_a_file_that_the_repository_lacks(hub, fetch_hub):
    hub.files.clear()
    assert fetch_hub().startswith("FetchError: owner/network/folder/network.pth: ")


# ---- licences


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("POSESERVE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def terminal(monkeypatch, answer: str) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: answer)


SAPIENS = ["sapiens"], CC_BY_NC


def test_a_licence_is_shown_asked_for_once_and_remembered(cache, monkeypatch, capsys):
    terminal(monkeypatch, "Yes")
    accept_licence(*SAPIENS, accepted=False)
    shown = capsys.readouterr().out
    assert "CC BY-NC 4.0 (non-commercial use" in shown
    assert CC_BY_NC.url in shown

    terminal(monkeypatch, "no")
    accept_licence(*SAPIENS, accepted=False)
    assert capsys.readouterr().out == ""


def test_another_licence_is_asked_for_again(cache, monkeypatch):
    accept_licence(*SAPIENS, accepted=True)
    terminal(monkeypatch, "")
    with pytest.raises(LicenceError, match="not accepted: nothing was fetched"):
        accept_licence(["sapiens"], SAPIENS2, accepted=False)


def test_without_a_terminal_the_flag_is_asked_for(cache, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(LicenceError, match="--accept-licence"):
        accept_licence(*SAPIENS, accepted=False)
    assert not cache.exists()
    accept_licence(*SAPIENS, accepted=True)
    accept_licence(*SAPIENS, accepted=False)


def test_networks_under_one_licence_are_asked_for_together(cache, monkeypatch, capsys):
    accept_licence(["a", "b"], CC_BY_NC, accepted=True)
    accept_licence(["b", "c"], CC_BY_NC, accepted=True)
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line != CC_BY_NC.url] == [
        f"The weights of {names} are under CC BY-NC 4.0 ({CC_BY_NC.allows}):" for names in ("a, b", "c")
    ]


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({"POSESERVE_HOME": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/poseserve"),
        ({}, "/home/me/.cache/poseserve"),
    ],
)
def test_the_cache_folder_follows_the_environment(monkeypatch, settings, folder):
    for name in ("POSESERVE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/me"} | settings).items():
        monkeypatch.setenv(name, value)
    assert fetch.cache_folder() == Path(folder)


# ---- earlier downloads


def test_earlier_downloads_are_found(tmp_path, monkeypatch):
    sapiens = tmp_path / "lite" / "pose" / "checkpoints" / "sapiens_1b" / "a.pt2"
    other = tmp_path / "mine" / "b.pth"
    for path in (sapiens, other):
        path.parent.mkdir(parents=True)
        path.touch()
    for name in ("SAPIENS_LITE_CHECKPOINT_ROOT", "POSESERVE_CHECKPOINTS"):
        monkeypatch.delenv(name, raising=False)
    assert find_local(["a.pt2"], "pose/checkpoints/sapiens_1b") is None

    monkeypatch.setenv("SAPIENS_LITE_CHECKPOINT_ROOT", str(tmp_path / "lite"))
    monkeypatch.setenv("POSESERVE_CHECKPOINTS", str(tmp_path / "mine"))
    assert find_local(["b.pt2", "a.pt2"], "pose/checkpoints/sapiens_1b") == sapiens
    assert find_local(["b.pth"]) == other
    assert find_local(["c.pth"], "pose/checkpoints/sapiens_1b") is None
