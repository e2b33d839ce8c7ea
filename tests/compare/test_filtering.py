"""Selecting runs by conditions."""

import pytest

from minitrain.compare.filtering import filter_results
from minitrain.errors import ConfigError


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("lr<0.5", 12), ("lr>=0.1", 12), ("lr=1e-2", 6), ("lr!=0.1", 12), ("activation=relu", 9),
        ("status=diverged", 3), ("seed>1", 6), ("network.widths=[64,32]", 18),
    ],
)  # fmt: skip
def test_filter_selects_matching_runs(grid, condition, count):
    assert len(filter_results(grid, condition)) == count


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("lr=<0.1", "expected KEY<VALUE with one of the operators"),
        ("lr<fast", "--filter lr<fast: expected a number after <; only = and != accept names"),
        ("lr>=true", "expected a number after >="),
        ("lr=2026-99-99", "matches none of 18 runs"),
        ("activation<3", "activation<3: matches none of 18 runs; values of activation: relu, tanh"),
        ("lr>5", "lr>5: matches none of 18 runs; values of lr: 0.01, 0.1, 1"),
        ("status=failed", "values of status: completed, diverged"),
    ],
)
def test_invalid_or_empty_filter_is_reported(grid, condition, message):
    with pytest.raises(ConfigError) as error:
        filter_results(grid, condition)
    assert message in str(error.value)
