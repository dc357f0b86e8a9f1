"""`poseserve serve`."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from types import FrameType
from typing import NoReturn

from poseserve.errors import ServerError
from poseserve.repository.folders import REPOSITORIES
from poseserve.serving.dry_run import dry_run
from poseserve.serving.server import LOG_LEVELS, Server

HELP = "start Triton and serve until Ctrl-C or SIGTERM"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        parser.add_argument(f"--{name}-port", type=int, default=port, help="0 picks a free one (default: %(default)s)")
    parser.add_argument(
        "--log-level", choices=LOG_LEVELS, default="warning", help="of Triton's log (default: %(default)s)"
    )
    parser.add_argument(
        "--repository",
        nargs="+",
        type=Path,
        default=REPOSITORIES,
        metavar="DIR",
        help="serve these model repositories",
    )


def run(args: argparse.Namespace) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        print(f"starting Triton with {', '.join(str(path) for path in args.repository)}", flush=True)
        with Server(
            args.repository,
            args.host,
            args.http_port,
            args.grpc_port,
            args.metrics_port,
            log_level=args.log_level,
        ) as server:
            _announce(server)
            code = server.wait()
            raise ServerError(f"Triton ended by itself with exit code {code}\n{server.log_tail()}")
    except KeyboardInterrupt:
        return 0


def _announce(server: Server) -> None:
    times = ", ".join(f"{name} {spent:.0f} ms" for name, spent in dry_run(server.grpc_url).items())
    urls = f"http {server.http_url} grpc {server.grpc_url} metrics {server.metrics_url}"
    print(f"ready: {urls} (dry run: {times or 'no ensembles'}; log: {server.log_file})", flush=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """A second signal must not break off the orderly end that the first one began."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt
