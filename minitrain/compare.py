"""Read runs back from their directories, and set them side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.autograd.primitives import Array
from minitrain.plot import Curve, common_metric, draw_comparison, known
from minitrain.record import RecordError, read_metrics, read_summary


@dataclass(frozen=True)
class Run:
    """What a run's directory says about it."""

    directory: Path
    overrides: dict[str, str]
    summary: dict[str, Any]
    metrics: dict[str, Array]


def read_run(directory: Path) -> Run:
    """Raises RecordError where the directory is not a run's."""
    summary = read_summary(directory)
    overrides = dict(item.partition("=")[::2] for item in summary.get("overrides", []))
    return Run(directory, overrides, summary, read_metrics(directory))


def read_sweep(directory: Path) -> list[Run]:
    """The runs of a sweep in their order; folders that hold no readable run are left out."""
    runs = []
    found = (path.parent for path in directory.rglob("summary.json"))
    for folder in sorted(found, key=lambda d: (int(d.name) if d.name.isdigit() else 0, str(d))):
        try:
            runs.append(read_run(folder))
        except RecordError:
            continue
    return runs


def group_runs(runs: list[Run]) -> list[Curve]:
    """Runs that differ in their seed alone as one curve, labelled by the keys that vary."""
    keys = dict.fromkeys(key for run in runs for key in run.overrides)
    varying = [key for key in keys if len({run.overrides.get(key) for run in runs}) > 1]
    named = [key for key in varying if key != "seed"] if len(runs) > 1 else list(keys)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        label = ", ".join(f"{key}={run.overrides[key]}" for key in named if key in run.overrides) or "all runs"
        groups.setdefault(label, []).append(run)
    return [
        Curve(
            label,
            [run.metrics for run in members if run.summary["status"] != "diverged"],
            diverged=sum(run.summary["status"] == "diverged" for run in members),
        )
        for label, members in groups.items()
    ]


def draw_sweep(runs: list[Run], path: Path, title: str) -> Path:
    """Draw the curves of all runs over each other."""
    draw_comparison(group_runs(runs), path, title)
    return path


def format_table(curves: list[Curve], rows: int = 10) -> str:
    """The groups of runs as a table, the best final value first: mean and deviation over seeds, and the best seen."""
    metric = common_metric(curves)
    sign = -1.0 if metric == "val_accuracy" else 1.0
    lines = []
    for curve in curves:
        values = [known(run, metric)[1] for run in curve.runs]
        final = np.array([v[-1] for v in values if len(v)])
        best = min((sign * v).min() for v in values if len(v)) * sign if len(final) else np.nan
        order = sign * final.mean() if len(final) else np.inf
        spread = f"± {_number(metric, float(final.std()))}" if len(final) > 1 else ""
        mean = _number(metric, float(final.mean())) if len(final) else "diverged"
        count = f"{len(curve.runs)}" + (f" + {curve.diverged} diverged" if curve.diverged else "")
        lines.append((order, [curve.label, count, mean, spread, _number(metric, float(best)) if len(final) else ""]))
    lines.sort(key=lambda line: line[0])
    table = [["", "runs", f"final {metric}", "", "best"], *(cells for _, cells in lines[:rows])]
    widths = [max(len(row[i]) for row in table) for i in range(5)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    if len(lines) > rows:
        text.append(f"and {len(lines) - rows} more")
    return "\n".join(text)


def _number(metric: str, value: float) -> str:
    return f"{value:.2%}" if "accuracy" in metric else f"{value:.4g}"
