"""The Hydra files of a sweep's runs, written without composing each run anew.

A run's config is its template's, composed once for each choice of groups, with the run's own values put in. The
files are the bytes that Hydra would have written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

FILES = ("config.yaml", "hydra.yaml", "overrides.yaml")


@dataclass
class Draft:
    """A job of a sweep: what is asked for, and the config that comes of it.

    template: a config with its hydra section, composed for the job's choice of groups
    task: the config of this job, without that section
    """

    overrides: list[str]
    parsed: list[Override]
    template: DictConfig
    task: DictConfig


class Section:
    """Hydra's own section of runs of one template: as text, in which some lines are each run's."""

    def __init__(self, template: DictConfig, master: DictConfig) -> None:
        """master: the sweep's own config, which knows its directory"""
        self.job = template.hydra.job.config.override_dirname
        self.config = OmegaConf.masked_copy(template, ["hydra"])
        with read_write(self.config), open_dict(self.config):
            self.config.hydra.sweep.dir = master.hydra.sweep.dir
            self.config.hydra.overrides.hydra = master.hydra.overrides.hydra
        subdir = str(OmegaConf.to_container(self.config.hydra.sweep)["subdir"])  # type: ignore[call-overload, index]
        self.names_keys = "${" in subdir.replace("${hydra", "")
        self.lines: list[str] = []
        self.own: dict[tuple[str, ...], tuple[int, int]] = {}

    def of(self, draft: Draft, number: int) -> tuple[Path, str]:
        """The directory of a job, and its hydra.yaml."""
        task = [o.input_line or "" for o in draft.parsed if not o.key_or_group.startswith("hydra.")]
        own = [o for o in draft.parsed if not o.key_or_group.startswith("hydra.")]
        name = get_overrides_dirname(own, self.job.exclude_keys, self.job.item_sep, self.job.kv_sep)
        with read_write(self.config), open_dict(self.config):
            hydra = self.config.hydra
            hydra.overrides.task = task
            hydra.job.override_dirname, hydra.job.id, hydra.job.num = name, str(number), number
            whole = OmegaConf.merge(self.config, draft.task) if self.names_keys else self.config
            directory = Path(str(hydra.sweep.dir), str(whole.hydra.sweep.subdir))
            hydra.runtime.output_dir = os.path.abspath(directory)
        return directory, self._text(task)

    def _text(self, task: list[str]) -> str:
        """The section as YAML: the lines that never change are kept from the first time."""
        hydra = self.config.hydra
        values = {
            ("overrides", "task"): task,
            ("job", "override_dirname"): hydra.job.override_dirname,
            ("job", "id"): hydra.job.id,
            ("job", "num"): hydra.job.num,
            ("runtime", "output_dir"): hydra.runtime.output_dir,
        }
        if not self.lines:
            self.lines = OmegaConf.to_yaml(self.config).splitlines(keepends=True)
            self.own = {path: _entry(self.lines, path) for path in values}
        lines = list(self.lines)
        for (group, key), (start, end) in sorted(self.own.items(), key=lambda item: -item[1][0]):
            nested = OmegaConf.create({"hydra": {group: {key: values[group, key]}}})
            lines[start:end] = OmegaConf.to_yaml(nested).splitlines(keepends=True)[2:]
        return "".join(lines)


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


def write_files(directory: Path, draft: Draft, hydra: str) -> None:
    """Make a run's directory with its .hydra folder, whole at once, unless it has one."""
    if (directory / ".hydra").exists():
        return
    folder = directory / f".hydra.{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    task = [o.input_line for o in draft.parsed if not o.key_or_group.startswith("hydra.")]
    texts = (OmegaConf.to_yaml(draft.task), hydra, OmegaConf.to_yaml(OmegaConf.create(task)))
    for name, text in zip(FILES, texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    folder.rename(directory / ".hydra")
