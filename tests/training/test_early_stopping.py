"""Early stopping: `patience` counts evaluations without improvement, and resumed runs stop at the same step."""

from dataclasses import replace

import numpy as np
import pytest
from small_runs import SMALL, recorded_state, signal_at_step, train_run

from minitrain.errors import ConfigError, Interrupted
from minitrain.optim import LionRule
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import Best
from minitrain.training.experiment import build_experiment

# With a learning rate of 0 no metric improves after step 0.
STUCK = replace(SMALL, lr=0.0, eval_every=9, log_every=5, steps=60, patience=3)


def test_a_run_stops_early_after_evaluations_without_improvement(tmp_path):
    summary = train_run(STUCK, tmp_path)
    assert (summary.status, summary.stopped_early, summary.step) == ("completed", True, 27)
    assert summary.best.step == 0
    table = read_metrics(tmp_path)
    assert table["step"].tolist() == [0, 5, 9, 10, 15, 18, 20, 25, 27]
    assert np.isfinite(table["val_loss"][-1])
    assert load_checkpoint(tmp_path / "checkpoints" / "last.npz")[1].step == 27


@pytest.mark.parametrize("config", [replace(SMALL, monitor="train_loss", batch_size=None, patience=1), STUCK])
def test_a_run_that_improves_or_ends_first_does_not_stop_early(tmp_path, config):
    summary = train_run(replace(config, steps=20, eval_every=9), tmp_path)
    assert (summary.status, summary.stopped_early, summary.step) == ("completed", False, 20)


@pytest.mark.parametrize("step", [3, 17, 26])
def test_a_resumed_run_stops_early_at_the_same_step(tmp_path, monkeypatch, step):
    train_run(STUCK, tmp_path / "uninterrupted")
    with monkeypatch.context() as patch:
        signal_at_step(patch, step)
        with pytest.raises(Interrupted):
            train_run(STUCK, tmp_path / "stopped")
    for _ in range(2):  # the second time, the run has already stopped
        summary = train_run(STUCK, tmp_path / "stopped", resume=True)
        assert recorded_state(tmp_path / "stopped") == recorded_state(tmp_path / "uninterrupted")
        assert (summary.stopped_early, summary.step) == (True, 27)


def test_patience_counts_from_the_best_evaluation(tmp_path):
    config = replace(SMALL, optimizer=LionRule(), lr=0.3, steps=400, eval_every=4, monitor="val_loss", patience=5)
    summary = train_run(config, tmp_path)
    table = read_metrics(tmp_path)
    losses = table["val_loss"][np.isfinite(table["val_loss"])]
    best = int(np.argmin(losses))
    assert best > 0
    assert summary.best == Best("val_loss", losses[best], 4 * best)
    assert (summary.stopped_early, summary.step) == (True, 4 * (best + 5))
    assert len(losses) == best + 6


# `min_delta`: with full batches and a small learning rate, the training loss falls by less and less at each evaluation.
SLOWING = replace(
    SMALL, batch_size=None, monitor="train_loss", lr=0.5, steps=400, eval_every=10, patience=3, min_delta=0.01
)


def expected_stop(losses, patience, min_delta):
    """The evaluation at which a run stops, and the one of the last improvement that counts."""
    counted = 0
    for i, loss in enumerate(losses):
        if losses[counted] - loss >= min_delta:
            counted = i
        if i - counted >= patience:
            return i, counted
    raise AssertionError("the losses improve to the end")


def test_improvements_smaller_than_min_delta_do_not_count(tmp_path):
    long = replace(SLOWING, patience=None, min_delta=None)
    train_run(long, tmp_path / "long")
    losses = read_metrics(tmp_path / "long")["train_loss"]
    assert (np.diff(losses) < 0).all()  # every evaluation improves the loss
    losses = losses[read_metrics(tmp_path / "long")["step"] % 10 == 0]
    for min_delta in (0.003, 0.01, 0.03):
        stop, counted = expected_stop(losses, 3, min_delta)
        summary = train_run(replace(SLOWING, min_delta=min_delta), tmp_path / str(min_delta))
        assert (summary.stopped_early, summary.step) == (True, 10 * stop)
        assert summary.best == Best("train_loss", losses[stop], 10 * stop)  # small improvements are still the best
        assert counted < stop
    assert not train_run(replace(SLOWING, min_delta=None, steps=60), tmp_path / "any").stopped_early
    assert not train_run(replace(SLOWING, min_delta=0.0, steps=60), tmp_path / "zero").stopped_early


@pytest.mark.parametrize("offset", [-12, -7, -1])
def test_a_resumed_run_counts_the_same_improvements(tmp_path, monkeypatch, offset):
    last = train_run(SLOWING, tmp_path / "uninterrupted").step
    with monkeypatch.context() as patch:
        signal_at_step(patch, last + offset)
        with pytest.raises(Interrupted):
            train_run(SLOWING, tmp_path / "stopped")
    summary = train_run(SLOWING, tmp_path / "stopped", resume=True)
    assert recorded_state(tmp_path / "stopped") == recorded_state(tmp_path / "uninterrupted")
    assert (summary.stopped_early, summary.step) == (True, last)


def test_min_delta_requires_patience():
    with pytest.raises(ConfigError, match=r"min_delta=0\.1: applies to early stopping; set patience, or"):
        build_experiment(replace(SMALL, min_delta=0.1))
