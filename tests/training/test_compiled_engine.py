"""The compiled engine computes the bits of the eager one, for one run and for each run of a group."""

from dataclasses import replace

import numpy as np
import pytest
from engine_checks import (
    BASE,
    CLASSES,
    IMAGES,
    LAB2,
    NUMBERS,
    STEPS,
    assert_bitwise_equal,
    check_engines,
    execute,
    group_of,
    select_run,
    step_of,
    with_seeds,
    with_values,
)

from minitrain.components.networks import Lab2Config, LinearConfig, MLPConfig
from minitrain.components.sequential import CNNConfig, SequentialConfig
from minitrain.data import NPY, Moons
from minitrain.optim import AdamRule, AdamWRule, LionRule, MomentumRule, NAdamRule, RMSpropRule, SGDRule
from minitrain.optim.schedules import Constant, Cosine, OneCycle, StepDecay
from minitrain.registry import REGISTRIES
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.eager_engine import EagerEngine
from minitrain.training.experiment import build_experiment
from minitrain.training.loop import train


@pytest.fixture(params=["float32", pytest.param("float64", marks=pytest.mark.slow)])
def base(request):
    return replace(BASE, dtype=request.param)


# Every registered component: new ones are tested without being named here, or fail because an example is missing


@pytest.mark.parametrize("name", REGISTRIES["activation"])
def test_activations(base, name):
    check_engines(*with_seeds(replace(base, activation=name)))


@pytest.mark.parametrize("name", REGISTRIES["init"])
def test_initial_weights(base, name):
    check_engines(*with_seeds(replace(base, network=MLPConfig([6, 5], init=name))))


@pytest.mark.parametrize("name", REGISTRIES["optimizer"])
def test_optimizers(base, name):
    check_engines(*with_seeds(replace(base, optimizer=REGISTRIES["optimizer"][name](), lr=0.01)))


@pytest.mark.parametrize("name", REGISTRIES["schedule"])
def test_schedules(base, name):
    check_engines(*with_seeds(replace(base, schedule=REGISTRIES["schedule"][name](), warmup=3)))


DATA_FOR_LOSS = {
    "cross_entropy": CLASSES, "binary_cross_entropy": Moons(samples=48), "hinge": CLASSES, "mse": NUMBERS,
    "half_mse": NUMBERS, "mae": NUMBERS, "huber": NUMBERS,
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", REGISTRIES["loss"])
def test_losses(base, name, reduction):
    base = replace(base, reduction=reduction, lr=0.01)
    if name == "output":
        lab2 = replace(LAB2, dtype=base.dtype, reduction=reduction)
        check_engines(*with_values(lab2, network=[Lab2Config(1.0), Lab2Config(2.0)]))
    else:
        check_engines(*with_seeds(replace(base, loss=name, data=DATA_FOR_LOSS[name])))


@pytest.mark.parametrize("name", ["hinge", "mse"])
def test_losses_of_two_classes_and_of_classes_as_rows(base, name):
    check_engines(*with_seeds(replace(base, loss=name, data=Moons(samples=48))))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    ("loss", "data"),
    [
        ("cross_entropy", CLASSES), ("hinge", CLASSES), ("hinge", Moons(samples=48)),
        ("binary_cross_entropy", Moons(samples=48)),
    ],
)  # fmt: skip
def test_weights_of_classes(base, loss, data, reduction):
    weights = [[0.5, 2.0, 1.0], [3.0, 0.1, 1.0]]
    configs = with_seeds(replace(base, loss=loss, data=data, reduction=reduction, lr=0.01))
    count = 2 if isinstance(data, Moons) else 3
    check_engines(*[replace(c, class_weight=w[:count]) for c, w in zip(configs, weights, strict=True)])


