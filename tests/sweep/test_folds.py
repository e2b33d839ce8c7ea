"""Cross-validation as a sweep over `data.fold`: each run equals the run alone, and the table has means over folds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sweep_runs import all_contents, contents

from minitrain.compare.comparison import compare
from minitrain.compare.results import load_runs
from minitrain.config.loading import read_run_config

FOLDS = ["data.folds=3", "data.test=0.1", "network.widths=[8]", "steps=40", "eval_every=10", "log_every=5"]


@pytest.mark.parametrize("engine", ["numpy", "eager"])
def test_a_fold_of_a_sweep_equals_the_run_alone(command, engine):
    options = ["data=iris", *FOLDS, f"engine={engine}", "class_weight=balanced", "diagnostics=[val_f1]"]
    status, out, err = command("-m", *options, "data.fold=range(3)", "lr=0.1,0.3", "hydra.sweep.dir=sweep")
    assert status == 0, out + err
    swept = all_contents(Path("sweep"))
    assert len(swept) == 6
    for name, expected in swept.items():
        config = read_run_config(Path("sweep", name))
        alone = [f"data.fold={config.data.fold}", f"lr={config.lr}", f"hydra.run.dir=alone{name}"]
        assert command(*options, *alone)[0] == 0
        assert contents(Path(f"alone{name}")) == expected
        assert (Path(f"alone{name}") / "data.json").read_bytes() == Path("sweep", name, "data.json").read_bytes()


def test_validation_examples_of_a_sweep_over_folds_are_a_partition(command):
    rows = np.random.default_rng(0).normal(size=(47, 2)).round(6).tolist()
    text = "\n".join(["a,b,c", *(f"{a},{b},{'xyz'[i % 3]}" for i, (a, b) in enumerate(rows))]) + "\n"
    Path("t.csv").write_text(text)
    sweep = [
        "-m",
        "data=csv",
        "data.path=t.csv",
        "data.standardize=false",
        *FOLDS,
        "batch_size=8",
        "data.fold=range(3)",
    ]
    assert command(*sweep, "hydra.sweep.dir=sweep")[0] == 0
    datasets = [read_run_config(Path("sweep", str(fold))).dataset.load() for fold in range(3)]
    held_out = [row for data in datasets for row in data.x_val.tolist()]
    assert sorted([*held_out, *datasets[0].x_test.tolist()]) == sorted(rows)
    assert all((data.x_test == datasets[0].x_test).all() for data in datasets)
    assert len({json.loads(Path("sweep", f, "data.json").read_text())["fingerprint"]["sha256"] for f in "012"}) == 3
    shutil.rmtree("sweep/1/checkpoints")
    for name in ("metrics.csv", "summary.json"):
        Path("sweep/1", name).unlink()
    status, out, err = command("resume", "sweep")
    assert status == 0, out + err
    Path("t.csv").write_text(text.replace("x", "y", 1))
    Path("sweep/1/summary.json").unlink()
    status, _, err = command("resume", "sweep")
    assert status == 2
    assert "the data have changed since the run started" in err


def test_the_table_has_mean_and_deviation_over_folds_and_seeds(command):
    sweep = ["-m", "data=iris", *FOLDS, "data.fold=range(3)", "seed=0,1", "lr=0.01,0.1", "hydra.sweep.dir=sweep"]
    status, out, _ = command(*sweep)
    assert status == 0
    header, *rows = out[out.index("   lr ") :].splitlines()[:3]
    assert header.split()[:2] == ["lr", "runs"]
    runs = load_runs("sweep")
    for row, group in zip(rows, compare(runs).groups, strict=True):
        assert row.removeprefix("*").split()[:2] == [str(group.values["lr"]), "6"]
        last = [run.metrics["val_accuracy"][-1] for run in runs if run.config["lr"] == group.values["lr"]]
        assert group.mean == pytest.approx(np.mean(last))
        assert group.deviation == pytest.approx(np.std(last, ddof=1))
    by_fold = compare(runs, keys=["data.fold"])
    assert sorted(group.label for group in by_fold.groups) == ["data.fold=0", "data.fold=1", "data.fold=2"]
    folds_alone = compare(
        load_runs(*(run.directory for run in runs if (run.config["seed"], run.config["lr"]) == (0, 0.1)))
    )
    assert [(group.label, len(group.runs)) for group in folds_alone.groups] == [("all runs", 3)]
