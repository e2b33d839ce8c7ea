"""Scores of runs against their keys: a heat map over two keys, and points with lines over one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minitrain.compare.comparison import Comparison, Group
from minitrain.compare.curves_plot import score_text, styles_of_values
from minitrain.compare.results import format_value, is_number
from minitrain.plotting.figures import (
    COLORS,
    MOST_LINES,
    ORANGE,
    LineStyle,
    add_grid,
    add_side_legend,
    is_log_spaced,
    metric_title,
    needs_log_scale,
    new_constrained_figure,
    scale_metric_axis,
    set_heading,
    truncate,
)
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

MOST_PANELS = 4
MOST_CELLS = 40  # of a heat map, in a row or a column
LONGEST_TICK_LABELS = 45  # characters below the axis, all labels together

BestGroups = dict[tuple[str, ...], Group]  # values of some keys as text -> the best group that has them


# Heat map


@dataclass(frozen=True)
class _HeatMap:
    """The cells of a heat map.

    Attributes:
        across: The key of the columns.
        down: The key of the rows.
        columns: The values of `across`.
        rows: The values of `down`.
        groups: The group of each cell: (row, column) -> group; cells without runs are missing.
        means: The score of each cell: [rows, columns]; nan where there is none.
    """

    across: str
    down: str
    columns: list[object]
    rows: list[object]
    groups: dict[tuple[int, int], Group]
    means: Array


def draw_heatmap(comparison: Comparison, title: str) -> Figure | None:
    """Draw the mean score over the two keys that have the most values; the best cell is outlined.

    For all other keys, the best value is used.

    Returns:
        The figure; None if fewer than two keys vary, no run has a score, a key has more than 40 values, or no column
        has two cells, as in a random search.
    """
    heat_map = _heat_map(comparison)
    if heat_map is None:
        return None
    columns, rows = len(heat_map.columns), len(heat_map.rows)
    figure = new_constrained_figure(max(5.2, 0.85 * columns + 3.2), max(3.0, 0.42 * rows + 1.9))
    pane = figure.subplots()
    higher_is_better = comparison.ranking.higher_is_better
    norm = _color_scale(heat_map.means, higher_is_better)
    image = pane.pcolormesh(heat_map.means, cmap="viridis" if higher_is_better else "viridis_r", norm=norm)
    for (i, j), group in sorted(heat_map.groups.items()):
        _draw_cell(pane, i, j, group, image)
    _outline_best(pane, heat_map.means, higher_is_better)
    _label_cells(pane, heat_map, comparison.is_numeric(heat_map.down))
    _add_color_bar(figure, pane, image, heat_map.means, comparison.ranking.metric)
    mean = ", mean over runs" if comparison.has_repeats else ""
    score = f"{comparison.ranking.by} {metric_title(comparison.ranking.metric)}"
    set_heading(figure, title, [f"{score}{mean}{_best_over_note(comparison, heat_map.across, heat_map.down)}"])
    return figure


def _heat_map(comparison: Comparison) -> _HeatMap | None:
    """The cells; None if a heat map would not be informative."""
    sizes = {key: len(comparison.values(key)) for key in comparison.keys}
    keys = sorted((key for key in sizes if sizes[key] > 1), key=lambda key: -sizes[key])[:2]
    if len(keys) < 2:
        return None
    across, down = sorted(keys, key=lambda key: (not comparison.is_numeric(key), -sizes[key]))
    columns, rows = comparison.values(across), comparison.values(down)
    best = _best_groups(comparison, across, down)
    if max(len(columns), len(rows)) > MOST_CELLS or max(Counter(column for column, _ in best).values()) < 2:
        return None
    means = np.full((len(rows), len(columns)), np.nan)
    groups = {}
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            group = best.get((format_value(column), format_value(row)))
            if group is not None:
                groups[i, j] = group
                means[i, j] = group.mean
    return None if np.isnan(means).all() else _HeatMap(across, down, columns, rows, groups, means)


def _color_scale(means: Array, higher_is_better: bool) -> Normalize:
    """A scale of colors; the worst tenth of the scores shares one, so that the others can be distinguished."""
    from matplotlib.colors import LogNorm, Normalize

    known = means[np.isfinite(means)]
    low, high = known.min(), known.max()
    if higher_is_better:
        low = np.quantile(known, 0.1)
    else:
        high = np.quantile(known, 0.9)
    if low >= high:
        return Normalize(low, low + 1)
    return LogNorm(low, high) if needs_log_scale(known) else Normalize(low, high)


def _draw_cell(pane: Axes, row: int, column: int, group: Group, image: QuadMesh) -> None:
    """Write the score into a cell, or hatch it if there is none."""
    text, color = score_text(group), "black"
    if math.isnan(group.mean):
        pane.fill_between(
            [column, column + 1], row, row + 1, facecolor="#f0f0f0", edgecolor="#bdbdbd", hatch="////", linewidth=0
        )
    else:
        red, green, blue, _ = image.cmap(image.norm(np.asarray(group.mean)))
        color = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
        diverged = group.count(Status.DIVERGED)
        text += f"\n{diverged} diverged" if diverged else ""
    pane.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9, color=color)


def _outline_best(pane: Axes, means: Array, higher_is_better: bool) -> None:
    best = int(np.nanargmax(means) if higher_is_better else np.nanargmin(means))
    i, j = divmod(best, means.shape[1])
    for color, width in (("black", 3.5), (ORANGE, 2.0)):
        pane.plot([j, j + 1, j + 1, j, j], [i, i, i + 1, i + 1, i], color=color, linewidth=width, clip_on=False)


def _label_cells(pane: Axes, heat_map: _HeatMap, is_numeric: bool) -> None:
    columns, rows = heat_map.columns, heat_map.rows
    pane.set_xticks(np.arange(len(columns)) + 0.5, [truncate(format_value(value), 16) for value in columns])
    pane.set_yticks(np.arange(len(rows)) + 0.5, [truncate(format_value(value), 24) for value in rows])
    pane.tick_params(length=0)
    if not is_numeric:
        pane.invert_yaxis()  # names are read from top to bottom
    for spine in pane.spines.values():
        spine.set_visible(False)
    pane.set_xlabel(heat_map.across)
    pane.set_ylabel(heat_map.down)


def _add_color_bar(figure: Figure, pane: Axes, image: QuadMesh, means: Array, metric: str) -> None:
    """Add a color bar, with an arrow at the end where scores lie beyond the scale."""
    below, above = np.nanmin(means) < image.norm.vmin, np.nanmax(means) > image.norm.vmax
    extend = "neither"
    if below != above:
        extend = "min" if below else "max"
    bar = figure.colorbar(image, ax=pane, extend=extend, pad=0.02)
    bar.ax.yaxis.set_major_formatter(lambda value, _: Metric.named(metric).format(value))
    bar.ax.yaxis.set_minor_formatter("")


def _best_groups(comparison: Comparison, *keys: str | None) -> BestGroups:
    """The best group for each combination of the values of some keys; the value of the key None is ''."""
    best: BestGroups = {}
    for group in comparison.groups:
        best.setdefault(tuple(format_value(group.values[key]) if key else "" for key in keys), group)
    return best


def _best_over_note(comparison: Comparison, *keys: str | None) -> str:
    """A note that names the keys of which only the best value is drawn."""
    others = [key for key in comparison.keys if key not in keys]
    return f"; best over {', '.join(others)}" if others else ""


# Points and lines over one key


@dataclass(frozen=True)
class _ValuesLayout:
    """The keys of a figure of scores: the x-axis, the lines, and the panels; None where no key is used."""

    x: str
    line: str | None
    panel: str | None


def draw_values(comparison: Comparison, title: str) -> Figure | None:
    """Draw the score of each run as a point over a numeric key, and lines through the means.

    A second key that has few values has a line for each, a third one a panel for each; for all other keys, the best
    value is used. Diverged runs are marked at the edge.

    Returns:
        The figure; None if no numeric key has three or more values.
    """
    layout = _values_layout(comparison)
    if layout is None:
        return None
    best = _best_groups(comparison, layout.x, layout.line, layout.panel)
    values = [value for value in comparison.values(layout.x) if is_number(value)]
    panels = comparison.values(layout.panel) if layout.panel else [""]
    styles: dict[str, LineStyle] = styles_of_values(comparison, layout.line) if layout.line else {"": (COLORS[0], "-")}
    figure = new_constrained_figure(_values_width(layout, len(panels)), 4.2)
    axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for pane, panel in zip(axes, panels, strict=True):
        for name, style in styles.items():
            keys = [(value, (format_value(value), name, format_value(panel))) for value in values]
            _draw_points(pane, [(value, best[key]) for value, key in keys if key in best], style)
        if layout.panel:
            pane.set_title(f"{layout.panel}={truncate(format_value(panel), 30)}", fontsize=10)
        pane.set_xlabel(layout.x)
        add_grid(pane)
    _set_x_axis(axes[0], values, len(panels))
    scores = np.concatenate([group.scores for group in best.values()])
    scale_metric_axis(axes[0], comparison.ranking.metric, scores[np.isfinite(scores)])
    axes[0].set_ylabel(f"{comparison.ranking.by} {metric_title(comparison.ranking.metric)}")
    if layout.line:
        add_side_legend(axes[-1], list(styles), list(styles.values()), layout.line)
    set_heading(figure, title, [_values_note(comparison, layout)])
    return figure


def _values_width(layout: _ValuesLayout, panels: int) -> float:
    """The width of the figure in inches, with room for the legend if there is one."""
    if layout.panel:
        return 3.6 * panels + 2.2
    return 8.4 if layout.line else 7.0


def _values_layout(comparison: Comparison) -> _ValuesLayout | None:
    """The numeric key with the most values, then the keys with the most values that lines and panels can show."""
    sizes = {key: len(comparison.values(key)) for key in comparison.keys}
    numeric = [key for key in sizes if comparison.is_numeric(key) and sizes[key] > 2]
    if not numeric:
        return None
    x = max(numeric, key=lambda key: sizes[key])
    others = sorted((key for key in sizes if key != x), key=lambda key: -sizes[key])
    line = next((key for key in others if sizes[key] <= MOST_LINES), None)
    panel = next((key for key in others if key != line and sizes[key] <= MOST_PANELS), None)
    return _ValuesLayout(x, line, panel)


def _set_x_axis(pane: Axes, values: Sequence[float], panels: int) -> None:
    """Scale the x-axis, and label every value if all labels fit."""
    if is_log_spaced(values):
        pane.set_xscale("log")
        pane.xaxis.set_major_formatter("{x:g}")
    labels = [format_value(value) for value in values]
    if len(labels) * max(map(len, labels)) <= LONGEST_TICK_LABELS // panels:
        pane.set_xticks(values, labels)
        pane.set_xticks([], minor=True)


def _draw_points(pane: Axes, groups: Sequence[tuple[float, Group]], style: LineStyle) -> None:
    """Draw the scores of groups over their values of a key, the line through their means, and marks for divergence."""
    color, dashes = style
    for value, group in groups:
        pane.plot([value] * len(group.runs), group.scores, "o", color=color, alpha=0.45, markersize=3.5)
        if group.count(Status.DIVERGED):
            worst = 0.0 if group.ranking.higher_is_better else 1.0
            pane.plot(
                value, worst, "x", color=color, markersize=7, markeredgewidth=1.8, clip_on=False,
                transform=pane.get_xaxis_transform(),
            )  # fmt: skip
    known = [(value, group.mean) for value, group in groups if not math.isnan(group.mean)]
    pane.plot([value for value, _ in known], [mean for _, mean in known], color=color, linestyle=dashes, linewidth=1.7)


def _values_note(comparison: Comparison, layout: _ValuesLayout) -> str:
    note = "points: runs"
    note += ", lines: means over runs" if comparison.has_repeats else ""
    note += ", ×: diverged" if any(run.status is Status.DIVERGED for run in comparison.results) else ""
    return note + _best_over_note(comparison, layout.x, layout.line, layout.panel)
