"""Train one run: build it from its config, the loop, its record on disk, and going on after a stop."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import minitrain
from minitrain.autograd.cost import largest_product
from minitrain.autograd.primitives import Array
from minitrain.autograd.trace import TracingError
from minitrain.compiled import Compiled
from minitrain.config import TABLES, ConfigError, RunConfig
from minitrain.data import Dataset
from minitrain.nn import losses
from minitrain.nn.activation import activation_layer
from minitrain.nn.module import Module
from minitrain.progress import Progress, stop_requests
from minitrain.record import Metrics, RecordError, load_checkpoint, save_checkpoint, write_summary
from minitrain.step import Step

# Floating-point operations of a product from which a second thread makes a step faster. Measured with digits and
# network.widths=[n,n] batch_size=n, one thread's time over two threads', two cores: float32 0.87 at n = 160, 0.98 at
# 192, 1.18 at 256, 1.41 at 384, 1.7 at 1024; float64 gains from 128 on, 1.3 at 256. Where products are smaller,
# waking the second thread takes longer than what it saves.
LARGE_PRODUCT = 2 * 256**3


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop, and has written everything that resuming it needs."""


@dataclass(frozen=True)
class Problem:
    """What a config asks for, built and checked, with nothing written yet."""

    config: RunConfig
    data: Dataset
    model: Module
    loss: losses.Loss
    step: Step
    engine: Step | Compiled  # what computes the steps

    @property
    def metrics(self) -> list[str]:
        """What the data lets an evaluation tell, what is judged by first."""
        validation = ["val_accuracy", "val_loss"] if self.data.classes is not None else ["val_loss"]
        return [*(validation if len(self.data.x_val) else []), "train_loss"]

    @property
    def blas_threads(self) -> int:
        """How many threads compute a matrix product: a number that was given, or what `auto` finds worth it."""
        if isinstance(self.config.blas_threads, int):
            return self.config.blas_threads
        assert isinstance(self.engine, Compiled)
        return _cores() if largest_product(self.engine.training.tape) >= LARGE_PRODUCT else 1

    def describe(self) -> str:
        """Two lines: the data; the network, its size, and how it is trained."""
        parameters = self.model.parameters()
        count, frozen = sum(p.size for p in parameters), sum(p.size for p in parameters if not p.requires_grad)
        size = f"{count:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")
        return (
            f"{_name('data', self.config.data)}: {self.data.describe()}\n"
            f"{self.describe_network()}: {size}; "
            f"{_name('optimizer', self.config.optimizer)}, lr {self.config.lr:g}"
        )

    def describe_network(self) -> str:
        outputs = self.loss.outputs(self.data)
        described: str = self.config.network.describe(self.data.inputs, outputs, self.config.activation)
        return described

    def describe_briefly(self) -> str:
        """One line for a figure."""
        config = self.config
        return (
            f"{self.describe_network()} on {_name('data', config.data)}, "
            f"{_name('optimizer', config.optimizer)} lr {config.lr:g}"
        )


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _name(group: str, component: Any) -> str:
    """The name that a component is registered by."""
    return next(name for name, cls in TABLES[group].items() if cls is type(component))


def build(config: RunConfig) -> Problem:
    """Load the data and build the network. Raises ConfigError for keys that do not go together.

    So does whatever a person's own component raises: it tells where.
    """
    try:
        return _build(config)
    except MemoryError as error:
        raise ConfigError(f"the network or the data do not fit into memory: {error}") from error
    except ConfigError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in where if not Path(frame.filename).is_relative_to(Path(minitrain.__file__).parent)]
        if not config.extensions:
            raise
        place = f"{Path(own[-1].filename).name} line {own[-1].lineno}" if own else "how it is called"
        raise ConfigError(f"a component of your own: {type(error).__name__}: {error} ({place})") from error


