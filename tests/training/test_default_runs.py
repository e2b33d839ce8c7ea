"""Every dataset trains with the defaults: the network beats the best constant guess on the validation examples."""

from pathlib import Path

import numpy as np
import pytest

from minitrain.data.dataset import DATASETS
from minitrain.options import options
from minitrain.storage.summary import read_summary

NOT_HERE = {"point", "arrays"}  # a network that computes its own loss has no target to guess; arrays are the user's
NAMES = [  # datasets that need no file
    name
    for name, cls in DATASETS.items()
    if name not in NOT_HERE and not any(option.range.is_path for option in options(cls).values())
]
QUICK = ("sine", "moons")  # the others run with the slow tests


def slow_unless_quick(name, loss):
    is_quick = name in QUICK and loss in ("mse", "cross_entropy")
    return pytest.param(name, loss, marks=() if is_quick else pytest.mark.slow)


def is_regression(name):
    return DATASETS[name]().load().preprocessing.classes is None


LOSSES = {name: ("mse", "half_mse", "mae", "huber") if is_regression(name) else ("cross_entropy",) for name in NAMES}
RUNS = [slow_unless_quick(name, loss) for name, losses in LOSSES.items() for loss in losses]


def loss_of_constant_guess(loss, train, targets):
    """The loss of the class frequencies, the mean or the median of the training targets."""
    if loss == "cross_entropy":
        return -np.log(np.bincount(train)[targets] / len(train)).mean()
    error = targets - (np.median(train) if loss == "mae" else train.mean())
    if loss == "huber":
        return np.where(abs(error) <= 1, error**2 / 2, abs(error) - 0.5).mean()
    return {"mse": (error**2).mean(), "half_mse": (error**2).mean() / 2, "mae": abs(error).mean()}[loss]


@pytest.mark.parametrize(("name", "loss"), RUNS)
def test_default_run_beats_the_best_constant_guess(command, tmp_path, monkeypatch, name, loss):
    monkeypatch.chdir(tmp_path)
    assert command(f"data={name}", f"loss={loss}", "hydra.run.dir=run")[0] == 0
    data, summary = DATASETS[name]().load(), read_summary(Path("run"))
    if name == "modular_addition":
        # Held-out pairs are predicted only after thousands of steps with weight decay (the study `grokking`).
        guess = loss_of_constant_guess(loss, data.y_train, data.y_train)
        assert summary.final["train_loss"] < 0.9 * guess
    elif loss == "cross_entropy":
        assert summary.final["val_loss"] < 0.9 * loss_of_constant_guess(loss, data.y_train, data.y_val)
        assert summary.final["val_accuracy"] > (data.y_val == np.bincount(data.y_train).argmax()).mean()
    else:  # of the best network: on few examples (diabetes), the last one has overfitted
        assert summary.best.value < 0.9 * loss_of_constant_guess(loss, data.y_train, data.y_val)


def test_the_default_learning_rate_depends_on_the_loss(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def rate(*overrides):
        out = command("--cfg", "job", "--resolve", *overrides)[1]
        return float(next(line for line in out.splitlines() if line.startswith("lr:")).partition(":")[2])

    assert rate() == 0.3
    assert rate("loss=mse") == 0.1
    assert rate("loss=mse", "optimizer.default_lr_mse=0.2") == 0.2
    assert rate("loss=mse", "lr=0.3") == 0.3
    assert rate("loss=huber") == 0.3
    assert rate("loss=mse", "optimizer=adam") == 0.003
    assert rate("loss=mse", "optimizer=adam", "lr=0.01") == 0.01


@pytest.mark.parametrize("launcher", ["grouped", "basic"])
def test_the_default_learning_rate_of_each_run_of_a_sweep(command, tmp_path, monkeypatch, launcher):
    monkeypatch.chdir(tmp_path)
    arguments = ["data=sine", "steps=2", "batch_size=20", "data.samples=50", "hydra.sweep.dir=sweep"]
    sweep = ["-m", "loss=mse,huber", "optimizer=sgd,adam", f"hydra/launcher={launcher}", *arguments]
    assert command(*sweep)[0] == 0
    rows = [path.read_text().splitlines()[1] for path in Path("sweep").glob("*/metrics.csv")]
    assert sorted(float(row.split(",")[1]) for row in rows) == [0.003, 0.003, 0.1, 0.3]
