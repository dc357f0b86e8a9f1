"""Imports run one way: a lower layer never imports a higher one (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from poseserve.repository.folders import PREPROCESS, ROOT

# From the ground up: modules of one layer may import one another.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("poseclient",),
    ("poseserve.errors", "poseserve.defaults"),
    ("poseserve.tasks",),
    ("poseserve.catalogue",),
    ("poseserve.recipes",),
    ("poseserve.deployment",),
    ("poseserve.weights",),
    ("poseserve.families",),
    ("poseserve.networks",),
    ("poseserve.export",),
    ("poseserve.repository",),
    ("poseserve.serving",),
    ("poseserve.in_process", "poseserve.tune"),
    ("poseserve.commands",),
    ("poseserve.cli",),
    ("poseserve.__main__",),
    ("demo",),
    ("loadtest",),
)
PACKAGES = {"poseclient": ROOT / "clients" / "poseclient", **{n: ROOT / n for n in ("poseserve", "demo", "loadtest")}}
MODULES = {
    ".".join((name, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__"): path
    for name, folder in PACKAGES.items()
    for path in sorted(folder.rglob("*.py"))
    if not any(part.startswith(".") for part in path.relative_to(folder).parts)
}


def layer(module: str) -> int:
    """The layer of a module of ours, -1 of others."""
    for number, rooms in enumerate(LAYERS):
        if any(module == room or module.startswith(f"{room}.") for room in rooms):
            return number
    return -1


def imported(path: Path) -> Iterator[str]:
    """What a file imports, at whatever place, but for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for child in branch.body
        for node in ast.walk(child)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in submodules)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_from_a_higher_layer(module: str) -> None:
    own = layer(module)
    assert own >= 0 or module == "poseserve", f"{module} stands in no layer"
    above = [name for name in imported(MODULES[module]) if layer(name) > own]
    assert not above, f"{module} imports {', '.join(above)} from above"


def test_every_layer_has_modules() -> None:
    for room in (room for rooms in LAYERS for room in rooms):
        assert any(module == room or module.startswith(f"{room}.") for module in MODULES), room


def test_an_import_from_above_would_be_noticed(tmp_path: Path) -> None:
    path = tmp_path / "low.py"
    path.write_text("def f():\n    from poseserve.repository import config\n", encoding="utf-8")
    assert [layer(name) > layer("poseserve.errors") for name in imported(path)] == [True]


@pytest.mark.parametrize("module", [name for name in MODULES if layer(name) < layer("poseserve.weights")])
def test_what_describes_networks_needs_no_torch(module: str) -> None:
    assert "torch" not in {name.partition(".")[0] for name in imported(MODULES[module])}


@pytest.mark.parametrize("step", [path.parent.parent.name for path in sorted(PREPROCESS.glob("*/1/model.py"))])
def test_a_step_imports_its_own_folder_and_packages_alone(step: str) -> None:
    folder = PREPROCESS / step / "1"
    names = {name.partition(".")[0] for path in folder.glob("*.py") for name in imported(path)}
    assert not names & {"poseserve", "poseclient", "demo", "loadtest", "torch"}
