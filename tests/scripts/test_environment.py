"""Environments that are there already, half-made ones, and machines on which none can be made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "environment.sh"
TOOLS = ("sh", "dirname", "tr", "grep", "tail", "readlink", "ls", "mktemp", "cat", "rm")


def run(venv: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """No package can be fetched: what is tested ends before that, or there."""
    no_packages = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    environment = os.environ | no_packages | {"VENV": str(venv)} | variables
    return subprocess.run(["sh", SCRIPT, "serving"], env=environment, capture_output=True, text=True)


def version(venv: Path) -> str:
    return subprocess.run([venv / "bin" / "python", "-V"], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of this Python that is up to date."""
    venv = tmp_path_factory.mktemp("finished") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    (venv / ".serving").touch()
    return venv


@pytest.fixture
def venv(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, with a file that is gone when the environment is replaced."""
    copy = shutil.copytree(finished, tmp_path / "venv", symlinks=True)
    (copy / "kept").touch()
    return copy


@pytest.fixture
def unfinished(venv: Path) -> Path:
    """The same, broken off before its packages were there."""
    (venv / ".serving").unlink()
    return venv


def test_a_finished_environment_is_left_alone(venv: Path) -> None:
    done = run(venv)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (venv / "kept").exists()


def test_one_that_was_broken_off_is_gone_on_with(unfinished: Path) -> None:
    done = run(unfinished)
    assert done.returncode != 0
    assert "torch==2.13.0" in done.stderr  # which it has begun to fetch
    assert (unfinished / "kept").exists()


@pytest.mark.parametrize("damage", ["no interpreter", "no pip"])
def test_half_an_environment_is_replaced(venv: Path, damage: str) -> None:
    if damage == "no interpreter":
        for link in (venv / "bin").glob("python*"):
            link.unlink()
    else:
        shutil.rmtree(next(venv.glob("lib/python3*/site-packages/pip")))
    assert "torch==2.13.0" in run(venv, PYTHON=sys.executable).stderr
    assert not (venv / "kept").exists()
    assert version(venv) == f"Python {sys.version.split()[0]}\n"


def test_an_environment_of_another_python_is_replaced(venv: Path) -> None:
    """The one that stands there runs, and says that it is older than what PYTHON names."""
    interpreter = venv / "bin" / "python"
    interpreter.unlink()
    older = '[ "$1" != -V ] || { echo Python 3.10.1; exit; }'
    interpreter.write_text(f'#!/bin/sh\n{older}\nexec {sys.executable} "$@"\n', encoding="utf-8")
    interpreter.chmod(0o755)
    assert version(venv) == "Python 3.10.1\n"
    run(venv, PYTHON=sys.executable)
    assert version(venv) == f"Python {sys.version.split()[0]}\n"


def test_a_folder_that_is_no_environment_is_not_touched(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.touch()
    done = run(tmp_path)
    assert done.returncode == 1
    assert "is no environment of Python" in done.stderr
    assert letter.exists()


def test_without_a_python_it_stops_at_once_with_the_ways_to_get_one(tmp_path: Path) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    for tool in TOOLS:
        (path / tool).symlink_to(str(shutil.which(tool)))
    began = time.monotonic()
    done = run(tmp_path / "venv", PATH=str(path), HOME=str(tmp_path), PYENV_ROOT=str(tmp_path), CONDA_PREFIX="/nowhere")
    assert time.monotonic() - began < 2
    assert done.returncode == 1
    ways = "libpython3.11", "uv venv", "--enable-shared", "PYTHON="
    for words in ("There is none on PATH", "3.10, 3.11 or 3.12", *ways):
        assert words in done.stderr
    assert not (tmp_path / "venv").exists()


def test_the_size_of_torch_is_said_before_it_comes(unfinished: Path, tmp_path: Path) -> None:
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p) / "nvidia-smi").exists())
    assert "2.7 GB" in run(unfinished, PATH=path).stdout
    driver = tmp_path / "nvidia-smi"
    driver.touch(mode=0o755)
    assert "2.7 GB" not in run(unfinished, PATH=f"{tmp_path}{os.pathsep}{path}").stdout


def test_the_cpu_build_is_taken_from_where_pip_finds_files(unfinished: Path, tmp_path: Path) -> None:
    """A wheel of that name and version, which is all that pip goes by."""
    wheel = tmp_path / "torch-2.13.0+cpu-py3-none-any.whl"
    build_wheel(wheel)
    done = run(unfinished, CPU="1", PIP_FIND_LINKS=str(tmp_path))
    assert "2.7 GB" not in done.stdout
    listed = subprocess.run(
        [unfinished / "bin" / "python", "-c", "import torch; print(torch.__version__)"],
        capture_output=True,
        text=True,
    )
    assert listed.stdout == "2.13.0+cpu\n"


def build_wheel(path: Path) -> None:
    about = "torch-2.13.0+cpu.dist-info"
    files = {
        "torch.py": "__version__ = '2.13.0+cpu'\n",
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cpu\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
