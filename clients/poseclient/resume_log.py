"""A log of answers, one for each request as it comes, so that a run that was stopped can be resumed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from poseclient.errors import REPORTED, InputError, RequestError

Requests = Mapping[str, Callable[[], Awaitable[Any]]]  # by name; an answer is a JSON value


class ResumeLog(Mapping[str, Any]):
    """A file of JSON lines: the settings, then one line for each answer; a context manager.

    A mapping from the names of the requests to their answers. Answers stay in the file; memory holds
    their places. A last line that was not written to its end is dropped. InputError when the file holds answers to
    other settings, or is no such file.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._places = path, dict[str, int]()
        self._file = path.open("a+b")
        self._file.seek(0)
        self._end = 0
        try:
            before = self._read(settings)
            if before != settings:
                names = [name for name in before | settings if before.get(name) != settings.get(name)]
                changes = ", ".join(f"{name} {before.get(name)!r}, now {settings.get(name)!r}" for name in names)
                raise InputError(f"{path} holds answers to other settings ({changes}): choose another folder")
        except BaseException:
            self._file.close()
            raise
        self._file.truncate(self._end)
        if not self._end:
            self._write({"settings": settings})

    def add(self, name: str, answer: Any) -> None:
        """Append one more answer to the file at once."""
        self._places[name] = self._end
        self._write({"name": name, "answer": answer})

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, name: str) -> Any:
        self._file.seek(self._places[name])
        return json.loads(self._file.readline())["answer"]

    def __enter__(self) -> ResumeLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Note the places of the answers; the settings in the file, or `settings` where it is empty."""
        before: dict[str, Any] | None = None
        try:
            for number, line in enumerate(self._file):
                if not line.endswith(b"\n"):
                    break
                if number == 0:
                    before = dict(json.loads(line)["settings"])
                else:
                    row = json.loads(line)
                    if "answer" not in row:
                        raise LookupError("a line without an answer")
                    self._places[row["name"]] = self._end
                self._end += len(line)
        except (ValueError, TypeError, LookupError) as error:
            raise InputError(f"{self._path} is no file of answers ({error!r}): choose another folder") from error
        return settings if before is None else before

    def _write(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        self._file.write(data)
        self._file.flush()
        self._end += len(data)


async def send_missing(requests: Requests, log: ResumeLog, concurrency: int, max_failures: int) -> set[str]:
    """Send the requests without an answer, `concurrency` at a time, each failure reported.

    Those that failed for want of a server that answers in time are sent once more at the end, one at a time. It stops
    after `max_failures` in a row. Returns the names of requests that failed for what they are, at any load.
    """
    in_a_row = 0
    again, refused = list[str](), set[str]()
    missing = iter([name for name in requests if name not in log])
    already = sum(name in log for name in requests)
    with tqdm(total=len(requests), initial=already, unit="image", disable=None) as progress:

        async def work(names: Iterator[str]) -> None:
            nonlocal in_a_row
            for name in names:
                try:
                    log.add(name, await requests[name]())
                    in_a_row = 0
                except REPORTED as error:
                    in_a_row += 1
                    if not isinstance(error, RequestError) or error.status == "INVALID_ARGUMENT":
                        refused.add(name)
                    else:
                        again.append(name)
                    progress.write(f"{name}: {error}", file=sys.stderr)
                progress.update(name in log or name in refused)
                if in_a_row >= max_failures:
                    return

        await asyncio.gather(*(work(missing) for _ in range(concurrency)))
        if in_a_row < max_failures:
            await work(iter(again[:]))
    if in_a_row >= max_failures:
        print(f"stopped after {in_a_row} failures in a row; the same command goes on from here", file=sys.stderr)
    return refused
