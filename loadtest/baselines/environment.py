"""The baselines' own environment, which also sees the packages of this one: torch is there once."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENT = ROOT / ".cache" / "baselines"
PYTHON = ENVIRONMENT / "bin" / "python"


def is_made() -> bool:
    """Whether the environment holds what requirements.txt asks for."""
    done = ENVIRONMENT / "requirements.txt"
    return done.exists() and done.read_text() == (HERE / "requirements.txt").read_text()


def make() -> None:
    """Raises subprocess.CalledProcessError when a package cannot be installed."""
    if is_made():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    ours, version = sysconfig.get_path("purelib"), f"python{sys.version_info.major}.{sys.version_info.minor}"
    theirs = ENVIRONMENT / "lib" / version / "site-packages"
    (theirs / "poseserve.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", str(HERE / "requirements.txt")], check=True)
    (ENVIRONMENT / "requirements.txt").write_text((HERE / "requirements.txt").read_text())
