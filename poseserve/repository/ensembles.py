"""The ensembles that clients call, each a list of steps: every task brings its own, and equal steps run once.

Triton runs only the steps that the outputs need which a request asks for: an ensemble may offer more than most want.
But no output may be the input of a step: when nobody asks for what that step gives, Triton 2.51 drops both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from poseserve.catalogue import Network
from poseserve.repository import tensors as t
from poseserve.repository.installed import Installed, Repository
from poseserve.tasks import TASKS, TensorSpec


@dataclass(frozen=True)
class Step:
    """A model of an ensemble. inputs, outputs: the model's name of a tensor -> the ensemble's name of it."""

    model: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Ensemble:
    """parameters: what clients read in its configuration, such as the keypoint set."""

    name: str
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    steps: Sequence[Step]
    parameters: Mapping[str, str] = field(default_factory=dict)


def same(*names: str) -> dict[str, str]:
    """Tensors that have one name in the model and in the ensemble."""
    return {name: name for name in names}


def merged(steps: Sequence[Step], outputs: Sequence[TensorSpec]) -> list[Step]:
    """Steps of the same model on the same inputs as one that gives what all of them give, as far as anything takes it:
    Triton refuses a tensor that is of no use."""
    useful = {tensor.name for tensor in outputs} | {name for step in steps for name in step.inputs.values()}
    together: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, str]] = {}
    for step in steps:
        needed = {inside: outside for inside, outside in step.outputs.items() if outside in useful}
        together.setdefault((step.model, tuple(step.inputs.items())), {}).update(needed)
    return [Step(model, dict(inputs), given) for (model, inputs), given in together.items()]


# Inputs of `crop_people` that say who is in the image.
PEOPLE_IN_BOXES = same("PIXELS", "BOXES")
WHOLE_IMAGE = same("PIXELS")


def _detections(detector: Network) -> dict[str, str]:
    """The third such: beside the image, what this detector says, by the names that `crop_people` has for it."""
    return {t.detections(detector.score_threshold).name: "DETECTIONS", "SCALE": t.scale(detector.input_size).name}


def _detected_people(detector: Network) -> dict[str, str]:
    return {**same("PIXELS"), **_detections(detector)}


def _detected(detector: Network) -> list[Step]:
    letterbox, scale = t.letterbox(detector.input_size).name, t.scale(detector.input_size).name
    return [
        Step("decode_image", same("IMAGE"), same("PIXELS", letterbox, scale)),
        Step(detector.name, {"INPUT__0": letterbox}, {"OUTPUT__0": "DETECTIONS"}),
    ]


def _keypoints(pose: Network, people: Mapping[str, str]) -> list[Step]:
    """people: one of the three above."""
    crops, regions = t.crops(pose.input_size, pose.crop_filter).name, t.regions(pose.input_size).name
    cropped, collected = same(crops, regions), {"REGIONS": regions, "POSES": "POSES"}
    given = same("KEYPOINTS", "POSE_SCORES", "KEPT_INDICES")
    if people == PEOPLE_IN_BOXES:
        collected |= same("BOXES")
    else:  # who is there, is the server's to tell
        candidates = {"BOXES": "CANDIDATES", "SCORES": "CANDIDATE_SCORES", "PEOPLE_FOUND": "CANDIDATES_FOUND"}
        cropped |= candidates
        collected |= candidates
        given |= same(*candidates)
    given[t.of_set(t.KEYPOINT_SET, pose.labels).name] = t.KEYPOINT_SET.name
    return [
        Step("crop_people", people, cropped),
        Step(pose.name, {"INPUT__0": crops, "INPUT__1": regions}, {"OUTPUT__0": "POSES"}),
        Step("collect_people", collected, given),
    ]


def _masks_of_people(detector: Network, parts: Network, kept: Mapping[str, str]) -> list[Step]:
    """kept: KEPT_INDICES, where the pose network has a say in who is there."""
    crops, regions = t.crops(parts.input_size, parts.crop_filter).name, t.regions(parts.input_size).name
    return [
        *_detected(detector),
        Step("decode_image", same("IMAGE"), same("SIZE")),
        Step("crop_people", _detected_people(detector), same(crops, regions)),
        Step(parts.name, {"INPUT__0": crops}, {"OUTPUT__0": "PARTS"}),
        Step(
            "paste_masks",
            {"PARTS": "PARTS", "REGIONS": regions, "SIZE": "SIZE", **kept},
            _pasted(parts, "MASK", "MASK_PNG", "INSTANCE_IDS"),
        ),
    ]


def _pasted(parts: Network, *names: str) -> dict[str, str]:
    return {**same(*names), t.of_set(t.CLASS_SET, parts.labels).name: t.CLASS_SET.name}


def _of_image(network: Network, output: str) -> list[Step]:
    """A network that sees the whole image."""
    image = t.resized(network.input_size, network.resize_mode).name
    return [
        Step("decode_image", same("IMAGE"), same("PIXELS", "SIZE")),
        Step("resize_image", same("PIXELS"), same(image)),
        Step(network.name, {"INPUT__0": image}, {"OUTPUT__0": output}),
    ]


def _mask(detector: Network, parts: Network, kept: Mapping[str, str] | None = None) -> list[Step]:
    """The mask of the whole image, in the way in which the network was trained."""
    if parts.trained_on == "person":
        return _masks_of_people(detector, parts, kept or {})
    regions = t.regions(parts.input_size).name
    return [
        *_of_image(parts, "PARTS"),
        Step("resize_image", same("PIXELS"), same(regions)),
        Step(
            "paste_masks",
            {"PARTS": "PARTS", "REGIONS": regions, "SIZE": "SIZE"},
            _pasted(parts, "MASK", "MASK_PNG"),
        ),
    ]


def _mask_outputs(of_people: bool) -> list[TensorSpec]:
    return [t.MASK, t.MASK_PNG, *([t.INSTANCE_IDS] if of_people else []), t.CLASS_SET]


def _labels(installed: Installed) -> dict[str, str]:
    """The ensemble's parameters that explain keypoints or classes to clients."""
    network = installed.network
    labels = {network.record.set_parameter: str(network.labels)}
    if installed.keypoint_table is not None:
        labels["keypoint_table"] = json.dumps(installed.keypoint_table)
    return labels


