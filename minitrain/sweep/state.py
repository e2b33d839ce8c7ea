"""State that the processes of a sweep share: the step and status of each run, and the request to stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minitrain.config.schema import RunConfig
from minitrain.errors import RecordError
from minitrain.storage.summary import Status, Summary, read_summary, write_summary

STATUS_CODES = {status: code for code, status in enumerate(Status, 1)}  # 0: the run has not begun


@dataclass(frozen=True)
class Job:
    """A run of a sweep.

    Attributes:
        number: The position of the run in the sweep.
        config: The config of the run.
        directory: The directory of the run.
        overrides: The overrides that distinguish the run from the others.
    """

    number: int
    config: RunConfig
    directory: Path
    overrides: Sequence[str]

    @property
    def title(self) -> str:
        """The name of the run in messages: its directory and its overrides."""
        return f"#{self.directory.name} {' '.join(self.overrides)}"


class SweepState:
    """The step and status of each run, in a file that every process of the sweep maps into memory.

    It has the methods `set` and `is_set` of a `threading.Event`: the request to stop all runs.

    Attributes:
        steps: The last known step of each run: [runs].
        status: The status code of each run (see `STATUS_CODES`): [runs].
    """

    def __init__(self, path: Path, runs: int) -> None:
        self.path, self.runs = path, runs
        if not path.exists() or not path.stat().st_size:
            path.write_bytes(bytes(8 * (2 * runs + 1)))
        table = np.memmap(path, np.int64, "r+", shape=(2 * runs + 1,))
        self.steps, self.status, self._stop = table[:runs], table[runs : 2 * runs], table[2 * runs :]

    def set(self) -> None:
        """Request that all runs stop after their current step."""
        self._stop[0] = 1

    def is_set(self) -> bool:
        """Whether all runs are requested to stop."""
        return bool(self._stop[0])


def append_log(directory: Path, text: str, **details: object) -> None:
    """Append a line to a run's minitrain.log; a log that cannot be written is ignored."""
    suffix = "".join(f", {key}: {value}" for key, value in details.items() if value not in (False, None))
    with suppress(OSError), (directory / "minitrain.log").open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} INFO {text}{suffix}\n")


def record_failure(job: Job, error: str, state: SweepState) -> None:
    """Record that a job failed outside of its training loop, such as before its first step."""
    end_without_training(job, Status.FAILED, state, error)
    append_log(job.directory, f"failed: {error}")


def end_without_training(job: Job, status: Status, state: SweepState, error: str | None = None) -> None:
    """Record the status of a job that this session did not train to its end, and keep its earlier progress."""
    summary = Summary(status, 0, job.config.steps, overrides=list(job.overrides))
    with suppress(RecordError):
        summary = read_summary(job.directory)
    state.status[job.number] = STATUS_CODES[status]
    with suppress(OSError):  # a full disk, or another problem of this run's directory alone
        write_summary(job.directory, summary.with_status(status, error))


def unfinished(jobs: Sequence[Job], state: SweepState) -> list[Job]:
    """The jobs that have not ended."""
    return [job for job in jobs if state.status[job.number] <= STATUS_CODES[Status.RUNNING]]
