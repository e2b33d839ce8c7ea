"""The time that one run takes of a group of runs, which are computed together."""

from __future__ import annotations

import time


class SharedClock:
    """Measures the time that passes, and the share of it that belongs to one run of a group.

    Args:
        earlier: The share of earlier sessions, in seconds.
        earlier_wall: The time of earlier sessions, in seconds.
    """

    def __init__(self, earlier: float = 0.0, earlier_wall: float = 0.0) -> None:
        self.earlier = earlier
        self._earlier_wall = earlier_wall
        self._started = self._shared_since = time.perf_counter()
        self._share = 0.0  # of this session, until `_shared_since`
        self._runs: int | None = None  # unknown until the group begins

    def share(self, runs: int) -> None:
        """From now on, a group of this many runs shares the time; the first call applies to the time before, too."""
        now = time.perf_counter()
        self._share += (now - self._shared_since) / (self._runs or runs)
        self._shared_since, self._runs = now, runs

    def seconds(self) -> float:
        """The share of the time, earlier sessions included."""
        return self.earlier + self._share + (time.perf_counter() - self._shared_since) / (self._runs or 1)

    def wall_seconds(self) -> float:
        """The time that passed, earlier sessions included."""
        return self._earlier_wall + time.perf_counter() - self._started
