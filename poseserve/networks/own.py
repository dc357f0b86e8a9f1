"""Networks of one's own: weights of a known family that the catalogue does not list."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from poseclient.keypoints import add_keypoint_set
from poseserve.catalogue import CATALOGUE, Network
from poseserve.errors import InputError, concerning
from poseserve.families.family import families
from poseserve.tasks import TASKS


def own_network(
    name: str,
    family: str,
    *,
    task: str | None = None,
    size: str | None = None,
    keypoints: str | None = None,
    classes: str | None = None,
    trained_on: str | None = None,
    class_indices: tuple[int, ...] | None = None,
    input_size: tuple[int, int] | None = None,
    channels: int | None = None,
    score_threshold: float | None = None,
    crop_filter: str | None = None,
) -> tuple[Network, dict[str, Any] | None]:
    """The network, and the table of its keypoint set where that is one's own too.

    task: the first that the family does unless given. keypoints: a keypoint set of `poseclient`, or a JSON file with
    one; classes: a class set. The rest is as in Network, and by default as in the family's networks of the catalogue.
    Raises InputError when the family does not do the task, and for what such a network needs and does not get.
    """
    if name in CATALOGUE:
        raise InputError(f"{name} is a network of the catalogue: choose another name")
    if family not in families():
        raise InputError(f"there is no family {family!r}, must be one of {', '.join(families())}")
    able = families()[family].outputs
    task = task or next(iter(able))
    if task not in able:
        raise InputError(f"family {family} does not do {task}")
    labels, table = keypoints or classes, None
    if keypoints and keypoints.endswith(".json"):
        with concerning(keypoints):
            table = json.loads(Path(keypoints).read_text(encoding="utf-8"))
            if not isinstance(table, dict):
                raise ValueError("must be an object with a list `names`")
            try:
                labels = add_keypoint_set(Path(keypoints).stem, table).name
            except TypeError as error:
                raise ValueError(f"not a list where one is due: {error}") from error
    if TASKS[task].labels is not None and labels is None:
        raise InputError(f"a {task} network needs --{TASKS[task].options[0]}")
    if families()[family].as_is and (task == "features") != (channels is not None):
        raise InputError(f"--channels N says what a feature map holds: family {family} needs it for features alone")
    model = _model(family, task, size, labels, input_size)
    network = replace(model, name=name, labels=labels, checkpoint=None, published="")
    given: dict[str, Any] = {
        "size": size,
        "trained_on": trained_on,
        "class_indices": class_indices,
        "channels": channels,
        "score_threshold": score_threshold,
        "crop_filter": crop_filter,
    }
    return replace(network, **{field: value for field, value in given.items() if value is not None}), table


def _model(family: str, task: str, size: str | None, labels: str | None, input_size: tuple[int, int] | None) -> Network:
    """The network of the catalogue that the own one takes after: of its family and task, and of its size if there
    is."""
    kin = [network for network in CATALOGUE.values() if (network.family, network.task) == (family, task)]
    if kin:
        like = next((network for network in kin if network.size == size), kin[0])
        return replace(like, size=size or "", input_size=input_size or like.input_size)
    if (input_size := input_size or families()[family].input_size) is None:
        raise InputError(f"a network of family {family} needs --input-size HxW")
    return Network("any", task, input_size, labels, family=family)
