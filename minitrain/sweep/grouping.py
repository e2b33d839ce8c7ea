"""Which runs of a sweep are computed together: those of one structure, as many as fit into a core's cache."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from minitrain.config.schema import RunConfig
from minitrain.data import Dataset
from minitrain.plotting.prediction_plots import check_plots
from minitrain.training.experiment import Experiment, build_experiment
from minitrain.training.loop import RUN_ERRORS, compute_context


def structure(config: RunConfig) -> str:
    """What runs of one stack have in common: everything but numbers and the seed; that a number is null counts.

    >>> from minitrain.data import Moons
    >>> from minitrain.components.networks import MLPConfig
    >>> from minitrain.optim import MomentumRule
    >>> from minitrain.optim.schedules import Constant
    >>> runs = [RunConfig(Moons(), MLPConfig(widths), MomentumRule(m), Constant(), lr=lr, seed=seed)
    ...         for widths, m, lr, seed in (([8], 0.9, 0.1, 0), ([8], 0.5, 0.2, 1), ([4], 0.9, 0.1, 0))]
    >>> [structure(run) == structure(runs[0]) for run in runs]
    [True, True, False]
    """
    parts = []
    for f in fields(config):
        value = getattr(config, f.name)
        if f.name == "data":
            parts.append(repr(value))  # it is loaded once: its numbers count
        elif f.name != "seed":
            parts.append(f"{f.name}={_form(value)}")
    return "\n".join(parts)


def _form(value: Any) -> str:
    """A value with every number that is no whole one left out."""
    if isinstance(value, float):
        return "number"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_form(each)}' for key, each in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_form, value))}]"
    if hasattr(value, "__dataclass_fields__"):
        return f"{type(value).__qualname__}({', '.join(_form(getattr(value, f.name)) for f in fields(value))})"
    return repr(value)


@dataclass(frozen=True)
class RunGroup:
    """Runs that are computed together, by number; the memory that they take, and about how long, on one core."""

    runs: tuple[int, ...]
    nbytes: int
    seconds: float


def group_runs(configs: Mapping[int, RunConfig], cores: int) -> list[RunGroup]:
    """Runs of one structure in stacks that fit the cache, and keep all cores busy. One of each structure is built.

    configs: number -> config
    Raises ConfigError for a structure that cannot be built.
    """
    families: dict[str, list[int]] = {}
    for number, config in configs.items():
        families.setdefault(structure(config), []).append(number)
    found: list[RunGroup] = []
    for key, family in families.items():
        if key not in _measured:
            _measured[key] = _measure(configs[family[0]])
        nbytes, size, seconds = _measured[key]
        count = max(math.ceil(len(family) / size), min(cores // len(families), len(family)))
        parts = np.array_split(family, count)
        found += [RunGroup(tuple(map(int, part)), nbytes * len(part), seconds * len(part)) for part in parts]
    return found


# structure -> bytes of a run, runs of a stack, seconds of a run: a sweep is checked before it is trained, and both ask
_measured: dict[str, tuple[int, int, float]] = {}


def _measure(config: RunConfig) -> tuple[int, int, float]:
    experiment = build_experiment(config, shared_data(config))
    check_plots(experiment)
    engine, seconds = experiment.engine, _seconds_of_a_run(experiment)
    return engine.nbytes, engine.runs_at_once, seconds


def _seconds_of_a_run(experiment: Experiment, tried: int = 3) -> float:
    """About how long a run takes alone, from a few of its steps and an evaluation; in a stack it takes less."""
    engine, config = experiment.engine, experiment.config
    times = [time.perf_counter()]
    try:
        with compute_context(experiment.blas_threads):
            for k in range(tried):
                engine.loss(k)
                engine.update(k)
                times.append(time.perf_counter())
            engine.loss(tried)
            engine.evaluate()
            engine.inspect(tried)
            times.append(time.perf_counter())
    except RUN_ERRORS:
        return 0.0  # a run that comes to this step will tell it
    *steps, evaluation = (after - before for before, after in pairwise(times))
    return min(steps) * config.steps + evaluation * (config.steps // config.eval_every)


_datasets: dict[str, Dataset] = {}


def shared_data(config: RunConfig) -> Dataset:
    """What a config's data loads; the last is kept, for the runs of a sweep mostly share it."""
    key = repr(config.data)
    if key not in _datasets:
        _datasets.clear()
        _datasets[key] = config.data.load()
    return _datasets[key]
