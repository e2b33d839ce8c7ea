"""A comparison as a table: for a terminal, and as rows for CSV and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minitrain.compare.comparison import Comparison, Group
from minitrain.compare.curves_plot import View, line_of
from minitrain.compare.results import form
from minitrain.plotting.figures import log_helps, shortened
from minitrain.storage.files import format_csv
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status
from minitrain.typing import Array

BARS = "▁▂▃▄▅▆▇█"


SPARK = 12  # characters of a curve


MOST_TEXT = 28  # characters of a value


LOST = (Status.DIVERGED, Status.FAILED, Status.INTERRUPTED, Status.RUNNING)


def format_table(comparison: Comparison, rows: int = 20) -> str:
    """The best groups, a line each, the best marked: runs, what judges them, the best value ever, and their curve."""
    judge = comparison.judge
    header = ["", *comparison.keys, "runs", judge.name, "best", "at step", "seconds", "curve"]
    lines = [header]
    sparks = sparklines(comparison.groups[:rows], judge.metric)
    for rank, (group, spark) in enumerate(zip(comparison.groups, sparks, strict=False)):
        best, step = group.best
        lines.append(
            [
                "*" if rank == 0 and not math.isnan(group.mean) else "",
                *(shortened(form(group.values[key]), MOST_TEXT) for key in comparison.keys),
                _count(group),
                _mean(group),
                _number(judge.metric, best),
                "" if math.isnan(step) else f"{step:,.0f}",
                "" if math.isnan(group.seconds) else f"{group.seconds:.1f}",
                spark,
            ]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    if len(comparison.groups) > rows:
        text.append(f"and {len(comparison.groups) - rows} more")
    return "\n".join(text)


def _count(group: Group) -> str:
    """How many runs there are, and how many of them came to no good end."""
    lost = [f"{group.count(status)} {status}" for status in LOST if group.count(status)]
    return f"{len(group.runs)}" + (f" ({', '.join(lost)})" if lost else "")


def _mean(group: Group) -> str:
    mean, deviation = (_number(group.judge.metric, value) for value in (group.mean, group.deviation))
    return f"{mean} ± {deviation}" if deviation else mean or "none"


def _number(metric: str, value: float) -> str:
    if math.isnan(value):
        return ""
    return Metric.named(metric).format(value, digits=2)


def sparklines(groups: Sequence[Group], metric: str) -> list[str]:
    """The mean curve of each group in a few characters, all on one scale.

    The scale leaves out the worst twentieth of the values on either side; it is logarithmic where that helps.
    """
    values = [run.curve(metric)[1] for group in groups for run in group.runs]
    is_log = not Metric.named(metric).is_share and log_helps(*values)
    lines = [line_of(group, metric, View(), is_log) for group in groups]
    end = max((line.x[-1] for line in lines if len(line.x)), default=0.0)
    at = np.linspace(0, end, SPARK)
    sampled = [np.interp(at, line.x, line.mean, right=np.nan) if len(line.x) else np.empty(0) for line in lines]
    if is_log:
        sampled = [np.log(each) for each in sampled]
    known = np.concatenate([np.empty(0), *(each[np.isfinite(each)] for each in sampled)])
    if not len(known):
        return [""] * len(groups)
    low, high = np.quantile(known, [0.05, 0.95])
    return [_spark(each, low, high) for each in sampled]


def _spark(values: Array, low: float, high: float) -> str:
    share = np.clip((values - low) / (high - low or 1.0), 0, 1)
    return "".join(" " if math.isnan(v) else BARS[round(v * (len(BARS) - 1))] for v in share.tolist()).rstrip()


def group_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """A row for each group, the best first; None where there is no value."""
    rows = []
    for group in comparison.groups:
        best, step = group.best
        numbers = {
            comparison.judge.name: group.mean,
            "deviation": group.deviation,
            "best": best,
            "best_step": step,
            "seconds": group.seconds,
        }
        counts = {"runs": len(group.runs), **{str(status): group.count(status) for status in LOST}}
        known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        rows.append({**group.values, **counts, **known})
    return rows


def groups_as_csv(comparison: Comparison) -> str:
    """`group_rows` as CSV; a cell is empty where there is no value, a key's null is written out."""
    rows, keys = group_rows(comparison), comparison.keys
    known = [{key: form(value) for key, value in row.items() if value is not None or key in keys} for row in rows]
    return format_csv(list(rows[0]), known)


def groups_as_json(comparison: Comparison) -> str:
    """`group_rows` as JSON, with each group's directories, and what judges them."""
    rows = [
        {**row, "directories": [str(run.directory) for run in group.runs]}
        for row, group in zip(group_rows(comparison), comparison.groups, strict=True)
    ]
    return json.dumps({"judged_by": comparison.judge.name, "keys": comparison.keys, "groups": rows}, indent=2) + "\n"
