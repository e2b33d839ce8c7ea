"""A run: what it records, that equal configs give equal bytes, and that a stop and a resume change nothing."""

import os
import signal
import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minitrain.components.networks import Lab2Config, LinearConfig, MLPConfig
from minitrain.config.schema import RunConfig
from minitrain.data import Dataset, Digits, Moons, Point
from minitrain.errors import ConfigError, Interrupted, RecordError
from minitrain.optim import AdamRule, LionRule, MomentumRule, SGDRule
from minitrain.optim.schedules import Constant, Cosine, Exponential, Linear, OneCycle, StepDecay
from minitrain.registry import REGISTRIES
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import Best, read_summary
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.experiment import build_experiment
from minitrain.training.loop import train

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
    return train(build_experiment(config), directory, bar=False, **options)


def contents(directory):
    """What must be equal: metrics.csv byte for byte, and every array and value of the checkpoints but the time."""
    state = [(directory / "metrics.csv").read_bytes()]
    for name in ("last", "best"):
        arrays, progress = load_checkpoint(directory / "checkpoints" / f"{name}.npz")
        state += [key.encode() + a.dtype.str.encode() + a.tobytes() for key, a in sorted(arrays.items())]
        state.append(replace(progress, seconds=0.0))
    return state


def stop_after(monkeypatch, step, signal_number=signal.SIGINT):
    """Let a signal arrive while this step's update goes on."""
    update = CompiledEngine.update

    def interrupted(self, k):
        if k == step:
            os.kill(os.getpid(), signal_number)
        update(self, k)

    monkeypatch.setattr(CompiledEngine, "update", interrupted)


def test_rows_of_metrics(tmp_path):
    summary = run(SMALL, tmp_path)
    table = read_metrics(tmp_path)
    assert list(table) == ["step", "lr", "train_loss", "val_loss", "val_accuracy"]
    assert table["step"].tolist() == list(range(0, 61, 5))
    assert table["step"][np.isfinite(table["val_loss"])].tolist() == [0, 20, 40, 60]
    assert np.isfinite(table["train_loss"]).all()
    assert summary.status == "completed"
    assert summary.final["val_accuracy"] == table["val_accuracy"][-1]
    at = int(np.nanargmax(table["val_accuracy"]))
    assert summary.best == Best("val_accuracy", table["val_accuracy"][at], table["step"][at])
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
    assert summary.best == Best("train_loss", 0, 2)


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
    assert read_summary(tmp_path / "stopped").status == "interrupted"
    assert read_summary(tmp_path / "stopped").step == step + 1
    run(config, tmp_path / "stopped", resume=True)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    before, after = (read_summary(tmp_path / name) for name in ("whole", "stopped"))
    timed = ("seconds", "steps_per_second")
    assert {k: v for k, v in before.items() if k not in timed} == {k: v for k, v in after.items() if k not in timed}


EXTRAS = [
    {
        "optimizer": cls(),
        "lr": 0.01,
        "max_grad_norm": 0.5,
        "l2": 1e-3,
        "l2_on": l2_on,
        "warmup": 10,
        "schedule": schedule,
    }
    for cls, l2_on, schedule in zip(
        REGISTRIES["optimizer"].values(),
        ("weights", "all") * 5,
        [Linear(), StepDecay(every=15), Exponential(), Cosine(), OneCycle()] * 2,
        strict=False,
    )
]


@pytest.mark.parametrize("extras", EXTRAS, ids=REGISTRIES["optimizer"])
def test_every_optimizer_resumes_bit_for_bit_with_clip_l2_warm_up_and_a_schedule(tmp_path, monkeypatch, extras):
    config = replace(SMALL, steps=45, **extras)
    run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 31)
        with pytest.raises(Interrupted):
            run(config, tmp_path / "stopped")
    run(config, tmp_path / "stopped", resume=True)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    assert list(read_metrics(tmp_path / "whole")) == ["step", "lr", "train_loss", "val_loss", "val_accuracy"]


