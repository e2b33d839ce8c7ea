"""A metric: what its values mean, decided once for logs, tables, figures and rankings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A column of metrics.csv that runs can be compared by.

    Attributes:
        name: The name of the column, such as `val_accuracy`.
        higher_is_better: Whether the largest value is the best; of a loss, the smallest is.
        is_share: Whether values lie between 0 and 1, and are shown in percent.

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
        """The metric of a column: every accuracy is a share, and better when higher."""
        is_accuracy = "accuracy" in name
        return cls(name, higher_is_better=is_accuracy, is_share=is_accuracy)

    def is_better(self, value: float, other: float) -> bool:
        return value > other if self.higher_is_better else value < other

    def best(self, values: Iterable[float]) -> float:
        """The best of the values that are known; nan if there are none."""
        known = [value for value in values if not math.isnan(value)]
        return (max if self.higher_is_better else min)(known, default=math.nan)

    @property
    def worst(self) -> float:
        """A value that no other is worse than."""
        return (0.0 if self.is_share else -math.inf) if self.higher_is_better else math.inf

    def format(self, value: Any, digits: int = 1) -> str:
        """A value for people; `digits` are the decimals of a percentage."""
        return f"{float(value):.{digits}%}" if self.is_share else f"{float(value):.4g}"
