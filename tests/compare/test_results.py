"""Results of runs: keys, directories without runs, and damaged files."""

import json

import numpy as np
import pytest
from factories import curve, make_grid, make_run

from minitrain.compare.results import load_run, load_runs


def test_differing_keys_are_detected(tmp_path):
    assert load_runs(make_grid(tmp_path)).keys == ["lr", "activation", "seed"]


def test_interpolated_copy_of_a_key_is_excluded(tmp_path):
    for i, lr in enumerate((0.1, 0.2)):
        make_run(tmp_path / str(i), {"lr": lr, "optimizer": {"name": "sgd", "lr": "${lr}", "default_lr": 0.1}})
    assert load_runs(tmp_path).keys == ["lr"]


def test_key_determined_by_a_component_is_excluded(tmp_path):
    make_run(tmp_path / "0", {"optimizer": {"name": "sgd", "default_lr": 0.1}})
    make_run(tmp_path / "1", {"optimizer": {"name": "adam", "default_lr": 0.001, "beta1": 0.9}})
    assert load_runs(tmp_path).keys == ["optimizer"]
    make_run(tmp_path / "2", {"optimizer": {"name": "adam", "default_lr": 0.001, "beta1": 0.8}})
    assert load_runs(tmp_path).keys == ["optimizer", "optimizer.beta1"]


def test_explicit_value_equal_to_the_default_does_not_differ(tmp_path):
    make_run(tmp_path / "0")
    make_run(tmp_path / "1", {"lr": 0.1})
    make_run(tmp_path / "2", {"seed": 1})
    assert load_runs(tmp_path).keys == ["seed"]


def test_runs_are_in_natural_order_without_duplicates(tmp_path):
    for name in ("10", "9", "1"):
        make_run(tmp_path / name)
    runs = load_runs(tmp_path, tmp_path / "9")
    assert [run.directory.name for run in runs] == ["1", "9", "10"]


def test_killed_run_is_read_up_to_its_last_complete_row(tmp_path):
    run = make_run(tmp_path / "run", status="running")
    with (run / "metrics.csv").open("a") as file:
        file.write("110,0.1,0.0")
    assert load_run(run).curve("val_accuracy")[0].tolist() == list(range(0, 101, 10))


def test_run_without_metrics_is_loaded(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "metrics.csv").unlink()
    (run / "summary.json").unlink()
    assert (load_run(run).status, len(load_run(run).curve("train_loss")[0])) == ("running", 0)


def test_non_finite_values_are_excluded(tmp_path):
    values = np.array([0.5, np.nan, np.inf, 0.7])
    run = make_run(tmp_path / "run", metrics={"val_accuracy": values})
    assert load_run(run).curve("val_accuracy")[1].tolist() == [0.5, 0.7]


def test_rows_without_increasing_steps_are_excluded(tmp_path):
    run = make_run(tmp_path / "run")
    cells = [(0, 1), (10, 2), (10, 3), (5, 4), ("nan", 5), ("1e300", 6), (20, -1e301), (30, 7), (30, 8)]
    (run / "metrics.csv").write_text("\n".join(["step,val_loss", *(f"{step},{value}" for step, value in cells), ""]))
    steps, values = load_run(run).curve("val_loss")
    assert (steps.tolist(), values.tolist()) == ([0, 10, 30], [1, 2, 7])


@pytest.mark.parametrize(("recorded", "expected"), [(20, 20), (0, None), (-3, None), (10**400, None), (True, None)])
def test_steps_per_epoch_must_be_positive(tmp_path, recorded, expected):
    length = load_run(make_run(tmp_path / "run", steps_per_epoch=recorded)).steps_per_epoch
    assert length == expected or (expected is None and np.isnan(length))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.csv", "step,lr\n1,2,3\n"),
        ("metrics.csv", "step,lr\n1,x\n"),
        ("metrics.csv", "a,b\n1,2\n"),
        ("metrics.csv", ""),
        ("summary.json", "{"),
        ("summary.json", "[]"),
        (".hydra/config.yaml", "- a"),
        (".hydra/config.yaml", "{a: ["),
        (".hydra/config.yaml", "!!python/object/apply:os.system ['touch here']"),
        (".hydra/config.yaml", BOMB),
        (".hydra/config.yaml", "a: " + "[" * 5000),
        (".hydra/config.yaml", "a: " + "x" * 10**6),
    ],
)
def test_damaged_run_is_skipped_and_reported(tmp_path, name, text):
    make_run(tmp_path / "good")
    (make_run(tmp_path / "bad") / name).write_text(text)
    runs = load_runs(tmp_path)
    assert [run.directory.name for run in runs] == ["good"]
    assert len(runs.skipped) == 1
    assert "bad" in runs.skipped[0]
    assert len(runs.skipped[0].splitlines()) == 1


@pytest.mark.parametrize("value", [None, "x", [], {}, 1e400])
def test_summary_with_wrong_types_does_not_raise(tmp_path, value):
    run = make_run(tmp_path / "run")
    names = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(dict.fromkeys(names, value)))
    load_runs(run).table()


def test_directories_without_a_run_are_skipped(tmp_path):
    (tmp_path / "empty").mkdir()
    assert load_runs(tmp_path / "empty", tmp_path / "none").skipped == [
        f"{tmp_path / 'empty'}: contains no run",
        f"{tmp_path / 'none'}: no such directory",
    ]


def test_table_has_one_row_per_run(tmp_path):
    make_run(tmp_path / "0", {"lr": 0.5, "seed": 3}, {"val_accuracy": curve(0.75)})
    make_run(tmp_path / "1")
    row = load_runs(tmp_path).table()[0]
    assert (row["lr"], row["seed"], row["val_accuracy"], row["seconds"]) == (0.5, 3, 0.75, 1.5)
