"""`poseclient evaluate`: the accuracy of what a server has installed, on images with ground truth."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
from collections.abc import Sequence
from functools import partial

from poseclient import arguments, truth_checks
from poseclient.aio import AsyncPoseClient
from poseclient.demo_networks import demo_networks, say_demo_networks
from poseclient.errors import REPORTED, InputError, MissingExtraError
from poseclient.evaluations import EVALUATIONS, MOST_POSES
from poseclient.files import make_folder, write_json
from poseclient.metrics import FALSE_PEOPLE, Figures
from poseclient.resume_log import ResumeLog, send_missing

PEOPLE_IN_TIME = 10  # people of one image for which --timeout is meant, when nothing else is in flight


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when every image has an answer, 1 when one has none or the run could not begin."""
    try:
        return asyncio.run(_run(args))
    except REPORTED as error:
        print(f"poseclient evaluate: {error}", file=sys.stderr)
        return 1


async def _run(args: argparse.Namespace) -> int:
    _check(args)
    async with AsyncPoseClient(args.url, args.timeout) as client:
        evaluation = await EVALUATIONS[args.task](args, client)
        demo = await demo_networks(client, evaluation.model)
    names, out = evaluation.requests, args.out.resolve()
    make_folder(out)
    with ResumeLog(out / "answers.jsonl", evaluation.settings) as log:
        missing = [evaluation.images[name] for name in names if name not in log]
        truth_checks.check_files((path, size()) for path, size in missing)
        say_demo_networks(demo)
        async with AsyncPoseClient(args.url, patience(args)) as client:
            requests = {name: partial(ask, client) for name, ask in evaluation.requests.items()}
            refused = await send_missing(requests, log, args.concurrency, args.max_failures)
        failed = [name for name in names if name not in log]
        if lost := [name for name in failed if name not in refused]:
            advice = "the same command goes on from here, --concurrency and --timeout may change"
            print(f"no figures, {len(lost)} of {len(names)} images have no answer: {advice}", file=sys.stderr)
            return 1
        results, figures = evaluation.summarize([log[name] for name in names if name in log])
    for name, value in (results | {"figures": figures}).items():
        write_json(out / f"{name}.json", value)
    print(table(figures))
    print(f"written to {out}: {', '.join(f'{name}.json' for name in ('figures', *results))}, answers.jsonl")
    if failed:
        print(f"{len(failed)} of {len(names)} images failed, the figures are without their answers", file=sys.stderr)
    return 1 if failed else 0


def patience(args: argparse.Namespace) -> float:
    """Seconds for one request: they grow with the people of an image and with the images in flight."""
    people = max(args.max_people or MOST_POSES, PEOPLE_IN_TIME)
    seconds: float = args.timeout * args.concurrency * people / PEOPLE_IN_TIME
    return seconds


def _check(args: argparse.Namespace) -> None:
    needed = "masks" if args.task == "parts" else "annotations"
    if getattr(args, needed) is None:
        raise InputError(f"--task {args.task} needs --{needed}")
    if args.task != "keypoints" and (args.detections or args.truth_boxes):
        raise InputError("--detections and --truth-boxes are for --task keypoints")
    if args.task != "parts" and importlib.util.find_spec("faster_coco_eval") is None:
        raise MissingExtraError("COCO's figures need faster-coco-eval: pip install 'poseclient[evaluate]'")


def table(figures: Figures) -> str:
    """The figures in percent, in rows and columns, as published tables have them; then the false people."""
    shown = {row: values for row, values in figures.items() if row != FALSE_PEOPLE}
    width, lines, columns = max(map(len, shown)), [], list[str]()
    for row, values in shown.items():
        if columns != list(values):  # boxes have others than keypoints
            columns = list(values)
            lines.append(" " * width + "".join(f"{name:>11}" for name in columns))
        cells = (f"{100 * value:11.1f}" if value >= 0 else f"{'-':>11}" for value in values.values())
        lines.append(f"{row:{width}}" + "".join(cells))
    if (false_people := figures.get(FALSE_PEOPLE)) and false_people["images"]:
        per_image, images = false_people["per_image"], false_people["images"]
        lines.append(f"{FALSE_PEOPLE}: {per_image:.2f} an image, of {images:.0f} images without people")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m poseclient.evaluate OPTIONS`, for `poseclient evaluate OPTIONS`."""
    return run(arguments.parser().parse_args(["evaluate", *(sys.argv[1:] if argv is None else argv)]))


if __name__ == "__main__":
    sys.exit(main())
