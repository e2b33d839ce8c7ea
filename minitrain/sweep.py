"""A sweep: many runs as few computations.

Runs of one structure, whatever numbers differ between them, are trained as stacks; a stack has as many runs as fit
into a core's cache, and stacks are spread over worker processes. Each run's directory is what it would be alone.
"""

from __future__ import annotations

import importlib
import math
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.compiled import Compiled
from minitrain.config import RunConfig
from minitrain.data import Dataset
from minitrain.model_plots import check_plots, draw_plots
from minitrain.problem import Problem, assemble, build
from minitrain.progress import stop_requests
from minitrain.record import RecordError, read_summary, write_summary
from minitrain.run import Run, describe_error
from minitrain.tapes import training_tape
from minitrain.train import LEAVES, computing, train_together

RUNNING, COMPLETED, DIVERGED, INTERRUPTED, FAILED = range(1, 6)
STATUSES = {"running": RUNNING, "completed": COMPLETED, "diverged": DIVERGED, "interrupted": INTERRUPTED}


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


# Which runs are computed together


def structure(config: RunConfig) -> str:
    """What runs of one stack have in common: everything but numbers and the seed; that a number is null counts.

    >>> from minitrain.data import Moons
    >>> from minitrain.nn.networks import MLPConfig
    >>> from minitrain.optim import MomentumRule
    >>> from minitrain.schedule import Constant
    >>> runs = [RunConfig(Moons(), MLPConfig(widths), MomentumRule(m), Constant(), lr=lr, seed=seed)
    ...         for widths, m, lr, seed in (([8], 0.9, 0.1, 0), ([8], 0.5, 0.2, 1), ([4], 0.9, 0.1, 0))]
    >>> [structure(run) == structure(runs[0]) for run in runs]
    [True, True, False]
    """
    parts = []
    for f in fields(config):
        value = getattr(config, f.name)
        if f.name == "data":
            parts.append(repr(value))  # it is loaded once: its numbers count
        elif f.name != "seed":
            parts.append(f"{f.name}={_form(value)}")
    return "\n".join(parts)


def _form(value: Any) -> str:
    """A value with every number that is no whole one left out."""
    if isinstance(value, float):
        return "number"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_form(each)}' for key, each in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_form, value))}]"
    if hasattr(value, "__dataclass_fields__"):
        return f"{type(value).__qualname__}({', '.join(_form(getattr(value, f.name)) for f in fields(value))})"
    return repr(value)


@dataclass(frozen=True)
class Stack:
    """Runs that are computed together, by number; the memory that they take, and about how long, on one core."""

    runs: tuple[int, ...]
    nbytes: int
    seconds: float


