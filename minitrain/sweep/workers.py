"""Train the stacks of a sweep, in this process or in workers: each run fails, stops and is killed alone."""

from __future__ import annotations

import importlib
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minitrain.plotting.prediction_plots import draw_plots
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
from minitrain.training.progress import stop_requests
from minitrain.training.recorder import RunRecorder, describe_error
from minitrain.training.step_tapes import training_tape


class _BoardRun(RunRecorder):
    """A run of a sweep, whose end the board shows."""

    def __init__(self, experiment: Experiment, job: Job, board: SweepState) -> None:
        super().__init__(experiment, job.directory, job.overrides)
        self.number, self.board = job.number, board

    def end(self, status: Status, step: int, **more: Any) -> None:
        try:
            super().end(status, step, **more)
        finally:
            self.board.steps[self.number] = self.config.steps if status is not Status.INTERRUPTED else step
            self.board.status[self.number] = STATUS_CODES[status]
            append_log(self.directory, f"{status} at step {step:,} of {self.config.steps:,}", **more)


class _Progress:
    """Shows the board how a stack goes on."""

    def __init__(self, runs: Sequence[_BoardRun], report: Callable[[], None]) -> None:
        self.runs, self.report = runs, report
        self.shown = time.monotonic()

    def advance(self, runs: int) -> None:
        if time.monotonic() - self.shown > 0.1:
            self.shown = time.monotonic()
            for run in self.runs:
                if not run.ended:
                    run.board.steps[run.number] = run.step
            self.report()

    def show(self, step: int, row: dict[str, Any], evaluated: bool) -> None:
        pass


def train_stack(jobs: Sequence[Job], path: Path, total: int, report: Callable[[], None]) -> None:
    """Train jobs of one structure from their checkpoints, together where their tapes have one key. Each fails alone."""
    board = SweepState(path, total)
    runs: list[_BoardRun] = []
    for job in jobs:
        board.status[job.number] = STATUS_CODES[Status.RUNNING]
        try:
            run = _BoardRun(assemble_experiment(job.config, shared_data(job.config)), job, board)
            run.restore()
            append_log(job.directory, run.experiment.describe().replace("\n", "; "))
            runs.append(run)
        except RUN_ERRORS as error:
            record_failure(job, describe_error(error), board)
    for group, engine in _groups(runs):
        if board.is_set():
            for run in group:
                run.end(Status.INTERRUPTED, run.step)
            continue
        with compute_context(group[0].experiment.blas_threads):
            train_together(group, engine, _Progress(group, report), board)
        for run in group:
            if not board.is_set():
                report()
                for line in draw_plots(run.config, run.directory, run.experiment.data):
                    append_log(run.directory, line)


def _groups(runs: Sequence[_BoardRun]) -> Iterator[tuple[list[_BoardRun], Engine]]:
    """Runs that are computed together, and what computes them: one tape, and one step to go on from."""
    found: dict[Any, list[tuple[_BoardRun, Any]]] = {}
    for run in runs:
        if run.config.engine == "eager":
            yield [run], run.experiment.engine
            continue
        try:
            tape = training_tape(run.experiment.step, checked=bool(found))
        except RUN_ERRORS as error:
            run.fail(error, run.step)
            continue
        found.setdefault((tape.key, run.step), []).append((run, tape))
    for members in found.values():
        group = [run for run, _ in members]
        yield group, CompiledEngine(*[run.experiment.step for run in group], tapes=[tape for _, tape in members])


# Processes


Report = Callable[[SweepState], None]


WORTH_A_PROCESS = 1.0  # seconds of training: a worker takes about half of one to start


def train_jobs(
    jobs: Mapping[int, Job],
    found: Sequence[RunGroup],
    processes: int,
    extensions: Sequence[str],
    report: Report,
) -> bool:
    """Train stacks of jobs, in this process where one is enough; whether they all came to their ends unstopped.

    jobs: number -> job; extensions: modules that a worker process imports first
    report: called several times a second, and once more at the end
    """
    total = max(jobs) + 1
    with tempfile.TemporaryDirectory() as folder, stop_requests() as stop:
        path = Path(folder, "board")
        board = SweepState(path, total)

        def tell() -> None:
            if stop.is_set():
                board.set()
            report(board)

        parts = [[jobs[number] for number in stack.runs] for stack in found]
        if processes == 1 or len(parts) == 1 or sum(stack.seconds for stack in found) < WORTH_A_PROCESS:
            for part in parts:
                train_stack(part, path, total, tell)
        else:
            _train_in_processes(parts, processes, (path, total, tuple(extensions)), tell, board)
        for number, job in jobs.items():
            if not board.status[number]:
                end_without_training(job, Status.INTERRUPTED, board)
        tell()
        return not board.is_set()


def _train_in_processes(
    parts: Sequence[Sequence[Job]],
    processes: int,
    common: tuple[Path, int, tuple[str, ...]],
    tell: Callable[[], None],
    board: SweepState,
) -> None:
    """Stacks in worker processes. What a killed worker had in hand is begun again once, from its checkpoints.

    Then each run is alone: what kills its worker again takes no other with it. Each worker is a pool of its own, so
    that where one is killed, the others never hear of it.
    """
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import BrokenProcessPool

    def new_pool() -> Any:
        return ProcessPoolExecutor(1, env={"OPENBLAS_NUM_THREADS": "1"})

    path, total, extensions = common
    pending = deque((list(part), True) for part in parts)
    idle = [new_pool() for _ in range(min(processes, len(pending)))]
    tasks: dict[Any, tuple[Any, list[Job], bool]] = {}
    try:
        while tasks or (pending and not board.is_set()):
            while idle and pending and not board.is_set():
                pool, (part, is_first) = idle.pop(), pending.popleft()
                with _interrupts_ignored():  # the worker is started here, and takes it from its parent
                    tasks[pool.submit(_work, extensions, part, path, total)] = pool, part, is_first
            done, _ = wait(tasks, timeout=0.1, return_when=FIRST_COMPLETED)
            tell()
            for task in done:
                pool, part, is_first = tasks.pop(task)
                error, left = task.exception(), unfinished(part, board)
                was_killed = isinstance(error, BrokenProcessPool)
                if was_killed and is_first:
                    pending.extend(([job], False) for job in left)
                elif error is not None:
                    for job in left:
                        record_failure(
                            job, "its worker process was killed twice" if was_killed else describe_error(error), board
                        )
                idle.append(new_pool() if was_killed else pool)
    finally:
        for pool in [*idle, *(pool for pool, *_ in tasks.values())]:
            pool.shutdown(kill_workers=bool(tasks))


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started inside never hear of Ctrl-C, which a terminal sends to all: it is the parent's to answer."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(extensions: Sequence[str], jobs: Sequence[Job], path: Path, total: int) -> None:
    """A stack in a worker process."""
    for name in extensions:
        importlib.import_module(name)
    if not SweepState(path, total).is_set():
        train_stack(jobs, path, total, lambda: None)
