"""All figures of a comparison, for extreme, missing and damaged values."""

import json
import math

import numpy as np
import pytest
from factories import make_run

from minitrain.compare.comparison import compare
from minitrain.compare.figures import draw_comparison, write_comparison
from minitrain.compare.lines import View
from minitrain.compare.results import format_value, load_runs
from minitrain.compare.table import format_table, groups_as_json
from minitrain.plotting.smoothing import Smoothing


def test_true_and_1_are_distinct_values(tmp_path):
    for i, value in enumerate((True, 1, "a", [2], 0)):
        make_run(tmp_path / str(i), {"activation": value})
    comparison = compare(load_runs(tmp_path))
    assert [format_value(value) for value in comparison.values("activation")] == ["0", "1", "[2]", "a", "true"]
    write_comparison(comparison, tmp_path, "title")


@pytest.mark.parametrize(
    "value", [10**22, *(pytest.param(number, marks=pytest.mark.slow) for number in (10**400, math.inf, -1e308))]
)
def test_extreme_numbers_are_drawn(tmp_path, value):
    for i, seed in enumerate((value, 1, 2)):
        for j, lr in enumerate((value, 0.1, 0.2)):
            make_run(tmp_path / f"{i}{j}", {"seed": seed, "lr": lr})
    for keys in (None, ["seed"], ["seed", "lr"]):
        comparison = compare(load_runs(tmp_path), keys=keys)
        assert "comparison" in draw_comparison(comparison)
        format_table(comparison)
    write_comparison(comparison, tmp_path, "title")


def test_damaged_curves_are_drawn(tmp_path):
    damaged = [1e299, 1e301, -1e308, np.nan, 1e299, 5.0]
    for i in range(3):
        make_run(tmp_path / str(i), {"seed": i}, {"val_loss": np.array([*damaged, 1e299 * i])})
    file = tmp_path / "0" / "metrics.csv"
    rows = file.read_text().splitlines()
    file.write_text("\n".join([*rows, rows[2], rows[-1], ""]))
    comparison = compare(load_runs(tmp_path), "val_loss")
    format_table(comparison)
    json.loads(groups_as_json(comparison), parse_constant=pytest.fail)
    for view in (View(smoothing=Smoothing(10**30)), View(smoothing=Smoothing(3, "median"))):
        written = write_comparison(comparison, tmp_path, "title", view)
    assert written["comparison"].stat().st_size > 5000


@pytest.mark.parametrize("status", ["diverged", "running"])
def test_runs_without_a_value_are_drawn(tmp_path, status):
    for i, lr in enumerate((0.1, 0.2, 0.3)):
        for j, activation in enumerate(("relu", "tanh")):
            empty = {"val_accuracy": np.empty(0)}
            make_run(tmp_path / f"{i}{j}", {"lr": lr, "activation": activation}, empty, status)
    written = write_comparison(compare(load_runs(tmp_path)), tmp_path, "title")
    assert written["comparison"].stat().st_size > 5000
