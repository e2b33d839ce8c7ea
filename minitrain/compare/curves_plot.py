"""Curves of several runs in one figure: for each group of runs, a line for the mean and a band around it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from minitrain.compare.comparison import Comparison, Group, are_ordered, known_values
from minitrain.compare.lines import GroupLine, View, line_of
from minitrain.compare.results import format_value, is_number, value_of
from minitrain.plotting.axes import (
    add_grid,
    exclude_initial_transient,
    needs_log_scale,
    suits_log_axis,
    text_size,
    use_integer_ticks,
    use_log_scale,
    use_percent_labels,
)
from minitrain.plotting.figures import (
    MOST_LINES,
    MOST_LISTED_NUMBERS,
    Size,
    add_side_legend,
    add_value_bar,
    edge_of_stability,
    evenly_spaced,
    legend_size,
    new_constrained_figure,
    set_heading,
    set_metric_label,
    set_panel_title,
    shorten,
    truncate,
)
from minitrain.plotting.palette import (
    COLORS,
    GRAY,
    MOST_STYLES,
    Color,
    Dashes,
    LineStyle,
    categorical_styles,
    sequential_colors,
)
from minitrain.storage.metric import Metric, format_share
from minitrain.storage.summary import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 9
MOST_BAR_LINES = 100  # lines in one panel whose colors a color bar explains


@dataclass(frozen=True)
class CurveLayout:
    """What is drawn where: a panel for each value of one key, colors by the values of another.

    Attributes:
        comparison: The groups of runs.
        view: How their curves are displayed.
        color_key: The key that colors represent; None if each group has its own color.
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
    def has_bar(self) -> bool:
        """Whether a color bar explains the colors: those of more numbers than a legend can list."""
        key = self.color_key
        if key is None or not self.comparison.is_numeric(key):
            return False
        return len(self.comparison.values(key)) > MOST_LISTED_NUMBERS

    @cached_property
    def drawn(self) -> list[list[Group]]:
        """The groups of each panel that are drawn: all, or the best, the worst and an evenly spaced sample."""
        most = MOST_BAR_LINES if self.has_bar else MOST_LINES
        return [[groups[i] for i in evenly_spaced(len(groups), most)] for groups in self.panels]

    @cached_property
    def is_log(self) -> bool:
        """Whether the y-axis is logarithmic."""
        if self.view.log is not None:
            return self.view.log
        values = [run.curve(self.metric)[1] for groups in self.drawn for group in groups for run in group.runs]
        return not Metric.named(self.metric).is_share and needs_log_scale(*values)

    @cached_property
    def lines(self) -> list[list[GroupLine]]:
        """The lines of each panel."""
        return [[line_of(group, self.metric, self.view, self.is_log) for group in groups] for groups in self.drawn]

    def name(self, group: Group) -> str:
        """The text that identifies the color of a group."""
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


def draw_curves(comparison: Comparison, title: str, view: View, size: Size | None = None) -> Figure:
    """Draw a line for the mean of each group, and a band of one standard deviation around it.

    One key determines the colors; a second one with few values has a panel for each value. With more keys, the legend
    lists the values of each group. On a log axis, the deviation is that of the logarithms.

    Args:
        comparison: The groups of runs.
        title: The heading.
        view: How curves are displayed.
        size: Width and height in inches; None for one that fits the panels and the legend.
    """
    layout = CurveLayout(comparison, view, *_color_and_panel_key(comparison))
    figure, axes = _new_figure(layout, size)
    for pane, lines, groups in zip(axes.flat, layout.lines, layout.panels, strict=False):
        _draw_panel(pane, layout, lines, groups)
    is_cropped = _set_axes(axes, layout)
    if layout.has_bar:
        key = str(layout.color_key)
        values = [value for value in comparison.values(key) if is_number(value)]
        add_value_bar(list(axes.flat)[: len(layout.panels)], key, values, suits_log_axis(key, values))
    else:
        add_side_legend(axes[0, -1], *_legend(layout))
    set_heading(figure, title, _notes(layout, is_cropped))
    return figure


