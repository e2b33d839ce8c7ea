"""The directory of a sweep: its runs, and the command that started it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from minitrain.errors import RecordError, plural
from minitrain.storage.files import read_text
from minitrain.storage.legacy import upgrade_overrides
from minitrain.storage.stored_config import LONGEST_CONFIG, ConfigLoader


def run_directories(directory: Path) -> list[Path]:
    """The directories of a sweep's runs, in the order of their numbers.

    Raises:
        RecordError: The file that has a run's number cannot be read.
    """
    runs = [path.parent.parent for path in directory.glob("**/.hydra/config.yaml")]
    return sorted(runs, key=run_number)


def run_number(run: Path) -> int:
    """The number of a run in its sweep.

    Raises:
        RecordError: The file that has the number cannot be read.
    """
    return _number_in(run / ".hydra" / "hydra.yaml", "num")


def expected_run_count(directory: Path) -> int:
    """How many runs the directory of a sweep has when it is complete; 0 if its multirun.yaml does not say."""
    try:
        return _number_in(directory / "multirun.yaml", "runs")
    except RecordError:
        return 0


def read_run_text(path: Path) -> str:
    """The text of a small file of a run.

    Raises:
        RecordError: The file cannot be read, or is too long.
    """
    try:
        return read_text(path, LONGEST_CONFIG)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from error


def read_sweep_title(sweep: Path) -> str:
    """The overrides of a sweep as a title, with the number of other runs in its directory; its name if it has none."""
    overrides = read_sweep_overrides(sweep)
    if not overrides:
        return sweep.name
    others = _number_in(sweep / "multirun.yaml", "other_runs")
    return " ".join(overrides) + (f", and {plural(others, 'other run')}" if others else "")


def read_sweep_overrides(sweep: Path) -> list[str]:
    """The overrides of a sweep; none if its multirun.yaml does not have them."""
    overrides = _section_of_multirun(sweep, "overrides").get("task")
    if not isinstance(overrides, list) or not all(isinstance(text, str) for text in overrides):
        return []  # YAML aliases can multiply lists in lists
    return upgrade_overrides(overrides)


def read_sweep_halving(sweep: Path) -> dict[str, object] | None:
    """How a sweep is halved, as its multirun.yaml has it; None if it is not."""
    halving = _section_of_multirun(sweep, "sweep").get("halving")
    return halving if isinstance(halving, dict) else None


def _section_of_multirun(sweep: Path, name: str) -> dict[str, object]:
    """A mapping in Hydra's section of multirun.yaml; empty if the file does not have it, or is damaged."""
    try:
        section = yaml.load(read_text(sweep / "multirun.yaml", LONGEST_CONFIG), ConfigLoader)["hydra"][name]
    except (OSError, ValueError, TypeError, KeyError, RecursionError, yaml.YAMLError):
        return {}
    return section if isinstance(section, dict) else {}


def _number_in(path: Path, key: str) -> int:
    """A number of Hydra's section, 0 if there is none; parsing all of it as YAML takes 3 ms a run."""
    match = re.search(rf"^    {key}: (\d{{1,9}})$", read_run_text(path), re.MULTILINE)
    return int(match[1]) if match else 0
