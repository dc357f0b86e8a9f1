"""One source of `poseclient video` on its way: read, asked about, tracked, drawn, written, a few frames at a time."""

from __future__ import annotations

import asyncio
import math
import sys
from argparse import Namespace
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from poseclient.aio import AsyncPoseClient
from poseclient.errors import REPORTED, InputError
from poseclient.image_commands import POSE_FLAGS
from poseclient.keypoints import KeypointSet
from poseclient.runs import check_keypoint_set
from poseclient.tracking import UNTRACKED
from poseclient.video.answers import AnswerLog
from poseclient.video.follow import Asking, Step, TrackedFrame, follow, frames_at_once
from poseclient.video.frames import Frame, Selection, count_frames
from poseclient.video.live import LiveSource
from poseclient.video.overlay import Overlay
from poseclient.video.results import About, Add, write_results
from poseclient.video.sources import Source, file_frames, readable
from poseclient.video.track import tracking
from poseclient.video.window import in_order, in_thread
from poseclient.video.writer import VideoWriter

OVERLAY_ENDING = "_overlay.mp4"
ANSWERS_ENDING = "_answers.jsonl"  # of the file that is there until the source is done
DRAWN_AT_ONCE = 2  # frames
END_KEYS = (ord("q"), 27)  # of a window; 27 is Escape

Picture = NDArray[np.uint8] | None


@dataclass
class SourceRun:
    """A source and what is done with it, with counts of that.

    in_flight: requests at once. stop: ends it in order, as does a key in its window.
    """

    args: Namespace
    client: AsyncPoseClient
    keypoints: KeypointSet
    source: Source
    in_flight: int
    stop: asyncio.Event
    frames: int = 0
    poses: int = 0
    ids: set[int] = field(default_factory=set)

    async def run(self) -> None:
        """Until the end of the source, or an error, which is raised after all files were closed in order."""
        total = None if self.source.is_live else await asyncio.to_thread(self._count)
        with ExitStack() as stack:
            progress = tqdm(total=total, desc=self.source.name[-30:], unit="frame", disable=None)
            self._progress = stack.enter_context(progress)
            log = None if self._live else stack.enter_context(AnswerLog(self.answers, self._identity()))
            failure = await self._write(until(self._read(), self.stop), log)
        if (live := self._live) and (live.dropped or live.reconnects):
            counts = f"{self.frames} frames, {live.dropped} dropped, lost and back {live.reconnects} times"
            tell(f"{self.source.label}: {counts}")
        if failure:
            raise failure
        if not self.frames and not self.stop.is_set():
            raise InputError("no frame between --start and --end")

    @property
    def answers(self) -> Path:
        """The file of the server's answers."""
        return Path(self.args.out / (self.source.name + ANSWERS_ENDING))

    @property
    def _selection(self) -> Selection:
        return Selection(self.args.start, self.args.end, self.args.every, self.args.rotate)

    @cached_property
    def _live(self) -> LiveSource | None:
        return LiveSource(self.source, self._selection, tell) if self.source.is_live else None

    def _read(self) -> AsyncGenerator[Frame, None]:
        return self._live.frames() if self._live else in_thread(file_frames(self.source, self._selection))

    def _count(self) -> int | None:
        with readable(self.source), self.source.open() as container:
            return count_frames(container, self._selection)

    def _identity(self) -> dict[str, Any]:
        """What tells the video from another one under its name."""
        if self.source.is_address:
            return {"source": self.source.label}
        stat = Path(self.source.location).stat()
        return {"source": self.source.label, "bytes": stat.st_size, "modified": stat.st_mtime_ns}

    def _asking(self) -> Asking:
        args = self.args
        names = [flag.removeprefix("--").replace("-", "_") for flag in POSE_FLAGS]
        options = {name: value for name in names if (value := getattr(args, name)) is not None}
        if args.single_pose:
            options["max_people"] = 1
        # The frames of a camera would become old meanwhile.
        window = self.in_flight if self._live else frames_at_once(self.in_flight, args.detect_every)
        wait = math.inf if self._live else args.wait
        return Asking(args.model or "pose", options, args.detect_every, window, wait, self.stop.is_set, tell)

    def _steps(self) -> list[Step]:
        args, tracker = self.args, "none" if self.args.single_pose else self.args.tracker
        return tracking(tracker, args.score_threshold, args.smooth, args.focus)

    async def _write(self, frames: AsyncGenerator[Frame, None], log: AnswerLog | None) -> Exception | None:
        """Write the files; what ended it too early. They are closed in order whatever that is."""
        args, stem = self.args, self.args.out / self.source.name
        failure: Exception | None = None
        results = follow(self.client, frames, self._asking(), self._steps(), log)
        with write_results(stem, args.format, About(self.source.name, self.keypoints)) as add:
            try:
                with ExitStack() as stack:
                    writer = None
                    if args.overlay:
                        path = stem.with_name(stem.name + OVERLAY_ENDING)
                        writer = stack.enter_context(VideoWriter(path, args.codec, self.source, args.start))
                    async with aclosing(in_order(results, self._draw, DRAWN_AT_ONCE)) as drawn:
                        async for result, picture in drawn:
                            await asyncio.to_thread(self._add, result, picture, add, writer)
                            self._show(picture)
                    await asyncio.to_thread(stack.close)  # the whole video is copied, with its sound
            except REPORTED as error:
                failure = error
        return failure

    async def _draw(self, result: TrackedFrame) -> Picture:
        args = self.args
        if not (args.overlay or args.show):
            return None
        overlay = Overlay(args.draw, args.conf_threshold, args.line_width, args.radius)
        return await asyncio.to_thread(overlay.draw, result)

    def _add(self, result: TrackedFrame, picture: Picture, add: Add, writer: VideoWriter | None) -> None:
        """Write one frame into the files, and count it."""
        people = result.people
        check_keypoint_set(people.keypoint_set, self.keypoints.name)
        add(result)
        if writer and picture is not None:
            writer.add(result.frame, picture)
        self.frames += 1
        self.poses += len(people)
        if people.track_ids is not None:
            self.ids.update(people.track_ids[people.track_ids != UNTRACKED].tolist())
        dropped = {"dropped": self._live.dropped} if self._live and self._live.dropped else {}
        self._progress.set_postfix({"people": len(people)} | dropped, refresh=False)
        self._progress.update()

    def _show(self, picture: Picture) -> None:
        if not self.args.show or picture is None:
            return
        try:
            cv2.imshow(self.source.name, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            key = cv2.waitKey(1) & 0xFF
        except cv2.error as error:
            raise InputError("--show needs a display, and opencv-python, not opencv-python-headless") from error
        if key in END_KEYS:
            self.stop.set()


async def until(frames: AsyncGenerator[Frame, None], stop: asyncio.Event) -> AsyncGenerator[Frame, None]:
    """The frames until the event, also where the next frame does not come."""
    stopped = asyncio.ensure_future(stop.wait())
    async with aclosing(frames):
        try:
            while not stop.is_set():
                coming = asyncio.ensure_future(anext(frames))
                try:
                    await asyncio.wait({coming, stopped}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not coming.done():
                        coming.cancel()
                        await asyncio.gather(coming, return_exceptions=True)
                if coming.cancelled():
                    return
                yield coming.result()
        except StopAsyncIteration:
            return
        finally:
            stopped.cancel()


def tell(text: str) -> None:
    """A line for the user, above the progress."""
    tqdm.write(text, file=sys.stderr)
