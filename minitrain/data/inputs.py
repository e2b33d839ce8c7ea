"""New examples from a file, as a network that was trained on a dataset takes them in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minitrain.data.dataset import Column, Dataset
from minitrain.data.reading import (
    Row,
    as_table,
    parse_number,
    read_rows,
    reporting_errors,
    require_file,
    validate_array,
)
from minitrain.errors import ConfigError
from minitrain.typing import Array


def read_inputs(path: str, data: Dataset, delimiter: str = ",", array: str = "x") -> Array:
    """The inputs in a csv, npy or npz file, in their own units: [examples, inputs].

    A csv file's columns are found by name where the dataset's have names and the file has a header, else by their
    order; others, such as the target, are left out.
    data: what the network was trained on; delimiter: of a csv file; array: the name of the inputs in an npz file
    Raises ConfigError, with one line, for a file that cannot be read, or has other inputs.
    """
    if path.endswith((".npy", ".npz")):
        return validate_inputs(_read_array(path, array), data, path)
    rows = read_rows("FILE", path, delimiter)
    return _by_name(path, rows, data.columns) if _has_names(rows[0][1], data) else _by_order(path, rows, data)


def validate_inputs(x: Array, data: Dataset, what: str) -> Array:
    """An array [examples, ...] as [examples, inputs]. Raises ConfigError where a dataset has others."""
    if x.dtype.kind not in "biuf" or not x.size or math.prod(x.shape[1:]) != data.inputs:
        kind = f"of shape {list(x.shape)}" if x.dtype.kind in "biuf" else f"of type {x.dtype}"
        raise ConfigError(f"{what}: {kind}; expected numbers [examples, {data.inputs}], the inputs of training")
    x = x.reshape(len(x), -1).astype(np.float64)
    broken = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(broken):
        raise ConfigError(f"{what}[{broken[0]}]: holds nan or inf; clean it")
    return x


def _read_array(path: str, name: str) -> Array:
    file = require_file("FILE", path, "an npy or npz file")
    with (
        reporting_errors("FILE", file, "arrays of plain numbers, as np.save and np.savez write them"),
        file.open("rb") as f,
    ):
        found = np.load(f)
        if isinstance(found, np.ndarray):
            return found
        if name not in found:
            raise ConfigError(f"{path}: has no array {name}; there is {', '.join(found) or 'none'}")
        return validate_array(found[name], name)


def _has_names(first: list[str], data: Dataset) -> bool:
    """Whether a file's first row has the columns' names: all that are needed, or no number."""
    names = {column.name for column in data.columns if column.name}
    return bool(names) and (names <= set(first) or _has_no_number(first))


def _has_no_number(cells: list[str]) -> bool:
    return all(math.isnan(parse_number(cell)) for cell in cells)


def _by_name(path: str, rows: list[Row], columns: Sequence[Column]) -> Array:
    table = as_table(path, rows, header=True)
    missing = [column.name for column in columns if column.name not in table.columns]
    if missing:
        raise ConfigError(f"{path}: has no column {', '.join(missing)}; there is {', '.join(table.columns)}")
    return np.concatenate([table.inputs(column.name, column) for column in columns], axis=1)


def _by_order(path: str, rows: list[Row], data: Dataset) -> Array:
    """The columns in the order of training; a file as wide as the table of training has its target, too."""
    columns = data.columns or [Column("", place) for place in range(data.inputs)]
    first, count = rows[0][1], len(columns)
    if len(first) != count and not (data.columns and len(first) == count + 1):
        expected = f"{count}, the inputs of training in their order"
        or_target = f", or {count + 1}, the target too" if data.columns else ""
        raise ConfigError(f"{path}: {len(first)} column{'s' * (len(first) != 1)}; expected {expected}{or_target}")
    places = range(count) if len(first) == count else [column.place for column in columns]
    numeric = [first[place] for place, column in zip(places, columns, strict=True) if not column.texts]
    table = as_table(path, rows, header=bool(numeric) and _has_no_number(numeric))
    names = list(table.columns)
    parts = [table.inputs(names[place], column) for place, column in zip(places, columns, strict=True)]
    return np.concatenate(parts, axis=1)
