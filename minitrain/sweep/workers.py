"""Train the groups of a sweep, in this process or in worker processes; each run fails, stops or is killed alone."""

from __future__ import annotations

import importlib
import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minitrain.compiler.tape import Tape
from minitrain.errors import DirectoryInUseError
from minitrain.plotting.prediction_plots import draw_plots
from minitrain.storage.lock import locked
from minitrain.storage.summary import Status
from minitrain.sweep.grouping import RunGroup, shared_data
from minitrain.sweep.state import (
    STATUS_CODES,
    Job,
    SweepState,
    append_log,
    end_without_training,
    record_failure,
    unfinished,
)
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.engine import Engine
from minitrain.training.experiment import Experiment, assemble_experiment
from minitrain.training.loop import RUN_ERRORS, compute_context, train_together
from minitrain.training.progress import TERMINAL_SIGNALS, stop_requests
from minitrain.training.recorder import RunRecorder, describe_error
from minitrain.training.step_tapes import training_tape

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

SECONDS_WORTH_WORKERS = 1.0  # estimated training time from which worker processes pay: one starts in about half of it
SECONDS_BETWEEN_UPDATES = 0.1  # of the sweep's state, and of its report


# Training a group


class _SweepRunRecorder(RunRecorder):
    """The record of a run of a sweep, whose end is also written to the sweep's state and the run's log."""

    def __init__(self, experiment: Experiment, job: Job, state: SweepState) -> None:
        super().__init__(experiment, job.directory, job.overrides)
        self.number, self.state = job.number, state

    def end(self, status: Status, step: int, **more: Any) -> None:
        try:
            super().end(status, step, **more)
        finally:
            self.state.steps[self.number] = self.config.steps if status is not Status.INTERRUPTED else step
            self.state.status[self.number] = STATUS_CODES[status]
            append_log(self.directory, f"{status} at step {step:,} of {self.config.steps:,}", **more)


class _GroupProgress:
    """Writes the steps of a group's runs to the sweep's state while they train."""

    def __init__(self, runs: Sequence[_SweepRunRecorder], report: Callable[[], None]) -> None:
        self._runs, self._report = runs, report
        self._last_update = time.monotonic()

    def advance(self, runs: int) -> None:
        if time.monotonic() - self._last_update > SECONDS_BETWEEN_UPDATES:
            self._last_update = time.monotonic()
            for run in self._runs:
                if not run.ended:
                    run.state.steps[run.number] = run.step
            self._report()

    def show(self, step: int, row: dict[str, Any], evaluated: bool) -> None:
        """Rows are not shown: there are too many runs."""


def train_group(jobs: Sequence[Job], state: SweepState, report: Callable[[], None], until: int | None = None) -> None:
    """Train jobs of one structure from their checkpoints.

    Runs are computed together if their tapes and their steps are equal. An error ends the run that raised it.

    Args:
        jobs: The jobs of the group.
        state: The state of the sweep, which each run updates.
        report: Called several times a second.
        until: The step at which the runs are interrupted; None trains them to their ends.
    """
    with ExitStack() as locks:
        for runs, engine in _join_runs(_restore_runs(jobs, state, locks)):
            if state.is_set():
                for run in runs:
                    run.end(Status.INTERRUPTED, run.step)
                continue
            with compute_context(runs[0].experiment.blas_threads):
                train_together(runs, engine, _GroupProgress(runs, report), state, until)
            for run in runs:
                if not state.is_set() and run.summary is not None and run.summary.status is not Status.INTERRUPTED:
                    report()
                    for line in draw_plots(run.config, run.directory, run.experiment.data):
                        append_log(run.directory, line)


