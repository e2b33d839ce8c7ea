"""Train runs: one alone, or several that are computed together; going on after a stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import methodcaller
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from minitrain.errors import Interrupted
from minitrain.storage.summary import Status, Summary
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.experiment import Experiment
from minitrain.training.progress import Progress, stop_requests
from minitrain.training.recorder import RunRecorder
from minitrain.training.training_step import TrainingStep
from minitrain.typing import Array

RUN_ERRORS = (Exception, SystemExit)  # what ends a run, and not the others: sys.exit() in a component is its own affair


def train(
    experiment: Experiment,
    directory: Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    announce: bool = True,
    bar: bool | None = None,
) -> Summary:
    """Train a run in its directory and give its summary.

    overrides: what a person asked for, to be told with the result
    resume: go on from the directory's last checkpoint, or from the start where there is none
    announce: log the first evaluation at once, not only those that come late
    bar: show a progress bar; where it is not given, if there is a terminal
    Raises Interrupted after Ctrl-C or SIGTERM, when everything is written.
    """
    run = RunRecorder(experiment, directory, overrides)
    if resume:
        run.restore()
    shown = Progress(experiment.config.steps, run.step, bar, announce)
    with shown as progress, stop_requests() as stop, compute_context(experiment.blas_threads):
        train_together([run], experiment.engine, progress, stop)
    if run.error is not None:
        raise run.error
    if run.summary is None or run.summary.status is Status.INTERRUPTED:
        raise Interrupted
    return run.summary


@contextmanager
def compute_context(blas_threads: int) -> Iterator[None]:
    """Products on so many threads, and values that are not finite without a word from NumPy."""
    with threadpool_limits(blas_threads, user_api="blas"), np.errstate(all="ignore"):
        yield


class Shown(Protocol):
    """Who is told how training goes on."""

    def advance(self, runs: int) -> None: ...

    def show(self, step: int, row: dict[str, Any], evaluated: bool) -> None: ...


class Request(Protocol):
    """Whether somebody asked to stop."""

    def is_set(self) -> bool: ...


def train_together(
    runs: Sequence[RunRecorder], engine: TrainingStep | CompiledEngine, progress: Shown, stop: Request
) -> None:
    """Train runs that are at one step to the last, and one loss beyond: row k is about the network after k updates.

    A run that diverges, stops early or fails leaves, and the others go on with the bits that they would have had.
    engine: computes the steps of these runs together
    """
    try:
        names = [*engine.evaluate(), *runs[0].experiment.step.diagnostics]
    except RUN_ERRORS as error:
        if len(runs) == 1:
            return runs[0].fail(error, runs[0].step)
        assert isinstance(engine, CompiledEngine)
        for i, run in enumerate(runs):
            train_together([run], engine.select([i]), progress, stop)
        return
    _each(runs, methodcaller("begin", names))
    runs, engine = _left(runs, engine)
    if runs:
        _go_on(runs, engine, runs[0].step, progress, stop)


def _each(runs: Sequence[RunRecorder], act: Callable[[RunRecorder], object]) -> None:
    """Do something for each run; what goes wrong, as on a full disk, fails that run alone."""
    for run in runs:
        try:
            act(run)
        except RUN_ERRORS as error:
            run.fail(error, run.step)


def _go_on(
    runs: list[RunRecorder], engine: TrainingStep | CompiledEngine, step: int, progress: Shown, stop: Request
) -> None:
    config, flushed = runs[0].config, time.monotonic()
    while True:
        try:
            losses = engine.loss(step)
            if not _are_finite(losses):
                for run, loss in zip(runs, losses.flat, strict=True):
                    if not math.isfinite(loss):
                        run.record(step, loss, None)
                        run.end(Status.DIVERGED, step, **run.experiment.step.diagnose(step))
                runs, engine = _left(runs, engine)
                if not runs:
                    return
                continue
            last = step == config.steps
            evaluated = last or step % config.eval_every == 0
            if evaluated or step % config.log_every == 0:
                metrics = engine.evaluate() | engine.inspect(step) if evaluated else None
                _record(runs, step, losses, metrics, progress)
                if last:
                    _each(
                        [r for r in runs if not r.ended],
                        methodcaller("end", Status.COMPLETED, step, stopped_early=False),
                    )
                if any(run.ended for run in runs):
                    runs, engine = _left(runs, engine)
                    if not runs:
                        return
                    engine.loss(step)
            engine.update(step)
        except RUN_ERRORS as error:
            if len(runs) == 1:
                return runs[0].fail(error, step)
            assert isinstance(engine, CompiledEngine)
            for i, run in enumerate(runs):  # one of them, most likely: each goes on alone
                if not run.ended:
                    _go_on([run], engine.select([i]), step, progress, stop)
            return
        step += 1
        progress.advance(len(runs))
        if stop.is_set() and step < config.steps:  # after the last one there is but its row to write
            _each(runs, methodcaller("end", Status.INTERRUPTED, step))
            return
        is_due = step % config.checkpoint_every == 0 and step < config.steps
        if is_due or time.monotonic() - flushed > 1.0:
            flushed = time.monotonic()
            _each(runs, methodcaller("checkpoint", step) if is_due else methodcaller("flush"))
            runs, engine = _left(runs, engine)
            if not runs:
                return


def _are_finite(losses: Array) -> bool:
    return bool(np.isfinite(losses).all()) if losses.ndim else math.isfinite(losses)


def _record(
    runs: Sequence[RunRecorder], step: int, losses: Array, metrics: dict[str, Array] | None, progress: Shown
) -> None:
    """A row for each run; one that cannot be written fails its run alone."""
    for i, run in enumerate(runs):
        of_run = None if metrics is None else {name: values.flat[i] for name, values in metrics.items()}
        try:
            row = run.record(step, losses.flat[i], of_run)
            if metrics is not None and step < run.config.steps and not run.is_patient():
                run.end(Status.COMPLETED, step, stopped_early=True)
        except RUN_ERRORS as error:
            run.fail(error, step)
        else:
            progress.show(step, row, metrics is not None)


def _left(
    runs: Sequence[RunRecorder], engine: TrainingStep | CompiledEngine
) -> tuple[list[RunRecorder], TrainingStep | CompiledEngine]:
    """The runs that go on, and what computes them."""
    going = [i for i, run in enumerate(runs) if not run.ended]
    if 0 < len(going) < len(runs):
        assert isinstance(engine, CompiledEngine)  # a run alone leaves nothing behind
        engine = engine.select(going)
    return [runs[i] for i in going], engine
