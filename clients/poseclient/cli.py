"""`poseclient detect|pose|parts PATH...`: folders of images in, overlays and JSON out."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from poseclient.aio import AsyncPoseClient
from poseclient.draw import draw_parts, draw_people, parts_legend
from poseclient.formats import coco_results, easy_vitpose_json, sapiens_json
from poseclient.images import decode_image, write_image
from poseclient.people import People
from poseclient.protocol import DEFAULT_URL, Endpoint, PoseServerError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when every image was answered, 1 when one was not, 2 for a wrong command line."""
    arguments = _parser().parse_args(argv)
    try:
        return asyncio.run(_run(arguments))
    except KeyboardInterrupt:
        return 130


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

    arguments: argparse.Namespace
    client: AsyncPoseClient
    progress: tqdm
    people: int = 0
    failed: int = 0
    images: dict[int, str] = field(default_factory=dict)  # the answered ones
    coco: dict[int, list[dict]] = field(default_factory=dict)

    async def work(self, images: Iterator[tuple[int, tuple[str, Path]]]) -> None:
        """Answers images until there are none left; workers share the iterator, so few are in memory."""
        for image_id, (name, path) in images:
            try:
                await self.answer(image_id, name, await asyncio.to_thread(path.read_bytes))
                self.images[image_id] = name
            except (PoseServerError, OSError, ValueError, cv2.error) as error:
                self.failed += 1
                self.progress.write(f"{path}: {error}", file=sys.stderr)
            self.progress.update()

    async def answer(self, image_id: int, name: str, data: bytes) -> None:
        target = self.arguments.out / name
        model = self.arguments.model or self.arguments.command
        limits = {name: getattr(self.arguments, name) for name in ("score_threshold", "nms_iou", "max_people")}
        if self.arguments.command == "parts":
            mask = await self.client.parts(data, **limits, model=model)
            classes = await self.client.class_set(model)
            await asyncio.to_thread(write_parts, target, data, mask, classes, self.arguments.overlay)
            return
        ask = self.client.pose if self.arguments.command == "pose" else self.client.detect
        people = await ask(data, **limits, model=model)
        self.people += len(people)
        if self.arguments.overlay:
            await asyncio.to_thread(write_people, target, data, people)
        if self.arguments.format == "coco":
            self.coco[image_id] = coco_results(people, image_id)
        elif self.arguments.format == "sapiens":
            write_json(_beside(target, ".json"), sapiens_json(people))
        else:
            write_json(_beside(target, ".json"), easy_vitpose_json([people]))


def write_people(target: Path, data: bytes, people: People) -> None:
    """The overlay of one image as `<target>_overlay.jpg`."""
    write_image(_beside(target, "_overlay.jpg"), draw_people(decode_image(data), people))


def write_parts(target: Path, data: bytes, mask: np.ndarray, classes: Any, overlay: bool) -> None:
    """The class ids as `<target>_parts.png`, and the overlay with its legend."""
    write_image(_beside(target, "_parts.png"), mask)
    if overlay:
        picture = draw_parts(decode_image(data), mask, classes)
        write_image(_beside(target, "_overlay.jpg"), np.hstack([picture, parts_legend(mask, classes)]))


def write_json(path: Path, value: Any) -> None:
    """One JSON file in UTF-8."""
    path.write_text(json.dumps(value), encoding="utf-8")


def _beside(target: Path, ending: str) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.with_name(target.name + ending)


async def _run(arguments: argparse.Namespace) -> int:
    images = find_images(arguments.paths, arguments.out)
    if not images:
        print("no images found", file=sys.stderr)
        return 1
    start = time.perf_counter()
    async with AsyncPoseClient(arguments.url, arguments.timeout) as client:
        if not await client.is_ready():
            print(f"no server is ready at {arguments.url}", file=sys.stderr)
            return 1
        arguments.out.mkdir(parents=True, exist_ok=True)
        with tqdm(total=len(images), unit="image", disable=None) as progress:
            job = _Job(arguments, client, progress)
            queue = enumerate(images.items(), 1)
            await asyncio.gather(*(job.work(queue) for _ in range(arguments.concurrency)))
    if arguments.command != "parts" and arguments.format == "coco":
        results = [row for _, rows in sorted(job.coco.items()) for row in rows]
        write_json(arguments.out / "results.json", results)
        listing = [{"id": i, "file_name": name} for i, name in sorted(job.images.items())]
        write_json(arguments.out / "images.json", listing)
    seconds = time.perf_counter() - start
    counts = [f"{len(job.images)} images"]
    if arguments.command != "parts":
        counts.append(f"{job.people} people")
    if job.failed:
        counts.append(f"{job.failed} failed")
    print(", ".join([*counts, f"{seconds:.1f} s", f"{len(job.images) / seconds:.1f} images/s"]))
    return 1 if job.failed else 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="image, or folder of images")
    common.add_argument("--url", type=_url, default=DEFAULT_URL, help="grpc:// or http:// (%(default)s)")
    common.add_argument("--out", type=Path, default=Path("out"), help="folder of the results (%(default)s)")
    common.add_argument("--no-overlay", dest="overlay", action="store_false", help="draw no pictures")
    common.add_argument("--concurrency", type=_positive, default=8, help="requests in flight (%(default)s)")
    common.add_argument("--model", metavar="NAME", help="another ensemble of that kind, as pose.NETWORK")
    common.add_argument("--timeout", type=float, default=60.0, help="seconds for one request (%(default)s)")

    common.add_argument("--score-threshold", type=float, help="least score of a person, 0..1")
    common.add_argument("--nms-iou", type=float, help="most overlap of two people's boxes, 0..1")
    common.add_argument("--max-people", type=int, help="most people of one image")

    parser = argparse.ArgumentParser(prog="poseclient", description="People and body parts of images.")
    commands = parser.add_subparsers(dest="command", required=True)
    detect = commands.add_parser("detect", parents=[common], help="boxes of people")
    detect.add_argument("--format", choices=["coco"], default="coco")
    pose = commands.add_parser("pose", parents=[common], help="boxes and keypoints of people")
    pose.add_argument("--format", choices=["coco", "sapiens", "easy_vitpose"], default="coco")
    commands.add_parser("parts", parents=[common], help="class id of every pixel")
    return parser


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
