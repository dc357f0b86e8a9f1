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
from loadtest.experiments.turns import server_environment
from poseserve.serving import supervisor

Command = Callable[[Settings, int], list[str]]

# Its standard input ends when Baseline closes it or this program dies: a stopped server cannot act on SIGTERM.
CONTINUE_IN_THE_END = ["sh", "-c", 'cat; kill -s CONT -- "-$0"']


def fastapi_command(settings: Settings, port: int) -> list[str]:
    """Arguments of Python for uvicorn and the application of plain_fastapi."""
    application = ["loadtest.baselines.plain_fastapi:create_app", "--factory", f"--workers={settings.workers}"]
    # A stopped worker does not answer its parent's health checks: that must not end it.
    quiet = ["--log-level=warning", "--no-access-log", "--timeout-worker-healthcheck=86400"]
    return ["-m", "uvicorn", *application, f"--port={port}", *quiet]


def litserve_command(settings: Settings, port: int) -> list[str]:
    """Arguments of Python for batching_litserve."""
    return ["-m", "loadtest.baselines.batching_litserve", str(port)]


class Baseline:
    """A server as a context manager: it is ready once entered, and its processes are stopped but within running().

    It has the embedded server's settings of malloc and OpenMP. RuntimeError when it ends before it is ready.
    """

    def __init__(self, command: Command, settings: Settings) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = listener.getsockname()[1]
        self._command, self._settings = [str(PYTHON), *command(settings, self._port)], settings

    @property
    def url(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The server's process id, which is its group's too."""
        return self._pid

    def __enter__(self) -> Baseline:
        self._log = tempfile.NamedTemporaryFile()
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", supervisor.__file__, tempfile.mkdtemp(prefix="baseline-"), *self._command],
            bufsize=0,
            cwd=ROOT,
            env=os.environ | server_environment() | self._settings.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        assert self._supervisor.stdout is not None
        self._pid = int(self._supervisor.stdout.readline())
        self._continuer = subprocess.Popen(
            [*CONTINUE_IN_THE_END, str(self._pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while not self._is_ready():
                if select.select([self._supervisor.stdout], [], [], 0.1)[0]:
                    raise RuntimeError(f"{' '.join(self._command)} ended\n{self._output()}")
        except BaseException:
            self.__exit__()
            raise
        self._signal(signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        # The last one first. The supervisor ends the server and its children when its standard input closes.
        with self._log, self._supervisor, self._continuer:
            pass

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The turn of this server. Otherwise LitServe's workers would poll a thousand times in a second."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, number)

    def _is_ready(self) -> bool:
        if self._output().count(READY) < self._settings.workers:
            return False
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5):
            return True
        return False

    def _output(self) -> str:
        return Path(self._log.name).read_text(errors="replace")
