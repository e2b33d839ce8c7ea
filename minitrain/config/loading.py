"""A RunConfig from a composed config, or from the directory of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from minitrain.components.losses import expected_target
from minitrain.config.schema import RunConfig, options_named, parse_run_config
from minitrain.data.record import DataRecord, read_data_record, was_started_without_record
from minitrain.data.targets import FileOptions
from minitrain.errors import ConfigError, RecordError, abbreviate, first_line
from minitrain.options import with_paths_from
from minitrain.storage.maker import check_format, explain_by_version
from minitrain.storage.stored_config import ConfigLoader, read_stored_config


def to_run_config(config: DictConfig) -> RunConfig:
    """The typed and validated config of a run.

    Raises:
        ConfigError: A key is unknown, a value invalid, or an interpolation cannot be resolved.
    """
    try:
        values: Any = OmegaConf.to_container(config, resolve=True)
    except RecursionError as error:
        raise ConfigError("the config is nested too deeply") from error
    except OmegaConfBaseException as error:
        default_lr = OmegaConf.select(config, "optimizer.default_lr", throw_on_missing=False)
        if isinstance(error, InterpolationKeyError) and error.full_key == "lr" and default_lr is None:
            raise ConfigError("lr: not given, and the optimizer has no default_lr; give one of them") from error
        key = f"{error.full_key}: " if error.full_key else ""
        raise ConfigError(f"{key}{_reason_of(error)}") from error
    _require_unicode(values)
    return parse_run_config({str(key): value for key, value in values.items()})


def _reason_of(error: OmegaConfBaseException) -> str:
    """Why a value cannot be resolved: what a resolver such as `oc.env` said, or else OmegaConf's message."""
    message = first_line(error)
    return message.partition("raised while resolving interpolation: ")[2].strip("\"'") or message


def _require_unicode(values: object) -> None:
    """Raise ConfigError for a string that YAML cannot store: the name of a file may have bytes that are not Unicode."""
    for key, text in _texts(values):
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ConfigError(
                f"{key}={abbreviate(text)}: has bytes that are not Unicode and cannot be stored; rename the file"
            )


def fix_environment(config: DictConfig) -> None:
    """Replace interpolations of environment variables by their values.

    The config of a run is stored, and must not change if the run is resumed in another environment.

    >>> config = OmegaConf.create({"lr": "${oc.env:NOWHERE,'0.5'}", "steps": 5})
    >>> fix_environment(config)
    >>> config
    {'lr': 0.5, 'steps': 5}
    """
    values: Any = OmegaConf.to_container(config)
    values.pop("hydra", None)
    for key, text in _texts(values):
        if "${oc.env" in text:
            with suppress(OmegaConfBaseException):  # a variable is missing, which is reported when all are resolved
                OmegaConf.update(config, key, _as_typed(key, OmegaConf.select(config, key)))


def _texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Dotted key -> text of each string in a config."""
    if isinstance(value, str):
        yield key, value
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in entries:
        yield from _texts(inner, f"{key}.{name}" if key else str(name))


def _as_typed(key: str, value: object) -> object:
    """The value of an environment variable, which is a string, as a number or null unless its key takes any string."""
    is_string = any(option.takes_any_string for option in options_named(re.sub(r"\.\d+$", "", key)))
    return value if is_string or not isinstance(value, str) else yaml.load(value, ConfigLoader)


def parse_number(text: str) -> object:
    """The value of an override `KEY=NUMBER` of a resumed run, such as `steps=5000`; validated with the config."""
    key, _, value = text.partition("=")
    try:
        return OmegaConf.from_dotlist([f"value={value}"])["value"]
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{text}: expected a number: {key}=5000") from error


def read_run_config(directory: Path) -> RunConfig:
    """The config of a run, read from its directory.

    Raises:
        ConfigError: The directory is not that of a run, or a component of the config is unknown.
        RecordError: The config is damaged.
    """
    return from_start_folder(validate_stored_config(load_stored_config(directory)[1], directory), directory)


def from_start_folder(config: RunConfig, directory: Path) -> RunConfig:
    """The config of a run, whose relative paths begin in the folder that the run was started in.

    Raises:
        RecordError: The record of the folder is damaged.
    """
    record = read_data_record(directory)
    config = _with_target_of(config, record, directory)
    return config if record is None else starting_in(config, record.folder)


def starting_in(config: RunConfig, folder: Path) -> RunConfig:
    """A config whose relative paths begin in a folder."""
    return replace(config, data=with_paths_from(config.data, folder), network=with_paths_from(config.network, folder))


def _with_target_of(config: RunConfig, record: DataRecord | None, directory: Path) -> RunConfig:
    """The config, whose target in a file is what it was when the run started.

    Version 0.1.0, which wrote no record, took it for classes if it could be, whatever the loss requires.
    """
    had_classes = was_started_without_record(directory) if record is None else record.preprocessing.classes is not None
    if isinstance(config.data, FileOptions) and expected_target(config.loss) == "numbers" and had_classes:
        return replace(config, data=replace(config.data, expected_target="any"))
    return config


def load_stored_config(directory: Path) -> tuple[Path, DictConfig]:
    """The path and the content of a run's config, before it is validated.

    Raises:
        ConfigError: The directory is not that of a run.
        RecordError: The config is damaged, or a later version of minitrain wrote it.
    """
    path = directory / ".hydra" / "config.yaml"
    check_format(directory)
    nested = read_stored_config(directory).nested
    try:
        return path, OmegaConf.create(nested)
    except Exception as error:  # a damaged config can raise anything, down to RecursionError
        raise RecordError(f"{path}: the config cannot be read ({first_line(error)})") from error


def validate_stored_config(config: DictConfig, directory: Path) -> RunConfig:
    """The typed config of a run as its directory has it.

    The message about an unknown component names the extensions that the run had, and the message about a config of
    another version of minitrain names this version.
    """
    try:
        return to_run_config(config)
    except ConfigError as error:
        explained = explain_by_version(error, directory)
        values: Any = OmegaConf.to_container(config)
        extensions = values.get("extensions")
        if not isinstance(extensions, list) or not extensions:
            raise explained from None
        names = ",".join(map(str, extensions))
        raise ConfigError(f"{explained}; the run used extensions=[{names}]: give them again") from error
