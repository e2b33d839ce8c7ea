"""What the values of a metric mean; logs, tables, figures and rankings all use this definition."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import SupportsFloat

SHARES = ("exact_match", "f1", "auc")  # of the validation (val_f1) or of a batch (train_f1), besides accuracies
MOST_DECIMALS = 14  # of a percentage: the float64 below 1 is 99.99999999999999%


def format_share(value: SupportsFloat, digits: int = 1, trim: bool = False) -> str:
    """Format a share as a percentage; all that is printed or drawn of shares uses this function.

    A share that is neither 0 nor 1 has as many more decimals as distinguish it from them.

    Args:
        value: The share.
        digits: The number of decimals.
        trim: Whether to remove zeros at the end.

    >>> [format_share(value) for value in (0.983, 1.0, 0.9996, 0.0004, 0.0)]
    ['98.3%', '100.0%', '99.96%', '0.04%', '0.0%']
    >>> format_share(0.5, digits=2, trim=True)
    '50%'
    """
    share = float(value) + 0.0  # 0 instead of -0
    text = next(text for text in _percentages(share, digits) if share in (0, 1) or float(text) not in (0, 100))
    return f"{text.rstrip('0').rstrip('.') if trim and '.' in text else text}%"


def _percentages(share: float, digits: int) -> Iterator[str]:
    """A share in percent with more and more decimals, and with one significant digit at last."""
    yield from (f"{share:.{decimals}%}".rstrip("%") for decimals in range(digits, MOST_DECIMALS + 1))
    yield f"{100 * share:.0e}"


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
        """The metric of a column: higher is better for shares, such as accuracies and F1 scores, and for R²."""
        kind = name.removeprefix("val_").removeprefix("train_")
        is_share = "accuracy" in name or kind in SHARES
        return cls(name, higher_is_better=is_share or kind == "r2", is_share=is_share)

    def is_better(self, value: float, other: float, by: float = 0.0) -> bool:
        """Whether a value is strictly better than another one, and by at least `by`, rounding aside.

        >>> Metric.named("val_accuracy").is_better(0.85, 0.8, by=0.05)
        True
        """
        gain = value - other if self.higher_is_better else other - value
        return gain > 0 and (gain >= by or math.isclose(gain, by))

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
        return format_share(value, digits) if self.is_share else f"{float(value):.4g}"