def _build(config: RunConfig) -> Problem:
    data = config.data.load()
    examples = len(data.x_train)
    if config.batch_size is not None and config.batch_size > examples:
        raise ConfigError(
            f"batch_size={config.batch_size}: expected at most {examples}, all training examples, or null"
        )
    if config.warmup is not None and config.warmup >= config.steps:
        raise ConfigError(f"warmup={config.warmup}: expected fewer than steps={config.steps}")
    if config.blas_threads == "auto" and config.engine == "eager":
        raise ConfigError("blas_threads=auto: looks at the compiled step; give a number, or set engine=replay")
    activation, loss = activation_layer(config.activation), losses.chosen(config)
    model = config.network.build(data.inputs, loss.outputs(data), activation, config.seed)
    try:
        step = Step(config, data, model, loss)
        step.numbers(0)
        engine = _tried(step) if config.engine == "eager" else Compiled(step)
    except TracingError as error:
        raise ConfigError(f"engine={config.engine}: {error}") from error
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"network={_name('network', config.network)}: {error}") from error
    problem = Problem(config, data, model, loss, step, engine)
    if config.metric not in ("auto", *problem.metrics):
        raise ConfigError(f"metric={config.metric}: the data gives {', '.join(problem.metrics)}; choose one, or auto")
    return problem


def _tried(step: Step) -> Step:
    """The step, after one that was taken and undone: what does not fit is told before anything is written."""
    before = {name: array.copy() for name, array in step.arrays().items()}
    with np.errstate(all="ignore"):
        step.loss(0)
        step.update(0)
    step.restore(before)
    return step


def train(
    problem: Problem,
    directory: Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    announce: bool = True,
    bar: bool | None = None,
) -> dict[str, Any]:
    """Train a run in its directory and give its summary.

    overrides: what a person asked for, to be told with the result
    resume: go on from the directory's last checkpoint, or from the start where there is none
    announce: log the first evaluation at once, not only those that come late
    bar: show a progress bar; where it is not given, if there is a terminal
    Raises Interrupted after Ctrl-C or SIGTERM, when everything is written.
    """
    run = _Run(problem, directory, overrides)
    if resume:
        run.restore()
    with Progress(problem.config.steps, run.step, bar, announce) as progress, stop_requests() as stop:
        try:
            with threadpool_limits(problem.blas_threads, user_api="blas"), np.errstate(all="ignore"):
                run.loop(progress, stop)
        except Exception as error:
            run.finish("failed", error=f"{type(error).__name__}: {error}")
            raise
    if run.summary["status"] == "interrupted":
        raise Interrupted
    return run.summary


