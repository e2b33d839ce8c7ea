"""Groups of runs that differ only in seed and fold, and how runs and groups are scored, ranked and filtered."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import yaml

from minitrain.compare.results import (
    MISSING,
    Result,
    Results,
    are_numbers,
    format_value,
    is_number,
    metric_names,
    value_of,
)
from minitrain.errors import ConfigError, plural
from minitrain.plotting.figures import truncate
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status
from minitrain.typing import Array

OPERATORS = {"<=": operator.le, ">=": operator.ge, "!=": operator.ne, "==": operator.eq, "=": operator.eq,
             "<": operator.lt, ">": operator.gt}  # fmt: skip
CONDITION = re.compile(r"([\w.]+)\s*(<=|>=|!=|==|=|<|>)\s*(.+)")
EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")  # 1e-3, which YAML 1.1 reads as a string
REPEATS = ("seed", "data.fold")  # keys of runs that repeat an experiment, over which means are computed
MOST_LISTED = 12  # keys or values that an error message lists
LONGEST_LISTED = 200  # characters of such a list


@dataclass(frozen=True)
class Ranking:
    """The score that runs are ranked by: one value of a metric.

    Attributes:
        metric: The name of the metric.
        by: Which of a run's values is its score: `last`, `min` or `max`.

    >>> Ranking("val_loss", "last").higher_is_better, Ranking("val_accuracy", "last").higher_is_better
    (False, True)
    """

    metric: str
    by: str = "last"

    @property
    def name(self) -> str:
        """The name of the score, such as `last val_loss`."""
        return f"{self.by} {self.metric}"

    @property
    def higher_is_better(self) -> bool:
        """Whether the run with the largest score is the best."""
        return self.by == "max" or (self.by == "last" and Metric.named(self.metric).higher_is_better)

    def score(self, run: Result) -> float:
        """The score of a run; nan if it diverged or has no value of the metric."""
        _, values = run.curve(self.metric)
        if run.status is Status.DIVERGED or not len(values):
            return math.nan
        return float(values[{"last": -1, "min": int(values.argmin()), "max": int(values.argmax())}[self.by]])

    def best_index(self, values: Array) -> int:
        """The index of the best of several values."""
        return int(values.argmax() if self.higher_is_better else values.argmin())

    def sort_key(self, score: float) -> float:
        """A key that sorts the best score first and nan last."""
        return math.inf if math.isnan(score) else -score if self.higher_is_better else score


@dataclass(frozen=True)
class Group:
    """Runs that share the values of the grouping keys; they differ in the seed, the fold, or in other keys.

    Attributes:
        values: The value of each grouping key.
        runs: The runs of the group.
        ranking: The score that they are ranked by.
    """

    values: dict[str, object]
    runs: list[Result]
    ranking: Ranking

    @property
    def label(self) -> str:
        """The values of the grouping keys: `lr=0.1, activation=relu`."""
        return ", ".join(f"{key}={format_value(value)}" for key, value in self.values.items()) or "all runs"

    @cached_property
    def scores(self) -> Array:
        """The score of each run: [runs]; nan for a run that diverged or has none."""
        return np.array([self.ranking.score(run) for run in self.runs])

    @cached_property
    def mean(self) -> float:
        """The mean of the scores that are not nan; nan if there is none."""
        return float(self._known_scores.mean()) if len(self._known_scores) else math.nan

    @cached_property
    def deviation(self) -> float:
        """The sample standard deviation of the scores (denominator n - 1); nan for fewer than two."""
        with np.errstate(over="ignore"):  # the square of 1e200
            return float(self._known_scores.std(ddof=1)) if len(self._known_scores) > 1 else math.nan

    @property
    def _known_scores(self) -> Array:
        return self.scores[~np.isnan(self.scores)]

    @property
    def best(self) -> tuple[float, float]:
        """The best value that any run reached at any step, and that step; nan, nan if there is none."""
        curves = [run.curve(self.ranking.metric) for run in self.runs if run.status is not Status.DIVERGED]
        candidates = []
        for steps, values in curves:
            if len(values):
                index = self.ranking.best_index(values)
                candidates.append((float(values[index]), float(steps[index])))
        return min(candidates, key=lambda candidate: self.ranking.sort_key(candidate[0]), default=(math.nan, math.nan))

    @property
    def seconds(self) -> float:
        """The mean training time of a run; nan if no run has recorded it."""
        known = [run.seconds for run in self.runs if not math.isnan(run.seconds)]
        return sum(known) / len(known) if known else math.nan

    def count(self, status: Status) -> int:
        """The number of runs with a status."""
        return sum(run.status == status for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, the best first.

    Attributes:
        results: The runs.
        keys: The keys that they are grouped by.
        ranking: The score that they are ranked by.
        groups: The groups, sorted by their mean score.
    """

    results: Results
    keys: list[str]
    ranking: Ranking
    groups: list[Group]

    @property
    def metrics(self) -> list[str]:
        """The metrics that the runs have logged."""
        return metric_names(self.results)

    @property
    def has_repeats(self) -> bool:
        """Whether a group has several runs."""
        return any(len(group.runs) > 1 for group in self.groups)

    def values(self, key: str) -> list[object]:
        """The distinct values of a key, sorted as by `sorted_values`."""
        return sorted_values(group.values[key] for group in self.groups)

    def is_numeric(self, key: str) -> bool:
        """Whether all values of a key are numbers."""
        return are_numbers(self.values(key))

    def is_ordered(self, key: str) -> bool:
        """Whether all values of a key are numbers, or lists of numbers such as widths."""
        return self.is_numeric(key) or all(isinstance(v, list) and are_numbers(v) for v in self.values(key))


