"""Curves of one run, drawn from its files alone, so that running and killed runs can be drawn too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from minitrain.plotting.figures import (
    BLUE,
    SKY,
    VERMILION,
    add_grid,
    drawable_points,
    exclude_initial_transient,
    fit_step_axis,
    needs_log_scale,
    new_figure,
    own_style,
    running_mean,
    save_figures,
    set_centered_heading,
    use_log_scale,
    use_percent_labels,
)
from minitrain.storage.metric import format_share
from minitrain.storage.metrics_file import read_metrics
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST_SMOOTHED = 60  # points of a training curve that is smoothed
FEWEST_UNMARKED = 20  # points of a training curve that is a line without markers

Points = tuple[Array, Array]  # steps and values: [points] each


class _Style(TypedDict, total=False):
    alpha: float
    marker: str


@own_style()
def draw_run(directory: Path, title: str, note: str = "") -> Path:
    """Write loss.png and loss.svg of one run.

    The training loss is drawn raw and smoothed, the validation loss over it, and the validation accuracy, if it was
    logged, in a second panel. The best point of each is marked.

    Args:
        directory: The directory of the run.
        title: The first line of the heading.
        note: The second line of the heading.

    Returns:
        The path of the PNG.
    """
    metrics = read_metrics(directory)
    accuracy = drawable_points(metrics, "val_accuracy")
    panels = 2 if len(accuracy[1]) else 1
    width = 5.2 * panels + 0.6
    figure = new_figure(width, 4.1)
    # The margins are fixed: a layout engine would take as long as the drawing.
    figure.subplots_adjust(left=0.8 / width, right=1 - 0.25 / width, bottom=0.13, top=0.86, wspace=0.24)
    panes: list[Axes] = list(figure.subplots(1, panels, squeeze=False)[0])

    _draw_loss(panes[0], metrics)
    if panels == 2:
        _draw_accuracy(panes[1], accuracy)
    _mark_divergence(panes[0], metrics)
    for pane in panes:
        fit_step_axis(pane, metrics["step"])
        pane.set_xlabel("step")
        add_grid(pane)
        if pane.get_legend_handles_labels()[0]:
            pane.legend(frameon=False, fontsize=8, loc="best" if pane is panes[0] else "lower right")
    set_centered_heading(figure, title, note)
    return save_figures(figure, directory, "loss")


def _draw_loss(axes: Axes, metrics: Mapping[str, Array]) -> None:
    training, validation = drawable_points(metrics, "train_loss"), drawable_points(metrics, "val_loss")
    steps, values = training
    is_smoothed = len(values) >= FEWEST_SMOOTHED
    style: _Style = {"alpha": 0.5} if is_smoothed else {"alpha": 1.0}
    if not is_smoothed:  # a line through a single point would be invisible
        style["marker"] = "." if len(values) < FEWEST_UNMARKED else ""
    axes.plot(steps, values, color=SKY, linewidth=1.0, label="training (raw)", **style)
    if is_smoothed:
        smoothed = running_mean(values, len(values) // 30)
        axes.plot(steps, smoothed, color=BLUE, linewidth=1.8, label="training (smoothed)")
    if len(validation[1]):
        _draw_validation(axes, validation)
        _mark_best(axes, validation, int(np.argmin(validation[1])), "{:.3g}".format, VERMILION)
    elif len(values):
        _mark_best(axes, training, int(np.argmin(values)), "{:.3g}".format, BLUE)
    axes.set_ylabel("loss")
    if needs_log_scale(values, validation[1]):
        use_log_scale(axes)


def _draw_accuracy(axes: Axes, accuracy: Points) -> None:
    _draw_validation(axes, accuracy)
    _mark_best(axes, accuracy, int(np.argmax(accuracy[1])), format_share, VERMILION)
    axes.set_ylabel("accuracy")
    use_percent_labels(axes)
    exclude_initial_transient(axes, [accuracy[1]], quantile=0.0)


def _draw_validation(axes: Axes, points: Points) -> None:
    axes.plot(*points, color=VERMILION, linewidth=1.8, marker="o", markersize=3, label="validation")


def _mark_best(axes: Axes, points: Points, best: int, to_text: Callable[[float], str], color: str) -> None:
    """Draw a ring at the best point; its value is in the legend, where no curve can cross it."""
    step, value = points[0][best], points[1][best]
    axes.plot(
        step, value, "o", label=f"best {to_text(value)} at step {step:,.0f}", linestyle="none",
        clip_on=False, markersize=10, markerfacecolor="none", markeredgecolor=color, markeredgewidth=1.6,
    )  # fmt: skip


def _mark_divergence(axes: Axes, metrics: Mapping[str, Array]) -> None:
    """Draw a vertical line at the first step whose training loss is NaN or Inf."""
    diverged = metrics["step"][~np.isfinite(metrics["train_loss"])]
    if len(diverged):
        label = f"NaN or Inf at step {diverged[0]:,.0f}"
        axes.axvline(diverged[0], color="black", linestyle="--", linewidth=1.0, label=label)