def _detector_ensembles(repository: Repository, installed: Installed, suffix: str) -> list[Ensemble]:
    """Nobody is cut out: of the image `crop_people` gets the size alone."""
    size = Step("decode_image", same("IMAGE"), same("SIZE"))
    inputs = {**same("SIZE"), **_detections(installed.network)}
    people = Step("crop_people", inputs, same("BOXES", "SCORES", "PEOPLE_FOUND"))
    steps = [*_detected(installed.network), size, people]
    return [Ensemble(f"detect{suffix}", [t.IMAGE], [t.BOXES, t.SCORES, t.PEOPLE_FOUND], steps)]


def _pose_ensembles(repository: Repository, installed: Installed, suffix: str) -> list[Ensemble]:
    """With the detector, in boxes of the client's, and in the whole image as one box."""
    pose, labels = installed.network, _labels(installed)
    keypoints = [TensorSpec("KEYPOINTS", "FP32", (-1, pose.outputs, 3)), t.POSE_SCORES, t.KEYPOINT_SET]
    decode = Step("decode_image", same("IMAGE"), same("PIXELS"))
    detector = repository.detector_of(installed)
    detected = [*_detected(detector), *_keypoints(pose, _detected_people(detector))]
    in_boxes, in_image = ([decode, *_keypoints(pose, people)] for people in (PEOPLE_IN_BOXES, WHOLE_IMAGE))
    found = [t.BOXES, t.SCORES, *keypoints, t.PEOPLE_FOUND]
    return [
        Ensemble(f"pose{suffix}", [t.IMAGE], found, detected, labels),
        Ensemble(f"pose_in_boxes{suffix}", [t.IMAGE, t.BOXES], [*keypoints, t.KEPT_INDICES], in_boxes, labels),
        Ensemble(f"pose_of_image{suffix}", [t.IMAGE], [t.BOXES, t.SCORES, *keypoints], in_image, labels),
    ]


