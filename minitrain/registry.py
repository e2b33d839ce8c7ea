"""The registry of components: every group, and what it holds by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from minitrain.errors import ConfigError

T = TypeVar("T")


COMPONENTS = ("data", "network", "optimizer", "schedule", "layer")  # groups of dataclasses


REGISTRIES: dict[str, dict[str, Any]] = {
    group: {} for group in (*COMPONENTS, "activation", "init", "loss", "diagnostic")
}


def register(group: str, name: str) -> Callable[[T], T]:
    """Enter a component's dataclass, an activation or a loss, by name into its group's table.

    Raises ConfigError for an unknown group, and for a name that is taken.
    """

    def enter(component: T) -> T:
        if group not in REGISTRIES:
            raise ConfigError(f"register: no group {group}; there is {', '.join(REGISTRIES)}")
        if name in REGISTRIES[group]:
            raise ConfigError(f"register: {group} {name} is there already; choose another name")
        if group in COMPONENTS and not dataclasses.is_dataclass(component):
            raise ConfigError(f"register: {group} {name}: expected a dataclass; put @dataclass(frozen=True) below")
        REGISTRIES[group][name] = component
        return component

    return enter
