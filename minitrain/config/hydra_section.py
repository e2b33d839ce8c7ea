"""What a config may set in Hydra's own section.

Hydra instantiates the classes that this section names, and configures logging and environment variables from it. A
config may be untrusted, so the section is checked before Hydra acts on it: nothing in it executes code, or writes
outside the directory of the run or the sweep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import hydra.utils
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf

from minitrain.config.hydra_compat import Callbacks
from minitrain.config.quoting import advice_for_comma
from minitrain.errors import ConfigError, abbreviate

_NO_LOGGING = {"version": 1, "root": None, "disable_existing_loggers": False}  # hydra/job_logging=none
_LOGGING_ADVICE = "minitrain writes minitrain.log itself; leave it out"

# Keys that keep their values, with what to do instead of setting them.
_FIXED: dict[str, tuple[object, str]] = {
    "job_logging": (_NO_LOGGING, _LOGGING_ADVICE),
    "hydra_logging": (_NO_LOGGING, _LOGGING_ADVICE),
    "output_subdir": (".hydra", "the config of a run is always in .hydra; leave it out"),
    "searchpath": ([], "configs are searched in one directory of your own; name it by --config-dir"),
    "job.env_set": ({}, "a config sets no environment variables; set them in the shell"),
}


def check_hydra_section(config: DictConfig) -> None:
    """Check the values that Hydra would act on.

    Args:
        config: A composed config with Hydra's section.

    Raises:
        ConfigError: A launcher, sweeper or callback is not that of an installed plugin, or a key is set that would
            execute code or write elsewhere.
    """
    for key, (fixed, advice) in _FIXED.items():
        value = OmegaConf.select(config.hydra, key)
        value = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if value != fixed:
            raise ConfigError(f"hydra.{key}={abbreviate(value)}: {advice}")
    for kind, base in (("launcher", Launcher), ("sweeper", Sweeper)):
        installed = set(map(_path, Plugins.instance().discover(base)))
        _check_component(f"hydra.{kind}", kind, _plain(OmegaConf.select(config.hydra, kind)), installed)
    callbacks = _plain(OmegaConf.select(config.hydra, "callbacks")) or {}
    if not isinstance(callbacks, Mapping):
        raise ConfigError(f"hydra.callbacks={abbreviate(callbacks)}: expected names and callbacks: {{name: {{...}}}}")
    loaded = set(map(_path, _subclasses(Callback))) if callbacks else set()
    for name, callback in callbacks.items():
        _check_component(f"hydra.callbacks.{name}", "callback", callback, loaded)


def create_callbacks(config: DictConfig) -> Callbacks:
    """The callbacks of a composed config, which has been checked; Hydra 1.4 asks for the classes that it may create."""
    targets = list(_targets(_plain(OmegaConf.select(config.hydra, "callbacks"))))
    allow = getattr(hydra.utils, "execution_whitelist", None)
    with nullcontext() if allow is None or not targets else allow(targets):
        return Callbacks(config)


def check_hydra_override(override: Override) -> None:
    """Check an override of Hydra's section before a config is composed.

    Raises:
        ConfigError: It is one of the search path, which Hydra would import packages from, or has several values, which
            jobs would have and the config of the sweep would not.
    """
    key = override.key_or_group
    if key == "hydra.searchpath":
        raise ConfigError(f"{abbreviate(override.input_line)}: {_FIXED['searchpath'][1]}")
    if key.startswith("hydra") and override.is_sweep_override():
        advice = f"give one value{advice_for_comma(override)}"
        raise ConfigError(f"{abbreviate(override.input_line)}: all runs of a sweep share it; {advice}")


def _check_component(key: str, kind: str, value: object, installed: set[str]) -> None:
    """Check the class that a component of Hydra names, and those that its options name."""
    target = value.get("_target_") if isinstance(value, Mapping) else value
    if not isinstance(target, str) or target not in installed:
        names = ", ".join(sorted(installed)) or "none"
        raise ConfigError(
            f"{key}: {abbreviate(target)}: not a {kind} of an installed plugin, and a config executes no other code; "
            f"installed: {names}"
        )
    for inner in _targets(value):
        if not isinstance(inner, str) or (inner not in installed and inner not in _targets_of_plugins()):
            raise ConfigError(
                f"{key}: {abbreviate(inner)}: no installed plugin registers this class, and a config executes no other "
                "code; leave it out"
            )


def _plain(value: object) -> Any:
    """A value as Hydra reads it: interpolations are replaced."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _subclasses(cls: type) -> set[type]:
    """The classes derived from a class that are loaded, as those of all plugins are; nothing is imported."""
    direct: list[type] = cls.__subclasses__()
    return set(direct).union(*map(_subclasses, direct))


def _targets(value: object) -> Iterator[object]:
    """The values of `_target_`, at any depth."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield value["_target_"]
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from _targets(inner)


def _targets_of_plugins() -> set[str]:
    """The classes in the configs of `hydra/...` that Hydra and its plugins register."""

    def walk(node: Any) -> Iterator[object]:
        if isinstance(node, ConfigNode):
            yield from _targets(OmegaConf.to_container(node.node) if OmegaConf.is_config(node.node) else node.node)
        for inner in node.values() if isinstance(node, dict) else ():
            yield from walk(inner)

    return {target for target in walk(ConfigStore.instance().repo.get("hydra", {})) if isinstance(target, str)}
