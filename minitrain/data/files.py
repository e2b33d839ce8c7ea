"""A person's own data: a csv file, or NumPy's npz and npy files. Paths are relative to the current directory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from minitrain.data.dataset import Column, Dataset, RegressionSplit, blocks
from minitrain.data.reading import (
    Table,
    as_table,
    parse_number,
    read_rows,
    reporting_errors,
    require_file,
    validate_array,
)
from minitrain.errors import ConfigError
from minitrain.options import option
from minitrain.registry import register
from minitrain.typing import Array


@dataclass(frozen=True, kw_only=True)
class FileSplit(RegressionSplit):
    """The options of data from a file, whose target can be classes or numbers."""

    task: str = option(
        "auto",
        "what the target is; auto: texts, and whole numbers that count from 0 or 1 without a gap, are classes",
        choices=("auto", "classification", "regression"),
    )

    def as_target(self, y: Array, where: str) -> tuple[Array, tuple[str, ...]]:
        """What `split` takes: classes 0, 1, ... in sorted order of their values, or float64 numbers; and their names.

        y: [examples], or [examples, outputs] numbers
        """
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        is_text = y.dtype.kind == "U"
        if is_text and self.task == "regression":
            raise ConfigError(f"data.task=regression: {where} is text; expected numbers")
        if y.ndim == 2 and (is_text or self.task == "classification"):
            raise ConfigError(f"{where}: of shape {list(y.shape)}; expected [examples], one class for each")
        if y.ndim == 2 or self.task == "regression":
            return y.astype(np.float64), ()
        values, classes = np.unique(y, return_inverse=True)
        if not is_text and self.task == "auto" and (values != np.arange(len(values)) + (values[0] == 1)).any():
            return y.astype(np.float64), ()
        if len(values) == 1:
            raise ConfigError(f"{where}: every example has the one class {values[0]}; expected two classes or more")
        as_text = partial(np.format_float_positional, trim="-") if y.dtype.kind == "f" else str
        return classes, tuple(map(as_text, values))


# csv


@register("data", "csv")
@dataclass(frozen=True)
class CSV(FileSplit):
    """A table of text: a row for each example, a column for each input and one for the target.

    Columns are numbers or, in `categories`, texts: an input for each text that occurs, 1 in its rows and 0 in others.
    A target of texts is classes. Raises ConfigError with file, row and column where a cell cannot be used; rows are
    counted from 1, the header too.
    """

    path: str | None = option(None, "the file, from the current directory; must be given")
    target: str | None = option(None, "the column to predict; null takes the last")
    header: bool = option(True, "whether the first row names the columns; if not, they are named 1, 2, ...")
    categories: list[str] = option([], "columns whose texts are categories, not numbers")
    delimiter: str = option(",", "the character between columns")

    def load(self) -> Dataset:
        advice = "; if it is an example itself, set data.header=false"
        table = as_table(str(self.path), read_rows("data.path", self.path, self.delimiter), self.header, advice)
        table.check_names("data.target", [] if self.target is None else [self.target])
        table.check_names("data.categories", self.categories)
        names = list(table.columns)
        target = names[-1] if self.target is None else self.target
        columns = [
            Column(name if self.header else "", place, table.texts(name) if name in self.categories else ())
            for place, name in enumerate(names)
            if name != target
        ]
        if not columns:
            raise ConfigError(f"{self.path}: {target} is the only column; expected inputs beside the target")
        or_categories = ", or list the column in data.categories"
        x = np.concatenate([table.inputs(names[column.place], column, or_categories) for column in columns], axis=1)
        y, class_names = self.as_target(self._target_cells(table, target), f"{self.path} column {target}")
        target = target if self.header else ""
        return replace(self.split(x, y), class_names=class_names, columns=tuple(columns), target=target)

    def _target_cells(self, table: Table, target: str) -> Array:
        """Numbers where the cells are; texts where none of them is, or where they are classes anyway."""
        cells = table.columns[target]
        if "" in cells:
            raise ConfigError(f"{table.place(cells.index(''), target)}: an empty cell; expected the value to predict")
        is_number = [not math.isnan(parse_number(cell)) for cell in cells]
        any_or_all = all if self.task == "classification" else any
        if target in self.categories or (self.task != "regression" and not any_or_all(is_number)):
            return np.array(cells)
        return table.numbers(target, ", or set data.task=classification")


# NumPy's files


def _mapped(key: str, name: str | None) -> Array:
    """An npy file's array, on disk."""
    path = require_file(key, name, "an npy file")
    with reporting_errors(key, path, "one array of plain numbers, as np.save writes it"):
        return np.lib.format.open_memmap(path, mode="r")


