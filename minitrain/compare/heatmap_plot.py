"""A heat map of the scores of runs over two keys."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minitrain.compare.comparison import Comparison, Group
from minitrain.compare.curves_plot import score_text
from minitrain.compare.results import format_value
from minitrain.plotting.axes import needs_log_scale, text_size, text_width
from minitrain.plotting.figures import Size, metric_title, new_constrained_figure, set_heading, shorten
from minitrain.plotting.palette import ORANGE
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

MOST_CELLS = 40  # in a row or a column
LONGEST_COLUMN, LONGEST_ROW = 16, 24  # characters of a label
CELL_WIDTH, CELL_HEIGHT = 0.85, 0.42  # inches
ROOM_BESIDE = 3.2  # inches, for the names of the rows and the color bar

BestGroups = dict[tuple[str, ...], Group]  # values of some keys as text -> the best group that has them


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


def draw_heatmap(comparison: Comparison, title: str, size: Size | None = None) -> Figure | None:
    """Draw the mean score over the two keys that have the most values; the best cell is outlined.

    For all other keys, the best value is used.

    Returns:
        The figure; None if the groups are not ranked, fewer than two keys vary, no run has a score, a key has more than
        40 values, or no column has two cells, as in a random search.
    """
    heat_map = _heat_map(comparison)
    if heat_map is None:
        return None
    columns, rows = len(heat_map.columns), len(heat_map.rows)
    width, height = max(5.2, CELL_WIDTH * columns + ROOM_BESIDE), max(3.0, CELL_HEIGHT * rows + 1.9)
    figure = new_constrained_figure(*(size or (width, height)))
    pane = figure.subplots()
    higher_is_better = comparison.ranking.higher_is_better
    norm = _color_scale(heat_map.means, higher_is_better)
    image = pane.pcolormesh(heat_map.means, cmap="viridis" if higher_is_better else "viridis_r", norm=norm)
    for (i, j), group in sorted(heat_map.groups.items()):
        _draw_cell(pane, i, j, group, image)
    _outline_best(pane, heat_map, comparison.best)
    inches = (figure.get_figwidth() - ROOM_BESIDE) / columns
    _label_cells(pane, heat_map, comparison.is_numeric(heat_map.down), inches)
    _add_color_bar(figure, pane, image, heat_map.means, comparison.ranking.metric)
    mean = f", mean of {comparison.repeats}" if comparison.has_repeats else ""
    score = f"{comparison.ranking.by} {metric_title(comparison.ranking.metric)}"
    note = f"{score}{mean}{best_over_note(comparison, heat_map.across, heat_map.down)}"
    set_heading(figure, title, [*comparison.notes, note])
    return figure


def _heat_map(comparison: Comparison) -> _HeatMap | None:
    """The cells; None if a heat map would not be informative."""
    if comparison.unranked:
        return None
    sizes = {key: len(comparison.values(key)) for key in comparison.keys}
    keys = sorted((key for key in sizes if sizes[key] > 1), key=lambda key: -sizes[key])[:2]
    if len(keys) < 2:
        return None
    across, down = sorted(keys, key=lambda key: (not comparison.is_numeric(key), -sizes[key]))
    columns, rows = comparison.values(across), comparison.values(down)
    best = best_groups(comparison, across, down)
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
    pane.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=text_size(0.9), color=color)


def _outline_best(pane: Axes, heat_map: _HeatMap, best: Group | None) -> None:
    for (i, j), group in heat_map.groups.items():
        if group is best:
            for color, width in (("black", 3.5), (ORANGE, 2.0)):
                x, y = [j, j + 1, j + 1, j, j], [i, i, i + 1, i + 1, i]
                pane.plot(x, y, color=color, linewidth=width, clip_on=False)


def _label_cells(pane: Axes, heat_map: _HeatMap, is_numeric: bool, inches: float) -> None:
    columns, rows = heat_map.columns, heat_map.rows
    labels = [shorten(format_value(value), LONGEST_COLUMN) for value in columns]
    pane.set_xticks(np.arange(len(columns)) + 0.5, labels)
    if max(map(text_width, labels)) > inches - text_width("0"):
        pane.tick_params(axis="x", rotation=90)
    pane.set_yticks(np.arange(len(rows)) + 0.5, [shorten(format_value(value), LONGEST_ROW) for value in rows])
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


def best_groups(comparison: Comparison, *keys: str | None) -> BestGroups:
    """The best group for each combination of the values of some keys; the value of the key None is ''."""
    best: BestGroups = {}
    for group in comparison.groups:
        best.setdefault(tuple(format_value(group.values[key]) if key else "" for key in keys), group)
    return best


def best_over_note(comparison: Comparison, *keys: str | None) -> str:
    """A note that names the keys of which only the best value is drawn."""
    others = [key for key in comparison.keys if key not in keys]
    return f"; best over {', '.join(others)}" if others else ""
