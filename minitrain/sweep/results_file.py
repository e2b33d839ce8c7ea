"""sweep.csv: a row with the overrides and the results of each run of a sweep that has ended."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from minitrain.compare.results import MISSING, format_value
from minitrain.errors import ConfigError, RecordError
from minitrain.registry import COMPONENTS
from minitrain.storage.files import format_csv, write_text
from minitrain.storage.stored_config import read_overrides, read_stored_config
from minitrain.storage.summary import Status, Summary, read_summary
from minitrain.storage.sweep_directory import run_directories

RESULT_COLUMNS = ("status", "step", "final", "best", "metric", "best_step", "seconds")  # the last ones


class ResultsFile:
    """The file sweep.csv in the directory of a sweep, with all runs in this directory that have ended.

    Args:
        directory: The directory of the sweep.
        training: The directories of runs that are being trained: they have no row until `add` adds it.

    Attributes:
        summaries: The directory of each run that has ended -> its summary.
    """

    def __init__(self, directory: Path, training: Iterable[Path] = ()) -> None:
        self._path = directory / "sweep.csv"
        runs = run_directories(directory)
        self._overrides = {run: _read_overrides(run) for run in runs}  # in the order of the rows
        keys = dict.fromkeys(key for overrides in self._overrides.values() for key in overrides)
        self._keys = [key for key in keys if key not in RESULT_COLUMNS]
        self.summaries: dict[Path, Summary] = {}
        not_ended = set(training)
        for run in (run for run in runs if run not in not_ended):
            with suppress(RecordError):  # it has not begun, or its summary is damaged
                summary = read_summary(run)
                if summary.status is not Status.RUNNING:
                    self.summaries[run] = summary

    def add(self, run: Path, summary: Summary) -> None:
        """Add the row of a run that ended."""
        self.summaries[run] = summary

    def write(self) -> None:
        """Write the rows of all runs that ended, ordered by number."""
        rows = [self._row(run, self.summaries[run]) for run in self._overrides if run in self.summaries]
        write_text(self._path, format_csv(["run", *self._keys, *RESULT_COLUMNS], rows))

    def _row(self, run: Path, summary: Summary) -> dict[str, object]:
        best = summary.best
        return {
            **self._values(run),
            "run": run.name,
            "status": summary.status,
            "step": summary.step,
            "final": summary.final.get(best.metric, "") if best else "",
            "best": best.value if best else "",
            "metric": best.metric if best else "",
            "best_step": best.step if best else "",
            "seconds": summary.seconds,
        }

    def _values(self, run: Path) -> dict[str, str]:
        """The overrides of a run, with its value of each key that only runs of another grid have set."""
        overrides = self._overrides[run]
        missing = [key for key in self._keys if key not in overrides]
        if missing:
            with suppress(ConfigError, RecordError):  # the config is damaged: the cells are empty
                values = read_stored_config(run).values
                for key in missing:
                    value = values.get(f"{key}.name" if key in COMPONENTS else key, MISSING)
                    overrides[key] = format_value(value)
        return overrides


def _read_overrides(run: Path) -> dict[str, str]:
    """Key -> value of the overrides of a run; none if its file is damaged."""
    try:
        return dict(text.partition("=")[::2] for text in read_overrides(run))
    except RecordError:
        return {}
