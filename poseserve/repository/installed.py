"""What is installed: the networks of a model repository, how each is deployed, and which one every task means.

The file `model_repository/networks.json` holds it; all `config.pbtxt` files follow from it (config.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from poseclient.keypoints import add_keypoint_set, keypoint_set
from poseserve.catalogue import CATALOGUE, Network
from poseserve.deployment import FORMATS, MAX_INSTANCES, Deployment
from poseserve.errors import InputError, did_you_mean
from poseserve.repository.folders import FOLDERS, ROOT

STATE = "networks.json"
STEPS = {  # of `preprocess/`, and how many processes of each there are unless networks.json says so
    "decode_image": 2,
    "crop_people": 2,
    "collect_people": 1,
    "resize_image": 1,
    "paste_masks": 1,
    "resize_maps": 1,
    "pool_features": 1,
}


@dataclass(frozen=True)
class Installed:
    """keypoint_table: the user's own keypoint set, None for those of `poseclient`. checkpoint: path of the file that it
    was made from, empty where that is not known; config: of the configuration of an mmdet detector."""

    network: Network
    deployment: Deployment = field(default_factory=Deployment)
    keypoint_table: dict[str, Any] | None = None
    checkpoint: str = ""
    config: str = ""

    @property
    def max_batch_size(self) -> int:
        """Rows in one execution: people of one image for networks that look at people."""
        return self.deployment.max_people if self.network.labels else self.network.max_batch_size


@dataclass(frozen=True)
class Repository:
    """The three folders below `root`, and what networks.json says is in them.

    steps: processes of those steps that have another number than STEPS says.
    """

    root: Path = ROOT
    networks: Mapping[str, Installed] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, count in self.steps.items():
            if name not in STEPS:
                raise InputError(f"there is no step {name!r}, there are {', '.join(STEPS)}")
            if not 1 <= count <= MAX_INSTANCES:
                raise InputError(f"{count} instances of {name}, must be 1 to {MAX_INSTANCES}")

    @property
    def folders(self) -> tuple[Path, Path, Path]:
        """The repositories of networks, steps and ensembles."""
        models, steps, ensembles = (self.root / name for name in FOLDERS)
        return models, steps, ensembles

    def of_task(self, task: str) -> list[Installed]:
        """The installed networks of a task, in the order in which they came."""
        return [i for i in self.networks.values() if i.network.task == task]

    def chosen(self, task: str) -> Installed:
        """What the ensembles of `task` mean."""
        return self.networks[self.defaults[task]]

    def default(self, task: str) -> Network:
        """The network of `chosen`."""
        return self.chosen(task).network

    def detector_of(self, installed: Installed) -> Network:
        """The detector that finds what this network looks at: its own, or the default."""
        return self.networks[installed.deployment.detector or self.defaults["detector"]].network

    @property
    def oks_sigmas(self) -> dict[int, tuple[float, ...]]:
        """Number of keypoints -> sigmas of OKS: of sets with as many keypoints the first one's will do for all."""
        sigmas: dict[int, tuple[float, ...]] = {}
        for installed in self.of_task("pose"):
            keypoints = keypoint_set(str(installed.network.labels))
            if keypoints.oks_sigmas:
                sigmas.setdefault(len(keypoints.names), keypoints.oks_sigmas)
        return sigmas

    def model_file(self, name: str) -> Path:
        """The file that Triton serves for the network `name`."""
        return self.folders[0] / name / "1" / FORMATS[self.networks[name].deployment.format]

    def with_network(self, installed: Installed) -> Repository:
        """The first network of a task becomes its default. Raises InputError when another network has other keypoints
        under the same name, and when it needs a detector that is not installed."""
        name, task, labels = installed.network.name, installed.network.task, installed.network.labels
        self._check_detector(installed)
        for other in self.of_task("pose"):
            if other.network.name == name or other.network.labels != labels:
                continue
            if other.keypoint_table != installed.keypoint_table:
                raise InputError(f"{other.network.name} has other keypoints under the name {labels}: rename the file")
        defaults = dict(self.defaults)
        defaults.setdefault(task, name)
        return replace(self, networks={**self.networks, name: installed}, defaults=defaults)

    def without(self, name: str) -> Repository:
        """With the only network of a task the task goes. Raises InputError when there is no such network, when it is a
        default in place of which another could be chosen, or when another network needs it as its detector."""
        if name not in self.networks:
            installed = f"installed are {', '.join(self.networks) or 'none'}"
            raise InputError(f"{name} is not installed; {installed}{did_you_mean(name, self.networks)}")
        if users := [n for n, i in self.networks.items() if i.deployment.detector == name]:
            raise InputError(f"{name} is the detector of {', '.join(users)}: remove or add these again first")
        task = self.networks[name].network.task
        others = [i.network.name for i in self.of_task(task) if i.network.name != name]
        if self.defaults[task] == name and others:
            raise InputError(
                f"{name} is what `{task}` means: choose another first, `poseserve default {task} NAME`; "
                f"there are {', '.join(others)}"
            )
        looking = [n for n, i in self.networks.items() if i.network.labels]
        if task == "detector" and looking and not others:
            raise InputError(f"{name} is the only detector, which {', '.join(looking)} need: remove these first")
        defaults = {task: default for task, default in self.defaults.items() if default != name}
        return replace(self, networks={n: i for n, i in self.networks.items() if n != name}, defaults=defaults)

    def _check_detector(self, installed: Installed) -> None:
        network, detector = installed.network, installed.deployment.detector
        if detector and network.record.labels is None:
            raise InputError(f"{network.name}: a {network.task} network looks at whole images: it takes no detector")
        detectors = [i.network.name for i in self.of_task("detector")]
        if network.record.labels and not detectors:
            raise InputError(f"{network.name} needs a detector: add one first, such as rtmdet-m")
        if detector and detector not in detectors:
            raise InputError(f"detector {detector} is not installed; there are {', '.join(detectors)}")

    def with_default(self, task: str, name: str) -> Repository:
        """Raises InputError when `name` is not installed or does not do `task`."""
        able = [i.network.name for i in self.of_task(task)]
        if name not in able:
            there = f"there are {', '.join(able) or 'none'}"
            raise InputError(f"{name} is no installed network for {task!r}; {there}{did_you_mean(name, able)}")
        return replace(self, defaults={**self.defaults, task: name})

    def with_steps(self, instances: Mapping[str, int]) -> Repository:
        """Raises InputError for a step that there is not and for a number that cannot be."""
        wanted = {**self.steps, **instances}
        return replace(self, steps={name: n for name, n in wanted.items() if n != STEPS.get(name)})

    def state(self) -> str:
        """The text of networks.json."""
        networks = {name: _entry(installed) for name, installed in self.networks.items()}
        steps = {"steps": dict(self.steps)} if self.steps else {}
        return json.dumps({"defaults": dict(self.defaults), **steps, "networks": networks}, indent=2) + "\n"


