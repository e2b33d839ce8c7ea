"""The options that datasets share: which examples are held out, and how values are scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from minitrain.data.dataset import Dataset
from minitrain.data.image_format import ImageFormat
from minitrain.data.partition import Partition, draw_fold, hold_out
from minitrain.data.preprocessing import Preprocessing, Scale
from minitrain.data.rows import ImageRows, RowsOnDisk, mean_and_deviation
from minitrain.errors import ConfigError, plural
from minitrain.options import option, options
from minitrain.rng import generator
from minitrain.typing import Array


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Base class of datasets: options for the split and for scaling the inputs.

    The seed is independent of the run's seed, so that all runs of a sweep use the same examples.
    """

    validation: float = option(
        0.2, "fraction of the examples held out for validation; folds replace it", at_least=0, below=1
    )
    test: float = option(
        0.0, "fraction of the examples held back for minitrain evaluate, which training never uses", at_least=0, below=1
    )
    folds: int | None = option(
        None, "cross-validation: the examples that are not for testing are divided into this many folds", at_least=2
    )
    fold: int | None = option(None, "the fold that is held out for validation, from 0", at_least=0)
    stratify: bool = option(True, "hold out the same fraction of each class; false: a fraction of all examples")
    standardize: bool = option(True, "scale inputs to zero mean and unit variance on the training examples")
    seed: int = option(0, "seed of the split, and of the values of generated datasets", at_least=0)

    def split(
        self, x: Array, y: Array, partition: Partition | None = None, image: ImageFormat | None = None
    ) -> Dataset:
        """Split examples into training, validation and test, and scale the inputs.

        Images have one mean and one deviation per channel. If they are not standardized, white is 1.

        Args:
            x: [examples, inputs]; or [examples, ...] mapped from disk, which is not loaded into memory; or images
                [examples, channels, height, width].
            y: [examples] classes 0, 1, ... as integers; [examples, labels] truth values; or [examples] or
                [examples, outputs] float64 numbers.
            partition: The examples of each part; drawn at random if None.
            image: The format of the images, if x has images.

        Raises:
            ConfigError: No training examples remain, or the options contradict each other.
        """
        partition = self.draw_partition(y) if partition is None else partition
        parts: Sequence[Array | RowsOnDisk]
        if isinstance(x, np.memmap) or image is not None:
            partition = Partition(*map(np.sort, partition))  # the file is read from front to back
            parts = [RowsOnDisk(x, rows) if image is None else ImageRows(x, rows) for rows in partition]
        else:
            parts = [x[rows] for rows in partition]
        scale = Scale()
        if self.standardize or image is not None:
            scale = self._fit_scale(parts[0], image)
            parts = [_scaled(part, scale) for part in parts]
        x_train, x_val, x_test = parts
        if y.dtype.kind == "f":
            y = y.reshape(len(y), -1)
            preprocessing = Preprocessing(int(x_train.shape[1]), targets=y.shape[1], x_scale=scale)
        elif y.ndim == 2:
            names = tuple(map(str, range(y.shape[1])))
            preprocessing = Preprocessing(int(x_train.shape[1]), multilabel=names, x_scale=scale)
        else:
            preprocessing = Preprocessing(int(x_train.shape[1]), classes=int(y.max()) + 1, x_scale=scale)
        preprocessing = replace(preprocessing, image=image)
        train, val, test = partition
        if not len(test):
            return Dataset(x_train, y[train], x_val, y[val], preprocessing)
        return Dataset(x_train, y[train], x_val, y[val], preprocessing, x_test=x_test, y_test=y[test])

    def _fit_scale(self, x_train: Array | RowsOnDisk, image: ImageFormat | None) -> Scale:
        """How inputs are scaled, by the training examples."""
        if not isinstance(x_train, ImageRows) or image is None:
            return Scale(*mean_and_deviation(x_train))
        if not self.standardize:
            return Scale(deviation=float(image.white or 1))
        mean, deviation = x_train.mean_and_deviation()
        if image.channels == 1:
            return Scale(float(mean[0]), float(deviation[0]))
        return Scale(np.repeat(mean, image.pixels), np.repeat(deviation, image.pixels))

    def draw_partition(self, y: Array) -> Partition:
        """Draw the examples for training, validation and testing.

        Args:
            y: The targets, as of `split`; only classes can be stratified.

        Raises:
            ConfigError: No training examples remain, or the options contradict each other.
        """
        is_class = y.ndim == 1 and y.dtype.kind != "f"
        classes = y.astype(np.intp, copy=False) if self.stratify and is_class else None
        self._check_fold()
        order = generator(self.seed, "split").permutation(len(y))
        held_out = round(self.validation * len(y)) if self.folds is None else 0
        held_back = self._count_test_examples(len(y))
        self._check_training_examples(len(y) - held_back - held_out, len(y), classes)
        test, others = hold_out(order, held_back, classes)
        if self.folds is None or self.fold is None:
            val, train = hold_out(others, held_out, classes)
        elif self.folds > len(others):
            raise ConfigError(f"data.folds={self.folds}: expected at most {len(others)}, the number of examples")
        else:
            val, train = draw_fold(others, self.fold, self.folds, classes)
        return Partition(train, val, test)

    def take_partition(self, y: Array, training: int) -> Partition:
        """The partition of examples whose last ones are for validation; the test share is drawn from the others.

        Args:
            y: The targets of all examples.
            training: The number of examples that are not for validation; they keep their order.

        Raises:
            ConfigError: The options contradict each other.
        """
        self._check_fold()
        if self.folds is not None:
            raise ConfigError(
                f"data.folds={self.folds}: the data have validation examples of their own; leave out data.folds and "
                "data.fold"
            )
        train, _, test = replace(self, validation=0.0).draw_partition(y[:training])
        return Partition(np.sort(train), np.arange(training, len(y)), np.sort(test))

    def _check_fold(self) -> None:
        """Raise ConfigError if the options of cross-validation contradict each other or `validation`."""
        if self.folds is None and self.fold is None:
            return
        if self.folds is None:
            raise ConfigError(f"data.fold={self.fold}: requires the number of folds; set data.folds=5")
        if self.fold is None:
            raise ConfigError(
                f"data.folds={self.folds}: requires the fold of the run; set data.fold=0, or train all folds: "
                f"-m data.folds={self.folds} 'data.fold=range({self.folds})'"
            )
        if self.fold >= self.folds:
            raise ConfigError(
                f"data.fold={self.fold}: expected at most {self.folds - 1}, for data.folds={self.folds}; the first is 0"
            )
        cls: type = type(self)
        if self.validation != options(cls)["validation"].default:
            raise ConfigError(
                f"data.validation={self.validation}: with data.folds={self.folds}, the fold is used for validation; "
                "leave out data.validation"
            )

    def _count_test_examples(self, examples: int) -> int:
        count = round(self.test * examples)
        if self.test and not count:
            raise ConfigError(
                f"data.test={self.test}: less than one of {plural(examples, 'example')}; expected a larger fraction"
            )
        return count

    def _check_training_examples(self, remaining: int, examples: int, classes: Array | None) -> None:
        """Raise ConfigError if no training examples remain, or, stratified, fewer than classes."""
        parts = [f"data.validation={self.validation}"] if self.folds is None and self.validation else []
        parts += [f"data.test={self.test}"] if self.test else []
        shares = ", ".join(parts)
        if self.folds is None and self.validation + self.test >= 1:
            raise ConfigError(f"{shares}: leave no training examples; expected a sum below 1")
        if remaining < 1:
            raise ConfigError(f"{shares}: leaves no training examples out of {examples}; expected a smaller fraction")
        if not parts or classes is None:
            return
        present = np.count_nonzero(np.bincount(classes))
        if remaining < present:
            raise ConfigError(
                f"{shares}: leaves {plural(remaining, 'training example')} for {present} classes; expected a smaller "
                "fraction, or data.stratify=false"
            )


