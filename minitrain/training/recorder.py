"""One run while it trains: its rows of metrics, the best network so far, checkpoints and the summary on disk."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.errors import RecordError
from minitrain.storage.checkpoint import load_checkpoint, save_checkpoint
from minitrain.storage.metric import Metric
from minitrain.storage.metrics_file import MetricsWriter, read_metrics
from minitrain.storage.summary import Best, RunProgress, Status, Summary, write_summary
from minitrain.training.experiment import Experiment
from minitrain.typing import Array
from minitrain.version import __version__


class RunRecorder:
    """The record of a run, in its directory.

    step: how many updates there were when it was last written to
    error: what made it fail, where something did
    """

    def __init__(self, experiment: Experiment, directory: Path, overrides: Sequence[str]) -> None:
        self.experiment, self.config, self.directory, self.overrides = (
            experiment,
            experiment.config,
            directory,
            list(overrides),
        )
        self.metric = Metric.named(experiment.metric)
        self.step = self.first_step = 0
        self.best: Best | None = None
        self.final: dict[str, float] = {}
        self.seconds = 0.0  # of earlier sessions of this run
        self.started = time.perf_counter()
        self.summary: Summary | None = None
        self.error: BaseException | None = None
        self.metrics: MetricsWriter | None = None
        self.last_row = -1
        self.ended = False
        self._unsaved_best: tuple[dict[str, Array], RunProgress] | None = None

    def restore(self) -> None:
        """Go on from the last checkpoint.

        Raises RecordError where it is damaged, or of another network, optimizer or number of steps.
        """
        path = self.directory / "checkpoints" / "last.npz"
        if not path.exists():
            return
        arrays, progress = load_checkpoint(path)
        if progress.step > self.config.steps:
            raise RecordError(f"{path}: of step {progress.step}, and config.yaml ends at steps={self.config.steps}")
        if progress.best is not None and progress.best.metric != self.metric.name:
            raise RecordError(f"{path}: ranked by {progress.best.metric}, and config.yaml says {self.metric.name}")
        if (self.directory / "metrics.csv").exists():
            read_metrics(self.directory)  # what goes on a damaged table would be lost
        try:
            self.experiment.step.restore(arrays)
        except ValueError as error:
            raise RecordError(f"{path}: of another network or optimizer than config.yaml describes: {error}") from error
        self.step, self.best, self.final, self.seconds = progress.step, progress.best, progress.final, progress.seconds

    def begin(self, names: Sequence[str]) -> None:
        """Open metrics.csv, with a column for each metric of an evaluation, and say that the run goes on."""
        self.first_step = self.step
        columns = ["step", "lr", "train_loss", *names]
        self.metrics = MetricsWriter(self.directory / "metrics.csv", columns, self.step)
        write_summary(self.directory, self.summarize(Status.RUNNING))

    def record(self, step: int, loss: Any, metrics: dict[str, Any] | None) -> dict[str, Any]:
        """Write a row, unless that was done, and judge the network by it where it was evaluated; gives the row."""
        row = {"step": step, "lr": self.experiment.step.rate(step), "train_loss": loss, **(metrics or {})}
        if step > self.last_row:
            self.step = self.last_row = step
            if metrics is not None:
                self._judge(row)
            assert self.metrics is not None
            self.metrics.write(row)
        return row

    def _judge(self, row: dict[str, Any]) -> None:
        """Keep the network if it is the best so far: highest accuracy, or lowest loss; the first of equals."""
        self.final = {name: _plain(value) for name, value in row.items() if name not in ("step", "lr")}
        value = self.final[self.metric.name]
        if np.isfinite(value) and (self.best is None or self.metric.is_better(value, self.best.value)):
            self.best = Best(self.metric.name, value, self.step)
            self._unsaved_best = (
                {key: view.copy() for key, view in self.experiment.step.arrays().items()},
                self._progress(),
            )

    def is_patient(self) -> bool:
        """Whether to go on after an evaluation. Steps tell, so that a resumed run, which has `best`, needs no count."""
        every = self.config.eval_every
        waited = self.step // every - (self.best.step // every if self.best else -1)
        return self.config.patience is None or waited < self.config.patience

    def checkpoint(self, step: int) -> None:
        """Put everything on disk that going on from this step needs."""
        self.step = step
        self.flush()
        self._save_best()
        self._save_last()

    def flush(self) -> None:
        if self.metrics is not None:
            self.metrics.flush()

    def end(self, status: Status, step: int, **more: Any) -> None:
        """Close the record. A run that failed or diverged leaves its last checkpoint as it was."""
        self.step, self.ended = step, True
        if self.metrics is not None:
            self.metrics.close()
        self._save_best()
        if status in (Status.COMPLETED, Status.INTERRUPTED):
            self._save_last()
        self.summary = self.summarize(status, **more)
        write_summary(self.directory, self.summary)

    def fail(self, error: BaseException, step: int) -> None:
        self.error = error
        with suppress(OSError):  # it may be the disk that failed
            self.end(Status.FAILED, step, error=describe_error(error))

    def _save_best(self) -> None:
        """Put the best network on disk, before the checkpoint that names it: a run goes on from that one."""
        if self._unsaved_best is not None:
            save_checkpoint(self.directory / "checkpoints" / "best.npz", *self._unsaved_best)
            self._unsaved_best = None

    def _save_last(self) -> None:
        save_checkpoint(self.directory / "checkpoints" / "last.npz", self.experiment.step.arrays(), self._progress())

    def _progress(self) -> RunProgress:
        return RunProgress(self.step, self.best, self.final, self.elapsed())

    def elapsed(self) -> float:
        return self.seconds + time.perf_counter() - self.started

    def summarize(self, status: Status, **more: Any) -> Summary:
        """The content of summary.json; `more` are the fields that depend on how the run ended."""
        here = time.perf_counter() - self.started
        return Summary(
            status=status,
            step=self.step,
            steps=self.config.steps,
            steps_per_epoch=self.experiment.step.steps_per_epoch,
            overrides=self.overrides,
            final=self.final,
            best=self.best,
            seconds=round(self.elapsed(), 3),
            steps_per_second=round((self.step - self.first_step) / here, 1) if here else None,
            seed=self.config.seed,
            blas_threads=self.experiment.blas_threads,
            versions=_versions(),
            git_commit=_git_commit(),
            **more,
        )


def describe_error(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _plain(value: Any) -> float:
    """A float32 as the shortest decimal that gives it back, as metrics.csv has it."""
    return float(str(value))


def _versions() -> dict[str, str]:
    return {"minitrain": __version__, "python": platform.python_version(), "numpy": np.__version__}


def _git_commit() -> str | None:
    """The commit of the project that the run was started in, if it is under git."""
    if not any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        return None
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
