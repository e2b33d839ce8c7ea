"""Results of runs, read from their directories: config, status, metrics, and the keys in which runs differ."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard, overload

import numpy as np

from minitrain.errors import ConfigError, RecordError
from minitrain.registry import COMPONENTS
from minitrain.storage.legacy import upgrade_overrides
from minitrain.storage.metrics_file import LARGEST, finite_points, read_metrics
from minitrain.storage.stored_config import read_stored_config
from minitrain.storage.summary import Status, Summary, read_summary
from minitrain.typing import Array

LARGEST_STEP = 2.0**53  # beyond it, floats, and JavaScript, cannot represent every integer
MISSING = "-"  # the value of a key that a run's config does not have


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        directory: The directory of the run.
        config: The value of each key, such as `network.widths`; interpolations are resolved.
        copies: The keys whose values are interpolations of other keys (`lr: ${optimizer.default_lr}`).
        overrides: The overrides of the command line: key -> value as text.
        status: The status; a run that was killed is still `running`.
        summary: The content of summary.json; None if the run has not written one.
        metrics: The columns of metrics.csv by name: [rows]; nan where a cell is empty.
    """

    directory: Path
    config: dict[str, object]
    copies: frozenset[str]
    overrides: dict[str, str]
    status: Status
    summary: Summary | None
    metrics: dict[str, Array] = field(repr=False)

    def curve(self, metric: str) -> tuple[Array, Array]:
        """The steps at which a metric is finite, and its values there: [points] each; empty if there is no such metric.

        Values beyond 1e100 are excluded, and, of a damaged metrics.csv, rows whose step does not increase.
        """
        steps, values = finite_points(self.metrics, metric)
        is_valid = (np.abs(values) < LARGEST) & (np.abs(steps) <= LARGEST_STEP)
        steps, values = steps[is_valid], values[is_valid]
        increases = np.diff(np.maximum.accumulate(steps), prepend=-np.inf) > 0
        return steps[increases], values[increases]

    @property
    def seconds(self) -> float:
        """The training time; nan if the run has not recorded it."""
        return _number(self.summary.seconds if self.summary else None)

    @property
    def steps_per_epoch(self) -> float:
        """The number of steps of an epoch; nan if the run has not recorded it."""
        steps = _number(self.summary.steps_per_epoch if self.summary else None)
        return steps if steps > 0 else np.nan


@dataclass(frozen=True)
class Results(Sequence[Result]):
    """A sequence of results.

    Attributes:
        runs: The results.
        skipped: Directories without a readable run, each with the reason in one line.
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
        """The keys that the runs differ in, those of the command line first; see `varying_keys`."""
        return varying_keys(self.runs)

    def table(self) -> list[dict[str, object]]:
        """A row for each run: directory, status, the keys that differ, the last value of each metric, and seconds."""
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
        """`table()` as a pandas DataFrame.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]  # optional, not a dependency

        return pd.DataFrame(self.table())


def load_runs(*directories: str | Path) -> Results:
    """Read every run in several directories of runs or sweeps; running and killed runs are included.

    Args:
        *directories: Directories of runs or of sweeps.

    Returns:
        The runs; directories without a readable run are listed in `skipped`.

    >>> load_runs("no/such/folder").skipped
    ['no/such/folder: no such directory']
    """
    runs, skipped = [], []
    for root in map(Path, directories):
        run_directories = list(find_runs(root)) if root.is_dir() else []
        if not run_directories:
            skipped.append(f"{root}: {'contains no run' if root.is_dir() else 'no such directory'}")
        for directory in run_directories:
            try:
                runs.append(load_run(directory))
            except (ConfigError, RecordError) as error:
                skipped.append(str(error))
    return Results(list({run.directory.resolve(): run for run in runs}.values()), skipped)


