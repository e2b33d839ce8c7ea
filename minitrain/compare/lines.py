"""The line and the band of a group of runs: means over the runs at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from minitrain.compare.comparison import Group
from minitrain.compare.results import Result
from minitrain.errors import ConfigError
from minitrain.plotting.smoothing import Smoothing
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status
from minitrain.typing import Array

MOST_POINTS = 1000  # of a line: a figure has no more pixels


@dataclass(frozen=True)
class View:
    """How curves are displayed.

    Attributes:
        x: The unit of the x-axis: `step` or `epoch`.
        log: Whether the y-axis is logarithmic; None decides by the values.
        smoothing: How each run's curve is smoothed.
    """

    x: str = "step"
    log: bool | None = None
    smoothing: Smoothing = field(default=Smoothing())


@dataclass(frozen=True)
class GroupLine:
    """The line and the band of a group.

    Attributes:
        group: The runs.
        x: The steps or epochs: [points]
        low, high: The band, one standard deviation around the mean: [points]
        mean: The mean over the runs: [points]
        ended: The number of runs whose curve ends before the line; they keep their last value.
    """

    group: Group
    x: Array
    low: Array
    mean: Array
    high: Array
    ended: int = 0


def line_of(group: Group, metric: str, view: View, is_log: bool) -> GroupLine:
    """The mean and deviation over a group's runs at all their steps; diverged and pruned runs are excluded.

    A run that ended before others keeps its last value, so that the line ends at the mean of the last values.

    Args:
        group: The runs.
        metric: The metric whose curves are averaged.
        view: The unit of x and the smoothing.
        is_log: Whether the y-axis is logarithmic: the deviation is that of the logarithms, and curves are smoothed as
            logarithms.

    Raises:
        ConfigError: `view.x` is `epoch`, and the runs have no common number of steps per epoch.
    """
    runs = [run for run in group.averaged_runs if run.status is not Status.DIVERGED and len(run.curve(metric)[0])]
    curves = [_positive(*run.curve(metric)) if is_log else run.curve(metric) for run in runs]
    curves = [(steps, view.smoothing.apply(values, is_log)) for steps, values in curves if len(steps)]
    if not curves:
        return GroupLine(group, *(np.empty(0),) * 4)
    x, table = _common_points(curves, is_log)
    mean, low, high = _mean_and_band(table, is_log)
    if not is_log:
        low, high = _within_range(metric, table, low, high)
    selected = thin(mean, MOST_POINTS)
    unit = _steps_per_epoch(runs) if view.x == "epoch" else 1.0
    ended = sum(steps[-1] < x[-1] for steps, _ in curves)
    return GroupLine(group, x[selected] / unit, low[selected], mean[selected], high[selected], int(ended))


def _positive(steps: Array, values: Array) -> tuple[Array, Array]:
    return steps[values > 0], values[values > 0]


def _common_points(curves: Sequence[tuple[Array, Array]], is_log: bool) -> tuple[Array, Array]:
    """The steps of all curves, and the values there: [points], [curves, points].

    Between two points a curve is a straight line, as it is drawn, and it is constant beyond its last one.
    """
    first = max(steps[0] for steps, _ in curves)
    x = np.unique(np.concatenate([steps[steps >= first] for steps, _ in curves] + [np.array([first])]))
    if not is_log:
        return x, np.array([np.interp(x, steps, values) for steps, values in curves])
    return x, np.exp([np.interp(x, steps, np.log(values)) for steps, values in curves])


def _mean_and_band(table: Array, is_log: bool) -> tuple[Array, Array, Array]:
    """The mean over the runs and its band, which contains it: [runs, points] -> [points] each."""
    with np.errstate(over="ignore"):  # the square of 1e200
        mean = table.mean(axis=0)
        if len(table) == 1:
            return mean, mean, mean
        values = np.log(table) if is_log else table
        center, deviation = values.mean(axis=0), values.std(axis=0, ddof=1)
        low, high = center - deviation, center + deviation
        if is_log:
            low, high = np.exp(low), np.exp(high)
    return mean, np.minimum(low, mean), np.maximum(high, mean)


def _within_range(metric: str, table: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """A band without values that the metric cannot have: a share beyond 0 and 1, or a loss below 0."""
    if Metric.named(metric).is_share:
        return np.clip(low, 0, None), np.clip(high, None, 1)
    if metric.endswith("_r2"):
        return low, np.clip(high, None, 1)
    return (np.clip(low, 0, None) if table.min() >= 0 else low), high


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


def thin(values: Array, most: int) -> Array:
    """Select at most `most` points of a curve: both ends, and the extremes of equal intervals in between.

    Args:
        values: [n]
        most: The number of points to keep at most.

    Returns:
        The indices of the points in ascending order: [at most `most`].

    >>> thin(np.array([0.0, 1.0, 9.0, 1.0, 1.0, -5.0, 1.0, 2.0, 0.0, 0.0]), 6).tolist()
    [0, 1, 2, 5, 7, 9]
    """
    if len(values) <= most:
        return np.arange(len(values))
    buckets = (most - 2) // 2
    width = math.ceil((len(values) - 2) / buckets)
    padded = np.full(buckets * width, values[-2])
    padded[: len(values) - 2] = values[1:-1]
    rows = padded.reshape(buckets, width)
    extremes = np.concatenate([rows.argmin(axis=1), rows.argmax(axis=1)]).reshape(2, -1) + width * np.arange(buckets)
    inside = np.minimum(extremes.ravel() + 1, len(values) - 2)
    return np.unique(np.concatenate([[0], inside, [len(values) - 1]]))
