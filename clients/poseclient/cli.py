"""`poseclient COMMAND PATH...`: folders of images in, overlays and files out; `commands.py` has the commands."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from tqdm import tqdm

from poseclient import evaluate
from poseclient.aio import AsyncPoseClient
from poseclient.commands import COMMANDS
from poseclient.files import CocoFiles, Target, file_stems
from poseclient.people import People
from poseclient.protocol import DEFAULT_URL, Endpoint, RequestError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when every image was answered, 1 when one was not, 2 for a wrong command line."""
    options = parser().parse_args(argv)
    try:
        return evaluate.run(options) if options.command == "evaluate" else asyncio.run(_run(options))
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line: the options of all commands, and those of each."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="image, or folder of images")
    common.add_argument("--url", type=_url, default=DEFAULT_URL, help="grpc:// or http:// (%(default)s)")
    common.add_argument("--out", type=Path, default=Path("out"), help="folder of the results (%(default)s)")
    common.add_argument("--concurrency", type=_positive, default=8, help="requests in flight (%(default)s)")
    common.add_argument("--model", metavar="NAME", help="another ensemble of that kind, as pose.NETWORK")
    common.add_argument("--timeout", type=float, default=60.0, help="seconds for one request (%(default)s)")
    whole = argparse.ArgumentParser(prog="poseclient", description="People, body parts and surfaces of images.")
    commands = whole.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, parents=[common], help=command.help)
        for flag, option in command.options.items():
            own.add_argument(flag, **option)
    evaluate.add_parser(commands)
    return whole


def find_images(paths: Sequence[Path], out: Path) -> dict[str, Path]:
    """Images by a name that no two of them share: their path below the folder that holds them all.

    Folders are searched with all their sub folders, `out` excepted; a file that is named is taken whatever
    its suffix.
    """
    tops: list[Path] = []
    files: list[Path] = []
    for path in (Path(os.path.abspath(path)) for path in paths):
        if path.is_dir():
            tops.append(path)
            files += (file for file in sorted(path.rglob("*")) if _is_image(file, out.absolute()))
        else:
            tops.append(path.parent)
            files.append(path)
    top = os.path.commonpath(tops)
    return {file.relative_to(top).as_posix(): file for file in files}


def _is_image(file: Path, out: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and out not in file.parents and file.is_file()


@dataclass
class _Job:
    """One run over many images: what to ask, where to write, and what came of it."""

    options: argparse.Namespace
    client: AsyncPoseClient
    progress: tqdm
    stems: dict[str, str]
    answered: int = 0
    people: int = 0
    failed: int = 0
    coco: CocoFiles = field(default_factory=CocoFiles)

    async def work(self, images: Iterator[tuple[int, tuple[str, Path]]]) -> None:
        """Answers images until there are none left; workers share the iterator, so few are in memory."""
        for image_id, (name, path) in images:
            try:
                await self.answer(image_id, name, await asyncio.to_thread(path.read_bytes))
                self.answered += 1
            except (RequestError, OSError, ValueError, ImportError, cv2.error) as error:
                self.failed += 1
                self.progress.write(f"{path}: {error}", file=sys.stderr)
            self.progress.update()

    async def answer(self, image_id: int, name: str, data: bytes) -> None:
        command = COMMANDS[self.options.command]
        answer = await command.answer(self.client, data, self.options)
        target = Target(image_id, name, self.stems[name], data, self.options, self.coco)
        await asyncio.to_thread(command.write, target, answer)
        if isinstance(answer, People):
            self.people += len(answer)


async def _run(options: argparse.Namespace) -> int:
    images = find_images(options.paths, options.out)
    if not images:
        print("no images found", file=sys.stderr)
        return 1
    start = time.perf_counter()
    async with AsyncPoseClient(options.url, options.timeout) as client:
        if not await client.is_ready():
            print(f"no server is ready at {options.url}", file=sys.stderr)
            return 1
        options.out.mkdir(parents=True, exist_ok=True)
        with tqdm(total=len(images), unit="image", disable=None) as progress:
            job = _Job(options, client, progress, file_stems(images))
            queue = enumerate(images.items(), 1)
            await asyncio.gather(*(job.work(queue) for _ in range(options.concurrency)))
    if options.format == "coco":
        job.coco.write(options.out)
    seconds = time.perf_counter() - start
    counts = [f"{job.answered} images"]
    if COMMANDS[options.command].finds_people:
        counts.append(f"{job.people} people")
    if job.failed:
        counts.append(f"{job.failed} failed")
    print(", ".join([*counts, f"{seconds:.1f} s", f"{job.answered / seconds:.1f} images/s"]))
    return 1 if job.failed else 0


def _url(text: str) -> str:
    try:
        return Endpoint(text, timeout=0).url
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
