"""`poseclient COMMAND`: images, videos or ground truth in, files out; `--help` imports no more than `arguments`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from poseclient.arguments import parser
from poseclient.errors import REPORTED


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when every image had a result, 1 when one had none, 2 for a wrong command line, 130 for Ctrl-C."""
    args = parser().parse_args(argv)
    try:
        return _run(args)
    except KeyboardInterrupt:
        return 130
    except REPORTED as error:
        print(f"poseclient: {error}", file=sys.stderr)
        return 1


def _run(args: Namespace) -> int:
    import asyncio
    import warnings

    from poseclient import evaluate, image_run
    from poseclient.video import run as video_run

    warnings.filterwarnings("ignore", module=r"PIL\.")  # headers with faults that do no harm
    if args.command == "evaluate":
        return evaluate.run(args)
    run = video_run.run if args.command in ("video", "webcam") else image_run.run
    return asyncio.run(run(args))


if __name__ == "__main__":
    sys.exit(main())
