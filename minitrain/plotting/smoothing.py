"""Smoothing of curves: exponentially weighted means and running medians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from minitrain.typing import Array

Kind: TypeAlias = Literal["exponential", "median"]
START_SHARE = 1 / 3  # of the distance to the first point, beyond which the window does not extend much
LARGEST_BLOCK = 2**22  # numbers of the windows that are sorted at once


@dataclass(frozen=True)
class Smoothing:
    """How curves are smoothed; the curve itself is returned if `reach` is 0.

    Attributes:
        reach: The window extends over so many points on each side.
        kind: `exponential` weights decrease with the distance on both sides, so that a curve is not delayed; their
            sum is that of 2 * reach + 1 equal ones. `median` removes single outliers.

    >>> Smoothing(1, "median").apply(np.array([1.0, 1.0, 9.0, 1.0, 2.0]))
    array([1. , 1. , 1. , 2. , 1.5])
    >>> Smoothing(3).description
    'exponential mean over 7 points'
    """

    reach: int = 0
    kind: Kind = "exponential"

    @property
    def description(self) -> str:
        """The method and its window, for the figure."""
        return f"{'exponential mean' if self.kind == 'exponential' else 'median'} over {2 * self.reach + 1:,} points"

    def apply(self, values: Array, is_log: bool = False) -> Array:
        """Smooth a curve.

        Args:
            values: The values, all finite: [points]
            is_log: Whether to smooth logarithms, as is right for a logarithmic axis; values must be positive.

        Returns:
            The smoothed values: [points].
        """
        if not self.reach or len(values) < 2:
            return values
        if is_log:
            return np.asarray(np.exp(self.apply(np.log(values))))
        return _median(values, self.reach) if self.kind == "median" else _exponential_mean(values, self.reach)


def _exponential_mean(values: Array, reach: int) -> Array:
    """The mean with weights that decrease exponentially on both sides.

    Near the start, where curves fall fastest, the window is narrower, so that the line begins at the first value; at
    the end it has one side only, so that the line does not end at a noisy last value.
    """
    reach_of_step = np.minimum((np.arange(len(values)) - 1) * START_SHARE, reach).clip(1e-30)
    # The weight of a point is exp(-distance); from one point to the next, it is multiplied by reach / (reach + 1).
    place = np.cumsum(np.log1p(1 / reach_of_step))

    def both_sides(x: Array) -> Array:
        return _decayed_sum(x, place) + _decayed_sum(x[::-1], -place[::-1])[::-1] - x

    return np.asarray(both_sides(values) / both_sides(np.ones(len(values))))


def _decayed_sum(values: Array, place: Array) -> Array:
    """The sum over j <= i of exp(place[j] - place[i]) * values[j]; each pass doubles the number of terms: [points]."""
    total, distance = values.astype(np.float64), 1
    while distance < len(total):
        total[distance:] += np.exp(place[:-distance] - place[distance:]) * total[:-distance]
        distance *= 2
    return total


def _median(values: Array, reach: int) -> Array:
    """The median of a window of 2 * reach + 1 points; near the ends, of the points there are: [points]."""
    reach = min(reach, len(values) - 1)
    width = 2 * reach + 1
    padded = np.pad(values.astype(np.float64), reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    smooth = np.empty(len(values))
    rows = max(1, LARGEST_BLOCK // width)
    for first in range(0, len(values), rows):
        smooth[first : first + rows] = _median_of_rows(windows[first : first + rows])
    return smooth


def _median_of_rows(rows: Array) -> Array:
    """The median of the numbers of each row; nan is ignored: [rows]."""
    ordered = np.sort(rows, axis=-1)  # nan last
    counts = (~np.isnan(rows)).sum(axis=-1)
    index = np.arange(len(rows))
    return np.asarray((ordered[index, (counts - 1) // 2] + ordered[index, counts // 2]) / 2)
