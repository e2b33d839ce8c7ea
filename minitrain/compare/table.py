"""A comparison as a table: as text for a terminal, as CSV and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np

from minitrain.compare.comparison import Comparison, Group
from minitrain.compare.lines import GroupLine, View, line_of
from minitrain.compare.results import format_value
from minitrain.plotting.axes import needs_log_scale
from minitrain.plotting.figures import truncate
from minitrain.storage.files import format_csv
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status
from minitrain.typing import Array

BARS = "▁▂▃▄▅▆▇█"
SPARKLINE_WIDTH = 12  # characters
LONGEST_VALUE = 28  # characters
INCOMPLETE = (Status.DIVERGED, Status.FAILED, Status.PRUNED, Status.INTERRUPTED, Status.RUNNING)


def format_table(comparison: Comparison, rows: int = 20) -> str:
    """Format the best groups as a table with one line each, and notes on the ranking below it.

    The best group is marked by an asterisk, unless the groups cannot be ranked or have diverged runs.

    The columns are the grouping keys, the number of runs, the score that groups are ranked by, the best value and its
    step, the seconds per run, and a sparkline of the mean curve.
    """
    groups = comparison.groups[:rows]
    header = ["", *comparison.keys, "runs", comparison.ranking.name, "best", "at step", "seconds", "curve"]
    lines = [header]
    for group, sparkline in zip(groups, sparklines(groups, comparison.ranking.metric), strict=True):
        lines.append(["*" if group is comparison.best else "", *_cells(comparison, group), sparkline])
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    if len(comparison.groups) > rows:
        text.append(f"and {len(comparison.groups) - rows} more")
    text += [f"note: {note}" for note in comparison.notes]
    return "\n".join(text)


def _cells(comparison: Comparison, group: Group) -> list[str]:
    best, step = group.best
    return [
        *(truncate(format_value(group.values[key]), LONGEST_VALUE) for key in comparison.keys),
        _format_count(group),
        _format_mean(group),
        _format_metric(group.ranking.metric, best),
        "" if math.isnan(step) else f"{step:,.0f}",
        "" if math.isnan(group.seconds) else f"{group.seconds:.1f}",
    ]


def _format_count(group: Group) -> str:
    """The number of runs, and how many of them did not complete."""
    incomplete = [f"{group.count(status)} {status}" for status in INCOMPLETE if group.count(status)]
    return f"{len(group.runs)}" + (f" ({', '.join(incomplete)})" if incomplete else "")


def _format_mean(group: Group) -> str:
    mean, deviation = (_format_metric(group.ranking.metric, value) for value in (group.mean, group.deviation))
    return f"{mean} ± {deviation}" if deviation else mean or "none"


def _format_metric(metric: str, value: float) -> str:
    return "" if math.isnan(value) else Metric.named(metric).format(value, digits=2)


def sparklines(groups: Sequence[Group], metric: str) -> list[str]:
    """The mean curve of each group as a line of characters; all share one scale.

    The scale excludes the lowest and the highest twentieth of the values; it is logarithmic if the values need it.
    """
    values = [run.curve(metric)[1] for group in groups for run in group.runs]
    is_log = not Metric.named(metric).is_share and needs_log_scale(*values)
    sampled = _sampled_curves([line_of(group, metric, View(), is_log) for group in groups])
    if is_log:
        sampled = [np.log(samples) for samples in sampled]
    finite = np.concatenate([np.empty(0), *(samples[np.isfinite(samples)] for samples in sampled)])
    if not len(finite):
        return [""] * len(groups)
    low, high = np.quantile(finite, [0.05, 0.95])
    return [_sparkline(samples, low, high) for samples in sampled]


def _sampled_curves(lines: Sequence[GroupLine]) -> list[Array]:
    """The mean of each line at evenly spaced steps: [SPARKLINE_WIDTH]; empty if the line is."""
    end = max((line.x[-1] for line in lines if len(line.x)), default=0.0)
    x = np.linspace(0, end, SPARKLINE_WIDTH)
    return [np.interp(x, line.x, line.mean, right=np.nan) if len(line.x) else np.empty(0) for line in lines]


def _sparkline(values: Array, low: float, high: float) -> str:
    heights = np.clip((values - low) / (high - low or 1.0), 0, 1)
    return "".join(" " if math.isnan(v) else BARS[round(v * (len(BARS) - 1))] for v in heights.tolist()).rstrip()


def group_rows(comparison: Comparison) -> list[dict[str, object]]:
    """A row for each group in the order of the comparison; a number that is not known is None."""
    rows = []
    for group in comparison.groups:
        best, step = group.best
        numbers = {
            comparison.ranking.name: group.mean,
            "deviation": group.deviation,
            "best": best,
            "best_step": step,
            "seconds": group.seconds,
        }
        counts = {"runs": len(group.runs), **{str(status): group.count(status) for status in INCOMPLETE}}
        known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        rows.append({**group.values, **counts, **known})
    return rows


def groups_as_csv(comparison: Comparison) -> str:
    """`group_rows` as CSV; a missing number is an empty cell, and a key's null is written as `null`."""
    rows, keys = group_rows(comparison), comparison.keys
    cells = [
        {key: format_value(value) for key, value in row.items() if value is not None or key in keys} for row in rows
    ]
    return format_csv(list(rows[0]), cells)


def groups_as_json(comparison: Comparison) -> str:
    """`group_rows` with the directories of each group as JSON, and the score that groups are ranked by, or null."""
    rows = [
        {**row, "directories": [str(run.directory) for run in group.runs]}
        for row, group in zip(group_rows(comparison), comparison.groups, strict=True)
    ]
    table = {
        "ranked_by": None if comparison.unranked else comparison.ranking.name,
        "notes": comparison.notes,
        "keys": comparison.keys,
        "groups": rows,
    }
    return json.dumps(table, indent=2) + "\n"
