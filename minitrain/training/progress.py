"""Progress reporting of a run, its outcome as text, and requests to stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, SupportsFloat

import numpy as np

from minitrain.storage.metric import Metric, format_share
from minitrain.storage.metrics_file import Row
from minitrain.storage.summary import Status, Summary

log = logging.getLogger("minitrain")

# Ctrl-C, and the end of the terminal, which also sends both to the processes that were started from it. Windows has no
# SIGHUP.
TERMINAL_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]


class ProgressListener(Protocol):
    """Is notified of the progress of runs that are trained together."""

    def advance(self, runs: int) -> None:
        """Called after each step, with the number of runs that took it."""

    def show(self, step: int, row: Row, evaluated: bool) -> None:
        """Called after a run wrote a row of metrics.csv; `evaluated` says whether it has an evaluation."""


class StopRequest(Protocol):
    """Whether the user requested to stop; a `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to stop after the current step."""


class _Bar(Protocol):
    """The part of a tqdm progress bar that is used."""

    def update(self, n: int) -> object: ...
    def close(self) -> None: ...
    def set_description(self, desc: str, refresh: bool) -> None: ...
    def set_postfix_str(self, s: str, refresh: bool) -> None: ...


class ProgressReporter:
    """Shows a progress bar on a terminal, and otherwise logs evaluations, a few seconds apart.

    Implements `ProgressListener`.

    Args:
        steps: The number of steps of the run.
        start: The step that it starts or resumes from.
        bar: Whether to show a bar; None shows one if standard error is a terminal.
        announce: Whether to log the first evaluation without waiting.
    """

    LOG_INTERVAL = 5.0  # seconds between log lines

    def __init__(self, steps: int, start: int, bar: bool | None, announce: bool) -> None:
        self.steps, self.start = steps, start
        self._wants_bar = sys.stderr.isatty() if bar is None else bar
        self._bar: _Bar | None = None
        self._logged = -np.inf if announce else time.monotonic()

    def __enter__(self) -> ProgressReporter:
        if self._wants_bar:
            from tqdm import tqdm

            self._bar = tqdm(total=self.steps, initial=self.start, unit=" steps", dynamic_ncols=True, leave=False)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, runs: int) -> None:
        """Advance the bar by one step of each run."""
        if self._bar is not None:
            self._bar.update(runs)

    def show(self, step: int, row: Row, evaluated: bool) -> None:
        """Show the losses of a row in the bar, or log an evaluation."""
        if self._bar is not None:
            if evaluated and "val_accuracy" in row:
                self._bar.set_description(f"accuracy {format_share(row['val_accuracy'])}", refresh=False)
            self._bar.set_postfix_str(f"loss {float(row['train_loss']):.4g}", refresh=False)
        elif evaluated and time.monotonic() - self._logged > self.LOG_INTERVAL:
            self._logged = time.monotonic()
            log.info("step %s of %s: %s", f"{step:,}", f"{self.steps:,}", format_metrics(row))


def format_metrics(metrics: Mapping[str, SupportsFloat]) -> str:
    """Format metrics by name; those of single layers (`dead_units/1`), the step and the learning rate are left out.

    >>> format_metrics({"step": 10, "train_loss": 0.0123, "val_accuracy": 0.975, "dead_units/1": 0.0})
    'train_loss 0.0123, val_accuracy 97.5%'
    """
    return ", ".join(
        f"{name} {Metric.named(name).format(value)}"
        for name, value in metrics.items()
        if name not in ("step", "lr") and "/" not in name
    )


def format_outcome_briefly(summary: Summary) -> str:
    """Format how a run of a sweep ended, in one line."""
    if summary.status is Status.FAILED:
        return f"failed: {summary.error}"
    best = summary.best
    if summary.status is not Status.COMPLETED or best is None:
        suffix = f"; {_NO_BEST}" if _lacks_best(summary) else ""
        return f"{summary.status} at step {summary.step:,} of {summary.steps:,}{suffix}"
    final = format_metrics({best.metric: summary.final[best.metric]})
    value = Metric.named(best.metric).format(best.value)
    stopped = f", stopped early at step {summary.step:,}" if summary.stopped_early else ""
    return f"{final}, best {value} at step {best.step:,}{stopped}, {summary.seconds:.1f} s"


def format_outcome(summary: Summary) -> str:
    """Format how a run ended, in one to three lines."""
    lines = [_format_end(summary)]
    if summary.status is Status.DIVERGED:
        lines[0] += ": the loss is NaN or Inf"
        if summary.first_operation is not None:
            lines[0] += f"; {summary.first_operation} produced the first such value, from {summary.first_parameter}"
    if summary.final:
        lines.append(f"final  {format_metrics(summary.final)}")
    if summary.best:
        best = summary.best
        lines.append(f"best   {format_metrics({best.metric: best.value})} at step {best.step:,}")
    elif _lacks_best(summary):
        lines.append(f"best   none: {_NO_BEST}")
    return "\n".join(lines)


_NO_BEST = "the monitored metric was NaN or Inf at every evaluation"


def _lacks_best(summary: Summary) -> bool:
    """Whether a run has been evaluated and has no best network."""
    return bool(summary.final) and summary.best is None


def _format_end(summary: Summary) -> str:
    if summary.status is Status.COMPLETED and not summary.stopped_early:
        return f"completed {summary.steps:,} steps in {summary.seconds:.1f} s"
    how = "stopped early" if summary.stopped_early else summary.status
    return f"{how} at step {summary.step:,} of {summary.steps:,} in {summary.seconds:.1f} s"


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turn the first SIGINT (Ctrl-C), SIGTERM or SIGHUP into a stop request; a second one raises KeyboardInterrupt.

    Under nohup, SIGHUP stays ignored. Outside the main thread, which alone handles signals, the request is never set.
    """
    request = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if request.is_set():
            raise KeyboardInterrupt
        request.set()

    numbers = [signal.SIGTERM, *TERMINAL_SIGNALS]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
