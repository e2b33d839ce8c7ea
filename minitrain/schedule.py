"""Schedules: what share of the learning rate each step takes.

A schedule is a component of the group `schedule`: a dataclass with `factor(step, steps)`, computed on the
host in float64 and multiplied with `lr`. `step` counts from 0 to `steps`, where training has ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from minitrain.config import option, register


@register("schedule", "constant")
@dataclass(frozen=True)
class Constant:
    """The same rate at every step."""

    def factor(self, step: int, steps: int) -> float:
        return 1.0


@register("schedule", "cosine")
@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the full rate down to a share of it (Loshchilov and Hutter 2017, eq. 5).

    final + (1 - final) (1 + cos(π step / steps)) / 2

    >>> [round(Cosine().factor(step, 100), 4) for step in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """

    final: float = option(0.0, "share of the rate that is left at the end", at_least=0, at_most=1)

    def factor(self, step: int, steps: int) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * step / steps)) / 2
