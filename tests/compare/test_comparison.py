"""Grouping and ranking of runs."""

import numpy as np
import pytest
from factories import curve, make_run

from minitrain.compare.comparability import default_metric
from minitrain.compare.comparison import KEYS_WITHOUT_EFFECT, compare
from minitrain.compare.results import load_runs
from minitrain.config.schema import RunConfig
from minitrain.options import options


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
    assert default_metric(load_runs(tmp_path).runs) == "val_accuracy"
    make_run(tmp_path / "1", metrics={"val_loss": curve(0.5)})
    assert default_metric(load_runs(tmp_path).runs) == "train_loss"


def test_grouping_keys_can_be_selected(grid):
    comparison = compare(grid, keys=["activation"])
    assert [(group.label, len(group.runs)) for group in comparison.groups] == [
        ("activation=relu", 9),
        ("activation=tanh", 9),
    ]


def test_keys_without_effect_do_not_split_groups(tmp_path):
    for i in range(4):
        changes = {"diagnostics": [["grad_norm"], []][i % 2], "engine": ["numpy", "eager"][i // 2], "log_every": 10 + i}
        make_run(tmp_path / str(i), {"lr": 0.1, "seed": i, **changes})
    runs = load_runs(tmp_path)
    (group,) = compare(runs).groups
    assert len(group.runs) == 4
    assert set(runs.keys) > {"engine", "diagnostics"}  # they remain columns
    assert len(compare(runs, keys=["engine"]).groups) == 2


def test_keys_without_effect_exist():
    assert set(KEYS_WITHOUT_EFFECT) <= options(RunConfig).keys()


def test_group_with_diverged_runs_is_not_the_best_unless_it_is_allowed(tmp_path):
    for i, (lr, seed, final, status) in enumerate([
        (0.1, 0, 0.8, "completed"), (0.1, 1, 0.8, "completed"),
        (1.0, 0, 0.9, "completed"), (1.0, 1, 0.5, "diverged"),
    ]):  # fmt: skip
        make_run(tmp_path / str(i), {"lr": lr, "seed": seed}, {"val_accuracy": curve(final)}, status)
    runs = load_runs(tmp_path)
    comparison = compare(runs)
    assert [group.values["lr"] for group in comparison.groups] == [0.1, 1.0]
    assert comparison.best is comparison.groups[0]
    assert "diverged runs are ranked last" in comparison.notes[0]
    comparison = compare(runs, allow_diverged=True)
    assert [group.values["lr"] for group in comparison.groups] == [1.0, 0.1]
    assert comparison.best is comparison.groups[0]
    comparison = compare(load_runs(tmp_path / "2", tmp_path / "3"))
    assert (len(comparison.groups), comparison.best) == (1, None)


def test_pruned_runs_count_only_in_groups_without_others(tmp_path):
    for i, (lr, seed, final, status) in enumerate([
        (0.1, 0, 0.8, "completed"), (0.1, 1, 0.5, "pruned"), (1.0, 0, 0.95, "pruned"), (1.0, 1, 0.85, "pruned"),
    ]):  # fmt: skip
        make_run(tmp_path / str(i), {"lr": lr, "seed": seed}, {"val_accuracy": curve(final)}, status)
    comparison = compare(load_runs(tmp_path))
    assert [(group.values["lr"], round(group.mean, 9)) for group in comparison.groups] == [(0.1, 0.8), (1.0, 0.9)]
    assert comparison.best is comparison.groups[0]
    assert "pruned runs" in comparison.notes[0]


def test_best_is_that_of_the_summary(tmp_path):
    """The best checkpoint is one of an evaluation; metrics.csv has the training loss of other steps, too."""
    best = {"metric": "train_loss", "value": 1.0, "step": 40}
    make_run(tmp_path / "0", metrics={"train_loss": np.array([3, 0.5, 2, 0.4, 1.0])}, best=best)
    runs = load_runs(tmp_path)
    assert compare(runs).groups[0].best == (1.0, 40.0)
    assert compare(runs, by="min").groups[0].mean == 1.0
    assert compare(runs, by="max").groups[0].best == (3.0, 0.0)


def test_number_of_seeds_is_stated(tmp_path):
    for i in range(5):
        make_run(tmp_path / str(i), {"lr": 0.1 if i < 2 else 0.2, "seed": i})
    runs = load_runs(tmp_path)
    assert compare(runs).repeats == "2 to 3 seeds"
    assert compare(runs, keys=[]).repeats == "5 runs"
    assert compare(runs[:2]).repeats == "2 seeds"
