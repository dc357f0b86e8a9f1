"""A running server takes up what `poseserve add`, `remove` and `default` changed, without losing requests.

Triton loads a model beside its old version, hands over new requests when it is ready, and lets the old one finish.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tritonclient.http import InferenceServerClient
from tritonclient.utils import InferenceServerException

from poseserve.errors import ServerError
from poseserve.repository.config import model_names, step_configs
from poseserve.repository.installed import STEPS, Repository

LOAD_SECONDS = 600.0  # weights of gigabytes


def reload(address: str, repository: Repository) -> None:
    """Let the server serve what the repository holds, whatever it was told of before.

    It is asked to load everything, and passes over what it has loaded as it lies there; it unloads what is gone. An
    ensemble must never be served without an output that it takes from a step: steps that gain outputs are loaded before
    the ensembles, steps that lose some after them. address: host:port of its HTTP API. Raises ServerError with the
    server's words when it is away, or refuses.
    """
    with _client(address) as client:
        names = model_names(repository)
        networks, steps = list(repository.networks), [name for name in names if name in STEPS]
        ensembles = [name for name in names if name not in (*networks, *steps)]
        gain = _steps_gain_outputs(client, repository)
        for name in [*networks, *steps, *ensembles] if gain else [*networks, *ensembles]:
            client.load_model(name)
        for name in _gone(client):
            client.unload_model(name)
        for name in [] if gain else steps:
            client.load_model(name)


def _steps_gain_outputs(client: InferenceServerClient, repository: Repository) -> bool:
    for step in step_configs(repository):
        served = {output["name"] for output in client.get_model_config(step.name)["output"]}
        if {output.name for output in step.output} - served:
            return True
    return False


def left_over(address: str) -> list[str]:
    """The models that the server still has, though their folders are gone. address and errors as in `reload`."""
    with _client(address) as client:
        return _gone(client)


def _gone(client: InferenceServerClient) -> list[str]:
    """Statistics tell of what is loaded, the index of what lies in the server's repositories."""
    loaded = {model["name"] for model in client.get_inference_statistics()["model_stats"]}
    return sorted(loaded - {model["name"] for model in client.get_model_repository_index()})


@contextmanager
def _client(address: str) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(address, connection_timeout=LOAD_SECONDS, network_timeout=LOAD_SECONDS)
    try:
        yield client
    except (InferenceServerException, OSError) as error:
        raise ServerError(f"the server at {address}: {error}") from error
    finally:
        client.close()
