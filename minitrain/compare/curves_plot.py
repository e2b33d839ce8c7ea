"""Curves of runs over each other: a line for each group of runs, the mean and a band."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minitrain.compare.comparison import Comparison, Group
from minitrain.compare.results import Result, form, is_number, value_of
from minitrain.errors import ConfigError
from minitrain.plotting.figures import (
    COLORS,
    MOST_LINES,
    focus,
    head,
    legend_beside,
    log_helps,
    log_scale,
    named_colors,
    new_figure,
    ordered_colors,
    percent,
    shortened,
    smooth,
    title_of,
    whole_steps,
)
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST_PANELS = 9


MOST_POINTS = 1000  # of a line: a figure has no more pixels


@dataclass(frozen=True)
class View:
    """How curves are shown.

    x: step or epoch; log: whether the metric's axis is logarithmic, None to see from the values
    smooth: points on each side that a running mean takes in
    """

    x: str = "step"
    log: bool | None = None
    smooth: int = 0


@dataclass(frozen=True)
class Line:
    """What is drawn of a group: x [points], and mean - deviation, mean, mean + deviation there."""

    group: Group
    x: Array
    low: Array
    mean: Array
    high: Array


def draw_curves(comparison: Comparison, title: str, view: View) -> Figure:
    """A line for each group, the mean of its runs, and a band of one deviation on either side.

    One key colours the lines; a second one that has few values makes a panel of each; groups of more keys are named.
    On a logarithmic axis mean and deviation are of the logarithms.
    """
    metric = comparison.judge.metric
    color_key, panel_key = _roles(comparison)
    panels = _panels(comparison, panel_key)
    shown = [_readable(groups) for groups in panels]
    values = [run.curve(metric)[1] for groups in shown for group in groups for run in group.runs]
    is_log = view.log if view.log is not None else not Metric.named(metric).is_share and log_helps(*values)
    lines = [[line_of(group, metric, view, is_log) for group in groups] for groups in shown]

    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    width = 4.0 * columns + 2.4 if columns > 1 else 8.4 if color_key else 9.6
    figure = new_figure(width, max(4.2, 3.0 * rows + 0.9, 0 if color_key else 1.4 + 0.21 * len(shown[0])))
    figure.set_layout_engine("constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    name = _name_by(color_key)
    colors = _colors(comparison, color_key, shown[0])
    for pane, of_panel, groups in zip(axes.flat, lines, panels, strict=False):
        for line in reversed([line for line in of_panel if len(line.x)]):
            color, style = colors[name(line.group)]
            _draw_line(pane, line, color, style)
            if metric == "sharpness":
                _mark_edge(pane, line.group, color)
        if panel_key is not None:
            pane.set_title(f"{panel_key}={shortened(form(groups[0].values[panel_key]), 30)}", fontsize=10)
            _tell_diverged(pane, groups, color_key)
        pane.grid(alpha=0.25, linewidth=0.6)
    _set_axes(axes, len(panels), metric, [line for panel in lines for line in panel], view, is_log)
    used = {name(group) for groups in shown for group in groups}
    entries = {each: color for each, color in colors.items() if each in used}
    if panel_key is None:
        _legend_of_groups(axes[0, -1], comparison, shown[0], [entries[name(group)] for group in shown[0]])
    else:
        legend_beside(axes[0, -1], list(entries), list(entries.values()), str(color_key))
    head(figure, title, _notes(comparison, panels, shown, view, is_log))
    return figure


def _roles(comparison: Comparison) -> tuple[str | None, str | None]:
    """The keys that colour the lines, and that make the panels; None, None where lines have to be named."""
    sizes = {key: len(comparison.values(key)) for key in comparison.keys}

    def colors_well(key: str) -> bool:
        return comparison.is_numeric(key) or sizes[key] <= len(COLORS)

    if len(sizes) == 1:
        (key,) = sizes
        return (key, None) if colors_well(key) else (None, None)
    if len(sizes) == 2:
        first, second = sorted(sizes, key=lambda key: (not comparison.is_numeric(key), -sizes[key]))
        for color, panel in ((first, second), (second, first)):
            if colors_well(color) and sizes[panel] <= MOST_PANELS:
                return color, panel
    return None, None


def _panels(comparison: Comparison, key: str | None) -> list[list[Group]]:
    """The groups of each panel, the best first."""
    if key is None:
        return [comparison.groups]
    return [
        [group for group in comparison.groups if form(group.values[key]) == form(value)]
        for value in comparison.values(key)
    ]


def _readable(groups: Sequence[Group]) -> list[Group]:
    """All groups, or of many the best, the worst, and some between; the best first."""
    if len(groups) <= MOST_LINES:
        return list(groups)
    return [groups[i] for i in np.unique(np.linspace(0, len(groups) - 1, MOST_LINES).round().astype(int))]


def line_of(group: Group, metric: str, view: View, is_log: bool) -> Line:
    """The group's line where all of its runs have a value; those that diverged are left out."""
    runs = [run for run in group.runs if run.status != "diverged" and len(run.curve(metric)[0])]
    curves = [run.curve(metric) for run in runs]
    if not curves:
        return Line(group, *(np.empty(0),) * 4)
    steps = curves[0][0]
    for other, _ in curves[1:]:
        steps = np.intersect1d(steps, other)
    smoothed = [(at, smooth(of_run, view.smooth) if view.smooth else of_run) for at, of_run in curves]
    values = np.array([of_run[np.isin(at, steps)] for at, of_run in smoothed])
    every = math.ceil(len(steps) / MOST_POINTS)
    x, values = steps[::every], values[:, ::every]
    if is_log:
        values = np.log(np.where(values > 0, values, np.nan))
    with np.errstate(over="ignore"):  # the square of 1e200
        mean, deviation = values.mean(axis=0), values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(x))
    bounds = (np.exp(v) if is_log else v for v in (mean - deviation, mean, mean + deviation))
    return Line(group, x / _steps_per_epoch(runs) if view.x == "epoch" else x, *bounds)


