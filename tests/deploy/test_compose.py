"""The production stack: is what it names in the tree, and does Triton know what it is told?"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from poseserve.repository.folders import PREPROCESS
from poseserve.serving.server import find_triton

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
TRITONS = ("triton", "triton-cpu")
OLDEST_IMAGE = (26, 8)  # security fixes up to 26.07, the starvation of the dynamic batcher up to 26.08
PIN = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;\"]+)")
# In a Python without site-packages' .pth files, so that nothing of the tree is found but through the paths given.
LOADED_BY_LOCUST = """
import sys
paths, absent = (argument.split(":") for argument in sys.argv[1:])
sys.path[:0] = paths
sys.modules.update(dict.fromkeys(absent))  # importing them fails
from loadtest import locustfile
assert locustfile.encoded_images("photos", "")
print(*(module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)), sep="\\n")
"""


def _name(package: str) -> str:
    """-, _ and . are one, as are OpenCV and its headless build."""
    return re.sub(r"[-_.]+", "-", package).lower().removesuffix("-headless")


def _pins(text: str) -> dict[str, str]:
    """Package -> version of every `name==version`."""
    return {_name(package): version for package, version in PIN.findall(text)}


def _with_dependencies(wanted: list[Requirement]) -> set[str]:
    """Names of the packages that pip installs for these, as far as this environment has them."""
    found: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        if str(requirement) in found:
            continue
        found.add(str(requirement))
        try:
            needed = [Requirement(text) for text in requires(requirement.name) or []]
        except PackageNotFoundError:
            continue
        extras = ("", *requirement.extras)
        wanted += [r for r in needed if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras)]
    return {_name(Requirement(text).name) for text in found}


@pytest.fixture(scope="module")
def known_options(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The options that the Triton of this machine knows."""
    command, environment = find_triton(tmp_path_factory.mktemp("workspace"))
    done = subprocess.run([command[0], "--help"], env=environment, capture_output=True, text=True)
    return set(re.findall(r"^  (--[a-z0-9-]+)", done.stdout + done.stderr, re.MULTILINE))


@pytest.mark.parametrize("name", SERVICES)
def test_every_mounted_path_is_in_the_tree_and_read_only(name: str) -> None:
    assert SERVICES[name]["volumes"]
    for volume in SERVICES[name]["volumes"]:
        source, _, mode = volume.split(":")
        assert (ROOT / source).exists(), source
        assert mode == "ro"


@pytest.mark.parametrize("name", TRITONS)
def test_triton_knows_every_option_it_is_given(name: str, known_options: set[str]) -> None:
    program, *options = SERVICES[name]["command"]
    assert program == "tritonserver"
    assert options
    assert {option.partition("=")[0] for option in options} <= known_options


@pytest.mark.parametrize("name", TRITONS)
def test_every_served_repository_is_mounted(name: str) -> None:
    served = {o.partition("=")[2] for o in SERVICES[name]["command"] if o.startswith("--model-repository=")}
    mounts = {target: source for source, target, _ in (volume.split(":") for volume in SERVICES[name]["volumes"])}
    assert served == set(mounts)
    assert {Path(source).name for source in mounts.values()} == {"model_repository", "preprocess", "ensemble"}
    assert all(Path(target).name == Path(source).name for target, source in mounts.items())


def test_gpu_and_cpu_services_differ_only_in_the_gpu_and_the_profile() -> None:
    gpu, cpu = dict(SERVICES["triton"]), dict(SERVICES["triton-cpu"])
    (device,) = gpu.pop("deploy")["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", "all", ["gpu"])
    assert cpu.pop("profiles") == ["cpu"]
    assert gpu == cpu


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    ports = SERVICES[name]["ports"]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_a_stage_of_the_dockerfile(name: str) -> None:
    build = SERVICES[name]["build"]
    assert (ROOT / build["context"] / "Dockerfile").is_file()
    assert re.search(rf"^FROM \S+ AS {build['target']}$", DOCKERFILE, re.MULTILINE)


def test_triton_is_recent_enough() -> None:
    (year, month) = re.findall(r"^FROM nvcr\.io/nvidia/tritonserver:(\d+)\.(\d+)-py3 ", DOCKERFILE, re.MULTILINE)[0]
    assert (int(year), int(month)) >= OLDEST_IMAGE
    assert {SERVICES[name]["image"] for name in TRITONS} == {f"poseserve-triton:{year}.{month}"}


def test_versions_are_those_of_the_constraints() -> None:
    constraints = _pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    shared = _pins(DOCKERFILE).keys() & constraints.keys()
    assert {"numpy", "opencv-python", "pillow", "pi-heif", "locust", "tritonclient"} <= shared
    assert {name: _pins(DOCKERFILE)[name] for name in shared} == {name: constraints[name] for name in shared}


def test_triton_has_the_packages_that_the_steps_import() -> None:
    stage = DOCKERFILE.partition(" AS triton\n")[2].partition("\nFROM ")[0]
    installed, owners = _pins(stage).keys(), packages_distributions()
    found: set[str] = set()
    files = list(PREPROCESS.glob("*/1/*.py"))
    assert {file.parents[1].name for file in files} == {path.parent.name for path in PREPROCESS.glob("*/config.pbtxt")}
    for file in files:
        own = {other.stem for other in file.parent.glob("*.py")}
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {name.partition(".")[0] for name in names} - own
    packages = found - sys.stdlib_module_names - {"triton_python_backend_utils"}
    assert packages >= {"numpy", "cv2", "PIL", "pi_heif"}
    assert [name for name in packages if not installed & {_name(owner) for owner in owners[name]}] == []


def test_locust_gets_the_addresses_that_its_users_read() -> None:
    users = (ROOT / "loadtest" / "locustfile.py").read_text(encoding="utf-8")
    environment = SERVICES["locust"]["environment"]
    aliases = SERVICES["triton"]["networks"]["default"]["aliases"]
    for protocol, port in (("GRPC", 8001), ("HTTP", 8000)):
        assert environment[f"POSESERVE_{protocol}_URL"] == f"{aliases[0]}:{port}"
    assert "POSESERVE_{protocol.upper()}_URL" in users


def test_locust_has_the_packages_and_files_that_its_users_load_and_no_other_files(tmp_path: Path) -> None:
    stage = DOCKERFILE.partition(" AS locust\n")[2]
    links = []
    for volume in SERVICES["locust"]["volumes"]:
        source, target, _ = volume.split(":")
        links.append(tmp_path / target.lstrip("/"))
        links[-1].parent.mkdir(parents=True, exist_ok=True)
        links[-1].symlink_to(ROOT / source)
    paths = [f"{tmp_path}{folder}" for folder in re.findall(r"PYTHONPATH=(\S+)", stage)[0].split(":")]
    pinned = [Requirement(match[0]) for match in PIN.finditer(stage)]
    assert links
    assert pinned
    installed = _with_dependencies(pinned)
    owners = {module: set(map(_name, names)) for module, names in packages_distributions().items()}
    absent = [module for module, names in owners.items() if not names & {*installed, "poseclient"}]
    assert {"torch", "poseserve"} <= set(absent)
    command = [sys.executable, "-I", "-S", "-c", LOADED_BY_LOCUST]
    command += [":".join([*paths, sysconfig.get_path("purelib")]), ":".join(absent)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {path for line in done.stdout.splitlines() for path in (Path(line), *Path(line).parents)}
    assert [link for link in links if link not in loaded] == []
