"""What `import poseclient` offers, and how it is documented."""

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys

import pytest

import poseclient
from poseclient import AsyncPoseClient, PoseClient
from poseclient.inference import PoseOptions
from poseserve.repository.folders import ROOT

CLIENTS = [PoseClient, AsyncPoseClient]
ITERATORS = {"track"}  # the methods that give one result after the other
METHODS = sorted(name for name in vars(PoseClient) if not name.startswith("_"))


def parameters(method):
    return [(p.name, p.kind, p.default, p.annotation) for p in inspect.signature(method).parameters.values()]


def test_the_version_is_that_of_the_package():
    assert poseclient.__version__ == importlib.metadata.version("poseclient")


def test_every_exported_name_exists_and_is_documented():
    assert sorted(poseclient.__all__) == poseclient.__all__
    assert all(inspect.getdoc(getattr(poseclient, name)) for name in poseclient.__all__)


def test_both_clients_offer_the_same_methods():
    assert sorted(name for name in vars(AsyncPoseClient) if not name.startswith("_")) == METHODS
    for name in METHODS:
        blocking, awaited = getattr(PoseClient, name), getattr(AsyncPoseClient, name)
        assert inspect.iscoroutinefunction(awaited) == (name not in ITERATORS)
        assert parameters(blocking) == parameters(awaited)
        if name in ITERATORS:
            continue
        assert inspect.signature(blocking).return_annotation == inspect.signature(awaited).return_annotation


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_an_example_that_calls_it(client, name):
    """With arguments that it takes, awaited where it must be."""
    method = getattr(client, name)
    (example,) = re.findall(r">>> (.*)", method.__doc__)
    tree = ast.parse(example)
    awaited = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)}
    awaited |= {id(node.iter) for node in ast.walk(tree) if isinstance(node, ast.comprehension) and node.is_async}
    calls = {node.func.attr: node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert all((id(call) in awaited) == (client is AsyncPoseClient) for call in calls.values())
    options = {keyword.arg for keyword in calls[name].keywords}
    assert options <= inspect.signature(method).parameters.keys() | PoseOptions.__annotations__.keys()
    inspect.signature(method).bind(None, *calls[name].args, **dict.fromkeys(options))


@pytest.mark.parametrize("name", METHODS)
def test_both_clients_say_the_same_of_a_method(name):
    blocking, awaited = (getattr(client, name).__doc__.split(">>>")[0] for client in CLIENTS)
    assert blocking == awaited


@pytest.mark.parametrize("readme", ["README.md", "clients/README.md"])
def test_the_snippets_of_the_readme_pass_strict_type_checks(readme, tmp_path):
    snippets = re.findall(
        r"^```python\n(.*?)^```", (ROOT / readme).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "snippets.py").write_text("\n".join(snippets))
    mypy = [sys.executable, "-m", "mypy", "--strict", tmp_path / "snippets.py"]
    done = subprocess.run(mypy, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
