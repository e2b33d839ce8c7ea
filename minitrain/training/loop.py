"""The training loop: for one run, or for several that are computed together."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import SupportsFloat

import numpy as np
from threadpoolctl import threadpool_limits

from minitrain.errors import Interrupted
from minitrain.storage.checkpoint import lost_checkpoint
from minitrain.storage.summary import Status, Summary
from minitrain.training.engine import Engine
from minitrain.training.experiment import Experiment
from minitrain.training.progress import ProgressListener, ProgressReporter, StopRequest, stop_requests
from minitrain.training.recorder import RunRecorder
from minitrain.typing import Array

log = logging.getLogger("minitrain")

# What makes one run fail and leaves the others unaffected. SystemExit in a component is treated as a run failure.
RUN_ERRORS = (Exception, SystemExit)
FLUSH_INTERVAL = 1.0  # seconds: rows of metrics.csv are on disk soon, without a system call for each


def train(
    experiment: Experiment,
    directory: Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    announce: bool = True,
    bar: bool | None = None,
) -> Summary:
    """Train a run in its directory.

    Args:
        experiment: The experiment to train.
        directory: The directory of the run.
        overrides: The overrides of the command line, recorded in the summary.
        resume: Whether to resume from the last checkpoint in the directory, if there is one.
        announce: Whether to log the first evaluation without waiting.
        bar: Whether to show a progress bar; None shows one on a terminal.

    Returns:
        The summary of the run.

    Raises:
        Interrupted: The run was asked to stop by a signal, and everything that resuming it requires is written.
    """
    run = RunRecorder(experiment, directory, overrides)
    if resume:
        if message := lost_checkpoint(directory):
            log.warning("%s", message)
        run.restore()
    reporter = ProgressReporter(experiment.config.steps, run.step, bar, announce)
    with reporter as progress, stop_requests() as stop, compute_context(experiment.blas_threads):
        train_together([run], experiment.engine, progress, stop)
    if run.error is not None:
        raise run.error
    if run.summary is None or run.summary.status is Status.INTERRUPTED:
        raise Interrupted
    return run.summary


@contextmanager
def compute_context(blas_threads: int) -> Iterator[None]:
    """Limit the threads of matrix products, and silence NumPy's warnings about NaN and Inf."""
    with threadpool_limits(blas_threads, user_api="blas"), np.errstate(all="ignore"):
        yield


def train_together(
    runs: Sequence[RunRecorder],
    engine: Engine,
    progress: ProgressListener,
    stop: StopRequest,
    until: int | None = None,
) -> None:
    """Train runs, which are at the same step, to their ends.

    Row k of metrics.csv describes the network after k updates; the last row, of step `steps`, has a loss without an
    update. A run that diverges, stops early or fails is removed from the group; the results of the other runs are
    unchanged.

    Args:
        runs: The recorders of the runs.
        engine: Computes the steps of these runs, in this order.
        progress: Is notified of steps and rows.
        stop: Is checked after each step.
        until: The step of an evaluation after which the runs are interrupted; None trains them to their ends.
    """
    try:
        metrics = [*engine.evaluate(), *runs[0].experiment.step.diagnostics]
    except RUN_ERRORS as error:
        if len(runs) == 1:
            runs[0].fail(error, runs[0].step)
            return
        for i, run in enumerate(runs):
            train_together([run], engine.select([i]), progress, stop, until)
        return
    _for_each(runs, lambda run: run.begin(metrics))
    active, engine = _select_active(runs, engine)
    if active:
        _TrainingLoop(active, engine, active[0].step, progress, stop, until).train()