def _parts_ensembles(repository: Repository, installed: Installed, suffix: str) -> list[Ensemble]:
    """`parts_of_people` cuts people out and pastes their parts; `parts` is the same, or the whole image at once, as the
    network was trained."""
    parts, labels, detector = installed.network, _labels(installed), repository.detector_of(installed)
    whole, people = _mask(detector, parts), _masks_of_people(detector, parts, {})
    return [
        Ensemble(f"parts{suffix}", [t.IMAGE], _mask_outputs(parts.trained_on == "person"), whole, labels),
        Ensemble(f"parts_of_people{suffix}", [t.IMAGE], _mask_outputs(True), people, labels),
    ]


def _people_ensemble(repository: Repository) -> Ensemble:
    """Boxes, keypoints and parts: one decoding, one detection, the networks side by side."""
    pose, parts = repository.chosen("pose"), repository.chosen("parts")
    (whole,) = (e for e in _pose_ensembles(repository, pose, "") if e.name == "pose")
    outputs = [*whole.outputs, *_mask_outputs(parts.network.trained_on == "person")]
    steps = [*whole.steps, *_mask(repository.detector_of(pose), parts.network, same("KEPT_INDICES"))]
    return Ensemble("people", [t.IMAGE], outputs, steps, {**whole.parameters, **_labels(parts)})


def _map_ensembles(repository: Repository, installed: Installed, suffix: str) -> list[Ensemble]:
    """A map of the whole image; where the task offers that, also of what the parts network says are people."""
    network, maps = installed.network, installed.network.record.maps
    assert maps is not None
    inputs = same(maps.network.name, "SIZE")
    steps = _of_image(network, maps.network.name)
    if network.resize_mode == "pad":
        bounds = t.placed(network.input_size, network.resize_mode).name
        inputs["BOUNDS"] = bounds
        steps.append(Step("resize_image", same("PIXELS"), same(bounds)))
    steps.append(Step("resize_maps", inputs, same(maps.image.name)))
    outputs = [maps.image]
    if maps.of_people and "parts" in repository.defaults:
        parts = repository.chosen("parts")
        steps += _mask(repository.detector_of(parts), parts.network)
        steps.append(Step("resize_maps", {**inputs, "MASK": "MASK"}, same(maps.of_people.name)))
        outputs.append(maps.of_people)
    return [Ensemble(f"{network.task}{suffix}", [t.IMAGE], outputs, steps)]


def _feature_ensembles(repository: Repository, installed: Installed, suffix: str) -> list[Ensemble]:
    pool = Step("pool_features", same("FEATURE_MAP"), same("FEATURES", "POOLED"))
    steps = [*_of_image(installed.network, "FEATURE_MAP"), pool]
    return [Ensemble(f"features{suffix}", [t.IMAGE], [t.FEATURES, t.POOLED], steps)]


# Of tasks that are more than a map of the whole image.
BUILDERS: dict[str, Callable[[Repository, Installed, str], list[Ensemble]]] = {
    "detector": _detector_ensembles,
    "pose": _pose_ensembles,
    "parts": _parts_ensembles,
    "features": _feature_ensembles,
}


def ensembles(repository: Repository) -> list[Ensemble]:
    """`pose` is the default network, `pose.NAME` a certain one."""
    found = [_people_ensemble(repository)] if {"pose", "parts"} <= repository.defaults.keys() else []
    for suffix, installed in _named(repository):
        found += BUILDERS.get(installed.network.task, _map_ensembles)(repository, installed, suffix)
    return found


def _named(repository: Repository) -> Iterator[tuple[str, Installed]]:
    """The suffix of its ensembles' names, and the network: the defaults without one, then all with their name; demo
    networks only where nothing else would lead to them."""
    for task in TASKS:
        if task in repository.defaults:
            yield "", repository.chosen(task)
        for installed in repository.of_task(task):
            name = installed.network.name
            if installed.network.family != "demo" or repository.defaults[task] != name:
                yield f".{name}", installed