def read_repository(root: Path = ROOT) -> Repository:
    """Raises InputError when networks.json is missing or says what cannot be."""
    path = root / FOLDERS[0] / STATE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        networks = {name: _installed(name, entry) for name, entry in state["networks"].items()}
        return Repository(root, networks, state["defaults"], state.get("steps", {}))
    except FileNotFoundError:
        raise InputError(f"{root} holds no {FOLDERS[0]}/{STATE}: give the folder of a poseserve checkout") from None
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error


def _entry(installed: Installed) -> dict[str, Any]:
    """Of networks.json: what differs from the defaults, and the whole network unless the catalogue knows it."""
    usual = Deployment()
    deployment = {
        f.name: getattr(installed.deployment, f.name)
        for f in fields(Deployment)
        if getattr(installed.deployment, f.name) != getattr(usual, f.name)
    }
    entry: dict[str, Any] = {"deployment": deployment} if deployment else {}
    if CATALOGUE.get(installed.network.name) != installed.network:
        entry["network"] = {k: v for k, v in asdict(installed.network).items() if k != "checkpoint"}
    if installed.keypoint_table is not None:
        entry["keypoint_table"] = installed.keypoint_table
    return entry | {name: path for name in ("checkpoint", "config") if (path := getattr(installed, name))}


def _installed(name: str, entry: dict[str, Any]) -> Installed:
    table = entry.get("keypoint_table")
    if table is not None:
        add_keypoint_set(entry["network"]["labels"], table)
    if "network" in entry:
        # JSON has lists where the record has tuples.
        described: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry["network"].items()}
        network = Network(**described)
    elif name in CATALOGUE:
        network = CATALOGUE[name]
    else:
        raise InputError(f"{name} is neither in the catalogue nor described here")
    options = entry.get("deployment", {})
    deployment = Deployment(**{**options, "gpus": tuple(options.get("gpus", ()))})
    return Installed(network, deployment, table, entry.get("checkpoint", ""), entry.get("config", ""))
