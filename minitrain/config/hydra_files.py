"""The Hydra files of a sweep's runs, written without composing each run anew.

A run's config is its template's, composed once for each choice of groups, with the run's own values put in. The
files are the bytes that Hydra would have written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf._utils import get_omega_conf_dumper

from minitrain.storage.files import write_folder

SUBDIR_BY_NUMBER = "${hydra.job.num}"  # how Hydra names a sweep's folders if nobody says otherwise


@dataclass
class JobSpec:
    """A job of a sweep: what is asked for, and the config that comes of it.

    template: a config with its hydra section, composed for the job's choice of groups
    task: the config of this job, without that section
    """

    overrides: list[str]
    parsed: list[Override]
    template: DictConfig
    task: DictConfig

    @property
    def own(self) -> list[Override]:
        """The overrides that are not about Hydra itself."""
        return [override for override in self.parsed if not override.key_or_group.startswith("hydra.")]

    @property
    def lines(self) -> list[str]:
        return [override.input_line or "" for override in self.own]


class HydraSection:
    """Hydra's own section of runs of one template: as text, in which some lines are each run's."""

    def __init__(self, template: DictConfig, master: DictConfig) -> None:
        """master: the sweep's own config, which knows its directory"""
        self.job = template.hydra.job.config.override_dirname  # how Hydra names a run by its overrides
        self.config = OmegaConf.masked_copy(template, ["hydra"])
        with read_write(self.config), open_dict(self.config):
            self.config.hydra.sweep.dir = master.hydra.sweep.dir
            self.config.hydra.overrides.hydra = master.hydra.overrides.hydra
        sweep: Any = OmegaConf.to_container(self.config.hydra.sweep)
        self.sweep, self.subdir = str(master.hydra.sweep.dir), sweep["subdir"]
        self.lines: list[str] = []
        self.own: dict[tuple[str, ...], tuple[int, int]] = {}

    def of(self, draft: JobSpec, number: int) -> tuple[Path, str]:
        """The directory of a job, and its hydra.yaml."""
        named = sorted(o.input_line or "" for o in draft.own if o.key_or_group not in self.job.exclude_keys)
        name = str(self.job.item_sep).join(named).replace("=", str(self.job.kv_sep))
        directory = Path(self.sweep, str(number))
        if self.subdir != SUBDIR_BY_NUMBER:
            with read_write(self.config), open_dict(self.config):
                job = self.config.hydra.job
                self.config.hydra.overrides.task = draft.lines
                job.override_dirname, job.id, job.num = name, str(number), number
                directory = Path(self.sweep, str(OmegaConf.merge(self.config, draft.task).hydra.sweep.subdir))
        values: dict[str, dict[str, Any]] = {
            "overrides": {"task": draft.lines},
            "job": {"override_dirname": name, "id": str(number), "num": number},
            "runtime": {"output_dir": os.path.abspath(directory)},
        }
        return directory, self._text(values)

    def _text(self, values: dict[str, dict[str, Any]]) -> str:
        """The section as YAML, with a run's own values: the lines that never change are kept from the first time."""
        own = [(group, key) for group, keys in values.items() for key in keys]
        if not self.lines:
            self.lines = OmegaConf.to_yaml(self.config).splitlines(keepends=True)
            self.own = {path: _entry(self.lines, path) for path in own}
        lines = list(self.lines)
        for (group, key), (start, end) in sorted(self.own.items(), key=lambda item: -item[1][0]):
            nested = {"hydra": {group: {key: values[group][key]}}}
            lines[start:end] = _yaml(nested).splitlines(keepends=True)[2:]
        return "".join(lines)


def _yaml(value: Any) -> str:
    """Plain values as OmegaConf writes them."""
    dumped: str = yaml.dump(
        value, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=get_omega_conf_dumper()
    )
    return dumped


def _entry(lines: Sequence[str], path: tuple[str, ...]) -> tuple[int, int]:
    """Where the lines of hydra.GROUP.KEY begin and end."""
    group, key = path
    start = lines.index(f"  {group}:\n") + 1
    while not lines[start].startswith(f"    {key}:"):
        start += 1
    end = start + 1
    while end < len(lines) and lines[end].startswith(("     ", "    -")):
        end += 1
    return start, end


def write_hydra_files(directory: Path, task: DictConfig, hydra: str, overrides: list[str]) -> None:
    """Make a run's directory with its .hydra folder, whole at once. Raises FileExistsError where it has one.

    task: the config; hydra: Hydra's own section, as text; overrides: what was asked for
    """
    texts = {"config.yaml": OmegaConf.to_yaml(task), "hydra.yaml": hydra, "overrides.yaml": _yaml(overrides)}
    write_folder(directory / ".hydra", texts)