@pytest.mark.parametrize(
    "changes", [{"max_grad_norm": 1e9}, {"l2": 0.0, "l2_on": "all"}, {"warmup": 1}, {"patience": 1000}]
)
def test_a_number_that_does_nothing_changes_no_byte(tmp_path, changes):
    run(SMALL, tmp_path / "without")
    run(replace(SMALL, **changes), tmp_path / "with")
    assert contents(tmp_path / "with") == contents(tmp_path / "without")


@pytest.mark.parametrize("limit", [None, 0.01])
def test_a_clipped_step_is_as_long_as_the_limit(tmp_path, limit):
    experiment = build_experiment(replace(SMALL, lr=1.0, steps=1, dtype="float64", max_grad_norm=limit))
    before = [p.numpy() for p in experiment.model.parameters()]
    train(experiment, tmp_path, bar=False)
    moved = [p.numpy() - old for p, old in zip(experiment.model.parameters(), before, strict=True)]
    length = np.sqrt(sum((part**2).sum() for part in moved))
    assert length > 0.1 if limit is None else length == pytest.approx(0.01, rel=1e-3)


def test_the_rate_warms_up_before_the_schedule(tmp_path):
    run(replace(SMALL, steps=20, log_every=1, warmup=4, schedule=Linear(final=0.5), lr=0.8), tmp_path)
    expected = [0.2, 0.4, 0.6, 0.8, *(0.8 - 0.4 * k / 16 for k in range(17))]
    np.testing.assert_allclose(read_metrics(tmp_path)["lr"], expected, rtol=1e-14)


@pytest.mark.parametrize("l2_on", ["weights", "all"])
def test_the_training_loss_has_the_penalty_and_the_validation_loss_has_not(tmp_path, l2_on):
    still = replace(SMALL, lr=0.0, steps=1, dtype="float64", network=MLPConfig([8]))
    for name, config in (("plain", still), ("l2", replace(still, l2=0.1, l2_on=l2_on))):
        experiment = build_experiment(config)
        # Biases start at 0: move them, so that it is seen whether they count.
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
def test_the_l2_penalty_is_pytorchs_weight_decay_under_sgd(tmp_path, l2_on):
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


# With rate 0 nothing gets better than it was at step 0.
STUCK = replace(SMALL, lr=0.0, eval_every=9, log_every=5, steps=60, patience=3)


def test_a_run_stops_early_when_it_waited_long_enough(tmp_path):
    summary = run(STUCK, tmp_path)
    assert (summary.status, summary.stopped_early, summary.step) == ("completed", True, 27)
    assert summary.best.step == 0
    table = read_metrics(tmp_path)
    assert table["step"].tolist() == [0, 5, 9, 10, 15, 18, 20, 25, 27]
    assert np.isfinite(table["val_loss"][-1])
    assert load_checkpoint(tmp_path / "checkpoints" / "last.npz")[1].step == 27


@pytest.mark.parametrize("config", [replace(SMALL, monitor="train_loss", batch_size=None, patience=1), STUCK])
def test_a_run_that_gets_better_or_ends_first_does_not_stop_early(tmp_path, config):
    summary = run(replace(config, steps=20, eval_every=9), tmp_path)
    assert (summary.status, summary.stopped_early, summary.step) == ("completed", False, 20)


