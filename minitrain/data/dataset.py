"""Examples for training and validation, and the interface of the datasets in the group `data`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from minitrain.data.rows import RowsOnDisk, Scale
from minitrain.errors import plural
from minitrain.registry import Registry, implements
from minitrain.typing import Array


@dataclass(frozen=True)
class Column:
    """A column of a table that is an input: one number, or a one-hot encoding of its categories.

    Attributes:
        name: Its name in the header; empty if the table has none.
        index: Its position in the table, from 0.
        categories: The strings that it contains, in sorted order; empty if it contains numbers.

    >>> Column("town", 1, ("Bonn", "Ulm")).input_names, Column("", 0).input_names
    (['town=Bonn', 'town=Ulm'], ['column 1'])
    """

    name: str
    index: int
    categories: tuple[str, ...] = ()

    @property
    def input_names(self) -> list[str]:
        """The names of its inputs: one, or one per category."""
        name = self.name or f"column {self.index + 1}"
        return [f"{name}={category}" for category in self.categories] or [name]


@dataclass(frozen=True)
class Dataset:
    """Examples in float64, split into training and validation, and their description.

    Attributes:
        x_train: [examples, inputs].
        y_train: [examples] classes as integers, or [examples, outputs] numbers, or None without a target.
        x_val, y_val: The same for validation; without rows if no example is held out.
        classes: The number of classes; None if the target is not a class.
        x_scale, y_scale: How inputs and numeric targets were scaled.
        class_names: The names of the classes 0, 1, ...; empty if those are their numbers.
        columns: The columns of the inputs, if the data come from a table.
        target: The name of the target's column, if the data come from a table with a header.
    """

    x_train: Array | RowsOnDisk
    y_train: Array | None
    x_val: Array | RowsOnDisk
    y_val: Array | None
    classes: int | None = None
    x_scale: Scale = Scale()
    y_scale: Scale = Scale()
    class_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    target: str = ""

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        return int(self.x_train.shape[1])

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each class, by default its number; empty if the target is not a class.

        >>> import numpy as np
        >>> x = np.zeros((2, 1))
        >>> Dataset(x, np.array([0, 1]), x[:0], np.empty(0, int), classes=2).labels
        ('0', '1')
        """
        return self.class_names or tuple(map(str, range(self.classes or 0)))

    @property
    def input_names(self) -> list[str]:
        """The name of each input: that of its column, or its number from 1."""
        column_names = [name for column in self.columns for name in column.input_names]
        return column_names or [f"input {i + 1}" for i in range(self.inputs)]

    @property
    def outputs(self) -> int:
        """The number of outputs of a network: one per class, one per numeric target, or one without a target."""
        if self.classes is not None:
            return self.classes
        return 1 if self.y_train is None else int(self.y_train.shape[1])

    def describe(self) -> str:
        """The number of examples, inputs, and classes or targets, as text."""
        parts = [
            f"{len(self.x_train):,} training and {len(self.x_val):,} validation examples",
            plural(self.inputs, "input"),
        ]
        if self.classes is not None:
            parts.append(f"{self.classes} classes")
        elif self.y_train is not None:
            parts.append(plural(self.outputs, "target"))
        return ", ".join(parts)


class DatasetConfig(Protocol):
    """A component of the group `data`: options, and how the dataset is loaded from them."""

    def load(self) -> Dataset:
        """Load or generate the examples; the same options always return the same values."""
        ...


DATASETS: Registry[type[DatasetConfig]] = Registry("data", implements(DatasetConfig))
