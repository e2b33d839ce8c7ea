"""The directory of a job: given with hydra.run.dir, or a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from minitrain.config.composition import requested_overrides
from minitrain.errors import ConfigError
from minitrain.storage.directories import claim_directory


def claim_job_directory(config: DictConfig, mode: str, parent: Path, label: str) -> Path:
    """A directory of its own: the one a person gave with hydra.MODE.dir, if it is free, else a new one."""
    key = f"hydra.{mode}.dir"
    if not has_directory_override(config, mode):
        return claim_directory(parent, label)
    given = Path(OmegaConf.select(config, key))
    try:
        if (given / ".hydra").exists():
            raise FileExistsError
        given.mkdir(parents=True, exist_ok=mode == "run" or (given.is_dir() and not any(given.iterdir())))
    except OSError as error:
        if not isinstance(error, FileExistsError):
            raise ConfigError(f"{key}={given}: cannot be made ({error.strerror}); choose another directory") from error
        raise ConfigError(f"{key}={given}: is taken already; resume the run in it, or choose a new directory") from None
    return given


def has_directory_override(config: DictConfig, mode: str) -> bool:
    return any(override.startswith(f"hydra.{mode}.dir=") for override in requested_overrides(config, "hydra"))


def current_job() -> tuple[Path, list[str]]:
    """The directory of the run that Hydra is at, and what was asked for."""
    whole: Any = HydraConfig.instance().cfg
    return Path(whole.hydra.runtime.output_dir), requested_overrides(whole)
