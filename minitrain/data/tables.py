"""Tables: columns of numbers and of strings, from a file of any format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from minitrain.data.dialect import MISSING, MISSING_NUMBERS, Dialect, is_number, parse_number
from minitrain.errors import ConfigError, abbreviate
from minitrain.typing import Array


@dataclass(frozen=True)
class Header:
    """The columns of a file.

    Attributes:
        columns: The name of each column; its number, from 1, if it has none.
        has_names: Whether the file names its columns.
        ignored: Columns without a name that have no values, or that number the rows.
        numeric, categorical: Columns whose type says that their values are numbers, or categories, whatever these are.
    """

    columns: tuple[str, ...]
    has_names: bool = True
    ignored: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()


class TableFile(Protocol):
    """A file that contains a table, or a data frame in memory."""

    @property
    def name(self) -> str:
        """Its path as the user wrote it, or the name of the data frame, for messages."""

    @property
    def header(self) -> Header:
        """Its columns."""

    @property
    def dialect(self) -> Dialect:
        """How it is divided into cells; for columns that have types, how strings are read."""

    def read(self, numbers: Sequence[str], texts: Sequence[str] = ()) -> Table:
        """Read columns as numbers and columns as strings.

        Raises:
            ConfigError: The file cannot be read, or rows have different numbers of cells.
        """

    def sample(self, column: str) -> Sequence[str]:
        """The cells of a column in the first rows."""

    def location(self, example: int) -> str:
        """The location of an example, which is counted from 0, for messages: `people.csv row 3`."""

    def cell(self, example: int, column: str) -> str:
        """The text of a cell."""


@dataclass(frozen=True)
class TextColumn:
    """A column of strings.

    Attributes:
        values: Its distinct strings in sorted order, without those that stand for a missing value.
        codes: The index of each cell's string in `values`, -1 for a missing value: [rows].
    """

    values: tuple[str, ...]
    codes: Array

    @classmethod
    def encode(cls, values: Sequence[str], codes: Array) -> TextColumn:
        """A column of strings, in any order and with spaces around them, and the index of each cell's string.

        >>> TextColumn.encode(["b", " a", "?"], np.array([0, 1, 0, 2]))
        TextColumn(values=('a', 'b'), codes=array([ 1,  0,  1, -1]))
        """
        stripped = [value.strip() for value in values]
        present = sorted(set(stripped) - MISSING)
        index = {value: i for i, value in enumerate(present)}
        return cls(tuple(present), np.array([index.get(value, -1) for value in stripped], np.intp)[codes])

    def numbers(self, decimal: str = ".") -> tuple[Array, Array]:
        """The cells as numbers, NaN if missing or invalid: [rows]; and which are invalid: [rows]."""
        parsed = np.array([*(parse_number(value, decimal) for value in self.values), np.nan])
        missing = np.array([*(value in MISSING_NUMBERS for value in self.values), True])
        return parsed[self.codes], (np.isnan(parsed) & ~missing)[self.codes]

    def take(self, rows: Array) -> TextColumn:
        """The column with some of its rows, which are not missing."""
        values, codes = np.unique(self.codes[rows], return_inverse=True)
        return TextColumn(tuple(self.values[i] for i in values.tolist()), codes)

    def one_hot(self, categories: Sequence[str]) -> Array:
        """One column per category, NaN if the cell is missing, zeros if it is another string: [rows, categories].

        >>> TextColumn(("a", "b"), np.array([1, 0, -1])).one_hot(["b", "c"])
        array([[ 1.,  0.],
               [ 0.,  0.],
               [nan, nan]])
        """
        rows = [[float(value == category) for category in categories] for value in self.values]
        return np.array([*rows, [np.nan] * len(categories)])[self.codes]


@dataclass(frozen=True)
class Table:
    """Columns of a file.

    Attributes:
        file: The file.
        names: The columns of `values`.
        values: Numbers, NaN if missing or invalid: [rows, columns].
        texts: The columns that were read as strings.
        invalid: The first cell of a column of `values` that contains something else than a finite number: its row.
    """

    file: TableFile
    names: tuple[str, ...]
    values: Array
    texts: dict[str, TextColumn]
    invalid: dict[str, int]

    def __len__(self) -> int:
        return len(self.values)

    def numbers(self, name: str) -> Array:
        """A column of `values`: [rows]."""
        return self.values[:, self.names.index(name)]

    def is_missing(self, name: str) -> Array:
        """Which cells of a column are missing: [rows]."""
        return np.less(self.texts[name].codes, 0) if name in self.texts else np.isnan(self.numbers(name))

    def columns_without_values(self) -> set[str]:
        """The columns in which every cell is missing."""
        empty = np.flatnonzero(np.all(np.isnan(self.values), axis=0)).tolist()
        return {name for name, column in self.texts.items() if not column.values} | {self.names[i] for i in empty}

    def inputs(self, categories: Mapping[str, Sequence[str]]) -> Array:
        """Columns as inputs of a network, those of strings one-hot; NaN if missing: [rows, inputs].

        Args:
            categories: The columns in their order, with the categories of those that were read as strings.
        """
        if not self.texts.keys() & categories.keys():
            names = tuple(categories)
            return self.values if names == self.names else self.values.take([*map(self.names.index, names)], axis=1)
        parts = [
            self.texts[name].one_hot(values) if name in self.texts else self.numbers(name)[:, None]
            for name, values in categories.items()
        ]
        return np.concatenate(parts, axis=1)

    def location(self, row: int, column: str) -> str:
        """The location of a cell, for messages: `people.csv row 3, column age`."""
        return f"{self.file.location(row)}, column {column}"

    def require_numbers(self, advice: str = "") -> None:
        """Check that the cells of `values` are finite numbers or missing.

        Args:
            advice: What the user can do beside correcting a cell, for the message.

        Raises:
            ConfigError: A cell is neither; the message names the first.
        """
        if self.invalid:
            name = min(self.invalid, key=lambda name: (self.invalid[name], self.file.header.columns.index(name)))
            raise self.number_error(self.invalid[name], name, advice)

    def number_error(self, row: int, column: str, advice: str = "") -> ConfigError:
        """The error that a cell is not a number; see `require_numbers`."""
        cell = self.file.cell(row, column)
        if self.file.dialect.decimal == "." and is_number(cell, ","):
            advice = ", or set data.decimal=','"
        return ConfigError(
            f"{self.location(row, column)}: {abbreviate(repr(cell))} is not a number; correct it{advice}"
        )

    def missing_error(self, row: int, advice: str = "") -> ConfigError:
        """The error that a row has a missing cell."""
        column = next(name for name in (*self.names, *self.texts) if self.file.cell(row, name) in MISSING_NUMBERS)
        cell = repr(self.file.cell(row, column)) if self.file.cell(row, column) else "an empty cell"
        return ConfigError(f"{self.location(row, column)}: {cell} is a missing value; correct it{advice}")


def require_columns(key: str, names: Iterable[str], file: TableFile) -> None:
    """Raise ConfigError for the first name that is not a column; `key` is the option that contains it."""
    for name in names:
        if name not in file.header.columns:
            columns = ", ".join(file.header.columns)
            raise ConfigError(f"{key}={name}: {file.name} has no such column; columns: {columns}")
