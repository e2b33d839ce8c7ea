"""Options of components: name, type, default, limits and meaning, declared once as fields of a dataclass."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from minitrain.errors import ConfigError, abbreviate
from minitrain.registry import REGISTRIES
from minitrain.suggestions import closest, unknown_key

LARGEST_INTEGER_BITS = 64
LARGEST_FLOAT_BITS = 1023  # an integer of more bits does not fit into a float

Hint = Any  # an annotation: a class, a union or a list of them, which have no type in common
REQUIRED: Any = object()


@dataclass(frozen=True)
class Range:
    """The meaning of an option, and the values that it accepts beside its type.

    Attributes:
        help: What the option means, for `--help` and the comments in `conf/`.
        choices: The names that are accepted, or the group of the registry whose names are.
        is_path: Whether the value is a path of a file; a relative one begins in the current directory.
        above, at_least, at_most, below: Bounds of a number, or of each entry of a list.
    """

    help: str
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] | str | None = None
    is_path: bool = False

    def names(self) -> list[str] | None:
        """The names that are accepted; None if any string is."""
        return sorted(REGISTRIES[self.choices]) if isinstance(self.choices, str) else list(self.choices or ()) or None

    def admits(self, value: object) -> bool:
        """Whether a value of the right type lies in the range."""
        if isinstance(value, list):
            return all(self.admits(entry) for entry in value)
        if isinstance(value, str):
            names = self.names()
            return names is None or value in names
        return not isinstance(value, (int, float)) or self._includes(value)

    def _includes(self, number: float) -> bool:
        return (
            math.isfinite(number)
            and (self.above is None or number > self.above)
            and (self.at_least is None or number >= self.at_least)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )

    def bounds(self) -> str:
        """The bounds in words: `above 0 and at most 1`."""
        bounds = {"above": self.above, "at least": self.at_least, "at most": self.at_most, "below": self.below}
        return " and ".join(f"{text} {bound:g}" for text, bound in bounds.items() if bound is not None)


@dataclass(frozen=True)
class Option:
    """An option of a component.

    Attributes:
        type: The annotation of its field.
        default: Its default, or REQUIRED.
    """

    type: Hint
    default: Any
    range: Range

    @property
    def alternatives(self) -> Sequence[Hint]:
        """The types of its values."""
        return typing.get_args(self.type) if isinstance(self.type, types.UnionType) else (self.type,)

    @property
    def takes_any_string(self) -> bool:
        """Whether its values are strings, lists of them or null, and any string is one."""
        return set(self.alternatives) <= {str, list[str], types.NoneType} and self.range.names() is None

    @property
    def expected(self) -> str:
        """What a value must be, in words: `an integer at least 1, or null`."""
        return describe_expected(self.type, self.range)


def option(default: Any, help: str, **limits: Any) -> Any:
    """A dataclass field that is an option, with its meaning and its limits (see `Range`)."""
    metadata = {"range": Range(help, **limits)}
    if default is REQUIRED:
        return field(metadata=metadata)
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@cache
def options(component: type) -> dict[str, Option]:
    """The options of a dataclass by name; those of its base classes (`kw_only`) come last."""
    hints = typing.get_type_hints(component)
    result = {}
    for f in sorted(dataclasses.fields(component), key=lambda f: bool(f.kw_only)):
        if "range" in f.metadata:
            default = REQUIRED if f.default is dataclasses.MISSING else f.default
            if f.default_factory is not dataclasses.MISSING:
                default = f.default_factory()
            result[f.name] = Option(hints[f.name], default, f.metadata["range"])
    return result


def paths_of(component: object) -> dict[str, str]:
    """The files that the options of a component name: option -> path."""
    cls: type = type(component)
    values = {name: getattr(component, name) for name, known in options(cls).items() if known.range.is_path}
    return {name: path for name, path in values.items() if path is not None}


def with_paths_from(component: Any, folder: Path) -> Any:
    """A copy of a component whose relative paths begin in a folder, where the files are there."""
    paths = {name: folder / path for name, path in paths_of(component).items()}
    existing = {name: str(path) for name, path in paths.items() if path.exists()}
    return dataclasses.replace(component, **existing)


def validate_options(component: type, values: Mapping[str, object], prefix: str) -> dict[str, Any]:
    """Values for the options of a component, each converted to its type.

    Args:
        component: The dataclass.
        values: Name -> value.
        prefix: The beginning of the keys in a message, such as `network.`.

    Raises:
        ConfigError: A key is unknown, a value is missing, of the wrong type, or out of range.
    """
    known = options(component)
    for key in values:
        if key not in known:
            message = unknown_key(prefix + key, [prefix + name for name in known])
            raise ConfigError(f"{prefix}{key}={abbreviate(values[key])}: {message}")
    return {
        name: validate_value(values.get(name), option.type, option.range, prefix + name)
        for name, option in known.items()
        if name in values or option.default is REQUIRED
    }


def validate_value(value: object, hint: Hint, range_: Range, key: str) -> Any:
    """A value converted to the type of its option.

    Raises:
        ConfigError: The type or the range does not fit: `lr=abc: expected a number at least 0`.
    """
    accepted, converted = _convert(value, hint)
    if accepted and (converted is None or range_.admits(converted)):
        return converted
    raise ConfigError(
        f"{key}={abbreviate(value)}: {_reason(value, hint, range_)}expected {describe_expected(hint, range_)}"
    )


def _reason(value: object, hint: Hint, range_: Range) -> str:
    """What is wrong with a value, beside what is expected; empty if that says it."""
    has_no_upper_bound = range_.at_most is None and range_.below is None
    if has_no_upper_bound and isinstance(value, (int, float)) and 2**64 <= value < math.inf:
        return "too large; "
    if not isinstance(value, str):
        return ""
    if value[:1] in ("[", "{"):
        return "a string, which ${oc.decode:...} or leaving out its quotes makes a list; "
    names = range_.names() or []
    suggestion = closest(value, names) if value not in names else None
    return f"did you mean {suggestion}? " if suggestion else ""


Converted = tuple[bool, object]  # whether the value is accepted, and the value as its type
REJECTED: Converted = (False, None)


def _convert(value: object, hint: Hint) -> Converted:
    if isinstance(hint, types.UnionType):
        return next((result for t in typing.get_args(hint) if (result := _convert(value, t))[0]), REJECTED)
    if _is_list(hint):
        return _to_list(value, typing.get_args(hint)[0])
    converter = _CONVERTERS.get(hint)
    return converter(value) if converter else (type(value) is hint, value)


def _is_list(hint: Hint) -> bool:
    origin: object = typing.get_origin(hint)
    return origin is list


def _to_list(value: object, entry_type: Hint) -> Converted:
    if not isinstance(value, (list, tuple)):
        return REJECTED
    entries = [_convert(entry, entry_type) for entry in value]
    return all(accepted for accepted, _ in entries), [entry for _, entry in entries]


def _to_int(value: object) -> Converted:
    """Accepts 1e3 as an integer, but not 1.5, true, or integers of more than 64 bits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return type(value) is int and value.bit_length() <= LARGEST_INTEGER_BITS, value


