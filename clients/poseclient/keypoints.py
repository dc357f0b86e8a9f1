"""Keypoint sets and class sets: one JSON table for each in `data/`, the only place that holds these facts."""

from __future__ import annotations

import colorsys
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from poseclient.errors import InputError

DATA = Path(__file__).parent / "data"

Colour = tuple[int, int, int]
Pair = tuple[int, int]


@dataclass(frozen=True)
class KeypointSet:
    """The keypoints of a network, in the order of its outputs.

    swap_pairs: left and right keypoints, which change places in a mirrored image. links: bones of the drawn skeleton.
    Colours are RGB, one for each keypoint and each link. oks_sigmas: the constants of COCO's object keypoint
    similarity (OKS), None where nobody published them.
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

    palette: one RGB colour for each class. swap_pairs: left and right, which change places in a mirrored image.
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


_ADDED: dict[str, KeypointSet] = {}


def keypoint_set(name: str) -> KeypointSet:
    """The keypoint set `name`, such as "coco_17", or an added one; InputError names the known ones."""
    return _ADDED[name] if name in _ADDED else _shipped_keypoint_set(name)


def keypoint_count(name: str | None) -> int | None:
    """How many keypoints the set `name` has, None for one that is not known here."""
    try:
        return None if name is None else len(keypoint_set(name).names)
    except InputError:
        return None


@cache
def _shipped_keypoint_set(name: str) -> KeypointSet:
    return KeypointSet(name, **_read_table("keypoints", name))


def add_keypoint_set(name: str, table: Mapping[str, Any]) -> KeypointSet:
    """Add a keypoint set of your own, so that `keypoint_set` finds it in this process.

    table: `names` of the keypoints, and optionally `links` and `swap_pairs` (pairs of indices), `colours` and
    `link_colours` (RGB) and `oks_sigmas`, each as in `KeypointSet`. InputError says what is wrong with it.
    """
    if (DATA / "keypoints" / f"{name}.json").exists():
        raise InputError(f"there is a keypoint set {name!r} already, choose another name")
    unknown = set(table) - {f.name for f in fields(KeypointSet)}
    names = table.get("names")
    if unknown or not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names) or not names:
        raise InputError(f"keypoint set {name!r}: must be an object with a list `names`, unknown: {sorted(unknown)}")
    if len(set(names)) != len(names):
        raise InputError(f"keypoint set {name!r}: the names must differ")
    links, pairs = (_frozen(list(table.get(key, ()))) for key in ("links", "swap_pairs"))
    for key, indices in (("links", links), ("swap_pairs", pairs)):
        if not all(isinstance(p, tuple) and len(p) == 2 and all(_is_index(i, len(names)) for i in p) for p in indices):
            raise InputError(f"keypoint set {name!r}: {key} must be pairs of indices 0 to {len(names) - 1}")
    lists = {
        "colours": (table.get("colours") or hues(len(names), 0.8), len(names)),
        "link_colours": (table.get("link_colours") or hues(len(links), 0.8), len(links)),
        "oks_sigmas": (table.get("oks_sigmas"), len(names)),
    }
    for key, (values, count) in lists.items():
        if values is not None and len(values) != count:
            raise InputError(f"keypoint set {name!r}: {len(values)} {key}, must be {count}")
    more: dict[str, Any] = {
        key: None if values is None else _frozen(list(values)) for key, (values, _) in lists.items()
    }
    _ADDED[name] = KeypointSet(name, tuple(names), swap_pairs=pairs, links=links, **more)
    return _ADDED[name]


def _is_index(value: object, count: int) -> bool:
    return isinstance(value, int) and 0 <= value < count


def hues(count: int, saturation: float = 1.0) -> list[Colour]:
    """RGB colours of full value at equal distances around the circle of hues; saturation 0..1."""
    circle = (colorsys.hsv_to_rgb(i / count, saturation, 1) for i in range(count))
    return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in circle]


@cache
def class_set(name: str) -> ClassSet:
    """The class set `name`, such as "sapiens_28"; InputError names the known ones."""
    return ClassSet(name, **_read_table("classes", name))


def _read_table(kind: str, name: str) -> dict[str, Any]:
    files = {path.stem: path for path in (DATA / kind).glob("*.json")}
    if name not in files:
        raise InputError(f"unknown set of {kind} {name!r}, must be one of {', '.join(sorted(files))}")
    return {key: _frozen(value) for key, value in json.loads(files[name].read_text(encoding="utf-8")).items()}


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
