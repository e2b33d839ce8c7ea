"""Registries: the components of each group by name, checked when they are registered.

A room creates the registry of a group beside the Protocol that its components implement; `register` enters
components of minitrain and of the user alike.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from minitrain.errors import ConfigError

T = TypeVar("T")
Check = Callable[[Any], str]  # a component -> what is wrong with it, and how to mend it; empty if nothing is

COMPONENTS = ("data", "network", "optimizer", "schedule", "layer")  # groups whose components are dataclasses of options
REGISTRIES: dict[str, Registry[Any]] = {}


class Registry(dict[str, T]):
    """Name -> component of one group.

    Args:
        group: The name of the group, as in `network=mlp`.
        check: What a component must fulfill; see `implements`.
    """

    def __init__(self, group: str, check: Check) -> None:
        super().__init__()
        self.group, self.check = group, check
        REGISTRIES[group] = self

    def add(self, name: str, component: T) -> None:
        """Add a component.

        Raises:
            ConfigError: The name is taken, or the component does not fulfill what its group requires.
        """
        if name in self:
            raise ConfigError(f"register: {self.group} {name} is already registered; choose another name")
        if problem := self.check(component):
            raise ConfigError(f"register: {self.group} {name}: {problem}")
        self[name] = component


def register(group: str, name: str) -> Callable[[T], T]:
    """Decorator that enters a component into the registry of its group.

    Raises:
        ConfigError: The group is unknown, the name is taken, or the component does not fulfill what its group requires.
    """
    if group not in REGISTRIES:
        raise ConfigError(f"register: unknown group {group}; expected one of {', '.join(sorted(REGISTRIES))}")

    def add(component: T) -> T:
        REGISTRIES[group].add(name, component)
        return component

    return add


def implements(protocol: type) -> Check:
    """A check that a component is a dataclass with the methods and attributes of a Protocol.

    >>> from typing import Protocol
    >>> class Schedule(Protocol):
    ...     def factor(self, step: int, steps: int) -> float: ...
    >>> @dataclasses.dataclass(frozen=True)
    ... class Halving:
    ...     def factor(self, step): return 0.5**step
    >>> implements(Schedule)(Halving)
    'factor takes (step), expected (step, steps)'
    """
    members = {name: member for name, member in vars(protocol).items() if not name.startswith("_")}
    methods = {name: list(inspect.signature(m).parameters)[1:] for name, m in members.items() if inspect.isfunction(m)}

    def check(component: Any) -> str:
        if not (isinstance(component, type) and dataclasses.is_dataclass(component)):
            return "expected a dataclass; put @dataclass(frozen=True) below @register"
        fields = {f.name for f in dataclasses.fields(component)}
        for name in members.keys() - methods.keys():
            if not hasattr(component, name) and name not in fields:
                return f"has no {name}; add it"
        for name, parameters in methods.items():
            method = getattr(component, name, None)
            if not callable(method):
                return f"has no method {name}(self, {', '.join(parameters)}); add it".replace("(self, )", "(self)")
            signature = inspect.signature(method)
            try:
                signature.bind(component, *parameters)
            except TypeError:
                taken = list(signature.parameters)[1:]
                return f"{name} takes ({', '.join(taken)}), expected ({', '.join(parameters)})"
        return ""

    return check


def is_callable(component: Any) -> str:
    """A check for groups of plain functions and classes."""
    return "" if callable(component) else f"a {type(component).__name__} is not callable; register a function"
