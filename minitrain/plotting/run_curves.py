"""The curves of one run, drawn from its files: it works for a run that is going on, or was killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minitrain.plotting.figures import (
    BLUE,
    SKY,
    VERMILION,
    focus,
    log_helps,
    log_scale,
    new_figure,
    percent,
    save_figures,
    shortened,
    smooth,
    whole_steps,
)
from minitrain.storage.metrics_file import finite_points, read_metrics
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_run(directory: Path, title: str, note: str = "") -> Path:
    """loss.png and loss.svg of one run; gives the path of the first.

    Training loss raw and smoothed, validation loss, and validation accuracy beside them where there is one; the
    best point of each is marked. `note` is a line under the title.
    """
    metrics = read_metrics(directory)
    accuracy_steps, accuracy = finite_points(metrics, "val_accuracy")
    panels = 2 if len(accuracy) else 1
    width = 5.2 * panels + 0.6
    figure = new_figure(width, 4.1)
    # Fixed margins: a layout engine would take as long as the drawing.
    figure.subplots_adjust(left=0.8 / width, right=1 - 0.25 / width, bottom=0.13, top=0.86, wspace=0.24)
    panes: Any = figure.subplots(1, panels, squeeze=False)[0]

    steps, train = finite_points(metrics, "train_loss")
    val_steps, val = finite_points(metrics, "val_loss")
    few = len(train) < 60
    # A curve of a few points shows each: a line through one would be nothing.
    style = {"alpha": 1.0, "marker": "." if len(train) < 20 else ""} if few else {"alpha": 0.5}
    panes[0].plot(steps, train, color=SKY, linewidth=1.0, label="training, each step logged", **style)
    if not few:
        panes[0].plot(steps, smooth(train, len(train) // 30), color=BLUE, linewidth=1.8, label="training, smoothed")
    if len(val):
        _with_best(panes[0], val_steps, val, int(np.argmin(val)), "validation", "{:.3g}")
    elif len(train):
        _mark(panes[0], steps, train, int(np.argmin(train)), "{:.3g}", BLUE)
    panes[0].set_ylabel("loss")
    if log_helps(train, val):
        log_scale(panes[0])
    if len(accuracy):
        _with_best(panes[1], accuracy_steps, accuracy, int(np.argmax(accuracy)), "validation", "{:.1%}")
        panes[1].set_ylabel("accuracy")
        percent(panes[1])
        focus(panes[1], [accuracy], leave_out=0.0)
    for step in metrics["step"][~np.isfinite(metrics["train_loss"])][:1]:
        panes[0].axvline(step, color="black", linestyle="--", linewidth=1.0, label=f"not finite at step {step:,.0f}")
    for pane in panes:
        end = max(metrics["step"].max(initial=0), 1)
        pane.set_xlim(-0.02 * end, 1.02 * end)
        whole_steps(pane)
        pane.set_xlabel("step")
        pane.grid(alpha=0.25, linewidth=0.6)
        if pane.get_legend_handles_labels()[0]:
            pane.legend(frameon=False, fontsize=8, loc="best" if pane is panes[0] else "lower right")
    heading = [shortened(title, int(width * 9))] if title else []
    figure.suptitle("\n".join([*heading, shortened(note, int(width * 9))] if note else heading), fontsize=11)
    return save_figures(figure, directory, "loss")


def _with_best(axes: Axes, steps: Array, values: Array, best: int, label: str, number: str) -> None:
    axes.plot(steps, values, color=VERMILION, linewidth=1.8, marker="o", markersize=3, label=label)
    _mark(axes, steps, values, best, number, VERMILION)


def _mark(axes: Axes, steps: Array, values: Array, best: int, number: str, color: str) -> None:
    """A ring at the best point, and its value in the legend, where no curve can cross it."""
    text = f"best {number.format(values[best])} at step {steps[best]:,.0f}"
    axes.plot(
        steps[best], values[best], "o", label=text, linestyle="none", clip_on=False,
        markersize=10, markerfacecolor="none", markeredgecolor=color, markeredgewidth=1.6,
    )  # fmt: skip
