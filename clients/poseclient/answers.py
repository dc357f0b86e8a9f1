"""Answers to many questions, kept in a file as they come, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from poseclient.protocol import RequestError

Questions = Mapping[str, Callable[[], Awaitable[Any]]]  # by name; an answer is a plain JSON value


class Answers:
    """A file of JSON lines: the settings, then one line for each answer.

    A last line that was not written to its end is forgotten. Raises ValueError when the file holds answers to other
    settings, or something else.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        whole = path.read_bytes() if path.exists() else b""
        whole = whole[: whole.rfind(b"\n") + 1]
        try:
            first, *rest = [json.loads(line) for line in whole.splitlines()] or [{"settings": settings}]
            before = dict(first["settings"])
            self.given: dict[str, Any] = {line["name"]: line["answer"] for line in rest}
        except (ValueError, TypeError, LookupError) as error:
            raise ValueError(f"{path} is no file of answers ({error!r}): choose another folder") from error
        if before != settings:
            names = [name for name in before | settings if before.get(name) != settings.get(name)]
            changes = ", ".join(f"{name} {before.get(name)!r}, now {settings.get(name)!r}" for name in names)
            raise ValueError(f"{path} holds answers to other settings ({changes}): choose another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+b" if path.exists() else "xb")
        self._file.truncate(self._file.seek(len(whole)))
        if not whole:
            self._write({"settings": settings})

    def add(self, name: str, answer: Any) -> None:
        """Keep one more answer, in the file at once."""
        self._write({"name": name, "answer": answer})
        self.given[name] = answer

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()


async def ask_missing(questions: Questions, answers: Answers, concurrency: int) -> int:
    """Ask what has no answer yet, `concurrency` questions at a time; the number of those that failed, each reported."""
    failed = 0
    missing = iter([(name, ask) for name, ask in questions.items() if name not in answers.given])
    already = sum(name in answers.given for name in questions)
    with tqdm(total=len(questions), initial=already, unit="image", disable=None) as progress:

        async def work() -> None:
            nonlocal failed
            for name, ask in missing:
                try:
                    answers.add(name, await ask())
                except (RequestError, OSError, ValueError, cv2.error) as error:
                    failed += 1
                    progress.write(f"{name}: {error}", file=sys.stderr)
                progress.update()

        await asyncio.gather(*(work() for _ in range(concurrency)))
    return failed