class _TrainingLoop:
    """Trains runs of one group from the same step on; see `train_together`."""

    def __init__(
        self,
        runs: list[RunRecorder],
        engine: Engine,
        step: int,
        progress: ProgressListener,
        stop: StopRequest,
        until: int | None,
    ) -> None:
        self.runs, self.engine, self.step = runs, engine, step  # the active runs, and what computes them
        self.progress, self.stop, self.until = progress, stop, until
        self.config = runs[0].config  # the intervals and the number of steps are common to the group
        self.flushed = time.monotonic()
        _share_time(runs)

    def train(self) -> None:
        """Take steps until all runs have ended or a stop is requested."""
        while self.runs:
            try:
                losses = self.engine.loss(self.step)
                if not _all_finite(losses):
                    self._end_diverged(losses)
                    continue  # the remaining runs compute the loss of this step again
                if self._is_row_due():
                    self._record(losses)
                    if not self.runs:
                        return
                self.engine.update(self.step)
            except RUN_ERRORS as error:
                self._train_separately(error)
                return
            self.step += 1
            self.progress.advance(len(self.runs))
            if self.stop.is_set() and self.step < self.config.steps:  # after the last step, only its row is missing
                _for_each(self.runs, lambda run: run.end(Status.INTERRUPTED, self.step))
                return
            self._save_if_due()

    def _end_diverged(self, losses: Array) -> None:
        """End the runs whose loss is NaN or Inf."""
        diverged = {run: loss for run, loss in zip(self.runs, losses.flat, strict=True) if not math.isfinite(loss)}

        def end(run: RunRecorder) -> None:
            run.record(self.step, diverged[run], None)
            operation, parameter = run.experiment.eager_engine.find_nonfinite(self.step)
            run.end(Status.DIVERGED, self.step, first_operation=operation, first_parameter=parameter)

        _for_each(list(diverged), end)
        self._remove_ended()

    def _is_evaluation_due(self) -> bool:
        return self.step % self.config.eval_every == 0 or self.step == self.config.steps

    def _is_row_due(self) -> bool:
        return self.step % self.config.log_every == 0 or self._is_evaluation_due()

    def _record(self, losses: Array) -> None:
        """Record a row of each run, evaluate if that is due, and end the runs that are complete."""
        metrics = None
        if self._is_evaluation_due():
            metrics = self.engine.evaluate()
            for i, run in enumerate(self.runs):
                run.experiment.observe(self.step, {"train_loss": losses.flat[i]} | _of_run(metrics, i))
            metrics |= self.engine.inspect(self.step)  # with the learning rate that follows from the evaluation
        self._write_rows(losses, metrics)
        active = [run for run in self.runs if not run.ended]
        if self.step == self.config.steps:
            _for_each(active, lambda run: run.end(Status.COMPLETED, self.step, stopped_early=False))
        elif self.step == self.until:
            _for_each(active, lambda run: run.end(Status.INTERRUPTED, self.step))
        if self._remove_ended() and self.runs:
            self.engine.loss(self.step)  # the engine is another one, and its update requires the loss

    def _write_rows(self, losses: Array, metrics: dict[str, Array] | None) -> None:
        """Write a row of each run, and end the runs whose patience is exhausted; an error fails that run alone."""
        for i, run in enumerate(self.runs):
            try:
                row = run.record(self.step, losses.flat[i], None if metrics is None else _of_run(metrics, i))
                if metrics is not None and self.step < self.config.steps and not run.is_patient():
                    run.end(Status.COMPLETED, self.step, stopped_early=True)
            except RUN_ERRORS as error:
                run.fail(error, self.step)
            else:
                self.progress.show(self.step, row, metrics is not None)

    def _save_if_due(self) -> None:
        """Write checkpoints at their interval, and otherwise flush metrics.csv about once a second."""
        is_checkpoint_due = self.step % self.config.checkpoint_every == 0 and self.step < self.config.steps
        if not is_checkpoint_due and time.monotonic() - self.flushed <= FLUSH_INTERVAL:
            return
        self.flushed = time.monotonic()
        _for_each(self.runs, lambda run: run.checkpoint(self.step) if is_checkpoint_due else run.flush())
        self._remove_ended()

    def _train_separately(self, error: BaseException) -> None:
        """Fail the run that raised an error in a step; of several runs, continue each alone to find it."""
        if len(self.runs) == 1:
            self.runs[0].fail(error, self.step)
            return
        for i, run in enumerate(self.runs):
            if not run.ended:
                _TrainingLoop([run], self.engine.select([i]), self.step, self.progress, self.stop, self.until).train()

    def _remove_ended(self) -> bool:
        """Remove the runs that have ended from the group; returns whether there were any."""
        count = len(self.runs)
        self.runs, self.engine = _select_active(self.runs, self.engine)
        return len(self.runs) < count


def _of_run(values: Mapping[str, Array], run: int) -> dict[str, SupportsFloat]:
    """The values of one run of a group: name -> [] or [runs]."""
    return {name: array.flat[run] for name, array in values.items()}


def _for_each(runs: Sequence[RunRecorder], action: Callable[[RunRecorder], object]) -> None:
    """Call `action` for each run; an error, such as a full disk, fails that run alone."""
    for run in runs:
        try:
            action(run)
        except RUN_ERRORS as error:
            run.fail(error, run.step)


def _all_finite(losses: Array) -> bool:
    """Whether no loss is NaN or Inf; for one run, `math` takes a fraction of NumPy's time."""
    return bool(np.isfinite(losses).all()) if losses.ndim else math.isfinite(losses)


def _select_active(runs: Sequence[RunRecorder], engine: Engine) -> tuple[list[RunRecorder], Engine]:
    """The runs that have not ended, and an engine for them."""
    active = [i for i, run in enumerate(runs) if not run.ended]
    if 0 < len(active) < len(runs):
        engine = engine.select(active)
        _share_time([runs[i] for i in active])
    return [runs[i] for i in active], engine


def _share_time(runs: Sequence[RunRecorder]) -> None:
    """Attribute the time of a group to its runs in equal shares."""
    for run in runs:
        run.share_time(len(runs))
