"""Examples for training, validation and testing, and the interface of the datasets in the group `data`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from minitrain.data.fingerprint import Fingerprint
from minitrain.data.preprocessing import Preprocessing
from minitrain.data.rows import RowsOnDisk
from minitrain.registry import Registry, implements
from minitrain.typing import Array


@dataclass(frozen=True)
class Dataset:
    """Examples in float64, split into training, validation and test, and how they were encoded.

    Attributes:
        x_train: [examples, inputs].
        y_train: [examples] classes as integers; [examples, labels] truth values; [examples, targets] numbers; or None
            without a target.
        x_val, y_val: The same for validation; without rows if no example is held out.
        preprocessing: How raw examples were encoded as these.
        is_generated: Whether the values are a function of the options alone. They cannot change, but another processor
            may round them differently.
        notes: What was left out or replaced, for the description.
        x_test, y_test: The same for testing, which training does not use; None if no example is held back.

    >>> import numpy as np
    >>> x, y = np.zeros((2, 1)), np.array([0, 1])
    >>> Dataset(x, y, x[:0], y[:0], Preprocessing(inputs=1, classes=2)).describe()
    '2 training and 0 validation examples, 1 input, 2 classes'
    """

    x_train: Array | RowsOnDisk
    y_train: Array | None
    x_val: Array | RowsOnDisk
    y_val: Array | None
    preprocessing: Preprocessing
    is_generated: bool = False
    notes: tuple[str, ...] = ()
    x_test: Array | RowsOnDisk | None = None
    y_test: Array | None = None

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the examples and of how they were encoded."""
        parts = (self.x_train, self.y_train, self.x_val, self.y_val, self.x_test, self.y_test)
        return Fingerprint.compute(parts, self.preprocessing)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """The number of training examples of each class; empty if the target is not a class."""
        return self._count_classes(self.y_train)

    @property
    def held_out_class_counts(self) -> tuple[int, ...]:
        """The number of validation and test examples of each class; empty if the target is not a class."""
        return self._count_classes(self.y_val, self.y_test)

    def _count_classes(self, *targets: Array | None) -> tuple[int, ...]:
        classes = self.preprocessing.classes
        if classes is None:
            return ()
        counts = [np.bincount(y, minlength=classes) for y in targets if y is not None]
        return tuple(np.sum(counts, axis=0).tolist()) if counts else ()

    def describe(self) -> str:
        """The number of examples, inputs, and classes, labels or targets, as text."""
        train, val = f"{len(self.x_train):,} training", f"{len(self.x_val):,} validation"
        parts = [
            f"{train} and {val} examples"
            if self.x_test is None
            else f"{train}, {val} and {len(self.x_test):,} test examples",
            self.preprocessing.describe_inputs(),
        ]
        if self.preprocessing.has_target:
            parts.append(self.preprocessing.describe_target())
        return "; ".join([", ".join(parts), *self.notes])


def with_label_names(data: Dataset, names: tuple[str, ...]) -> Dataset:
    """The same data, whose classes 0, 1, ... or several labels have names; `names` is empty for other targets."""
    if data.preprocessing.multilabel:
        return replace(data, preprocessing=replace(data.preprocessing, multilabel=names))
    return replace(data, preprocessing=replace(data.preprocessing, class_names=names))


class DatasetConfig(Protocol):
    """A component of the group `data`: options, and how the dataset is loaded from them."""

    def load(self) -> Dataset:
        """Load or generate the examples; the same options always return the same values."""
        ...


@runtime_checkable
class FolderDataset(Protocol):
    """A dataset that reads other files than those that its options name: the files in a folder, or beside a file."""

    def files(self) -> Sequence[Path]:
        """The files that `load` reads."""
        ...


DATASETS: Registry[type[DatasetConfig]] = Registry("data", implements(DatasetConfig))