@pytest.mark.parametrize("step", [3, 17, 26])
def test_an_early_stop_comes_at_the_same_step_after_a_resume(tmp_path, monkeypatch, step):
    run(STUCK, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        with pytest.raises(Interrupted):
            run(STUCK, tmp_path / "stopped")
    for _ in range(2):  # the second finds it stopped already
        summary = run(STUCK, tmp_path / "stopped", resume=True)
        assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
        assert (summary.stopped_early, summary.step) == (True, 27)


def test_patience_counts_from_the_best_evaluation(tmp_path):
    config = replace(SMALL, optimizer=LionRule(), lr=0.3, steps=400, eval_every=4, monitor="val_loss", patience=5)
    summary = run(config, tmp_path)
    table = read_metrics(tmp_path)
    losses = table["val_loss"][np.isfinite(table["val_loss"])]
    best = int(np.argmin(losses))
    assert best > 0
    assert summary.best == Best("val_loss", losses[best], 4 * best)
    assert (summary.stopped_early, summary.step) == (True, 4 * (best + 5))
    assert len(losses) == best + 6


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss", "train_loss"])
def test_best_is_judged_by_the_metric(tmp_path, metric):
    best = run(replace(SMALL, monitor=metric), tmp_path).best
    table = read_metrics(tmp_path)
    values = table[metric][np.isfinite(table["val_loss"])]
    assert best.metric == metric
    assert best.value == (values.max() if metric == "val_accuracy" else values.min())


@pytest.mark.parametrize("step", [10, 30, 55])
def test_a_crash_loses_at_most_what_came_after_the_checkpoint(tmp_path, monkeypatch, step):
    run(SMALL, tmp_path / "whole")
    update = CompiledEngine.update

    def crash(self, k):
        if k == step:
            raise MemoryError("as if killed")
        update(self, k)

    with monkeypatch.context() as patch:
        patch.setattr(CompiledEngine, "update", crash)
        with pytest.raises(MemoryError):
            run(SMALL, tmp_path / "crashed")
    assert read_summary(tmp_path / "crashed").status == "failed"
    assert "as if killed" in read_summary(tmp_path / "crashed").error
    run(SMALL, tmp_path / "crashed", resume=True)
    assert contents(tmp_path / "crashed") == contents(tmp_path / "whole")


def test_sigterm_is_a_request_to_stop_too(tmp_path, monkeypatch):
    stop_after(monkeypatch, 30, signal.SIGTERM)
    with pytest.raises(Interrupted):
        run(SMALL, tmp_path)
    assert load_checkpoint(tmp_path / "checkpoints" / "last.npz")[1].step == 31


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
    assert read_summary(tmp_path).status == "completed"


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run(SMALL, tmp_path)
    with pytest.raises(RecordError, match="another network"):
        run(replace(SMALL, network=MLPConfig([9])), tmp_path, resume=True)
    with pytest.raises(RecordError, match="another network or optimizer"):
        run(replace(SMALL, optimizer=AdamRule()), tmp_path, resume=True)


def test_the_best_checkpoint_is_the_network_at_the_best_step(tmp_path):
    summary = run(SMALL, tmp_path)
    stopped = tmp_path / "to-best"
    run(replace(SMALL, steps=max(summary.best.step, 1)), stopped)
    best, _ = load_checkpoint(tmp_path / "checkpoints" / "best.npz")
    last, _ = load_checkpoint(stopped / "checkpoints" / "last.npz")
    assert all((best[key] == last[key]).all() for key in best)


def test_a_diverged_run_is_a_result_that_names_step_operation_and_parameter(tmp_path):
    summary = run(replace(SMALL, lr=1e30, network=MLPConfig([8])), tmp_path)
    assert summary.status == "diverged"
    assert 0 < summary.step < 5
    assert summary.first_operation == "matmul"
    assert summary.first_parameter.endswith("weight")
    last = read_metrics(tmp_path)
    assert not np.isfinite(last["train_loss"][-1])


def test_an_epoch_has_every_example_once_and_drops_the_last_partial_batch():
    state = build_experiment(replace(SMALL, batch_size=16)).step
    batches = [state.batch(step).x for step in range(10)]
    epoch = np.concatenate(batches[:5])  # 80 training examples are 5 batches of 16
    assert len(np.unique(epoch, axis=0)) == 80
    assert (np.concatenate(batches[5:]) != epoch).any()
    assert (state.batch(3).x == batches[3]).all()
    assert len(build_experiment(replace(SMALL, batch_size=None)).step.batch(0)) == 80


@pytest.mark.parametrize("activation", sorted(REGISTRIES["activation"]))
@pytest.mark.parametrize("network", [MLPConfig([8]), LinearConfig()])
def test_every_activation_and_network_learns_moons(tmp_path, activation, network):
    # 200 steps reach the best linear separation, about 85 %, from any of them.
    summary = run(replace(SMALL, activation=activation, network=network, steps=200, lr=0.3), tmp_path)
    assert summary.best.value >= 0.75


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warmup": 60}, "warmup=60: expected fewer than steps=60"),
        (
            {"data": Moons(validation=0.0), "monitor": "val_loss"},
            "monitor=val_loss: not available with this data; expected one of auto, train_loss",
        ),
        ({"batch_size": 81}, "batch_size=81: expected at most 80"),
        ({"network": Lab2Config()}, "set data=point"),
        ({"data": Point(), "batch_size": None}, "set loss=output"),
        ({"data": Digits(), "loss": "binary_cross_entropy"}, "data has 10; set loss=cross_entropy"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "label_smoothing=0.1: loss=hinge has none"),
    ],
)
def test_keys_that_do_not_go_together(changes, message):
    with pytest.raises(ConfigError, match=message):
        build_experiment(replace(SMALL, **changes))


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge"])
def test_two_classes_from_one_output(tmp_path, loss):
    config = replace(SMALL, loss=loss, steps=200, lr=0.3)
    experiment = build_experiment(config)
    assert experiment.describe_network() == "mlp 2-8-1, relu"
    summary = run(config, tmp_path)
    last, _ = load_checkpoint(tmp_path / "checkpoints" / "last.npz")
    assert last["parameters/2.weight"].shape == (1, 8)
    # The accuracy is that of the sign of the output: class 1 on one side, class 0 on the other.
    hidden = np.maximum(experiment.data.x_val @ last["parameters/0.weight"].T + last["parameters/0.bias"], 0)
    positive = (hidden @ last["parameters/2.weight"].T + last["parameters/2.bias"])[:, 0] > 0
    assert summary.final["val_accuracy"] == (positive == experiment.data.y_val).mean()
    assert summary.best.value >= 0.75


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_learned_in_the_type_of_the_run(tmp_path, loss, dtype):
    @dataclass(frozen=True)
    class Line:
        def load(self):
            x = np.linspace(-1, 1, 40)[:, None]
            y = 2 * x + 1
            return Dataset(x[::2], y[::2], x[1::2], y[1::2])

    config = replace(SMALL, data=Line(), network=LinearConfig(), loss=loss, dtype=dtype, steps=300, batch_size=None)
    assert build_experiment(config).describe_network() == "linear 1-1"
    summary = run(config, tmp_path)
    assert list(summary.final) == ["train_loss", "val_loss"]
    assert summary.final["val_loss"] < 0.1  # an output of 0 has 0.8 (huber) to 2.3 (mse)
    for engine in (build_experiment(config).eager_engine, build_experiment(config).engine):
        assert engine.loss(0).dtype == engine.evaluate()["val_loss"].dtype == dtype


