"""Grouping, ranking and filtering of runs."""

import numpy as np
import pytest
from factories import curve, make_run

from minitrain.compare.comparison import common_metric, compare, filter_results
from minitrain.compare.results import load_runs
from minitrain.errors import ConfigError


def test_runs_that_differ_only_in_seed_form_a_group_and_the_best_is_first(grid):
    comparison = compare(grid)
    assert [group.label for group in comparison.groups] == [
        "lr=0.1, activation=relu", "lr=0.1, activation=tanh", "lr=0.01, activation=relu",
        "lr=1, activation=relu", "lr=0.01, activation=tanh", "lr=1, activation=tanh",
    ]  # fmt: skip
    best, worst = comparison.groups[0], comparison.groups[-1]
    assert best.mean == pytest.approx(0.96)
    assert best.deviation == pytest.approx(0.01)
    assert best.best == (pytest.approx(0.97), 100)
    assert np.isnan(worst.mean)
    assert worst.count("diverged") == 3


def test_ranking_by_last_min_and_max(tmp_path):
    make_run(tmp_path / "0", {"lr": 1.0}, {"val_loss": np.array([1.0, 0.2, 0.9])})
    make_run(tmp_path / "1", {"lr": 2.0}, {"val_loss": np.array([1.0, 0.8, 0.5])})
    runs = load_runs(tmp_path)
    order = {by: [group.values["lr"] for group in compare(runs, by=by).groups] for by in ("last", "min", "max")}
    assert order == {"last": [2.0, 1.0], "min": [1.0, 2.0], "max": [1.0, 2.0]}
    assert compare(runs, by="min").groups[0].mean == 0.2


def test_default_metric_is_shared_by_all_runs(tmp_path):
    make_run(tmp_path / "0")
    assert common_metric(load_runs(tmp_path).runs) == "val_accuracy"
    make_run(tmp_path / "1", metrics={"val_loss": curve(0.5)})
    assert common_metric(load_runs(tmp_path).runs) == "train_loss"


def test_grouping_keys_can_be_selected(grid):
    comparison = compare(grid, keys=["activation"])
    assert [(group.label, len(group.runs)) for group in comparison.groups] == [
        ("activation=relu", 9),
        ("activation=tanh", 9),
    ]


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