def _color_and_panel_key(comparison: Comparison) -> tuple[str | None, str | None]:
    """The key for the colors and the key for the panels; None, None if each group needs its own legend entry."""
    sizes = {key: len(comparison.values(key)) for key in comparison.keys}

    def suits_colors(key: str) -> bool:
        return comparison.is_ordered(key) or sizes[key] <= MOST_STYLES

    # A key that determines all others: the only one, one of a zip, or a number that was sampled
    identifying = [key for key in sizes if sizes[key] == len(comparison.groups) and suits_colors(key)]
    if identifying:
        return min(identifying, key=lambda key: not comparison.is_numeric(key)), None
    if len(sizes) == 2:
        first, second = sorted(sizes, key=lambda key: (not comparison.is_numeric(key), -sizes[key]))
        for color, panel in ((first, second), (second, first)):
            if (comparison.is_numeric(color) or sizes[color] <= len(COLORS)) and sizes[panel] <= MOST_PANELS:
                return color, panel
    return None, None


def styles_of_values(comparison: Comparison, key: str) -> dict[str, LineStyle]:
    """The color and line style of each value of a key: sequential colors of ordered values, and gray for null."""
    values = comparison.values(key)
    known = known_values(values)
    if not known or not are_ordered(known):
        return dict(zip(map(format_value, values), categorical_styles(len(values)), strict=True))
    numbers = [value for value in known if is_number(value)]
    colors = sequential_colors(known, len(numbers) == len(known) and suits_log_axis(key, numbers))
    color_of = dict(zip(map(format_value, known), colors, strict=True))
    return {text: (color_of.get(text, GRAY), "-") for text in map(format_value, values)}


# Drawing


def _new_figure(layout: CurveLayout, size: Size | None) -> tuple[Figure, Any]:
    """The figure, and its axes as an array: [rows, columns]."""
    count = len(layout.panels)
    columns = 2 if count == 4 else min(count, 3)
    rows = math.ceil(count / columns)
    legend_width, legend_height = (1.0, 0.0) if layout.has_bar else legend_size(_legend(layout)[0], _legend(layout)[2])
    width = (3.6 * columns if columns > 1 else 5.6) + 0.8 + legend_width
    height = max(4.2, 3.0 * rows + 0.9, 1.0 + legend_height)
    figure = new_constrained_figure(*(size or (width, height)))
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)


def _draw_panel(pane: Axes, layout: CurveLayout, lines: Sequence[GroupLine], groups: Sequence[Group]) -> None:
    for line in reversed([line for line in lines if len(line.x)]):  # the best above the others
        color, dashes = layout.styles[layout.name(line.group)]
        _draw_line(pane, line, color, dashes)
        if layout.metric == "sharpness":
            _draw_edge_of_stability(pane, line.group, color)
    if layout.panel_key is not None:
        set_panel_title(pane, layout.panel_key, format_value(groups[0].values[layout.panel_key]))
        _note_diverged(pane, groups, layout.color_key)
    add_grid(pane)


class _Marker(TypedDict, total=False):
    marker: str
    markersize: float


def _draw_line(pane: Axes, line: GroupLine, color: Color, dashes: Dashes) -> None:
    if len(line.group.runs) > 1:
        pane.fill_between(line.x, line.low, line.high, color=color, alpha=0.15, linewidth=0)
    marker: _Marker = {"marker": "o", "markersize": 3} if len(line.x) < 3 else {}
    pane.plot(line.x, line.mean, color=color, linestyle=dashes, linewidth=1.7, **marker)


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
            text, (1, 0), (-4, 4), xycoords="axes fraction", textcoords="offset points", ha="right",
            fontsize=text_size(0.8), color="#555555",
        )  # fmt: skip


