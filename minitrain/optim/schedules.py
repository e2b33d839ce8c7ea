"""Learning-rate schedules: the factor on `lr` at each step.

A schedule is a component of the group `schedule`: a dataclass with `factor(step, steps)`, computed on the host in
float64. `schedule_factor` puts a linear warm-up before any of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from minitrain.options import option
from minitrain.registry import Registry, implements, register


class Schedule(Protocol):
    """A component of the group `schedule`."""

    def factor(self, step: int, steps: int) -> float:
        """Compute the learning-rate multiplier of a step, which counts from 0 to `steps`, the end of training."""


SCHEDULES: Registry[type[Schedule]] = Registry("schedule", implements(Schedule))


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