def find_runs(directory: Path) -> Iterator[Path]:
    """The run directories in a directory, itself included, in natural order of their names (2 before 10)."""
    for folder, inner, files in os.walk(directory):
        if ".hydra" in inner or "metrics.csv" in files:
            inner.clear()
            yield Path(folder)
        inner.sort(key=lambda name: [(int(part or 0), text) for part, text in re.findall(r"(\d*)(\D*)", name)])


def load_run(directory: Path) -> Result:
    """Read the result of one run.

    Raises:
        ConfigError: The directory is not that of a run.
        RecordError: A file in it is damaged.
    """
    config = read_stored_config(directory)
    has_metrics = (directory / "metrics.csv").exists()
    summary = read_summary(directory) if (directory / "summary.json").exists() else None
    overrides = upgrade_overrides(text for text in summary.overrides if isinstance(text, str)) if summary else []
    return Result(
        directory,
        config.values,
        config.copies,
        dict(text.partition("=")[::2] for text in overrides),
        summary.status if summary else Status.RUNNING,
        summary,
        read_metrics(directory) if has_metrics else {"step": np.empty(0)},
    )


# Keys and values


def value_of(run: Result, key: str) -> object:
    """A run's value of a key; for a group of components, the name of the component: `optimizer` -> adam."""
    return run.config.get(f"{key}.name" if key in COMPONENTS else key, MISSING)


def varying_keys(runs: Sequence[Result]) -> list[str]:
    """The keys in which runs differ, those of the command line first.

    Copies of other keys are excluded, and so are keys that the choice of a component determines, such as Adam's betas
    if only optimizer=adam was chosen.
    """
    overridden = dict.fromkeys(key for run in runs for key in run.overrides)
    candidates = dict.fromkeys(
        _canonical_key(key) for key in [*overridden, *(key for run in runs for key in run.config)]
    )
    return [key for key in candidates if _varies(runs, key)]


def _canonical_key(key: str) -> str:
    """The key itself, or the group of a component's name: `optimizer.name` -> `optimizer`."""
    group, _, name = key.partition(".")
    return group if name == "name" and group in COMPONENTS else key


def _varies(runs: Sequence[Result], key: str) -> bool:
    if len({format_value(value_of(run, key)) for run in runs}) < 2:
        return False
    if key in COMPONENTS:
        return True
    if all(key in run.copies or key not in run.config for run in runs):
        return False
    group = key.partition(".")[0]
    return group not in COMPONENTS or not _is_determined_by(runs, key, group)


def _is_determined_by(runs: Sequence[Result], key: str, group: str) -> bool:
    """Whether all runs with the same component of a group have the same value of a key."""
    values_of_component: dict[str, set[str]] = {}
    for run in runs:
        values_of_component.setdefault(format_value(value_of(run, group)), set()).add(format_value(value_of(run, key)))
    return all(len(values) == 1 for values in values_of_component.values())


def metric_names(runs: Iterable[Result]) -> list[str]:
    """The distinct metrics that runs have logged, except step and lr."""
    return list(dict.fromkeys(name for run in runs for name in run.metrics if name not in ("step", "lr")))


def format_value(value: object) -> str:
    """A value as the user would type it on the command line.

    >>> [format_value(value) for value in (0.30000000000000004, None, [8, 8], True, 1e-05)]
    ['0.3', 'null', '[8,8]', 'true', '1e-05']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        return f"[{','.join(map(format_value, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{format_value(inner)}' for key, inner in value.items())}}}"
    return str(value)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number that can be computed with and drawn: infinity and 10**400 cannot.

    >>> is_number(3), is_number(True), is_number(float("inf")), is_number(10**400)
    (True, False, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def are_numbers(values: Iterable[object]) -> bool:
    """Whether all values are numbers; see `is_number`."""
    return all(is_number(value) for value in values)


def _number(value: object) -> float:
    return float(value) if is_number(value) else np.nan


def _last(values: Array) -> float:
    return float(values[-1]) if len(values) else np.nan
