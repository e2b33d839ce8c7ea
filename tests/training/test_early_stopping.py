"""Early stopping: `patience` counts evaluations without improvement, and resumed runs stop at the same step."""

from dataclasses import replace

import numpy as np
import pytest
from small_runs import SMALL, recorded_state, signal_at_step, train_run

from minitrain.errors import Interrupted
from minitrain.optim import LionRule
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import Best

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
