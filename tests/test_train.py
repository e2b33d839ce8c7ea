"""A run: what it records, that equal configs give equal bytes, and that a stop and a resume change nothing."""

import os
import signal
import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest

from minitrain.config import TABLES, ConfigError, RunConfig
from minitrain.data import Dataset, Digits, Moons, Point
from minitrain.nn.networks import Lab2Config, LinearConfig, MLPConfig
from minitrain.optim import AdamRule, MomentumRule, SGDRule
from minitrain.record import RecordError, load_checkpoint, read_metrics, read_summary
from minitrain.schedule import Constant, Cosine
from minitrain.train import Interrupted, build, train

SMALL = RunConfig(
    Moons(samples=100),
    MLPConfig([8]),
    SGDRule(),
    Constant(),
    lr=0.1,
    steps=60,
    batch_size=16,
    eval_every=20,
    log_every=5,
    checkpoint_every=25,
)
NOTEBOOK = RunConfig(
    Point(), Lab2Config(), SGDRule(), Constant(), lr=0.3, steps=20, batch_size=None, loss="output", dtype="float64",
    eval_every=1, log_every=1,
)  # fmt: skip


def run(config, directory, **options):
    directory.mkdir(exist_ok=True)
    return train(build(config), directory, bar=False, **options)


def contents(directory):
    """What must be equal: metrics.csv byte for byte, and every array and value of the checkpoints but the time."""
    state = [(directory / "metrics.csv").read_bytes()]
    for name in ("last", "best"):
        arrays, meta = load_checkpoint(directory / "checkpoints" / f"{name}.npz")
        state += [key.encode() + a.dtype.str.encode() + a.tobytes() for key, a in sorted(arrays.items())]
        state.append({key: value for key, value in meta.items() if key != "seconds"})
    return state


def stop_after(monkeypatch, step, signal_number=signal.SIGINT):
    """Let a signal arrive while this step's update goes on."""
    from minitrain.train import _Run

    update = _Run.update

    def interrupted(self, loss):
        if self.step == step:
            os.kill(os.getpid(), signal_number)
        update(self, loss)

    monkeypatch.setattr(_Run, "update", interrupted)


def test_rows_of_metrics(tmp_path):
    summary = run(SMALL, tmp_path)
    table = read_metrics(tmp_path)
    assert list(table) == ["step", "lr", "train_loss", "val_loss", "val_accuracy"]
    assert table["step"].tolist() == list(range(0, 61, 5))
    assert table["step"][np.isfinite(table["val_loss"])].tolist() == [0, 20, 40, 60]
    assert np.isfinite(table["train_loss"]).all()
    assert summary["status"] == "completed"
    assert summary["final"]["val_accuracy"] == table["val_accuracy"][-1]
    at = int(np.nanargmax(table["val_accuracy"]))
    assert summary["best"] == {
        "metric": "val_accuracy",
        "value": table["val_accuracy"][at],
        "step": table["step"][at],
    }
    assert read_summary(tmp_path) == summary


def test_the_last_row_is_written_whatever_the_intervals(tmp_path):
    run(replace(SMALL, steps=7, eval_every=100, log_every=100), tmp_path)
    assert read_metrics(tmp_path)["step"].tolist() == [0, 7]


def test_the_notebooks_tasks_2_and_3(tmp_path):
    summary = run(NOTEBOOK, tmp_path)
    table = read_metrics(tmp_path)
    assert list(table) == ["step", "lr", "train_loss"]
    assert table["train_loss"][0] == 9
    assert table["train_loss"][1] == pytest.approx(0.1, rel=1e-14)
    assert table["train_loss"][2:].tolist() == [0] * 19
    assert summary["best"] == {"metric": "train_loss", "value": 0, "step": 2}


