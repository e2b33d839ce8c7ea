"""A RunConfig from a composed config, or from the directory of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minitrain.config.schema import RunConfig, parse_run_config
from minitrain.errors import ConfigError, RecordError, first_line
from minitrain.storage.stored_config import read_values


def to_run_config(config: DictConfig) -> RunConfig:
    """The config as typed values. Raises ConfigError for the first that is wrong."""
    try:
        values = OmegaConf.to_container(config, resolve=True)
    except RecursionError as error:
        raise ConfigError("the config is nested too deeply") from error
    except OmegaConfBaseException as error:
        if "optimizer.default_lr" in str(error):
            raise ConfigError("lr: not given, and the optimizer has no default_lr; give one of them") from error
        key = f"{error.full_key}: " if error.full_key else ""
        raise ConfigError(f"{key}{first_line(error)}") from error
    assert isinstance(values, dict)
    return parse_run_config({str(key): value for key, value in values.items()})


def parse_steps(text: str) -> Any:
    try:
        return OmegaConf.from_dotlist([text])["steps"]
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{text}: expected a whole number: steps=5000") from error


def read_run_config(directory: Path) -> RunConfig:
    """The config of a run that was begun. Raises ConfigError or RecordError where there is none to be used."""
    return validate_stored_config(load_stored_config(directory)[1])


def load_stored_config(directory: Path) -> tuple[Path, DictConfig]:
    stored = directory / ".hydra" / "config.yaml"
    if not stored.is_file():
        sweep = "; of a sweep, give one of its runs" if (directory / "multirun.yaml").exists() else ""
        raise ConfigError(f"{directory}: not a run's directory; expected .hydra/config.yaml in it{sweep}")
    read_values(stored)
    try:
        config = OmegaConf.load(stored)
    except Exception as error:  # whatever a damaged YAML file raises
        raise RecordError(f"{stored}: not a config that can be read ({first_line(error)})") from error
    if not isinstance(config, DictConfig):
        raise RecordError(f"{stored}: not a run's config")
    return stored, config


def validate_stored_config(config: DictConfig) -> RunConfig:
    try:
        return to_run_config(config)
    except ConfigError as error:
        found = OmegaConf.to_container(config).get("extensions")  # type: ignore[union-attr]  # of a mapping, a dict
        used = found if isinstance(found, list) else []
        hint = f"; the run had extensions=[{','.join(map(str, used))}]: give that again" if used else ""
        raise ConfigError(f"{error}{hint}") from error
