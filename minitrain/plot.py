"""Figures, drawn from the files of a run: they work for a run that is going on, or was killed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minitrain.autograd.primitives import Array
from minitrain.record import read_metrics, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours (2008), which colour-blind people can tell apart.
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
)
GREY = "#8c8c8c"
NAMES = {"train_loss": "training loss", "val_loss": "validation loss", "val_accuracy": "validation accuracy"}


def new_figure(width: float, height: float) -> Figure:
    # Not pyplot: no global state, no display, and a third of its start-up.
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "minitrain"  # equal figures give equal bytes
    rcParams["axes.spines.top"] = rcParams["axes.spines.right"] = False
    return Figure(figsize=(width, height), dpi=120)


def save_figure(figure: Figure, path: Path) -> None:
    metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {}
    write_atomically(
        path, lambda file: figure.savefig(file, format=path.suffix[1:], metadata=metadata, facecolor="white")
    )


def smooth(values: Array) -> Array:
    """A running mean over about a thirtieth of the curve on each side; less near its ends, as much on either side."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    reach = np.minimum(np.minimum(at, at[::-1]), len(values) // 30)
    low, high = at - reach, at + reach + 1
    return np.asarray((total[high] - total[low]) / (high - low))


def known(metrics: dict[str, Array], name: str) -> tuple[Array, Array]:
    """Steps and finite values of one metric."""
    values = metrics.get(name, np.empty(0))
    known = np.isfinite(values)
    return metrics["step"][: len(values)][known], values[known]


def log_helps(*curves: Array) -> bool:
    """Whether positive values span more than a decade and a half."""
    values = np.concatenate([np.empty(0), *curves])
    return bool(len(values) > 1 and values.min() > 0 and values.max() / values.min() > 30)


def whole_steps(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))


