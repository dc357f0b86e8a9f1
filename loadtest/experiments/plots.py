"""The pictures of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from loadtest.experiments.triton_statistics import STAGES, StepStatistics

COLOURS = "#c9ced6", "#f2b134", "#2a6f97", "#8ab17d"
# Text stays text: as paths it is ten times as large. The salt keeps the file the same when its data are.
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "poseserve", "font.size": 10}


def latency_throughput(
    path: Path, users: Sequence[int], rates: Sequence[float], latency: Mapping[str, Sequence[float]]
) -> None:
    """One line for each percentile (milliseconds), a point for each number of users, images/s to the right."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for (name, values), colour in zip(latency.items(), COLOURS[1:], strict=True):
            axes.plot(rates, values, marker="o", markersize=4, color=colour, label=name)
        lowest = min(latency.values(), key=max)
        for count, x, y in zip(users, rates, lowest, strict=True):
            axes.annotate(str(count), (x, y), xytext=(5, -10), textcoords="offset points")
        axes.set(xlabel="images per second", ylabel="latency, ms (numbers: requests in flight)", yscale="log")
        axes.set_xlim(0, 1.1 * max(rates))
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
        figure.savefig(path, metadata={"Date": None})


def time_of_steps(path: Path, panels: Mapping[str, Sequence[StepStatistics]]) -> None:
    """Stacked bars of the milliseconds that a request spends in each step, a panel for each load."""
    with matplotlib.rc_context(STYLE):
        rows = max(len(steps) for steps in panels.values())
        figure = Figure(figsize=(10, 1.2 + 0.35 * rows), layout="constrained")
        for axes, (title, steps) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            names = [step.model for step in steps]
            left = [0.0] * len(steps)
            for i, stage in enumerate(STAGES):
                widths = [step.milliseconds[i] for step in steps]
                axes.barh(names, widths, left=left, color=COLOURS[i], label=stage.replace("_", " "))
                left = [x + width for x, width in zip(left, widths, strict=True)]
            axes.set(title=title, xlabel="ms per request")
            axes.locator_params(axis="x", nbins=5)
            axes.invert_yaxis()  # the longest on top
            axes.grid(axis="x", alpha=0.3)
        axes.legend(loc="lower right")
        figure.savefig(path, metadata={"Date": None})