NETWORKS = {
    "mlp": [
        MLPConfig([]), MLPConfig([1]), MLPConfig([3] * 4), MLPConfig([6], bias=False), MLPConfig([6, 5], norm="batch"),
        MLPConfig([6, 5], norm="layer"), MLPConfig([6, 5], dropout=0.3), MLPConfig([6, 5], frozen=["0.*", "4.bias"]),
        MLPConfig([16, 16], residual=True, norm="batch", dropout=0.2, frozen=["0.*"]),
        MLPConfig([6, 5], parametrization="mup_sgd"), MLPConfig([6, 5], parametrization="mup_adam", bias=False),
    ],
    "linear": [LinearConfig(), LinearConfig(bias=False)],
    "cnn": [CNNConfig([3, 2]), CNNConfig([2], kernel_size=2, pool=1), CNNConfig([2], kernel_size=1, pool=3)],
    "sequential": [SequentialConfig()],
    "lab2": [Lab2Config()],
}  # fmt: skip


@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize(
    ("name", "index"), [(n, i) for n in REGISTRIES["network"] for i in range(len(NETWORKS.get(n, "?")))]
)
def test_networks(name, index, batch_size):
    network = NETWORKS[name][index]
    if name == "lab2":
        check_engines(*with_values(replace(LAB2, dtype="float64"), lr=[0.01, 0.02]))
    else:
        dtype = "float32" if batch_size is None else "float64"
        check_engines(*with_seeds(replace(BASE, data=IMAGES, network=network, batch_size=batch_size, dtype=dtype)))


IMAGE, SIGNAL = {"reshape": [2, 2, 4]}, {"reshape": [2, 8]}
LAYERS = {
    "linear": [[{"linear": {"units": 5, "bias": False}}, "relu"]],
    "conv": [
        [IMAGE, {"conv": {"channels": 3, "stride": 2, "padding": 1}}],
        [SIGNAL, {"conv": {"channels": 3}}, "tanh"],
    ],
    "max_pool": [[IMAGE, "max_pool"], [SIGNAL, {"max_pool": {"kernel_size": 3, "stride": 2}}]],
    "avg_pool": [[IMAGE, "avg_pool"], [SIGNAL, {"avg_pool": {"kernel_size": 3, "stride": 1}}]],
    "batch_norm": [["batch_norm"], [SIGNAL, "batch_norm"], [IMAGE, "batch_norm"]],
    "layer_norm": [["layer_norm"], [IMAGE, "layer_norm"]],
    "dropout": [[{"dropout": 0.3}, {"linear": 6}, {"dropout": 0.2}]],
    "flatten": [[IMAGE, "flatten"]],
    "reshape": [[{"reshape": [4, 4]}]],
    "activation": [[{"linear": 6}, "activation"]],
    "residual": [[{"residual": [{"linear": 16}, "batch_norm", "relu", {"dropout": 0.1}]}]],
}


@pytest.mark.parametrize(
    ("name", "index"), [(n, i) for n in REGISTRIES["layer"] for i in range(len(LAYERS.get(n, "?")))]
)
def test_layers(base, name, index):
    network = SequentialConfig([{"linear": 16}, *LAYERS[name][index], "flatten", "linear"])
    check_engines(*with_seeds(replace(base, data=IMAGES, network=network)))


@pytest.mark.parametrize(
    "changes",
    [
        {"max_grad_norm": 0.5}, {"l2": 0.01}, {"l2": 0.01, "l2_on": "all", "max_grad_norm": 0.5},
        {"label_smoothing": 0.1}, {"loss_scale": 3.0}, {"class_weight": "balanced"},
        {"loss": "huber", "huber_delta": 0.3, "data": NUMBERS}, {"data": replace(CLASSES, validation=0.0)},
        {"batch_size": 1}, {"batch_size": 38},
    ],
    ids=str,
)  # fmt: skip
def test_options(base, changes):
    check_engines(*with_seeds(replace(base, **changes)))


