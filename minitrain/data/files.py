"""Datasets from NumPy's files of the user: npz and npy. Paths are relative to the current directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minitrain.data.dataset import Dataset, with_label_names
from minitrain.data.image_format import AXES, ImageFormat, to_channels_first
from minitrain.data.reading import reporting_errors, require_file, validate_array
from minitrain.data.rows import row_blocks
from minitrain.data.targets import FileOptions
from minitrain.errors import ConfigError
from minitrain.options import option
from minitrain.registry import register
from minitrain.typing import Array


class NamedArray(NamedTuple):
    """An array, and its name in messages."""

    name: str
    array: Array


@dataclass(frozen=True, kw_only=True)
class ArrayOptions(FileOptions):
    """Base class of datasets from arrays, whose examples may be images."""

    axes: str | None = option(
        None,
        "axes of an example that is an image: height, width (hw), channels last (hwc) or channels first (chw); images "
        "have one mean and deviation per channel; null: an example is a list of numbers",
        choices=AXES,
    )


@register("data", "npz")
@dataclass(frozen=True)
class NPZ(ArrayOptions):
    """Two arrays of an npz file: x [examples, ...] and y [examples] or [examples, outputs].

    If x_val and y_val name two more arrays, those are the validation examples, and all of x is used for training,
    except the share that `test` holds back. Pickled objects are rejected.
    """

    path: str | None = option(None, "path of the file, relative to the current directory; required", is_path=True)
    x: str = option("x", "name of the array of inputs")
    y: str = option("y", "name of the array of targets")
    x_val: str | None = option(None, "name of the array of validation inputs; null: a fraction of x is held out")
    y_val: str | None = option(None, "name of the array of validation targets")

    def load(self) -> Dataset:
        """Read the arrays.

        Raises:
            ConfigError: The file or an array is missing or invalid.
        """
        if (self.x_val is None) != (self.y_val is None):
            raise ConfigError(f"data.x_val={self.x_val}, data.y_val={self.y_val}: expected names for both, or neither")
        if self.x_val is None:
            x, y = self._read_arrays("x", "y")
            return split_arrays(self, x, y)
        return join_arrays(self, self._read_arrays("x", "y"), self._read_arrays("x_val", "y_val"))

    def _read_arrays(self, *keys: str) -> list[NamedArray]:
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
                    available = ", ".join(arrays) or "none"
                    raise ConfigError(f"data.{key}={name}: {self.path} has no such array; arrays: {available}")
            return [NamedArray(f"{self.path} {name}", validate_array(arrays[name], name)) for name in names.values()]


@register("data", "npy")
@dataclass(frozen=True)
class NPY(ArrayOptions):
    """Two npy files: x [examples, ...] and y [examples] or [examples, outputs].

    x stays on disk and may be larger than memory: it is read up to three times at the start, to validate and to scale
    it, and batch by batch during training. Pickled objects are rejected.
    """

    x: str | None = option(
        None, "path of the file of inputs, relative to the current directory; required", is_path=True
    )
    y: str | None = option(
        None, "path of the file of targets, relative to the current directory; required", is_path=True
    )

    def load(self) -> Dataset:
        """Map x from disk and read y.

        Raises:
            ConfigError: A file is missing or invalid.
        """
        x, y = _map_file("data.x", self.x), _map_file("data.y", self.y)
        return split_arrays(self, NamedArray(str(self.x), x), NamedArray(str(self.y), np.array(y)))


def _map_file(key: str, name: str | None) -> Array:
    """The array of an npy file, mapped from disk."""
    path = require_file(key, name, "an npy file")
    with reporting_errors(key, path, "one array of plain numbers, as np.save writes it"):
        return np.lib.format.open_memmap(path, mode="r")


def split_arrays(options: ArrayOptions, x: NamedArray, y: NamedArray, columns: Sequence[str] = ()) -> Dataset:
    """The dataset of two arrays, of which a fraction is held out.

    Args:
        options: The options of the dataset.
        x: Inputs [examples, ...].
        y: Targets [examples] or [examples, outputs].
        columns: The names of the columns of y; by default 0, 1, ...

    Raises:
        ConfigError: An array is invalid.
    """
    raw_inputs, raw_target = _validate_examples(x, y)
    target, names = options.encode_array(raw_target, y.name, columns)
    inputs, image = _arrange_inputs(options, NamedArray(x.name, raw_inputs))
    return with_label_names(options.split(inputs, target, image=image), names)


def join_arrays(
    options: ArrayOptions, train: Sequence[NamedArray], val: Sequence[NamedArray], columns: Sequence[str] = ()
) -> Dataset:
    """The dataset of the arrays x and y for training and for validation; see `split_arrays`."""
    (x, y), (x_val, y_val) = _validate_examples(*train), _validate_examples(*val)
    if x_val.shape[1:] != x.shape[1:] or y_val.shape[1:] != y.shape[1:]:
        shapes = " and ".join(f"{name} has shape {list(array.shape)}" for name, array in (*train, *val))
        raise ConfigError(f"{shapes}; expected examples of the same shape for validation as for training")
    if options.axes is not None and x_val.dtype != x.dtype:
        raise ConfigError(
            f"{train[0].name} has type {x.dtype} and {val[0].name} {x_val.dtype}; expected images of one type"
        )
    target, names = options.encode_array(np.concatenate([y, y_val]), train[1].name, columns)
    partition = options.take_partition(target, len(y))
    inputs, image = _arrange_inputs(options, NamedArray(train[0].name, np.concatenate([x, x_val])))
    return with_label_names(options.split(inputs, target, partition, image), names)


def _arrange_inputs(options: ArrayOptions, x: NamedArray) -> tuple[Array, ImageFormat | None]:
    """Inputs as `split` takes them: images [examples, channels, height, width] and their format, or float64 numbers.

    Numbers that are mapped from disk stay as they are.
    """
    name, array = x
    if options.axes is None:
        is_on_disk = isinstance(array, np.memmap)
        return array if is_on_disk else array.reshape(len(array), -1).astype(np.float64), None
    if array.ndim != len(options.axes) + 1:
        expected = ", ".join({"h": "height", "w": "width", "c": "channels"}[axis] for axis in options.axes)
        raise ConfigError(
            f"data.axes={options.axes}: {name} has shape {list(array.shape)}; expected [examples, {expected}]"
        )
    images = to_channels_first(array, options.axes)
    if not isinstance(array, np.memmap):
        images = np.ascontiguousarray(images)
    return images, ImageFormat.of(images, channels_last=options.axes != "chw")


def _validate_examples(x: NamedArray, y: NamedArray) -> tuple[Array, Array]:
    """Inputs and targets of equal numbers of examples, with valid values."""
    _validate_values(x)
    _validate_values(y, "biufU")
    inputs, target = x.array, y.array
    if len(inputs) != len(target) or target.ndim > 2:
        raise ConfigError(
            f"{x.name} has shape {list(inputs.shape)} and {y.name} has shape {list(target.shape)}; expected the same "
            "number of examples in both, y [examples] or [examples, outputs]"
        )
    return inputs, target


def _validate_values(values: NamedArray, kinds: str = "biuf") -> None:
    """Raise ConfigError unless an array contains finite numbers, or strings if `kinds` has U; at least one example."""
    name, array = values
    if array.dtype.kind not in kinds:
        raise ConfigError(f"{name}: has type {array.dtype}; expected numbers")
    if array.ndim == 0 or array.size == 0:
        raise ConfigError(f"{name}: has shape {list(array.shape)}; expected [examples, ...] with at least one example")
    if array.dtype.kind == "U":
        try:
            "".join(array.ravel().tolist()).encode()
        except (SystemError, ValueError) as error:  # surrogates, or code points beyond Unicode
            raise ConfigError(f"{name}: contains invalid Unicode; remove or replace it") from error
    for block in row_blocks(array) if array.dtype.kind == "f" else ():
        finite = np.isfinite(array[block]).reshape(len(array[block]), -1).all(axis=1)
        if not finite.all():
            index = block.start + int(finite.argmin())
            raise ConfigError(f"{name}[{index}]: contains NaN or Inf; remove or replace it")
