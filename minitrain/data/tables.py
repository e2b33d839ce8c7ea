"""Tables: the cells of a csv file by column, as numbers or as one-hot categories."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from minitrain.data.preprocessing import Column
from minitrain.data.reading import reporting_errors, require_file
from minitrain.errors import ConfigError, plural
from minitrain.typing import Array

Row = tuple[int, list[str]]  # its number in the file, from 1, and its cells


@dataclass(frozen=True)
class Table:
    """The cells of a csv file by column.

    Attributes:
        path: The file, for messages.
        columns: Name -> cells.
        row_numbers: The number in the file of each row, from 1.
    """

    path: str
    columns: dict[str, tuple[str, ...]]
    row_numbers: list[int]

    def location(self, index: int, column: str) -> str:
        """The location of a cell, for messages: `people.csv row 3, column age`."""
        return f"{self.path} row {self.row_numbers[index]}, column {column}"

    def require_columns(self, key: str, names: Iterable[str]) -> None:
        """Raise ConfigError for the first name that is not a column; `key` is the option that contains it."""
        for name in names:
            if name not in self.columns:
                raise ConfigError(f"{key}={name}: {self.path} has no such column; columns: {', '.join(self.columns)}")

    def numbers(self, name: str, alternative: str = "") -> Array:
        """The cells of a column as numbers: [rows].

        Args:
            name: The column.
            alternative: What else the user can do about a cell that is not a number, for the message.

        Raises:
            ConfigError: A cell is not a number; the message names the first.
        """
        numbers = np.array([parse_number(cell) for cell in self.columns[name]])
        for i in np.flatnonzero(np.isnan(numbers)).tolist():
            cell = repr(self.columns[name][i]) if self.columns[name][i] else "an empty cell"
            raise ConfigError(f"{self.location(i, name)}: {cell} is not a number; correct it{alternative}")
        return numbers

    def categories(self, name: str) -> tuple[str, ...]:
        """The distinct strings of a column in sorted order."""
        return tuple(sorted(set(self.columns[name])))

    def inputs(self, name: str, column: Column, alternative: str = "") -> Array:
        """The cells of a column as inputs: [rows, inputs].

        Args:
            name: The column in this table.
            column: The same column in the training data, with its categories.
            alternative: As in `numbers`.

        Raises:
            ConfigError: A cell is not a number, or is not a category of the column; the message names the first.
        """
        if not column.categories:
            return self.numbers(name, alternative)[:, None]
        cells = np.array(self.columns[name])
        for i in np.flatnonzero(~np.isin(cells, column.categories)).tolist():
            raise ConfigError(
                f"{self.location(i, name)}: {str(cells[i])!r} is not a category of the training data; "
                f"expected one of {', '.join(column.categories)}"
            )
        return (cells[:, None] == np.array(column.categories)).astype(np.float64)


def parse_number(text: str) -> float:
    """A string as a finite number, or NaN if it is none; underscores, which Python allows, are not accepted.

    >>> parse_number("4e1"), parse_number("1_000"), parse_number("inf")
    (40.0, nan, nan)
    """
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def read_rows(key: str, path: str | None, delimiter: str) -> list[Row]:
    """The rows of a csv file that are not blank, without spaces around cells.

    Args:
        key: The option or argument that names the file, for messages.
        path: The file.
        delimiter: One character; a backslash and a t stand for a tab.

    Raises:
        ConfigError: The file cannot be read, or has no rows; or the delimiter is invalid.
    """
    delimiter = delimiter.replace("\\t", "\t")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise ConfigError(f"data.delimiter={delimiter}: expected one character, or \\t for a tab")
    file = require_file(key, path, "a csv file")
    with reporting_errors(key, file, "a table of UTF-8 text"), file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter)
        rows = [
            (number, [cell.strip() for cell in row])
            for number, row in enumerate(reader, 1)
            if row == [""] or delimiter.join(row).strip(" ")  # [""] is an empty cell in quotes
        ]
    if not rows:
        raise ConfigError(f"{path}: the file is empty; expected one row per example")
    return rows


def build_table(path: str, rows: Sequence[Row], header: bool, alternative: str = "") -> Table:
    """Rows of equal length as a table.

    Args:
        path: The file, for messages.
        rows: Its rows.
        header: Whether the first row has the names of the columns; otherwise they are named 1, 2, ...
        alternative: What the user can do if there is only one row, for the message.

    Raises:
        ConfigError: There is no row of data, a name occurs twice, or a row has another number of cells.
    """
    first = rows[0][1]
    names, rows = (first, rows[1:]) if header else ([str(i + 1) for i in range(len(first))], rows)
    if not rows:
        raise ConfigError(f"{path}: has a header but no other rows{alternative}")
    name, occurrences = Counter(names).most_common(1)[0]
    if occurrences > 1:
        raise ConfigError(f"{path} row 1: {occurrences} columns are named {name!r}; rename them")
    for number, row in rows:
        if len(row) != len(names):
            raise ConfigError(f"{path} row {number}: {plural(len(row), 'cell')}; expected {len(names)}, as in row 1")
    columns = zip(*(row for _, row in rows), strict=True)
    return Table(path, dict(zip(names, columns, strict=True)), [number for number, _ in rows])