class _Run:
    """A run in progress, after `step` updates."""

    def __init__(self, problem: Problem, directory: Path, overrides: Sequence[str]) -> None:
        self.problem, self.config, self.directory, self.overrides = problem, problem.config, directory, list(overrides)
        self.engine = problem.engine
        self.metric = problem.metrics[0] if self.config.metric == "auto" else self.config.metric
        self.step = 0
        self.best: dict[str, Any] | None = None
        self.final: dict[str, float] = {}
        self.seconds = 0.0  # of earlier sessions of this run
        self.first_step = 0
        self.started = time.perf_counter()
        self.summary: dict[str, Any] = {}

    # The loop

    def loop(self, progress: Progress, stop: threading.Event) -> None:
        """Train to the last step, and one loss beyond: row k of metrics.csv is about the network after k updates."""
        config = self.config
        self.first_step = self.step
        metrics = Metrics(self.directory / "metrics.csv", self.columns(), self.step)
        write_summary(self.directory, self.summarize("running"))
        try:
            while True:
                loss = self.engine.loss(self.step)
                if not math.isfinite(loss):
                    metrics.write(self.row(loss))
                    metrics.close()
                    return self.finish("diverged", **self.problem.step.diagnose(self.step))
                last = self.step == config.steps
                evaluated = last or self.step % config.eval_every == 0
                stopped = False
                if evaluated or self.step % config.log_every == 0:
                    row = self.row(loss)
                    if evaluated:
                        row |= self.engine.evaluate()
                        self.judge(row)
                        stopped = config.patience is not None and not last and self.waited() >= config.patience
                    metrics.write(row)
                    progress.show(self.step, row, evaluated)
                if last or stopped:
                    break
                self.engine.update(self.step)
                self.step += 1
                progress.advance()
                metrics.flush(at_most_every=1.0)
                if stop.is_set():
                    metrics.close()
                    self.save("last")
                    return self.finish("interrupted")
                if self.step % config.checkpoint_every == 0 and self.step < config.steps:
                    metrics.flush()
                    self.save("last")
        finally:
            metrics.close()
        self.save("last")
        self.finish("completed", stopped_early=stopped)

    def columns(self) -> list[str]:
        return ["step", "lr", "train_loss", *self.engine.evaluate()]

    def row(self, loss: Array) -> dict[str, Any]:
        return {"step": self.step, "lr": self.problem.step.rate(self.step), "train_loss": loss.copy()}

    def judge(self, row: dict[str, Any]) -> None:
        """Keep the network if it is the best so far: highest accuracy, or lowest loss; the first of equals."""
        self.final = {name: _plain(value) for name, value in row.items() if name not in ("step", "lr")}
        value = self.final[self.metric]
        better = self.best is None or (
            value > self.best["value"] if self.metric == "val_accuracy" else value < self.best["value"]
        )
        if better and np.isfinite(value):
            self.best = {"metric": self.metric, "value": value, "step": self.step}
            self.save("best")

    def waited(self) -> int:
        """Evaluations since the best one. Steps tell, so that a resumed run, which has `best`, needs no count."""
        every = self.config.eval_every
        return self.step // every - (self.best["step"] // every if self.best else -1)

    # On disk

    def save(self, name: str) -> None:
        meta = {"step": self.step, "best": self.best, "final": self.final, "seconds": self.elapsed()}
        save_checkpoint(self.directory / "checkpoints" / f"{name}.npz", self.problem.step.arrays(), meta)

    def restore(self) -> None:
        """Go on from the last checkpoint. Raises RecordError where it is of another network or optimizer."""
        path = self.directory / "checkpoints" / "last.npz"
        if not path.exists():
            return
        arrays, meta = load_checkpoint(path)
        expected = {key: view.shape for key, view in self.problem.step.arrays().items()}
        if {key: array.shape for key, array in arrays.items()} != expected:
            raise RecordError(f"{path}: the checkpoint of another network or optimizer than config.yaml describes")
        self.problem.step.restore(arrays)
        self.step, self.best, self.final = meta["step"], meta["best"], meta["final"]
        self.seconds = meta["seconds"]

    def elapsed(self) -> float:
        return self.seconds + time.perf_counter() - self.started

    def finish(self, status: str, **more: Any) -> None:
        self.summary = self.summarize(status, **more)
        write_summary(self.directory, self.summary)

    def summarize(self, status: str, **more: Any) -> dict[str, Any]:
        here = time.perf_counter() - self.started
        return {
            "status": status,
            "step": self.step,
            "steps": self.config.steps,
            "overrides": self.overrides,
            **more,
            "final": self.final,
            "best": self.best,
            "seconds": round(self.elapsed(), 3),
            "steps_per_second": round((self.step - self.first_step) / here, 1) if here else None,
            "seed": self.config.seed,
            "blas_threads": self.problem.blas_threads,
            "versions": _versions(),
            "git_commit": _git_commit(),
        }


def _plain(value: Any) -> float:
    """A float32 as the shortest decimal that gives it back, as metrics.csv has it."""
    return float(str(value))


def _versions() -> dict[str, str]:
    return {"minitrain": minitrain.__version__, "python": platform.python_version(), "numpy": np.__version__}


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
