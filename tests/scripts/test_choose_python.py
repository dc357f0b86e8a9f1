"""The Python that an environment is made from: the first that can serve, and why the others cannot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from poseserve.serving import interpreter

ROOT = Path(__file__).resolve().parents[2]
CHOOSE = ROOT / "scripts" / "choose_python.sh"
TOOLS = ("sh", "dirname", "tr", "grep", "tail", "readlink")
NO_LIBRARY = """
import ctypes
from pathlib import Path
def missing(*_): raise OSError
ctypes.CDLL = missing
Path.is_file = lambda path: False
"""
Fake = Callable[..., Path]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder that is all of PATH: the tools that the script uses, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(str(shutil.which(tool)))
    return folder


@pytest.fixture
def fake(tmp_path: Path, path: Path) -> Fake:
    """fake(name, (3, 9), library=False, folder=...) puts a Python of that version there, without the shared library."""

    def write(name: str, version: tuple[int, int], library: bool = True, folder: Path = path) -> Path:
        prelude = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}.py"
        prelude.write_text(
            f"import runpy, sys\nsys.version_info = {(*version, 0, 'final', 0)}\nsys.argv.pop(0)\n"
            f"sys._base_executable = {str(folder / name)!r}\n{'' if library else NO_LIBRARY}\n"
            "from poseserve.serving import interpreter\n"
            # The library is that of the real one.
            f"interpreter.library_name = lambda: {interpreter.library_name()!r}\n"
            "sys.exit(interpreter.main())\n"
        )
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / name
        script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {prelude} "$@"\n')
        script.chmod(0o755)
        return script

    return write


def choose(path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "HOME": str(path.parent / "home")} | variables
    return subprocess.run(["sh", CHOOSE], env=environment, capture_output=True, text=True)


def test_the_newest_on_path_that_can_serve_is_chosen(path: Path, fake: Fake) -> None:
    fake("python3", (3, 13))
    fake("python3.10", (3, 10))
    wanted = fake("python3.11", (3, 11))
    done = choose(path)
    assert (done.returncode, done.stdout) == (0, f"{wanted}\n")


def test_a_python_without_its_library_gives_way_to_an_older_one_with_it(path: Path, fake: Fake) -> None:
    fake("python3.12", (3, 12), library=False)
    wanted = fake("python3.10", (3, 10))
    assert choose(path).stdout == f"{wanted}\n"


def test_one_without_its_library_is_better_than_none(path: Path, fake: Fake) -> None:
    fake("python3", (3, 9))
    wanted = fake("python3.11", (3, 11), library=False)
    done = choose(path)
    assert (done.returncode, done.stdout) == (interpreter.NO_LIBRARY, f"{wanted}\n")
    assert "apt-get install libpython3.11" in done.stderr


@pytest.mark.parametrize("version", [(3, 9), (3, 13)])
def test_a_version_without_a_stub_is_refused_by_name(path: Path, fake: Fake, version: tuple[int, int]) -> None:
    script = fake("python3", version)
    done = choose(path)
    assert (done.returncode, done.stdout) == (interpreter.UNSUITABLE, "")
    assert f"{script}: Python 3.{version[1]} cannot serve, only 3.10, 3.11, 3.12 can" in done.stderr


def test_where_there_is_no_python_it_is_said(path: Path) -> None:
    done = choose(path)
    assert (done.returncode, done.stdout) == (interpreter.UNSUITABLE, "")
    assert "There is none on PATH, under pyenv or conda" in done.stderr


@pytest.mark.parametrize("place", ["home/.pyenv/versions/3.12.9/bin", "home/miniconda3/envs/vision/bin", "conda/bin"])
def test_pyenv_and_conda_are_looked_into(path: Path, fake: Fake, tmp_path: Path, place: str) -> None:
    fake("python3", (3, 13))
    wanted = fake("python3.12", (3, 12), folder=tmp_path / place)
    assert choose(path, CONDA_PREFIX=str(tmp_path / "conda")).stdout == f"{wanted}\n"


def test_one_given_by_hand_is_checked_and_no_other_taken(path: Path, fake: Fake, tmp_path: Path) -> None:
    fake("python3.11", (3, 11))
    wanted = fake("python", (3, 10), folder=tmp_path / "elsewhere")
    assert choose(path, PYTHON=str(wanted)).stdout == f"{wanted}\n"
    old = fake("old", (3, 9), folder=tmp_path / "elsewhere")
    done = choose(path, PYTHON=str(old))
    assert (done.returncode, done.stdout) == (interpreter.UNSUITABLE, "")
    assert "only 3.10, 3.11, 3.12 can" in done.stderr
    assert "there is no such program" in choose(path, PYTHON="python3.14").stderr


def test_this_python_can_serve() -> None:
    """Its library lies where it says, and an environment leads to the Python that it was made from."""
    done = subprocess.run([sys.executable, interpreter.__file__], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).resolve() == Path(sys.executable).resolve()
    folder = interpreter.library_folder()
    assert folder is not None
    assert (folder / interpreter.library_name()).stat().st_size > 1e6
