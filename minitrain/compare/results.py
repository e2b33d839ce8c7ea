"""Runs read back from their directories: what each was asked for, how it went, and in which keys they differ."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np

from minitrain.errors import ConfigError, RecordError
from minitrain.registry import COMPONENTS
from minitrain.storage.legacy import upgrade_overrides
from minitrain.storage.metrics_file import finite_points, read_metrics
from minitrain.storage.stored_config import read_stored_config
from minitrain.storage.summary import Status, Summary, read_summary
from minitrain.typing import Array

LARGEST = 1e300  # beyond it, sums and axes overflow


FURTHEST_STEP = 2.0**53  # the last whole number that floats, and JavaScript, count to


@dataclass(frozen=True)
class Result:
    """A run read back.

    config: key -> value, `network.widths` and the like; what an interpolation stands for, in its place
    copies: the keys whose values are those of other keys (`lr: ${optimizer.default_lr}`)
    overrides: key -> value of what was asked for on the command line, as text
    status: running (or killed), completed, diverged, interrupted or failed
    metrics: the columns of metrics.csv by name, nan where a cell is empty: [rows]
    """

    directory: Path
    config: dict[str, Any]
    copies: frozenset[str]
    overrides: dict[str, str]
    status: Status
    summary: Summary | None
    metrics: dict[str, Array] = field(repr=False)

    def curve(self, metric: str) -> tuple[Array, Array]:
        """Steps at which a metric was finite, in order, and its values there; none where there is no such metric.

        Of a damaged metrics.csv, values beyond 1e300 are left out, and rows whose step does not rise.
        """
        steps, values = finite_points(self.metrics, metric)
        fits = (np.abs(values) < LARGEST) & (np.abs(steps) <= FURTHEST_STEP)
        steps, values = steps[fits], values[fits]
        rises = np.diff(np.maximum.accumulate(steps), prepend=-np.inf) > 0
        return steps[rises], values[rises]

    @property
    def seconds(self) -> float:
        return _number(self.summary.seconds if self.summary else None)

    @property
    def steps_per_epoch(self) -> float:
        """nan where the run does not tell."""
        told = _number(self.summary.steps_per_epoch if self.summary else None)
        return told if told > 0 else np.nan


@dataclass(frozen=True)
class Results(Sequence[Result]):
    """Runs side by side.

    skipped: directories that hold no run that can be read, each with the reason, in a line
    """

    runs: list[Result]
    skipped: list[str] = field(default_factory=list)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> Result | Results:
        return self.runs[index] if isinstance(index, int) else Results(self.runs[index], self.skipped)

    def __len__(self) -> int:
        return len(self.runs)

    @cached_property
    def keys(self) -> list[str]:
        """The keys that the runs differ in, the command line's first; see `differing`."""
        return differing(self.runs)

    def table(self) -> list[dict[str, Any]]:
        """A row for each run: directory, status, the keys that differ, the last value of each metric, seconds."""
        return [
            {
                "directory": str(run.directory),
                "status": run.status,
                **{key: value_of(run, key) for key in self.keys},
                **{name: _last(run.curve(name)[1]) for name in metric_names([run])},
                "seconds": run.seconds,
            }
            for run in self.runs
        ]

    def to_pandas(self) -> Any:
        """`table()` as a pandas DataFrame. Raises ImportError where there is no pandas."""
        import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]  # a person's own, not ours

        return pd.DataFrame(self.table())


def load_runs(*directories: str | Path) -> Results:
    """Read every run in these directories, runs or sweeps, those that go on or were killed included.

    What holds no run that can be read is named in `skipped`.

    >>> load_runs("no/such/folder").skipped
    ['no/such/folder: no such directory']
    """
    runs, skipped = [], []
    for given in map(Path, directories):
        found = list(find_runs(given)) if given.is_dir() else []
        if not found:
            skipped.append(f"{given}: {'no run in it' if given.is_dir() else 'no such directory'}")
        for directory in found:
            try:
                runs.append(load_run(directory))
            except (ConfigError, RecordError) as error:
                skipped.append(str(error))
    return Results(list({run.directory.resolve(): run for run in runs}.values()), skipped)


