"""summary.json: how a run ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minitrain.errors import RecordError
from minitrain.storage.files import read_text, write_text


def exit_status(summaries: Sequence[dict[str, Any]], fails_on_divergence: bool) -> int:
    """0 where every run completed; a diverged one is a result, too, unless on_divergence=fail."""
    fine = ("completed",) if fails_on_divergence else ("completed", "diverged")
    return 0 if summaries and all(s["status"] in fine for s in summaries) else 1


LONGEST_SUMMARY = 2**24


LARGEST = 2**63  # of a whole number that is told


# What the best network is told by, and what summary.json and a checkpoint tell, each with its types
BEST: dict[str, tuple[type, ...]] = {"metric": (str,), "value": (float, int), "step": (int,)}


PROGRESS: dict[str, tuple[type, ...]] = {
    "step": (int,), "best": (dict, type(None)), "final": (dict,), "seconds": (float, int),
}  # fmt: skip


SUMMARY: dict[str, tuple[type, ...]] = {"status": (str,), "steps": (int,), "overrides": (list,), **PROGRESS}


def check_fields(told: Any, kinds: Mapping[str, tuple[type, ...]]) -> None:
    """Raise ValueError for a key that is missing, and for a value of another type."""
    if not isinstance(told, dict):
        raise ValueError("no keys and values")
    for key, types in kinds.items():
        value = told.get(key)
        if type(value) not in types or (isinstance(value, int) and abs(value) > LARGEST):
            raise ValueError(f"{key}: expected {' or '.join('null' if t is type(None) else t.__name__ for t in types)}")
    if told.get("step", 0) < 0:
        raise ValueError("step: expected at least 0")
    if told.get("best") is not None:
        check_fields(told["best"], BEST)
    for name, value in told.get("final", {}).items():
        check_fields({name: value}, {name: (float, int)})


def write_summary(directory: Path, summary: Mapping[str, Any]) -> None:
    write_text(directory / "summary.json", json.dumps(summary, indent=2) + "\n")


def read_summary(directory: Path) -> dict[str, Any]:
    """What summary.json says. Raises RecordError where it is missing or damaged."""
    path = directory / "summary.json"
    try:
        summary: dict[str, Any] = json.loads(read_text(path, LONGEST_SUMMARY))
        check_fields(summary, SUMMARY)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not a run's summary ({error})") from error
    return summary
