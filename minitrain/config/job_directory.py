"""The directory of a run or a sweep: the one that the user chose, or a new one."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from minitrain.config.composition import requested_overrides
from minitrain.errors import ConfigError
from minitrain.storage.directories import claim_directory
from minitrain.storage.lock import LOCK_FILE


def claim_job_directory(config: DictConfig, mode: str, parent: Path, label: str) -> Path:
    """Create the directory of a run or a sweep, which no other has.

    Args:
        config: A composed config, in which the user may have chosen a directory by `hydra.MODE.dir`.
        mode: `run` or `sweep`.
        parent: Where a new directory is created if the user chose none.
        label: A part of the name of a new directory.

    Raises:
        ConfigError: The chosen directory has other files, or cannot be created.
    """
    if not has_directory_override(config, mode):
        return claim_directory(parent, label)
    key = f"hydra.{mode}.dir"
    directory = Path(OmegaConf.select(config, key))
    try:
        if (directory / ".hydra").exists():
            raise FileExistsError
        directory.mkdir(parents=True, exist_ok=_is_empty(directory))
    except FileExistsError:
        raise ConfigError(
            f"{key}={directory}: already exists, and is not an empty directory; resume the run or sweep in it, or "
            "choose a new directory"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{key}={directory}: cannot be created ({error.strerror}); choose another directory"
        ) from error
    return directory


def _is_empty(directory: Path) -> bool:
    """Whether a directory has no files, but perhaps the lock of a process that was killed before it wrote any."""
    return directory.is_dir() and all(path.name == LOCK_FILE for path in directory.iterdir())


def has_directory_override(config: DictConfig, mode: str) -> bool:
    """Whether the user chose the directory of a run (`mode` is `run`) or a sweep."""
    return any(override.startswith(f"hydra.{mode}.dir=") for override in requested_overrides(config, "hydra"))


def current_job() -> tuple[Path, list[str]]:
    """The directory and the overrides of the run for which Hydra has called the task function."""
    config = cast(DictConfig, HydraConfig.instance().cfg)  # Hydra annotates the type of its section
    return Path(config.hydra.runtime.output_dir), requested_overrides(config)
