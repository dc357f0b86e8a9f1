"""How a rendered person looks: proportions, skin, hair and clothes."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from demo.solids import Material, Vector

SKIN = np.array(
    [
        [255, 224, 196],
        [241, 194, 154],
        [224, 172, 120],
        [198, 134, 86],
        [141, 85, 54],
        [96, 58, 38],
        [70, 44, 32],
    ]
)
HAIR = np.array(
    [
        [24, 20, 18],
        [58, 38, 26],
        [104, 68, 40],
        [170, 120, 60],
        [220, 188, 120],
        [150, 60, 30],
        [150, 150, 150],
    ]
)


class Hat(NamedTuple):
    """A hat of some cloth, with or without a visor."""

    cloth: Material
    visor: bool


@dataclass(frozen=True)
class Looks:
    """The first five are factors of the average: width of the trunk, lengths, size of the head, thickness of limbs."""

    stout: float
    legs: float
    arms: float
    head: float
    limb: float
    skin: Material
    hair: Material
    top: Material
    bottom: Material
    shoes: Material
    sleeves: float  # in bones from the shoulder
    trousers: float  # in bones from the hip; a skirt has one at most
    skirt: bool
    bare_chest: bool
    barefoot: bool
    hair_style: str  # bald, short, bob, long, bun
    hat: Hat | None


def random_looks(rng: np.random.Generator) -> Looks:
    """The looks of an adult or a child. What a seed shows depends on the order of the draws."""
    stout = rng.uniform(0.88, 1.3)
    return Looks(
        stout=stout,
        legs=rng.uniform(0.94, 1.06),
        arms=rng.uniform(0.94, 1.06),
        head=rng.uniform(1.2, 1.35) if rng.random() < 0.12 else rng.uniform(0.94, 1.08),
        limb=stout**0.6 * rng.uniform(0.92, 1.08),
        skin=Material(np.clip(SKIN[rng.integers(len(SKIN))] / 255 + rng.normal(0, 0.015, 3), 0, 1)),
        hair=Material(np.clip(HAIR[rng.integers(len(HAIR))] / 255 + rng.normal(0, 0.02, 3), 0, 1)),
        top=_random_cloth(rng),
        bottom=_random_cloth(rng),
        shoes=Material(_random_colour(rng) * 0.8),
        sleeves=float(rng.choice([0.0, 0.25, 0.6, 1.0, 2.0], p=[0.1, 0.1, 0.4, 0.05, 0.35])),
        trousers=float(rng.choice([0.35, 0.85, 1.4, 2.0], p=[0.12, 0.28, 0.1, 0.5])),
        skirt=rng.random() < 0.16,
        bare_chest=rng.random() < 0.12,
        barefoot=rng.random() < 0.16,
        hair_style=str(rng.choice(["bald", "short", "bob", "long", "bun"], p=[0.08, 0.42, 0.16, 0.24, 0.1])),
        hat=Hat(_random_cloth(rng), rng.random() < 0.6) if rng.random() < 0.18 else None,
    )


def _random_colour(rng: np.random.Generator) -> Vector:
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.random() ** 1.5 * 0.9, rng.uniform(0.12, 0.97)))


def _random_cloth(rng: np.random.Generator) -> Material:
    pattern = rng.choice(["plain", "stripes", "hoops", "checks", "dots"], p=[0.58, 0.1, 0.12, 0.12, 0.08])
    return Material(_random_colour(rng), _random_colour(rng), str(pattern), float(rng.uniform(0.03, 0.09)))