def sorted_values(values: Iterable[object]) -> list[object]:
    """Distinct values: numbers in order, then lists of numbers in order, then all others by name.

    >>> sorted_values(["b", 10, [8], True, 1, "a", 10.0])
    [1, 10.0, [8], 'a', 'b', True]
    """
    by_text = {format_value(value): value for value in values}
    numbers = sorted(value for value in by_text.values() if is_number(value))
    lists = sorted(value for value in by_text.values() if isinstance(value, list) and are_numbers(value))
    others = by_text.keys() - set(map(format_value, [*numbers, *lists]))
    return [*numbers, *lists, *(by_text[text] for text in sorted(others))]


def compare(
    results: Results, metric: str | None = None, by: str = "last", keys: Sequence[str] | None = None
) -> Comparison:
    """Group runs and rank the groups.

    Args:
        results: The runs to compare.
        metric: The metric to rank by; by default, the one that `common_metric` selects.
        by: Whether a run is ranked by its `last`, `min` or `max` value of the metric.
        keys: The keys to group by; by default, all keys that the runs differ in except `REPEATS`.

    Raises:
        ConfigError: There is no run, or no run has the metric or one of the keys.
    """
    if not results:
        raise ConfigError("compare: no runs to compare; pass the directory of a run or a sweep")
    known = metric_names(results)
    if metric is not None and metric not in known:
        raise ConfigError(f"--metric {metric}: no run has this metric; available: {', '.join(known) or 'none yet'}")
    ranking = Ranking(metric or common_metric(results), by)
    for key in keys or ():
        check_key(results, key)
    group_keys = list(keys) if keys is not None else [key for key in results.keys if key not in REPEATS]
    groups = _group_runs(results, group_keys, ranking)
    groups.sort(key=lambda group: ranking.sort_key(group.mean))
    return Comparison(results, group_keys, ranking, groups)


def _group_runs(results: Results, keys: Sequence[str], ranking: Ranking) -> list[Group]:
    """Groups of the runs that have the same value of each key."""
    runs_of_group: dict[tuple[str, ...], list[Result]] = {}
    for run in results:
        runs_of_group.setdefault(tuple(format_value(value_of(run, key)) for key in keys), []).append(run)
    return [Group({key: value_of(runs[0], key) for key in keys}, runs, ranking) for runs in runs_of_group.values()]


def common_metric(runs: Sequence[Result]) -> str:
    """The metric that all runs with values share: validation accuracy, else validation loss, else training loss."""
    with_values = [run for run in runs if len(run.curve("train_loss")[0])]
    for metric in ("val_accuracy", "val_loss"):
        if with_values and all(len(run.curve(metric)[0]) for run in with_values):
            return metric
    return "train_loss"


def check_key(runs: Sequence[Result], key: str) -> None:
    """Check that at least one run has a key.

    Raises:
        ConfigError: No run has it; the message lists similar keys.
    """
    if all(value_of(run, key) == MISSING for run in runs):
        known = dict.fromkeys(name for run in runs for name in run.config)
        similar = [name for name in known if key.rpartition(".")[2] in name] or list(known)
        raise ConfigError(f"{key}: no run has this key; available: {', '.join(similar[:MOST_LISTED])}")


# Filters


def filter_results(results: Results, condition: str) -> Results:
    """Select the runs that satisfy a condition: `lr<0.5`, `activation=relu`, `status=completed`.

    Raises:
        ConfigError: The condition is malformed, no run has its key, or no run satisfies it.
    """
    key, sign, reference = _parse_condition(condition)
    if key != "status":
        check_key(results.runs, key)
    matching = [run for run in results if _satisfies(_filter_value(run, key), sign, reference)]
    if not matching:
        values = [format_value(value) for value in sorted_values(_filter_value(run, key) for run in results)]
        listed = ", ".join(values[:MOST_LISTED]) + (", …" if len(values) > MOST_LISTED else "")
        raise ConfigError(
            f"--filter {condition}: matches none of {plural(len(results), 'run')}; "
            f"values of {key}: {truncate(listed, LONGEST_LISTED)}"
        )
    return Results(matching, results.skipped)


def _parse_condition(condition: str) -> tuple[str, str, object]:
    """The key, the operator and the reference value of a condition."""
    match = CONDITION.fullmatch(condition.strip())
    if match is None or match[3][0] in "<>=!":
        raise ConfigError(f"--filter {condition}: expected KEY<VALUE with one of the operators < <= > >= = !=")
    key, sign, text = match.groups()
    try:
        reference = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date that does not exist
        reference = text
    if isinstance(reference, str) and EXPONENT.fullmatch(text):
        reference = float(text)
    if sign in ("<", "<=", ">", ">=") and not is_number(reference):
        raise ConfigError(f"--filter {condition}: expected a number after {sign}; only = and != accept names")
    return key, sign, reference


def _filter_value(run: Result, key: str) -> object:
    return run.status if key == "status" else value_of(run, key)


def _satisfies(value: object, sign: str, reference: object) -> bool:
    if is_number(value) and is_number(reference):
        return bool(OPERATORS[sign](value, reference))
    return sign in ("=", "==", "!=") and bool(OPERATORS[sign](format_value(value), format_value(reference)))
