"""Runs in groups that differ in their seed alone: how each run is judged, and what a group comes to."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import yaml

from minitrain.compare.results import MISSING, Result, Results, are_numbers, form, is_number, metric_names, value_of
from minitrain.errors import ConfigError
from minitrain.plotting.figures import shortened
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status
from minitrain.typing import Array

COMPARE = {"<=": operator.le, ">=": operator.ge, "!=": operator.ne, "==": operator.eq, "=": operator.eq,
           "<": operator.lt, ">": operator.gt}  # fmt: skip


@dataclass(frozen=True)
class Judge:
    """What runs are judged by: a metric, and which of a run's values of it.

    by: last, min or max

    >>> Judge("val_loss", "last").is_higher_better, Judge("val_accuracy", "last").is_higher_better
    (False, True)
    """

    metric: str
    by: str = "last"

    @property
    def is_higher_better(self) -> bool:
        return self.by == "max" or (self.by == "last" and Metric.named(self.metric).higher_is_better)

    def place(self, run: Result) -> int | None:
        """Where in the run's curve the value is that judges it; None for a run that diverged or has no value."""
        values = run.curve(self.metric)[1]
        if run.status is Status.DIVERGED or not len(values):
            return None
        return {"last": len(values) - 1, "min": int(values.argmin()), "max": int(values.argmax())}[self.by]

    def value(self, run: Result) -> float:
        """nan for a run that diverged or has no value."""
        place = self.place(run)
        return math.nan if place is None else float(run.curve(self.metric)[1][place])

    def best(self, values: Iterable[float]) -> float:
        """The best of values that are known; nan of none."""
        known = [value for value in values if not math.isnan(value)]
        return (max if self.is_higher_better else min)(known, default=math.nan)

    def rank(self, value: float) -> float:
        """What sorts the best first, and nan last."""
        return math.inf if math.isnan(value) else -value if self.is_higher_better else value

    @property
    def name(self) -> str:
        return f"{self.by} {self.metric}"


