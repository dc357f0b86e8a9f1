"""A photograph for `make demo`: scikit-image's astronaut, Eileen Collins, by NASA and in the public domain."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from poseserve.errors import FetchError
from poseserve.weights.fetch import cache_folder

PACKAGE, MEGABYTES = "scikit-image==0.25.2", 15
MEMBER = "skimage/data/astronaut.png"
SHA256 = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"


def fetch_astronaut() -> Path:
    """The photograph in the cache folder, out of the package's wheel unless it is there already. Raises FetchError."""
    path = cache_folder() / "photographs" / Path(MEMBER).name
    if path.exists():
        return path
    print(f"downloading a photograph, in the Python package {PACKAGE} ({MEGABYTES} MB) ...", flush=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder:
        command = [*pip, "--no-deps", "--only-binary", ":all:", "--dest", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheel = next(Path(folder).glob("*.whl"), None)
        if wheel is None:
            raise FetchError(f"pip downloads no {PACKAGE}: {done.stderr.strip()[-300:]}")
        with zipfile.ZipFile(wheel) as archive:
            png = archive.read(MEMBER)
    if hashlib.sha256(png).hexdigest() != SHA256:
        raise FetchError(f"{MEMBER} of {PACKAGE} is another file than expected")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png)
    return path
