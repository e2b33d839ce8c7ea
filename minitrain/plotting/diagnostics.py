"""The diagnostics of one run over its steps, drawn from metrics.csv: one panel for each diagnostic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minitrain.autograd.flat import is_bias
from minitrain.plotting.axes import add_grid, fit_step_axis, scale_metric_axis, use_percent_labels
from minitrain.plotting.figures import (
    drawable_points,
    edge_of_stability,
    evenly_spaced,
    metric_title,
    new_figure,
    own_style,
    save_figures,
    set_centered_heading,
)
from minitrain.plotting.palette import BLUE, Color, sequential_color
from minitrain.storage.metrics_file import read_metrics
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

STANDARD_COLUMNS = ("step", "lr", "train_loss", "val_loss", "val_accuracy")
TITLES = {
    "grad_norm": "gradient norm",
    "param_norm": "parameter norm",
    "update_ratio": "|update| / |parameters|",
    "layer_grad_norm": "gradient norm of each parameter",
    "activation_mean": "mean of activations",
    "activation_std": "standard deviation of activations",
    "dead_units": "dead units",
    "sharpness": "largest eigenvalue of the Hessian",
}
MOST_LISTED = 9  # names that fit beside a panel; of more layers, a sample is named
LONGEST_NAME = 15  # characters of such a name


@own_style()
def draw_diagnostics(directory: Path, title: str, note: str = "", edge: bool = False) -> Path | None:
    """Write diagnostics.png and diagnostics.svg of one run.

    The layers of a diagnostic share one panel, from dark (first) to light (last).

    Args:
        directory: The directory of the run.
        title: The first line of the heading.
        note: The second line of the heading.
        edge: Whether to draw the edge of stability, 2 / lr, beside the sharpness (see `largest_eigenvalue`).

    Returns:
        The path of the PNG; None if the run has logged no diagnostics.
    """
    metrics = read_metrics(directory)
    panels = _columns_by_diagnostic(metrics)
    if not panels:
        return None
    across = min(len(panels), 2 if len(panels) in (2, 4) else 3)
    figure = _new_figure(across, math.ceil(len(panels) / across), any("/" in column for column in metrics))
    panes: list[Axes] = figure.axes
    for axes, (name, columns) in zip(panes, panels.items(), strict=False):
        curves = {column.partition("/")[2]: drawable_points(metrics, column) for column in columns}
        _draw_panel(axes, name, curves)
        if name == "sharpness" and edge:
            _draw_edge_of_stability(axes, metrics)
        fit_step_axis(axes, metrics["step"])
        axes.set_title(TITLES.get(name) or metric_title(name), fontsize=10, loc="left")
        add_grid(axes)
    for i, axes in enumerate(panes):
        axes.set_visible(i < len(panels))
        if i + across >= len(panels):
            axes.set_xlabel("step")
    set_centered_heading(figure, title, note)
    return save_figures(figure, directory, "diagnostics")


def _columns_by_diagnostic(metrics: Mapping[str, Array]) -> dict[str, list[str]]:
    """The columns of each diagnostic: `grad_norm`, or `layer_grad_norm/0.weight` for every parameter."""
    panels: dict[str, list[str]] = {}
    for column in metrics:
        if column not in STANDARD_COLUMNS:
            panels.setdefault(column.partition("/")[0], []).append(column)
    return panels


def _new_figure(across: int, down: int, has_legends: bool) -> Figure:
    """A grid of panels with fixed margins, in inches: a layout engine would take five times as long as the drawing."""
    panel, right = (6.4 if across == 1 else 2.9), 1.75 if has_legends else 0.85
    width, height = across * (panel + right) + 0.6, 2.7 * down + 0.7
    figure = new_figure(width, height)
    figure.subplots_adjust(
        left=0.75 / width, right=1 - (right - 0.15) / width, wspace=right / panel,
        bottom=0.55 / height, top=1 - 0.85 / height, hspace=0.3,
    )  # fmt: skip
    figure.subplots(down, across, squeeze=False)
    return figure


def _draw_panel(axes: Axes, name: str, curves: Mapping[str, tuple[Array, Array]]) -> None:
    """Draw the curves of one diagnostic: layer or parameter, or '' for the whole network -> steps and values."""
    layers = list(dict.fromkeys(_layer_of(part) for part in curves))
    lines = {}
    for part, (steps, values) in curves.items():
        color = _color_of_layer(layers.index(_layer_of(part)), len(layers))
        (lines[part],) = axes.plot(
            steps, values, "--" if is_bias(part) else "-", color=color, linewidth=1.6,
            marker="o" if len(values) < 20 else "", markersize=3, clip_on=False,
        )  # fmt: skip
    if name == "dead_units":
        use_percent_labels(axes)
        axes.set_ylim(0, max(axes.get_ylim()[1], 0.1))
    else:
        scale_metric_axis(axes, name, *(values for _, values in curves.values()))
    if "" not in lines:
        _add_layer_legend(axes, lines)


def _add_layer_legend(axes: Axes, lines: Mapping[str, Line2D]) -> None:
    listed = _listed_lines(lines)
    labels = [part if len(part) <= LONGEST_NAME else f"…{part[1 - LONGEST_NAME :]}" for part in listed]
    axes.legend(
        list(listed.values()), labels, fontsize=7.5, frameon=False, handlelength=1.6,
        loc="upper left", bbox_to_anchor=(1.0, 1.03), borderaxespad=0.2,
    )  # fmt: skip


def _listed_lines(lines: Mapping[str, Line2D]) -> Mapping[str, Line2D]:
    """The lines that the legend lists: all, or an evenly spaced sample of the weights with one entry for biases."""
    if len(lines) <= MOST_LISTED:
        return lines
    weights = [part for part in lines if not is_bias(part)]
    listed = {weights[i]: lines[weights[i]] for i in evenly_spaced(len(weights), MOST_LISTED - 1)}
    if len(weights) < len(lines):
        listed["biases"] = next(line for part, line in lines.items() if is_bias(part))
    return listed


def _layer_of(part: str) -> str:
    """The layer that a parameter belongs to, or an activation layer itself: `2.weight` -> `2`."""
    layer, dot, last = part.rpartition(".")
    return part if not dot or last.isdigit() else layer


def _color_of_layer(index: int, count: int) -> Color:
    """From dark to light; a single layer is blue."""
    return BLUE if count == 1 else sequential_color(index / (count - 1))


def _draw_edge_of_stability(axes: Axes, metrics: Mapping[str, Array]) -> None:
    """Draw 2 / lr as a dashed line, except where it exceeds the sharpness so far that it would flatten its curve."""
    steps, values = drawable_points(metrics, "sharpness")
    edge = edge_of_stability(metrics["lr"][np.isin(metrics["step"], steps)])
    edge[edge > 10 * values.max(initial=0)] = np.nan
    axes.plot(steps, edge, color="black", linestyle="--", linewidth=1.2, label="2 / lr")
    if np.isfinite(edge).any():
        axes.legend(frameon=False, fontsize=8)
