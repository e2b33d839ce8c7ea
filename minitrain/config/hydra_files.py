"""The `.hydra` folder of a run: the same bytes that Hydra writes.

The runs of a sweep that choose the same groups share a template, which is composed once.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from minitrain.config.hydra_compat import to_yaml
from minitrain.errors import ConfigError
from minitrain.storage.files import write_folder

SUBDIR_BY_NUMBER = "${hydra.job.num}"  # Hydra's default name of a run's directory in a sweep


@dataclass
class JobSpec:
    """A job of a sweep.

    Attributes:
        overrides: The overrides of the job.
        parsed: The same, parsed.
        template: The composed config with Hydra's section, for the job's choice of groups.
        task: The config of the job, without Hydra's section.
    """

    overrides: list[str]
    parsed: list[Override]
    template: DictConfig
    task: DictConfig

    @property
    def task_overrides(self) -> list[Override]:
        """The overrides that do not concern Hydra itself."""
        return [override for override in self.parsed if not override.key_or_group.startswith("hydra.")]

    @property
    def lines(self) -> list[str]:
        """The task overrides as they were typed."""
        return [override.input_line or "" for override in self.task_overrides]


class HydraSection:
    """Hydra's section in the configs of jobs that share a template.

    Args:
        template: The composed config of the jobs.
        master: The config of the sweep, which knows its directory.
    """

    def __init__(self, template: DictConfig, master: DictConfig) -> None:
        self.naming = template.hydra.job.config.override_dirname
        self.config = OmegaConf.masked_copy(template, ["hydra"])
        with read_write(self.config), open_dict(self.config):
            self.config.hydra.sweep.dir = master.hydra.sweep.dir
            self.config.hydra.overrides.hydra = master.hydra.overrides.hydra
        self.values: dict[str, Any] = OmegaConf.to_container(self.config, enum_to_str=True)  # type: ignore[assignment]
        self.sweep_directory = str(master.hydra.sweep.dir)

    def for_job(self, job: JobSpec, number: int) -> tuple[Path, str]:
        """The directory of a job, and the text of its hydra.yaml."""
        excluded = self.naming.exclude_keys
        parts = sorted(o.input_line or "" for o in job.task_overrides if o.key_or_group not in excluded)
        name = str(self.naming.item_sep).join(parts).replace("=", str(self.naming.kv_sep))
        values = copy.copy(self.values["hydra"])
        values["overrides"] = values["overrides"] | {"task": job.lines}
        values["job"] = values["job"] | {"override_dirname": name, "id": str(number), "num": number}
        directory = self._directory(job, number, values)
        if not Path(os.path.abspath(directory)).is_relative_to(os.path.abspath(self.sweep_directory)):
            raise ConfigError(f"hydra.sweep.subdir: {directory} is outside the sweep's directory; name a folder in it")
        values["runtime"] = values["runtime"] | {"output_dir": os.path.abspath(directory)}
        return directory, to_yaml({"hydra": values})

    def _directory(self, job: JobSpec, number: int, values: dict[str, Any]) -> Path:
        if values["sweep"]["subdir"] == SUBDIR_BY_NUMBER:
            return Path(self.sweep_directory, str(number))
        with read_write(self.config), open_dict(self.config):
            self.config.hydra.overrides.task = values["overrides"]["task"]
            for key in ("override_dirname", "id", "num"):
                self.config.hydra.job[key] = values["job"][key]
            return Path(self.sweep_directory, str(OmegaConf.merge(self.config, job.task).hydra.sweep.subdir))


def write_hydra_files(directory: Path, task: DictConfig, hydra: str, overrides: list[str]) -> None:
    """Create the directory of a run with its `.hydra` folder, which is complete or absent.

    Args:
        directory: The directory of the run.
        task: The config of the run.
        hydra: The text of hydra.yaml.
        overrides: The overrides of the run.

    Raises:
        FileExistsError: The directory has a `.hydra` folder.
    """
    config = to_yaml(OmegaConf.to_container(task, enum_to_str=True))
    texts = {"config.yaml": config, "hydra.yaml": hydra, "overrides.yaml": to_yaml(overrides)}
    write_folder(directory / ".hydra", texts)
