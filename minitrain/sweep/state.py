"""What the processes of a sweep know of each other: how far each run is, how it ended, and whether all shall stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.config.schema import RunConfig
from minitrain.errors import RecordError
from minitrain.storage.summary import Status, Summary, read_summary, write_summary

STATUS_CODES = {status: code for code, status in enumerate(Status, 1)}  # 0: not begun


@dataclass(frozen=True)
class Job:
    """A run of a sweep: what it is, where, and by which overrides; its number is its place in the sweep."""

    number: int
    config: RunConfig
    directory: Path
    overrides: Sequence[str]

    @property
    def title(self) -> str:
        return f"#{self.directory.name} {' '.join(self.overrides)}"


class SweepState:
    """How far each run is, and whether all shall stop: a file that every process of a sweep maps into memory."""

    def __init__(self, path: Path, runs: int) -> None:
        self.path, self.runs = path, runs
        if not path.exists() or not path.stat().st_size:
            path.write_bytes(bytes(8 * (2 * runs + 1)))
        table = np.memmap(path, np.int64, "r+", shape=(2 * runs + 1,))
        self.steps, self.status, self._stop = table[:runs], table[runs : 2 * runs], table[2 * runs :]

    def set(self) -> None:
        self._stop[0] = 1

    def is_set(self) -> bool:
        return bool(self._stop[0])


def append_log(directory: Path, text: str, **more: Any) -> None:
    """Add a line to a run's minitrain.log, where that can be written."""
    told = "".join(f", {key}: {value}" for key, value in more.items() if value not in (False, None))
    with suppress(OSError), (directory / "minitrain.log").open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} INFO {text}{told}\n")


def record_failure(job: Job, error: str, board: SweepState) -> None:
    """Record that a job failed before, or without, a step of its own."""
    end_without_training(job, Status.FAILED, board, error)
    append_log(job.directory, f"failed: {error}")


def end_without_training(job: Job, status: Status, board: SweepState, error: str | None = None) -> None:
    summary = Summary(status, 0, job.config.steps, overrides=list(job.overrides))
    with suppress(RecordError):  # an earlier session may have come further
        summary = read_summary(job.directory)
    board.status[job.number] = STATUS_CODES[status]
    with suppress(OSError):  # of a full disk, or what else is wrong with this run's directory alone
        write_summary(job.directory, summary.with_status(status, error))


def unfinished(jobs: Sequence[Job], board: SweepState) -> list[Job]:
    return [job for job in jobs if board.status[job.number] <= STATUS_CODES[Status.RUNNING]]
