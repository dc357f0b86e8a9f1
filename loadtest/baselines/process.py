"""A baseline's server and its processes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from loadtest.baselines.environment import PYTHON, ROOT
from loadtest.baselines.settings import READY, Settings
from loadtest.turns import server_settings
from poseserve.serving import supervisor

Command = Callable[[Settings, int], list[str]]


def fastapi_command(settings: Settings, port: int) -> list[str]:
    application = ["loadtest.baselines.plain_fastapi:create_app", "--factory", f"--workers={settings.workers}"]
    # A worker that stood still has not answered its parent: that must not end it.
    quiet = ["--log-level=warning", "--no-access-log", "--timeout-worker-healthcheck=86400"]
    return ["-m", "uvicorn", *application, f"--port={port}", *quiet]


def litserve_command(settings: Settings, port: int) -> list[str]:
    return ["-m", "loadtest.baselines.batching_litserve", str(port)]


class Baseline:
    """A server as a context manager: once entered it was ready and stands still, but for awake().

    It has the embedded server's settings of malloc and OpenMP. RuntimeError when it ends before it is ready.
    """

    def __init__(self, command: Command, settings: Settings) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = listener.getsockname()[1]
        self._command, self._settings = [str(PYTHON), *command(settings, self._port)], settings

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The server's process id, which is its group's too."""
        return self._pid

    def __enter__(self) -> Baseline:
        self._log = tempfile.NamedTemporaryFile()
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", supervisor.__file__, tempfile.mkdtemp(prefix="baseline-"), *self._command],
            bufsize=0,
            cwd=ROOT,
            env=os.environ | server_settings() | self._settings.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        self._pid = int(self._keeper.stdout.readline())
        try:
            while not self._is_ready():
                if select.select([self._keeper.stdout], [], [], 0.1)[0]:
                    raise RuntimeError(f"{' '.join(self._command)} ended\n{self._said()}")
        except BaseException:
            self.__exit__()
            raise
        self._signal(signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGCONT)
        with self._keeper, self._log:  # the keeper ends the server and its children when its standard input closes
            pass

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Its turn. LitServe's workers look for requests a thousand times in a second, whoever's turn it is."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, number)

    def _is_ready(self) -> bool:
        if self._said().count(READY) < self._settings.workers:
            return False
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5):
            return True
        return False

    def _said(self) -> str:
        return Path(self._log.name).read_text(errors="replace")
