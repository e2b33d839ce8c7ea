"""What a person sees of a sweep that goes on, and sweep.csv: a row for each run that has ended."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.errors import RecordError
from minitrain.storage.files import format_csv, write_text
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status, Summary, read_summary
from minitrain.sweep.grouping import RunGroup
from minitrain.sweep.state import STATUS_CODES, Job, SweepState
from minitrain.training.progress import format_outcome_briefly

log = logging.getLogger("minitrain")


def format_plan(found: Sequence[RunGroup], processes: int) -> str:
    """How the runs are computed, in a line."""
    largest = sorted((stack.nbytes for stack in found), reverse=True)[:processes]
    runs = max(len(stack.runs) for stack in found)
    size = "a run" if runs == 1 else f"up to {runs} runs"
    return (
        f"{_count(len(found), 'stack')} of {size} on {_count(min(processes, len(found)), 'core')}, "
        f"{sum(largest) / 2**20:,.1f} MB for their values"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def format_dry_run(jobs: Sequence[Sequence[str]], found: Sequence[RunGroup], processes: int, ends: int = 5) -> str:
    """What would be trained: the jobs (of many, the first and the last), the stacks, the memory and the time."""
    numbers = list(range(len(jobs)))
    shown = [f"#{number} {' '.join(jobs[number])}".rstrip() for number in numbers[:ends]]
    shown += [f"... {len(jobs) - 2 * ends:,} more ..."] if len(jobs) > 2 * ends else []
    shown += [f"#{number} {' '.join(jobs[number])}".rstrip() for number in numbers[ends:][-ends:]]
    seconds = sum(stack.seconds for stack in found) / min(processes, len(found))
    return "\n".join(
        [
            *shown,
            f"{_count(len(jobs), 'run')}: {format_plan(found, processes)}",
            f"about {seconds:,.1f} s: an estimate, as if each run were trained alone; in stacks it is less",
            "nothing was trained or written",
        ]
    )


def _summary_of(job: Job) -> Summary:
    """What a run that has ended tells; one that could not be written has failed."""
    try:
        return read_summary(job.directory)
    except RecordError as error:
        return Summary(Status.FAILED, 0, job.config.steps, error=str(error))


class SweepReport:
    """Called with the board while a sweep goes on: tells each run that has ended, and shows a bar on a terminal."""

    def __init__(self, jobs: Mapping[int, Job], directory: Path, done: Mapping[int, Job] | None = None) -> None:
        """done: runs of the sweep that are complete, and have their rows from the start"""
        done = done or {}
        self.jobs, self.path = jobs, directory / "sweep.csv"
        self.ended: set[int] = set()
        self.rows: dict[int, dict[str, Any]] = {}
        self.bar: Any = None
        self.written = -np.inf
        self.best: str = ""
        self.is_stopping = False
        keys = dict.fromkeys(text.partition("=")[0] for job in {**done, **jobs}.values() for text in job.overrides)
        for number, job in done.items():
            self._add(number, job, _summary_of(job))
        told = ["status", "step", "final", "best", "metric", "best_step", "seconds"]
        self.columns = ["run", *(key for key in keys if key not in told), *told]

    def __enter__(self) -> SweepReport:
        if sys.stderr.isatty():
            from tqdm import tqdm

            total = sum(job.config.steps for job in self.jobs.values())
            self.bar = tqdm(total=total, unit=" steps", dynamic_ncols=True, leave=False, unit_scale=True)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()
        self._write()

    def __call__(self, board: SweepState) -> None:
        if board.is_set() and not self.is_stopping:
            self.is_stopping = True
            self._say("stopping after the step that each run is at; again to stop at once")
        status = np.array(board.status)
        for number in np.flatnonzero(status > STATUS_CODES[Status.RUNNING]):
            if number in self.jobs and number not in self.ended:
                self.ended.add(int(number))
                self._tell(int(number))
        if self.bar is not None:
            self.bar.set_description(f"{len(self.ended)} of {len(self.jobs)} runs{self.best}", refresh=False)
            self.bar.update(int(board.steps.sum()) - self.bar.n)
        if self.rows and time.monotonic() - self.written > 1.0:
            self._write()

    def _tell(self, number: int) -> None:
        job = self.jobs[number]
        summary = _summary_of(job)
        metric = self._add(number, job, summary)
        self._say(f"{job.title}: {format_outcome_briefly(summary)}")
        values = [row["best"] for row in self.rows.values() if row["metric"] == metric and row["best"] != ""]
        if values:
            monitor = Metric.named(metric)
            self.best = f", best {monitor.format(monitor.best(values))}"

    def _say(self, line: str) -> None:
        if self.bar is None:
            log.info("%s", line)
        else:
            self.bar.write(line)

    def _add(self, number: int, job: Job, summary: Summary) -> str:
        """Keep a run's row; gives the metric that it is judged by."""
        best = summary.best
        metric = best.metric if best else ""
        given = dict(text.partition("=")[::2] for text in job.overrides)
        told = {"run": job.directory.name, "status": summary.status, "step": summary.step, "metric": metric}
        told |= {"final": summary.final.get(metric, "")}
        told |= {"best": best.value if best else "", "best_step": best.step if best else ""}
        self.rows[number] = {**given, **told, "seconds": summary.seconds}
        return metric

    def _write(self) -> None:
        """All rows so far, in the runs' order."""
        self.written = time.monotonic()
        write_text(self.path, format_csv(self.columns, (self.rows[number] for number in sorted(self.rows))))
