"""Successive halving: at each rung the best runs of a sweep continue, and the others are pruned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import SupportsFloat

import numpy as np

from minitrain.config.schema import RunConfig
from minitrain.data.splitting import SplitOptions
from minitrain.errors import ConfigError, DirectoryInUseError, RecordError, abbreviate, plural
from minitrain.options import Range, validate_value
from minitrain.storage.lock import locked
from minitrain.storage.metric import Metric
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import Status, read_summary, write_summary
from minitrain.sweep.grouping import shared_data
from minitrain.sweep.state import Job, append_log
from minitrain.training.experiment import build_experiment

LOSS_KEYS = ("loss", "reduction", "label_smoothing", "class_weight", "huber_delta", "loss_scale")


@dataclass(frozen=True)
class Halving:
    """Synchronous successive halving (Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943).

    All runs are trained to the first rung. There the best of them, one in `factor`, continue to the next rung; the
    others are pruned. The runs that are left after the last rung are trained to their ends. What a run computes does
    not depend on the others: the files of one that is never pruned are those of a run that was never halved.

    Attributes:
        factor: One in `factor` runs continues, rounded up.
        rungs: The steps of the rungs.
        metric: The name of the metric by whose value at the rung runs are ranked.
        by: The key for each of whose values the best runs continue; None compares all runs.
        over_repeats: Whether runs that differ in seed and fold alone are ranked by their mean, and stay together.
    """

    factor: int
    rungs: tuple[int, ...]
    metric: str
    by: str | None = None
    over_repeats: bool = False

    def to_record(self) -> dict[str, object]:
        """Its content in multirun.yaml."""
        return {**asdict(self), "rungs": list(self.rungs)}

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> Halving:
        """Halving as multirun.yaml has it.

        Raises:
            ConfigError: The content is damaged.
        """
        key = "multirun.yaml: hydra.sweep.halving"
        return cls(
            validate_value(record.get("factor"), int, Range("", at_least=2), f"{key}.factor"),
            tuple(validate_value(record.get("rungs"), list[int], Range("", at_least=1), f"{key}.rungs")),
            validate_value(record.get("metric"), str, Range(""), f"{key}.metric"),
            validate_value(record.get("by"), str | None, Range(""), f"{key}.by"),
            record.get("over_repeats") is True,
        )

    def survivors(self, jobs: Sequence[Job], rung: int) -> list[Job]:
        """The jobs that continue after a rung.

        Of equal values the one of the run with the lower number is better. NaN is worse than any number; it is the
        value of a run that diverged or failed before the rung.

        Args:
            jobs: The jobs that have reached the rung, in the order of their numbers.
            rung: The step of the rung.
        """
        metric = Metric.named(self.metric)
        continuing: set[int] = set()
        for units in self._units(jobs):
            ranks = [_rank(np.mean([_value_at(job, rung, metric.name) for job in unit]), metric) for unit in units]
            best = sorted(range(len(units)), key=ranks.__getitem__)[: self._remaining(len(units))]
            continuing.update(job.number for i in best for job in units[i])
        return [job for job in jobs if job.number in continuing]

    def counts(self, jobs: Sequence[Job]) -> list[int]:
        """How many of the jobs begin, and how many continue after each rung.

        >>> from minitrain.data import Moons
        >>> from minitrain.components.networks import MLPConfig
        >>> from minitrain.optim import SGDRule
        >>> from minitrain.optim.schedules import Constant
        >>> from pathlib import Path
        >>> config = RunConfig(Moons(), MLPConfig([8]), SGDRule(), Constant(), lr=0.1)
        >>> jobs = [Job(number, config, Path(), []) for number in range(81)]
        >>> Halving(3, (100, 300, 900), "val_accuracy").counts(jobs)
        [81, 27, 9, 3]
        """
        counts = [0] * (1 + len(self.rungs))
        for units in self._units(jobs):
            remaining = len(units)
            for k in range(len(counts)):
                counts[k] += remaining * len(units[0])
                remaining = self._remaining(remaining)
        return counts

    def describe(self, jobs: Sequence[Job]) -> str:
        """The plan in one line: how many runs are trained how far, and the steps that halving saves."""
        counts, steps = self.counts(jobs), max(job.config.steps for job in jobs)
        stages = [f"{count:,} to step {step:,}" for count, step in zip(counts, [*self.rungs, steps], strict=True)]
        lengths = np.diff([0, *self.rungs, steps])
        share = float(np.dot(counts, lengths)) / (len(jobs) * steps)
        return f"halving by {self.metric}: {', '.join(stages)}; about {share:.0%} of the steps of all runs"

    def _remaining(self, count: int) -> int:
        return math.ceil(count / self.factor)

    def _units(self, jobs: Sequence[Job]) -> list[list[list[Job]]]:
        """The jobs by the value of `by`, and of each value by what is ranked: runs, or configs over their seeds."""
        classes: dict[str, dict[str, list[Job]]] = {}
        for job in jobs:
            unit = repr(_without_repeats(job.config)) if self.over_repeats else str(job.number)
            classes.setdefault(_override(job.overrides, self.by), {}).setdefault(unit, []).append(job)
        return [list(units.values()) for units in classes.values()]


def _without_repeats(config: RunConfig) -> RunConfig:
    """The config without what distinguishes repeats of a run: seed and fold."""
    data = config.data
    if isinstance(data, SplitOptions) and data.fold is not None:
        data = replace(data, fold=0)
    return replace(config, data=data, seed=0)


def _override(overrides: Sequence[str], key: str | None) -> str:
    """The last value of a key among overrides; empty if there is none."""
    values = [value for name, _, value in (text.partition("=") for text in overrides) if name == key]
    return values[-1] if values else ""


def _rank(value: SupportsFloat, metric: Metric) -> tuple[bool, float]:
    """A key to sort values by, the best first and NaN last."""
    number = float(value)
    return (True, 0.0) if math.isnan(number) else (False, -number if metric.higher_is_better else number)


def _value_at(job: Job, rung: int, metric: str) -> float:
    """The value of a run at a rung; of a run that ended before it, its last one, or NaN if it diverged or failed."""
    try:
        summary, columns = read_summary(job.directory), read_metrics(job.directory)
    except RecordError:
        return math.nan
    if summary.status in (Status.DIVERGED, Status.FAILED) and summary.step <= rung:
        return math.nan
    steps, values = columns["step"], columns.get(metric, np.full_like(columns["step"], math.nan))
    at_rung, earlier = values[steps == rung], values[(steps < rung) & ~np.isnan(values)]
    return float([math.nan, *earlier, *at_rung][-1])


def has_reached(job: Job, rung: int) -> bool:
    """Whether a run has been evaluated at a rung, and has a checkpoint there.

    A run that was killed while it ended at the rung lacks the checkpoint; one that was killed when it was resumed from
    there lacks the row of the evaluation.
    """
    try:
        has_row = bool((read_metrics(job.directory)["step"] == rung).any())
        return has_row and read_summary(job.directory).step >= rung
    except RecordError:
        return False


def prune(job: Job, rung: int) -> None:
    """Record that a run left the sweep at a rung, unless it had ended before."""
    try:
        with locked(job.directory):
            summary = read_summary(job.directory)
            if not summary.is_complete(job.config.steps) and summary.status is not Status.FAILED:
                write_summary(job.directory, summary.with_status(Status.PRUNED))
                append_log(job.directory, f"pruned at step {rung:,}: other runs of the sweep are better")
    except (DirectoryInUseError, RecordError, OSError):
        return  # another process trains it, or its directory is damaged; other runs are not affected


# The keys of a sweep


def parse_halving(
    keys: Mapping[str, object], jobs: Sequence[Sequence[str]], configs: Sequence[RunConfig]
) -> Halving | None:
    """Halving by the keys of a sweep; None if it is not halved.

    Args:
        keys: The sweep's own keys: `halving`, `rungs`, `halving_by` and others.
        jobs: The overrides of each run.
        configs: The config of each run.

    Raises:
        ConfigError: A key has an invalid value, or the runs cannot be ranked.
    """
    if "halving" not in keys:
        for key in ("rungs", "halving_by"):
            if key in keys:
                raise ConfigError(f"{key}={keys[key]}: the sweep is not halved; add halving=3")
        return None
    factor = validate_value(keys["halving"], int, Range("", at_least=2), "halving")
    over_repeats = "repeats" in keys or len({_override(job, "data.fold") for job in jobs}) > 1
    by = None if "halving_by" not in keys else _check_key(keys["halving_by"], jobs)
    sizes: dict[str, set[str]] = {}
    for number, (job, config) in enumerate(zip(jobs, configs, strict=True)):
        unit = repr(_without_repeats(config)) if over_repeats else str(number)
        sizes.setdefault(_override(job, by), set()).add(unit)
    rungs = _rungs(keys.get("rungs"), factor, max(map(len, sizes.values())), configs)
    return Halving(factor, rungs, _common_metric(configs), by, over_repeats)


def _check_key(key: object, jobs: Sequence[Sequence[str]]) -> str:
    """Raise ConfigError unless `halving_by` names a key with several values."""
    swept = dict.fromkeys(text.partition("=")[0] for job in jobs for text in job)
    several = [name for name in swept if len({_override(job, name) for job in jobs}) > 1]
    if not isinstance(key, str) or key not in several:
        names = ", ".join(several) or "there is none"
        raise ConfigError(f"halving_by={abbreviate(key)}: expected a key with several values: {names}")
    return key


def _rungs(value: object, factor: int, units: int, configs: Sequence[RunConfig]) -> tuple[int, ...]:
    """The steps of the rungs: as given, or computed from the number of steps, each a factor below the next."""
    steps, every = max(config.steps for config in configs), math.lcm(*{config.eval_every for config in configs})
    if isinstance(value, list):
        rungs = validate_value(value, list[int], Range("", at_least=1), "rungs")
        if not rungs or any(a >= b for a, b in pairwise(rungs)) or rungs[-1] >= steps:
            raise ConfigError(f"rungs={value}: expected increasing steps below steps={steps}: rungs=[100,300]")
        if unsuitable := [rung for rung in rungs if rung % every]:
            raise ConfigError(
                f"rungs={value}: runs are ranked at evaluations, every {every} steps, and there is none at "
                f"{unsuitable[0]}; change the rungs or eval_every"
            )
        return tuple(rungs)
    most = _count_rungs(units, factor)
    if value is None and most == 0:
        raise ConfigError(f"halving={factor}: expected several runs to choose from; there is {plural(units, 'run')}")
    count = most if value is None else validate_value(value, int, Range("", at_least=1), "rungs")
    rungs = [round(steps / factor**k / every) * every for k in range(count, 0, -1)]
    possible = [rung for a, rung in pairwise([0, *rungs]) if a < rung < steps]
    if value is None and possible:
        return tuple(possible)
    if len(possible) < count:
        raise ConfigError(
            f"halving={factor}: {plural(count, 'rung')} of steps={steps} would be at {rungs}, but runs are ranked at "
            f"evaluations, every {every} steps; set more steps, fewer rungs, or a smaller eval_every"
        )
    return tuple(rungs)


def _count_rungs(units: int, factor: int) -> int:
    """How many rungs leave a single one of so many units."""
    count = 0
    while units > 1:
        units, count = math.ceil(units / factor), count + 1
    return count


def _common_metric(configs: Sequence[RunConfig]) -> str:
    """The metric by which all runs can be ranked."""
    examples = {
        (repr(c.dataset), *(repr(getattr(c, key)) for key in LOSS_KEYS), c.monitor): c
        for c in map(_without_repeats, configs)
    }
    if len({repr(config.dataset) for config in examples.values()}) > 1:
        raise ConfigError("halving: runs with different data cannot be ranked; sweep other keys, or leave out halving")
    names = {build_experiment(config, shared_data(config)).monitor.name for config in examples.values()}
    losses = {tuple(repr(getattr(config, key)) for key in LOSS_KEYS) for config in examples.values()}
    if len(names) > 1 or (len(losses) > 1 and next(iter(names)).endswith("_loss")):
        raise ConfigError(
            f"halving: runs with different losses cannot be ranked by {' and '.join(sorted(names))}; set monitor to a "
            "metric that they share, such as val_accuracy or val_rmse"
        )
    return names.pop()
