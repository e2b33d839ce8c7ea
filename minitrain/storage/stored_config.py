"""The config that a run was started with, read from its directory.

The directory may be untrusted: sizes, nesting, YAML aliases and interpolations are bounded before anything is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from minitrain.errors import ConfigError, RecordError, first_line
from minitrain.storage.files import read_text
from minitrain.storage.legacy import upgrade, upgrade_overrides

LONGEST_CONFIG = 2**18  # bytes
MOST_VALUES = 10_000  # values and interpolations of a config
LONGEST_CHAIN = 10  # interpolations that lead from one key to the next
INTERPOLATION = re.compile(r"\$\{([\w.]+)\}")


class ConfigLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen when it is imported
    """A safe YAML loader with OmegaConf's rules: `1e-3` is a number, a date is a string, a key occurs once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping; a key that occurs twice is an error."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"duplicate key {twice}")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


ConfigLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in ConfigLoader.yaml_implicit_resolvers.items()
}
ConfigLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(_\d+)*\.?[\d_]*|\.\d+(_\d+)*)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


@dataclass(frozen=True)
class StoredConfig:
    """The config of a run as its file has it, with the names of today.

    Attributes:
        nested: Keys and values as in the file; interpolations are text.
    """

    nested: dict[str, Any]

    @cached_property
    def flat(self) -> dict[str, Any]:
        """Dotted key -> value as in the file; lists are values."""
        flat: dict[str, Any] = {}
        _flatten(self.nested, "", flat, _Budget(f"more than {MOST_VALUES:,} values"))
        return flat

    @property
    def values(self) -> dict[str, Any]:
        """Dotted key -> value; a value that is an interpolation is replaced by what it refers to."""
        return {key: self._resolved(key) for key in self.flat}

    @property
    def copies(self) -> frozenset[str]:
        """The keys whose values are those of other keys, as in `lr: ${optimizer.default_lr}`."""
        return frozenset(key for key, value in self.flat.items() if _reference(value))

    def _resolved(self, key: str) -> Any:
        value = self.flat[key]
        for _ in range(LONGEST_CHAIN):
            reference = _reference(value)
            if reference is None or reference not in self.flat:
                break
            value = self.flat[reference]
        return value


def read_stored_config(directory: Path) -> StoredConfig:
    """Read `.hydra/config.yaml` of a run.

    Raises:
        ConfigError: The directory is not that of a run.
        RecordError: The file is damaged, too large, or would expand without bound.
    """
    path = directory / ".hydra" / "config.yaml"
    if not path.is_file():
        hint = "; to use a run of a sweep, give its directory" if (directory / "multirun.yaml").exists() else ""
        raise ConfigError(f"{directory}: not a run's directory; expected .hydra/config.yaml in it{hint}")
    with _reading_yaml(path) as nested:
        if not isinstance(nested, dict):
            raise ValueError("expected keys and values")
        config = StoredConfig(upgrade(nested))
        budget = _Budget(f"more than {MOST_VALUES:,} interpolations")
        for key in config.flat:
            _follow(config.flat, key, budget)
    return config


def read_overrides(directory: Path) -> list[str]:
    """The overrides of a run as they were typed, with the names of today.

    Raises:
        RecordError: The file is missing, or damaged.
    """
    with _reading_yaml(directory / ".hydra" / "overrides.yaml") as overrides:
        if not isinstance(overrides, list) or not all(isinstance(text, str) for text in overrides):
            raise ValueError("expected a list of strings")
    return upgrade_overrides(overrides)


@contextmanager
def _reading_yaml(path: Path) -> Iterator[Any]:
    """The content of a YAML file; what is raised inside is reported in one line, too."""
    try:
        yield yaml.load(read_text(path, LONGEST_CONFIG), ConfigLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise RecordError(f"{path}: the config cannot be read ({first_line(error)})") from error


class _Budget:
    """Bounds how much a walk may visit: YAML aliases and interpolations can multiply, and form cycles."""

    def __init__(self, message: str) -> None:
        self.message, self.remaining = message, MOST_VALUES

    def spend(self) -> None:
        self.remaining -= 1
        if self.remaining < 0:
            raise ValueError(self.message)


def _flatten(value: Any, key: str, flat: dict[str, Any], budget: _Budget) -> None:
    budget.spend()
    if isinstance(value, dict):
        for name, inner in value.items():
            _flatten(inner, f"{key}.{name}" if key else str(name), flat, budget)
        return
    for inner in value if isinstance(value, list) else ():
        _flatten(inner, key, {}, budget)
    flat[key] = value


def _follow(flat: Mapping[str, Any], key: str, budget: _Budget) -> None:
    """Visit every key that a value refers to, directly or through others."""
    for name in INTERPOLATION.findall(str(flat[key])):
        budget.spend()
        for other in [name] if name in flat else [k for k in flat if k.startswith(f"{name}.")]:
            _follow(flat, other, budget)


def _reference(value: Any) -> str | None:
    """The key that a value is a copy of."""
    match = INTERPOLATION.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None
