"""Curves of one run, drawn from its files alone, so that running and killed runs can be drawn too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minitrain.plotting.axes import (
    add_grid,
    exclude_initial_transient,
    fit_step_axis,
    needs_log_scale,
    use_log_scale,
    use_percent_labels,
)
from minitrain.plotting.figures import drawable_points, new_figure, own_style, save_figures, set_centered_heading
from minitrain.plotting.palette import BLUE, PALE_BLUE, VERMILION
from minitrain.plotting.smoothing import Smoothing
from minitrain.storage.metric import Metric, format_share
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import Best, read_summary
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST_SMOOTHED = 60  # points of a training curve that is smoothed
FEWEST_UNMARKED = 20  # points of a training curve that is a line without markers
MOST_MARKED = 40  # points of a validation curve that have markers
SMOOTHED_SHARE = 1 / 30  # of a training curve, on each side of a point

Points = tuple[Array, Array]  # steps and values: [points] each


@own_style()
def draw_run(directory: Path, title: str, note: str = "") -> Path:
    """Write loss.png and loss.svg of one run.

    The training loss is drawn raw and smoothed, the validation loss over it, and the validation accuracy, if it was
    logged, in a second panel. The step of the best checkpoint is marked as best in the panel of the monitored metric;
    another panel marks its own lowest or highest value.

    Args:
        directory: The directory of the run.
        title: The first line of the heading.
        note: The second line of the heading.

    Returns:
        The path of the PNG.
    """
    metrics = read_metrics(directory)
    accuracy = drawable_points(metrics, "val_accuracy")
    best = _best(directory, metrics)
    panels = 2 if len(accuracy[1]) else 1
    width = 5.2 * panels + 0.6
    figure = new_figure(width, 4.1)
    # The margins are fixed: a layout engine would take as long as the drawing.
    figure.subplots_adjust(left=0.8 / width, right=1 - 0.25 / width, bottom=0.13, top=0.86, wspace=0.24)
    panes: list[Axes] = list(figure.subplots(1, panels, squeeze=False)[0])

    _draw_loss(panes[0], metrics, best)
    if panels == 2:
        _draw_accuracy(panes[1], accuracy, best)
    _mark_divergence(panes[0], metrics)
    for pane in panes:
        fit_step_axis(pane, metrics["step"])
        pane.set_xlabel("step")
        add_grid(pane)
        if pane.get_legend_handles_labels()[0]:
            pane.legend(frameon=False, fontsize=8, loc="best" if pane is panes[0] else "lower right")
    set_centered_heading(figure, title, note)
    return save_figures(figure, directory, "loss")


def _best(directory: Path, metrics: Mapping[str, Array]) -> Best | None:
    """The best value that the summary states; without a summary, that of the metric that is monitored by default."""
    if (directory / "summary.json").exists():
        return read_summary(directory).best
    for name in ("val_accuracy", "val_loss", "train_loss"):
        steps, values = drawable_points(metrics, name)
        if len(values):
            index = _best_index(name, values)
            return Best(name, float(values[index]), int(steps[index]))
    return None


def _best_index(metric: str, values: Array) -> int:
    return int(values.argmax() if Metric.named(metric).higher_is_better else values.argmin())


def _draw_loss(axes: Axes, metrics: Mapping[str, Array], best: Best | None) -> None:
    training, validation = drawable_points(metrics, "train_loss"), drawable_points(metrics, "val_loss")
    is_log = needs_log_scale(training[1], validation[1])
    _draw_training(axes, training, is_log)
    if len(validation[1]):
        _draw_validation(axes, validation)
        _mark_best(axes, "val_loss", validation, best, "{:.3g}".format, VERMILION)
    elif len(training[1]):
        _mark_best(axes, "train_loss", training, best, "{:.3g}".format, BLUE)
    axes.set_ylabel("loss")
    if is_log:
        use_log_scale(axes)


def _draw_training(axes: Axes, points: Points, is_log: bool) -> None:
    """Draw the training loss, and over it a smoothed line if there are many points."""
    steps, values = points
    if len(values) < FEWEST_SMOOTHED:  # a line through a single point would be invisible
        marker = "." if len(values) < FEWEST_UNMARKED else ""
        axes.plot(steps, values, color=BLUE, linewidth=1.4, marker=marker, label="training")
        return
    smoothing = Smoothing(int(len(values) * SMOOTHED_SHARE))
    axes.plot(steps, values, color=PALE_BLUE, linewidth=0.8, label="training")
    smoothed = smoothing.apply(values, is_log)
    axes.plot(steps, smoothed, color=BLUE, linewidth=1.8, label=f"training, {smoothing.description}")


def _draw_accuracy(axes: Axes, accuracy: Points, best: Best | None) -> None:
    _draw_validation(axes, accuracy)
    _mark_best(axes, "val_accuracy", accuracy, best, format_share, VERMILION)
    axes.set_ylabel("accuracy")
    use_percent_labels(axes)
    if exclude_initial_transient(axes, [accuracy[1]], quantile=0.0):
        note = f"lower values, from {format_share(accuracy[1].min())}, are not shown"
        axes.set_title(note, loc="right", pad=2, fontsize=8, color="#555555")


def _draw_validation(axes: Axes, points: Points) -> None:
    marker = "o" if len(points[0]) <= MOST_MARKED else ""
    axes.plot(*points, color=VERMILION, linewidth=1.8, marker=marker, markersize=3, label="validation")


def _mark_best(
    axes: Axes, metric: str, points: Points, best: Best | None, to_text: Callable[[float], str], color: str
) -> None:
    """Draw a ring at the best point; its value is in the legend, where no curve can cross it.

    If another metric is monitored, the best checkpoint is another one, and the extreme is not called the best.
    """
    if best is not None and best.metric == metric:
        word, step, value = "best", float(best.step), best.value
    else:
        index = _best_index(metric, points[1])
        word = "highest" if Metric.named(metric).higher_is_better else "lowest"
        step, value = float(points[0][index]), float(points[1][index])
    axes.plot(
        step, value, "o", label=f"{word} {to_text(value)} at step {step:,.0f}", linestyle="none",
        clip_on=False, markersize=10, markerfacecolor="none", markeredgecolor=color, markeredgewidth=1.6,
    )  # fmt: skip


def _mark_divergence(axes: Axes, metrics: Mapping[str, Array]) -> None:
    """Draw a vertical line at the first step whose training loss is NaN or Inf."""
    diverged = metrics["step"][~np.isfinite(metrics["train_loss"])]
    if len(diverged):
        label = f"NaN or Inf at step {diverged[0]:,.0f}"
        axes.axvline(diverged[0], color="black", linestyle="--", linewidth=1.0, label=label)
