"""The committed configuration is what the catalogue says, and what Triton's schema accepts."""

from __future__ import annotations

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from poseserve.catalogue import CATALOGUE, DEFAULTS, REPOSITORIES, ROOT, Network
from poseserve.config import config_files

FILES = config_files()
CONFIGS = {
    path: text_format.Parse(content, pb.ModelConfig()) for path, content in FILES.items() if path.suffix == ".pbtxt"
}
BY_NAME = {config.name: config for config in CONFIGS.values()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_committed_file_is_what_the_catalogue_says(path):
    assert path.read_bytes() == FILES[path], "run `make configure` and commit the result"


def test_every_model_folder_is_generated():
    folders = {path.parent for repository in REPOSITORIES for path in repository.glob("*/config.pbtxt")}
    assert folders == {path.parent for path in CONFIGS}


def test_every_model_is_named_after_its_folder():
    assert all(path.parent.name == config.name for path, config in CONFIGS.items())


def test_every_network_batches_across_requests():
    for name in CATALOGUE:
        assert BY_NAME[name].max_batch_size > 1
        assert BY_NAME[name].HasField("dynamic_batching")
        assert BY_NAME[name].instance_group[0].kind == pb.ModelInstanceGroup.KIND_AUTO


@pytest.mark.parametrize("name", [n for n, c in BY_NAME.items() if c.platform == "ensemble"])
def test_ensemble_steps_fit_together(name):
    """Every tensor that a step reads has one source, with the same type and dims (a batch dimension aside)."""
    ensemble = BY_NAME[name]
    tensors = {i.name: (i.data_type, list(i.dims)) for i in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        model = BY_NAME[step.model_name]
        inputs = {i.name: i for i in model.input}
        for inside, outside in step.input_map.items():
            kind, dims = tensors[outside]
            assert inputs[inside].data_type == kind
            expected = list(inputs[inside].dims)
            # Between a batching network and a step the batch is the first dimension of the step's tensor, or is 1.
            assert dims in (expected, [-1, *expected]) or expected == [-1, *dims], f"{step.model_name}.{inside}"
        assert {i for i, t in inputs.items() if not t.optional} <= set(step.input_map)
        outputs = {o.name: o for o in model.output}
        for inside, outside in step.output_map.items():
            assert outside not in tensors, f"{outside} has two sources"
            tensors[outside] = outputs[inside].data_type, list(outputs[inside].dims)
    for output in ensemble.output:
        assert tensors[output.name] == (output.data_type, list(output.dims))


def test_default_networks_have_their_task():
    assert all(CATALOGUE[name].task == task for task, name in DEFAULTS.items())


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="must be one of detector, pose, parts"):
        Network("x", "smell", (1, 1))
