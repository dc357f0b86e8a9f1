"""The command line of `poseclient`: the options of all commands, and those of each."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import Any

from poseclient.argument_types import positive, seconds
from poseclient.errors import InputError
from poseclient.image_commands import IMAGE_COMMANDS, POSE_FLAGS
from poseclient.video import command as video_command

DEFAULT_URL = "grpc://127.0.0.1:8001"
TASKS = ("keypoints", "boxes", "parts")  # of `evaluate`


class Parser(argparse.ArgumentParser):
    """A parser that asks whether a misspelt command, format or other choice was meant to be a similar one."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = list(map(str, action.choices or ()))
        if choices and (close := difflib.get_close_matches(str(value), choices, 1)) and str(value) not in choices:
            text = f"invalid choice: {value!r}, did you mean {close[0]!r}? (choose from {', '.join(choices)})"
            raise argparse.ArgumentError(action, text)
        super()._check_value(action, value)


def parser() -> argparse.ArgumentParser:
    """All commands."""
    whole = Parser(prog="poseclient", description="People, body parts and surfaces of images.")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in IMAGE_COMMANDS.items():
        own = commands.add_parser(name, help=command.help)
        own.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="image, or folder of images")
        _add_run(own, wait=0.0)
        for flag, arguments in command.flags.items():
            own.add_argument(flag, **arguments)
    video = commands.add_parser("video", help="people of videos and streams, with ids that stay")
    webcam = commands.add_parser("webcam", help="people before a camera of this machine")
    for own, add_sources in ((video, video_command.add_sources), (webcam, video_command.add_cameras)):
        add_sources(own)
        _add_run(own, wait=video_command.WAIT)
        for flag, arguments in video_command.VIDEO_FLAGS.items():
            own.add_argument(flag, **arguments)
    _add_evaluate(commands.add_parser("evaluate", help="accuracy on images with ground truth"))
    return whole


def _add_evaluate(own: argparse.ArgumentParser) -> None:
    own.add_argument("--task", choices=TASKS, default=TASKS[0], help="what to judge (%(default)s)")
    own.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    own.add_argument("--annotations", type=Path, metavar="FILE", help="COCO's ground truth of boxes and keypoints")
    own.add_argument("--masks", type=Path, metavar="DIR", help="ground truth of parts: class ids, IMAGE.png or .npy")
    boxes = own.add_mutually_exclusive_group()
    boxes.add_argument("--detections", type=Path, metavar="FILE", help="keypoints in these boxes, COCO's results")
    boxes.add_argument("--truth-boxes", action="store_true", help="keypoints in the boxes of the ground truth")
    for flag, arguments in POSE_FLAGS.items():
        own.add_argument(flag, **arguments)
    own.add_argument("--limit", type=positive, metavar="N", help="the first N images only")
    timeout_of = "ten people of each image in flight"
    _add_common(own, out="results", model="another ensemble of that kind, as pose.NETWORK", timeout_of=timeout_of)


def _add_run(own: argparse.ArgumentParser, wait: float) -> None:
    """Options of the commands that write files and can go on later. wait: the default, in seconds."""
    _add_common(own, out="out", model="another ensemble of that kind, as pose.NETWORK")
    own.add_argument(
        "--wait", type=seconds, default=wait, metavar="SECONDS", help="for a server that is not ready (%(default)s)"
    )
    earlier = own.add_mutually_exclusive_group()
    earlier.add_argument("--resume", action="store_true", help="go on where an earlier run into --out stopped")
    earlier.add_argument("--overwrite", action="store_true", help="replace files of an earlier run in --out")


def _add_common(own: argparse.ArgumentParser, out: str, model: str, timeout_of: str = "one request") -> None:
    own.add_argument("--url", type=_url, default=DEFAULT_URL, help="grpc:// or http:// (%(default)s)")
    own.add_argument("--out", type=Path, default=Path(out), help="folder of the results (%(default)s)")
    own.add_argument("--concurrency", type=positive, default=8, metavar="N", help="requests in flight (%(default)s)")
    own.add_argument("--model", metavar="NAME", help=model)
    own.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help=f"for {timeout_of} (%(default)s)")
    own.add_argument(
        "--max-failures", type=positive, default=20, metavar="N", help="stop after N failures in a row (%(default)s)"
    )


def _url(text: str) -> str:
    from poseclient.protocol import Endpoint  # not for --help

    try:
        return Endpoint(text, timeout=0).url
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