def find_runs(directory: Path) -> Iterator[Path]:
    """The runs' directories in a directory, itself included, in the order of their names, 2 before 10."""
    for folder, inner, files in os.walk(directory):
        if ".hydra" in inner or "metrics.csv" in files:
            inner.clear()
            yield Path(folder)
        inner.sort(key=lambda name: [(int(part or 0), text) for part, text in re.findall(r"(\d*)(\D*)", name)])


def load_run(directory: Path) -> Result:
    """Raises RecordError where the directory is not a run's, or is damaged."""
    config = read_stored_config(directory)
    has_begun = (directory / "metrics.csv").exists()
    summary = read_summary(directory) if (directory / "summary.json").exists() else None
    overrides = upgrade_overrides(text for text in summary.overrides if isinstance(text, str)) if summary else []
    return Result(
        directory,
        config.values,
        config.copies,
        dict(text.partition("=")[::2] for text in overrides),
        summary.status if summary else Status.RUNNING,
        summary,
        read_metrics(directory) if has_begun else {"step": np.empty(0)},
    )


# In what runs differ


MISSING = "-"  # a key that a run's config does not have


def value_of(run: Result, key: str) -> Any:
    """A run's value of a key; of a group, the name of what was chosen: `optimizer` -> adam."""
    return run.config.get(f"{key}.name" if key in COMPONENTS else key, MISSING)


def differing(runs: Sequence[Result]) -> list[str]:
    """The keys that runs differ in, those given on a command line first.

    A copy of another key is no key of its own; nor is what follows from a choice, as Adam's betas from
    optimizer=adam.
    """
    given = dict.fromkeys(key for run in runs for key in run.overrides)
    keys = dict.fromkeys([*given, *(key for run in runs for key in run.config)])
    found = []
    for key in keys:
        group, _, name = key.partition(".")
        if name == "name" and group in COMPONENTS:
            key = group
        if key in found or len({form(value_of(run, key)) for run in runs}) < 2:
            continue
        if all(key in run.copies or key not in run.config for run in runs) and key not in COMPONENTS:
            continue
        if group in COMPONENTS and name not in ("", "name") and _follows(runs, key, group):
            continue
        found.append(key)
    return found


def _follows(runs: Sequence[Result], key: str, group: str) -> bool:
    """Whether the value of a key is told by the choice of its group."""
    values: dict[str, set[str]] = {}
    for run in runs:
        values.setdefault(form(value_of(run, group)), set()).add(form(value_of(run, key)))
    return all(len(of_choice) == 1 for of_choice in values.values())


def metric_names(runs: Iterable[Result]) -> list[str]:
    """What the runs' files tell, beside step and lr, each once."""
    return list(dict.fromkeys(name for run in runs for name in run.metrics if name not in ("step", "lr")))


def form(value: Any) -> str:
    """A value as a person would type it.

    >>> form(0.30000000000000004), form(None), form([8, 8]), form(True), form(1e-05)
    ('0.3', 'null', '[8,8]', 'true', '1e-05')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        return f"[{','.join(map(form, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{form(inner)}' for key, inner in value.items())}}}"
    return str(value)


def is_number(value: Any) -> bool:
    """Whether it can be computed with and drawn: infinity and 10**400 cannot.

    >>> is_number(3), is_number(True), is_number(float("inf")), is_number(10**400)
    (True, False, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def are_numbers(values: Iterable[Any]) -> bool:
    return all(is_number(value) for value in values)


def _number(value: Any) -> float:
    return float(value) if is_number(value) else np.nan


def _last(values: Array) -> float:
    return float(values[-1]) if len(values) else np.nan
