"""Rows of examples: arrays on disk that are read and scaled on access, and the mean and deviation of columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from minitrain.data.preprocessing import Scale
from minitrain.typing import Array

BLOCK_SIZE = 2**22  # numbers in one block of an array that may be larger than memory: 32 MiB in float64

IMAGE_BLOCK_SIZE = 2**17  # the same for `ImageRows`: convolutions take many times the memory of the block

SMALLEST_DEVIATION = 1e-140  # its square is a normal number


@dataclass(frozen=True)
class RowsOnDisk:
    """Some rows of an array on disk, which are read and scaled on access; otherwise used like an array.

    `x[key]` reads `array[rows[key]]`, flattens it to [len(key), inputs], scales it and converts it to `dtype`.

    Attributes:
        array: [examples, ...], mapped from disk.
        rows: [rows], the indices of the examples.
        scale: How the inputs are scaled.
        dtype: The type of the values that indexing returns.

    >>> x = RowsOnDisk(np.arange(12).reshape(4, 3), np.array([0, 3]))
    >>> x.shape, x[1:]
    ((2, 3), array([[ 9., 10., 11.]]))
    """

    array: Array
    rows: Array
    scale: Scale = Scale()
    dtype: str = "float64"

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows, and of inputs in each."""
        return len(self.rows), math.prod(self.array.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: slice | Array) -> Array:
        rows = self.rows[key]
        x = np.asarray(self.array[rows], np.float64).reshape(len(rows), self.shape[1])
        return self.scale.apply(x).astype(self.dtype)

    def astype(self, dtype: str) -> RowsOnDisk:
        """The same rows, converted to another type on access."""
        return replace(self, dtype=dtype)


class ImageRows(RowsOnDisk):
    """Some images of an array [examples, channels, height, width], whose pixels keep their type until they are used.

    Unsigned pixels of 1 or 2 bytes are scaled by a table of the few values that they can have, which is faster than
    arithmetic and has the same results.

    >>> images = ImageRows(np.array([[[[0, 255]]], [[[51, 0]]]], np.uint8), np.array([1, 0]), Scale(0.0, 255.0))
    >>> images[:]
    array([[0.2, 0. ],
           [0. , 1. ]])
    """

    @property
    def channels(self) -> int:
        """The number of channels."""
        return int(self.array.shape[1])

    def __getitem__(self, key: slice | Array) -> Array:
        if not self._levels:
            return super().__getitem__(key)
        pixels = self.pixels(key)
        x = np.empty(pixels.shape, self.dtype)
        for channel, table in enumerate(self._tables):
            x[:, channel] = table.take(pixels[:, channel], mode="clip")  # without a check of every index
        return x.reshape(len(x), -1)

    def pixels(self, key: slice | Array) -> Array:
        """Images as they are stored, neither scaled nor converted: [len(key), channels, height, width]."""
        return self.array[self.rows[key]]

    def mean_and_deviation(self) -> tuple[Array, Array]:
        """Mean and standard deviation of each channel before scaling: [channels] each; 1 for a constant channel."""
        if not self._levels:
            return mean_and_deviation(replace(self, scale=Scale(), dtype="float64"), self.channels)
        counts = np.zeros((self.channels, self._levels), np.int64)
        for block in row_blocks(self):
            pixels = self.pixels(block)
            for channel in range(self.channels):
                counts[channel] += np.bincount(pixels[:, channel].ravel(), minlength=self._levels)
        values, shares = np.arange(self._levels), counts / counts[0].sum()
        mean = shares @ values
        deviation = np.sqrt((shares * (values - mean[:, np.newaxis]) ** 2).sum(axis=1))
        return mean, np.where(np.count_nonzero(counts, axis=1) == 1, 1.0, deviation)

    @property
    def _levels(self) -> int:
        """How many values a pixel can have; 0 if there are too many for a table."""
        dtype = self.array.dtype
        return 2 ** (8 * dtype.itemsize) if dtype.kind == "u" and dtype.itemsize <= 2 else 0

    @cached_property
    def _tables(self) -> Array:
        """The scaled value of each value of a pixel: [channels, levels]."""
        pixels = self.shape[1] // self.channels
        of_channels = (
            np.broadcast_to(part, self.shape[1])[::pixels] for part in (self.scale.mean, self.scale.deviation)
        )
        mean, deviation = (values[:, np.newaxis] for values in of_channels)
        return Scale(mean, deviation).apply(np.arange(self._levels, dtype=np.float64)).astype(self.dtype)


