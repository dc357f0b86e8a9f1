"""The server's answers for the frames of one video, a line a frame, so that a run that was stopped can go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from poseclient.people import People, PosedPeople


class AnswerLog:
    """A file of JSON lines: what the video is, then one answer after the other; a context manager.

    Answers that are there are read again in their order, then new ones are added; neither fills memory. A last line
    that was not written to its end counts for nothing, nor does a file about another video.
    """

    def __init__(self, path: Path, video: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+b" if path.exists() else "w+b")
        if json.dumps(video).encode() + b"\n" != self._file.readline():
            self._file.seek(0)
            self._file.truncate()
            self._write(video)
        self._may_hold_more = True

    def __enter__(self) -> AnswerLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def recorded(self) -> PosedPeople | None:
        """The answer for the next frame, None from the frame on that has none yet."""
        if not self._may_hold_more:
            return None
        place = self._file.tell()
        line = self._file.readline()
        if line.endswith(b"\n"):
            people = People.from_dict(json.loads(line))
            assert isinstance(people, PosedPeople)
            return people
        self._may_hold_more = False
        self._file.seek(place)  # what was cut is written over
        return None

    def add(self, people: PosedPeople) -> None:
        """The answer for the first frame without one; all that are there must have been read."""
        self._write(people.to_dict())

    def _write(self, value: dict[str, Any]) -> None:
        self._file.write(json.dumps(value).encode() + b"\n")
        self._file.flush()
