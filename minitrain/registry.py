"""Registries: the components of each group by name, checked when they are registered.

A room creates the registry of a group beside the Protocol that its components implement. `register` adds the
components of minitrain and those of the user in the same way.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from minitrain.errors import ConfigError

T = TypeVar("T")
Check = Callable[[object], str]  # a component -> what is wrong with it and how to correct it; empty if nothing is

COMPONENTS = ("data", "network", "optimizer", "schedule", "layer")  # groups whose components are dataclasses of options
REGISTRIES: dict[str, Registry[Any]] = {}


class Registry(dict[str, T]):
    """Name -> component of one group.

    Args:
        group: The name of the group, as in `network=mlp`.
        check: What a component must fulfill; see `implements` and `accepts`.

    Attributes:
        group: The name of the group.
        check: The check of a component, called when it is registered.
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
    """Return a decorator that adds a component to the registry of its group.

    Args:
        group: The group, such as `activation`.
        name: The name that a config uses.

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
    """Create the check that a component is a dataclass with the methods and attributes of a Protocol.

    A method may be called with the Protocol's positional arguments. If the Protocol's method takes further keyword
    arguments (`**`), a component may name those that it needs.

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
    methods = {name: inspect.signature(member) for name, member in members.items() if inspect.isfunction(member)}

    def check(component: object) -> str:
        if not (isinstance(component, type) and dataclasses.is_dataclass(component)):
            return "expected a dataclass; put @dataclass(frozen=True) below @register"
        fields = {f.name for f in dataclasses.fields(component)}
        for name in members.keys() - methods.keys():
            if not hasattr(component, name) and name not in fields:
                return f"has no {name}; add it"
        return next(filter(None, (_check_method(component, *method) for method in methods.items())), "")

    return check


def _check_method(component: type, name: str, expected: inspect.Signature) -> str:
    """What is wrong with a method of a component."""
    method = getattr(component, name, None)
    if not callable(method):
        bare = expected.replace(return_annotation=expected.empty, parameters=_bare(expected))
        return f"has no method {name}{bare}; add it"
    positional = _positional(expected)[1:]
    is_open = any(p.kind is p.VAR_KEYWORD for p in expected.parameters.values())
    if (problem := _check_arguments(method, [component, *positional], is_open)) is None:
        return ""
    return f"{name} takes ({', '.join(problem[1:])}), expected ({', '.join(positional)})"


def _bare(signature: inspect.Signature) -> list[inspect.Parameter]:
    """The parameters without annotations and without `*args`."""
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return [p for p in parameters if p.kind is not p.VAR_POSITIONAL]


def _positional(signature: inspect.Signature) -> list[str]:
    return [name for name, p in signature.parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]


def _check_arguments(
    function: Callable[..., object], arguments: Sequence[object], is_open: bool = False
) -> list[str] | None:
    """The names of a function's parameters if it cannot be called with positional arguments; None if it can.

    Args:
        function: The function.
        arguments: The positional arguments.
        is_open: Whether keyword arguments follow, so that further parameters may be required.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions of extension modules have no signature
        return None
    try:
        (signature.bind_partial if is_open else signature.bind)(*arguments)
    except TypeError:
        return list(signature.parameters)
    return None


def accepts(*parameters: str) -> Check:
    """Create the check that a component is a function that can be called with these positional arguments.

    >>> accepts("output", "target")(lambda output: output)
    'takes (output), expected (output, target)'
    """

    def check(component: object) -> str:
        if not callable(component):
            return f"a {type(component).__name__} is not callable; register a function"
        taken = _check_arguments(component, parameters)
        return "" if taken is None else f"takes ({', '.join(taken)}), expected ({', '.join(parameters)})"

    return check
