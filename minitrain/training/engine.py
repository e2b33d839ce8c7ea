"""The interface of engines, which compute training steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from minitrain.typing import Array


class Engine(Protocol):
    """Computes the training steps of one run, or of several runs of one structure together.

    Every engine computes the same numbers, bit for bit. `loss(k)` must be called before `update(k)` and `inspect(k)`.
    Results have the shape [] for one run and [runs] for several.
    """

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers that are allocated ahead of the steps, for all runs."""

    @property
    def runs_at_once(self) -> int:
        """How many runs of this structure are computed together at best."""

    def loss(self, k: int) -> Array:
        """The losses of step k. Parameters and state do not change; the array is valid until the next call."""

    def update(self, k: int) -> None:
        """Take step k, whose loss was computed last."""

    def evaluate(self) -> dict[str, Array]:
        """Metrics on the validation examples, by name; empty if there are none."""

    def inspect(self, k: int) -> dict[str, Array]:
        """The diagnostics of step k, whose loss was computed last, by column; nothing changes."""

    def select(self, runs: Sequence[int]) -> Engine:
        """An engine for some of the runs, in their present state."""