def _restore_runs(jobs: Sequence[Job], state: SweepState, locks: ExitStack) -> list[_SweepRunRecorder]:
    """Lock the runs of jobs and restore their last checkpoints; a job fails if its run cannot be built or restored."""
    runs: list[_SweepRunRecorder] = []
    for job in jobs:
        state.status[job.number] = STATUS_CODES[Status.RUNNING]
        try:
            locks.enter_context(locked(job.directory))
            run = _SweepRunRecorder(assemble_experiment(job.config, shared_data(job.config)), job, state)
            run.restore()
            for line in (run.experiment.describe().replace("\n", "; "), *run.experiment.warnings()):
                append_log(job.directory, line)
            runs.append(run)
        except DirectoryInUseError:  # another process trains this run, and writes its files
            state.status[job.number] = STATUS_CODES[Status.FAILED]
        except RUN_ERRORS as error:
            record_failure(job, describe_error(error), state)
    return runs


def _join_runs(
    runs: Sequence[_SweepRunRecorder],
) -> Iterator[tuple[list[_SweepRunRecorder], Engine]]:
    """Runs that can be computed together, with their engine: those whose tapes and current steps are equal."""
    groups: dict[tuple[str, int], list[tuple[_SweepRunRecorder, Tape]]] = {}
    for run in runs:
        if run.config.engine == "eager":
            yield [run], run.experiment.engine
            continue
        try:
            tape = training_tape(run.experiment.step, checked=bool(groups))
        except RUN_ERRORS as error:
            run.fail(error, run.step)
            continue
        groups.setdefault((tape.key, run.step), []).append((run, tape))
    for members in groups.values():
        joined = [run for run, _ in members]
        yield joined, CompiledEngine(*[run.experiment.step for run in joined], tapes=[tape for _, tape in members])


# Training all groups


Report = Callable[[SweepState], None]


class SweepTrainer:
    """Trains the groups of a sweep, in this process if worker processes would not be faster.

    It is a context manager, in which a signal stops the sweep.

    Args:
        runs: The number of runs of the sweep.
        processes: The number of worker processes at most.
        extensions: Modules that a worker process imports first.
        report: Called with the sweep's state several times a second, and once at the end.
    """

    def __init__(self, runs: int, processes: int, extensions: Sequence[str], report: Report) -> None:
        self._runs, self._processes, self._extensions, self._report = runs, processes, extensions, report
        self._stack = ExitStack()

    def __enter__(self) -> SweepTrainer:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            self._stop = stack.enter_context(stop_requests())
            self._state = SweepState(Path(folder, "state"), self._runs)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def train(self, jobs: Mapping[int, Job], groups: Sequence[RunGroup], until: int | None = None) -> bool:
        """Train jobs from their checkpoints.

        Args:
            jobs: The jobs by number.
            groups: The numbers of the jobs that are trained together.
            until: The step of an evaluation at which the runs are interrupted; None trains them to their ends.

        Returns:
            Whether all runs ended, or were interrupted at `until`, without a request to stop.
        """
        state = self._state
        for number in jobs:
            state.status[number] = 0
        tasks = [_Task([jobs[number] for number in group.runs], until) for group in groups]
        seconds = sum(group.seconds for group in groups)
        if self._processes == 1 or len(tasks) == 1 or seconds < SECONDS_WORTH_WORKERS:
            for task in tasks:
                train_group(task.jobs, state, self._update, until)
        else:
            _WorkerPool(tasks, self._processes, self._extensions, state).run(self._update)
        for number, job in jobs.items():
            if not state.status[number]:
                end_without_training(job, Status.INTERRUPTED, state)
        self._update()
        return not state.is_set()

    def _update(self) -> None:
        if self._stop.is_set():
            self._state.set()
        self._report(self._state)


@dataclass(frozen=True)
class _Task:
    """Jobs that one worker process trains.

    Attributes:
        jobs: The jobs.
        until: The step at which they are interrupted; None if they are trained to their ends.
        kills: How many worker processes were killed while they trained these jobs.
    """

    jobs: Sequence[Job]
    until: int | None = None
    kills: int = 0

    def retries(self, remaining: Sequence[Job]) -> list[_Task]:
        """The tasks that follow after the task's worker was killed; none if its jobs have failed.

        They are retried once as they were, then run by run, so that a run that kills its worker fails alone.
        """
        if not remaining:
            return []
        if self.kills == 0:
            return [_Task(remaining, self.until, kills=1)]
        if self.kills == 1 and len(remaining) > 1:
            return [_Task([job], self.until, kills=2) for job in remaining]
        return []


