"""One run of an image command over files and folders: it writes as it goes, and can be resumed."""

from __future__ import annotations

import asyncio
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from poseclient import files
from poseclient.aio import AsyncPoseClient
from poseclient.demo_networks import demo_networks, say_demo_networks
from poseclient.errors import REPORTED, InputError, RequestError
from poseclient.image_commands import IMAGE_COMMANDS, ImageCommand
from poseclient.image_files import Inputs, find_images
from poseclient.keypoints import ClassSet, KeypointSet
from poseclient.people import People
from poseclient.resume_log import ResumeLog
from poseclient.runs import (
    FAILED,
    LOG,
    check_earlier_files,
    check_keypoint_set,
    end_by_signals,
    wait_until_ready,
)
from poseclient.truth_checks import name_some

TRIES = 3  # of an image while the server goes away and comes back


@dataclass(frozen=True)
class Labels:
    """The sets that explain the results of one run, where they have keypoints or class ids."""

    keypoints: KeypointSet | None
    classes: ClassSet | None


@dataclass
class _ImageRun:
    """What the workers of one run share."""

    args: Namespace
    client: AsyncPoseClient
    labels: Labels
    log: ResumeLog
    progress: tqdm[NoReturn]
    people: int = 0
    done: int = 0
    failures: dict[str, str] = field(default_factory=dict)  # reason by path
    in_a_row: int = 0
    signal: int = 0  # that asked for the end
    waiting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def command(self) -> ImageCommand:
        return IMAGE_COMMANDS[self.args.command]

    @property
    def is_over(self) -> bool:
        """Whether no more images are to be asked for."""
        return bool(self.signal) or self.in_a_row >= self.args.max_failures

    async def work(self, images: Iterator[tuple[str, Path]]) -> None:
        """Handles images until there are none left; workers share the iterator, so few are in memory."""
        for name, path in images:
            try:
                entry = await self.handle(name, path)
                self.log.add(name, entry)
                self.done, self.in_a_row = self.done + 1, 0
            except REPORTED as error:
                self.failures[str(path)] = str(error)
                self.in_a_row += 1
                self.progress.set_postfix(failed=len(self.failures))
            self.progress.update()
            if self.is_over:
                return

    async def handle(self, name: str, path: Path) -> Any:
        """Asks the server, waits for it where it is away, writes the files; what goes into the lists of all images."""
        data = await asyncio.to_thread(path.read_bytes)
        for attempt in range(1, TRIES + 1):
            try:
                result = await self.command.result(self.client, data, self.args)
                break
            except RequestError as error:
                if error.status != "UNAVAILABLE" or attempt == TRIES or not await self.is_back():
                    raise
        if isinstance(result, People):
            self.check_labels(result)
            self.people += len(result)
        output = files.OutputFiles(name, data, self.args)
        return await asyncio.to_thread(self.command.write, output, result)

    async def is_back(self) -> bool:
        """Whether the server is ready again within the time to wait; all workers wait together."""
        if not self.args.wait or self.is_over:
            return False
        async with self.waiting:
            return await wait_until_ready(self.client, self.args.wait)

    def check_labels(self, people: People) -> None:
        known = self.labels.keypoints
        if people.keypoints is not None:
            check_keypoint_set(people.keypoint_set, known.name if known else None)

    def end(self, number: int) -> None:
        """Of a signal."""
        self.signal = number