@dataclass(frozen=True)
class Group:
    """Runs of one combination of values; they differ in their seed, or in keys that nobody groups by.

    values: key -> value
    """

    values: dict[str, Any]
    runs: list[Result]
    judge: Judge

    @property
    def label(self) -> str:
        return ", ".join(f"{key}={form(value)}" for key, value in self.values.items()) or "all runs"

    @cached_property
    def judged(self) -> Array:
        """The value of each run: [runs]; nan where a run diverged or has none."""
        return np.array([self.judge.value(run) for run in self.runs])

    @cached_property
    def mean(self) -> float:
        return float(self._known.mean()) if len(self._known) else math.nan

    @cached_property
    def deviation(self) -> float:
        """Standard deviation between runs, n - 1 in its denominator; nan for one run."""
        with np.errstate(over="ignore"):  # the square of 1e200
            return float(self._known.std(ddof=1)) if len(self._known) > 1 else math.nan

    @property
    def _known(self) -> Array:
        return self.judged[~np.isnan(self.judged)]

    @property
    def best(self) -> tuple[float, float]:
        """The best value that any of the runs ever had, and its step; nan, nan where there is none."""
        curves = [run.curve(self.judge.metric) for run in self.runs if run.status is not Status.DIVERGED]
        pick = np.argmax if self.judge.is_higher_better else np.argmin
        found = [(float(values[pick(values)]), float(steps[pick(values)])) for steps, values in curves if len(values)]
        return min(found, key=lambda each: self.judge.rank(each[0]), default=(math.nan, math.nan))

    @property
    def seconds(self) -> float:
        """Of a run, in the mean; nan where none tells."""
        known = [run.seconds for run in self.runs if not math.isnan(run.seconds)]
        return sum(known) / len(known) if known else math.nan

    def count(self, status: Status) -> int:
        return sum(run.status == status for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """Runs side by side, the best group first.

    keys: what they are grouped by; metrics: what the runs' files tell, beside step and lr
    """

    results: Results
    keys: list[str]
    judge: Judge
    groups: list[Group]

    @property
    def metrics(self) -> list[str]:
        return metric_names(self.results)

    @property
    def has_repeats(self) -> bool:
        return any(len(group.runs) > 1 for group in self.groups)

    def values(self, key: str) -> list[Any]:
        """The values of a key, each once: numbers in order, then lists of numbers, then what is none, by name."""
        return in_order(group.values[key] for group in self.groups)

    def is_numeric(self, key: str) -> bool:
        return are_numbers(self.values(key))

    def is_ordered(self, key: str) -> bool:
        """Whether all values are numbers, or lists of numbers such as widths."""
        return self.is_numeric(key) or all(isinstance(v, list) and are_numbers(v) for v in self.values(key))


def in_order(values: Iterable[Any]) -> list[Any]:
    """Each value once: numbers in order, then lists of numbers, then what is none, by name.

    >>> in_order(["b", 10, [8], True, 1, "a", 10.0])
    [1, 10.0, [8], 'a', 'b', True]
    """
    found = {form(value): value for value in values}
    numbers = sorted(value for value in found.values() if is_number(value))
    lists = sorted(value for value in found.values() if isinstance(value, list) and are_numbers(value))
    placed = set(map(form, [*numbers, *lists]))
    return [*numbers, *lists, *(found[name] for name in sorted(found.keys() - placed))]


def compare(
    results: Results, metric: str | None = None, by: str = "last", keys: Sequence[str] | None = None
) -> Comparison:
    """Group runs by the keys that they differ in, the seed aside, or by the keys given.

    metric: validation accuracy where every run has it, else validation loss, else training loss, if not given
    by: the run's last, min or max value of it
    Raises ConfigError for a metric or key that no run has, and where there is no run.
    """
    if not results:
        raise ConfigError("compare: no run left to compare; give the directory of a run or a sweep")
    known = metric_names(results)
    if metric is not None and metric not in known:
        raise ConfigError(f"--metric {metric}: no run has it; there is {', '.join(known) or 'none yet'}")
    judge = Judge(metric or common_metric(results), by)
    for key in keys or ():
        check_key(results, key)
    chosen = list(keys) if keys is not None else [key for key in results.keys if key != "seed"]
    found: dict[tuple[str, ...], list[Result]] = {}
    for run in results:
        found.setdefault(tuple(form(value_of(run, key)) for key in chosen), []).append(run)
    groups = [Group({key: value_of(runs[0], key) for key in chosen}, runs, judge) for runs in found.values()]
    groups.sort(key=lambda group: judge.rank(group.mean))
    return Comparison(results, chosen, judge, groups)


def common_metric(runs: Sequence[Result]) -> str:
    """What every run that has values has: validation accuracy, else validation loss, else training loss."""
    begun = [run for run in runs if len(run.curve("train_loss")[0])]
    for metric in ("val_accuracy", "val_loss"):
        if begun and all(len(run.curve(metric)[0]) for run in begun):
            return metric
    return "train_loss"


def check_key(runs: Sequence[Result], key: str) -> None:
    """Raises ConfigError for a key that no run has."""
    if all(value_of(run, key) == MISSING for run in runs):
        there = dict.fromkeys(each for run in runs for each in run.config)
        near = [each for each in there if key.rpartition(".")[2] in each] or list(there)
        raise ConfigError(f"{key}: no run has this key; there is {', '.join(near[:12])}")


def filtered(results: Results, condition: str) -> Results:
    """The runs for which a condition holds: `lr<0.5`, `activation=relu`, `status=completed`.

    Raises ConfigError for a condition that cannot be read, is about a key that no run has, or holds for no run.
    """
    found = re.fullmatch(r"([\w.]+)\s*(<=|>=|!=|==|=|<|>)\s*(.+)", condition.strip())
    if found is None or found[3][0] in "<>=!":
        raise ConfigError(f"--filter {condition}: cannot be read; expected KEY<VALUE with one of < <= > >= = !=")
    key, sign, text = found.groups()
    try:
        wanted = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: no such day
        wanted = text
    wanted = float(text) if isinstance(wanted, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", text) else wanted
    if sign in ("<", "<=", ">", ">=") and not is_number(wanted):
        raise ConfigError(f"--filter {condition}: expected a number after {sign}; = and != take names too")
    if key != "status":
        check_key(results.runs, key)

    def of(run: Result) -> Any:
        return run.status if key == "status" else value_of(run, key)

    def holds(value: Any) -> bool:
        if are_numbers([value, wanted]):
            return bool(COMPARE[sign](value, wanted))
        return sign in ("=", "==", "!=") and bool(COMPARE[sign](form(value), form(wanted)))

    left = [run for run in results if holds(of(run))]
    if not left:
        values = [form(value) for value in in_order(map(of, results))]
        there = shortened(", ".join(values[:12]) + ", …" * (len(values) > 12), 200)
        raise ConfigError(
            f"--filter {condition}: holds for none of {len(results)} run{'s' * (len(results) != 1)}; {key} is {there}"
        )
    return Results(left, results.skipped)
