"""Learning-rate schedules: the factor on `lr` at each step.

A schedule is a component of the group `schedule`: a dataclass with `factor(step, steps)`, computed on the host in
float64, or with `for_run(lr)`, whose result also observes the monitored metric. `schedule_factor` puts a linear warm-up
before any of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from minitrain.options import option
from minitrain.registry import Registry, implements, register
from minitrain.typing import Array


class Schedule(Protocol):
    """A component of the group `schedule`."""

    def factor(self, step: int, steps: int) -> float:
        """Compute the learning-rate multiplier of a step, which counts from 0 to `steps`, the end of training."""


@runtime_checkable
class AdaptiveSchedule(Protocol):
    """A component of the group `schedule` that depends on the monitored metric."""

    def for_run(self, lr: float) -> ScheduleState:
        """Create the schedule of one run, whose learning rate is `lr` at first."""


@runtime_checkable
class ScheduleState(Schedule, Protocol):
    """An adaptive schedule in one run.

    Attributes:
        array: Everything that `factor` and `observe` depend on, changed in place: [n] in float64. It is stored in
            checkpoints.
    """

    array: Array

    def observe(self, step: int, value: float, higher_is_better: bool) -> None:
        """Called at each evaluation of `eval_every` with the monitored metric, before `factor` of that step.

        A resumed run may repeat its last evaluation.
        """


def _check_schedule(component: object) -> str:
    return implements(AdaptiveSchedule if hasattr(component, "for_run") else Schedule)(component)


SCHEDULES: Registry[type[Schedule | AdaptiveSchedule]] = Registry("schedule", _check_schedule)


def schedule_for_run(schedule: Schedule | AdaptiveSchedule, lr: float) -> Schedule:
    """The schedule of one run, which is a `ScheduleState` if it adapts to the run's metric."""
    return schedule.for_run(lr) if isinstance(schedule, AdaptiveSchedule) else schedule


def schedule_factor(schedule: Schedule, warmup: int | None, step: int, steps: int) -> float:
    """Compute the learning-rate multiplier of a step, with a linear warm-up.

    factor(max(0, step - warmup), steps - warmup) min(1, (step + 1) / warmup)

    Args:
        schedule: The schedule, whose steps are counted from the end of the warm-up.
        warmup: The number of steps of the warm-up, or None.
        step: The step, from 0.
        steps: The number of steps of the training.

    >>> [schedule_factor(Linear(), 4, step, 8) for step in range(9)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if warmup is None:
        return schedule.factor(step, steps)
    return schedule.factor(max(0, step - warmup), steps - warmup) * min(1.0, (step + 1) / warmup)


@register("schedule", "constant")
@dataclass(frozen=True)
class Constant:
    """A constant learning rate."""

    def factor(self, step: int, steps: int) -> float:
        """Compute the multiplier of a step."""
        return 1.0


@register("schedule", "linear")
@dataclass(frozen=True)
class Linear:
    """Linear decay: 1 - (1 - final) step / steps.

    >>> [Linear(final=0.5).factor(step, 100) for step in (0, 50, 100)]
    [1.0, 0.75, 0.5]
    """

    final: float = option(0.0, "multiplier at the end", at_least=0, at_most=1)

    def factor(self, step: int, steps: int) -> float:
        """Compute the multiplier of a step."""
        return 1 - (1 - self.final) * step / steps


@register("schedule", "step")
@dataclass(frozen=True)
class StepDecay:
    """Multiply the learning rate by gamma at regular intervals: gamma^⌊step / every⌋.

    >>> [StepDecay(every=10, gamma=0.5).factor(step, 100) for step in (9, 10, 20)]
    [1.0, 0.5, 0.25]
    """

    every: int = option(300, "steps between two reductions", at_least=1)
    gamma: float = option(0.1, "factor of each reduction", above=0, at_most=1)

    def factor(self, step: int, steps: int) -> float:
        """Compute the multiplier of a step."""
        return self.gamma ** (step // self.every)


@register("schedule", "exponential")
@dataclass(frozen=True)
class Exponential:
    """Exponential decay: gamma^step.

    >>> [Exponential(gamma=0.5).factor(step, 100) for step in (0, 1, 2)]
    [1.0, 0.5, 0.25]
    """

    gamma: float = option(0.998, "factor of each step", above=0, at_most=1)

    def factor(self, step: int, steps: int) -> float:
        """Compute the multiplier of a step."""
        return self.gamma**step


@register("schedule", "cosine")
@dataclass(frozen=True)
class Cosine:
    """Cosine annealing without restarts (Loshchilov and Hutter 2017, eq. 5).

    final + (1 - final) (1 + cos(π step / steps)) / 2

    >>> [round(Cosine().factor(step, 100), 4) for step in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """

    final: float = option(0.0, "multiplier at the end", at_least=0, at_most=1)

    def factor(self, step: int, steps: int) -> float:
        """Compute the multiplier of a step."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * step / steps)) / 2


@register("schedule", "one_cycle")
@dataclass(frozen=True)
class OneCycle:
    """The one-cycle policy (Smith and Topin 2018): a linear rise, then half a cosine down.

    with x = step / steps
    x < rise:  start + (1 - start) x / rise
    else:      final + (1 - final) (1 + cos(π (x - rise) / (1 - rise))) / 2

    >>> [round(OneCycle(start=0.5, rise=0.2, final=0.0).factor(step, 100), 4) for step in (0, 10, 20, 60, 100)]
    [0.5, 0.75, 1.0, 0.5, 0.0]
    """

    start: float = option(0.04, "multiplier at the first step", at_least=0, at_most=1)
    rise: float = option(0.3, "fraction of the steps in which the rate rises", at_least=0, below=1)
    final: float = option(4e-6, "multiplier at the end", at_least=0, at_most=1)

    def factor(self, step: int, steps: int) -> float:
        """Compute the multiplier of a step."""
        x = step / steps
        if x < self.rise:
            return self.start + (1 - self.start) * x / self.rise
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * (x - self.rise) / (1 - self.rise))) / 2


