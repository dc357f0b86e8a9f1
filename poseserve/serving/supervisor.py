"""Runs Triton for a parent that may be killed at any moment: `python supervisor.py WORKSPACE COMMAND...`.

Triton ends when standard input does: the parent closes it to stop Triton, the kernel when the parent dies. KILL,
written there before, ends it at once. Whatever the reason, its Python processes, its shared memory and WORKSPACE go
with it. Writes two lines: Triton's process id, and once it has ended its exit code, or minus the signal that ended it.
Its output goes to standard error.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

DRAIN_SECONDS = 30  # how long Triton may finish the requests in flight once it was told to end
KILL_AFTER_SECONDS = DRAIN_SECONDS + 15
KILL = b"kill\n"


def main(workspace: Path, command: list[str]) -> None:
    """Run Triton to its end, and clean up after it."""
    triton = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    tell(triton.pid)
    ended = threading.Event()
    stopper = threading.Thread(target=stop_with_parent, args=(triton.pid, ended))
    stopper.start()
    # Triton stays a zombie to the end, so that its id, which is also its group's, belongs to nobody else.
    result = os.waitid(os.P_PID, triton.pid, os.WEXITED | os.WNOWAIT)
    assert result is not None
    ended.set()
    os.killpg(triton.pid, signal.SIGKILL)
    tell(result.si_status if result.si_code == os.CLD_EXITED else -result.si_status)
    stopper.join()
    triton.wait()
    for region in Path("/dev/shm").glob(f"{workspace.name}*"):
        region.unlink(missing_ok=True)
    shutil.rmtree(workspace)


def tell(number: int) -> None:
    """Write a line for the parent, which may be gone."""
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), f"{number}\n".encode())


def stop_with_parent(pid: int, ended: threading.Event) -> None:
    """End Triton when standard input does."""
    if sys.stdin.buffer.read() == KILL:
        os.kill(pid, signal.SIGKILL)
        return
    os.kill(pid, signal.SIGTERM)
    if not ended.wait(KILL_AFTER_SECONDS):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
