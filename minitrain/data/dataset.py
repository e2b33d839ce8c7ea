"""What a network is trained on, and how examples are split and scaled.

A dataset is a component of the group `data`: a dataclass with a `load` that gives a `Dataset`. Its `seed`
is apart from the run's, so that the runs of a sweep share one dataset.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from minitrain.errors import ConfigError
from minitrain.options import option
from minitrain.registry import Registry, implements
from minitrain.rng import generator
from minitrain.typing import Array

BLOCK = 2**22  # numbers taken at once from data that may be larger than memory: 32 MiB in float64


@dataclass(frozen=True)
class Rows:
    """Some examples of an array on disk, read and scaled when they are asked for; otherwise like an array.

    array: [examples, ...]; rows: which of them; x[key] -> (array[rows[key]] - mean) / deviation: [len(key), inputs]

    >>> x = Rows(np.arange(12).reshape(4, 3), np.array([0, 3]))
    >>> x.shape, x[1:]
    ((2, 3), array([[ 9., 10., 11.]]))
    """

    array: Array
    rows: Array
    mean: Array | float = 0.0
    deviation: Array | float = 1.0
    dtype: str = "float64"

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), math.prod(self.array.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: slice | Array) -> Array:
        rows = self.rows[key]
        x = np.asarray(self.array[rows], np.float64).reshape(len(rows), self.shape[1])
        return ((x - self.mean) / self.deviation).astype(self.dtype)

    def astype(self, dtype: str) -> Rows:
        return replace(self, dtype=dtype)


Examples = TypeVar("Examples", Array, Rows)


def blocks(x: Array | Rows) -> Iterator[slice]:
    """Slices of rows that each fit into memory with ease, from the first to the last."""
    size = max(1, BLOCK // max(1, math.prod(x.shape[1:])))
    return (slice(start, start + size) for start in range(0, len(x), size))


@dataclass(frozen=True)
class Scale:
    """How columns were shifted and scaled: scaled = (raw - mean) / deviation.

    >>> scale = Scale(mean=5.0, deviation=2.0)
    >>> scale.apply(9.0), scale.undo(2.0)
    (2.0, 9.0)
    """

    mean: Array | float = 0.0
    deviation: Array | float = 1.0

    def apply(self, raw: Any) -> Any:
        return (raw - self.mean) / self.deviation

    def undo(self, scaled: Any) -> Any:
        return scaled * self.deviation + self.mean


@dataclass(frozen=True)
class Column:
    """A column of a table that networks take in: one input of numbers, or one for each of its texts, 1 where it is.

    name: of its header; empty where the table has none
    place: which column of the table it is, from 0

    >>> Column("town", 1, ("Bonn", "Ulm")).inputs, Column("", 0).inputs
    (['town=Bonn', 'town=Ulm'], ['column 1'])
    """

    name: str
    place: int
    texts: tuple[str, ...] = ()

    @property
    def inputs(self) -> list[str]:
        """What its inputs are called."""
        name = self.name or f"column {self.place + 1}"
        return [f"{name}={text}" for text in self.texts] or [name]


@dataclass(frozen=True)
class Dataset:
    """Examples in float64, and what they are.

    x_train: [examples, inputs]; y_train: [examples] integer classes, or [examples, outputs] numbers, or None where
    there is no target; x_val, y_val: the same for validation, with no rows where nothing is held out.
    x_scale, y_scale: how inputs, and numbers to predict, were scaled
    class_names: what the classes 0, 1, ... are called, where that is not by their numbers
    columns, target: where there is a table, its columns of inputs, and the name of the one to predict
    """

    x_train: Array | Rows
    y_train: Array | None
    x_val: Array | Rows
    y_val: Array | None
    classes: int | None = None
    x_scale: Scale = Scale()
    y_scale: Scale = Scale()
    class_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    target: str = ""

    @property
    def inputs(self) -> int:
        return int(self.x_train.shape[1])

    @property
    def labels(self) -> tuple[str, ...]:
        """What each class is called; nothing where there are none.

        >>> x = np.zeros((2, 1))
        >>> Dataset(x, np.array([0, 1]), x[:0], np.empty(0, int), classes=2).labels
        ('0', '1')
        """
        return self.class_names or tuple(map(str, range(self.classes or 0)))

    @property
    def input_names(self) -> list[str]:
        """What each input is called: by its column, else by its number from 1."""
        named = [name for column in self.columns for name in column.inputs]
        return named or [f"input {i + 1}" for i in range(self.inputs)]

    @property
    def outputs(self) -> int:
        """How many outputs a network for it has: one per class, or per number to predict, or one."""
        if self.classes is not None:
            return self.classes
        return 1 if self.y_train is None else int(self.y_train.shape[1])

    def describe(self) -> str:
        """How many examples, inputs, and classes or numbers to predict, in words."""
        parts = [
            f"{len(self.x_train):,} training and {len(self.x_val):,} validation examples",
            f"{self.inputs} input{'s' * (self.inputs > 1)}",
        ]
        if self.classes is not None:
            parts.append(f"{self.classes} classes")
        elif self.y_train is not None:
            parts.append(f"{self.outputs} number{'s' * (self.outputs > 1)} to predict")
        return ", ".join(parts)


class DatasetConfig(Protocol):
    """A component of the group `data`: options, and how the dataset is loaded from them."""

    def load(self) -> Dataset: ...


DATASETS: Registry[type[DatasetConfig]] = Registry("data", implements(DatasetConfig))


def moments(x: Array | Rows) -> tuple[Array, Array]:
    """Mean and standard deviation of each column: [examples, inputs] -> [inputs], [inputs]; of a constant, 1."""
    mean = sum(x[block].sum(axis=0) for block in blocks(x)) / len(x)
    deviation = np.sqrt(sum(np.square(x[block] - mean).sum(axis=0) for block in blocks(x)) / len(x))
    # The mean of a constant column is off by up to a rounding error for each example.
    constant = deviation <= len(x) * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(constant, 1.0, deviation)


def standardized(train: Examples, val: Examples) -> tuple[Examples, Examples, Scale]:
    """Both shifted and scaled by the mean and deviation of the first, and how."""
    scale = Scale(*moments(train))

    def scaled(x: Any) -> Any:
        if isinstance(x, Rows):
            return replace(x, mean=scale.mean, deviation=scale.deviation)
        return scale.apply(x)

    return scaled(train), scaled(val), scale


@dataclass(frozen=True, kw_only=True)
class Split:
    """How examples are split and scaled; each dataset of classes has these options."""

    validation: float = option(0.2, "share of the examples held out for validation", at_least=0, below=1)
    standardize: bool = option(True, "shift and scale each input to mean 0 and deviation 1 on the training examples")
    seed: int = option(0, "which examples are held out; random datasets also their values", at_least=0)

    def split(self, x: Array, y: Array, parts: Sequence[Array] | None = None) -> Dataset:
        """Hold out a random share, and scale by what the training examples alone show.

        x: [examples, inputs]; where it is mapped from disk, it stays there: [examples, ...]
        y: [examples] classes 0, 1, ... as integers, or [examples] or [examples, outputs] float64 numbers
        parts: the numbers of the training and of the validation examples, where these are given and not drawn
        """
        train, val = self._drawn(len(x)) if parts is None else parts
        x_train: Any
        x_val: Any
        if isinstance(x, np.memmap):
            train, val = np.sort(train), np.sort(val)  # a disk is read from front to back
            x_train, x_val = Rows(x, train), Rows(x, val)
        else:
            x_train, x_val = x[train], x[val]
        scale = Scale()
        if self.standardize:
            x_train, x_val, scale = standardized(x_train, x_val)
        if y.dtype.kind == "f":
            y = y.reshape(len(y), -1)
            return Dataset(x_train, y[train], x_val, y[val], x_scale=scale)
        return Dataset(x_train, y[train], x_val, y[val], classes=int(y.max()) + 1, x_scale=scale)

    def _drawn(self, examples: int) -> Sequence[Array]:
        order = generator(self.seed, "split").permutation(examples)
        held_out = round(self.validation * examples)
        if held_out >= examples:
            raise ConfigError(
                f"data.validation={self.validation}: leaves no training example of {examples}; expected less"
            )
        return order[held_out:], order[:held_out]


@dataclass(frozen=True, kw_only=True)
class RegressionSplit(Split):
    """The options of a dataset that has numbers to predict."""

    standardize_target: bool = option(True, "shift and scale the numbers to predict in the same way")

    def split(self, x: Array, y: Array, parts: Sequence[Array] | None = None) -> Dataset:
        data = super().split(x, y, parts)
        if data.classes is not None or data.y_train is None or data.y_val is None or not self.standardize_target:
            return data
        y_train, y_val, scale = standardized(data.y_train, data.y_val)
        return replace(data, y_train=y_train, y_val=y_val, y_scale=scale)
