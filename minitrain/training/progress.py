"""What a person sees of a run that goes on, and how they ask it to stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status, Summary

log = logging.getLogger("minitrain")


class Progress:
    """A bar on a terminal; elsewhere a log line at evaluations, a few seconds apart."""

    EVERY = 5.0  # seconds between log lines

    def __init__(self, steps: int, start: int, bar: bool | None, announce: bool) -> None:
        self.steps, self.start = steps, start
        self.wants_bar = sys.stderr.isatty() if bar is None else bar
        self.bar: Any = None
        self.spoken = -np.inf if announce else time.monotonic()

    def __enter__(self) -> Progress:
        if self.wants_bar:
            from tqdm import tqdm

            self.bar = tqdm(total=self.steps, initial=self.start, unit=" steps", dynamic_ncols=True, leave=False)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, runs: int) -> None:
        if self.bar is not None:
            self.bar.update(runs)

    def show(self, step: int, row: dict[str, Any], evaluated: bool) -> None:
        if self.bar is not None:
            if evaluated and "val_accuracy" in row:
                self.bar.set_description(f"accuracy {float(row['val_accuracy']):.1%}", refresh=False)
            self.bar.set_postfix_str(f"loss {float(row['train_loss']):.4g}", refresh=False)
        elif evaluated and time.monotonic() - self.spoken > self.EVERY:
            self.spoken = time.monotonic()
            log.info("step %s of %s: %s", f"{step:,}", f"{self.steps:,}", format_metrics(row))


def format_metrics(metrics: dict[str, Any]) -> str:
    """Metrics in words: `train_loss 0.0123, val_accuracy 97.5%`; without those that there are of each layer."""
    return ", ".join(
        f"{name} {Metric.named(name).format(value)}"
        for name, value in metrics.items()
        if name not in ("step", "lr") and "/" not in name
    )


def format_outcome_briefly(summary: Summary) -> str:
    """How a run of a sweep ended, in one line."""
    if summary.status is Status.FAILED:
        return f"failed: {summary.error}"
    best = summary.best
    if summary.status is not Status.COMPLETED or best is None:
        return f"{summary.status} at step {summary.step:,} of {summary.steps:,}"
    final = format_metrics({best.metric: summary.final[best.metric]})
    value = Metric.named(best.metric).format(best.value)
    stopped = f", stopped early at step {summary.step:,}" if summary.stopped_early else ""
    return f"{final}, best {value} at step {best.step:,}{stopped}, {summary.seconds:.1f} s"


def format_outcome(summary: Summary) -> str:
    """How a run ended, in lines."""
    how = "stopped early" if summary.stopped_early else summary.status
    status = f"{how} at step {summary.step:,} of {summary.steps:,} in {summary.seconds:.1f} s"
    if how == Status.COMPLETED:
        status = f"completed {summary.steps:,} steps in {summary.seconds:.1f} s"
    parts = [status]
    if summary.status is Status.DIVERGED:
        parts[0] += ": the loss is not finite"
        if summary.first_operation is not None:
            parts[0] += f"; {summary.first_operation} gave the first such value, from {summary.first_parameter}"
    if summary.final:
        parts.append(f"final  {format_metrics(summary.final)}")
    if summary.best:
        best = summary.best
        parts.append(f"best   {format_metrics({best.metric: best.value})} at step {best.step:,}")
    return "\n".join(parts)


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a request that the loop answers after its step; a second stops at once."""
    request = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if request.is_set():
            raise KeyboardInterrupt
        request.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
