"""Progress reporting of a sweep: the plan, a line for each run that ended, and a progress bar."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minitrain.errors import RecordError, plural, printable
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status, Summary, read_summary
from minitrain.sweep.grouping import RunGroup
from minitrain.sweep.results_file import ResultsFile
from minitrain.sweep.state import STATUS_CODES, Job, SweepState
from minitrain.training.progress import format_outcome_briefly

if TYPE_CHECKING:
    from tqdm import tqdm

log = logging.getLogger("minitrain")

SECONDS_BETWEEN_WRITES = 1.0  # of sweep.csv
LISTED_AT_ENDS = 5  # jobs of a dry run, at each end of the list


def format_plan(groups: Sequence[RunGroup], processes: int) -> str:
    """How the runs are computed, in one line."""
    largest = sorted((group.nbytes for group in groups), reverse=True)[:processes]
    most_runs = max(len(group.runs) for group in groups)
    size = "1 run" if most_runs == 1 else f"up to {most_runs} runs"
    return (
        f"{plural(len(groups), 'group')} of {size} on {plural(min(processes, len(groups)), 'core')}, "
        f"{sum(largest) / 2**20:,.1f} MB of buffers"
    )


def format_dry_run(
    jobs: Sequence[Sequence[str]], groups: Sequence[RunGroup], processes: int, note: str | None = None
) -> str:
    """What a sweep would train: the jobs (the first and the last of many), the groups, the memory and the time.

    Args:
        jobs: The overrides of each job.
        groups: The runs that are computed together.
        processes: The number of processes that train groups at the same time.
        note: A line about which runs are trained to their ends; None if all are.
    """
    lines = [f"#{number} {' '.join(job)}".rstrip() for number, job in enumerate(jobs)]
    if len(lines) > 2 * LISTED_AT_ENDS:
        omitted = f"... {len(lines) - 2 * LISTED_AT_ENDS:,} more ..."
        lines = [*lines[:LISTED_AT_ENDS], omitted, *lines[-LISTED_AT_ENDS:]]
    seconds = sum(group.seconds for group in groups) / min(processes, len(groups))
    return "\n".join(
        [
            *lines,
            f"{plural(len(jobs), 'run')}: {format_plan(groups, processes)}",
            *([note] if note else []),
            f"about {seconds:,.1f} s: an estimate for runs trained one by one; groups take less",
            "nothing was trained or written",
        ]
    )


def _read_outcome(job: Job) -> Summary:
    """The summary of a run that ended; a run whose summary cannot be read has failed."""
    try:
        return read_summary(job.directory)
    except RecordError as error:
        return Summary(Status.FAILED, 0, job.config.steps, error=str(error))


class SweepReport:
    """Reports each run that ended, writes sweep.csv, and shows a progress bar on a terminal.

    It is called with the sweep's state several times a second.

    Args:
        jobs: The jobs that are trained, by number.
        directory: The directory of the sweep.
    """

    def __init__(self, jobs: Mapping[int, Job], directory: Path) -> None:
        self._jobs = jobs
        self._results = ResultsFile(directory, training=[job.directory for job in jobs.values()])
        self._best_values: dict[str, float] = {}  # by metric
        self._ended: set[int] = set()
        self._last_write = -np.inf
        self._best = ""
        self._is_stopping = False
        self._bar: tqdm | None = None
        for summary in self._results.summaries.values():
            self._update_best(summary)

    def __enter__(self) -> SweepReport:
        if sys.stderr.isatty():
            from tqdm import tqdm

            total = sum(job.config.steps for job in self._jobs.values())
            self._bar = tqdm(total=total, unit=" steps", dynamic_ncols=True, leave=False, unit_scale=True)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
        self._results.write()

    def __call__(self, state: SweepState) -> None:
        """Report the runs that ended since the last call."""
        if state.is_set() and not self._is_stopping:
            self._is_stopping = True
            self._print("stopping each run after its current step; press Ctrl-C again to stop at once")
        status = np.array(state.status)
        ended = status > STATUS_CODES[Status.RUNNING]
        if not self._is_stopping:
            ended &= status != STATUS_CODES[Status.INTERRUPTED]  # at a rung, until it is decided which runs continue
        for number in map(int, np.flatnonzero(ended)):
            if number in self._jobs and number not in self._ended:
                self._ended.add(number)
                self._report(number)
        if self._bar is not None:
            self._bar.set_description(f"{len(self._ended)} of {len(self._jobs)} runs{self._best}", refresh=False)
            self._bar.update(int(state.steps.sum()) - self._bar.n)
        if self._results.summaries and time.monotonic() - self._last_write > SECONDS_BETWEEN_WRITES:
            self._last_write = time.monotonic()
            self._results.write()

    def add_pruned(self, jobs: Sequence[Job]) -> None:
        """Add the rows of runs that were pruned."""
        for job in jobs:
            self._ended.add(job.number)
            self._results.add(job.directory, _read_outcome(job))

    def _update_best(self, summary: Summary) -> None:
        """Update the best value so far by a run that ended."""
        if summary.best is not None:
            metric = Metric.named(summary.best.metric)
            previous = self._best_values.get(metric.name, math.nan)
            self._best_values[metric.name] = metric.best([previous, summary.best.value])

    def _report(self, number: int) -> None:
        """Print how a run ended, and update its row and the best value in the progress bar."""
        job = self._jobs[number]
        summary = _read_outcome(job)
        self._results.add(job.directory, summary)
        self._update_best(summary)
        self._print(f"{job.title}: {format_outcome_briefly(summary)}")
        if summary.best is not None:
            metric = Metric.named(summary.best.metric)
            self._best = f", best {metric.format(self._best_values[metric.name])}"

    def _print(self, line: str) -> None:
        if self._bar is None:
            log.info("%s", line)
        else:
            self._bar.write(printable(line))