def test_a_sum_is_the_mean_times_the_examples(tmp_path):
    config = replace(SMALL, steps=1, batch_size=None, dtype="float64")
    for reduction in ("mean", "sum"):
        run(replace(config, reduction=reduction), tmp_path / reduction)
    mean, total = read_metrics(tmp_path / "mean"), read_metrics(tmp_path / "sum")
    assert total["train_loss"][0] == pytest.approx(80 * mean["train_loss"][0], rel=1e-13)
    assert total["val_loss"][0] == pytest.approx(20 * mean["val_loss"][0], rel=1e-13)


@pytest.mark.parametrize(("given", "width", "threads"), [("auto", 255, 1), ("auto", 256, 6), (1, 256, 1), (3, 8, 3)])
def test_auto_takes_all_cores_from_a_product_of_256_cubed_on(given, width, threads, monkeypatch):
    monkeypatch.setattr("minitrain.training.experiment.available_cores", lambda: 6)
    config = replace(SMALL, data=Digits(), network=MLPConfig([width, 256]), batch_size=256, blas_threads=given)
    assert build_experiment(config).blas_threads == threads


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_limited_while_a_run_goes_on_and_recorded(threads, tmp_path, monkeypatch):
    seen = set()
    update = CompiledEngine.update

    def watched(self, k):
        seen.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        update(self, k)

    config = replace(SMALL, steps=2, blas_threads=threads)
    with threadpool_limits(3, user_api="blas"):
        experiment = build_experiment(config)
        monkeypatch.setattr(CompiledEngine, "update", watched)
        summary = train(experiment, tmp_path, bar=False)
    assert seen == {threads}
    assert summary.blas_threads == read_summary(tmp_path).blas_threads == threads
