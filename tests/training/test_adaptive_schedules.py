"""Schedules that depend on the monitored metric: `plateau`, and those of users, in every engine and across a resume."""

import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest
from engine_checks import group_of
from small_runs import SMALL, recorded_state, signal_at_step, train_run

from minitrain.components.networks import MLPConfig
from minitrain.errors import ConfigError, Interrupted
from minitrain.inference.model import restore_model
from minitrain.optim import AdamRule
from minitrain.optim.schedules import Plateau
from minitrain.registry import register
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.training.experiment import build_experiment
from minitrain.training.loop import compute_context, train_together
from minitrain.training.progress import ProgressReporter
from minitrain.training.recorder import RunRecorder

RUN = replace(
    SMALL, network=MLPConfig([8], dropout=0.2), optimizer=AdamRule(), lr=0.1, steps=120, eval_every=6, warmup=10,
    schedule=Plateau(factor=0.5, patience=1), diagnostics=["update_ratio"],
)  # fmt: skip


def expected_rates(table, config, higher_is_better):
    """The learning rate of each row, from the evaluations in metrics.csv alone."""
    run, rates = config.schedule.for_run(config.lr), []
    for step, value in zip(table["step"], table["val_accuracy" if higher_is_better else "val_loss"], strict=True):
        if np.isfinite(value):
            run.observe(step, value, higher_is_better)
        rates.append(config.lr * (run.factor(step, config.steps) * min(1.0, (step + 1) / config.warmup)))
    return rates


@pytest.mark.parametrize("monitor", ["val_accuracy", "val_loss"])
def test_the_rate_follows_the_monitored_metric(tmp_path, monitor):
    config = replace(RUN, monitor=monitor)
    train_run(config, tmp_path)
    table = read_metrics(tmp_path)
    assert table["lr"].tolist() == expected_rates(table, config, higher_is_better=monitor == "val_accuracy")
    assert table["lr"][-1] < 0.05


def test_both_engines_write_equal_files(tmp_path):
    for engine in ("numpy", "eager"):
        train_run(replace(RUN, engine=engine), tmp_path / engine)
    assert recorded_state(tmp_path / "numpy") == recorded_state(tmp_path / "eager")


def test_runs_of_a_group_have_schedules_of_their_own(tmp_path):
    configs = [
        replace(RUN, seed=seed, lr=lr, schedule=Plateau(factor=factor, patience=1))
        for seed, lr, factor in ((0, 0.1, 0.5), (1, 0.03, 0.5), (1, 0.3, 0.1))
    ]
    engine, recorders = group_of(configs), []
    for i, (step, config) in enumerate(zip(engine.steps, configs, strict=True)):
        (tmp_path / f"group {i}").mkdir()
        experiment = replace(build_experiment(config), step=step, model=step.model)
        recorders.append(RunRecorder(experiment, tmp_path / f"group {i}", []))
        train_run(config, tmp_path / f"alone {i}")
    with compute_context(1), ProgressReporter(RUN.steps, 0, False, False) as progress:
        train_together(recorders, engine, progress, threading.Event())
    for i in range(len(configs)):
        assert recorded_state(tmp_path / f"group {i}") == recorded_state(tmp_path / f"alone {i}")
    factors = [read_metrics(tmp_path / f"group {i}")["lr"] / config.lr for i, config in enumerate(configs)]
    assert len({tuple(of_run) for of_run in factors}) == 3


@pytest.mark.parametrize("step", [5, 6, 47, 60, 118])
def test_a_resumed_run_is_bitwise_equal_to_an_uninterrupted_one(tmp_path, monkeypatch, step):
    train_run(RUN, tmp_path / "uninterrupted")
    with monkeypatch.context() as patch:
        signal_at_step(patch, step)
        with pytest.raises(Interrupted):
            train_run(RUN, tmp_path / "stopped")
    train_run(RUN, tmp_path / "stopped", resume=True)
    assert recorded_state(tmp_path / "stopped") == recorded_state(tmp_path / "uninterrupted")


@pytest.mark.parametrize("steps", [60, 62])  # eval_every=6 requests an evaluation at 60; at 62 there is a last one
def test_an_extended_run_has_the_rates_of_a_longer_one(tmp_path, steps):
    config = replace(RUN, schedule=Plateau(factor=0.5, patience=0))
    train_run(config, tmp_path / "long")
    train_run(replace(config, steps=steps), tmp_path / "extended")
    train_run(config, tmp_path / "extended", resume=True)
    assert recorded_state(tmp_path / "extended") == recorded_state(tmp_path / "long")
    arrays, _ = load_checkpoint(tmp_path / "long" / "checkpoints" / "last.npz")
    assert arrays["schedule"].dtype == np.float64


def test_the_state_of_the_schedule_is_no_part_of_the_network(tmp_path):
    train_run(RUN, tmp_path)
    model = restore_model(RUN, tmp_path, "last")
    arrays, _ = load_checkpoint(tmp_path / "checkpoints" / "last.npz")
    assert model.step == RUN.steps
    for name, value in model.network.state_dict().items():
        assert value.tobytes() == arrays[f"parameters/{name}"].tobytes()


def test_a_schedule_of_a_user_may_observe_the_metric(tmp_path, own_components):
    @register("schedule", "worse")
    @dataclass(frozen=True)
    class Worse:
        def for_run(self, lr):
            return Counted()

    class Counted:
        def __init__(self):
            self.array = np.zeros(1)

        def factor(self, step, steps):
            return 0.5 ** self.array[0]

        def observe(self, step, value, higher_is_better):
            self.array[0] += 1

    train_run(replace(SMALL, schedule=Worse()), tmp_path)  # evaluations at steps 0, 20, 40 and 60
    assert read_metrics(tmp_path)["lr"][[0, 3, 4, -1]].tolist() == [0.05, 0.05, 0.025, 0.00625]


def test_an_adaptive_schedule_is_checked_when_it_is_registered(own_components):
    @dataclass(frozen=True)
    class NoRate:
        def for_run(self):
            return None

    with pytest.raises(ConfigError, match=r"for_run takes \(\), expected \(lr\)"):
        register("schedule", "no_rate")(NoRate)