def row_blocks(x: Array | RowsOnDisk) -> Iterator[slice]:
    """Slices that cover the rows of x in order, each of at most `BLOCK_SIZE` numbers or of one row."""
    most = IMAGE_BLOCK_SIZE if isinstance(x, ImageRows) else BLOCK_SIZE
    size = max(1, most // max(1, math.prod(x.shape[1:])))
    return (slice(start, start + size) for start in range(0, len(x), size))


def mean_and_deviation(x: Array | RowsOnDisk, channels: int | None = None) -> tuple[Array, Array]:
    """Mean and standard deviation of each column, or of each channel of images, computed block by block.

    A column whose squares leave the range of float64 is divided by a power of two first, which rounds nothing: a column
    times 1e200 has the mean and the deviation times 1e200.

    Args:
        x: [examples, inputs].
        channels: The number of channels, if the inputs are the pixels of images, one channel after another.

    Returns:
        [inputs] each, or [channels]. The deviation of a constant column is 1, so that scaling it results in 0.

    >>> mean_and_deviation(np.array([[0.0, 2e-200, -1e308], [4.0, 6e-200, 1e308]]))
    (array([2.e+000, 4.e-200, 0.e+000]), array([2.e+000, 2.e-200, 1.e+308]))
    """
    rows = len(x) if channels is None else len(x) * (x.shape[1] // channels)

    def blocks() -> Iterator[Array]:
        for block in row_blocks(x):
            yield x[block] if channels is None else _channels_as_columns(x[block], channels)

    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = _moments(blocks, rows)
    is_tiny = np.maximum(np.abs(mean), deviation) < SMALLEST_DEVIATION
    extreme = np.flatnonzero(~np.isfinite(mean) | ~np.isfinite(deviation) | is_tiny)
    unit: Array | float = 1.0
    if len(extreme):
        largest = np.max([np.abs(block[:, extreme]).max(axis=0) for block in blocks()], axis=0)
        unit = np.ldexp(1.0, np.frexp(largest)[1] - 1)
        mean[extreme], deviation[extreme] = _moments(lambda: (block[:, extreme] / unit for block in blocks()), rows)
    # The mean of a constant column is off by up to one rounding error per example.
    constant = deviation <= rows * np.finfo(np.float64).eps * np.abs(mean)
    mean[extreme] *= unit
    deviation[extreme] *= unit
    return mean, np.where(constant, 1.0, deviation)


def _channels_as_columns(x: Array, channels: int) -> Array:
    """Images [examples, inputs] as [examples * pixels, channels]."""
    return x.reshape(len(x), channels, -1).transpose(0, 2, 1).reshape(-1, channels)


def _moments(blocks: Callable[[], Iterator[Array]], count: int) -> tuple[Array, Array]:
    """Mean and standard deviation of the columns of blocks, which have `count` rows together."""
    mean = sum(block.sum(axis=0) for block in blocks()) / count
    squares = 0.0
    for block in blocks():
        difference = block - mean
        squares += np.square(difference, out=difference).sum(axis=0)
    return mean, np.sqrt(squares / count)


def mean_of_columns(x: Array, rows: Array) -> Array:
    """The mean of the values of each column that are not NaN in some rows: [inputs]; 0 if there are none.

    >>> mean_of_columns(np.array([[1.0, np.nan], [3.0, np.nan], [8.0, 1.0]]), np.array([0, 1]))
    array([2., 0.])
    """
    total, count = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    unit = 0.5 ** len(rows).bit_length()
    for block in row_blocks(x):
        values = x[rows[block]]
        missing = np.isnan(values)
        values[missing] = 0
        values *= unit  # a sum of large values can exceed the range of float64
        total += values.sum(axis=0)
        count += len(values) - missing.sum(axis=0)
    return total / np.maximum(count, 1) / unit
