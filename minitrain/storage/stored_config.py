"""A run's stored config and overrides, read with limits on size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from minitrain.errors import RecordError
from minitrain.storage.files import read_text

LONGEST_CONFIG = 2**18  # bytes: a longer file is no run's config


MOST_KEYS = 10_000  # of a config


YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_values(path: Path) -> dict[str, Any]:
    """The keys of a run's config, dotted, and their values as they stand in the file.

    Raises RecordError for a file that is no such thing, or would not be read in a moment.
    """
    flat: dict[str, Any] = {}
    with _reading_yaml(path) as nested:
        if not isinstance(nested, dict):
            raise ValueError("no keys and values")
        _flatten(nested, "", flat, [MOST_KEYS])
        left = [MOST_KEYS]
        for key in flat:
            _follow(flat, key, left)
    return flat


REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def _follow(flat: Mapping[str, Any], key: str, left: list[int]) -> None:
    """Go through what stands for other keys. `left`: how often that may still be, lest they multiply, or go round."""
    for name in REFERENCE.findall(str(flat[key])):
        left[0] -= 1
        if left[0] < 0:
            raise ValueError(f"more than {MOST_KEYS:,} interpolations")
        for other in [name] if name in flat else [each for each in flat if each.startswith(f"{name}.")]:
            _follow(flat, other, left)


def read_overrides(directory: Path) -> list[str]:
    """What a run was asked for, as it was typed. Raises RecordError as `read_values` does."""
    with _reading_yaml(directory / ".hydra" / "overrides.yaml") as texts:
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError("no list of texts")
    return list(texts)


@contextmanager
def _reading_yaml(path: Path) -> Iterator[Any]:
    """What a YAML file holds; what is found wrong with it inside, too, is told in a line."""
    try:
        yield yaml.load(read_text(path, LONGEST_CONFIG), YAML)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError(f"{path}: not a config that can be read ({reason})") from error


def _flatten(value: Any, key: str, flat: dict[str, Any], left: list[int]) -> None:
    """Enter the leaves under a value; lists are leaves. `left`: values that may still be met, lest aliases multiply."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"more than {MOST_KEYS:,} values")
    if isinstance(value, dict):
        for name, inner in value.items():
            _flatten(inner, f"{key}.{name}" if key else str(name), flat, left)
        return
    for inner in value if isinstance(value, list) else ():
        _flatten(inner, key, {}, left)
    flat[key] = value
