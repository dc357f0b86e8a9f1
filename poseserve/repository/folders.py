"""The three folders that Triton serves side by side: those of this checkout, and the copy that `add` installs in."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("model_repository", "preprocess", "ensemble")
MODEL_REPOSITORY, PREPROCESS, ENSEMBLE = (ROOT / name for name in FOLDERS)
REPOSITORIES = (MODEL_REPOSITORY, PREPROCESS, ENSEMBLE)


def own_root() -> Path:
    """Where networks are installed, outside the checkout: below $POSESERVE_HOME, else in the user's data folder."""
    if home := os.environ.get("POSESERVE_HOME"):
        return Path(home).absolute() / "repository"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "poseserve" / "repository"


def served_root() -> Path:
    """`own_root` once something was installed there, else this checkout."""
    own = own_root()
    return own if own.is_dir() else ROOT


def make_own_root() -> Path:
    """`own_root`; the first time a copy of what this checkout holds, which appears at once."""
    own = own_root()
    if not own.is_dir():
        own.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".poseserve-", dir=own.parent) as staging:
            copy = Path(staging) / own.name
            for name in FOLDERS:
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            copy.rename(own)
    return own


def is_checkout(root: Path) -> bool:
    """Whether the folders are those of a checkout, which is its owner's to change."""
    return (root / "poseserve").is_dir()


def make_readable(root: Path) -> None:
    """The three folders for everybody, whatever the umask: in a container another user serves them."""
    for name in FOLDERS:
        for path in (root / name, *(root / name).rglob("*")):
            mode = path.stat().st_mode
            wanted = mode | (0o555 if path.is_dir() else 0o444)
            if mode != wanted:
                path.chmod(wanted)
