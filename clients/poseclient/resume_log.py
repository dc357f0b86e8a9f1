"""A log of answers, one for each request as it comes, so that a run that was stopped can be resumed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from poseclient.errors import REPORTED, InputError

Requests = Mapping[str, Callable[[], Awaitable[Any]]]  # by name; an answer is a JSON value


class ResumeLog:
    """A file of JSON lines: the settings, then one line for each answer; a context manager.

    answers: those in the file, by the name of the request. A last line that was not written to its end is dropped.
    InputError when the file holds answers to other settings, or is no such file.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        whole = path.read_bytes() if path.exists() else b""
        whole = whole[: whole.rfind(b"\n") + 1]
        try:
            first, *rest = [json.loads(line) for line in whole.splitlines()] or [{"settings": settings}]
            before = dict(first["settings"])
            self.answers: dict[str, Any] = {line["name"]: line["answer"] for line in rest}
        except (ValueError, TypeError, LookupError) as error:
            raise InputError(f"{path} is no file of answers ({error!r}): choose another folder") from error
        if before != settings:
            names = [name for name in before | settings if before.get(name) != settings.get(name)]
            changes = ", ".join(f"{name} {before.get(name)!r}, now {settings.get(name)!r}" for name in names)
            raise InputError(f"{path} holds answers to other settings ({changes}): choose another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+b" if path.exists() else "xb")
        self._file.truncate(self._file.seek(len(whole)))
        if not whole:
            self._write({"settings": settings})

    def add(self, name: str, answer: Any) -> None:
        """Append one more answer to the file at once."""
        self._write({"name": name, "answer": answer})
        self.answers[name] = answer

    def __enter__(self) -> ResumeLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()


async def send_missing(requests: Requests, log: ResumeLog, concurrency: int) -> int:
    """Send the requests without an answer, `concurrency` at a time; the number of those that failed, each reported."""
    failed = 0
    missing = iter([(name, send) for name, send in requests.items() if name not in log.answers])
    already = sum(name in log.answers for name in requests)
    with tqdm(total=len(requests), initial=already, unit="image", disable=None) as progress:

        async def work() -> None:
            nonlocal failed
            for name, send in missing:
                try:
                    log.add(name, await send())
                except REPORTED as error:
                    failed += 1
                    progress.write(f"{name}: {error}", file=sys.stderr)
                progress.update()

        await asyncio.gather(*(work() for _ in range(concurrency)))
    return failed
