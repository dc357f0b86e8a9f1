"""The request parameters of crop_people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """score_threshold and nms_iou: 0..1; max_people: rows that a request may get."""

    score_threshold: float
    nms_iou: float
    max_people: int


def parse_options(parameters: Mapping[str, object], defaults: Options) -> Options:
    """`defaults`, but for what the request parameters, numbers or strings that hold one, say; its max_people is also
    the most that is accepted.

    Raises ValueError for a value that is no number or out of its range.
    """
    limit = defaults.max_people
    people = _number(parameters, "max_people", limit, 1, limit)
    if not people.is_integer():
        raise ValueError(f"parameter max_people is {people}; accepted is a whole number from 1 to {limit}")
    return Options(
        _number(parameters, "score_threshold", defaults.score_threshold, 0, 1),
        _number(parameters, "nms_iou", defaults.nms_iou, 0, 1),
        int(people),
    )


def _number(parameters: Mapping[str, object], name: str, default: float, low: int, high: int) -> float:
    value = parameters.get(name, default)
    number = math.nan
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            number = float(value)
    if not low <= number <= high:  # false for NaN too
        raise ValueError(f"parameter {name} is {value!a:.60}; accepted is a number from {low} to {high}")
    return number