@pytest.mark.parametrize("optimizer", [SGDRule(), MomentumRule(), AdamRule()])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("step", [0, 24, 25, 26, 41, 58])
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(tmp_path, monkeypatch, optimizer, dtype, step):
    config = replace(SMALL, optimizer=optimizer, dtype=dtype, schedule=Cosine(), lr=0.05)
    run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        with pytest.raises(Interrupted):
            run(config, tmp_path / "stopped")
    assert read_summary(tmp_path / "stopped")["status"] == "interrupted"
    assert read_summary(tmp_path / "stopped")["step"] == step + 1
    run(config, tmp_path / "stopped", resume=True)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    before, after = (read_summary(tmp_path / name) for name in ("whole", "stopped"))
    timed = ("seconds", "steps_per_second")
    assert {k: v for k, v in before.items() if k not in timed} == {k: v for k, v in after.items() if k not in timed}


@pytest.mark.parametrize("step", [10, 30, 55])
def test_a_crash_loses_at_most_what_came_after_the_checkpoint(tmp_path, monkeypatch, step):
    from minitrain.train import _Run

    run(SMALL, tmp_path / "whole")
    update = _Run.update

    def crash(self, loss):
        if self.step == step:
            raise MemoryError("as if killed")
        update(self, loss)

    with monkeypatch.context() as patch:
        patch.setattr(_Run, "update", crash)
        with pytest.raises(MemoryError):
            run(SMALL, tmp_path / "crashed")
    assert read_summary(tmp_path / "crashed")["status"] == "failed"
    assert "as if killed" in read_summary(tmp_path / "crashed")["error"]
    run(SMALL, tmp_path / "crashed", resume=True)
    assert contents(tmp_path / "crashed") == contents(tmp_path / "whole")


def test_sigterm_is_a_request_to_stop_too(tmp_path, monkeypatch):
    stop_after(monkeypatch, 30, signal.SIGTERM)
    with pytest.raises(Interrupted):
        run(SMALL, tmp_path)
    assert load_checkpoint(tmp_path / "checkpoints" / "last.npz")[1]["step"] == 31


def test_more_steps_continue_a_completed_run(tmp_path):
    run(replace(SMALL, steps=100), tmp_path / "whole")
    run(SMALL, tmp_path / "extended")
    run(replace(SMALL, steps=100), tmp_path / "extended", resume=True)
    assert contents(tmp_path / "extended") == contents(tmp_path / "whole")


def test_the_same_config_twice_is_the_same_bytes_and_another_seed_is_not(tmp_path):
    for name in ("a", "b"):
        run(SMALL, tmp_path / name)
    run(replace(SMALL, seed=1), tmp_path / "other")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "other")


def test_runs_from_other_threads_work(tmp_path):
    thread = threading.Thread(target=run, args=(SMALL, tmp_path))
    thread.start()
    thread.join()
    assert read_summary(tmp_path)["status"] == "completed"


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run(SMALL, tmp_path)
    with pytest.raises(RecordError, match="another network"):
        run(replace(SMALL, network=MLPConfig([9])), tmp_path, resume=True)
    with pytest.raises(RecordError, match="another network or optimizer"):
        run(replace(SMALL, optimizer=AdamRule()), tmp_path, resume=True)


def test_the_best_checkpoint_is_the_network_at_the_best_step(tmp_path):
    summary = run(SMALL, tmp_path)
    stopped = tmp_path / "to-best"
    run(replace(SMALL, steps=max(summary["best"]["step"], 1)), stopped)
    best, _ = load_checkpoint(tmp_path / "checkpoints" / "best.npz")
    last, _ = load_checkpoint(stopped / "checkpoints" / "last.npz")
    assert all((best[key] == last[key]).all() for key in best)


def test_a_diverged_run_is_a_result_that_names_step_operation_and_parameter(tmp_path):
    summary = run(replace(SMALL, lr=1e30, network=MLPConfig([8])), tmp_path)
    assert summary["status"] == "diverged"
    assert 0 < summary["step"] < 5
    assert summary["first_operation"] == "matmul"
    assert summary["first_parameter"].endswith("weight")
    last = read_metrics(tmp_path)
    assert not np.isfinite(last["train_loss"][-1])


