"""Options of components: name, type, default, limits and meaning, declared once as dataclass fields."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from minitrain.errors import ConfigError, abbreviate
from minitrain.registry import REGISTRIES


@dataclass(frozen=True)
class Range:
    """What a value may be, beside its type. Bounds hold for the entries of a list, too."""

    help: str
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] | str | None = None  # names, or the table whose names they are

    def names(self) -> list[str] | None:
        return sorted(REGISTRIES[self.choices]) if isinstance(self.choices, str) else list(self.choices or ()) or None

    def admits(self, value: Any) -> bool:
        if isinstance(value, list):
            return all(self.admits(each) for each in value)
        if isinstance(value, str):
            names = self.names()
            return names is None or value in names
        if not isinstance(value, (int, float)):
            return True
        return (
            math.isfinite(value)
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def bounds(self) -> str:
        parts = [
            f"{text} {bound:g}"
            for text, bound in (
                ("above", self.above),
                ("at least", self.at_least),
                ("at most", self.at_most),
                ("below", self.below),
            )
            if bound is not None
        ]
        return " and ".join(parts)


REQUIRED: Any = object()


def option(default: Any, help: str, **limits: Any) -> Any:
    """A dataclass field with its meaning and its limits (see `Range`)."""
    metadata = {"range": Range(help, **limits)}
    if default is REQUIRED:
        return field(metadata=metadata)
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@cache
def options(component: type) -> dict[str, tuple[Any, Any, Range]]:
    """Name -> (type, default or REQUIRED, range) of a dataclass's options, its own before those it shares (kw_only)."""
    hints = typing.get_type_hints(component)
    found = {}
    for f in sorted(dataclasses.fields(component), key=lambda f: bool(f.kw_only)):
        if "range" in f.metadata:
            default = REQUIRED if f.default is dataclasses.MISSING else f.default
            if f.default_factory is not dataclasses.MISSING:
                default = f.default_factory()
            found[f.name] = (hints[f.name], default, f.metadata["range"])
    return found


def validate_options(cls: type, values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Values for a component's options, each checked; `prefix` is what the keys begin with in a message."""
    known = options(cls)
    for key in values:
        if key not in known:
            has = ", ".join(prefix + name for name in known) or "none"
            raise ConfigError(f"{prefix}{key}={abbreviate(values[key])}: unknown key; there is {has}")
    result = {}
    for name, (hint, default, range_) in known.items():
        if name in values or default is REQUIRED:
            result[name] = validate_value(values.get(name), hint, range_, prefix + name)
    return result


def validate_value(value: Any, hint: Any, range_: Range, key: str) -> Any:
    """The value as its type, or ConfigError: `lr=abc: expected a number above 0`."""
    ok, converted = _convert(value, hint)
    if not ok or (converted is not None and not range_.admits(converted)):
        is_open = range_.at_most is None and range_.below is None
        large = "too large; " if is_open and isinstance(value, (int, float)) and 2**64 <= value < math.inf else ""
        raise ConfigError(f"{key}={abbreviate(value)}: {large}expected {describe_expected(hint, range_)}")
    return converted


def _convert(value: Any, hint: Any) -> tuple[bool, Any]:
    """(True, the value as that type), or (False, None). 1e3 passes for an int, 1.5, true and 2^64 do not."""
    arguments = typing.get_args(hint)
    if hint is Any:
        return True, value
    if isinstance(hint, types.UnionType):
        return next((found for each in arguments if (found := _convert(value, each))[0]), (False, None))
    if typing.get_origin(hint) is list:
        if not isinstance(value, (list, tuple)):
            return False, None
        entries = [_convert(each, arguments[0]) for each in value]
        return all(ok for ok, _ in entries), [entry for _, entry in entries]
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int and value.bit_length() > (64 if hint is int else 1023):
        return False, None  # an int of 64 bits, or what a float can hold
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return True, float(value)
    if hint is str and type(value) is int:
        return True, str(value)  # a column or a file can have a number for its name
    return type(value) is hint, value


def describe_expected(hint: Any, range_: Range) -> str:
    """What a value may be, in words: `a whole number, at least 1, or null`."""
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return ", or ".join(describe_expected(each, range_) for each in arguments)
    if hint is types.NoneType:
        return "null"
    names = range_.names()
    if typing.get_origin(hint) is list:
        if names is not None:
            return f"a list of {', '.join(names)}"
        kind = {int: "whole numbers", float: "numbers", str: "names", Any: "layers"}[arguments[0]]
        return f"a list of {kind} {range_.bounds()}".rstrip()
    if hint is str and names is not None:
        return f"one of {', '.join(names)}" if len(names) > 1 else names[0]
    kind = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[hint]
    return f"{kind} {range_.bounds()}".rstrip()
