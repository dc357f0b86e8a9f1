"""Errors for a user to put right; the command line prints their message without a traceback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from os import PathLike


class PoseserveError(Exception):
    """The base of them all: the message says what was wrong and what to do."""


class InputError(PoseserveError, ValueError):
    """What was asked for cannot be: an unknown name, an option or a file that does not fit."""


class ServerError(PoseserveError):
    """Triton cannot be found, did not start, or did not answer; the message holds what its log said last."""


class FetchError(PoseserveError):
    """The file could not be fetched, or what came is not the file that was meant."""


class LicenceError(PoseserveError):
    """The licence of the weights was not accepted."""


class CheckpointError(PoseserveError):
    """The file is no readable checkpoint, or it belongs to another network."""


class DiskFullError(PoseserveError):
    """There is no room for what is about to be written."""


class ExportError(PoseserveError):
    """The exported file would not serve: it differs from the network, or is bound to one device."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the known names that are like this one, nothing where none is."""
    alike = get_close_matches(name, known)
    return f"; did you mean {' or '.join(alike)}?" if alike else ""


@contextmanager
def concerning(path: str | PathLike[str]) -> Iterator[None]:
    """An OSError or ValueError about a file or folder of the user's becomes an InputError that names it."""
    try:
        yield
    except PoseserveError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
