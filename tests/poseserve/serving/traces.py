"""What a server leaves behind: processes and shared memory."""

from __future__ import annotations

import os
import select
from pathlib import Path


def processes(mark: Path) -> set[int]:
    """Ids of the processes whose command line names `mark`."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(mark).encode() in command:
                found.add(int(entry.name))
    return found


def await_end(pids: set[int], seconds: float = 60) -> None:
    """Return when all the processes have ended; AssertionError when one lives on."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([descriptor], [], [], seconds)[0], f"process {pid} lives on"
        finally:
            os.close(descriptor)


def shared_memory(workspaces: list[str]) -> list[str]:
    """The regions in /dev/shm that belong to servers with these workspaces."""
    return [region for region in os.listdir("/dev/shm") if region.startswith(tuple(workspaces))]
