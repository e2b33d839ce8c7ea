"""Curves of several runs in one figure: for each group of runs, a line for the mean and a band around it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from minitrain.compare.comparison import Comparison, Group
from minitrain.compare.results import Result, format_value, is_number, value_of
from minitrain.errors import ConfigError
from minitrain.plotting.figures import (
    COLORS,
    MOST_LINES,
    Color,
    Dashes,
    LineStyle,
    add_grid,
    add_side_legend,
    categorical_styles,
    edge_of_stability,
    evenly_spaced,
    exclude_initial_transient,
    metric_title,
    needs_log_scale,
    new_constrained_figure,
    running_mean,
    sequential_colors,
    set_heading,
    truncate,
    use_integer_ticks,
    use_log_scale,
    use_percent_labels,
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
    """How curves are displayed.

    Attributes:
        x: The unit of the x-axis: `step` or `epoch`.
        log: Whether the y-axis is logarithmic; None decides by the values.
        smooth: The number of points on each side that the running mean includes.
    """

    x: str = "step"
    log: bool | None = None
    smooth: int = 0


@dataclass(frozen=True)
class GroupCurve:
    """The line and the band of a group: x, mean - deviation, mean, mean + deviation: [points] each."""

    group: Group
    x: Array
    low: Array
    mean: Array
    high: Array


@dataclass(frozen=True)
class CurveLayout:
    """What is drawn where: a panel for each value of one key, colors by the values of another.

    Attributes:
        comparison: The groups of runs.
        view: How their curves are displayed.
        color_key: The key that colors represent; None if each group has a legend entry with all its values.
        panel_key: The key whose values have a panel each; None for a single panel.
    """

    comparison: Comparison
    view: View
    color_key: str | None
    panel_key: str | None

    @property
    def metric(self) -> str:
        """The metric that is drawn."""
        return self.comparison.ranking.metric

    @cached_property
    def panels(self) -> list[list[Group]]:
        """The groups of each panel, the best first."""
        groups, key = self.comparison.groups, self.panel_key
        if key is None:
            return [groups]
        return [
            [group for group in groups if format_value(group.values[key]) == format_value(value)]
            for value in self.comparison.values(key)
        ]

    @cached_property
    def drawn(self) -> list[list[Group]]:
        """The groups of each panel that are drawn: all, or the best, the worst and an evenly spaced sample."""
        return [[groups[i] for i in evenly_spaced(len(groups), MOST_LINES)] for groups in self.panels]

    @cached_property
    def is_log(self) -> bool:
        """Whether the y-axis is logarithmic."""
        if self.view.log is not None:
            return self.view.log
        values = [run.curve(self.metric)[1] for groups in self.drawn for group in groups for run in group.runs]
        return not Metric.named(self.metric).is_share and needs_log_scale(*values)

    @cached_property
    def curves(self) -> list[list[GroupCurve]]:
        """The curves of each panel."""
        return [[group_curve(group, self.metric, self.view, self.is_log) for group in groups] for groups in self.drawn]

    def name(self, group: Group) -> str:
        """The text that identifies a group within its panel."""
        return group.label if self.color_key is None else format_value(group.values[self.color_key])

    @cached_property
    def styles(self) -> dict[str, LineStyle]:
        """The color and line style of each name that is drawn."""
        if self.color_key is None:
            groups = self.drawn[0]
            return dict(zip([group.label for group in groups], categorical_styles(len(groups)), strict=True))
        names = {self.name(group) for groups in self.drawn for group in groups}
        styles = styles_of_values(self.comparison, self.color_key)
        return {name: style for name, style in styles.items() if name in names}


def draw_curves(comparison: Comparison, title: str, view: View) -> Figure:
    """Draw a line for the mean of each group, and a band of one standard deviation around it.

    One key determines the colors; a second one with few values has a panel for each value. With more keys, the legend
    lists the values of each group. On a log axis, mean and deviation are computed from logarithms.
    """
    layout = CurveLayout(comparison, view, *_color_and_panel_key(comparison))
    figure, axes = _new_figure(layout)
    for pane, curves, groups in zip(axes.flat, layout.curves, layout.panels, strict=False):
        _draw_panel(pane, layout, curves, groups)
    _set_axes(axes, layout)
    if layout.panel_key is None:
        _add_legend_of_groups(axes[0, -1], layout)
    else:
        add_side_legend(axes[0, -1], list(layout.styles), list(layout.styles.values()), str(layout.color_key))
    set_heading(figure, title, _notes(layout))
    return figure


def _color_and_panel_key(comparison: Comparison) -> tuple[str | None, str | None]:
    """The key for the colors and the key for the panels; None, None if each group needs its own legend entry."""
    sizes = {key: len(comparison.values(key)) for key in comparison.keys}

    def suits_colors(key: str) -> bool:
        return comparison.is_numeric(key) or sizes[key] <= len(COLORS)

    if len(sizes) == 1:
        (key,) = sizes
        return (key, None) if suits_colors(key) else (None, None)
    if len(sizes) == 2:
        first, second = sorted(sizes, key=lambda key: (not comparison.is_numeric(key), -sizes[key]))
        for color, panel in ((first, second), (second, first)):
            if suits_colors(color) and sizes[panel] <= MOST_PANELS:
                return color, panel
    return None, None


def styles_of_values(comparison: Comparison, key: str) -> dict[str, LineStyle]:
    """The color and line style of each value of a key; ordered values have sequential colors."""
    values = comparison.values(key)
    styles = categorical_styles(len(values))
    if comparison.is_ordered(key):
        styles = [(color, "-") for color in sequential_colors(values)]
    return dict(zip(map(format_value, values), styles, strict=True))


# Curves


def group_curve(group: Group, metric: str, view: View, is_log: bool) -> GroupCurve:
    """The mean and deviation over a group's runs at the steps that they share; diverged runs are excluded.

    Args:
        group: The runs.
        metric: The metric whose curves are averaged.
        view: The unit of x and the smoothing.
        is_log: Whether to average logarithms.

    Raises:
        ConfigError: `view.x` is `epoch`, and the runs have no common number of steps per epoch.
    """
    runs = [run for run in group.runs if run.status is not Status.DIVERGED and len(run.curve(metric)[0])]
    if not runs:
        return GroupCurve(group, *(np.empty(0),) * 4)
    x, values = _common_points([run.curve(metric) for run in runs], view.smooth)
    if is_log:
        values = np.log(np.where(values > 0, values, np.nan))
    with np.errstate(over="ignore"):  # the square of 1e200
        mean, deviation = values.mean(axis=0), values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(x))
    bounds = (np.exp(v) if is_log else v for v in (mean - deviation, mean, mean + deviation))
    return GroupCurve(group, x / _steps_per_epoch(runs) if view.x == "epoch" else x, *bounds)


def _common_points(curves: Sequence[tuple[Array, Array]], smooth: int) -> tuple[Array, Array]:
    """The steps that all curves share and the smoothed values there, thinned out: [points], [curves, points]."""
    common = curves[0][0]
    for steps, _ in curves[1:]:
        common = np.intersect1d(common, steps)
    smoothed = [(steps, running_mean(values, smooth) if smooth else values) for steps, values in curves]
    table = np.array([values[np.isin(steps, common)] for steps, values in smoothed])
    stride = math.ceil(len(common) / MOST_POINTS)
    return common[::stride], table[:, ::stride]


def _steps_per_epoch(runs: Sequence[Result]) -> float:
    """The epoch length that the runs of one line share; a run that has not recorded it is assumed to share it too."""
    run_of_length = {run.steps_per_epoch: run for run in runs if not math.isnan(run.steps_per_epoch)}
    if not run_of_length:
        raise ConfigError(f"--x epoch: {runs[0].directory} has not recorded its steps per epoch; use --x step")
    if len(run_of_length) > 1:
        (one, first), (other, second) = list(run_of_length.items())[:2]
        lengths = f"{one:g} steps in {first.directory}, {other:g} in {second.directory}"
        raise ConfigError(
            f"--x epoch: runs of one line have different epochs, {lengths}; use --x step, or --group-by the key that "
            "differs"
        )
    (length,) = run_of_length
    return length


# Drawing


def _new_figure(layout: CurveLayout) -> tuple[Figure, Any]:
    """The figure, and its axes as an array: [rows, columns]."""
    count = len(layout.panels)
    columns = 2 if count == 4 else min(count, 3)
    rows = math.ceil(count / columns)
    width = 4.0 * columns + 2.4 if columns > 1 else 8.4 if layout.color_key else 9.6
    legend_height = 0 if layout.color_key else 1.4 + 0.21 * len(layout.drawn[0])
    figure = new_constrained_figure(width, max(4.2, 3.0 * rows + 0.9, legend_height))
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)


def _draw_panel(pane: Axes, layout: CurveLayout, curves: Sequence[GroupCurve], groups: Sequence[Group]) -> None:
    for curve in reversed([curve for curve in curves if len(curve.x)]):  # the best above the others
        color, dashes = layout.styles[layout.name(curve.group)]
        _draw_curve(pane, curve, color, dashes)
        if layout.metric == "sharpness":
            _draw_edge_of_stability(pane, curve.group, color)
    if layout.panel_key is not None:
        value = format_value(groups[0].values[layout.panel_key])
        pane.set_title(f"{layout.panel_key}={truncate(value, 30)}", fontsize=10)
        _note_diverged(pane, groups, layout.color_key)
    add_grid(pane)


class _Marker(TypedDict, total=False):
    marker: str
    markersize: float


def _draw_curve(pane: Axes, curve: GroupCurve, color: Color, dashes: Dashes) -> None:
    if len(curve.group.runs) > 1:
        pane.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
    marker: _Marker = {"marker": "o", "markersize": 3} if len(curve.x) < 3 else {}
    pane.plot(curve.x, curve.mean, color=color, linestyle=dashes, linewidth=1.7, **marker)


def _draw_edge_of_stability(pane: Axes, group: Group, color: Color) -> None:
    """Draw 2 / lr if the group was trained by plain gradient descent with one learning rate."""
    rates = {run.config.get("lr") for run in group.runs if value_of(run, "optimizer") == "sgd"}
    if len(rates) == 1 and is_number(rate := rates.pop()) and rate:
        pane.axhline(float(edge_of_stability(np.asarray(rate, np.float64))), color=color, linestyle=":", linewidth=1.2)


def _note_diverged(pane: Axes, groups: Sequence[Group], key: str | None) -> None:
    """List in a corner the values of a key whose runs diverged."""
    diverged = []
    for group in groups:
        count = group.count(Status.DIVERGED)
        if key is not None and count:
            share = "" if count == len(group.runs) else f" ({count} of {len(group.runs)})"
            diverged.append(format_value(group.values[key]) + share)
    if diverged:
        text = truncate(f"diverged: {key}={', '.join(diverged)}", 44)
        pane.annotate(
            text, (1, 0), (-4, 4), xycoords="axes fraction", textcoords="offset points", ha="right", fontsize=8,
            color="#555555",
        )  # fmt: skip


def _set_axes(axes: Any, layout: CurveLayout) -> None:
    """Set the scales and labels of the axes, which all panels share."""
    count, columns = len(layout.panels), axes.shape[1]
    for pane in list(axes.flat)[count:]:
        pane.set_visible(False)
    for column in range(columns):
        lowest = axes[(count - 1 - column) // columns, column]
        lowest.set_xlabel(layout.view.x)
        lowest.tick_params(labelbottom=True)
    for row in axes:
        row[0].set_ylabel(metric_title(layout.metric))
    if layout.view.x == "step":
        use_integer_ticks(axes[0, 0])
    if layout.is_log:
        use_log_scale(axes[0, 0])
    elif Metric.named(layout.metric).is_share:
        use_percent_labels(axes[0, 0])
        _limit_share_axis(axes[0, 0], [curve for panel in layout.curves for curve in panel if len(curve.x)])


def _limit_share_axis(pane: Axes, curves: Sequence[GroupCurve]) -> None:
    """Exclude the initial rise of accuracies from the y-range; with several curves, also the lowest values."""
    if curves:
        quantile = 0.15 if len(curves) > 3 else 0.0
        exclude_initial_transient(pane, [y for curve in curves for y in (curve.mean, curve.high)], quantile)


def _add_legend_of_groups(pane: Axes, layout: CurveLayout) -> None:
    """Add a legend with each group's score and its values of the keys, which the title of the legend names."""
    comparison = layout.comparison
    width = max(16, 60 // max(1, len(comparison.keys)))  # characters of a value
    labels: list[str] = []
    styles: list[LineStyle] = []
    for group in layout.drawn[0]:
        color, dashes = layout.styles[layout.name(group)]
        diverged = group.count(Status.DIVERGED)
        has_score = not math.isnan(group.mean)
        values = ", ".join(truncate(format_value(value), width) for value in group.values.values()) or group.label
        more = f"  ({diverged} of {len(group.runs)} diverged)" if diverged and has_score else ""
        labels.append(f"{score_text(group)}  {values}{more}")
        styles.append((color if has_score else "none", dashes))
    mean = ", mean over runs" if comparison.has_repeats else ""
    keys = f": {', '.join(comparison.keys)}" if comparison.keys else ""
    title = textwrap.fill(f"{comparison.ranking.by} value{mean}{keys}", 44, break_on_hyphens=False)
    add_side_legend(pane, labels, styles, title)


def score_text(group: Group) -> str:
    """The mean score of a group as text, or the reason that it has none."""
    if not math.isnan(group.mean):
        return Metric.named(group.ranking.metric).format(group.mean)
    return "diverged" if group.count(Status.DIVERGED) else "no value"


def _notes(layout: CurveLayout) -> list[str]:
    """The lines below the title, which explain what is drawn."""
    notes = []
    if layout.comparison.has_repeats:
        mean = "geometric mean" if layout.is_log else "mean"
        notes.append(f"{mean} over runs, band: one standard deviation")
    for drawn, panel in zip(layout.drawn, layout.panels, strict=True):
        if len(drawn) < len(panel):
            per_panel = " per panel" if len(layout.panels) > 1 else ""
            notes.append(f"{len(drawn)} of {len(panel)} lines drawn{per_panel}: the best, the worst, a sample between")
            break
    if layout.metric == "sharpness":
        notes.append("dotted: 2 / lr")
    if layout.view.smooth:
        notes.append(f"smoothed over {2 * layout.view.smooth + 1} points")
    return notes
