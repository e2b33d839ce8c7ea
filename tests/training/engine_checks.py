"""Checks that the compiled engine computes the bits of the eager one, for one run and for each run of a group."""

from dataclasses import replace

import numpy as np

from minitrain import nn, no_grad
from minitrain.components.networks import Lab2Config, MLPConfig
from minitrain.config.schema import RunConfig
from minitrain.data import Blobs, Point, Sine
from minitrain.nn.module import Buffer
from minitrain.optim import AdamRule
from minitrain.optim.schedules import Constant
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.eager_engine import EagerEngine
from minitrain.training.experiment import build_experiment

STEPS = 8
CLASSES = Blobs(samples=48, centers=3, features=4, spread=4.0)
IMAGES = replace(CLASSES, features=16)
NUMBERS = Sine(samples=48)
BASE = RunConfig(
    CLASSES, MLPConfig([6, 5]), AdamRule(), Constant(), lr=0.05, batch_size=16, steps=STEPS, eval_every=4, log_every=1
)
LAB2 = replace(BASE, data=Point(), network=Lab2Config(), loss="output", batch_size=None, lr=0.01)


class RunningMean(nn.Module):
    """Base class of layers that update a Buffer in training and use it."""

    def __init__(self):
        self.running_mean = Buffer(0.0, "running_mean")

    def updated_mean(self, x):
        if self.training:
            with no_grad():
                self.running_mean.data = self.running_mean * 0.9 + x.mean() * 0.1
        return self.running_mean


def step_of(config):
    return build_experiment(replace(config, engine="eager")).step


def group_of(configs):
    return CompiledEngine(*[step_of(config) for config in configs])


def execute(engine, steps=range(STEPS)):
    """All losses and metrics of some steps, and the vectors after them, by name."""
    results = {}
    with np.errstate(all="ignore"):
        for k in steps:
            results[f"loss {k}"] = engine.loss(k).copy()
            if k % 4 == 0:
                results |= {f"{name} {k}": value for name, value in engine.evaluate().items()}
            engine.update(k)
        results |= {f"{name} at the end": value for name, value in engine.evaluate().items()}
    vectors = engine.step.vectors() if isinstance(engine, EagerEngine) else engine.vectors
    return results | {name: vector.copy() for name, vector in vectors.items()}


def assert_bitwise_equal(actual, expected):
    """Equal bits; NaN values may differ in their payload."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert (actual[name].dtype, actual[name].shape) == (value.dtype, value.shape), name
        assert np.array_equal(np.isnan(actual[name]), np.isnan(value)), name
        assert np.nan_to_num(actual[name]).tobytes() == np.nan_to_num(value).tobytes(), name


def select_run(results, run):
    return {name: value[run] for name, value in results.items()}


def check_engines(*configs):
    """Execute each run eagerly; compiled, the first run alone and all runs as a group give equal results."""
    expected = [execute(EagerEngine(step_of(config))) for config in configs]
    assert expected[0]["loss 0"] != expected[0][f"loss {STEPS - 1}"]
    assert_bitwise_equal(execute(group_of(configs[:1])), expected[0])
    results = execute(group_of(configs))
    for run, expected_of_run in enumerate(expected):
        assert_bitwise_equal(select_run(results, run), expected_of_run)


def with_seeds(config, count=2):
    return [replace(config, seed=seed) for seed in range(count)]


def with_values(config, **changes):
    """A run for each value; all keys change together."""
    return [
        replace(config, **dict(zip(changes, values, strict=True))) for values in zip(*changes.values(), strict=True)
    ]
