"""The training loop: rows, evaluations, the best network, gradient clipping, L2 penalty, warmup and divergence."""

import errno
import threading
from dataclasses import replace

import numpy as np
import pytest
from engine_checks import group_of
from small_runs import SMALL, recorded_state, train_run
from threadpoolctl import threadpool_info, threadpool_limits

from minitrain.components.networks import Lab2Config, LinearConfig, MLPConfig
from minitrain.config.schema import RunConfig
from minitrain.data import Point
from minitrain.optim import SGDRule
from minitrain.optim.schedules import Constant, Linear
from minitrain.registry import REGISTRIES
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import Best, read_summary, write_summary
from minitrain.training import recorder
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.experiment import build_experiment
from minitrain.training.loop import compute_context, train, train_together
from minitrain.training.progress import ProgressReporter
from minitrain.training.recorder import RunRecorder

LAB2 = RunConfig(
    Point(), Lab2Config(), SGDRule(), Constant(), lr=0.3, steps=20, batch_size=None, loss="output", dtype="float64",
    eval_every=1, log_every=1,
)  # fmt: skip


def test_rows_of_metrics_csv(tmp_path):
    summary = train_run(SMALL, tmp_path)
    table = read_metrics(tmp_path)
    assert list(table) == ["step", "lr", "train_loss", "val_loss", "val_accuracy"]
    assert table["step"].tolist() == list(range(0, 61, 5))
    assert table["step"][np.isfinite(table["val_loss"])].tolist() == [0, 20, 40, 60]
    assert np.isfinite(table["train_loss"]).all()
    assert summary.status == "completed"
    assert summary.final["val_accuracy"] == table["val_accuracy"][-1]
    best = int(np.nanargmax(table["val_accuracy"]))
    assert summary.best == Best("val_accuracy", table["val_accuracy"][best], table["step"][best])
    assert read_summary(tmp_path) == summary


def test_the_last_row_is_written_independently_of_the_intervals(tmp_path):
    train_run(replace(SMALL, steps=7, eval_every=100, log_every=100), tmp_path)
    assert read_metrics(tmp_path)["step"].tolist() == [0, 7]


def test_tasks_2_and_3_of_the_lab_notebook(tmp_path):
    summary = train_run(LAB2, tmp_path)
    table = read_metrics(tmp_path)
    assert list(table) == ["step", "lr", "train_loss"]
    assert table["train_loss"][0] == 9
    assert table["train_loss"][1] == pytest.approx(0.1, rel=1e-14)
    assert table["train_loss"][2:].tolist() == [0] * 19
    assert summary.best == Best("train_loss", 0, 2)


@pytest.mark.parametrize(
    "changes", [{"max_grad_norm": 1e9}, {"l2": 0.0, "l2_on": "all"}, {"warmup": 1}, {"patience": 1000}]
)
def test_options_without_effect_change_no_byte(tmp_path, changes):
    train_run(SMALL, tmp_path / "without")
    train_run(replace(SMALL, **changes), tmp_path / "with")
    assert recorded_state(tmp_path / "with") == recorded_state(tmp_path / "without")


@pytest.mark.parametrize("limit", [None, 0.01])
def test_the_norm_of_a_clipped_step_is_the_limit(tmp_path, limit):
    experiment = build_experiment(replace(SMALL, lr=1.0, steps=1, dtype="float64", max_grad_norm=limit))
    before = [p.numpy() for p in experiment.model.parameters()]
    train(experiment, tmp_path, bar=False)
    update = [p.numpy() - old for p, old in zip(experiment.model.parameters(), before, strict=True)]
    norm = np.sqrt(sum((part**2).sum() for part in update))
    assert norm > 0.1 if limit is None else norm == pytest.approx(0.01, rel=1e-3)


def test_the_learning_rate_warms_up_before_the_schedule(tmp_path):
    train_run(replace(SMALL, steps=20, log_every=1, warmup=4, schedule=Linear(final=0.5), lr=0.8), tmp_path)
    expected = [0.2, 0.4, 0.6, 0.8, *(0.8 - 0.4 * k / 16 for k in range(17))]
    np.testing.assert_allclose(read_metrics(tmp_path)["lr"], expected, rtol=1e-14)


@pytest.mark.parametrize("l2_on", ["weights", "all"])
def test_the_training_loss_includes_the_l2_penalty_and_the_validation_loss_does_not(tmp_path, l2_on):
    base = replace(SMALL, lr=0.0, steps=1, dtype="float64", network=MLPConfig([8]))
    for name, config in (("plain", base), ("l2", replace(base, l2=0.1, l2_on=l2_on))):
        experiment = build_experiment(config)
        # Biases are initialized to 0: change them, so that their part of the penalty is visible.
        for p in experiment.model.parameters():
            p.data += 0.5
        (tmp_path / name).mkdir()
        train(experiment, tmp_path / name, bar=False)
    plain, penalized = read_metrics(tmp_path / "plain"), read_metrics(tmp_path / "l2")
    named = experiment.model.named_parameters().items()
    total = sum((p.numpy() ** 2).sum() for name, p in named if l2_on == "all" or name.endswith("weight"))
    np.testing.assert_allclose(penalized["train_loss"] - plain["train_loss"], 0.1 * total, rtol=1e-12)
    assert (penalized["val_loss"] == plain["val_loss"]).all()


