"""A person's file as it is read: found, opened, its cells; whatever is wrong with it is told in one line."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.data.dataset import Column
from minitrain.errors import ConfigError, abbreviate
from minitrain.paths import find_file
from minitrain.typing import Array


def require_file(key: str, path: str | None, kind: str) -> Path:
    """The path of a file that is there; `key` is what it was given by."""
    if path is None:
        raise ConfigError(f"{key}=null: expected the path of {kind}; set {key}=FILE")
    try:
        found = find_file(path)
        is_there = found.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, a closed folder, ~nobody
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{key}={abbreviate(path)}: cannot be read ({reason}); expected the path of {kind}"
        ) from error
    if not is_there:
        raise ConfigError(f"{key}={path}: no such file; expected a path from the current directory, {Path.cwd()}")
    return found


@contextmanager
def reporting_errors(key: str, path: Path, expected: str) -> Iterator[None]:
    """Tell whatever a reader finds wrong with a file in one line: what damaged files raise has no end."""
    try:
        yield
    except (ConfigError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if "allow_pickle" in str(error):  # NumPy's advice is to load it unsafely
            reason = "not a file of plain arrays"
        raise ConfigError(f"{key}={path}: cannot be read ({reason}); expected {expected}") from error


def validate_array(member: Any, name: str) -> Array:
    """What NumPy read by a name. Raises ValueError where it is no array: of other members it gives the bytes."""
    if not isinstance(member, np.ndarray):
        raise ValueError(f"{name} is no array")
    return member


@dataclass(frozen=True)
class Table:
    """The cells of a csv file by column, and the number in the file of each row, from 1."""

    path: str
    columns: dict[str, tuple[str, ...]]
    rows: list[int]

    def place(self, index: int, column: str) -> str:
        return f"{self.path} row {self.rows[index]}, column {column}"

    def check_names(self, key: str, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.columns:
                raise ConfigError(f"{key}={name}: {self.path} has no such column; there is {', '.join(self.columns)}")

    def numbers(self, name: str, advice: str = "") -> Array:
        """A column's cells as numbers: [rows]. Raises ConfigError for the first cell that is none."""
        numbers = np.array([parse_number(text) for text in self.columns[name]])
        for i in np.flatnonzero(np.isnan(numbers)).tolist():
            shown = repr(self.columns[name][i]) if self.columns[name][i] else "an empty cell"
            raise ConfigError(f"{self.place(i, name)}: {shown} is not a number; clean it{advice}")
        return numbers

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts of a column in sorted order, each once."""
        return tuple(sorted(set(self.columns[name])))

    def inputs(self, name: str, column: Column, advice: str = "") -> Array:
        """The cells of the column `name` as the inputs that a dataset's column is: [rows, inputs].

        Raises ConfigError for the first cell that is no number, or none of the column's texts.
        """
        if not column.texts:
            return self.numbers(name, advice)[:, None]
        cells = np.array(self.columns[name])
        for i in np.flatnonzero(~np.isin(cells, column.texts)).tolist():
            known = ", ".join(column.texts)
            raise ConfigError(f"{self.place(i, name)}: {str(cells[i])!r} is none of the texts of training: {known}")
        return (cells[:, None] == np.array(column.texts)).astype(np.float64)


def parse_number(text: str) -> float:
    """The finite number that a text is, or nan. 1_000 is Python's alone, and none."""
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


Row = tuple[int, list[str]]  # its number in the file, and its cells


def read_rows(key: str, path: str | None, delimiter: str) -> list[Row]:
    """The rows of a csv file that are not blank. Raises ConfigError where there are none."""
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
        raise ConfigError(f"{path}: an empty file; expected a row for each example")
    return rows


def as_table(path: str, rows: Sequence[Row], header: bool, advice: str = "") -> Table:
    """Rows of equal length as columns, named by the first row, or by their numbers from 1."""
    first = rows[0][1]
    names, rows = (first, rows[1:]) if header else ([str(i + 1) for i in range(len(first))], rows)
    if not rows:
        raise ConfigError(f"{path}: a header and no rows{advice}")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ConfigError(f"{path} row 1: {times} columns are named {name!r}; rename them")
    for number, row in rows:
        if (count := len(row)) != len(names):
            cells = f"{count} cell{'s' * (count != 1)}"
            raise ConfigError(f"{path} row {number}: {cells}; expected {len(names)}, as in row 1")
    columns = zip(*(row for _, row in rows), strict=True)
    return Table(path, dict(zip(names, columns, strict=True)), [number for number, _ in rows])
