"""The options that datasets share: which examples are held out for validation, and how values are scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from minitrain.data.dataset import Dataset
from minitrain.data.preprocessing import Preprocessing, Scale
from minitrain.data.rows import RowsOnDisk, mean_and_deviation
from minitrain.errors import ConfigError
from minitrain.options import option
from minitrain.rng import generator
from minitrain.typing import Array


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Base class of datasets: options for the split and for scaling the inputs.

    The seed is independent of the run's seed, so that all runs of a sweep use the same examples.
    """

    validation: float = option(0.2, "fraction of the examples held out for validation", at_least=0, below=1)
    standardize: bool = option(True, "scale inputs to zero mean and unit variance on the training examples")
    seed: int = option(0, "seed of the split, and of the values of generated datasets", at_least=0)

    def split(self, x: Array, y: Array, indices: Sequence[Array] | None = None) -> Dataset:
        """Split examples into training and validation, and scale the inputs.

        Args:
            x: [examples, inputs]; or [examples, ...] mapped from disk, which is not loaded into memory.
            y: [examples] classes 0, 1, ... as integers, or [examples] or [examples, outputs] float64 numbers.
            indices: The indices of the training and of the validation examples; drawn at random if None.

        Raises:
            ConfigError: No training examples remain.
        """
        train, val = self._draw_indices(len(x)) if indices is None else indices
        x_train: Array | RowsOnDisk
        x_val: Array | RowsOnDisk
        if isinstance(x, np.memmap):
            train, val = np.sort(train), np.sort(val)  # the file is read from front to back
            x_train, x_val = RowsOnDisk(x, train), RowsOnDisk(x, val)
        else:
            x_train, x_val = x[train], x[val]
        scale = Scale()
        if self.standardize:
            scale = Scale(*mean_and_deviation(x_train))
            x_train, x_val = _scaled(x_train, scale), _scaled(x_val, scale)
        if y.dtype.kind == "f":
            y = y.reshape(len(y), -1)
            preprocessing = Preprocessing(int(x_train.shape[1]), targets=y.shape[1], x_scale=scale)
        else:
            preprocessing = Preprocessing(int(x_train.shape[1]), classes=int(y.max()) + 1, x_scale=scale)
        return Dataset(x_train, y[train], x_val, y[val], preprocessing)

    def _draw_indices(self, examples: int) -> Sequence[Array]:
        order = generator(self.seed, "split").permutation(examples)
        held_out = round(self.validation * examples)
        if held_out >= examples:
            raise ConfigError(
                f"data.validation={self.validation}: leaves no training examples out of {examples}; "
                "expected a smaller fraction"
            )
        return order[held_out:], order[:held_out]


@dataclass(frozen=True, kw_only=True)
class RegressionSplitOptions(SplitOptions):
    """Base class of datasets with numeric targets: options for scaling the targets, too."""

    standardize_target: bool = option(
        True, "scale numeric targets to zero mean and unit variance on the training examples"
    )

    def split(self, x: Array, y: Array, indices: Sequence[Array] | None = None) -> Dataset:
        """Split examples as `SplitOptions.split` does, and scale numeric targets."""
        data = super().split(x, y, indices)
        if not data.preprocessing.targets or data.y_train is None or data.y_val is None or not self.standardize_target:
            return data
        scale = Scale(*mean_and_deviation(data.y_train))
        preprocessing = replace(data.preprocessing, y_scale=scale)
        return replace(
            data, y_train=scale.apply(data.y_train), y_val=scale.apply(data.y_val), preprocessing=preprocessing
        )


def _scaled(x: Array | RowsOnDisk, scale: Scale) -> Array | RowsOnDisk:
    """Rows of `split`, scaled; those in memory are overwritten."""
    if isinstance(x, RowsOnDisk):
        return replace(x, scale=scale)
    return scale.apply(x, out=x if x.dtype.kind == "f" else None)
