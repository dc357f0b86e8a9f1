"""Kinds of values of the command line, for argparse."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{text} is not 1 or more")
    return number


def seconds(text: str) -> float:
    """A number of seconds, 0 or more."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise ArgumentTypeError(f"{text} is not 0 or more")
    return number


def moment(text: str) -> float:
    """A time of a video in seconds, written as seconds, MM:SS or HH:MM:SS."""
    try:
        parts = [seconds(part) for part in text.split(":")]
        if len(parts) > 3:
            raise ValueError
    except (ValueError, ArgumentTypeError) as error:
        raise ArgumentTypeError(f"{text} is no time; it is written as seconds, MM:SS or HH:MM:SS") from error
    return sum(part * 60.0**i for i, part in enumerate(reversed(parts)))


def list_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Some of the names, with commas between them."""

    def read(text: str) -> list[str]:
        chosen = list(dict.fromkeys(text.split(",")))
        if unknown := [name for name in chosen if name not in names]:
            raise ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(names)}")
        return chosen

    return read
