"""`poseserve serve`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from poseserve.commands.options import add_root, demo_note, read_root
from poseserve.errors import InputError, ServerError
from poseserve.repository.config import model_names, write_configs
from poseserve.repository.folders import is_checkout
from poseserve.serving.dry_run import dry_run
from poseserve.serving.server import LOG_LEVELS, Server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        parser.add_argument(f"--{name}-port", type=int, default=port, help="0 picks a free one (default: %(default)s)")
    parser.add_argument(
        "--log-level", choices=LOG_LEVELS, default="warning", help="of Triton's log (default: %(default)s)"
    )
    add_root(parser)
    parser.add_argument(
        "--repository", nargs="+", type=Path, metavar="DIR", help="serve these model repositories and nothing else"
    )


def run(args: argparse.Namespace) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        repositories = args.repository or _folders(args)
        print(f"starting Triton with {', '.join(str(path) for path in repositories)}", flush=True)
        with Server(
            repositories,
            args.host,
            args.http_port,
            args.grpc_port,
            args.metrics_port,
            log_level=args.log_level,
            tell_loaded=lambda model: print(f"loaded {model}", file=sys.stderr, flush=True),
        ) as server:
            _announce(server)
            code = server.wait()
            raise ServerError(f"Triton ended by itself with exit code {code}\n{server.log_tail()}")
    except KeyboardInterrupt:
        return 0


def _folders(args: argparse.Namespace) -> tuple[Path, ...]:
    """The three folders of what is installed, made anew from networks.json and the steps of this checkout."""
    repository = read_root(args)
    if not repository.networks:
        raise InputError(
            f"no network is installed in {repository.root}: `poseserve catalogue` lists those that there are, "
            "`poseserve add NAME` installs one"
        )
    if not is_checkout(repository.root):
        write_configs(repository)
    if note := demo_note(repository):
        print(note, file=sys.stderr)
    print(f"loading {len(model_names(repository))} models", file=sys.stderr, flush=True)
    return repository.folders


def _announce(server: Server) -> None:
    times = ", ".join(f"{name} {spent:.0f} ms" for name, spent in dry_run(server.grpc_url).items())
    urls = f"http {server.http_url} grpc {server.grpc_url} metrics {server.metrics_url}"
    print(f"ready: {urls} (dry run: {times or 'no ensembles'}; log: {server.log_file})", flush=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """A second signal must not break off the orderly end that the first one began."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt
