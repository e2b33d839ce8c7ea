"""Groups of runs that are computed together: runs of one structure, as many as fit into a core's cache."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise

import numpy as np

from minitrain.config.schema import RunConfig
from minitrain.data import Dataset, FolderDataset
from minitrain.errors import naming_run
from minitrain.options import paths_of
from minitrain.paths import find_file
from minitrain.plotting.prediction_plots import check_plots
from minitrain.training.experiment import Experiment, build_experiment
from minitrain.training.loop import RUN_ERRORS, compute_context


def structure(config: RunConfig) -> str:
    """The part of a config that all runs of a group share: everything but real numbers and the seed.

    Whether a number is null belongs to the structure.

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
            parts.append(repr(value))  # a group shares one dataset, so its numbers must be equal
        elif f.name != "seed":
            parts.append(f"{f.name}={_without_numbers(value)}")
    return "\n".join(parts)


def _without_numbers(value: object) -> str:
    """The representation of a value, in which every float is replaced by the word `number`."""
    if isinstance(value, float):
        return "number"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_without_numbers(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_without_numbers, value))}]"
    if is_dataclass(value):
        options = (_without_numbers(getattr(value, f.name)) for f in fields(value))
        return f"{type(value).__qualname__}({', '.join(options)})"
    return repr(value)


@dataclass(frozen=True)
class RunGroup:
    """Runs that are computed together.

    Attributes:
        runs: The numbers of the runs.
        nbytes: The size of the buffers of all runs, in bytes.
        seconds: The estimated training time on one core if each run were trained alone.
    """

    runs: tuple[int, ...]
    nbytes: int
    seconds: float


@dataclass(frozen=True)
class _RunCost:
    """Measurements of one run, which stand for all runs of its structure.

    Attributes:
        nbytes: The size of its buffers, in bytes.
        runs_at_once: How many such runs a group should have.
        seconds: The estimated training time, in seconds.
    """

    nbytes: int
    runs_at_once: int
    seconds: float


def group_runs(configs: Mapping[int, RunConfig], cores: int, overrides: Mapping[int, Sequence[str]]) -> list[RunGroup]:
    """Divide runs into groups of one structure that fit into the cache and keep all cores busy.

    One run of each structure is built and measured.

    Args:
        configs: The config of each run, by the run's number.
        cores: The number of processes that train groups at the same time.
        overrides: The overrides that name each run in an error, by the run's number.

    Raises:
        ConfigError: The runs of a structure cannot be built.
    """
    families: dict[str, list[int]] = {}
    for number, config in configs.items():
        families.setdefault(structure(config), []).append(number)
    groups: list[RunGroup] = []
    for key, family in families.items():
        if key not in _costs:
            with naming_run(family[0], overrides[family[0]]):
                _costs[key] = _measure(configs[family[0]])
        cost = _costs[key]
        count = max(math.ceil(len(family) / cost.runs_at_once), min(cores // len(families), len(family)))
        groups += [
            RunGroup(tuple(map(int, part)), cost.nbytes * len(part), cost.seconds * len(part))
            for part in np.array_split(family, count)
        ]
    return groups


# By structure. A sweep is planned before its directory is claimed, and again when it is trained: measured once.
_costs: dict[str, _RunCost] = {}


def _measure(config: RunConfig) -> _RunCost:
    experiment = build_experiment(config, shared_data(config))
    check_plots(experiment)
    engine, seconds = experiment.engine, _estimate_seconds(experiment)
    return _RunCost(engine.nbytes, engine.runs_at_once, seconds)


def _estimate_seconds(experiment: Experiment, trial_steps: int = 3) -> float:
    """The training time of a run alone, estimated from a few of its steps and one evaluation."""
    engine, config = experiment.engine, experiment.config
    times = [time.perf_counter()]
    try:
        with compute_context(experiment.blas_threads):
            for k in range(trial_steps):
                engine.loss(k)
                engine.update(k)
                times.append(time.perf_counter())
            engine.loss(trial_steps)
            engine.evaluate()
            engine.inspect(trial_steps)
            times.append(time.perf_counter())
    except RUN_ERRORS:
        return 0.0  # a run that reaches this step reports the error
    *steps, evaluation = (after - before for before, after in pairwise(times))
    return min(steps) * config.steps + evaluation * (config.steps // config.eval_every)


_datasets: dict[str, Dataset] = {}


def shared_data(config: RunConfig) -> Dataset:
    """Load the dataset of a config; the last one is cached until its files change: most runs of a sweep share it."""
    dataset = config.dataset
    named = [path for path in map(find_file, paths_of(config.data).values()) if os.path.exists(path)]
    paths = dataset.files() if isinstance(dataset, FolderDataset) else named
    key = f"{dataset} {[(path, os.stat(path).st_mtime_ns) for path in paths]}"
    if key not in _datasets:
        _datasets.clear()
        _datasets[key] = dataset.load()
    return _datasets[key]
