"""summary.json: the state of a run, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from minitrain.errors import RecordError
from minitrain.storage.files import read_text, write_text

LONGEST_SUMMARY = 2**24  # bytes
LARGEST_INTEGER = 2**63


class Status(StrEnum):
    """The state of a run. A run that was killed stays `running`."""

    RUNNING = "running"
    COMPLETED = "completed"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether resuming the run has nothing left to do: it completed its steps, or its loss was not finite."""
        return self in (Status.COMPLETED, Status.DIVERGED)


@dataclass(frozen=True)
class Best:
    """The best value of the monitored metric so far, and the step at which it was reached."""

    metric: str
    value: float
    step: int


@dataclass(frozen=True)
class RunProgress:
    """How far a run is, as a checkpoint records it.

    Attributes:
        step: The number of updates.
        best: The best value of the monitored metric; None before the first evaluation.
        final: The metrics of the last evaluation, by name.
        seconds: The time spent training, sessions before a resume included.
    """

    step: int
    best: Best | None
    final: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Summary:
    """The content of summary.json.

    Attributes:
        steps: The number of updates that the config asks for.
        overrides: The overrides of the command line.
        stopped_early: Whether `patience` ended the run.
        error: The exception that made the run fail.
        first_operation: The operation that first produced NaN or Inf, if the run diverged.
        first_parameter: The parameter that this operation depends on.
        steps_per_second: Of the last session.
    """

    status: Status
    step: int
    steps: int
    steps_per_epoch: int | None = None
    overrides: Sequence[str] = ()
    stopped_early: bool = False
    error: str | None = None
    first_operation: str | None = None
    first_parameter: str | None = None
    final: dict[str, float] = field(default_factory=dict)
    best: Best | None = None
    seconds: float = 0.0
    steps_per_second: float | None = None
    seed: int | None = None
    blas_threads: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None

    def with_status(self, status: Status, error: str | None = None) -> Summary:
        return replace(self, status=status, error=error)


def exit_status(summaries: Sequence[Summary], fails_on_divergence: bool) -> int:
    """0 if every run completed; a diverged run counts as a result too, unless `on_divergence=fail`."""
    accepted = (Status.COMPLETED,) if fails_on_divergence else (Status.COMPLETED, Status.DIVERGED)
    return 0 if summaries and all(summary.status in accepted for summary in summaries) else 1


def write_summary(directory: Path, summary: Summary) -> None:
    write_text(directory / "summary.json", json.dumps(asdict(summary), indent=2) + "\n")


def read_summary(directory: Path) -> Summary:
    """Read summary.json.

    Raises:
        RecordError: The file is missing, damaged, or has a value of the wrong type.
    """
    path = directory / "summary.json"
    try:
        values = json.loads(read_text(path, LONGEST_SUMMARY))
        progress = parse_progress(values)
        _check_types(values, {"status": (str,), "steps": (int,), "overrides": (list,)})
        if values["status"] not in list(Status):
            raise ValueError(f"status: expected one of {', '.join(Status)}")
        known = {f.name: values[f.name] for f in fields(Summary) if f.name in values}
        return Summary(**{**known, **vars(progress), "status": Status(values["status"])})
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not a run's summary ({error})") from error


PROGRESS_TYPES: dict[str, tuple[type, ...]] = {
    "step": (int,), "best": (dict, type(None)), "final": (dict,), "seconds": (float, int),
}  # fmt: skip


def parse_progress(values: Any) -> RunProgress:
    """The progress in a summary or a checkpoint, which may be untrusted.

    Raises:
        ValueError: A key is missing, or a value has the wrong type.
    """
    _check_types(values, PROGRESS_TYPES)
    if values["step"] < 0:
        raise ValueError("step: expected at least 0")
    best = values["best"]
    if best is not None:
        _check_types(best, {"metric": (str,), "value": (float, int), "step": (int,)})
        best = Best(best["metric"], best["value"], best["step"])
    for name, value in values["final"].items():
        _check_types({name: value}, {name: (float, int)})
    return RunProgress(values["step"], best, values["final"], values["seconds"])


def _check_types(values: Any, types: Mapping[str, tuple[type, ...]]) -> None:
    if not isinstance(values, dict):
        raise ValueError("expected keys and values")
    for key, allowed in types.items():
        value = values.get(key)
        if type(value) not in allowed or (isinstance(value, int) and abs(value) > LARGEST_INTEGER):
            names = " or ".join("null" if t is type(None) else t.__name__ for t in allowed)
            raise ValueError(f"{key}: expected {names}")
