"""Tables of groups: text, CSV, JSON and sparklines."""

import csv

from factories import make_run

from minitrain.compare.comparison import compare
from minitrain.compare.results import load_runs
from minitrain.compare.table import format_table, groups_as_csv, sparklines


def test_table_marks_the_best_group_and_counts_incomplete_runs(grid):
    lines = format_table(compare(grid)).splitlines()
    assert lines[0].split() == [
        "lr",
        "activation",
        "runs",
        "last",
        "val_accuracy",
        "best",
        "at",
        "step",
        "seconds",
        "curve",
    ]
    assert lines[1].split()[:9] == ["*", "0.1", "relu", "3", "96.00%", "±", "1.00%", "97.00%", "100"]
    assert lines[-1].split()[:6] == ["1", "tanh", "3", "(3", "diverged)", "none"]
    assert format_table(compare(grid), rows=2).splitlines()[-1] == "and 4 more"


def test_sparklines_share_one_scale(grid):
    best, *_, worst, lost = sparklines(compare(grid).groups, "val_accuracy")
    assert best[0] == "▁"
    assert best[-1] == "█"
    assert worst[-1] < "█"
    assert lost == ""


def test_csv_quotes_commas_and_line_breaks(tmp_path):
    make_run(tmp_path / "0", {"activation": 'a,"b\nc'})
    make_run(tmp_path / "1")
    rows = list(csv.DictReader(groups_as_csv(compare(load_runs(tmp_path))).splitlines(keepends=True)))
    assert {row["activation"] for row in rows} == {'a,"b\nc', "relu"}


def test_null_value_of_a_key_is_written_as_null(tmp_path):
    make_run(tmp_path / "0", {"max_grad_norm": None})
    make_run(tmp_path / "1", {"max_grad_norm": 1}, status="diverged")
    rows = list(csv.DictReader(groups_as_csv(compare(load_runs(tmp_path))).splitlines()))
    assert [(row["max_grad_norm"], row["last val_accuracy"]) for row in rows] == [("null", "0.9"), ("1", "")]
