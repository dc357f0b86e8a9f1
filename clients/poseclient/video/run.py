"""One run of `poseclient video` over files and cameras: it writes as it goes, and can be resumed."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poseclient import files
from poseclient.aio import AsyncPoseClient
from poseclient.demo_networks import demo_networks, say_demo_networks
from poseclient.errors import REPORTED, InputError, RequestError
from poseclient.keypoints import KeypointSet
from poseclient.resume_log import ResumeLog
from poseclient.runs import FAILED, LOG, check_earlier_files, end_by_signals, wait_until_ready
from poseclient.truth_checks import name_some
from poseclient.video.frames import av
from poseclient.video.results import RESULT_FORMATS
from poseclient.video.source_run import OVERLAY_ENDING, SourceRun, tell
from poseclient.video.sources import Source, find_sources

# Options without an effect on what is written.
FREE = {
    *("command", "sources", "input_format", "url", "out", "concurrency", "timeout", "max_failures", "wait"),
    *("resume", "overwrite", "show"),
}


@dataclass
class VideoRun:
    """What the sources of one run share.

    in_flight: requests at once of each source.
    """

    args: Namespace
    client: AsyncPoseClient
    keypoints: KeypointSet
    log: ResumeLog
    in_flight: int
    done: list[SourceRun] = field(default_factory=list)  # failed ones as well
    failures: dict[str, str] = field(default_factory=dict)  # reason by source
    in_a_row: int = 0
    signal: int = 0  # that asked for the end
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self, sources: Iterator[Source]) -> None:
        """Handles sources until there are none left; workers share the iterator."""
        for source in sources:
            if self.stop.is_set() or self.in_a_row >= self.args.max_failures:
                return
            one = SourceRun(self.args, self.client, self.keypoints, source, self.in_flight, self.stop)
            self.done.append(one)
            if not self.args.resume:
                one.answers.unlink(missing_ok=True)
            try:
                await one.run()
            except REPORTED as error:
                self.failures[source.label] = str(error).removeprefix(f"{source.label}: ")
                self.in_a_row += 1
                continue
            self.in_a_row = 0
            if not self.stop.is_set():
                self.log.add(source.name, {"frames": one.frames, "poses": one.poses, "ids": len(one.ids)})
                one.answers.unlink(missing_ok=True)

    def end(self, number: int) -> None:
        """Of a signal."""
        self.signal = number
        self.stop.set()


async def run(args: Namespace) -> int:
    """Exit code 0 when every source was read to its end, 1 when one was not, 128 and more after a signal."""
    av()
    sources, others = find_sources(args.sources, args.out, args.input_format)
    if not sources:
        raise InputError(f"no videos found in {name_some(args.sources)}")
    check_options(args, sources)
    check_earlier_files(args, written_names(args, sources))
    start = time.perf_counter()
    async with AsyncPoseClient(args.url, args.timeout) as client:
        if args.wait and not await client.is_ready():
            tell(f"waiting for a server at {args.url}")
        if not await wait_until_ready(client, args.wait):
            raise RequestError(f"no server is ready at {args.url}", "UNAVAILABLE")
        model = args.model or "pose"
        keypoints = await client.keypoint_set(model)
        say_demo_networks(await demo_networks(client, model))
        files.make_folder(args.out)
        if args.overwrite:
            (args.out / LOG).unlink(missing_ok=True)
        with ResumeLog(args.out / LOG, settings(args, keypoints)) as log:
            missing = [source for source in sources if source.name not in log]
            # Cameras wait for nobody; files come one after the other, each with all the requests.
            at_once = max(1, sum(source.is_live for source in missing))
            one = VideoRun(args, client, keypoints, log, math.ceil(args.concurrency / at_once))
            end_by_signals(one.end, tell)
            queue = iter(sorted(missing, key=lambda source: not source.is_live))
            try:
                await asyncio.gather(*(one.work(queue) for _ in range(at_once)))
            finally:
                report(one, len(sources) - len(missing), others, time.perf_counter() - start)
    if one.signal:
        return 128 + one.signal
    return 1 if one.failures else 0


def check_options(args: Namespace, sources: Sequence[Source]) -> None:
    """InputError for options that do not go together."""
    if args.start >= args.end:
        raise InputError(f"--start {args.start:g} is not before --end {args.end:g}")
    if (args.single_pose or args.tracker == "none") and (args.smooth or args.focus):
        raise InputError("--smooth and --focus need to know who is who: they go with a tracker, not with --single-pose")
    live = [source.label for source in sources if source.is_live]
    if live and (args.start or args.resume):
        raise InputError(f"{name_some(live)}: --start and --resume are for files, a live source has no past")


def settings(args: Namespace, keypoints: KeypointSet) -> dict[str, Any]:
    """What the files of a run depend on."""
    own = {name: value for name, value in sorted(vars(args).items()) if name not in FREE and value != math.inf}
    return {"command": "video", **own, "model": args.model or "pose", "keypoint_set": keypoints.name}


def written_names(args: Namespace, sources: Sequence[Source]) -> list[str]:
    """The files that the run writes."""
    endings = [*(RESULT_FORMATS[name].ending for name in args.format), *([OVERLAY_ENDING] if args.overlay else [])]
    return [source.name + ending for source in sources for ending in endings]


def report(one: VideoRun, already: int, others: Sequence[Path], seconds: float) -> None:
    """Say what was done, where it is, what failed and what was left out."""
    frames, poses = (sum(getattr(source, name) for source in one.done) for name in ("frames", "poses"))
    counts = [f"{len(one.done) - len(one.failures)} sources", f"{frames} frames", f"{poses} poses"]
    counts += [f"{len(one.failures)} failed"] if one.failures else []
    counts += [f"{already} were there already"] if already else []
    print(", ".join([*counts, f"{seconds:.1f} s", f"{frames / seconds:.1f} frames/s"]))
    print(f"written to {one.args.out.resolve()}")
    if others:
        print(f"left out, no videos by their names: {name_some(others)}", file=sys.stderr)
    (one.args.out / FAILED).unlink(missing_ok=True)
    for source, reason in one.failures.items():
        print(f"{source}: {reason}", file=sys.stderr)
    if one.failures:
        files.write_json(one.args.out / FAILED, one.failures)
    if one.signal or one.in_a_row >= one.args.max_failures:
        print("stopped; --resume goes on from here", file=sys.stderr)