SMALLEST_REDUCTION = 1e-8  # of the learning rate, as PyTorch's `eps`; smaller ones are ignored


@register("schedule", "plateau")
@dataclass(frozen=True)
class Plateau:
    """Reduce the learning rate when the monitored metric stops improving, as PyTorch's ReduceLROnPlateau.

    An evaluation is an improvement if its value is better than the best one by more than the fraction `threshold` of
    the best one. After more than `patience` evaluations in a row without improvement, the rate is multiplied by
    `factor`. As in PyTorch, that fraction is negative if the best value is, so that an equal value is an improvement;
    `threshold=0` suits metrics below 0, such as `val_r2` or a log-likelihood.

    >>> run = Plateau(factor=0.5, patience=1).for_run(lr=1.0)
    >>> for step, loss in enumerate([1.0, 0.5, 0.5, 0.5]):
    ...     run.observe(step, loss, higher_is_better=False)
    >>> run.factor(3, 100)
    0.5
    """

    factor: float = option(0.1, "factor of each reduction", above=0, below=1)
    patience: int = option(3, "evaluations without improvement before a reduction", at_least=0)
    threshold: float = option(1e-4, "smallest improvement, as a fraction of the best value", at_least=0)
    min_lr: float = option(0.0, "smallest learning rate", at_least=0)

    def for_run(self, lr: float) -> ScheduleState:
        """Create the schedule of one run."""
        return _PlateauState(self, lr)


class _PlateauState:
    """`Plateau` in one run. Implements `ScheduleState`.

    Args:
        options: The options of the schedule.
        lr: The learning rate of the run at first.
    """

    def __init__(self, options: Plateau, lr: float) -> None:
        self.options, self.lr = options, lr
        # The present multiplier, the best value, the evaluations since then or since a reduction, the last evaluation.
        self.array: Array = np.array([1.0, np.nan, 0.0, -1.0])

    def factor(self, step: int, steps: int) -> float:
        """The multiplier since the last evaluation."""
        return float(self.array[0])

    def observe(self, step: int, value: float, higher_is_better: bool) -> None:
        """Count an evaluation, unless it is a repeated one, and reduce the multiplier if that is due."""
        multiplier, best, waited, last = self.array.tolist()
        if step <= last:
            return
        waited += 1
        if self._is_improvement(value, best, higher_is_better):
            best, waited = value, 0
        if waited > self.options.patience:
            multiplier, waited = self._reduced(multiplier), 0
        self.array[...] = multiplier, best, waited, step

    def _is_improvement(self, value: float, best: float, higher_is_better: bool) -> bool:
        if math.isnan(best):
            return math.isfinite(value)
        threshold = self.options.threshold
        return value > best * (1 + threshold) if higher_is_better else value < best * (1 - threshold)

    def _reduced(self, multiplier: float) -> float:
        rate = self.lr * multiplier
        if rate - max(rate * self.options.factor, self.options.min_lr) <= SMALLEST_REDUCTION:
            return multiplier
        return max(multiplier * self.options.factor, self.options.min_lr / self.lr)
