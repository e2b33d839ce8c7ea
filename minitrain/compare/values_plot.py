"""Scores of runs over one key: points with lines over a number, points with confidence intervals over names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minitrain.compare.comparison import Comparison, Group
from minitrain.compare.curves_plot import styles_of_values
from minitrain.compare.heatmap_plot import BestGroups, best_groups, best_over_note
from minitrain.compare.intervals import confidence_interval
from minitrain.compare.results import format_value, is_number
from minitrain.plotting.axes import (
    add_grid,
    labels_fit,
    scale_metric_axis,
    set_value_ticks,
    suits_log_axis,
)
from minitrain.plotting.figures import (
    MOST_LINES,
    Size,
    add_side_legend,
    legend_size,
    new_constrained_figure,
    set_heading,
    set_metric_label,
    set_panel_title,
    shorten,
)
from minitrain.plotting.palette import COLORS, LineStyle
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 4
MOST_NAMES = 24  # categories on the x-axis
MOST_SIDE_BY_SIDE = 7  # values of a second key within one category
SAMPLED_DIGITS = 4  # a number with so many significant digits was sampled rather than typed
ROOM = 0.8  # of the distance between two categories, which their points occupy
EDGE = 0.03  # of the height: the distance of a mark from the edge of the axes
LONGEST_LABEL = 24  # characters of a category
HEIGHT = 4.2  # inches


@dataclass(frozen=True)
class _Layout:
    """The keys of the figure: the x-axis, the colors, and the panels; None where no key is used."""

    x: str
    color: str | None
    panel: str | None


def draw_values(comparison: Comparison, title: str, size: Size | None = None) -> Figure | None:
    """Draw the score of each run as a point over a key, and the means.

    Over a number, lines join the means, unless the numbers were sampled. Over names, a bar shows each mean with its
    confidence interval. A second key that has few values has a color for each, a third one a panel for each; for all
    other keys, the best value is used. Diverged runs are marked at the edge that they left by.

    Returns:
        The figure; None if the groups are not ranked, or too few values vary.
    """
    layout = None if comparison.unranked else _numeric_layout(comparison) or _categorical_layout(comparison)
    if layout is None:
        return None
    best = best_groups(comparison, layout.x, layout.color, layout.panel)
    panels = comparison.values(layout.panel) if layout.panel else [""]
    styles: dict[str, LineStyle] = (
        styles_of_values(comparison, layout.color) if layout.color else {"": (COLORS[0], "-")}
    )
    legend_width = legend_size(list(styles), layout.color)[0] if layout.color else 0.0
    width, height = size or ((3.6 * len(panels) if layout.panel else 6.4) + 0.6 + legend_width, HEIGHT)
    figure = new_constrained_figure(width, height)
    axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    is_numeric = comparison.is_numeric(layout.x)
    draw_panel = _draw_numeric_panel if is_numeric else _draw_categorical_panel
    for pane, panel in zip(axes, panels, strict=True):
        of_panel = {key[:2]: group for key, group in best.items() if key[2] == format_value(panel)}
        draw_panel(pane, comparison, layout, of_panel, styles)
        if layout.panel:
            set_panel_title(pane, layout.panel, format_value(panel))
        pane.set_xlabel(layout.x)
        add_grid(pane)
    _set_x_axis(axes, comparison, layout.x, (width - legend_width - 1.0) / len(panels))
    scores = np.concatenate([group.scores for group in best.values()])
    scale_metric_axis(axes[0], comparison.ranking.metric, scores[np.isfinite(scores)])
    set_metric_label(axes[0], comparison.ranking.metric, height - 1.2, comparison.ranking.by)
    if layout.color:
        is_of_points = is_numeric and _is_sampled(comparison, layout.x)
        add_side_legend(axes[-1], list(styles), list(styles.values()), layout.color, is_of_points)
    set_heading(figure, title, [*comparison.notes, _note(comparison, layout)])
    return figure


# Layout


def _numeric_layout(comparison: Comparison) -> _Layout | None:
    """The numeric key with the most values on the x-axis; None if none has more than two."""
    sizes = {key: len(comparison.values(key)) for key in comparison.keys}
    numeric = [key for key in sizes if comparison.is_numeric(key) and sizes[key] > 2]
    if not numeric:
        return None
    x = max(numeric, key=lambda key: sizes[key])
    # Keys that vary with x, as in a zip, have a single point in each color; sampled points are not joined anyway.
    others = [key for key in sizes if key != x and (_is_sampled(comparison, x) or not _follows(comparison, key, x))]
    return _with_other_keys(comparison, x, others, MOST_LINES)


def _categorical_layout(comparison: Comparison) -> _Layout | None:
    """The key with the most values on the x-axis; None if these are too many, or two single runs."""
    sizes = {key: len(comparison.values(key)) for key in comparison.keys}
    candidates = [key for key in sizes if not comparison.is_numeric(key) and 1 < sizes[key] <= MOST_NAMES]
    if not candidates:
        return None
    x = max(candidates, key=lambda key: sizes[key])
    if sizes[x] == 2 and not comparison.has_repeats:
        return None
    others = [key for key in sizes if key != x and not _follows(comparison, key, x)]
    return _with_other_keys(comparison, x, others, MOST_SIDE_BY_SIDE)


def _with_other_keys(comparison: Comparison, x: str, others: Sequence[str], most: int) -> _Layout:
    """The keys with the most values that colors and panels can show."""
    sizes = {key: len(comparison.values(key)) for key in others}
    ordered = sorted((key for key in others if sizes[key] > 1), key=lambda key: -sizes[key])
    color = next((key for key in ordered if sizes[key] <= most), None)
    panel = next((key for key in ordered if key != color and sizes[key] <= MOST_PANELS), None)
    return _Layout(x, color, panel)


def _follows(comparison: Comparison, key: str, x: str) -> bool:
    """Whether each value of x occurs with a single value of the key."""
    pairs = {(format_value(group.values[x]), format_value(group.values[key])) for group in comparison.groups}
    return len(pairs) == len(comparison.values(x))


def _is_sampled(comparison: Comparison, key: str) -> bool:
    """Whether the values of a numeric key were drawn at random: most have many digits."""
    digits = [_significant_digits(value) for value in comparison.values(key) if isinstance(value, float)]
    return 2 * sum(count >= SAMPLED_DIGITS for count in digits) > len(comparison.values(key))


def _significant_digits(value: float) -> int:
    """The number of significant digits of a value as the user reads it.

    >>> [_significant_digits(value) for value in (0.05, 1500.0, 0.001234, 2.5e-07)]
    [1, 2, 4, 2]
    """
    return len(format_value(value).partition("e")[0].replace(".", "").strip("-0"))


# Drawing


def _draw_numeric_panel(
    pane: Axes, comparison: Comparison, layout: _Layout, best: BestGroups, styles: dict[str, LineStyle]
) -> None:
    """Draw the scores of groups over a number, and the line through their means if the numbers form a grid."""
    values = [value for value in comparison.values(layout.x) if is_number(value)]
    for name, (color, dashes) in styles.items():
        points = [(value, best[key]) for value in values if (key := (format_value(value), name)) in best]
        for value, group in points:
            _draw_runs(pane, [value] * len(group.runs), value, group, color)
        known = [(value, group.mean) for value, group in points if not math.isnan(group.mean)]
        if not _is_sampled(comparison, layout.x):
            x, means = [value for value, _ in known], [mean for _, mean in known]
            pane.plot(x, means, color=color, linestyle=dashes, linewidth=1.7)


def _draw_categorical_panel(
    pane: Axes, comparison: Comparison, layout: _Layout, best: BestGroups, styles: dict[str, LineStyle]
) -> None:
    """Draw the scores of groups over names, side by side if there are several, with means and confidence intervals."""
    width = ROOM / len(styles)
    for place, value in enumerate(comparison.values(layout.x)):
        for i, (name, (color, _)) in enumerate(styles.items()):
            group = best.get((format_value(value), name))
            if group is not None:
                center = place + (i + 0.5) * width - ROOM / 2
                spread = np.linspace(-0.2, 0.2, len(group.runs)) if len(group.runs) > 1 else np.zeros(1)
                _draw_runs(pane, (center + spread * width).tolist(), center, group, color)
                _draw_interval(pane, center, width, group, color)


def _draw_runs(pane: Axes, x: Sequence[float], center: float, group: Group, color: object) -> None:
    """Draw the score of each run, and a cross at the edge if runs diverged: losses grow, accuracies fall."""
    pane.plot(x, group.scores, "o", color=color, alpha=0.7, markersize=4, markeredgewidth=0)
    if group.count(Status.DIVERGED):
        edge = EDGE if Metric.named(group.ranking.metric).higher_is_better else 1 - EDGE
        pane.plot(
            center, edge, "x", color=color, markersize=7, markeredgewidth=1.8, transform=pane.get_xaxis_transform()
        )


def _draw_interval(pane: Axes, center: float, width: float, group: Group, color: object) -> None:
    """Draw the mean as a horizontal bar, and its confidence interval as a vertical one."""
    if math.isnan(group.mean) or len(group.runs) == 1:
        return
    reach = 0.3 * width
    pane.plot([center - reach, center + reach], [group.mean] * 2, color=color, linewidth=2.2)
    low, high = confidence_interval(group.scores[~np.isnan(group.scores)])
    if Metric.named(group.ranking.metric).is_share:
        low, high = max(low, 0.0), min(high, 1.0)
    if low < high:
        pane.errorbar(
            center, group.mean, [[group.mean - low], [high - group.mean]], color=color, linewidth=1.4, capsize=4
        )


def _set_x_axis(axes: Sequence[Axes], comparison: Comparison, key: str, inches: float) -> None:
    """Scale the x-axis, and label every value if the labels do not overlap; names that do are rotated."""
    labels = [shorten(format_value(value), LONGEST_LABEL) for value in comparison.values(key)]
    if comparison.is_numeric(key):
        numbers = [value for value in comparison.values(key) if is_number(value)]
        set_value_ticks(axes[0], numbers, labels, suits_log_axis(key, numbers), inches)
        return
    places = np.arange(len(labels), dtype=np.float64)
    axes[0].set_xticks(places, labels)
    axes[0].set_xlim(-0.6, len(labels) - 0.4)
    if not labels_fit(places, labels, inches * (len(labels) - 1) / (len(labels) + 0.2)):
        for pane in axes:
            pane.tick_params(axis="x", rotation=90)


def _note(comparison: Comparison, layout: _Layout) -> str:
    note = "points: runs"
    if comparison.is_numeric(layout.x):
        is_joined = comparison.has_repeats and not _is_sampled(comparison, layout.x)
        note += f", lines: means of {comparison.repeats}" if is_joined else ""
    elif comparison.has_repeats:
        note += f", bars: means of {comparison.repeats} with 95% confidence intervals"
    note += ", ×: diverged" if any(run.status is Status.DIVERGED for run in comparison.results) else ""
    return note + best_over_note(comparison, layout.x, layout.color, layout.panel)
