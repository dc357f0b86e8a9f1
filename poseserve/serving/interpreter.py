"""Which Pythons can serve: those that the embedded Triton has a stub for, with the shared library that the stub loads.

Also a script for the Python in question, which needs no packages: `python3.11 interpreter.py` prints the path of the
interpreter that an environment is made from, and on standard error what it lacks; exit code 0 when it lacks nothing,
NO_LIBRARY when that is all it lacks, else UNSUITABLE. Debian keeps the library in a package of its own.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

VERSIONS = ((3, 12), (3, 11), (3, 10))  # of which nvidia-pytriton 0.7.0 has stubs and numpy 1.26 has wheels
UNSUITABLE, NO_LIBRARY = 3, 4


def version_problem() -> str | None:
    """Why this Python's version cannot serve; None when it can."""
    if sys.version_info[:2] in VERSIONS:
        return None
    known = ", ".join(".".join(map(str, version)) for version in reversed(VERSIONS))
    return f"Python {sys.version_info[0]}.{sys.version_info[1]} cannot serve, only {known} can"


def library_name() -> str:
    """The file that the stub of this Python's version is linked with."""
    return f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so.1.0"


def library_folder() -> Path | None:
    """Where that file lies: in the environment, beside the interpreter, in its prefix, or where the loader finds it."""
    interpreter = Path(sys.executable).resolve().parent
    folders = [Path(sys.prefix, "lib"), interpreter, interpreter.parent / "lib", Path(sys.base_prefix, "lib")]
    folders.append(Path(sysconfig.get_config_var("LIBDIR") or "/nowhere"))
    return next((folder for folder in folders if (folder / library_name()).is_file()), None) or _loaders_folder()


def _loaders_folder() -> Path | None:
    try:
        ctypes.CDLL(library_name())
    except OSError:
        return None
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8").split()
    return next(Path(word).parent for word in mapped if word.endswith(library_name()))


def library_problem() -> str | None:
    """What to do about a missing library; None when it is there."""
    if library_folder():
        return None
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return (
        f"{library_name()} is missing, which Triton's Python processes load: `apt-get install libpython{version}`, or "
        "take a Python that has it: uv's (`uv venv --managed-python`), conda's, or pyenv's built with --enable-shared"
    )


def main() -> int:
    """Print the interpreter, and what it lacks; the exit code."""
    problem = version_problem()
    if problem is None and find_spec("ensurepip") is None:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        problem = f"its module ensurepip is missing: `apt-get install python{version}-venv`"
    if problem:
        print(problem, file=sys.stderr)
        return UNSUITABLE
    # Of an environment: the Python that it was made from.
    print(getattr(sys, "_base_executable", sys.executable), flush=True)
    if problem := library_problem():
        print(problem, file=sys.stderr)
        return NO_LIBRARY
    return 0


if __name__ == "__main__":
    sys.exit(main())