def log_scale(axes: Axes) -> None:
    """A log axis with plain numbers: 0.01, not a power."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def percent(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")


def draw_run(directory: Path, title: str, note: str = "") -> Path:
    """loss.png and loss.svg of one run; gives the path of the first.

    Training loss raw and smoothed, validation loss, and validation accuracy beside them where there is one; the
    best point of each is marked. `note` is a line under the title.
    """
    metrics = read_metrics(directory)
    accuracy_steps, accuracy = known(metrics, "val_accuracy")
    panels = 2 if len(accuracy) else 1
    width = 5.2 * panels + 0.6
    figure = new_figure(width, 4.1)
    # Fixed margins: a layout engine would take as long as the drawing.
    figure.subplots_adjust(left=0.8 / width, right=1 - 0.25 / width, bottom=0.13, top=0.86, wspace=0.24)
    panes: Any = figure.subplots(1, panels, squeeze=False)[0]

    steps, train = known(metrics, "train_loss")
    val_steps, val = known(metrics, "val_loss")
    few = len(train) < 60
    # A curve of a few points shows each: a line through one would be nothing.
    style = {"alpha": 1.0, "marker": "." if len(train) < 20 else ""} if few else {"alpha": 0.5}
    panes[0].plot(steps, train, color=SKY, linewidth=1.0, label="training, each step logged", **style)
    if not few:
        panes[0].plot(steps, smooth(train), color=BLUE, linewidth=1.8, label="training, smoothed")
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
        _focus(panes[1], [accuracy], leave_out=0.0)
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
    save_figure(figure, directory / "loss.png")
    save_figure(figure, directory / "loss.svg")
    return directory / "loss.png"


def shortened(text: str, width: int) -> str:
    """A heading in a line of so many characters; the end of a longer one is left out."""
    return text if len(text) <= width else text[: width - 1] + "…"


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


@dataclass(frozen=True)
class Curve:
    """One line of a comparison: the runs that differ in their seed alone."""

    label: str
    runs: list[dict[str, Array]]  # metrics.csv of each
    diverged: int = 0


COLORS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, "#000000", YELLOW)
STYLES = ("-", "--", ":")
LABELLED = len(COLORS) * len(STYLES) // 2


def common_metric(curves: Sequence[Curve]) -> str:
    """What to compare runs by: validation accuracy where every run has it, else validation loss, else training loss."""
    runs = [run for curve in curves for run in curve.runs]
    for metric in ("val_accuracy", "val_loss"):
        if runs and all(len(known(run, metric)[0]) for run in runs):
            return metric
    return "train_loss"


def draw_comparison(curves: Sequence[Curve], path: Path, title: str) -> None:
    """Validation curves of several runs over each other, the best first in the legend.

    A line is the mean over seeds, its band their range. The metric is validation accuracy where every run has
    it, else validation loss, else training loss. Beyond a dozen curves only the best are coloured.
    """
    metric = common_metric(curves)
    sign = -1.0 if metric == "val_accuracy" else 1.0
    number = "{:.1%}" if metric == "val_accuracy" else "{:.3g}"
    drawn = []
    for curve in curves:
        steps, low, mean, high = _band(curve.runs, metric)
        if len(mean):
            drawn.append((sign * mean[-1], curve, steps, low, mean, high))
    drawn.sort(key=lambda entry: entry[0])

    shown = min(len(drawn), LABELLED)
    figure = new_figure(9.6, max(4.2, 1.4 + 0.21 * shown))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    for rank, (_, curve, steps, low, mean, high) in reversed(list(enumerate(drawn))):
        if rank >= LABELLED:
            axes.plot(steps, mean, color=GREY, alpha=0.35, linewidth=0.8)
            continue
        color, style = COLORS[rank % len(COLORS)], STYLES[rank // len(COLORS)]
        if len(curve.runs) > 1:
            axes.fill_between(steps, low, high, color=color, alpha=0.13, linewidth=0)
        label = f"{number.format(mean[-1])}  {curve.label}"
        if curve.diverged:
            label += f"  ({curve.diverged} diverged)"
        axes.plot(steps, mean, color=color, linestyle=style, linewidth=1.7, label=label)
    lost = [curve for curve in curves if curve.label not in {entry[1].label for entry in drawn}]
    for curve in lost:
        axes.plot([], [], color="none", label=f"diverged  {curve.label}")
    means = [entry[4] for entry in drawn]
    if metric == "val_accuracy":
        percent(axes)
        _focus(axes, [*means, *(high[-1:] for *_, high in drawn)], leave_out=0.15 if len(drawn) > 3 else 0.0)
    elif log_helps(*means):
        log_scale(axes)
    axes.set_xlabel("step")
    axes.set_ylabel(NAMES[metric])
    axes.grid(alpha=0.25, linewidth=0.6)
    handles, labels = axes.get_legend_handles_labels()
    named = len(labels) - len(lost)
    order = [*reversed(range(named)), *range(named, len(labels))]
    seeds = max((len(curve.runs) for curve in curves), default=1)
    heading = "at the end, mean of seeds" if seeds > 1 else "at the end"
    if shown < len(drawn):
        heading += f"; the best {shown} of {len(drawn)}, others grey"
    axes.legend(
        [handles[i] for i in order], [labels[i] for i in order], title=heading, fontsize=8, title_fontsize=8,
        frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0), alignment="left",
    )  # fmt: skip
    whole_steps(axes)
    axes.set_title(shortened(title, 75), fontsize=11)
    save_figure(figure, path)


def _band(runs: list[dict[str, Array]], metric: str) -> tuple[Array, Array, Array, Array]:
    """Steps that all runs have, and the least, mean and largest value there."""
    curves = [known(run, metric) for run in runs]
    if not curves:
        return (np.empty(0),) * 4
    steps = curves[0][0]
    for other, _ in curves[1:]:
        steps = np.intersect1d(steps, other)
    values = np.array([v[np.isin(s, steps)] for s, v in curves])
    return steps, values.min(axis=0), values.mean(axis=0), values.max(axis=0)


def _focus(axes: Axes, means: list[Array], leave_out: float) -> None:
    """Leave the first climb out of sight: it would press all the rest together at the top."""
    if max(map(len, means)) < 2:
        axes.set_ylim(0, 1)
        return
    after = np.concatenate([mean[1:] if len(mean) > 2 else mean for mean in means])
    if len(after):
        last = min(mean[-1] for mean in means)
        low, high = float(min(np.quantile(after, leave_out), last)), float(after.max())
        margin = max(high - low, 0.01) * 0.1
        axes.set_ylim(low - margin, high + margin)
