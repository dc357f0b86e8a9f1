"""The README's two commands on a machine that has nothing but its distribution's Python: a root made by debootstrap.

The root gets this machine's settings of pip and of the network, and a copy of the tree.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = "python3,python3-venv,make,git,ca-certificates"
USER, HOME = "ann", "home/ann"
# Not all tests, which would take many minutes once more: a server's life, and the choice of a Python.
SOME_TESTS = "tests/poseserve/serving/test_server.py tests/scripts/test_choose_python.py"

pytestmark = pytest.mark.slow


def mirror() -> str:
    """Where this machine takes its packages from."""
    sources = [*Path("/etc/apt").glob("sources.list.d/*.sources"), *Path("/etc/apt").glob("sources.list*")]
    texts = (source.read_text(encoding="utf-8") for source in sources if source.is_file())
    found = next(filter(None, (re.search(r"https?://\S+/debian(?=\s)", text) for text in texts)), None)
    if found is None:
        pytest.skip("no mirror of Debian in /etc/apt")
    return found[0]


def pip_settings() -> dict[str, str]:
    listed = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    settings = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listed, re.MULTILINE))
    known = ("find-links", "index-url", "cert", "proxy", "trusted-host")
    return {f"PIP_{name.upper().replace('-', '_')}": settings[name] for name in known if name in settings}


class Machine:
    """A root to run commands in, as root or as an ordinary user, with a copy of the tree in both homes."""

    def __init__(self, root: Path, variables: dict[str, str]) -> None:
        self.root, self.variables = root, variables

    def run(self, user: str, command: str) -> subprocess.CompletedProcess[str]:
        home = "root" if user == "root" else HOME
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": f"/{home}", **self.variables}
        words = ["chroot", f"--userspec={user}", self.root, "env", f"--chdir=/{home}", "sh", "-c", command]
        return subprocess.run(words, env=variables, capture_output=True, text=True, timeout=900)

    def make(self, user: str, command: str) -> str:
        done = self.run(user, f"cd poseserve && {command}")
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if os.getuid() != 0:
        pytest.skip("making a root takes root")
    if not shutil.which("debootstrap"):
        pytest.skip("debootstrap is not installed")
    root = tmp_path_factory.mktemp("machine") / request.param
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", request.param, root, mirror()],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"debootstrap cannot make {request.param}: {made.stdout[-300:]}{made.stderr[-300:]}")
    variables = pip_settings()
    settings = map(Path, ("/etc/resolv.conf", "/etc/hosts", variables.get("PIP_CERT", "/nowhere")))
    for file in filter(Path.is_file, settings):
        (root / file.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / file.relative_to("/"))
    subprocess.run(["chroot", root, "useradd", "--create-home", USER], check=True)
    for home in ("root", HOME):
        copy_tree(root / home / "poseserve")
    subprocess.run(["chroot", root, "chown", "--recursive", USER, f"/{HOME}"], check=True)
    folders = [Path(word) for word in variables.get("PIP_FIND_LINKS", "").split() if Path(word).is_dir()]
    with ExitStack() as mounts:
        for folder in [Path("/dev"), Path("/dev/shm"), Path("/proc"), *folders]:
            place = root / folder.relative_to("/")
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--bind", folder, place], check=True)
            mounts.callback(subprocess.run, ["umount", "--lazy", place], check=True)
        yield Machine(root, variables)
    shutil.rmtree(root)


def copy_tree(target: Path) -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)


def can_serve(machine: Machine) -> bool:
    """Whether the distribution's own Python is one that Triton has a stub for."""
    version = machine.run("root", "python3 -V").stdout
    return bool(re.match(r"Python 3\.1[012]\.", version))


@pytest.mark.parametrize(("user", "library"), [(USER, False), ("root", True)])
def test_both_commands_work_or_say_at_once_why_not(machine: Machine, user: str, library: bool) -> None:
    if not can_serve(machine):
        began = time.monotonic()
        done = machine.run(user, "cd poseserve && make demo")
        if done.returncode == 0:  # uv found a Python
            assert "people in" in done.stdout
            return
        assert time.monotonic() - began < 30
        for words in ("cannot serve, only 3.10, 3.11, 3.12 can", "uv venv", "--enable-shared"):
            assert words in done.stderr
        return
    if library:
        done = machine.run("root", "apt-get -qq update && apt-get -qq install libpython3.11")
        assert done.returncode == 0, done.stderr
    output = machine.make(user, "make demo CPU=1")
    assert "6 people in out/image.jpg" in output
    assert ("fetching libpython3.11" in output) != library
    if not library:  # the same environment, with the tools of the tests
        tested = machine.make(user, f'PYTEST_ADDOPTS="{SOME_TESTS}" make test')
        assert " passed" in tested
