"""The documentation names what there is: links, options, environment variables, errors, and what CI runs."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
import yaml

import poseclient.errors
import poseserve.errors
from poseclient import cli as client_cli
from poseserve import cli as server_cli
from poseserve.repository.folders import ROOT

PAGES = [
    page
    for page in sorted(ROOT.rglob("*.md"))
    if not any(part.startswith(".") for part in page.relative_to(ROOT).parts[:-1])
]
DOCS = ROOT / "docs"
SETTINGS = (DOCS / "settings.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[[^]]*\]\((?!\w+:)([^)\s]+)\)")
# In Python: read or set by name, or an item of the environment that a server gets.
VARIABLE = re.compile(
    r'(?:environ(?:ment)?(?:\.get\(|\.pop\(|\[)|env_var=|^VARIABLE = )\s*"([A-Z_]+)"|"((?:MALLOC|OMP)_[A-Z_]+)"',
    re.MULTILINE,
)
# Of other programs: huggingface_hub and tempfile read them.
ELSEWHERE = {"HF_HOME", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TMPDIR"}


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def section(heading: str) -> str:
    """Of the settings: what stands below `## heading`."""
    return SETTINGS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub writes them in addresses."""
    titles = re.findall(r"^#+ (.*)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def options(parser: argparse.ArgumentParser) -> set[str]:
    """The long options of a parser and of its commands, without `--help`."""
    found: set[str] = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= set().union(*(options(command) for command in action.choices.values()))
        found |= {option for option in action.option_strings if option.startswith("--")}
    return found - {"--help"}


def server_options() -> set[str]:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for name, command in server_cli.COMMANDS.items():
        command.add_arguments(commands.add_parser(name))
    return options(parser)


def environment_variables() -> set[str]:
    """Those that code, scripts, Makefile and containers read or set by their names."""
    found: set[str] = set()
    for folder in ("poseserve", "clients", "preprocess", "backends", "loadtest", "demo"):
        for path in (ROOT / folder).rglob("*.py"):
            if not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
                found |= set(
                    re.findall(r'(?:environ(?:ment)?(?:\.get\(|\.pop\(|\[)|env_var=)\s*"([A-Z_]+)"', text(path))
                )
                found |= {name for match in VARIABLE.findall(text(path)) for name in match if name}
    for path in (ROOT / "scripts").glob("*.sh"):
        found |= set(re.findall(r"\$\{?([A-Z][A-Z_]+)", text(path)))
    found |= set(re.findall(r"^([A-Z]+) \?=", text(ROOT / "Makefile"), re.MULTILINE))
    services = yaml.safe_load(text(ROOT / "docker-compose.yml"))["services"]
    return found.union(*(service.get("environment", {}) for service in services.values()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(text(page)):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_index_names_every_page() -> None:
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in LINK.findall(text(DOCS / "README.md"))}
    assert set(PAGES) - linked <= {DOCS / "README.md"}


@pytest.mark.parametrize(
    ("program", "expected"), [("poseserve", server_options()), ("poseclient", options(client_cli.parser()))]
)
def test_the_settings_name_every_option_and_no_other(program: str, expected: set[str]) -> None:
    assert set(re.findall(r"^\| `(--[a-z-]+)`", section(program), re.MULTILINE)) == expected


def test_the_settings_name_every_environment_variable_and_no_other() -> None:
    named = set(re.findall(r"`([A-Z][A-Z_]+)(?:=\d)?`", section("Environment variables")))
    assert named - ELSEWHERE == environment_variables()


@pytest.mark.parametrize("module", [poseserve.errors, poseclient.errors], ids=lambda module: module.__name__)
def test_every_error_is_explained(module: object) -> None:
    page = text(DOCS / "errors.md")
    names = [name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, Exception)]
    assert names
    assert all(f"`{name}`" in page for name in names), names


def test_the_workflow_runs_what_ci_runs() -> None:
    workflow = yaml.safe_load(text(ROOT / ".github" / "workflows" / "ci.yml"))
    steps = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    commands = re.findall(r"^(?:sh|make) .*$", text(ROOT / ".ci" / "run"), re.MULTILINE)
    assert [step.removeprefix("sudo ") for step in steps] == commands
