"""Everything of Hydra and OmegaConf that is not public API, and what differs between their versions.

No other file imports private names of these libraries, or depends on the text of their messages.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from omegaconf import DictConfig
from omegaconf._utils import get_omega_conf_dumper

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


def open_hydra(roots: Sequence[Path], user_configs: Path | None = None) -> Hydra:
    """Hydra with a search path of its own.

    Args:
        roots: The directories of the shipped configs, the main one first.
        user_configs: The user's config directory, which is searched before them.
    """
    if hydra.__version__.startswith("1.3."):
        version.setbase("1.3")  # later releases have one behavior, and warn if a base is set
    search_path = create_config_search_path(str(roots[0]))
    before_schema = SearchPathQuery(provider="schema")  # Hydra requires that its schemas come last
    if user_configs is not None:
        search_path.prepend("command-line", f"file://{user_configs}", before_schema)
    for root in roots[1:]:
        search_path.prepend("minitrain", f"file://{root}", before_schema)
    GlobalHydra.instance().clear()
    return Hydra.create_main_hydra2("minitrain", search_path)


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


class _Dumper(getattr(yaml, "CDumper", yaml.Dumper)):  # type: ignore[misc]  # chosen when it is imported
    """libyaml's emitter, with OmegaConf's rule for strings that look like numbers or truth values."""


_Dumper.add_representer(str, get_omega_conf_dumper().str_representer)


def error_of(result: JobReturn) -> Exception:
    """The exception of a failed job; the public property prints a message and raises it."""
    error: Exception = result._return_value
    return error


def to_yaml(values: Any) -> str:
    """Plain values as YAML, byte for byte what OmegaConf writes, in a fraction of the time."""
    text: str = yaml.dump(values, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=_Dumper)
    return text
