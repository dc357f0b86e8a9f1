"""What the log and the processes of a starting Triton tell: which models it still loads, and why it will not start.

Triton itself waits two minutes for each Python process that cannot even be started, and says nothing meanwhile.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

WAIT_SECONDS = 10.0  # without a new line in the log, after which it is said what Triton waits for
GIVE_UP_SECONDS = 600.0  # without a new line in the log: weights of gigabytes, from a slow disk
DEAD_SECONDS = 2.0  # in which Triton itself names the model of a process that died

LOADING = re.compile(r"loading: (?P<model>\S+):\d+\W*$")
LOADED = re.compile(r"successfully loaded '(?P<model>[^']+)'")
FAILED = re.compile(r"failed to load '(?P<model>[^']+)' version \d+: (?P<reason>.*?)\"?$")
TAKEN = re.compile(r"failed to start (?P<name>HTTP|GRPC|Metrics) service: .*'(?P<address>\S+)' already in use")
UNSTARTABLE = re.compile(r"triton_python_backend_stub: (?P<reason>.*)$")  # the words of the dynamic loader


class Startup:
    """Follows the log of a Triton that starts. pid: its own, which its processes have for their parent."""

    def __init__(self, log: Path, pid: int) -> None:
        self._log, self._pid = log, pid
        self._read = 0
        self._models: dict[str, bool] = {}  # seen to be loading -> loaded
        self._progressed = time.monotonic()
        self._told = self._progressed
        self._died: float | None = None
        self.failures: list[str] = []  # models that did not load, with Triton's reason
        self.hopeless: str | None = None  # why no Python model can load

    def look(self) -> list[str]:
        """Read what was written since; the models that were loaded. Then `failures` and `hopeless` are up to date."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        before = {name for name, done in self._models.items() if done}
        if whole:
            self._read += len(whole)
            self._progressed = self._told = time.monotonic()
            for line in whole.decode("utf-8", "replace").splitlines():
                self._learn(line)
        if self._dead_stub():
            self._died = self._died or time.monotonic()
            if time.monotonic() - self._died > DEAD_SECONDS:
                self.hopeless = f"the process of a Python model died as it started ({self._waits_for()})"
        else:
            self._died = None
        return [name for name, done in self._models.items() if done and name not in before]

    def _learn(self, line: str) -> None:
        if found := LOADING.search(line):
            self._models.setdefault(found["model"], False)
        elif found := LOADED.search(line):
            self._models[found["model"]] = True
        elif found := FAILED.search(line):
            self._models[found["model"]] = True
            self.failures.append(f"{found['model']}: {found['reason'].replace(chr(92) + 'n', chr(10)).strip()}")
        elif found := TAKEN.search(line):
            name = found["name"].lower()
            self.failures.append(f"{name} port: {found['address']} is in use; choose another with --{name}-port")
        elif found := UNSTARTABLE.search(line):
            self.hopeless = f"Python models cannot start: {found['reason']}"

    def waiting(self) -> str | None:
        """A line for the user whenever nothing has happened for another WAIT_SECONDS, else None."""
        now = time.monotonic()
        if now - self._told < WAIT_SECONDS:
            return None
        self._told = now
        silent = now - self._progressed
        return f"Triton: {self._waits_for()}; nothing new for {silent:.0f} s, gives up at {GIVE_UP_SECONDS:.0f} s"

    def stuck(self) -> str | None:
        """Why it is time to give up, None as long as it is not."""
        if time.monotonic() - self._progressed < GIVE_UP_SECONDS:
            return None
        return f"nothing has happened for {GIVE_UP_SECONDS:.0f} s: {self._waits_for()}"

    def _waits_for(self) -> str:
        names = [name for name, done in self._models.items() if not done]
        return f"waits for {', '.join(names)}" if names else "has named no model that it waits for"

    def _dead_stub(self) -> bool:
        """Whether a child of Triton that runs a Python model has ended, and Triton has not noticed."""
        for children in Path(f"/proc/{self._pid}/task").glob("*/children"):
            try:
                for child in children.read_text(encoding="utf-8").split():
                    status = Path(f"/proc/{child}/stat").read_text(encoding="utf-8", errors="replace")
                    name, _, rest = status.rpartition(")")
                    if "triton_python_b" in name and rest.split()[0] == "Z":
                        return True
            except OSError:  # ended between two looks
                continue
        return False
