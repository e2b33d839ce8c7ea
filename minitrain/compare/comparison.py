"""Groups of runs that differ only in seed and fold, and how runs and groups are scored and ranked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minitrain.compare.comparability import Differences, comparable_metric, default_metric
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
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status
from minitrain.typing import Array

REPEATS = ("seed", "data.fold")  # keys of runs that repeat an experiment, over which means are computed
# Keys that change what is logged, stored or drawn, or how it is computed, but no result
KEYS_WITHOUT_EFFECT = (
    "plots", "diagnostics", "engine", "blas_threads", "log_every", "checkpoint_every", "on_divergence", "extensions",
)  # fmt: skip
MOST_LISTED = 12  # keys that an error message lists


@dataclass(frozen=True)
class Ranking:
    """The score that runs are ranked by: one value of a metric.

    Attributes:
        metric: The name of the metric.
        by: Which of a run's values is its score: `last`, `min` or `max`.
        allows_diverged: Whether a group of which some runs diverged is ranked by its other runs; if not, it is ranked
            below the groups of which none did.

    >>> Ranking("val_loss", "last").higher_is_better, Ranking("val_accuracy", "last").higher_is_better
    (False, True)
    """

    metric: str
    by: str = "last"
    allows_diverged: bool = False

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
        return float(values[-1]) if self.by == "last" else self.best(run)[0]

    def best(self, run: Result) -> tuple[float, float]:
        """The best value of a run and its step; nan, nan if it diverged or has no value of the metric.

        For the monitored metric, it is the value of the best checkpoint, as in summary.json.
        """
        steps, values = run.curve(self.metric)
        if run.status is Status.DIVERGED or not len(values):
            return math.nan, math.nan
        best = run.summary.best if run.summary else None
        if best and best.metric == self.metric and Metric.named(self.metric).higher_is_better == self.higher_is_better:
            return best.value, float(best.step)
        index = int(values.argmax() if self.higher_is_better else values.argmin())
        return float(values[index]), float(steps[index])

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

    @cached_property
    def averaged_runs(self) -> list[Result]:
        """The runs that count in means: pruned ones, which took fewer steps, only if there are no others."""
        return [run for run in self.runs if run.status is not Status.PRUNED] or self.runs

    @property
    def _known_scores(self) -> Array:
        scores = np.array([self.ranking.score(run) for run in self.averaged_runs])
        return scores[~np.isnan(scores)]

    @property
    def best(self) -> tuple[float, float]:
        """The best value of any run, and its step; nan, nan if there is none."""
        return min(map(self.ranking.best, self.runs), key=lambda best: self.ranking.sort_key(best[0]))

    @property
    def seconds(self) -> float:
        """The mean training time of a run; nan if no run has recorded it."""
        known = [run.seconds for run in self.runs if not math.isnan(run.seconds)]
        return sum(known) / len(known) if known else math.nan

    def count(self, status: Status) -> int:
        """The number of runs with a status."""
        return sum(run.status == status for run in self.runs)

    @property
    def sort_key(self) -> tuple[bool, bool, bool, float]:
        """A key that sorts the best group first, then groups whose runs were all pruned, and those without a score."""
        is_set_back = not self.ranking.allows_diverged and self.count(Status.DIVERGED) > 0
        is_pruned = self.count(Status.PRUNED) == len(self.runs)
        return math.isnan(self.mean), is_pruned, is_set_back, self.ranking.sort_key(self.mean)


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, the best first; if they cannot be ranked, in the order of their values.

    Attributes:
        results: The runs.
        keys: The keys that they are grouped by.
        ranking: The score that they are ranked by.
        groups: The groups, sorted by their mean score.
        unranked: Why the groups are not ranked: their values of the metric do not mean the same. Empty if they are.
        notes: What to know of the ranking, a line each.
    """

    results: Results
    keys: list[str]
    ranking: Ranking
    groups: list[Group]
    unranked: str = ""
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Group | None:
        """The best group; None if groups are not ranked, or if no group is without diverged runs (see `Ranking`)."""
        first = self.groups[0]
        has_no_score, _, is_set_back, _ = first.sort_key
        return None if self.unranked or has_no_score or is_set_back else first

    @property
    def metrics(self) -> list[str]:
        """The metrics that the runs have logged."""
        return metric_names(self.results)

    @property
    def has_repeats(self) -> bool:
        """Whether a group has several runs."""
        return any(len(group.runs) > 1 for group in self.groups)

    @property
    def repeats(self) -> str:
        """How many runs a group has: `3 seeds`, `2 to 5 seeds`, `5 folds`, or `6 runs` if they differ in more."""
        counts = sorted({len(group.runs) for group in self.groups})
        differing = {key for key in self.results.keys if key not in (*self.keys, *KEYS_WITHOUT_EFFECT)}
        noun = {frozenset({"seed"}): "seed", frozenset({"data.fold"}): "fold"}.get(frozenset(differing), "run")
        return plural(counts[0], noun) if len(counts) == 1 else f"{counts[0]} to {plural(counts[-1], noun)}"

    def values(self, key: str) -> list[object]:
        """The distinct values of a key, sorted as by `sorted_values`."""
        return sorted_values(group.values[key] for group in self.groups)

    def is_numeric(self, key: str) -> bool:
        """Whether all values of a key are numbers."""
        return are_numbers(self.values(key))

    def is_ordered(self, key: str) -> bool:
        """Whether all values of a key are numbers, or lists of numbers such as widths."""
        return are_ordered(self.values(key))


