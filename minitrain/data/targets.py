"""Targets of examples from files: classes and their names, several labels, or numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from minitrain.data.dialect import is_number, parse_number
from minitrain.data.splitting import RegressionSplitOptions
from minitrain.data.tables import Table, TextColumn
from minitrain.errors import ConfigError, abbreviate
from minitrain.options import option
from minitrain.typing import Array

_TRUTH_VALUES = {"true": "1", "false": "0"}
_LEADING_ZERO = re.compile(r"[+-]?0\d")

# What a loss requires. With "labels", one column is two classes, and several columns are labels, each present or not;
# with "any", one column is classes if it can be.
TargetKind = Literal["classes", "labels", "numbers", "any"]


class Target(NamedTuple):
    """A target as `split` takes it.

    Attributes:
        values: Classes 0, 1, ... as integers, [examples]; several labels as truth values, [examples, labels]; or
            float64 numbers, [examples, outputs].
        names: The names of the classes or of the labels; empty for numbers.
    """

    values: Array
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FileOptions(RegressionSplitOptions):
    """Base class of datasets from files and of arrays from Python, whose target is a class, several labels or numbers.

    Attributes:
        expected_target: What the loss of the run requires; decides for `task=auto`. None: not decided, as "any".
    """

    task: str = option(
        "auto",
        "type of the target; auto: what the loss requires; strings, integers from 0 or 1 without gaps, and one-hot "
        "columns can be classes; several columns of 0 and 1 are labels with loss=binary_cross_entropy",
        choices=("auto", "classification", "regression"),
    )
    expected_target: TargetKind | None = None

    def encode_array(
        self, y: Array, name: str, columns: Sequence[str] = (), locate: Callable[[int], str] | None = None
    ) -> Target:
        """The target in an array.

        Args:
            y: [examples] numbers or strings, or [examples, outputs] numbers.
            name: The name of the target in messages.
            columns: The names of its columns, which are those of classes if they are one-hot, or of labels; by default
                0, 1, ...
            locate: Returns the location of an example, for messages; by default its index in the array.

        Raises:
            ConfigError: The target does not fit `task` or the loss, or there is only one class.
        """
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        is_text = y.dtype.kind == "U"
        if is_text and self.task == "regression":
            raise ConfigError(f"data.task=regression: {name} contains strings; expected numbers")
        if y.ndim == 2:
            if is_text:
                raise ConfigError(f"{name}: has shape {list(y.shape)}; expected [examples], one class per example")
            names = tuple(columns or map(str, range(y.shape[1])))
            return self._encode_columns(y, name, names, locate or (lambda example: f"{name}[{example}]"))
        if self.task == "regression" or (not is_text and self.task == "auto" and self.expected_target == "numbers"):
            return Target(y.astype(np.float64))
        values, classes = np.unique(y, return_inverse=True)
        if self.task == "auto" and not is_text and not _are_consecutive(values):
            self._require_numbers(values, name)
            return Target(y.astype(np.float64))
        return _classes(classes, as_texts(values), name)

    def _encode_columns(self, y: Array, name: str, names: tuple[str, ...], locate: Callable[[int], str]) -> Target:
        """The target in an array of several columns: numbers, labels, or one-hot classes, as the loss expects."""
        is_undecided = self.task == "auto" and self.expected_target in (None, "any", "numbers")
        if self.task == "regression" or is_undecided:
            return Target(y.astype(np.float64))
        is_label = np.isin(y, (0, 1)).all(axis=1)
        if self.expected_target == "labels":
            if not is_label.all():
                row = int(is_label.argmin())
                raise ConfigError(
                    f"{locate(row)}: has the targets {_shown(y[row])}, and the loss requires labels, each 0 or 1; "
                    "correct the row, or set loss=mse"
                )
            return Target(y == 1, names)
        is_one_hot = is_label & (y.sum(axis=1) == 1)
        if not is_one_hot.all():
            row = int(is_one_hot.argmin())
            reason = "data.task=classification" if self.task == "classification" else "the loss"
            advice = ", or loss=binary_cross_entropy for labels, of which an example has any number"
            raise ConfigError(
                f"{locate(row)}: has the targets {_shown(y[row])}, and {reason} requires one class per example, or one "
                f"1 among 0s; correct the row, or set loss=mse data.task=regression{advice * bool(is_label.all())}"
            )
        return _classes(y.argmax(axis=1), names, name)

    def encode_text(self, column: TextColumn, decimal: str, name: str) -> Target:
        """The target in a column of a table.

        Args:
            column: The column, without missing values.
            decimal: The decimal mark of numbers.
            name: The name of the target in messages.

        Raises:
            ConfigError: The target does not fit the loss, or there is only one class.
        """
        numbers = np.array([parse_number(value, decimal) for value in column.values])
        are_numbers = not np.isnan(numbers).any()
        if self.task == "regression" or (are_numbers and self.task == "auto" and self.expected_target == "numbers"):
            return Target(numbers[column.codes])
        groups, names = _group_values(column.values, decimal)
        values = np.unique(numbers)
        if self.task == "auto" and are_numbers and not _are_consecutive(values):
            self._require_numbers(values, name)
            return Target(numbers[column.codes])
        return _classes(groups[column.codes], names, name)

    def _require_numbers(self, values: Array, name: str) -> None:
        """Raise ConfigError if the loss requires classes; `values` are the distinct numbers of the target."""
        if self.expected_target in ("classes", "labels"):
            shown = _shown(values)
            are_integers = (values == np.trunc(values)).all()
            advice = ", or data.task=classification if they are classes" if are_integers else ""
            raise ConfigError(f"{name}: has numbers ({shown}), and the loss requires classes; set loss=mse{advice}")


def _shown(values: Array) -> str:
    """The first numbers as text: `0, 1, 2.5, 3, 4, ...`."""
    return ", ".join(f"{value:g}" for value in values[:5].tolist()) + (", ..." if len(values) > 5 else "")


def numbers_of_target(table: Table, name: str) -> Array:
    """A column of a target that is not a class, as numbers: [rows], NaN if missing; in strings, true is 1, false 0.

    Raises:
        ConfigError: A string is neither.
    """
    if name not in table.texts:
        return table.numbers(name)
    column, decimal = table.texts[name], table.file.dialect.decimal
    texts = tuple(_TRUTH_VALUES.get(value.lower(), value) for value in column.values)
    numbers, invalid = replace(column, values=texts).numbers(decimal)
    if invalid.any():
        raise table.number_error(int(invalid.argmax()), name)
    return numbers


def _classes(classes: Array, names: tuple[str, ...], name: str) -> Target:
    if len(names) == 1:
        raise ConfigError(f"{name}: every example has class {names[0]}; expected at least two classes")
    return Target(classes, names)


def _are_consecutive(values: Array) -> bool:
    """Whether sorted numbers are 0, 1, ... or 1, 2, ..."""
    first = 1 if values[0] == 1 else 0
    return bool((values == np.arange(first, first + len(values))).all())


def as_texts(values: Array) -> tuple[str, ...]:
    """Numbers or strings as the names of classes.

    >>> as_texts(np.array([1.0, 0.5])), as_texts(np.array([3, 7]))
    (('1', '0.5'), ('3', '7'))
    """
    as_text = partial(np.format_float_positional, trim="-") if values.dtype.kind == "f" else str
    return tuple(map(as_text, values))


def known_classes(
    values: Sequence[str], labels: Sequence[str], name: str, decimals: tuple[str, str] = (".", ".")
) -> Array:
    """The class of each string: [values].

    Args:
        values: Strings, of which each is a class.
        labels: The names of the known classes. If all are numbers, 1.0 is the class 1.
        name: The name of the target in messages.
        decimals: The decimal marks of numbers in `labels` and in `values`.

    Raises:
        ConfigError: A string is not a known class.

    >>> known_classes(["b", "a"], ["a", "b"], "y"), known_classes(["1.0", "1"], ["0", "1"], "y")
    (array([1, 0]), array([1, 1]))
    """
    are_numbers = all(is_number(label, decimals[0]) for label in labels)
    index = {_number_key(label, decimals[0]) if are_numbers else label: i for i, label in enumerate(labels)}
    classes = [
        index.get(_number_key(value, decimals[1]) if are_numbers and is_number(value, decimals[1]) else value)
        for value in values
    ]
    unknown = [value for value, known in zip(values, classes, strict=True) if known is None]
    if unknown:
        noun = "class" if len(unknown) == 1 else "classes"
        raise ConfigError(
            f"{name}: has {noun} {abbreviate(', '.join(unknown))}, which the network does not know; its classes: "
            f"{abbreviate(', '.join(labels))}"
        )
    return np.array(classes, np.intp)


def _group_values(values: Sequence[str], decimal: str = ".") -> tuple[Array, tuple[str, ...]]:
    """The class of each string and the names of the classes, which are in the order of numbers if all are.

    Strings of one number, such as 1 and 1.0, are one class, named by the shortest; 007 is not the number 7.

    >>> _group_values(["1.0", "007", "1", "-2"])
    (array([1, 2, 1, 0]), ('-2', '1', '007'))
    """
    if not all(is_number(value, decimal) for value in values):
        return np.arange(len(values)), tuple(values)
    keys = [_number_key(value, decimal) for value in values]
    names = dict(sorted(zip(keys, values, strict=True), key=lambda item: (item[0], -len(item[1]))))
    index = {key: i for i, key in enumerate(names)}
    return np.array([index[key] for key in keys], np.intp), tuple(names.values())


def _number_key(value: str, decimal: str) -> tuple[Decimal, str]:
    """What strings of one number have in common: 1 and 1.0, but not 007 and 7."""
    return Decimal(value.replace(decimal, ".")), value if _LEADING_ZERO.match(value) else ""