class _WorkerPool:
    """Worker processes that train the groups of a sweep.

    Jobs of a killed worker are retried once, then run by run, then recorded as failed. Each worker is an executor
    with one process, so that a killed worker breaks no other.

    Args:
        tasks: The groups.
        processes: The number of worker processes at most.
        extensions: Modules that a worker process imports first.
        state: The state of the sweep.
    """

    def __init__(self, tasks: Sequence[_Task], processes: int, extensions: Sequence[str], state: SweepState) -> None:
        self._extensions, self._state = tuple(extensions), state
        self._pending = deque(tasks)
        self._idle = [self._new_worker() for _ in range(min(processes, len(tasks)))]
        self._running: dict[Future[None], tuple[ProcessPoolExecutor, _Task]] = {}

    def _new_worker(self) -> ProcessPoolExecutor:
        from loky import ProcessPoolExecutor

        return ProcessPoolExecutor(
            1,
            env={"OPENBLAS_NUM_THREADS": "1"},
            initializer=_watch_parent,
            initargs=(os.getpid(), self._state.path, self._state.runs),
        )

    def run(self, update: Callable[[], None]) -> None:
        """Train all tasks until they have ended or a stop is requested. `update` is called several times a second."""
        try:
            while self._running or (self._pending and not self._state.is_set()):
                self._submit_pending()
                done, _ = wait(self._running, timeout=SECONDS_BETWEEN_UPDATES, return_when=FIRST_COMPLETED)
                update()
                for future in done:
                    self._finish(future)
        finally:
            must_kill = bool(self._running)
            for worker in [*self._idle, *(worker for worker, _ in self._running.values())]:
                worker.shutdown(kill_workers=must_kill)

    def _submit_pending(self) -> None:
        """Give each idle worker a task."""
        while self._idle and self._pending and not self._state.is_set():
            worker, task = self._idle.pop(), self._pending.popleft()
            with _interrupts_ignored():  # the worker process is started here, and inherits its parent's handler
                future = worker.submit(
                    _train_in_worker, self._extensions, task.jobs, task.until, self._state.path, self._state.runs
                )
            self._running[future] = worker, task

    def _finish(self, future: Future[None]) -> None:
        """Take a task from its worker; its jobs that have not ended are retried or recorded as failed."""
        from loky import BrokenProcessPool

        worker, task = self._running.pop(future)
        error, remaining = future.exception(), unfinished(task.jobs, self._state)
        if isinstance(error, BrokenProcessPool):
            self._idle.append(self._new_worker())
            retries = task.retries(remaining)
            self._pending.extend(retries)
            if not retries:
                times = "twice" if task.kills == 1 else f"{task.kills + 1} times"
                self._record_failures(remaining, f"its worker process was killed {times}")
        else:
            self._idle.append(worker)
            if error is not None:
                self._record_failures(remaining, describe_error(error))

    def _record_failures(self, jobs: Sequence[Job], error: str) -> None:
        for job in jobs:
            record_failure(job, error, self._state)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started in this context ignore what a terminal sends to all of them: the parent handles it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in TERMINAL_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# In a worker process


_is_training = threading.Lock()  # held while the worker process trains a group


def _train_in_worker(extensions: Sequence[str], jobs: Sequence[Job], until: int | None, path: Path, runs: int) -> None:
    """Train a group in a worker process."""
    with _is_training:
        for name in extensions:
            importlib.import_module(name)
        state = SweepState(path, runs)
        if not state.is_set():
            train_group(jobs, state, lambda: None, until)


def _watch_parent(parent: int, path: Path, runs: int) -> None:
    """Let this worker process stop its runs and exit if its parent is killed; otherwise it waits for tasks forever."""
    state = SweepState(path, runs)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_UPDATES)
        state.set()
        with _is_training:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
