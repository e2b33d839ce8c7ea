"""What the values of a metric mean; logs, tables, figures and rankings all use this definition."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import SupportsFloat


@dataclass(frozen=True)
class Metric:
    """A column of metrics.csv that runs can be compared by.

    Attributes:
        name: The name of the column, such as `val_accuracy`.
        higher_is_better: Whether the largest value is the best one (an accuracy) or the smallest one (a loss).
        is_share: Whether values lie between 0 and 1 and are formatted as a percentage.

    >>> accuracy, loss = Metric.named("val_accuracy"), Metric.named("val_loss")
    >>> accuracy.format(0.983), loss.format(0.0123456)
    ('98.3%', '0.01235')
    >>> accuracy.best([0.5, 0.9]), loss.best([0.5, 0.9])
    (0.9, 0.5)
    """

    name: str
    higher_is_better: bool = False
    is_share: bool = False

    @classmethod
    def named(cls, name: str) -> Metric:
        """The metric of a column: every accuracy is a share, and higher is better."""
        is_accuracy = "accuracy" in name
        return cls(name, higher_is_better=is_accuracy, is_share=is_accuracy)

    def is_better(self, value: float, other: float, by: float = 0.0) -> bool:
        """Whether a value is strictly better than another one, and by at least `by`."""
        return (value > other if self.higher_is_better else value < other) and abs(value - other) >= by

    def best(self, values: Iterable[float]) -> float:
        """The best value; NaN values are ignored, and the result is NaN if there are no others."""
        known = [value for value in values if not math.isnan(value)]
        return (max if self.higher_is_better else min)(known, default=math.nan)

    @property
    def worst(self) -> float:
        """A bound: no value of the metric is worse."""
        if not self.higher_is_better:
            return math.inf
        return 0.0 if self.is_share else -math.inf

    def format(self, value: SupportsFloat, digits: int = 1) -> str:
        """Format a value: a share as a percentage with `digits` decimals, others with 4 significant digits."""
        return f"{float(value):.{digits}%}" if self.is_share else f"{float(value):.4g}"