def _steps_per_epoch(runs: Sequence[Result]) -> float:
    """What runs of one line share; one that does not tell, as it goes on, is taken to be like the others."""
    told = {run.steps_per_epoch: run for run in runs if not math.isnan(run.steps_per_epoch)}
    if not told:
        raise ConfigError(f"--x epoch: {runs[0].directory} does not tell how long an epoch is; use --x step")
    if len(told) > 1:
        (one, first), (other, second) = list(told.items())[:2]
        lengths = f"{one:g} steps in {first.directory}, {other:g} in {second.directory}"
        raise ConfigError(f"--x epoch: epochs of one line differ, {lengths}; use --x step, or --group-by what differs")
    (length,) = told
    return length


def _name_by(key: str | None) -> Callable[[Group], str]:
    """What tells groups of one panel apart: the value of a key, or all they have."""
    return (lambda group: group.label) if key is None else (lambda group: form(group.values[key]))


def _colors(comparison: Comparison, key: str | None, groups: Sequence[Group]) -> dict[str, tuple[Any, str]]:
    """Name -> colour and line style: ordered colours for numbers."""
    if key is None:
        return dict(zip([group.label for group in groups], named_colors(len(groups)), strict=True))
    return value_colors(comparison, key)


def value_colors(comparison: Comparison, key: str) -> dict[str, tuple[Any, str]]:
    """Value of a key -> colour and line style: ordered colours for numbers."""
    values = comparison.values(key)
    ordered = [(color, "-") for color in ordered_colors(values)] if comparison.is_ordered(key) else None
    return dict(zip(map(form, values), ordered or named_colors(len(values)), strict=True))


def _draw_line(pane: Axes, line: Line, color: Any, style: str) -> None:
    if len(line.group.runs) > 1:
        pane.fill_between(line.x, line.low, line.high, color=color, alpha=0.15, linewidth=0)
    few: dict[str, Any] = {"marker": "o", "markersize": 3} if len(line.x) < 3 else {}
    pane.plot(line.x, line.mean, color=color, linestyle=style, linewidth=1.7, **few)


