"""Records a run in its directory while it trains: metrics, checkpoints, the best network so far, and the summary."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import SupportsFloat, TypedDict, Unpack

import numpy as np

from minitrain.config.schema import RunConfig
from minitrain.data.record import DataRecord, check_unchanged, write_data_record
from minitrain.errors import RecordError
from minitrain.storage.checkpoint import load_checkpoint, save_checkpoint
from minitrain.storage.git import head_commit, repository_of
from minitrain.storage.maker import full_version
from minitrain.storage.metric import Metric
from minitrain.storage.metrics_file import MetricsWriter, Row, finite_points, read_metrics
from minitrain.storage.summary import Best, ClassScores, RunProgress, Status, Summary, write_summary
from minitrain.training.experiment import Experiment
from minitrain.training.metrics import are_predictions, class_scores
from minitrain.training.shared_clock import SharedClock
from minitrain.typing import Array


class EndDetails(TypedDict, total=False):
    """The fields of a `Summary` that depend on how a run ended."""

    stopped_early: bool
    error: str | None
    first_operation: str | None
    first_parameter: str | None
    classes: list[ClassScores]
    classes_of: str


class RunRecorder:
    """Records a run in its directory.

    Args:
        experiment: The experiment that is trained.
        directory: The directory of the run.
        overrides: The overrides of the command line, recorded in the summary.

    Attributes:
        monitor: The metric that the best network is selected by.
        step: The number of updates when the run was last recorded.
        best: The best value of the monitored metric so far; None before the first evaluation.
        final: The metrics of the last evaluation, by name.
        ended: Whether the run has ended.
        summary: The summary that was written when the run ended.
        error: The exception that made the run fail.
    """

    def __init__(self, experiment: Experiment, directory: Path, overrides: Sequence[str]) -> None:
        self.experiment: Experiment = experiment
        self.config: RunConfig = experiment.config
        self.directory: Path = directory
        self.overrides: list[str] = list(overrides)
        self.monitor: Metric = experiment.monitor
        self.step: int = 0
        self.best: Best | None = None
        self.final: dict[str, float] = {}
        self.ended: bool = False
        self.summary: Summary | None = None
        self.error: BaseException | None = None
        self._first_step: int = 0  # of this session
        self._last_row: int = -1  # step of the last row of metrics.csv
        self._clock = SharedClock()
        project = repository_of(Path.cwd())
        self._git_commit = None if project is None else head_commit(project)
        self._writer: MetricsWriter | None = None  # from `begin` on
        self._improvement: tuple[int, float] | None = None  # step and value of the last one that `patience` counts
        self._unsaved_best: tuple[dict[str, Array], RunProgress] | None = None

    def restore(self) -> None:
        """Resume from the last checkpoint, if there is one.

        Raises:
            RecordError: The data have changed, a file is damaged, or the checkpoint does not match the config.
        """
        check_unchanged(self.experiment.data, self.directory)
        path = self.directory / "checkpoints" / "last.npz"
        if not path.exists():
            return
        arrays, progress = load_checkpoint(path)
        if progress.step > self.config.steps:
            raise RecordError(f"{path}: is at step {progress.step}, and config.yaml ends at steps={self.config.steps}")
        if progress.best is not None and progress.best.metric != self.monitor.name:
            raise RecordError(f"{path}: ranked by {progress.best.metric}, and config.yaml by {self.monitor.name}")
        evaluations = self._read_evaluations(progress)  # raises before `begin` truncates a damaged file
        try:
            self.experiment.step.restore(arrays)
        except ValueError as error:
            raise RecordError(f"{path}: of another network or optimizer than config.yaml describes: {error}") from error
        self.step, self.best, self.final = progress.step, progress.best, progress.final
        self._clock = SharedClock(progress.seconds, progress.wall_seconds)
        for step, value in evaluations:
            self._count_improvement(step, value)

    def _read_evaluations(self, progress: RunProgress) -> list[tuple[int, float]]:
        """Step and value of the monitored metric at the evaluations before a checkpoint."""
        if not (self.directory / "metrics.csv").exists():
            return [] if progress.best is None else [(progress.best.step, progress.best.value)]
        steps, values = finite_points(read_metrics(self.directory), self.monitor.name)
        is_earlier = (steps < progress.step) & (steps % self.config.eval_every == 0)
        return list(zip(steps[is_earlier].astype(int).tolist(), values[is_earlier].tolist(), strict=True))

    def begin(self, metrics: Sequence[str]) -> None:
        """Open metrics.csv and write the summary of a running run.

        Args:
            metrics: The names of an evaluation's metrics and diagnostics.
        """
        self._first_step = self.step
        columns = ["step", "lr", "train_loss", *metrics]
        if not (self.directory / "data.json").exists():
            write_data_record(self.directory, DataRecord.of(self.experiment.data, Path.cwd()))
        self._writer = MetricsWriter(self.directory / "metrics.csv", columns, self.step)
        write_summary(self.directory, self.summarize(Status.RUNNING))

    def record(self, step: int, loss: SupportsFloat, metrics: Mapping[str, SupportsFloat] | None) -> Row:
        """Write a row of metrics.csv, unless the step has one, and keep the network if it is the best so far.

        Args:
            step: The number of updates of the network.
            loss: Its training loss.
            metrics: The metrics and diagnostics of its evaluation; None if it was not evaluated.

        Returns:
            The row.
        """
        if self._writer is None:
            raise RuntimeError("record: expected begin to be called first")
        lr = self.experiment.step.learning_rate(step)
        row: Row = {"step": step, "lr": lr, "train_loss": loss, **(metrics or {})}
        if step > self._last_row:
            self.step = self._last_row = step
            if metrics is not None:
                self._update_best(row)
            self._writer.write(row)
        return row

    def _update_best(self, row: Row) -> None:
        """Keep a copy of the network if its monitored metric is the best so far; the first of equal ones is kept."""
        self.final = {name: _round_trip(value) for name, value in row.items() if name not in ("step", "lr")}
        value = self.final[self.monitor.name]
        if np.isfinite(value) and (self.best is None or self.monitor.is_better(value, self.best.value)):
            self.best = Best(self.monitor.name, value, self.step)
            arrays = {name: view.copy() for name, view in self.experiment.step.arrays().items()}
            self._unsaved_best = arrays, self._progress()
        self._count_improvement(self.step, value)

    def _count_improvement(self, step: int, value: float) -> None:
        """Let `patience` start again from an evaluation that improves the monitored metric by `min_delta`."""
        by = self.config.min_delta or 0.0
        if np.isfinite(value) and (
            self._improvement is None or self.monitor.is_better(value, self._improvement[1], by)
        ):
            self._improvement = step, value

    def is_patient(self) -> bool:
        """Whether `patience` lets the run continue after an evaluation.

        Evaluations without improvement are counted by steps, so that a resumed run, which reads the earlier ones from
        metrics.csv, needs no count.
        """
        every = self.config.eval_every
        waited = self.step // every - (self._improvement[0] // every if self._improvement else -1)
        return self.config.patience is None or waited < self.config.patience

    def checkpoint(self, step: int) -> None:
        """Write everything that resuming from this step requires."""
        self.step = step
        self.flush()
        self._save_best()
        self._save_last()

    def flush(self) -> None:
        """Write the buffered rows of metrics.csv."""
        if self._writer is not None:
            self._writer.flush()

    def end(self, status: Status, step: int, **details: Unpack[EndDetails]) -> None:
        """Close metrics.csv, and write the checkpoints and the summary.

        A run that failed or diverged keeps its last checkpoint.
        """
        self.step, self.ended = step, True
        if self._writer is not None:
            self._writer.close()
        self._save_best()
        if status in (Status.COMPLETED, Status.INTERRUPTED):
            self._save_last()
        if status is Status.COMPLETED:
            details = {**details, **self._describe_classes()}
        self.summary = self.summarize(status, **details)
        write_summary(self.directory, self.summary)

    def _describe_classes(self) -> EndDetails:
        """The scores of each class or label for the best network, on the validation examples; empty without any."""
        step = self.experiment.step
        if not step.preprocessing.has_labels or not len(step.val):
            return {}
        last = {name: view.copy() for name, view in step.arrays().items()}
        network = "last"
        with suppress(RecordError):  # no evaluation was finite, or the file was removed
            step.restore(load_checkpoint(self.directory / "checkpoints" / "best.npz")[0])
            network = "best"
        output = self.experiment.eager_engine.validation_output()
        step.restore(last)
        if not are_predictions(output, step.preprocessing):
            return {}
        return {"classes": class_scores(step.evaluation(output)), "classes_of": network}

    def fail(self, error: BaseException, step: int) -> None:
        """End the run with the status `failed`."""
        self.error = error
        with suppress(OSError):  # writing the end may fail for the same reason, such as a full disk
            self.end(Status.FAILED, step, error=describe_error(error))

    def _save_best(self) -> None:
        """Write the best network, before the checkpoint that names it: a resumed run relies on both."""
        if self._unsaved_best is not None:
            save_checkpoint(self.directory / "checkpoints" / "best.npz", *self._unsaved_best)
            self._unsaved_best = None

    def _save_last(self) -> None:
        save_checkpoint(self.directory / "checkpoints" / "last.npz", self.experiment.step.arrays(), self._progress())

    def _progress(self) -> RunProgress:
        return RunProgress(self.step, self.best, self.final, self._clock.seconds(), self._clock.wall_seconds())

    def share_time(self, runs: int) -> None:
        """From now on, attribute to this run its share of the time of a group of this many runs."""
        self._clock.share(runs)

    def summarize(self, status: Status, **details: Unpack[EndDetails]) -> Summary:
        """The content of summary.json at present."""
        session = self._clock.seconds() - self._clock.earlier
        return Summary(
            status=status,
            step=self.step,
            steps=self.config.steps,
            steps_per_epoch=self.experiment.step.steps_per_epoch,
            overrides=self.overrides,
            final=self.final,
            best=self.best,
            seconds=round(self._clock.seconds(), 3),
            wall_seconds=round(self._clock.wall_seconds(), 3),
            steps_per_second=round((self.step - self._first_step) / session, 1) if session else None,
            seed=self.config.seed,
            blas_threads=self.experiment.blas_threads,
            versions=_versions(),
            git_commit=self._git_commit,
            **details,
        )


def describe_error(error: BaseException) -> str:
    """The type and message of an exception."""
    return f"{type(error).__name__}: {error}"


def _round_trip(value: SupportsFloat) -> float:
    """The float of the shortest decimal that round-trips, as in metrics.csv: 0.1 for float32(0.1)."""
    return float(str(value))


def _versions() -> dict[str, str]:
    return {"minitrain": full_version(), "python": platform.python_version(), "numpy": np.__version__}
