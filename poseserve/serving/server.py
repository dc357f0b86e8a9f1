"""Starts and ends a Triton Inference Server: the one on PATH, else the one in the wheel nvidia-pytriton."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import ipaddress
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from poseserve.errors import ServerError
from poseserve.serving import interpreter, supervisor
from poseserve.serving.startup import Startup

BACKENDS = Path(__file__).resolve().parents[2] / "backends"
LOG_LEVELS = ("error", "warning", "info", "verbose")
TAIL_LINES = 40
SIGNAL_SECONDS = 0.5


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Installation(NamedTuple):
    """A Triton that can be started: its command line up to the options common to all, and its environment."""

    command: list[str]
    environment: dict[str, str]


class Server:
    """A Triton that serves `repositories` side by side, as a context manager or with start() and stop().

    Port 0 picks a free one. `log_level` is one of LOG_LEVELS; Triton's log goes to `log_file`, else to a temporary file
    that stop() removes. Without `exit_on_error` models that fail to load are left out and do not stop the start. `say`
    is told what a start waits for that makes no progress, `tell_loaded` the name of each model as it is loaded. Without
    `drain`, stop() ends Triton at once, which saves seconds, and what is in flight is lost. Triton does not outlive
    this process, however it ends.
    """

    def __init__(
        self,
        repositories: Sequence[Path],
        host: str = "127.0.0.1",
        http_port: int = 8000,
        grpc_port: int = 8001,
        metrics_port: int = 8002,
        log_level: str = "warning",
        log_file: Path | None = None,
        exit_on_error: bool = True,
        say: Callable[[str], None] = _to_stderr,
        tell_loaded: Callable[[str], None] = lambda model: None,
        drain: bool = True,
    ) -> None:
        if log_level not in LOG_LEVELS:
            raise ValueError(f"log level {log_level!r}, must be one of {', '.join(LOG_LEVELS)}")
        self._repositories = [Path(repository).resolve() for repository in repositories]
        self._host = host
        self._wanted_ports = {"http": http_port, "grpc": grpc_port, "metrics": metrics_port}
        self._ports = self._wanted_ports
        self._log_level = log_level
        self._wanted_log_file = log_file
        self._exit_on_error = exit_on_error
        self._say = say
        self._tell_loaded = tell_loaded
        self._drain = drain
        self._workspace: Path | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def http_url(self) -> str:
        """host:port of the HTTP API."""
        return self._url("http")

    @property
    def grpc_url(self) -> str:
        """host:port of the gRPC API."""
        return self._url("grpc")

    @property
    def metrics_url(self) -> str:
        """host:port of the Prometheus metrics."""
        return self._url("metrics")

    @property
    def pid(self) -> int:
        """Triton's process id; it leads a process group of its own, with the processes of Python models."""
        if self._supervisor is None:
            raise ServerError("the server is not started")
        return self._pid

    @property
    def log_file(self) -> Path:
        """Where Triton writes its log."""
        if self._wanted_log_file is not None:
            return self._wanted_log_file
        if self._workspace is None:
            raise ServerError("the server is not started")
        return self._workspace / "triton.log"

    def start(self) -> None:
        """Return once Triton answers that it is ready; raise ServerError as soon as it is known why it never will."""
        if self._workspace is not None:
            raise ServerError("the server is already started")
        self._workspace = Path(tempfile.mkdtemp(prefix="poseserve-"))
        try:
            self._supervisor = self._launch(self._workspace)
            self._pid = self._told(self._supervisor)
            self._await_ready(self._supervisor)
            self._lower_log_level()
        except BaseException:
            self._kill()
            self.stop()
            raise

    def wait(self) -> int:
        """Block until Triton ends by itself; its exit code, or minus the signal that ended it. Call it once."""
        if self._supervisor is None:
            raise ServerError("the server is not started")
        assert self._supervisor.stdout is not None
        # In turns: a signal that the kernel hands to another thread does not end a read of this one.
        while not select.select([self._supervisor.stdout], [], [], SIGNAL_SECONDS)[0]:
            pass
        return self._told(self._supervisor)

    def stop(self) -> None:
        """Let Triton finish what is in flight, end it, remove what it left; no effect when not started."""
        if not self._drain:
            self._kill()
        if self._supervisor is not None:
            with self._supervisor:  # closes its standard input and waits for its end
                self._supervisor = None
        if self._workspace is not None:
            shutil.rmtree(self._workspace, ignore_errors=True)  # the supervisor removed it, unless it never ran
            self._workspace = None

    def _kill(self) -> None:
        """End Triton at once: one that waits for a process that never comes would not end in order."""
        if self._supervisor is not None and self._supervisor.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._supervisor.stdin.write(supervisor.KILL)

    def log_tail(self) -> str:
        """The last lines of Triton's log."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])

    def _url(self, name: str) -> str:
        host = "127.0.0.1" if self._host == "0.0.0.0" else self._host
        return f"{host}:{self._ports[name]}"

    def _launch(self, workspace: Path) -> subprocess.Popen[bytes]:
        for repository in self._repositories:
            if not repository.is_dir():
                raise ServerError(f"there is no model repository {repository}")
        self._ports = _reserve_ports(self._host, self._wanted_ports)
        command, environment = find_triton(workspace)
        with self.log_file.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-I", supervisor.__file__, workspace, *command, *self._options()],
                bufsize=0,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal reaches us alone; we end Triton in order
            )

    def _options(self) -> list[str]:
        assert self._workspace is not None
        level = LOG_LEVELS.index(self._log_level)
        exit_on_error = str(self._exit_on_error).lower()
        return [
            f"--id={self._workspace.name}",
            *(f"--model-repository={repository}" for repository in self._repositories),
            *(f"--{name}-address={self._host}" for name in self._ports),
            *(f"--{name}-port={port}" for name, port in self._ports.items()),
            *self._control_options(),
            "--disable-auto-complete-config",
            f"--exit-on-error={exit_on_error}",
            f"--strict-readiness={exit_on_error}",
            f"--exit-timeout-secs={supervisor.DRAIN_SECONDS}",
            f"--backend-config=python,shm-region-prefix-name={self._workspace.name}",
            "--backend-config=python,stub-timeout-seconds=120",  # torch is slow to import on a busy machine
            "--log-error=true",
            f"--log-warning={str(level >= 1).lower()}",
            "--log-info=true",  # while it starts, to follow what it loads
            f"--log-verbose={int(level >= 3)}",
        ]

    def _control_options(self) -> list[str]:
        """Whoever can load models can run code, and Triton asks for no password: not beyond this machine."""
        if ipaddress.ip_address(socket.gethostbyname(self._host)).is_loopback:
            return ["--model-control-mode=explicit", "--load-model=*"]
        return ["--model-control-mode=none"]

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        startup = Startup(self.log_file, self._pid)
        ready = ended = False
        while not ready or ended:
            ready = self._is_ready()
            # Once more when it is: where the port for metrics is another's, Triton ends after it has opened the others.
            ended = bool(select.select([process.stdout], [], [], 0.1)[0])
            for model in startup.look():
                self._tell_loaded(model)
            failures = startup.failures if self._exit_on_error else []
            if reasons := failures or list(filter(None, (startup.hopeless, startup.stuck()))):
                raise ServerError("Triton cannot start: " + "\nand: ".join(reasons))
            if ended:
                code = self._told(process)
                raise ServerError(f"Triton ended with exit code {code} before it was ready\n{self.log_tail()}")
            if waiting := startup.waiting():
                self._say(waiting)

    def _is_ready(self) -> bool:
        """Whether all ports answer, and it is this server that does: another may have taken them since they were asked
        for. Triton opens them one after the other, the one for metrics last."""
        assert self._workspace is not None
        return (
            _get(self.http_url, "/v2/health/ready") is not None
            and _id_over_http(self.http_url) == _id_over_grpc(self.grpc_url) == self._workspace.name
            and _get(self.metrics_url, "/metrics") is not None
        )

    def _lower_log_level(self) -> None:
        if LOG_LEVELS.index(self._log_level) < LOG_LEVELS.index("info"):
            connection = http.client.HTTPConnection(self.http_url, timeout=5)
            with contextlib.closing(connection):
                connection.request("POST", "/v2/logging", json.dumps({"log_info": False}))
                connection.getresponse().read()

    def _told(self, process: subprocess.Popen[bytes]) -> int:
        """The next number that the supervisor writes; ServerError when it was killed."""
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise ServerError(f"the process that runs Triton was killed\n{self.log_tail()}")
        return int(line)


def scratch_server(repositories: Sequence[Path], **options: Any) -> Server:
    """A server for measurements and tests: on free ports, and ended at once. options: as those of Server."""
    return Server(repositories, http_port=0, grpc_port=0, metrics_port=0, drain=False, **options)


def find_triton(workspace: Path) -> Installation:
    """The `tritonserver` on PATH with its own backends, as in a container, else the one in nvidia-pytriton.

    What the latter needs is put together in `workspace`. Raises ServerError when there is neither.
    """
    environment = os.environ | {
        # By default glibc returns the memory of every large tensor to the kernel, only to ask for it again.
        "MALLOC_MMAP_THRESHOLD_": "1073741824",
        "MALLOC_TRIM_THRESHOLD_": "4294967296",
        # OpenMP's threads spin while they wait, and so take the cores from the threads that they wait for.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    binary = shutil.which("tritonserver")
    if binary is not None:
        return Installation([binary], environment)
    wheel = importlib.util.find_spec("pytriton")
    if wheel is None or not wheel.submodule_search_locations:
        raise ServerError(
            "there is no Triton: neither `tritonserver` on PATH nor the package nvidia-pytriton "
            "(pip install nvidia-pytriton)"
        )
    if problem := interpreter.version_problem() or interpreter.library_problem():
        raise ServerError(f"{sys.executable}: {problem}")
    package = Path(wheel.submodule_search_locations[0])
    binary, backends = _assemble(package / "tritonserver", workspace)
    libraries = [str(package.parent / "nvidia_pytriton.libs"), str(interpreter.library_folder())]
    environment["LD_LIBRARY_PATH"] = os.pathsep.join([*libraries, os.environ.get("LD_LIBRARY_PATH", "")]).strip(":")
    # The Python inside a model's process takes the packages of the `python3` that it finds first.
    environment["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)])
    environment.pop("PYTHONHOME", None)
    return Installation([binary, f"--backend-directory={backends}"], environment)


def _assemble(wheel: Path, workspace: Path) -> tuple[str, Path]:
    """The binary and the backend folder, from the wheel's `tritonserver` folder, which stays as it is."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = wheel / "python_backend_stubs" / version / "triton_python_backend_stub"
    backends = workspace / "backends"
    python = backends / "python"
    shutil.copytree(wheel / "backends" / "python", python, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(stub, python)
    binary = wheel / "bin" / "tritonserver"
    # Installers that unpack the wheel as a plain zip file lose the permission to execute.
    executables = [python / stub.name, python / "libtriton_python.so"]
    if not os.access(binary, os.X_OK):
        binary = Path(shutil.copy(binary, workspace))
        executables.append(binary)
    for executable in executables:
        executable.chmod(0o755)
    for model in BACKENDS.glob("*/model.py"):  # Python looks for modules in the folder of the backend only
        folder = backends / model.parent.name
        folder.mkdir()
        for file in (model, BACKENDS / "batching.py"):
            (folder / file.name).symlink_to(file)
    return str(binary), backends


def _reserve_ports(host: str, wanted: Mapping[str, int]) -> dict[str, int]:
    """`wanted` with a free port for every 0; ServerError for one that is taken.

    Asked before the start, to say it at once; Triton opens its ports when it has loaded all models.
    """
    ports = {}
    with contextlib.ExitStack() as stack:
        for name, port in wanted.items():
            probe = stack.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                hint = f"choose another with --{name}-port, 0 picks a free one"
                raise ServerError(f"{name} port {port} on {host}: {error.strerror}; {hint}") from error
            ports[name] = probe.getsockname()[1]
    return ports


def _get(url: str, path: str) -> bytes | None:
    """The body of an answer with status 200, None for every other and where nobody answers."""
    connection = http.client.HTTPConnection(url, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read() if response.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _id_over_http(url: str) -> object:
    """The `--id` of the Triton that answers there, None where none does."""
    try:
        return json.loads(_get(url, "/v2") or b"{}").get("name")
    except (ValueError, AttributeError):  # no Triton
        return None


def _id_over_grpc(url: str) -> object:
    from tritonclient.grpc import InferenceServerClient  # takes its time, and `--help` needs none
    from tritonclient.utils import InferenceServerException

    with InferenceServerClient(url) as client:
        try:
            return client.get_server_metadata(client_timeout=5).name
        except InferenceServerException:
            return None