def stacks(configs: Mapping[int, RunConfig], cores: int) -> list[Stack]:
    """Runs of one structure in stacks that fit the cache, and keep all cores busy. One of each structure is built.

    configs: number -> config
    Raises ConfigError for a structure that cannot be built.
    """
    families: dict[str, list[int]] = {}
    for number, config in configs.items():
        families.setdefault(structure(config), []).append(number)
    found: list[Stack] = []
    for key, family in families.items():
        if key not in _measured:
            _measured[key] = _measure(configs[family[0]])
        nbytes, size, seconds = _measured[key]
        count = max(math.ceil(len(family) / size), min(cores // len(families), len(family)))
        parts = np.array_split(family, count)
        found += [Stack(tuple(map(int, part)), nbytes * len(part), seconds * len(part)) for part in parts]
    return found


# structure -> bytes of a run, runs of a stack, seconds of a run: a sweep is checked before it is trained, and both ask
_measured: dict[str, tuple[int, int, float]] = {}


def _measure(config: RunConfig) -> tuple[int, int, float]:
    problem = build(config, _data(config))
    check_plots(problem)
    engine, seconds = problem.engine, _seconds_of_a_run(problem)
    return (engine.nbytes, engine.runs_at_once, seconds) if isinstance(engine, Compiled) else (0, 1, seconds)


def _seconds_of_a_run(problem: Problem, tried: int = 3) -> float:
    """About how long a run takes alone, from a few of its steps and an evaluation; in a stack it takes less."""
    engine, config = problem.engine, problem.config
    times = [time.perf_counter()]
    try:
        with computing(problem.blas_threads):
            for k in range(tried):
                engine.loss(k)
                engine.update(k)
                times.append(time.perf_counter())
            engine.loss(tried)
            engine.evaluate()
            engine.inspect(tried)
            times.append(time.perf_counter())
    except LEAVES:
        return 0.0  # a run that comes to this step will tell it
    *steps, evaluation = (after - before for before, after in pairwise(times))
    return min(steps) * config.steps + evaluation * (config.steps // config.eval_every)


_datasets: dict[str, Dataset] = {}


def _data(config: RunConfig) -> Dataset:
    """What a config's data loads; the last is kept, for the runs of a sweep mostly share it."""
    key = repr(config.data)
    if key not in _datasets:
        _datasets.clear()
        _datasets[key] = config.data.load()
    return _datasets[key]


# What processes know of each other


class Board:
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


class _BoardRun(Run):
    """A run of a sweep, whose end the board shows."""

    def __init__(self, problem: Problem, job: Job, board: Board) -> None:
        super().__init__(problem, job.directory, job.overrides)
        self.number, self.board = job.number, board

    def end(self, status: str, step: int, **more: Any) -> None:
        try:
            super().end(status, step, **more)
        finally:
            self.board.steps[self.number] = self.config.steps if status != "interrupted" else step
            self.board.status[self.number] = STATUSES.get(status, FAILED)
            note(self.directory, f"{status} at step {step:,} of {self.config.steps:,}", **more)


def note(directory: Path, text: str, **more: Any) -> None:
    """Add a line to a run's minitrain.log."""
    told = "".join(f", {key}: {value}" for key, value in more.items() if value not in (False, None))
    with (directory / "minitrain.log").open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} INFO {text}{told}\n")


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


# Training


def train_stack(jobs: Sequence[Job], path: Path, total: int, report: Callable[[], None]) -> None:
    """Train jobs of one structure from their checkpoints, together where their tapes have one key. Each fails alone."""
    board = Board(path, total)
    runs: list[_BoardRun] = []
    for job in jobs:
        board.status[job.number] = RUNNING
        try:
            run = _BoardRun(assemble(job.config, _data(job.config)), job, board)
            run.restore()
            note(job.directory, run.problem.describe().replace("\n", "; "))
            runs.append(run)
        except LEAVES as error:
            fail(job, describe_error(error), board)
    for group, engine in _groups(runs):
        if board.is_set():
            for run in group:
                run.end("interrupted", run.step)
            continue
        with computing(group[0].problem.blas_threads):
            train_together(group, engine, _Progress(group, report), board)
        for run in group:
            if not board.is_set():
                report()
                for line in draw_plots(run.config, run.directory, run.problem.data):
                    note(run.directory, line)


def _groups(runs: Sequence[_BoardRun]) -> Iterator[tuple[list[_BoardRun], Any]]:
    """Runs that are computed together, and what computes them: one tape, and one step to go on from."""
    found: dict[Any, list[tuple[_BoardRun, Any]]] = {}
    for run in runs:
        if run.config.engine == "eager":
            yield [run], run.problem.step
            continue
        try:
            tape = training_tape(run.problem.step, checked=bool(found))
        except LEAVES as error:
            run.fail(error, run.step)
            continue
        found.setdefault((tape.key, run.step), []).append((run, tape))
    for members in found.values():
        group = [run for run, _ in members]
        yield group, Compiled(*[run.problem.step for run in group], tapes=[tape for _, tape in members])


def fail(job: Job, error: str, board: Board) -> None:
    """Record that a job failed before, or without, a step of its own."""
    _end_unbegun(job, "failed", board, error=error)
    note(job.directory, f"failed: {error}")


def _end_unbegun(job: Job, status: str, board: Board, **more: Any) -> None:
    summary = {"step": 0, "steps": job.config.steps, "overrides": list(job.overrides)}
    summary |= {"final": {}, "best": None, "seconds": 0.0}
    with suppress(RecordError):  # an earlier session may have come further
        summary |= read_summary(job.directory)
    summary.pop("error", None)
    write_summary(job.directory, {**summary, "status": status, **more})
    board.status[job.number] = STATUSES.get(status, FAILED)


# Processes


Report = Callable[["Board"], None]
WORTH_A_PROCESS = 1.0  # seconds of training: a worker takes about half of one to start


def train_jobs(
    jobs: Mapping[int, Job],
    found: Sequence[Stack],
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
        board = Board(path, total)

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
                _end_unbegun(job, "interrupted", board)
        tell()
        return not board.is_set()


def _train_in_processes(
    parts: Sequence[Sequence[Job]],
    processes: int,
    common: tuple[Path, int, tuple[str, ...]],
    tell: Callable[[], None],
    board: Board,
) -> None:
    """Stacks in worker processes. What a killed worker had in hand is begun again once, from its checkpoints.

    Each worker is a pool of its own: where one is killed, the others never hear of it.
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
                    pending.append((left, False))
                elif error is not None:
                    for job in left:
                        fail(job, "its worker process was killed twice" if was_killed else describe_error(error), board)
                idle.append(new_pool() if was_killed else pool)
    finally:
        for pool in [*idle, *(pool for pool, *_ in tasks.values())]:
            pool.shutdown(kill_workers=bool(tasks))


def unfinished(jobs: Sequence[Job], board: Board) -> list[Job]:
    return [job for job in jobs if board.status[job.number] <= RUNNING]


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
    if not Board(path, total).is_set():
        train_stack(jobs, path, total, lambda: None)
