"""Which version of minitrain made a run: a later version may have written what this one cannot read."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path

from minitrain.errors import ConfigError, NewerVersionError, abbreviate
from minitrain.storage.files import read_text
from minitrain.storage.git import head_commit
from minitrain.version import __version__

FORMAT = 1  # of a run's directory; a change that earlier versions would misread raises it
LONGEST_SUMMARY = 2**24  # bytes: far more than a run with a diagnostic for each of thousands of layers writes


@functools.cache  # the code that runs stays that of the start
def full_version() -> str:
    """The version, with the commit if the package is run from a checkout of its repository: 0.1.0+g1384644a1b2c."""
    commit = head_commit(Path(__file__).parents[2])
    return __version__ if commit is None else f"{__version__}+g{commit[:12]}"


def check_format(directory: Path) -> None:
    """Check that the files of a run are not of a later format than this version reads.

    Raises:
        NewerVersionError: They are.
    """
    check_format_of(_read_summary(directory), directory)


def check_format_of(summary: Mapping[str, object], directory: Path) -> None:
    """`check_format` for the values of a summary.json, which have been read but not validated."""
    number = summary.get("format")
    if isinstance(number, int) and number > FORMAT:
        raise NewerVersionError(_describe(directory, _version_in(summary) or f"of a later format ({number})"))


def explain_by_version(error: ConfigError, directory: Path) -> ConfigError:
    """The error of a stored config, with the version that wrote the config if it is another one.

    Args:
        error: The error.
        directory: The directory of the run.
    """
    version, current = _version_in(_read_summary(directory)), full_version()
    if version is None or version == current:
        return error
    if _release(version) > _release(current):
        return ConfigError(f"{_describe(directory, version)} ({error})")
    return ConfigError(f"{error}; the run was made by minitrain {version}, and this is {current}")


def _describe(directory: Path, version: str) -> str:
    return f"{directory}: made by minitrain {version}, and this is {full_version()}: upgrade minitrain"


def _read_summary(directory: Path) -> Mapping[str, object]:
    """The values of summary.json; none if there is none, or it is damaged, which its reader reports."""
    try:
        values = json.loads(read_text(directory / "summary.json", LONGEST_SUMMARY))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _version_in(summary: Mapping[str, object]) -> str | None:
    """The version that wrote a summary last; None if it does not say."""
    versions = summary.get("versions")
    version = versions.get("minitrain") if isinstance(versions, dict) else None
    return abbreviate(version) if isinstance(version, str) else None


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, which order versions: (0, 1, 0) for 0.1.0+g1384644a1b2c."""
    match = re.match(r"\d+(\.\d+)*", version, re.ASCII)
    return tuple(map(int, match[0].split("."))) if match else ()
