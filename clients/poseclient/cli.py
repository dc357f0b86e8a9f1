"""`poseclient COMMAND PATH...`: folders of images in, overlays and files out; `image_commands.py` has the commands."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from poseclient import evaluate
from poseclient.aio import AsyncPoseClient
from poseclient.errors import REPORTED, InputError
from poseclient.files import CocoFiles, OutputFiles, file_stems
from poseclient.image_commands import IMAGE_COMMANDS
from poseclient.people import People
from poseclient.protocol import DEFAULT_URL, Endpoint

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when every image had a result, 1 when one had none, 2 for a wrong command line."""
    args = parser().parse_args(argv)
    try:
        return evaluate.run(args) if args.command == "evaluate" else asyncio.run(_run(args))
    except KeyboardInterrupt:
        return 130
    except REPORTED as error:
        print(f"poseclient: {error}", file=sys.stderr)
        return 1


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
    for name, command in IMAGE_COMMANDS.items():
        own = commands.add_parser(name, parents=[common], help=command.help)
        for flag, arguments in command.flags.items():
            own.add_argument(flag, **arguments)
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
class _ImageRun:
    """One run over many images: what to request, where to write, and how many had a result."""

    args: argparse.Namespace
    client: AsyncPoseClient
    progress: tqdm[NoReturn]
    stems: dict[str, str]
    done: int = 0
    people: int = 0
    failed: int = 0
    coco: CocoFiles = field(default_factory=CocoFiles)

    async def work(self, images: Iterator[tuple[int, tuple[str, Path]]]) -> None:
        """Handles images until there are none left; workers share the iterator, so few are in memory."""
        for image_id, (name, path) in images:
            try:
                await self.handle(image_id, name, await asyncio.to_thread(path.read_bytes))
                self.done += 1
            except REPORTED as error:
                self.failed += 1
                self.progress.write(f"{path}: {error}", file=sys.stderr)
            self.progress.update()

    async def handle(self, image_id: int, name: str, data: bytes) -> None:
        command = IMAGE_COMMANDS[self.args.command]
        result = await command.result(self.client, data, self.args)
        output = OutputFiles(image_id, name, self.stems[name], data, self.args, self.coco)
        await asyncio.to_thread(command.write, output, result)
        if isinstance(result, People):
            self.people += len(result)


async def _run(args: argparse.Namespace) -> int:
    images = find_images(args.paths, args.out)
    if not images:
        print("no images found", file=sys.stderr)
        return 1
    start = time.perf_counter()
    async with AsyncPoseClient(args.url, args.timeout) as client:
        if not await client.is_ready():
            print(f"no server is ready at {args.url}", file=sys.stderr)
            return 1
        args.out.mkdir(parents=True, exist_ok=True)
        with tqdm(total=len(images), unit="image", disable=None) as progress:
            run = _ImageRun(args, client, progress, file_stems(images))
            queue = enumerate(images.items(), 1)
            await asyncio.gather(*(run.work(queue) for _ in range(args.concurrency)))
    if args.format == "coco":
        run.coco.write(args.out)
    seconds = time.perf_counter() - start
    counts = [f"{run.done} images"]
    if IMAGE_COMMANDS[args.command].finds_people:
        counts.append(f"{run.people} people")
    if run.failed:
        counts.append(f"{run.failed} failed")
    print(", ".join([*counts, f"{seconds:.1f} s", f"{run.done / seconds:.1f} images/s"]))
    return 1 if run.failed else 0


def _url(text: str) -> str:
    try:
        return Endpoint(text, timeout=0).url
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