@dataclass(frozen=True, kw_only=True)
class RegressionSplitOptions(SplitOptions):
    """Base class of datasets with numeric targets: options for scaling the targets, too."""

    standardize_target: bool = option(
        True, "scale numeric targets to zero mean and unit variance on the training examples"
    )

    def split(
        self, x: Array, y: Array, partition: Partition | None = None, image: ImageFormat | None = None
    ) -> Dataset:
        """Split examples as `SplitOptions.split` does, and scale numeric targets."""
        data = super().split(x, y, partition, image)
        if not data.preprocessing.targets or data.y_train is None or data.y_val is None or not self.standardize_target:
            return data
        scale = Scale(*mean_and_deviation(data.y_train))
        preprocessing = replace(data.preprocessing, y_scale=scale)
        return replace(
            data,
            y_train=scale.apply(data.y_train),
            y_val=scale.apply(data.y_val),
            y_test=None if data.y_test is None else scale.apply(data.y_test),
            preprocessing=preprocessing,
        )


def check_validation_is_default(data: SplitOptions, source: object, advice: str) -> None:
    """Check that no fraction of the examples was asked for if a dataset has validation examples of its own.

    Args:
        data: The dataset.
        source: Where its validation examples are.
        advice: The option that holds out a fraction instead.

    Raises:
        ConfigError: `validation` is not the default.
    """
    cls: type = type(data)
    if data.validation != options(cls)["validation"].default:
        raise ConfigError(
            f"data.validation={data.validation:g}: the validation examples are those of {source}; set {advice} to hold "
            "out a fraction of the training examples"
        )


def _scaled(x: Array | RowsOnDisk, scale: Scale) -> Array | RowsOnDisk:
    """Rows of `split`, scaled; those in memory are overwritten."""
    if isinstance(x, RowsOnDisk):
        return replace(x, scale=scale)
    return scale.apply(x, out=x if x.dtype.kind == "f" else None)
