"""summary.json: the status of a run, how far it is, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypedDict

from minitrain.errors import RecordError
from minitrain.storage.files import read_text, write_text
from minitrain.storage.maker import FORMAT, LONGEST_SUMMARY, check_format_of

OUTCOME_KEYS = ("error", "first_operation", "first_parameter", "classes", "classes_of")  # written only if they apply
LARGEST_INTEGER = 2**63  # larger integers, which JSON allows, overflow int64


class Status(StrEnum):
    """The status of a run. A run that was killed stays `running`."""

    RUNNING = "running"
    COMPLETED = "completed"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    PRUNED = "pruned"  # left a sweep early, because others were better


@dataclass(frozen=True)
class Best:
    """The best value of the monitored metric so far.

    Attributes:
        metric: The name of the monitored metric.
        value: Its best value.
        step: The step at which it was reached first.
    """

    metric: str
    value: float
    step: int


# "class": the name of the class, or of one of several labels; "examples": how many validation examples it has
ClassScores = TypedDict(
    "ClassScores", {"class": str, "precision": float, "recall": float, "f1": float, "examples": int}
)


@dataclass(frozen=True)
class RunProgress:
    """How far a run is; part of its checkpoints and of its summary.

    Attributes:
        step: The number of updates.
        best: The best value of the monitored metric; None before the first evaluation.
        final: The metrics of the last evaluation, by name.
        seconds: The time spent training, sessions before a resume included; of a group of runs, a run has its share.
        wall_seconds: The time that passed meanwhile, which the runs of a group have in common.
    """

    step: int
    best: Best | None
    final: dict[str, float]
    seconds: float
    wall_seconds: float


@dataclass(frozen=True)
class Summary:
    """The content of summary.json.

    Attributes:
        status: The status of the run.
        step: The number of updates.
        steps: The number of updates that the config requests.
        steps_per_epoch: The number of steps in which every training example is used once.
        overrides: The overrides of the command line.
        stopped_early: Whether `patience` ended the run.
        error: The exception that made the run fail.
        first_operation: The operation that first produced NaN or Inf, if the run diverged.
        first_parameter: The parameter that this operation depends on.
        final: The metrics of the last evaluation, by name.
        best: The best value of the monitored metric; None before the first evaluation.
        classes: Precision, recall and F1 score of each class, or of each of several labels, on the validation examples,
            when a run with classes or labels has completed.
        classes_of: The network that `classes` describes: `best`, or `last` if there is no best one.
        seconds: The time spent training, sessions before a resume included; of a group of runs, a run has its share.
        wall_seconds: The time that passed meanwhile, which the runs of a group have in common.
        steps_per_second: Of the last session, by its `seconds`.
        seed: The config's seed.
        blas_threads: The number of threads of a matrix product.
        versions: The versions of minitrain, Python and NumPy. That of minitrain has the commit of its repository if it
            is run from a checkout.
        git_commit: The commit of the user's project: of the repository that the current directory is in.
        format: The format of the run's directory.
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
    classes: list[ClassScores] | None = None
    classes_of: str | None = None
    seconds: float = 0.0
    wall_seconds: float = 0.0
    steps_per_second: float | None = None
    seed: int | None = None
    blas_threads: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None
    format: int = FORMAT

    def is_complete(self, steps: int) -> bool:
        """Whether there is nothing to resume: the run diverged, stopped early, or has taken this many steps."""
        if self.status is Status.COMPLETED:
            return self.stopped_early or self.step >= steps
        return self.status is Status.DIVERGED

    def with_status(self, status: Status, error: str | None = None) -> Summary:
        """A copy with another status."""
        return replace(self, status=status, error=error)


def exit_status(summaries: Sequence[Summary], fails_on_divergence: bool) -> int:
    """The exit status of a command that trained runs.

    Returns:
        0 if there are runs and all of them completed or were pruned, else 1. Diverged runs count as completed unless
        `fails_on_divergence` (`on_divergence=fail`).
    """
    accepted = {Status.COMPLETED, Status.PRUNED} | (set() if fails_on_divergence else {Status.DIVERGED})
    return 0 if summaries and all(summary.status in accepted for summary in summaries) else 1


def write_summary(directory: Path, summary: Summary) -> None:
    """Write summary.json of a run's directory."""
    values = {key: v for key, v in asdict(summary).items() if v is not None or key not in OUTCOME_KEYS}
    write_text(directory / "summary.json", json.dumps(values, indent=2) + "\n")


def read_summary(directory: Path) -> Summary:
    """Read summary.json of a run's directory, which may be untrusted.

    Raises:
        NewerVersionError: A later version of minitrain wrote it.
        RecordError: The file is missing, damaged, or has a value of the wrong type.
    """
    path = directory / "summary.json"
    try:
        values = json.loads(read_text(path, LONGEST_SUMMARY))
        if isinstance(values, dict):
            check_format_of(values, directory)
            values = {"format": 1, **values}  # version 0.1.0 had no number for it
        progress = parse_progress(values)
        _validate(values, {"status": (str,), "steps": (int,), "overrides": (list,), "format": (int,)})
        if values["status"] not in list(Status):
            raise ValueError(f"status: expected one of {', '.join(Status)}")
        known = {f.name: values[f.name] for f in fields(Summary) if f.name in values}
        return Summary(**{**known, **vars(progress), "status": Status(values["status"])})
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not a valid run summary ({error})") from error


PROGRESS_TYPES: dict[str, tuple[type, ...]] = {
    "step": (int,), "best": (dict, type(None)), "final": (dict,), "seconds": (float, int),
    "wall_seconds": (float, int),
}  # fmt: skip
BEST_TYPES: dict[str, tuple[type, ...]] = {"metric": (str,), "value": (float, int), "step": (int,)}


def parse_progress(values: object) -> RunProgress:
    """Validate the progress in a summary or a checkpoint, which may be untrusted.

    Raises:
        ValueError: A key is missing, or a value has the wrong type.
    """
    if isinstance(values, dict) and "seconds" in values:
        values = {"wall_seconds": values["seconds"], **values}  # version 0.1.0 had no other time
    progress = _validate(values, PROGRESS_TYPES)
    if progress["step"] < 0:
        raise ValueError("step: expected at least 0")
    best = None if progress["best"] is None else _validate(progress["best"], BEST_TYPES)
    final = _validate(progress["final"], dict.fromkeys(progress["final"], (float, int)))
    return RunProgress(
        progress["step"],
        None if best is None else Best(best["metric"], best["value"], best["step"]),
        final,
        progress["seconds"],
        progress["wall_seconds"],
    )


def _validate(values: object, types: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Check that JSON values are a dict in which the keys of `types` have one of their types; returns it."""
    if not isinstance(values, dict):
        raise ValueError("expected keys and values")
    for key, allowed in types.items():
        value = values.get(key)
        # `type`, not `isinstance`: true and false are no numbers
        if type(value) not in allowed or (isinstance(value, int) and abs(value) > LARGEST_INTEGER):
            names = " or ".join("null" if t is type(None) else t.__name__ for t in allowed)
            raise ValueError(f"{key}: expected {names}")
    return values
