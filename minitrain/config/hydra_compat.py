"""Everything of Hydra and OmegaConf that is not public API, and what differs between their versions.

No other file imports private names of these libraries, or depends on the text of their messages.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra import version

# Callbacks: the only way to call the user's hydra.callbacks around a job.
from hydra._internal.callbacks import Callbacks

# ConfigLoaderImpl: where every config is composed.
from hydra._internal.config_loader_impl import ConfigLoaderImpl

# BasicSweeper: how Hydra expands the values of a grid.
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

# FileConfigSource: the public ConfigSource has no code that reads YAML files.
from hydra._internal.core_plugins.file_config_source import FileConfigSource

# Hydra: hydra.compose() has no --cfg, --info, multirun and completion.
from hydra._internal.hydra import Hydra

# SourcesRegistry: where the scheme of an entry of the search path is looked up.
from hydra._internal.sources_registry import SourcesRegistry

# What @hydra.main is made of; its own command line has no commands beside Hydra's flags.
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig

# get_omega_conf_dumper: its rule for quotes decides the bytes of config.yaml.
from omegaconf._utils import get_omega_conf_dumper

from minitrain.config.presets import check_preset, reporting_faults
from minitrain.paths import STUDIES

__all__ = [
    "Callbacks",
    "Hydra",
    "argument_parser",
    "error_of",
    "grid_values",
    "has_grid_sweeper",
    "open_hydra",
    "to_yaml",
]


class StudySource(FileConfigSource):
    """The config group `experiments`, read from a directory that is not beside the other groups.

    An entry of the search path for the directory's parent would make a config group of every folder there.
    """

    @staticmethod
    def scheme() -> str:
        return "minitrain-studies"

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        return config_path in ("", STUDIES)

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.rpartition("/")
        return group == STUDIES and super().is_config(name)

    def load_config(self, config_path: str) -> ConfigResult:
        return super().load_config(config_path.removeprefix(f"{STUDIES}/"))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if config_path == "":
            return [] if results_filter is ObjectType.CONFIG else [STUDIES]
        return [] if results_filter is ObjectType.GROUP else sorted(p.stem for p in Path(self.path).glob("*.yaml"))


class PresetSource(FileConfigSource):
    """The user's config directory; each file is checked before it is read."""

    @staticmethod
    def scheme() -> str:
        return "minitrain-presets"

    def is_config(self, config_path: str) -> bool:
        return not config_path.endswith(".yml") and super().is_config(config_path)  # which Hydra 1.4 refuses to list

    def load_config(self, config_path: str) -> ConfigResult:
        path = Path(self.path, self._normalize_file_name(config_path))
        check_preset(path, config_path.rpartition("/")[0])
        with reporting_faults(path):  # such as a key that occurs twice, which only OmegaConf refuses
            return super().load_config(config_path)


class AdaptingConfigLoader(ConfigLoaderImpl):
    """Changes every config after it is composed: of a run, of a sweep, of its jobs, and what `--cfg` shows.

    Args:
        search_path: Hydra's search path.
        adapt: Changes a config in place.
    """

    def __init__(self, search_path: ConfigSearchPath, adapt: Callable[[DictConfig], None]) -> None:
        super().__init__(search_path)
        self.adapt = adapt

    def load_configuration(self, *arguments: Any, **options: Any) -> DictConfig:
        config = super().load_configuration(*arguments, **options)
        self.adapt(config)
        return config


def open_hydra(
    configs: Path, studies: Path, adapt: Callable[[DictConfig], None], user_configs: Path | None = None
) -> Hydra:
    """Hydra with a search path of its own; it replaces the instance that was open before.

    Args:
        configs: The directory of the shipped configs.
        studies: The directory of the config group `experiments`.
        adapt: Changes each composed config in place.
        user_configs: The user's config directory, which is searched after them.
    """
    if hydra.__version__.startswith("1.3."):
        version.setbase("1.3")  # later releases have one behavior, and warn if a base is set
    search_path = create_config_search_path(str(configs))
    before_schema = SearchPathQuery(provider="schema")  # Hydra requires that its schemas come last
    if studies.parent != configs:
        SourcesRegistry.instance().register(StudySource)
        search_path.prepend("minitrain", f"{StudySource.scheme()}://{studies}", before_schema)
    if user_configs is not None:
        SourcesRegistry.instance().register(PresetSource)
        search_path.prepend("command-line", f"{PresetSource.scheme()}://{user_configs}", before_schema)
    GlobalHydra.instance().clear()
    opened = Hydra("minitrain", AdaptingConfigLoader(search_path, adapt))
    GlobalHydra.instance().initialize(opened)
    return opened


def argument_parser() -> argparse.ArgumentParser:
    """The parser of Hydra's own flags, such as `--cfg` and `--multirun`."""
    parser: argparse.ArgumentParser = get_args_parser()
    return parser


def grid_values(override: Override) -> list[tuple[str, ...]]:
    """The overrides that an override with several values stands for, as Hydra's grid sweeper expands it."""
    return [tuple(job) for job in BasicSweeper.split_arguments([override], None)[0]]


def has_grid_sweeper(config: DictConfig) -> bool:
    """Whether a sweep is a grid, not the search of a sweeper plugin."""
    target: str = config.hydra.sweeper._target_
    return target.endswith(f".{BasicSweeper.__name__}")


def to_yaml(values: object) -> str:
    """Plain values as YAML, byte for byte as `OmegaConf.to_yaml` writes them.

    libyaml's emitter is several times as fast as Python's, which OmegaConf uses. The two differ only in escapes, in
    characters beyond ASCII and in empty keys; a text with any of these is written by Python's.
    """
    fast = _fast_dumper()
    if fast is not None:
        with suppress(UnicodeEncodeError):  # a name of a file that is no Unicode
            text = _dump(values, fast)
            if text.isascii() and "\\" not in text and "'':" not in text:
                return text
    return _dump(values, get_omega_conf_dumper())


def error_of(result: JobReturn) -> Exception:
    """The exception of a failed job; the public property prints a message and raises it."""
    error: Exception = result._return_value
    return error


def _dump(values: object, dumper: type[yaml.Dumper]) -> str:
    text: str = yaml.dump(values, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=dumper)
    return text


@functools.cache
def _fast_dumper() -> type[yaml.Dumper] | None:
    """libyaml's emitter with OmegaConf's rule for quotes; None if PyYAML was built without libyaml."""
    if not hasattr(yaml, "CDumper"):
        return None
    fast: type[yaml.Dumper] = type("OmegaConfCDumper", (yaml.CDumper,), {})
    yaml.add_representer(str, get_omega_conf_dumper().str_representer, fast)
    return fast
