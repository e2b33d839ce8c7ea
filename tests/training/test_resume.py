"""Interrupted, crashed and extended runs: a resumed run has the bytes of an uninterrupted one."""

import signal
from dataclasses import replace

import pytest
from small_runs import SMALL, recorded_state, signal_at_step, train_run

from minitrain.components.networks import MLPConfig
from minitrain.errors import Interrupted, RecordError
from minitrain.optim import AdamRule, MomentumRule, SGDRule
from minitrain.optim.schedules import Cosine, Exponential, Linear, OneCycle, StepDecay
from minitrain.registry import REGISTRIES
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import read_summary
from minitrain.training.compiled_engine import CompiledEngine


@pytest.mark.parametrize("optimizer", [SGDRule(), MomentumRule(), AdamRule()])
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("step", [0, 24, 25, 26, 41, 58])
def test_a_resumed_run_is_bitwise_equal_to_an_uninterrupted_one(tmp_path, monkeypatch, optimizer, dtype, step):
    config = replace(SMALL, optimizer=optimizer, dtype=dtype, schedule=Cosine(), lr=0.05)
    train_run(config, tmp_path / "uninterrupted")
    with monkeypatch.context() as patch:
        signal_at_step(patch, step)
        with pytest.raises(Interrupted):
            train_run(config, tmp_path / "stopped")
    assert read_summary(tmp_path / "stopped").status == "interrupted"
    assert read_summary(tmp_path / "stopped").step == step + 1
    train_run(config, tmp_path / "stopped", resume=True)
    assert recorded_state(tmp_path / "stopped") == recorded_state(tmp_path / "uninterrupted")
    before, after = (read_summary(tmp_path / name) for name in ("uninterrupted", "stopped"))
    times = {"seconds": 0, "wall_seconds": 0, "steps_per_second": 0}
    assert replace(before, **times) == replace(after, **times)


OPTIMIZER_OPTIONS = [
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


@pytest.mark.parametrize("options", OPTIMIZER_OPTIONS, ids=REGISTRIES["optimizer"])
def test_every_optimizer_resumes_bitwise_with_clipping_l2_warmup_and_a_schedule(tmp_path, monkeypatch, options):
    config = replace(SMALL, steps=45, **options)
    train_run(config, tmp_path / "uninterrupted")
    with monkeypatch.context() as patch:
        signal_at_step(patch, 31)
        with pytest.raises(Interrupted):
            train_run(config, tmp_path / "stopped")
    train_run(config, tmp_path / "stopped", resume=True)
    assert recorded_state(tmp_path / "stopped") == recorded_state(tmp_path / "uninterrupted")
    assert list(read_metrics(tmp_path / "uninterrupted")) == ["step", "lr", "train_loss", "val_loss", "val_accuracy"]


@pytest.mark.parametrize("step", [10, 30, 55])
def test_a_crash_loses_only_the_steps_after_the_checkpoint(tmp_path, monkeypatch, step):
    train_run(SMALL, tmp_path / "uninterrupted")
    update = CompiledEngine.update

    def crash(self, k):
        if k == step:
            raise MemoryError("out of memory")
        update(self, k)

    with monkeypatch.context() as patch:
        patch.setattr(CompiledEngine, "update", crash)
        with pytest.raises(MemoryError):
            train_run(SMALL, tmp_path / "crashed")
    assert read_summary(tmp_path / "crashed").status == "failed"
    assert "out of memory" in read_summary(tmp_path / "crashed").error
    train_run(SMALL, tmp_path / "crashed", resume=True)
    assert recorded_state(tmp_path / "crashed") == recorded_state(tmp_path / "uninterrupted")


def test_sigterm_requests_a_stop(tmp_path, monkeypatch):
    signal_at_step(monkeypatch, 30, signal.SIGTERM)
    with pytest.raises(Interrupted):
        train_run(SMALL, tmp_path)
    assert load_checkpoint(tmp_path / "checkpoints" / "last.npz")[1].step == 31


def test_more_steps_continue_a_completed_run(tmp_path):
    train_run(replace(SMALL, steps=100), tmp_path / "uninterrupted")
    train_run(SMALL, tmp_path / "extended")
    train_run(replace(SMALL, steps=100), tmp_path / "extended", resume=True)
    assert recorded_state(tmp_path / "extended") == recorded_state(tmp_path / "uninterrupted")


def test_a_checkpoint_of_another_network_or_optimizer_is_rejected(tmp_path):
    train_run(SMALL, tmp_path)
    with pytest.raises(RecordError, match="another network"):
        train_run(replace(SMALL, network=MLPConfig([9])), tmp_path, resume=True)
    with pytest.raises(RecordError, match="another network or optimizer"):
        train_run(replace(SMALL, optimizer=AdamRule()), tmp_path, resume=True)
