"""Recipes: networks of the catalogue that belong together, for `poseserve add --recipe NAME`.

What each network needs to work well, such as the score threshold of a detector, is in its own entry of the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poseserve.catalogue import CATALOGUE, Network
from poseserve.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Recipe:
    """names: of its networks in the catalogue, the detector first. keeps_detector: its other networks use that
    detector even when another becomes the default, because others find what they cannot use."""

    summary: str
    names: Sequence[str]
    keeps_detector: bool = False

    @property
    def networks(self) -> list[Network]:
        """Its networks, the detector first."""
        return [CATALOGUE[name] for name in self.names]

    def detector_for(self, network: Network) -> str:
        """What `Deployment.detector` is for one of its networks: empty for the default detector."""
        return self.names[0] if self.keeps_detector and network.record.labels else ""


RECIPES = {
    "light": Recipe("17 keypoints, for CPUs", ["nanodet-512", "movenet-thunder"]),
    "photographs": Recipe("17 keypoints", ["rtmdet-m", "vitpose-b-coco"]),
    "feet": Recipe("25 keypoints: body and feet", ["rtmdet-m", "vitpose-b-coco_25"]),
    "wholebody": Recipe("133 keypoints: body, feet, face and hands", ["rtmdet-m", "vitpose-l-wholebody"]),
    "sapiens": Recipe(
        "308 keypoints, body parts, depth and normals",
        ["rtmdet-m", *(f"sapiens-0.3b-{task}" for task in ("pose-308", "parts", "depth", "normals"))],
    ),
    "sapiens2": Recipe(
        "308 keypoints, body parts, normals and point maps, by the second Sapiens",
        ["rtmdet-m", *(f"sapiens2-0.4b-{task}" for task in ("pose", "parts", "normals", "pointmap"))],
    ),
    "animals": Recipe("17 keypoints of mammals", ["nanodet-animals-512", "vitpose-b-ap10k"], keeps_detector=True),
}


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises InputError."""
    if name not in RECIPES:
        raise InputError(f"there is no recipe {name!r}, there are {', '.join(RECIPES)}{did_you_mean(name, RECIPES)}")
    return RECIPES[name]
