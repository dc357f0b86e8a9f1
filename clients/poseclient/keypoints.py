"""Keypoint sets and part classes: one JSON file per set in `data/`, the only place that holds these facts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"

Colour = tuple[int, int, int]
Pair = tuple[int, int]


@dataclass(frozen=True)
class KeypointSet:
    """The keypoints of a network, in the order of its outputs.

    swap_pairs: indices that change places in a mirrored image. links: the bones of the drawn skeleton.
    Colours are RGB, one for each keypoint and each link. oks_sigmas: the constants of COCO's object keypoint
    similarity, None where nobody published them.
    """

    name: str
    names: tuple[str, ...]
    swap_pairs: tuple[Pair, ...]
    colours: tuple[Colour, ...]
    links: tuple[Pair, ...]
    link_colours: tuple[Colour, ...]
    oks_sigmas: tuple[float, ...] | None

    @property
    def mirrored(self) -> list[int]:
        """The index of each keypoint in a mirrored image."""
        return mirrored_indices(len(self.names), self.swap_pairs)


@dataclass(frozen=True)
class ClassSet:
    """The classes of a parts network; the index is the class id, 0 is background.

    palette: one RGB colour for each class. swap_pairs: ids that change places in a mirrored image.
    """

    name: str
    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    swap_pairs: tuple[Pair, ...]

    @property
    def mirrored(self) -> list[int]:
        """The id of each class in a mirrored image."""
        return mirrored_indices(len(self.names), self.swap_pairs)


def mirrored_indices(count: int, swap_pairs: Iterable[Pair]) -> list[int]:
    """0 to count - 1 with the two of every pair in each other's place."""
    order = list(range(count))
    for a, b in swap_pairs:
        order[a], order[b] = b, a
    return order


@cache
def keypoint_set(name: str) -> KeypointSet:
    """The keypoint set `name`, such as "coco_17"; ValueError names the known ones."""
    return KeypointSet(name, **_table("keypoints", name))


@cache
def class_set(name: str) -> ClassSet:
    """The class set `name`, such as "sapiens_28"; ValueError names the known ones."""
    return ClassSet(name, **_table("classes", name))


def _table(kind: str, name: str) -> dict:
    files = {path.stem: path for path in (DATA / kind).glob("*.json")}
    if name not in files:
        raise ValueError(f"unknown set of {kind} {name!r}, must be one of {', '.join(sorted(files))}")
    return {key: _frozen(value) for key, value in json.loads(files[name].read_text(encoding="utf-8")).items()}


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
