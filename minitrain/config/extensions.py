"""User modules with components, imported before a config is composed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from minitrain.errors import ConfigError, first_line


def load_extensions(arguments: Sequence[str]) -> list[str]:
    """Import the user's modules with components.

    Args:
        arguments: The arguments of the command line.

    Returns:
        The names of the modules.

    Raises:
        ConfigError: A module cannot be imported.
    """
    names = extension_names(arguments)
    if names:
        sys.path.insert(0, os.getcwd())
    for name in names:
        if name.endswith(".py"):
            raise ConfigError(f"extensions={name}: expected a module's name, without .py: extensions=[{name[:-3]}]")
        try:
            importlib.import_module(name)
        except Exception as error:  # a module can raise anything while it is imported
            raise ConfigError(f"extensions={name}: {type(error).__name__}: {first_line(error)}") from error
    return names


def extension_names(arguments: Sequence[str]) -> list[str]:
    """The modules that pyproject.toml in the current directory and `extensions=[...]` name.

    A config file cannot name them: it may be untrusted, and importing a module executes code.
    """
    names = _named_in(Path("pyproject.toml"))
    for text in arguments:
        if text.startswith("extensions="):
            names += text.partition("=")[2].strip("[]'\" ").split(",")
    return [name for name in (name.strip("'\" ") for name in names) if name]


def _named_in(pyproject: Path) -> list[str]:
    """The extensions that the table [tool.minitrain] of a pyproject.toml names."""
    if not pyproject.is_file() or b"[tool.minitrain]" not in pyproject.read_bytes():
        return []
    import tomllib

    try:
        project = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {}).get("minitrain", {})
    except ValueError as error:
        raise ConfigError(f"{pyproject}: cannot be read ({first_line(error)})") from error
    names = project.get("extensions", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f'{pyproject}: extensions = {names!r}: expected a list of modules: extensions = ["mine"]')
    return list(names)