def test_an_epoch_has_every_example_once_and_drops_the_last_partial_batch():
    from pathlib import Path

    from minitrain.train import _Run

    problem = build(replace(SMALL, batch_size=16))
    state = _Run(problem, Path(), [])
    batches = [state.batch(step)[0] for step in range(10)]
    epoch = np.concatenate(batches[:5])  # 80 training examples are 5 batches of 16
    assert len(np.unique(epoch, axis=0)) == 80
    assert (np.concatenate(batches[5:]) != epoch).any()
    assert (state.batch(3)[0] == batches[3]).all()
    assert len(_Run(build(replace(SMALL, batch_size=None)), Path(), []).batch(0)[0]) == 80


@pytest.mark.parametrize("activation", sorted(TABLES["activation"]))
@pytest.mark.parametrize("network", [MLPConfig([8]), LinearConfig()])
def test_every_activation_and_network_learns_moons(tmp_path, activation, network):
    # 200 steps reach the best linear separation, about 85 %, from any of them.
    summary = run(replace(SMALL, activation=activation, network=network, steps=200, lr=0.3), tmp_path)
    assert summary["best"]["value"] >= 0.75


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 81}, "batch_size=81: expected at most 80"),
        ({"network": Lab2Config()}, "set data=point"),
        ({"data": Point(), "batch_size": None}, "set loss=output"),
        ({"data": Digits(), "loss": "binary_cross_entropy"}, "data has 10; set loss=cross_entropy"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "label_smoothing=0.1: loss=hinge has none"),
    ],
)
def test_keys_that_do_not_go_together(changes, message):
    with pytest.raises(ConfigError, match=message):
        build(replace(SMALL, **changes))


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge"])
def test_two_classes_from_one_output(tmp_path, loss):
    config = replace(SMALL, loss=loss, steps=200, lr=0.3)
    problem = build(config)
    assert problem.describe_network() == "mlp 2-8-1, relu"
    summary = run(config, tmp_path)
    last, _ = load_checkpoint(tmp_path / "checkpoints" / "last.npz")
    assert last["parameters/2.weight"].shape == (1, 8)
    # The accuracy is that of the sign of the output: class 1 on one side, class 0 on the other.
    hidden = np.maximum(problem.data.x_val @ last["parameters/0.weight"].T + last["parameters/0.bias"], 0)
    positive = (hidden @ last["parameters/2.weight"].T + last["parameters/2.bias"])[:, 0] > 0
    assert summary["final"]["val_accuracy"] == (positive == problem.data.y_val).mean()
    assert summary["best"]["value"] >= 0.75


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_learned_in_the_type_of_the_run(tmp_path, loss, dtype):
    from minitrain.train import _Run

    @dataclass(frozen=True)
    class Line:
        def load(self):
            x = np.linspace(-1, 1, 40)[:, None]
            y = 2 * x + 1
            return Dataset(x[::2], y[::2], x[1::2], y[1::2])

    config = replace(SMALL, data=Line(), network=LinearConfig(), loss=loss, dtype=dtype, steps=300, batch_size=None)
    assert build(config).describe_network() == "linear 1-1"
    summary = run(config, tmp_path)
    assert list(summary["final"]) == ["train_loss", "val_loss"]
    assert summary["final"]["val_loss"] < 0.1  # an output of 0 has 0.8 (huber) to 2.3 (mse)
    state = _Run(build(config), tmp_path, [])
    assert state.loss(0).dtype == state.evaluate()["val_loss"].dtype == dtype


def test_a_sum_is_the_mean_times_the_examples(tmp_path):
    config = replace(SMALL, steps=1, batch_size=None, dtype="float64")
    for reduction in ("mean", "sum"):
        run(replace(config, reduction=reduction), tmp_path / reduction)
    mean, total = read_metrics(tmp_path / "mean"), read_metrics(tmp_path / "sum")
    assert total["train_loss"][0] == pytest.approx(80 * mean["train_loss"][0], rel=1e-13)
    assert total["val_loss"][0] == pytest.approx(20 * mean["val_loss"][0], rel=1e-13)