@pytest.mark.parametrize("batch_size", [None, 7])
def test_data_on_disk(base, tmp_path, batch_size):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(48, 2, 2)))
    np.save(tmp_path / "y.npy", np.arange(48) % 3)
    data = NPY(x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"))
    check_engines(*with_seeds(replace(base, data=data, batch_size=batch_size)))


# Groups: what may differ between their runs, and what may not

DIFFERENT_NUMBERS = {
    "seed and lr": {"seed": [0, 1, 1], "lr": [0.1, 0.0, 0.3]},
    "l2": {"l2": [0.01, 0.0, 1.0]},
    "max_grad_norm": {"max_grad_norm": [0.1, 1.0, 100.0]},
    "label_smoothing": {"label_smoothing": [0.1, 0.0, 1.0]},
    "loss_scale": {"loss_scale": [0.1, 1.0, 3.0]},
    "class_weight": {"class_weight": [[0.1, 1.0, 3.0], [1.0, 1.0, 1.0], [2.0, 0.5, 1.0]]},
    "huber_delta": {"loss": ["huber"] * 3, "data": [NUMBERS] * 3, "huber_delta": [0.1, 1.0, 3.0]},
    "dropout": {"network": [MLPConfig([6, 5], dropout=rate) for rate in (0.5, 0.0, 0.9)]},
    "init": {"network": [MLPConfig(init="normal"), MLPConfig(init_scale=0.5), MLPConfig(init_scale=0.0)]},
    "momentum": {"optimizer": [MomentumRule(share) for share in (0.9, 0.0, 0.5)]},
    "rmsprop": {"optimizer": [RMSpropRule(0.9, 1e-8), RMSpropRule(0.0, 1.0), RMSpropRule(0.5, 0.1)]},
    "adam": {"optimizer": [AdamRule(), AdamRule(0.0, 0.9, 1.0), AdamRule(0.5, 0.0, 0.1)]},
    "adamw": {"optimizer": [AdamWRule(weight_decay=decay) for decay in (0.1, 0.0, 1.0)]},
    "nadam": {"optimizer": [NAdamRule(), NAdamRule(0.5, momentum_decay=0.0), NAdamRule(0.0, momentum_decay=1.0)]},
    "lion": {"optimizer": [LionRule(weight_decay=decay, beta1=decay) for decay in (0.1, 0.0, 0.9)]},
    "one_cycle": {"schedule": [OneCycle(rise=rise) for rise in (0.1, 0.2, 0.3)]},
    "schedule, warmup and steps": {
        "schedule": [Cosine(), StepDecay(every=2), Constant()], "warmup": [3, None, 2], "steps": [10, 20, 30],
    },
}  # fmt: skip


@pytest.mark.parametrize("changes", DIFFERENT_NUMBERS.values(), ids=DIFFERENT_NUMBERS)
def test_runs_of_a_group_may_differ_in_numbers(changes):
    check_engines(*with_values(BASE, **changes))


DIFFERENT_TAPES = {
    "width": {"network": [MLPConfig([6]), MLPConfig([7])]},
    "norm": {"network": [MLPConfig([6], norm="layer"), MLPConfig([6], norm="batch")]},
    "frozen": {"network": [MLPConfig([6]), MLPConfig([6], frozen=["0.*"])]},
    "dropout": {"network": [MLPConfig([6]), MLPConfig([6], dropout=0.0)]},
    "activation": {"activation": ["relu", "tanh"]},
    "optimizer": {"optimizer": [SGDRule(), AdamRule()]},
    "loss": {"loss": ["cross_entropy", "mse"]},
    "batch_size": {"batch_size": [8, 16]},
    "l2": {"l2": [None, 0.0]},
    "l2_on": {"l2": [0.1, 0.1], "l2_on": ["all", "weights"]},
    "label_smoothing": {"label_smoothing": [None, 0.0]},
    "loss_scale": {"loss_scale": [None, 1.0]},
    "class_weight": {"class_weight": [None, [1.0, 1.0, 1.0]]},
    "dtype": {"dtype": ["float32", "float64"]},
}


@pytest.mark.parametrize("changes", DIFFERENT_TAPES.values(), ids=DIFFERENT_TAPES)
def test_runs_with_different_operations_are_rejected_and_unchanged(changes):
    steps = [step_of(config) for config in with_values(BASE, **changes)]
    vector = steps[0].parameters.vector
    with pytest.raises(ValueError, match=r"stack: run 1 computes .*, where run 0 computes .*differ only in numbers"):
        CompiledEngine(*steps)
    assert steps[0].parameters.vector is vector


def test_runs_on_different_data_are_rejected():
    with pytest.raises(ValueError, match="has several datasets; expected one"):
        group_of(with_values(BASE, data=[CLASSES, replace(CLASSES, seed=1)]))


@pytest.mark.parametrize("network", [MLPConfig([6]), MLPConfig([6], norm="batch", dropout=0.2)])
def test_a_diverging_run_does_not_change_the_others_of_its_group(base, network):
    configs = with_values(
        replace(base, network=network, optimizer=SGDRule(), l2=0.1), lr=[0.05, 1e30, 0.1], seed=[0, 1, 2]
    )
    check_engines(*configs)
    assert not np.isfinite(execute(group_of(configs))["loss 7"][1])


def test_vectors_of_runs_are_rows_of_their_groups_arrays():
    steps = [step_of(config) for config in with_seeds(BASE, 3)]
    group = CompiledEngine(*steps)
    execute(group)
    for run, step in enumerate(steps):
        assert all(np.shares_memory(vector, group.vectors[name]) for name, vector in step.vectors().items())
        assert_bitwise_equal(step.vectors(), select_run(group.vectors, run))
        assert_bitwise_equal({"loss": EagerEngine(step).loss(STEPS)}, {"loss": group.loss(STEPS)[run]})


# Restored state, and whole runs


@pytest.mark.parametrize("count", [1, 3])
def test_restored_runs_continue_with_equal_bits(base, count):
    configs = with_seeds(replace(base, network=MLPConfig([6, 5], norm="batch", dropout=0.2, frozen=["0.*"])), count)
    uninterrupted = execute(group_of(configs))
    stopped_steps = [step_of(config) for config in configs]
    execute(CompiledEngine(*stopped_steps), range(5))
    restored_steps = [step_of(config) for config in configs]
    engine = CompiledEngine(*restored_steps)
    for stopped, restored in zip(stopped_steps, restored_steps, strict=True):
        restored.restore({name: array.copy() for name, array in stopped.arrays().items()})
    results = execute(engine, range(5, STEPS))
    assert_bitwise_equal(results, {name: uninterrupted[name] for name in results})


ALL_OPTIONS = replace(
    BASE, network=MLPConfig([6, 5], norm="batch", dropout=0.2), schedule=Cosine(), warmup=5, max_grad_norm=1.0, l2=1e-3,
    label_smoothing=0.1, steps=60, patience=3, checkpoint_every=7, batch_size=7,
)  # fmt: skip
DIVERGING = replace(BASE, data=NUMBERS, activation="identity", loss="mse", optimizer=SGDRule(), lr=1e6, steps=60)


@pytest.mark.parametrize(("config", "status"), [(ALL_OPTIONS, "completed"), (DIVERGING, "diverged")])
def test_both_engines_write_equal_files(tmp_path, config, status):
    summaries, contents = [], []
    for engine in ("numpy", "eager"):
        directory = tmp_path / engine
        directory.mkdir()
        summaries.append(train(build_experiment(replace(config, engine=engine)), directory, bar=False))
        files = sorted((directory / "checkpoints").glob("*.npz"))
        weights = [(f.name, {name: a.tobytes() for name, a in load_checkpoint(f)[0].items()}) for f in files]
        contents.append([(directory / "metrics.csv").read_bytes(), *weights])
    assert contents[0] == contents[1]
    first, second = (replace(summary, seconds=0, wall_seconds=0, steps_per_second=0) for summary in summaries)
    assert first == second
    assert first.status == status
    assert first.stopped_early == (status == "completed")
    assert (first.first_operation is None) == (status == "completed")


# The interface of engines


def test_selecting_runs_of_an_eager_engine():
    engine = EagerEngine(step_of(BASE))
    assert engine.select([0]) is engine
    assert (engine.runs_at_once, engine.nbytes) == (1, 0)
    with pytest.raises(ValueError, match=r"select\(\[1\]\): the eager engine computes one run; expected \[0\]"):
        engine.select([1])


def test_an_eager_update_requires_a_loss():
    with pytest.raises(RuntimeError, match=r"update\(0\): expected loss\(0\) to be called first"):
        EagerEngine(step_of(BASE)).update(0)
