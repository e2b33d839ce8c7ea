"""Formats of metrics: a share is never rounded to 0% or 100%."""

import math
import re
from pathlib import Path

import pytest

from minitrain.storage.metric import Metric, format_share

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.983, 1, "98.3%"), (1.0, 1, "100.0%"), (0.0, 1, "0.0%"), (-0.0, 1, "0.0%"), (1, 0, "100%"), (0, 2, "0.00%"),
        (0.9994, 1, "99.9%"), (0.9996, 1, "99.96%"), (0.9996, 0, "99.96%"), (0.99996, 2, "99.996%"),
        (0.996, 0, "99.6%"),
        (0.0004, 1, "0.04%"), (0.0006, 1, "0.1%"), (0.00004, 2, "0.004%"), (0.004, 0, "0.4%"), (-0.0004, 1, "-0.04%"),
        (1.0004, 1, "100.04%"), (math.nextafter(1, 0), 1, "99.99999999999999%"), (math.nan, 1, "nan%"),
        (1e-20, 1, "1e-18%"), (5e-324, 1, "5e-322%"),
    ],
)  # fmt: skip
def test_a_share_is_not_rounded_to_0_or_100_percent(share, digits, text):
    assert format_share(share, digits) == text
    assert Metric.named("val_accuracy").format(share, digits) == text


def test_direction_of_metrics_of_validation_and_batch():
    for name in ("accuracy", "balanced_accuracy", "exact_match", "f1", "auc", "r2", "rmse", "mae", "loss"):
        for column in (f"val_{name}", f"train_{name}"):
            metric = Metric.named(column)
            assert metric.higher_is_better == (name not in ("rmse", "mae", "loss"))
            assert metric.is_share == (name not in ("rmse", "mae", "loss", "r2"))


@pytest.mark.parametrize(
    ("share", "text"), [(0.5, "50%"), (0.975, "97.5%"), (1, "100%"), (0, "0%"), (0.99999, "99.999%")]
)
def test_zeros_at_the_end_of_a_share_are_removed(share, text):
    assert format_share(share, digits=4, trim=True) == text


# Not the operator of Python, which stands before a number, a bracket or a call
SPACED_PERCENTAGE = re.compile(r"[\d}] %(?!\w| [\d({]| \w+\()")


def test_percentages_are_spelled_without_a_space():
    assert SPACED_PERCENTAGE.search(" ".join(["95", "%", "of"]))
    paths = [path for room in ("minitrain", "tests", "experiments", "conf") for path in (ROOT / room).rglob("*.*")]
    texts = [path for path in [*paths, *ROOT.glob("*.md")] if path.suffix in (".py", ".md", ".yaml", ".js", ".html")]
    assert len(texts) > 200
    assert [path for path in texts if SPACED_PERCENTAGE.search(path.read_text(encoding="utf-8"))] == []