@pytest.mark.parametrize("l2_on", ["weights", "all"])
def test_the_l2_penalty_equals_weight_decay_of_pytorchs_sgd(tmp_path, l2_on):
    torch = pytest.importorskip("torch")
    config = replace(SMALL, activation="tanh", batch_size=None, steps=100, dtype="float64", l2=0.01, l2_on=l2_on)
    experiment = build_experiment(config)
    peer = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()
    ours = list(experiment.model.named_parameters().items())
    theirs = list(peer.parameters())
    with torch.no_grad():
        for (_, p), q in zip(ours, theirs, strict=True):
            q.copy_(torch.tensor(p.numpy()))
    decayed = [l2_on == "all" or name.endswith("weight") for name, _ in ours]
    opt = torch.optim.SGD(
        [{"params": [q], "weight_decay": 0.02 * on} for q, on in zip(theirs, decayed, strict=True)], lr=config.lr
    )
    x, y = torch.tensor(experiment.data.x_train), torch.tensor(experiment.data.y_train)
    for _ in range(100):
        opt.zero_grad()
        torch.nn.functional.cross_entropy(peer(x), y).backward()
        opt.step()
    train(experiment, tmp_path, bar=False)
    for (_, p), q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss", "train_loss"])
def test_best_is_selected_by_the_monitored_metric(tmp_path, metric):
    best = train_run(replace(SMALL, monitor=metric), tmp_path).best
    table = read_metrics(tmp_path)
    values = table[metric][np.isfinite(table["val_loss"])]
    assert best.metric == metric
    assert best.value == (values.max() if metric == "val_accuracy" else values.min())


def test_equal_configs_write_equal_bytes_and_another_seed_does_not(tmp_path):
    for name in ("a", "b"):
        train_run(SMALL, tmp_path / name)
    train_run(replace(SMALL, seed=1), tmp_path / "other")
    assert recorded_state(tmp_path / "a") == recorded_state(tmp_path / "b")
    assert recorded_state(tmp_path / "a") != recorded_state(tmp_path / "other")


def test_a_run_can_be_trained_in_another_thread(tmp_path):
    thread = threading.Thread(target=train_run, args=(SMALL, tmp_path))
    thread.start()
    thread.join()
    assert read_summary(tmp_path).status == "completed"


def test_the_best_checkpoint_is_the_network_at_the_best_step(tmp_path):
    summary = train_run(SMALL, tmp_path)
    shorter = tmp_path / "to-best"
    train_run(replace(SMALL, steps=max(summary.best.step, 1)), shorter)
    best, _ = load_checkpoint(tmp_path / "checkpoints" / "best.npz")
    last, _ = load_checkpoint(shorter / "checkpoints" / "last.npz")
    assert all((best[key] == last[key]).all() for key in best)


def test_a_diverged_run_records_step_operation_and_parameter(tmp_path):
    summary = train_run(replace(SMALL, lr=1e30, network=MLPConfig([8])), tmp_path)
    assert summary.status == "diverged"
    assert 0 < summary.step < 5
    assert summary.first_operation == "matmul"
    assert summary.first_parameter.endswith("weight")
    assert not np.isfinite(read_metrics(tmp_path)["train_loss"][-1])


def test_a_diverged_run_whose_end_cannot_be_written_fails_alone(tmp_path, monkeypatch):
    configs = [replace(SMALL, lr=lr) for lr in (0.1, 1e30, 1e30)]
    engine, runs = group_of(configs), []
    for i, (step, config) in enumerate(zip(engine.steps, configs, strict=True)):
        (tmp_path / str(i)).mkdir()
        runs.append(RunRecorder(replace(build_experiment(config), step=step), tmp_path / str(i), []))

    def fail_on_full_disk(directory, summary):
        if directory.name == "1" and summary.status == "diverged":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_summary(directory, summary)

    monkeypatch.setattr(recorder, "write_summary", fail_on_full_disk)
    with compute_context(1), ProgressReporter(SMALL.steps, 0, False, False) as progress:
        train_together(runs, engine, progress, threading.Event())
    assert [read_summary(run.directory).status for run in runs] == ["completed", "failed", "diverged"]
    assert "No space left" in read_summary(tmp_path / "1").error
    train_run(SMALL, tmp_path / "alone")
    assert recorded_state(tmp_path / "0") == recorded_state(tmp_path / "alone")


@pytest.mark.parametrize("activation", sorted(REGISTRIES["activation"]))
@pytest.mark.parametrize("network", [MLPConfig([8]), LinearConfig()])
def test_every_activation_and_network_learns_moons(tmp_path, activation, network):
    # 200 steps reach the best linear separation, about 85%, from any of them.
    summary = train_run(replace(SMALL, activation=activation, network=network, steps=200, lr=0.3), tmp_path)
    assert summary.best.value >= 0.75


def test_a_summed_loss_is_the_mean_times_the_examples(tmp_path):
    config = replace(SMALL, steps=1, batch_size=None, dtype="float64")
    for reduction in ("mean", "sum"):
        train_run(replace(config, reduction=reduction), tmp_path / reduction)
    mean, total = read_metrics(tmp_path / "mean"), read_metrics(tmp_path / "sum")
    assert total["train_loss"][0] == pytest.approx(80 * mean["train_loss"][0], rel=1e-13)
    assert total["val_loss"][0] == pytest.approx(20 * mean["val_loss"][0], rel=1e-13)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_limited_during_training_and_recorded(threads, tmp_path, monkeypatch):
    thread_counts = set()
    update = CompiledEngine.update

    def observed(self, k):
        thread_counts.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        update(self, k)

    config = replace(SMALL, steps=2, blas_threads=threads)
    with threadpool_limits(3, user_api="blas"):
        experiment = build_experiment(config)
        monkeypatch.setattr(CompiledEngine, "update", observed)
        summary = train(experiment, tmp_path, bar=False)
    assert thread_counts == {threads}
    assert summary.blas_threads == read_summary(tmp_path).blas_threads == threads