def _mark_edge(pane: Axes, group: Group, color: Any) -> None:
    """2 / lr, where the sharpness of plain gradient descent comes to stay (Cohen et al. 2021)."""
    rates = {run.config.get("lr") for run in group.runs if value_of(run, "optimizer") == "sgd"}
    if len(rates) == 1 and is_number(rate := rates.pop()) and rate:
        pane.axhline(2 / rate, color=color, linestyle=":", linewidth=1.2)


def _set_axes(axes: Any, panels: int, metric: str, lines: Sequence[Line], view: View, is_log: bool) -> None:
    """Scales and names of the axes; all panes share them."""
    columns = axes.shape[1]
    for pane in list(axes.flat)[panels:]:
        pane.set_visible(False)
    for column in range(columns):
        lowest = axes[(panels - 1 - column) // columns, column]
        lowest.set_xlabel(view.x)
        lowest.tick_params(labelbottom=True)
    for row in axes:
        row[0].set_ylabel(title_of(metric))
    if view.x == "step":
        whole_steps(axes[0, 0])
    drawn = [line for line in lines if len(line.x)]
    if is_log:
        log_scale(axes[0, 0])
    elif Metric.named(metric).is_share:
        percent(axes[0, 0])
        if drawn:
            leave_out = 0.15 if len(drawn) > 3 else 0.0
            focus(axes[0, 0], [curve for line in drawn for curve in (line.mean, line.high)], leave_out)


def _tell_diverged(pane: Axes, groups: Sequence[Group], key: str | None) -> None:
    """In a corner, the values of a panel whose runs diverged."""
    lost = [
        form(group.values[key]) + ("" if count == len(group.runs) else f" ({count} of {len(group.runs)})")
        for group in groups
        if key is not None and (count := group.count(Status.DIVERGED))
    ]
    if lost:
        text = shortened(f"diverged: {key}={', '.join(lost)}", 44)
        pane.annotate(
            text, (1, 0), (-4, 4), xycoords="axes fraction", textcoords="offset points", ha="right", fontsize=8,
            color="#555555",
        )  # fmt: skip


def _legend_of_groups(
    pane: Axes, comparison: Comparison, groups: Sequence[Group], colors: Sequence[tuple[Any, str]]
) -> None:
    """What each line comes to, and its values of the keys, which the title names."""
    labels, styles = [], []
    room = max(16, 60 // max(1, len(comparison.keys)))  # characters of a value
    for group, (color, style) in zip(groups, colors, strict=True):
        lost = group.count(Status.DIVERGED)
        has_value = not math.isnan(group.mean)
        told = (
            Metric.named(comparison.judge.metric).format(group.mean)
            if has_value
            else "diverged"
            if lost
            else "no value"
        )
        more = f"  ({lost} of {len(group.runs)} diverged)" if lost and has_value else ""
        values = ", ".join(shortened(form(value), room) for value in group.values.values()) or group.label
        labels.append(f"{told}  {values}{more}")
        styles.append((color if has_value else "none", style))
    repeated = ", mean over runs" if comparison.has_repeats else ""
    keys = f": {', '.join(comparison.keys)}" if comparison.keys else ""
    title = textwrap.fill(f"{comparison.judge.by} value{repeated}{keys}", 44, break_on_hyphens=False)
    legend_beside(pane, labels, styles, title)


def _notes(
    comparison: Comparison,
    panels: Sequence[Sequence[Group]],
    shown: Sequence[Sequence[Group]],
    view: View,
    is_log: bool,
) -> list[str]:
    notes = []
    if comparison.has_repeats:
        notes.append(f"{'geometric ' * is_log}mean over runs, band: one standard deviation")
    cut = [(len(some), len(every)) for some, every in zip(shown, panels, strict=True) if len(some) < len(every)]
    if cut:
        of = " of each panel" if len(panels) > 1 else ""
        notes.append(f"{cut[0][0]} of {cut[0][1]} lines{of}: the best, the worst, a sample between")
    if comparison.judge.metric == "sharpness":
        notes.append("dotted: 2 / lr")
    if view.smooth:
        notes.append(f"smoothed over {2 * view.smooth + 1} points")
    return notes
