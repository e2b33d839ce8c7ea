"""Config files of the user's directory, which may be untrusted: they are checked before Hydra reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import GrammarParseError

from minitrain.errors import ConfigError, abbreviate, first_line
from minitrain.paths import STUDIES
from minitrain.storage.files import read_text
from minitrain.storage.stored_config import LONGEST_CONFIG, MOST_VALUES, ConfigLoader

PACKAGE_LINE = re.compile(r"^\s*#\s*@package\s+(\S+)", re.MULTILINE)


def check_preset(path: Path, group: str) -> None:
    """Check a config file before it is composed.

    Args:
        path: The file.
        group: Its config group.

    Raises:
        ConfigError: The file cannot be read, is no mapping in YAML, would expand far beyond its size, or names modules
            to import; the message has its path and, where known, the line.
    """
    with reporting_faults(path):
        text = read_text(path, LONGEST_CONFIG)
        root = yaml.compose(text, ConfigLoader) or yaml.MappingNode("", [])
        if not isinstance(root, yaml.MappingNode):
            raise ValueError("expected keys and values, such as lr: 0.1")
        _count_values(root, {})
        for scalar in _scalars(root, set()):
            _check_interpolation(scalar)
    package = PACKAGE_LINE.search(text)
    if group == STUDIES and package is None:
        raise ConfigError(
            f"{path}: without its first line '# @package _global_', the keys of a study would be those of {STUDIES}; "
            "add the line"
        )
    is_global = package is not None and package[1] == "_global_"
    if is_global and any(key.value == "extensions" for key, _ in root.value):
        raise ConfigError(
            f"{path}: extensions: a config file imports no modules, which would execute code; leave it out, and name "
            "them on the command line: extensions=[...]"
        )


def read_preset(path: Path, group: str) -> object:
    """The content of a config file.

    Raises:
        ConfigError: As for `check_preset`.
    """
    check_preset(path, group)
    with reporting_faults(path):
        return yaml.load(read_text(path, LONGEST_CONFIG), ConfigLoader)


@contextmanager
def reporting_faults(path: Path) -> Iterator[None]:
    """Report the faults of a YAML file in one line, with its path and line.

    Raises:
        ConfigError: What is inside raises an exception about the file.
    """
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise ConfigError(f"{path}{place}: {abbreviate(error.problem)}; expected YAML: key: value") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start:,} is not UTF-8; save the file in UTF-8") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: the config cannot be read ({first_line(error)})") from error


def _scalars(node: yaml.Node, visited: set[int]) -> Iterator[yaml.ScalarNode]:
    """The scalars in a node, each once."""
    if id(node) in visited:
        return
    visited.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield node
    for inner in _entries(node):
        yield from _scalars(inner, visited)


def _check_interpolation(scalar: yaml.ScalarNode) -> None:
    """Raise the error of an interpolation that cannot be parsed, with its line, which OmegaConf does not know."""
    if "${" in scalar.value:
        try:
            OmegaConf.create([scalar.value])
        except GrammarParseError as error:
            raise yaml.MarkedYAMLError(problem=first_line(error), problem_mark=scalar.start_mark) from error


def _entries(node: yaml.Node) -> list[yaml.Node]:
    """The keys and values of a mapping, or the entries of a sequence."""
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _count_values(node: yaml.Node, counts: dict[int, int]) -> int:
    """The number of values of a node if every alias is replaced by what it stands for.

    Args:
        node: The node.
        counts: The numbers of the nodes that were counted before; a node that contains itself has none yet.

    Raises:
        ValueError: There are more than `MOST_VALUES`.
    """
    if id(node) not in counts:
        counts[id(node)] = MOST_VALUES + 1  # until it is counted: a node in itself would be endless
        counts[id(node)] = 1 + sum(_count_values(inner, counts) for inner in _entries(node))
    if counts[id(node)] > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values, with aliases replaced by what they stand for")
    return counts[id(node)]
