"""New examples from a file, as inputs of a network that was trained on a dataset."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minitrain.data.preprocessing import Column, Preprocessing
from minitrain.data.reading import reporting_errors, require_file, validate_array
from minitrain.data.tables import Row, build_table, parse_number, read_rows
from minitrain.errors import ConfigError, plural
from minitrain.typing import Array


def read_inputs(path: str, preprocessing: Preprocessing, delimiter: str = ",", array: str = "x") -> Array:
    """The inputs in a csv, npy or npz file, not scaled: [examples, inputs].

    Columns of a csv file are found by name if both the file and the dataset have names, otherwise by position. Other
    columns, such as the target, are ignored.

    Args:
        path: The file.
        preprocessing: How the examples were encoded in training.
        delimiter: The character between the columns of a csv file.
        array: The name of the inputs in an npz file.

    Raises:
        ConfigError: The file cannot be read, or its inputs are not those of the dataset.
    """
    if path.endswith((".npy", ".npz")):
        return validate_inputs(_read_array(path, array), preprocessing, path)
    rows = read_rows("FILE", path, delimiter)
    first_row = rows[0][1]
    if _is_header(first_row, preprocessing):
        return _inputs_by_name(path, rows, preprocessing.columns)
    return _inputs_by_position(path, rows, preprocessing)


def validate_inputs(x: Array, preprocessing: Preprocessing, name: str) -> Array:
    """An array [examples, ...] as finite float64 numbers [examples, inputs].

    Args:
        x: The array.
        preprocessing: How the examples were encoded in training.
        name: The name of the array in messages.

    Raises:
        ConfigError: The type, the shape or a value is invalid.
    """
    if x.dtype.kind not in "biuf" or not x.size or math.prod(x.shape[1:]) != preprocessing.inputs:
        problem = f"has shape {list(x.shape)}" if x.dtype.kind in "biuf" else f"has type {x.dtype}"
        raise ConfigError(f"{name}: {problem}; expected numbers [examples, {preprocessing.inputs}], as in training")
    x = x.reshape(len(x), -1).astype(np.float64)
    invalid = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(invalid):
        raise ConfigError(f"{name}[{invalid[0]}]: contains NaN or Inf; remove or replace it")
    return x


def _read_array(path: str, name: str) -> Array:
    file = require_file("FILE", path, "an npy or npz file")
    with (
        reporting_errors("FILE", file, "arrays of plain numbers, as np.save and np.savez write them"),
        file.open("rb") as f,
    ):
        content = np.load(f)
        if isinstance(content, np.ndarray):
            return content
        if name not in content:
            raise ConfigError(f"{path}: has no array {name}; arrays: {', '.join(content) or 'none'}")
        return validate_array(content[name], name)


def _is_header(cells: list[str], preprocessing: Preprocessing) -> bool:
    """Whether the first row has the names of columns: all names of the dataset, or no number."""
    names = {column.name for column in preprocessing.columns if column.name}
    return bool(names) and (names <= set(cells) or _has_no_number(cells))


def _has_no_number(cells: list[str]) -> bool:
    return all(math.isnan(parse_number(cell)) for cell in cells)


def _inputs_by_name(path: str, rows: list[Row], columns: Sequence[Column]) -> Array:
    table = build_table(path, rows, header=True)
    missing = [column.name for column in columns if column.name not in table.columns]
    if missing:
        raise ConfigError(f"{path}: has no column {', '.join(missing)}; columns: {', '.join(table.columns)}")
    return np.concatenate([table.inputs(column.name, column) for column in columns], axis=1)


def _inputs_by_position(path: str, rows: list[Row], preprocessing: Preprocessing) -> Array:
    """The inputs in the order of training; a file with one column more has the target, too, where training had it."""
    columns = preprocessing.columns or [Column("", index) for index in range(preprocessing.inputs)]
    first_row = rows[0][1]
    has_target = bool(preprocessing.columns) and len(first_row) == len(columns) + 1
    if len(first_row) != len(columns) and not has_target:
        raise ConfigError(
            f"{path}: {plural(len(first_row), 'column')}; expected {_expected_columns(preprocessing, len(columns))}"
        )
    positions = [column.index for column in columns] if has_target else range(len(columns))
    numeric = [first_row[i] for i, column in zip(positions, columns, strict=True) if not column.categories]
    table = build_table(path, rows, header=bool(numeric) and _has_no_number(numeric))
    names = list(table.columns)
    parts = [table.inputs(names[i], column) for i, column in zip(positions, columns, strict=True)]
    return np.concatenate(parts, axis=1)


def _expected_columns(preprocessing: Preprocessing, count: int) -> str:
    or_target = f", or {count + 1} with the target" if preprocessing.columns else ""
    return f"{count}, the inputs in the order of training{or_target}"
