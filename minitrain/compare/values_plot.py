"""The value that judges runs against their keys: a heat map over two keys, points and lines over one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minitrain.compare.comparison import Comparison, Group
from minitrain.compare.curves_plot import value_colors
from minitrain.compare.results import form
from minitrain.plotting.figures import (
    COLORS,
    MOST_LINES,
    ORANGE,
    head,
    legend_beside,
    log_helps,
    log_scale,
    new_figure,
    percent,
    shortened,
    spans_decades,
    title_of,
)
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST_PANELS = 4


MOST_CELLS = 40  # of a heat map, in a row or a column


MOST_TICK_TEXT = 45  # characters below an axis


Chosen = dict[tuple[str, ...], Group]


def draw_heatmap(comparison: Comparison, title: str) -> Figure | None:
    """The judged value over the two keys that have the most values, mean over runs, the best cell outlined.

    Of other keys, the best of all values counts. None where fewer than two keys vary, no run has a value, a key has
    more than 40 values, or no column has two cells, as in a random search.
    """
    sizes = {key: len(comparison.values(key)) for key in comparison.keys}
    keys = sorted((key for key in sizes if sizes[key] > 1), key=lambda key: -sizes[key])[:2]
    if len(keys) < 2:
        return None
    across, down = sorted(keys, key=lambda key: (not comparison.is_numeric(key), -sizes[key]))
    columns, rows = comparison.values(across), comparison.values(down)
    cells = _best_of(comparison, across, down)
    if max(len(columns), len(rows)) > MOST_CELLS or max(Counter(column for column, _ in cells).values()) < 2:
        return None
    table = np.full((len(rows), len(columns)), np.nan)
    for place in np.ndindex(table.shape):
        group = cells.get((form(columns[place[1]]), form(rows[place[0]])))
        table[place] = math.nan if group is None else group.mean
    if np.isnan(table).all():
        return None

    judge = comparison.judge
    figure = new_figure(max(5.2, 0.85 * len(columns) + 3.2), max(3.0, 0.42 * len(rows) + 1.9))
    figure.set_layout_engine("constrained")
    pane = figure.subplots()
    norm = _norm(table, judge.is_higher_better)
    image = pane.pcolormesh(table, cmap="viridis" if judge.is_higher_better else "viridis_r", norm=norm)
    for (i, j), value in np.ndenumerate(table):
        group = cells.get((form(columns[j]), form(rows[i])))
        if group is None:
            continue
        lost = group.count(Status.DIVERGED)
        if np.isnan(value):
            pane.fill_between([j, j + 1], i, i + 1, facecolor="#f0f0f0", edgecolor="#bdbdbd", hatch="////", linewidth=0)
            text, color = "diverged" if lost else "no value", "black"
        else:
            red, green, blue, _ = image.cmap(norm(value))
            color = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
            text = Metric.named(judge.metric).format(value) + (f"\n{lost} diverged" if lost else "")
        pane.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=9, color=color)
    best = int(np.nanargmax(table) if judge.is_higher_better else np.nanargmin(table))
    i, j = divmod(best, len(columns))
    for color, width in (("black", 3.5), (ORANGE, 2.0)):
        pane.plot([j, j + 1, j + 1, j, j], [i, i, i + 1, i + 1, i], color=color, linewidth=width, clip_on=False)
    pane.set_xticks(np.arange(len(columns)) + 0.5, [shortened(form(value), 16) for value in columns])
    pane.set_yticks(np.arange(len(rows)) + 0.5, [shortened(form(value), 24) for value in rows])
    pane.tick_params(length=0)
    if not comparison.is_numeric(down):
        pane.invert_yaxis()  # names are read from the top
    for side in pane.spines.values():
        side.set_visible(False)
    pane.set_xlabel(across)
    pane.set_ylabel(down)
    clipped = {(True, False): "min", (False, True): "max"}.get(
        (np.nanmin(table) < norm.vmin, np.nanmax(table) > norm.vmax)
    )
    bar = figure.colorbar(image, ax=pane, extend=clipped or "neither", pad=0.02)
    bar.ax.yaxis.set_major_formatter(lambda value, _: Metric.named(judge.metric).format(value))
    bar.ax.yaxis.set_minor_formatter("")
    repeated = ", mean over runs" if comparison.has_repeats else ""
    note = f"{judge.by} {title_of(judge.metric)}{repeated}{_best_over(comparison, across, down)}"
    head(figure, title, [note])
    return figure


def _best_of(comparison: Comparison, *keys: str | None) -> Chosen:
    """The best group for each combination of the values of some keys; '' stands for the value of None."""
    chosen: Chosen = {}
    for group in comparison.groups:
        chosen.setdefault(tuple(form(group.values[key]) if key else "" for key in keys), group)
    return chosen


def _best_over(comparison: Comparison, *shown: str | None) -> str:
    others = [key for key in comparison.keys if key not in shown]
    return f"; the best over {', '.join(others)}" if others else ""


def _norm(table: Array, is_higher_better: bool) -> Any:
    """Colours for values; the worst tenth shares one, so that the others can be told apart."""
    from matplotlib.colors import LogNorm, Normalize

    known = table[np.isfinite(table)]
    low, high = (np.quantile(known, 0.1), known.max()) if is_higher_better else (known.min(), np.quantile(known, 0.9))
    if low >= high:
        return Normalize(low, low + 1)
    return LogNorm(low, high) if log_helps(known) else Normalize(low, high)


def draw_values(comparison: Comparison, title: str) -> Figure | None:
    """The judged value of each run against a key that is a number: a point for each run, a line through the means.

    A second key that has few values gives each of them a line, a third one a panel; of other keys, the best counts.
    Runs that diverged are marked at the edge. None where no key is a number with three values or more.
    """
    sizes = {key: len(comparison.values(key)) for key in comparison.keys}
    numeric = [key for key in sizes if comparison.is_numeric(key) and sizes[key] > 2]
    if not numeric:
        return None
    across = max(numeric, key=lambda key: sizes[key])
    others = sorted((key for key in sizes if key != across), key=lambda key: -sizes[key])
    by = next((key for key in others if sizes[key] <= MOST_LINES), None)
    panel = next((key for key in others if key != by and sizes[key] <= MOST_PANELS), None)
    chosen = _best_of(comparison, across, by, panel)
    judge, values = comparison.judge, comparison.values(across)
    panels = comparison.values(panel) if panel else [""]
    lines = value_colors(comparison, by) if by else {"": (COLORS[0], "-")}

    figure = new_figure(3.6 * len(panels) + 2.2 if panel else 8.4 if by else 7.0, 4.2)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for pane, of_panel in zip(axes, panels, strict=True):
        for name, style in lines.items():
            keys = [(value, (form(value), name, form(of_panel))) for value in values]
            _draw_points(pane, [(value, chosen[key]) for value, key in keys if key in chosen], *style)
        if panel:
            pane.set_title(f"{panel}={shortened(form(of_panel), 30)}", fontsize=10)
        pane.set_xlabel(across)
        pane.grid(alpha=0.25, linewidth=0.6)
    if spans_decades(values):
        axes[0].set_xscale("log")
        axes[0].xaxis.set_major_formatter("{x:g}")
    if len(values) * max(len(form(value)) for value in values) <= MOST_TICK_TEXT // len(panels):
        axes[0].set_xticks(values, [form(value) for value in values])
        axes[0].set_xticks([], minor=True)
    judged = np.concatenate([group.judged for group in chosen.values()])
    if Metric.named(judge.metric).is_share:
        percent(axes[0])
    elif log_helps(judged[np.isfinite(judged)]):
        log_scale(axes[0])
    axes[0].set_ylabel(f"{judge.by} {title_of(judge.metric)}")
    if by:
        legend_beside(axes[-1], list(lines), list(lines.values()), by)
    note = "points are runs" + (", lines go through their means" if comparison.has_repeats else "")
    note += ", ×: diverged" if any(run.status is Status.DIVERGED for run in comparison.results) else ""
    head(figure, title, [note + _best_over(comparison, across, by, panel)])
    return figure


def _draw_points(pane: Axes, groups: Sequence[tuple[float, Group]], color: Any, style: Any) -> None:
    for value, group in groups:
        pane.plot([value] * len(group.runs), group.judged, "o", color=color, alpha=0.45, markersize=3.5)
        if group.count(Status.DIVERGED):
            worst = 0.0 if group.judge.is_higher_better else 1.0
            pane.plot(
                value, worst, "x", color=color, markersize=7, markeredgewidth=1.8, clip_on=False,
                transform=pane.get_xaxis_transform(),
            )  # fmt: skip
    known = [(value, group.mean) for value, group in groups if not math.isnan(group.mean)]
    pane.plot([value for value, _ in known], [mean for _, mean in known], color=color, linestyle=style, linewidth=1.7)
