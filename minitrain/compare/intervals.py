"""Confidence intervals of means by Student's t-distribution."""

from __future__ import annotations

import math

import numpy as np

from minitrain.typing import Array

CONFIDENCE = 0.95
_BISECTIONS = 80


def confidence_interval(values: Array) -> tuple[float, float]:
    """The 95% confidence interval of the mean of normally distributed values; nan, nan for fewer than two."""
    if len(values) < 2:
        return math.nan, math.nan
    reach = _t_quantile(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - reach, float(values.mean()) + reach


def _t_quantile(degrees: int) -> float:
    """The t that |t| exceeds with a probability of 1 - CONFIDENCE, by bisection.

    >>> round(_t_quantile(1), 3), round(_t_quantile(4), 3)
    (12.706, 2.776)
    """
    low, high = 0.0, math.pi / 2  # of the angle atan(t / sqrt(degrees))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_coverage(middle, degrees) < CONFIDENCE else (low, middle)
    return math.tan(low) * math.sqrt(degrees)


def _t_coverage(angle: float, degrees: int) -> float:
    """The probability that |t| is at most sqrt(degrees) * tan(angle).

    References:
        Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2
    powers = np.arange(1, degrees, 2, dtype=np.float64) if is_odd else np.arange(0, degrees, 2, dtype=np.float64)
    factors = np.ones(len(powers))
    factors[1:] = np.cumprod((powers[1:] - 1) / powers[1:])
    series = sine * float((factors * cosine**powers).sum())
    return 2 / math.pi * (angle + series) if is_odd else series
