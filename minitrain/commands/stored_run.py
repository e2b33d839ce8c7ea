"""A run that is resumed: its stored config with the changes that the user requests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from minitrain.config.loading import (
    from_start_folder,
    load_stored_config,
    parse_number,
    to_run_config,
    validate_stored_config,
)
from minitrain.config.schema import RunConfig
from minitrain.errors import ConfigError
from minitrain.options import paths_of
from minitrain.paths import find_file
from minitrain.storage.files import write_text
from minitrain.storage.stored_config import read_overrides
from minitrain.storage.summary import Status, Summary, write_summary
from minitrain.training.experiment import without_initial_weights

CHANGEABLE = ("steps", "patience", "min_delta")  # keys of a run that can change when it is resumed


@dataclass(frozen=True)
class StoredRun:
    """A run as its directory has it, with the changes that the user requests.

    Attributes:
        directory: The directory of the run.
        path: The file of its config.
        content: The content of this file, changed.
        config: The changed config, whose relative paths begin in the folder of the start.
        planned: The config as it is stored.
        summary: The summary; None if there is none.
        overrides: The overrides that the run was started with.
    """

    directory: Path
    path: Path
    content: DictConfig
    config: RunConfig
    planned: RunConfig
    summary: Summary | None
    overrides: list[str]


def read_stored_run(directory: Path, changes: Sequence[str], summary: Summary | None) -> StoredRun:
    """Read a run, whose summary has been read, and apply changes to its config.

    Raises:
        ConfigError: A change or the stored config is invalid.
        RecordError: A file of the run is damaged.
    """
    path, content = load_stored_config(directory)
    planned = validate_stored_config(content, directory)
    _apply(changes, content, planned)
    config = from_start_folder(to_run_config(content) if changes else planned, directory)
    if (directory / "checkpoints" / "last.npz").exists():
        config = without_initial_weights(config)
    if summary is not None and summary.step > config.steps:
        raise ConfigError(f"steps={config.steps}: the run is at step {summary.step} already; expected more")
    return StoredRun(directory, path, content, config, planned, summary, read_overrides(directory))


def _apply(changes: Sequence[str], content: DictConfig, planned: RunConfig) -> None:
    """Change a stored config: its numbers of `CHANGEABLE`, and where its data are."""
    paths = {f"data.{name}" for name in paths_of(planned.data)}
    for text in changes:
        key, _, value = text.partition("=")
        if key in CHANGEABLE:
            OmegaConf.update(content, key, parse_number(text))
        elif key in paths:
            OmegaConf.update(content, key, os.path.abspath(find_file(value)))
        else:
            raise ConfigError(
                f"{text}: a resumed run keeps its config; only {', '.join([*CHANGEABLE, *sorted(paths)])} can change: "
                "start a new run to change other keys"
            )


def extends_patience(changes: Sequence[str]) -> bool:
    """Whether runs that stopped early are to continue."""
    return any(text.partition("=")[0] in ("patience", "min_delta") for text in changes)


def store_changes(run: StoredRun, changes: Sequence[str]) -> None:
    """Write the changed config of a run; one that stopped early is incomplete from now on if it is to continue."""
    if extends_patience(changes) and run.summary is not None and run.summary.stopped_early:
        interrupted = replace(run.summary, stopped_early=False).with_status(Status.INTERRUPTED)
        write_summary(run.directory, interrupted)
    write_text(run.path, OmegaConf.to_yaml(run.content))