def _to_float(value: object) -> Converted:
    if type(value) is int and value.bit_length() <= LARGEST_FLOAT_BITS:
        return True, float(value)
    return type(value) is float, value


def _to_str(value: object) -> Converted:
    """Accepts an integer, which can be the name of a column or a file."""
    if type(value) is int and value.bit_length() <= LARGEST_FLOAT_BITS:
        return True, str(value)
    return type(value) is str, value


def _to_any(value: object) -> Converted:
    return True, value


_CONVERTERS: dict[Hint, Callable[[object], Converted]] = {int: _to_int, float: _to_float, str: _to_str, Any: _to_any}


def describe_expected(hint: Hint, range_: Range) -> str:
    """What a value must be, in words: `an integer at least 1, or null`."""
    if isinstance(hint, types.UnionType):
        return ", or ".join(describe_expected(t, range_) for t in typing.get_args(hint))
    if hint is types.NoneType:
        return "null"
    names = range_.names()
    if _is_list(hint):
        if names is not None and str in typing.get_args(hint):
            return f"a list of {', '.join(names)}"
        entries = {int: "integers", float: "numbers", str: "names", Any: "layers"}[typing.get_args(hint)[0]]
        return f"a list of {entries} {range_.bounds()}".rstrip()
    if hint is str and names is not None:
        return f"one of {', '.join(names)}" if len(names) > 1 else names[0]
    kind = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}[hint]
    return f"{kind} {range_.bounds()}".rstrip()