async def run(args: Namespace) -> int:
    """Exit code 0 when every image had a result, 1 when one had none, 128 and more after a signal."""
    inputs, command = find_images(args.paths, args.out), IMAGE_COMMANDS[args.command]
    if not inputs.images:
        raise InputError(f"no images found in {name_some(args.paths)}")
    check_earlier_files(args, written_names(args, command, inputs))
    start = time.perf_counter()
    async with AsyncPoseClient(args.url, args.timeout) as client:
        if not await wait_until_ready(client, args.wait):
            raise RequestError(f"no server is ready at {args.url}", "UNAVAILABLE")
        labels = await read_labels(client, command, args)
        say_demo_networks(await demo_networks(client, command.model(args)))
        files.make_folder(args.out)
        if args.overwrite:
            (args.out / LOG).unlink(missing_ok=True)
        with ResumeLog(args.out / LOG, settings(args, command, labels)) as log:
            missing = [(name, path) for name, path in inputs.images.items() if name not in log]
            total, already = len(inputs.images), len(inputs.images) - len(missing)
            with tqdm(total=total, initial=already, unit="image", disable=None) as progress:
                one = _ImageRun(args, client, labels, log, progress)
                end_by_signals(one.end, partial(progress.write, file=sys.stderr))
                queue = iter(missing)
                try:
                    await asyncio.gather(*(one.work(queue) for _ in range(args.concurrency)))
                finally:
                    progress.close()
                    report(one, inputs, time.perf_counter() - start)
    if one.signal:
        return 128 + one.signal
    return 1 if one.failures else 0


async def read_labels(client: AsyncPoseClient, command: ImageCommand, args: Namespace) -> Labels:
    """The sets of the ensemble; InputError where the format cannot hold its keypoints."""
    model = command.model(args)
    keypoints = await client.keypoint_set(model) if command.has_keypoints else None
    fitting = command.formats[args.format].keypoint_sets
    if keypoints and fitting and keypoints.name not in fitting:
        names = " and ".join(fitting)
        raise InputError(f"the format {args.format} holds keypoints of {names}; those of {model} are {keypoints.name}")
    return Labels(keypoints, await client.class_set(model) if command.has_classes else None)


def settings(args: Namespace, command: ImageCommand, labels: Labels) -> dict[str, Any]:
    """What the files of a run depend on."""
    names = [flag.removeprefix("--").replace("-", "_") for flag in command.flags]
    own = {name.removeprefix("no_"): getattr(args, name.removeprefix("no_")) for name in names}
    sets = {"keypoint_set": labels.keypoints, "class_set": labels.classes}
    return {
        "command": args.command, "model": command.model(args), **own, **{k: v and v.name for k, v in sets.items()}
    }  # fmt: skip


def written_names(args: Namespace, command: ImageCommand, inputs: Inputs) -> list[str]:
    """The files that the run writes."""
    endings, lists = command.endings(args), command.formats[args.format].lists
    return [*lists, *(name + ending for name in inputs.images for ending in endings)]


def report(one: _ImageRun, inputs: Inputs, seconds: float) -> None:
    """Write the lists of all images, and say what was done, where it is, what failed and what was left out."""
    args, out = one.args, one.args.out.resolve()
    answered = [name for name in inputs.images if name in one.log]
    lists: list[str] = []
    if one.command.formats[args.format].lists:
        lists = files.write_lists(args.out, answered, one.log, one.labels.keypoints, one.labels.classes)
    counts = [f"{one.done} images"]
    if one.command.finds_people:
        counts.append(f"{one.people} people")
    if one.failures:
        counts.append(f"{len(one.failures)} failed")
    if len(answered) > one.done:
        counts.append(f"{len(answered) - one.done} were there already")
    print(", ".join([*counts, f"{seconds:.1f} s", f"{one.done / seconds:.1f} images/s"]))
    each = [f"IMAGE{ending}" for ending in one.command.endings(args)]
    print(f"written to {out}: {', '.join([*lists, *each])}")
    if inputs.others:
        print(f"left out, no images by their names: {name_some(inputs.others)}", file=sys.stderr)
    report_failures(one)


def report_failures(one: _ImageRun) -> None:
    """Say which images failed, those of one reason together, and write them all to a file."""
    (one.args.out / FAILED).unlink(missing_ok=True)
    by_reason: dict[str, list[str]] = {}
    for path, reason in one.failures.items():
        by_reason.setdefault(reason, []).append(path)
    for reason, paths in by_reason.items():
        print(f"{name_some(paths)}: {reason}", file=sys.stderr)
    if one.failures:
        files.write_json(one.args.out / FAILED, one.failures)
    if one.in_a_row >= one.args.max_failures:
        print(f"stopped after {one.in_a_row} failures in a row; --resume goes on from here", file=sys.stderr)
    elif one.signal:
        print("stopped; --resume goes on from here", file=sys.stderr)