def _checked(array: Array, where: str, kinds: str = "biuf") -> Array:
    """The array, if it is of numbers, all finite, or of texts where `kinds` has U; one or more for each example."""
    if array.dtype.kind not in kinds:
        raise ConfigError(f"{where}: of type {array.dtype}; expected numbers")
    if array.ndim == 0 or array.size == 0:
        raise ConfigError(f"{where}: of shape {list(array.shape)}; expected [examples, ...] with one example or more")
    if array.dtype.kind == "U":
        try:
            "".join(array.ravel().tolist()).encode()
        except (SystemError, ValueError) as error:  # of code points that are no characters
            raise ConfigError(f"{where}: holds what is no text; clean it") from error
    for block in blocks(array) if array.dtype.kind == "f" else ():
        finite = np.isfinite(array[block]).reshape(len(array[block]), -1).all(axis=1)
        if not finite.all():
            raise ConfigError(f"{where}[{block.start + int(finite.argmin())}]: holds nan or inf; clean it")
    return array


Named = tuple[str, Array]  # what to call an array in a message, and the array


def _examples(x: Named, y: Named) -> tuple[Array, Array]:
    """Examples [examples, ...], each made one row of inputs, and what to predict from them."""
    (x_name, inputs), (y_name, target) = x, y
    _checked(inputs, x_name)
    _checked(target, y_name, "biufU")
    if len(inputs) != len(target) or target.ndim > 2:
        raise ConfigError(
            f"{x_name} is {list(inputs.shape)} and {y_name} is {list(target.shape)}; expected as many examples in "
            "both, y [examples] or [examples, outputs]"
        )
    return inputs if isinstance(inputs, np.memmap) else inputs.reshape(len(inputs), -1).astype(np.float64), target


def _dataset(split: FileSplit, train: Sequence[Named], val: Sequence[Named] | None = None) -> Dataset:
    """Inputs and their classes or numbers, x and y; of these a share is held out, or others are for validation."""
    x, y = _examples(*train)
    if val is None:
        target, class_names = split.as_target(y, train[1][0])
        return replace(split.split(x, target), class_names=class_names)
    x_val, y_val = _examples(*val)
    if x_val.shape[1:] != x.shape[1:] or y_val.shape[1:] != y.shape[1:]:
        shapes = " and ".join(f"{name} is {list(array.shape)}" for name, array in (*train, *val))
        raise ConfigError(f"{shapes}; expected examples of the same shape for validation as for training")
    target, class_names = split.as_target(np.concatenate([y, y_val]), train[1][0])
    parts = np.split(np.arange(len(target)), [len(y)])
    return replace(split.split(np.concatenate([x, x_val]), target, parts), class_names=class_names)


@register("data", "npz")
@dataclass(frozen=True)
class NPZ(FileSplit):
    """Two arrays of an npz file: x [examples, ...] and y [examples] or [examples, outputs].

    Where x_val and y_val name two more, those are the validation examples, and none of the others is held out.
    Raises ConfigError for a file or arrays that cannot be used; pickled objects are refused.
    """

    path: str | None = option(None, "the file, from the current directory; must be given")
    x: str = option("x", "name of the array of inputs")
    y: str = option("y", "name of the array to predict")
    x_val: str | None = option(None, "name of the inputs for validation; null: a share of x is held out")
    y_val: str | None = option(None, "name of the array to predict from x_val")

    def load(self) -> Dataset:
        if (self.x_val is None) != (self.y_val is None):
            raise ConfigError(f"data.x_val={self.x_val}, data.y_val={self.y_val}: expected names for both, or neither")
        return _dataset(self, self._arrays("x", "y"), self._arrays("x_val", "y_val") if self.x_val else None)

    def _arrays(self, *keys: str) -> list[Named]:
        """The arrays that options name."""
        path = require_file("data.path", self.path, "an npz file")
        expected = "arrays of plain numbers with their names, as np.savez writes them"
        with reporting_errors("data.path", path, expected), path.open("rb") as file:
            arrays = np.load(file)
            if isinstance(arrays, np.ndarray):
                raise ValueError("one array")
            names = {key: getattr(self, key) for key in keys}
            for key, name in names.items():
                if name not in arrays:
                    there = ", ".join(arrays) or "none"
                    raise ConfigError(f"data.{key}={name}: {self.path} has no such array; there is {there}")
            return [(f"{self.path} {name}", validate_array(arrays[name], name)) for name in names.values()]


@register("data", "npy")
@dataclass(frozen=True)
class NPY(FileSplit):
    """Two npy files: x [examples, ...] and y [examples] or [examples, outputs].

    x stays on disk and may be larger than memory: it is read through up to three times at the start, to check it
    and to scale it, and batch by batch from then on. Raises ConfigError as `NPZ` does.
    """

    x: str | None = option(None, "the file of inputs, from the current directory; must be given")
    y: str | None = option(None, "the file of what to predict; must be given")

    def load(self) -> Dataset:
        x, y = _mapped("data.x", self.x), _mapped("data.y", self.y)
        return _dataset(self, [(str(self.x), x), (str(self.y), np.array(y))])
