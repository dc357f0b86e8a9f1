"""What is asked of the server, and in which order, for both clients: each yields the calls to its own connection.

A call's answer is sent back into the generator, and so is its RequestError.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

from poseclient import failures, protocol
from poseclient.errors import RequestError
from poseclient.inference import InferRequest, Result
from poseclient.protocol import ModelDescription


@dataclass(frozen=True)
class Call:
    """A method of `connections.Connection`, and its arguments."""

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


T = TypeVar("T")
Calls = Generator[Call, Any, T]
Descriptions = dict[str, ModelDescription]  # what is known of the server's models, which it may change


def infer(request: InferRequest[Result], api: ModuleType, encoded: bytes, known: Descriptions) -> Calls[Result]:
    """The result of a request. api: see InferRequest.arguments. encoded: the image.

    RequestError for a model that there is not, or of another kind, names those that would do.
    """
    try:
        return (yield from _infer(request, api, encoded, known))
    except RequestError as error:
        yield from _name_models(error, request.kinds)
        raise


def keypoint_set(model: str, known: Descriptions) -> Calls[str]:
    """The name of a model's keypoint set as it is now. Errors of `infer`."""
    return (yield from _parameter(model, "keypoint_set", ("pose", "pose_in_boxes", "pose_of_image", "people"), known))


def class_set(model: str, known: Descriptions) -> Calls[str]:
    """The name of a model's class set as it is now. Errors of `infer`."""
    return (yield from _parameter(model, "class_set", ("parts", "parts_of_people", "people"), known))


def describe(model: str, known: Descriptions) -> Calls[ModelDescription]:
    """The description of a model as it is now."""
    known[model] = protocol.describe((yield Call("model_config", {"model": model})))
    return known[model]


def _parameter(model: str, name: str, kinds: tuple[str, ...], known: Descriptions) -> Calls[str]:
    try:
        return (yield from describe(model, known)).parameter(name)
    except RequestError as error:
        yield from _name_models(error, kinds)
        raise


def _infer(request: InferRequest[Result], api: ModuleType, encoded: bytes, known: Descriptions) -> Calls[Result]:
    model = request.model
    if not request.needs_description:
        return request.read((yield Call("infer", request.arguments(api, encoded, ()))), ModelDescription(model, {}, ()))
    is_new = model not in known
    description = (yield from describe(model, known)) if is_new else known[model]
    try:
        response = yield Call("infer", request.arguments(api, encoded, description.outputs))
    except RequestError as error:
        if is_new or not failures.is_of_another_kind(error):
            raise
        # Another network has taken the name since, one with other outputs.
        description = yield from describe(model, known)
        response = yield Call("infer", request.arguments(api, encoded, description.outputs))
    if not protocol.fits(response, description):
        description = yield from describe(model, known)
    return request.read(response, description)


def _name_models(error: RequestError, kinds: tuple[str, ...]) -> Calls[None]:
    if error.status == "NOT_FOUND" or failures.is_of_another_kind(error):
        try:
            names = yield Call("models")
        except RequestError:  # the server does not tell everybody
            return
        raise failures.with_models(error, kinds, names) from error