def _set_axes(axes: Any, layout: CurveLayout) -> bool:
    """Set the scales and labels of the axes, which all panels share; returns whether the y-axis is cropped."""
    count, columns = len(layout.panels), axes.shape[1]
    for pane in list(axes.flat)[count:]:
        pane.set_visible(False)
    for column in range(columns):
        lowest = axes[(count - 1 - column) // columns, column]
        lowest.set_xlabel(layout.view.x)
        lowest.tick_params(labelbottom=True)
    height = axes[0, 0].get_figure().get_figheight() / len(axes) - 1.2
    for row in axes:
        set_metric_label(row[0], layout.metric, height)
    if layout.view.x == "step":
        use_integer_ticks(axes[0, 0])
    if layout.is_log:
        use_log_scale(axes[0, 0])
    elif Metric.named(layout.metric).is_share:
        use_percent_labels(axes[0, 0])
        lines = [line for panel in layout.lines for line in panel if len(line.x)]
        if lines:
            # Several curves: the lowest of them may lie below the range, too.
            quantile = 0.15 if len(lines) > 3 else 0.0
            return exclude_initial_transient(
                axes[0, 0], [y for line in lines for y in (line.mean, line.low, line.high)], quantile
            )
    return False


def _legend(layout: CurveLayout) -> tuple[list[str], list[LineStyle], str]:
    """Labels, styles and title of the legend: with panels the values of a key, else the groups with their scores."""
    if layout.panel_key is not None:
        return list(layout.styles), list(layout.styles.values()), str(layout.color_key)
    comparison = layout.comparison
    width = max(16, 60 // max(1, len(comparison.keys)))  # characters of a value
    labels: list[str] = []
    styles: list[LineStyle] = []
    for group in layout.drawn[0]:
        color, dashes = layout.styles[layout.name(group)]
        diverged = group.count(Status.DIVERGED)
        has_score = not math.isnan(group.mean)
        values = ", ".join(shorten(format_value(value), width) for value in group.values.values()) or group.label
        more = f"  ({diverged} of {len(group.runs)} diverged)" if diverged and has_score else ""
        labels.append(f"{score_text(group)}  {values}{more}")
        styles.append((color if has_score else "none", dashes))
    mean = f", mean of {comparison.repeats}" if comparison.has_repeats else ""
    keys = f": {', '.join(comparison.keys)}" if comparison.keys else ""
    return labels, styles, textwrap.fill(f"{comparison.ranking.by} value{mean}{keys}", 44, break_on_hyphens=False)


def score_text(group: Group) -> str:
    """The mean score of a group as text, or the reason that it has none."""
    if not math.isnan(group.mean):
        return Metric.named(group.ranking.metric).format(group.mean)
    return "diverged" if group.count(Status.DIVERGED) else "no value"


def _notes(layout: CurveLayout, is_cropped: bool) -> list[str]:
    """The lines below the title, which explain what is drawn."""
    comparison, notes = layout.comparison, [*layout.comparison.notes]
    if comparison.has_repeats:
        deviation = "deviation of the logarithms" if layout.is_log else "deviation"
        notes.append(f"mean of {comparison.repeats}, band: one standard {deviation}")
    if layout.has_bar and (best := comparison.best):
        notes.append(f"best: {score_text(best)} with {best.label}")
    for drawn, panel in zip(layout.drawn, layout.panels, strict=True):
        if len(drawn) < len(panel):
            per_panel = " per panel" if len(layout.panels) > 1 else ""
            notes.append(f"{len(drawn)} of {len(panel)} lines drawn{per_panel}: the best, the worst, a sample between")
            break
    if ended := sum(line.ended for panel in layout.lines for line in panel):
        notes.append(
            f"{ended} of {len(comparison.results)} runs ended before others of their line and keep their last value"
        )
    if layout.metric == "sharpness":
        notes.append("dotted: 2 / lr")
    if layout.view.smoothing.reach:
        notes.append(f"lines: {layout.view.smoothing.description}; numbers are of the values themselves")
    if is_cropped:
        lowest = min(float(np.min(line.mean)) for panel in layout.lines for line in panel if len(line.x))
        notes.append(f"the y-axis is cropped: lower values, from {format_share(lowest)}, are not shown")
    return notes
