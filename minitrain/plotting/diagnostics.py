"""A run's diagnostics over its steps, drawn from metrics.csv: a panel for each that was asked for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minitrain.plotting.figures import (
    BLUE,
    log_helps,
    log_scale,
    new_figure,
    percent,
    save_figures,
    shortened,
    title_of,
    whole_steps,
)
from minitrain.storage.metric import Metric
from minitrain.storage.metrics_file import finite_points, read_metrics
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


OF_EVERY_RUN = ("step", "lr", "train_loss", "val_loss", "val_accuracy")


TITLES = {
    "grad_norm": "gradient norm",
    "param_norm": "parameter norm",
    "update_ratio": "|update| / |parameters|",
    "layer_grad_norm": "gradient norm of each parameter",
    "activation_mean": "mean of activations",
    "activation_std": "standard deviation of activations",
    "dead_units": "units that are 0 for the whole batch",
    "sharpness": "largest eigenvalue of the Hessian",
}


LISTED = 9  # names that fit beside a panel: of more layers, so many are named


LONGEST = 15  # characters of such a name


def draw_diagnostics(directory: Path, title: str, note: str = "", edge: bool = False) -> Path | None:
    """diagnostics.png and diagnostics.svg of one run; gives the path of the first, or None where there are none.

    Layers lie over each other in one panel, the first dark and the last light. `note` is a line under the title.
    edge: mark 2 / lr beside the sharpness, where gradient descent's edge of stability is (see `largest_eigenvalue`)
    """
    metrics = read_metrics(directory)
    panels: dict[str, list[str]] = {}
    for column in metrics:
        if column not in OF_EVERY_RUN:
            panels.setdefault(column.partition("/")[0], []).append(column)
    if not panels:
        return None
    across = min(len(panels), 2 if len(panels) in (2, 4) else 3)
    down = math.ceil(len(panels) / across)
    # Fixed margins, in inches: a layout engine would take five times as long as the rest.
    panel, right = (6.4 if across == 1 else 2.9), 1.75 if any("/" in column for column in metrics) else 0.85
    width, height = across * (panel + right) + 0.6, 2.7 * down + 0.7
    figure = new_figure(width, height)
    figure.subplots_adjust(
        left=0.75 / width, right=1 - (right - 0.15) / width, wspace=right / panel,
        bottom=0.55 / height, top=1 - 0.85 / height, hspace=0.3,
    )  # fmt: skip
    panes: Any = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (name, columns) in zip(panes, panels.items(), strict=False):
        _draw_panel(axes, name, {column.partition("/")[2]: finite_points(metrics, column) for column in columns})
        if name == "sharpness" and edge:
            _mark_edge(axes, metrics)
        end = max(metrics["step"].max(initial=0), 1)
        axes.set_xlim(-0.02 * end, 1.02 * end)
        whole_steps(axes)
        axes.set_title(TITLES.get(name) or title_of(name), fontsize=10, loc="left")
        axes.grid(alpha=0.25, linewidth=0.6)
    for i, axes in enumerate(panes):
        axes.set_visible(i < len(panels))
        if i + across >= len(panels):
            axes.set_xlabel("step")
    heading = [shortened(text, int(width * 9)) for text in (title, note) if text]
    figure.suptitle("\n".join(heading), fontsize=11)
    return save_figures(figure, directory, "diagnostics")


def _draw_panel(axes: Axes, name: str, curves: dict[str, tuple[Array, Array]]) -> None:
    """curves: layer or parameter, or '' -> steps and values."""
    layers = list(dict.fromkeys(_layer(part) for part in curves))
    lines = {}
    for part, (steps, values) in curves.items():
        color, style = _color(layers.index(_layer(part)), len(layers)), "--" if _is_bias(part) else "-"
        marker = "o" if len(values) < 20 else ""
        (lines[part],) = axes.plot(
            steps, values, style, color=color, linewidth=1.6, marker=marker, markersize=3, clip_on=False
        )
    if name == "dead_units":
        percent(axes)
        axes.set_ylim(0, max(axes.get_ylim()[1], 0.1))
    elif Metric.named(name).is_share:
        percent(axes)
    elif log_helps(*(values for _, values in curves.values())):
        log_scale(axes)
    if "" not in lines:
        named = _some(lines)
        labels = [part if len(part) <= LONGEST else f"…{part[1 - LONGEST :]}" for part in named]
        axes.legend(
            list(named.values()), labels, fontsize=7.5, frameon=False, handlelength=1.6,
            loc="upper left", bbox_to_anchor=(1.0, 1.03), borderaxespad=0.2,
        )  # fmt: skip


def _some(lines: dict[str, Line2D]) -> dict[str, Line2D]:
    """What a legend names: all lines, or of many some that are evenly apart, biases last."""
    if len(lines) <= LISTED:
        return lines
    solid = [part for part in lines if not _is_bias(part)]
    listed = np.unique(np.linspace(0, len(solid) - 1, LISTED - 1).round().astype(int))
    named = {solid[i]: lines[solid[i]] for i in listed}
    return named if len(solid) == len(lines) else named | {"biases": next(lines[p] for p in lines if _is_bias(p))}


def _is_bias(part: str) -> bool:
    return part.rpartition(".")[2] == "bias"


def _layer(part: str) -> str:
    """The layer that a parameter belongs to, or an activation layer itself: `2.weight` -> `2`."""
    layer, dot, last = part.rpartition(".")
    return part if not dot or last.isdigit() else layer


def _color(at: int, count: int) -> Any:
    """From dark to light; one alone is blue."""
    from matplotlib import colormaps

    return BLUE if count == 1 else colormaps["viridis"](0.88 * at / (count - 1))


def _mark_edge(axes: Axes, metrics: dict[str, Array]) -> None:
    """2 / lr as a dashed line, where it is not so high that it would press the sharpness onto the axis."""
    steps, values = finite_points(metrics, "sharpness")
    with np.errstate(divide="ignore"):
        edge = 2 / metrics["lr"][np.isin(metrics["step"], steps)]
    edge[edge > 10 * values.max(initial=0)] = np.nan
    axes.plot(steps, edge, color="black", linestyle="--", linewidth=1.2, label="2 / lr")
    if np.isfinite(edge).any():
        axes.legend(frameon=False, fontsize=8)
