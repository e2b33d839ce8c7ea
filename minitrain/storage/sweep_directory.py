"""A sweep's directory: its runs and the command that started it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from minitrain.errors import RecordError
from minitrain.storage.files import read_text
from minitrain.storage.stored_config import LONGEST_CONFIG


def run_directories(directory: Path) -> list[Path]:
    """The runs' directories of a sweep, in its order."""

    def number(run: Path) -> int:
        found = re.search(r"^    num: (\d{1,9})$", read_run_text(run / ".hydra" / "hydra.yaml"), re.MULTILINE)
        return int(found[1]) if found else 0

    return sorted((path.parent.parent for path in directory.glob("**/.hydra/config.yaml")), key=number)


def read_run_text(path: Path) -> str:
    try:
        return read_text(path, LONGEST_CONFIG)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from error


def expected_run_count(directory: Path) -> int:
    """How many runs a sweep has to have; 0 where its multirun.yaml does not tell."""
    try:
        found = re.search(r"^    runs: (\d{1,9})$", read_run_text(directory / "multirun.yaml"), re.MULTILINE)
    except RecordError:
        return 0
    return int(found[1]) if found else 0


def read_sweep_title(sweep: Path) -> str:
    """What a sweep was asked for; its name where its multirun.yaml does not tell."""
    return " ".join(read_sweep_overrides(sweep)) or sweep.name


def read_sweep_overrides(sweep: Path) -> list[str]:
    """The overrides that a sweep was given; none where its multirun.yaml does not tell."""
    try:
        asked = yaml.safe_load(read_text(sweep / "multirun.yaml", LONGEST_CONFIG))["hydra"]["overrides"]["task"]
        are_texts = isinstance(asked, list) and all(isinstance(text, str) for text in asked)
        return asked if are_texts else []  # aliases can multiply lists in lists
    except (OSError, ValueError, TypeError, KeyError, RecursionError, yaml.YAMLError):
        return []