def are_ordered(values: Sequence[object]) -> bool:
    """Whether all values are numbers, or all are lists of numbers such as widths."""
    return are_numbers(values) or all(isinstance(value, list) and are_numbers(value) for value in values)


def known_values(values: Iterable[object]) -> list[object]:
    """The values of a key without null and without that of runs that do not have the key."""
    return [value for value in values if value is not None and value != MISSING]


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
    results: Results,
    metric: str | None = None,
    by: str = "last",
    keys: Sequence[str] | None = None,
    allow_diverged: bool = False,
) -> Comparison:
    """Group runs and rank the groups, unless the runs differ in what the metric means.

    Args:
        results: The runs to compare.
        metric: The metric to rank by; by default, the one that `comparable_metric` selects.
        by: Whether a run is ranked by its `last`, `min` or `max` value of the metric.
        keys: The keys to group by; by default, all keys that the runs differ in except `REPEATS` and those that change
            no result.
        allow_diverged: Whether a group of which some runs diverged is ranked by its other runs.

    Raises:
        ConfigError: There is no run, or no run has the metric or one of the keys.
    """
    if not results:
        raise ConfigError("compare: no runs to compare; pass the directory of a run or a sweep")
    known = metric_names(results)
    if metric is not None and metric not in known:
        raise ConfigError(f"--metric {metric}: no run has this metric; available: {', '.join(known) or 'none yet'}")
    for key in keys or ():
        check_key(results, key)
    differences = Differences.between(results)
    ranking = Ranking(metric or comparable_metric(results, differences), by, allow_diverged)
    reason = differences.reason(ranking.metric)
    group_keys = list(keys) if keys is not None else default_keys(results)
    groups = _group_runs(results, group_keys, ranking)
    if reason:
        _sort_by_values(groups, group_keys)
    else:
        groups.sort(key=lambda group: group.sort_key)
    notes = _ranking_notes(results, differences, ranking, groups, is_chosen=metric is not None)
    return Comparison(results, group_keys, ranking, groups, reason, tuple(notes))


def default_keys(results: Results) -> list[str]:
    """The keys that runs differ in, except `REPEATS` and those that change no result."""
    return [key for key in results.keys if key not in (*REPEATS, *KEYS_WITHOUT_EFFECT)]


def _sort_by_values(groups: list[Group], keys: Sequence[str]) -> None:
    places = {
        key: {format_value(value): i for i, value in enumerate(sorted_values(group.values[key] for group in groups))}
        for key in keys
    }
    groups.sort(key=lambda group: [places[key][format_value(group.values[key])] for key in keys])


def _ranking_notes(
    results: Results, differences: Differences, ranking: Ranking, groups: Sequence[Group], is_chosen: bool
) -> list[str]:
    """What to know of the ranking, a line each."""
    metric, notes = ranking.metric, []
    reason = differences.reason(metric)
    if reason:
        notes.append(
            f"not ranked: {reason}, so that values of {metric} are not comparable{_remedy(results, differences)}"
        )
    elif not is_chosen and (first := default_metric(results)) != metric:
        notes.append(f"ranked by {metric}: {differences.reason(first)}, so that values of {first} are not comparable")
    if caution := differences.caution(metric):
        notes.append(caution)
    if not reason and any(0 < group.count(Status.DIVERGED) < len(group.runs) for group in groups):
        how = "by their other runs" if ranking.allows_diverged else "last (--allow-diverged: by their other runs)"
        notes.append(f"groups with diverged runs are ranked {how}")
    if not reason and any(group.count(Status.PRUNED) for group in groups):
        notes.append("pruned runs are left out of means, and groups that have no others are ranked last")
    return notes


def _remedy(runs: Sequence[Result], differences: Differences) -> str:
    """How the runs can be ranked: by a metric that they have in common, or that the user can log."""
    common = comparable_metric(runs, differences)
    if not differences.reason(common):
        return f"; --metric {common} ranks them"
    has_classes = any(len(run.curve("val_accuracy")[0]) for run in runs)
    return "" if has_classes or differences.reason("val_rmse") else "; diagnostics=[val_rmse] logs a metric that is"


def _group_runs(results: Results, keys: Sequence[str], ranking: Ranking) -> list[Group]:
    """Groups of the runs that have the same value of each key."""
    runs_of_group: dict[tuple[str, ...], list[Result]] = {}
    for run in results:
        runs_of_group.setdefault(tuple(format_value(value_of(run, key)) for key in keys), []).append(run)
    return [Group({key: value_of(runs[0], key) for key in keys}, runs, ranking) for runs in runs_of_group.values()]


def check_key(runs: Sequence[Result], key: str) -> None:
    """Check that at least one run has a key.

    Raises:
        ConfigError: No run has it; the message lists similar keys.
    """
    if all(value_of(run, key) == MISSING for run in runs):
        known = dict.fromkeys(name for run in runs for name in run.config)
        similar = [name for name in known if key.rpartition(".")[2] in name] or list(known)
        raise ConfigError(f"{key}: no run has this key; available: {', '.join(similar[:MOST_LISTED])}")
