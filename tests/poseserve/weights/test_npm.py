"""Files out of a package of npm: npm's own client brings it, nothing of it is run, what is not wanted stays in it."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from poseserve.catalogue import CATALOGUE, HUMAN_MODELS, HUMAN_MODELS_SIZE, NpmSource
from poseserve.errors import DiskFullError, FetchError
from poseserve.weights import disk
from poseserve.weights.fetch import digest
from poseserve.weights.npm import fetch_npm
from poseserve.weights.official import official_weights

CONTENT = {"models/a.json": b"{}", "models/a.bin": bytes(1000), "index.js": b"never to be run"}
SOURCE = NpmSource(
    "@somebody/models",
    "1.2.3",
    tuple((name, hashlib.sha256(CONTENT[name]).hexdigest()) for name in ("models/a.json", "models/a.bin")),
)
# In place of npm: packs what lies in $PACKAGE, and notes in $CALLS where it was called, and how.
CLIENT = """#!/bin/sh
echo "$PWD: $*" >> "$CALLS"
[ -f "$PACKAGE" ] || { echo "npm error code E404"; echo "npm error 404 Not Found"; exit 1; } >&2
cp "$PACKAGE" somebody-models-1.2.3.tgz
echo somebody-models-1.2.3.tgz
"""


@pytest.fixture
def calls(tmp_path, monkeypatch) -> Path:
    """An npm before all others on PATH; the file with its calls."""
    client = tmp_path / "bin" / "npm"
    client.parent.mkdir()
    client.write_text(CLIENT)
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PACKAGE", str(tmp_path / "package.tgz"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


@pytest.fixture
def publish(calls, tmp_path) -> Callable[..., None]:
    def publish(content: dict[str, bytes] = CONTENT, *links: tuple[str, str]) -> None:
        with tarfile.open(tmp_path / "package.tgz", "w:gz") as package:
            for name, data in content.items():
                about = tarfile.TarInfo(f"package/{name}")
                about.size = len(data)
                package.addfile(about, io.BytesIO(data))
            for name, target in links:
                about = tarfile.TarInfo(f"package/{name}")
                about.type, about.linkname = tarfile.SYMTYPE, target
                package.addfile(about)

    return publish


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def fetch(tmp_path: Path, file: str = "models/a.json") -> Path:
    return fetch_npm(SOURCE, file, 1000, tmp_path / "cache")


def test_one_download_serves_every_file_and_only_those_are_unpacked(publish, calls, tmp_path, capsys):
    publish()
    path = fetch(tmp_path)
    assert path.read_bytes() == b"{}"
    assert files(tmp_path / "cache") == {
        "somebody-models-1.2.3.tgz",
        *(f"somebody-models-1.2.3/models/{name}" for name in ("a.json", "a.bin")),
    }
    assert "@somebody/models@1.2.3: downloading 0.0 MB with npm" in capsys.readouterr().err
    assert fetch(tmp_path, "models/a.bin").parent == path.parent
    path.unlink()
    assert fetch(tmp_path).exists()
    (call,) = calls.read_text().splitlines()
    assert call.startswith(f"{tmp_path / 'cache'}/"), "not in a project, whose settings npm would read"
    assert call.endswith(": pack @somebody/models@1.2.3 --ignore-scripts --loglevel=error")


def test_without_npm_it_is_said_how_to_get_the_file_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        FetchError, match=r"npm, which is not on PATH: .* `npm pack @somebody/models@1.2.3` .* --checkpoint"
    ):
        fetch(tmp_path)
    assert not (tmp_path / "cache").exists()


def test_what_npm_says_is_passed_on(calls, tmp_path):
    with pytest.raises(FetchError, match=r"\(npm error code E404; npm error 404 Not Found\)\. Or run `npm pack"):
        fetch(tmp_path)
    assert files(tmp_path / "cache") == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models/a.bin": bytes(999)}, "models/a.bin has the SHA-256 .*, must be"),
        ({"models/a.bin": None}, "package/models/a.bin.* not found"),
    ],
)
def test_another_package_is_removed(publish, tmp_path, change, message):
    publish({name: data for name, data in (CONTENT | change).items() if data is not None})
    with pytest.raises(FetchError, match=f"{message}.*it was removed, fetch it again"):
        fetch(tmp_path)
    assert files(tmp_path / "cache") == {"somebody-models-1.2.3/models/a.json"}
    publish()
    assert fetch(tmp_path, "models/a.bin").read_bytes() == CONTENT["models/a.bin"]


def test_a_damaged_package_is_removed(publish, tmp_path):
    publish()
    package = tmp_path / "package.tgz"
    package.write_bytes(package.read_bytes()[:-20])
    with pytest.raises(FetchError, match="it was removed, fetch it again"):
        fetch(tmp_path)
    assert not (tmp_path / "cache" / "somebody-models-1.2.3.tgz").exists()


def test_a_link_out_of_the_package_is_not_followed(publish, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(CONTENT["models/a.json"])
    publish({"models/a.bin": CONTENT["models/a.bin"]}, ("models/a.json", str(outside)))
    with pytest.raises(FetchError, match="is not what was meant"):
        fetch(tmp_path)


def test_a_full_disk_is_noticed_before_the_download(publish, calls, tmp_path, monkeypatch):
    publish()
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("", (), {"free": 1500}))
    with pytest.raises(DiskFullError, match=r"somebody-models-1\.2\.3\.tgz needs 0\.0 MB"):
        fetch(tmp_path)
    assert not calls.exists()


def test_networks_from_npm_are_checked_in_full_and_asked_for_together(human_models, tmp_path, monkeypatch, capsys):
    for name, sha256 in HUMAN_MODELS.files:
        assert digest(human_models.parent / name) == sha256
    assert human_models.parent.with_name(f"{human_models.parent.name}.tgz").stat().st_size == HUMAN_MODELS_SIZE

    monkeypatch.setenv("POSESERVE_HOME", str(tmp_path))
    (tmp_path / "npm").symlink_to(human_models.parents[1])
    networks = [CATALOGUE["nanodet-640"], CATALOGUE["movenet-thunder"]]
    found = official_weights(networks, licence_accepted=True)
    assert [path.name for path in found] == ["nanodet.json", "movenet-thunder.json"]
    assert capsys.readouterr().out.startswith(
        "The weights of nanodet-640, movenet-thunder are under Apache-2.0 (any use with notice; the npm package"
    )
