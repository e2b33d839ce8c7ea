"""New examples from a file or from memory, as inputs of a network that was trained on a dataset."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minitrain.data.arrow_tables import FrameTable, is_frame, to_arrow
from minitrain.data.dialect import MISSING_NUMBERS, is_number
from minitrain.data.idx import is_idx, open_idx
from minitrain.data.image_files import is_image, list_images, read_images
from minitrain.data.image_format import ImageFormat
from minitrain.data.preprocessing import Column, Preprocessing, TableFormat
from minitrain.data.reading import reporting_errors, require_file, validate_array
from minitrain.data.table_files import open_table
from minitrain.data.tables import Table, TableFile
from minitrain.errors import ConfigError, abbreviate, plural
from minitrain.typing import Array

log = logging.getLogger("minitrain")


class NamedInputs(NamedTuple):
    """Inputs of new examples, not scaled.

    Attributes:
        inputs: [examples, inputs].
        files: The image file of each example, relative to the folder; empty if they come from one file of numbers.
    """

    inputs: Array
    files: tuple[str, ...] = ()


def read_named_inputs(path: str, preprocessing: Preprocessing, array: str = "x") -> NamedInputs:
    """The inputs in a file that `read_inputs` reads, in an image file, or in a folder of image files.

    Images in a folder are those in it and in its folders, such as one for each class.

    Args:
        path: The file or the folder.
        preprocessing: How the examples were encoded in training.
        array: The name of the inputs in an npz file.

    Raises:
        ConfigError: A file cannot be read, or its inputs are not those of the dataset.
    """
    is_folder = os.path.isdir(path)
    if not is_folder and not is_image(Path(path)):
        return NamedInputs(read_inputs(path, preprocessing, array))
    image = preprocessing.image
    if image is None:
        kind = "a folder" if is_folder else "an image file"
        raise ConfigError(
            f"FILE={path}: {kind}, and the run was not trained on images of a known size; expected a file of numbers"
        )
    place = require_file("FILE", path, "an image file, or a folder of them", or_folder=True)
    files = list_images("FILE", place) if is_folder else [place]
    x = read_images("FILE", files, image)
    names = (file.relative_to(place).as_posix() if is_folder else path for file in files)
    return NamedInputs(x.reshape(len(x), -1), tuple(names))


def read_inputs(path: str, preprocessing: Preprocessing, array: str = "x") -> Array:
    """The inputs in a table, npy, npz or idx file, not scaled: [examples, inputs].

    Columns of a table are identified by name if both the file and the dataset have names, otherwise by position. Other
    columns, such as the target, are ignored. Missing values are the means of the training examples; a string that the
    training data did not have is encoded as zeros. The numbers of both are logged.

    Args:
        path: The file.
        preprocessing: How the examples were encoded in training.
        array: The name of the inputs in an npz file.

    Raises:
        ConfigError: The file cannot be read, or its inputs are not those of the dataset.
    """
    if path.endswith((".npy", ".npz")):
        return validate_inputs(read_array(path, array), preprocessing, path)
    if os.path.isfile(path) and is_idx(Path(path)):
        return validate_inputs(open_idx("FILE", Path(path)).read(), preprocessing, path)
    return _read_table(*open_examples(path, preprocessing), preprocessing)


def convert_inputs(x: Any, preprocessing: Preprocessing) -> Array:
    """Examples in memory as inputs of a network, not scaled: [examples, inputs].

    Args:
        x: An array, lists, or a data frame, whose columns are used as those of a table in a file.
        preprocessing: How the examples were encoded in training.

    Raises:
        ConfigError: The examples are not inputs of the dataset.
    """
    if is_frame(x):
        table = FrameTable.of("x", to_arrow(x, "x"))
        return _read_table(table, _find_inputs(table, preprocessing), preprocessing)
    return validate_inputs(np.asarray(x), preprocessing, "x")


def _read_table(file: TableFile, inputs: Mapping[str, Column], preprocessing: Preprocessing) -> Array:
    """The inputs in a table, not scaled: [examples, inputs]."""
    texts = [name for name, column in inputs.items() if column.categories]
    table = file.read([name for name in inputs if name not in texts], texts)
    table.require_numbers()
    return encode_inputs(table, inputs, preprocessing)


def open_examples(path: str, preprocessing: Preprocessing) -> tuple[TableFile, dict[str, Column]]:
    """Open a table of new examples.

    Args:
        path: The file.
        preprocessing: How the examples were encoded in training.

    Returns:
        The file, and the inputs by the names of their columns in it.

    Raises:
        ConfigError: The file cannot be read, or its columns are not those of the dataset.
    """
    columns = _columns(preprocessing)
    rules = partial(_is_header, columns), {column.name for column in columns}.issubset
    file = open_table("FILE", path, preprocessing.table.options, *rules)
    return file, _find_inputs(file, preprocessing)


def _columns(preprocessing: Preprocessing) -> tuple[Column, ...]:
    """The columns of the inputs; without names if the data do not come from a table."""
    return preprocessing.columns or tuple(Column("", index) for index in range(preprocessing.inputs))


def _find_inputs(file: TableFile, preprocessing: Preprocessing) -> dict[str, Column]:
    """The inputs by the names of their columns in a table."""
    columns, names = _columns(preprocessing), file.header.columns
    if file.header.has_names and any(column.name for column in columns):
        return _match_names(file.name, names, columns)
    positions = _match_positions(file.name, len(names), columns, preprocessing.table)
    return {names[i]: column for i, column in zip(positions, columns, strict=True)}


def encode_inputs(table: Table, inputs: Mapping[str, Column], preprocessing: Preprocessing) -> Array:
    """The inputs in a table, not scaled: [rows, inputs].

    Args:
        table: A table that contains the columns.
        inputs: The inputs by the names of their columns in the table.
        preprocessing: How the examples were encoded in training.

    Raises:
        ConfigError: A cell is missing, and the training examples had no missing cells either.
    """
    for name, column in inputs.items():
        if column.categories:
            _log_unknown(table, name, column.categories)
    x = table.inputs({name: column.categories for name, column in inputs.items()})
    missing = np.isnan(x)
    if not missing.any():
        return x
    if not preprocessing.means:
        raise table.missing_error(int(missing.any(axis=1).argmax()))
    count = sum(int(table.is_missing(name).sum()) for name in inputs)
    log.info("%s replaced by means of the training examples", plural(count, "missing cell"))
    return np.where(missing, preprocessing.means, x)


def _is_header(columns: Sequence[Column], rows: Sequence[Sequence[str]], decimal: str) -> bool:
    """Whether the first row names the columns: it has all their names, or no value that an example can have."""
    names = {column.name for column in columns if column.name}
    if names and names <= set(rows[0]):
        return True
    if not names and all(column.categories for column in columns):
        return False
    known = MISSING_NUMBERS.union(*(column.categories for column in columns))
    return not any(cell in known or is_number(cell, decimal) for cell in rows[0])


def _match_names(path: str, names: Sequence[str], columns: Sequence[Column]) -> dict[str, Column]:
    """The columns of the inputs by their names in a file."""
    missing = [column.name for column in columns if column.name not in names]
    if missing:
        raise ConfigError(f"{path}: has no column {', '.join(missing)}; columns: {', '.join(names)}")
    return {column.name: column for column in columns}


def _match_positions(path: str, width: int, columns: Sequence[Column], table: TableFormat) -> Sequence[int]:
    """The positions of the inputs in a file: those of the training data, without its target, or all in their order."""
    without_target = [i for i in range(table.width) if i not in table.targets]
    indices = [column.index for column in columns]
    if width == len(columns):
        return range(width)
    if width == table.width:
        return indices
    if width == len(without_target):
        return [without_target.index(i) for i in indices]
    widths = {len(without_target): "without the target", table.width: "with the target"}
    others = "".join(f", or {count} {what}" for count, what in widths.items() if count > len(columns))
    raise ConfigError(
        f"{path}: {plural(width, 'column')}; expected {len(columns)}, the inputs in the order of training{others}"
    )


def _log_unknown(table: Table, name: str, categories: Sequence[str]) -> None:
    """Log the strings of a column that are encoded as zeros."""
    column = table.texts[name]
    unknown = [i for i, value in enumerate(column.values) if value not in categories]
    if unknown:
        count = int(np.isin(column.codes, unknown).sum())
        values = abbreviate(", ".join(column.values[i] for i in unknown))
        are = "values are" if count > 1 else "value is"
        log.info("column %s: %s %s not in the training data (%s); encoded as zeros", name, f"{count:,}", are, values)


def validate_inputs(x: Array, preprocessing: Preprocessing, name: str) -> Array:
    """An array [examples, ...] as finite numbers [examples, inputs]: of float64, or of any type if they are images.

    Args:
        x: The array.
        preprocessing: How the examples were encoded in training.
        name: The name of the array in messages.

    Raises:
        ConfigError: The type, the shape or a value is invalid.
    """
    image = preprocessing.image
    if image is not None and x.dtype.kind in "biuf" and x.size:
        return _validate_images(x, image, name)
    if x.dtype.kind not in "biuf" or not x.size or math.prod(x.shape[1:]) != preprocessing.inputs:
        problem = f"has shape {list(x.shape)}" if x.dtype.kind in "biuf" else f"has type {x.dtype}"
        raise ConfigError(f"{name}: {problem}; expected numbers [examples, {preprocessing.inputs}], as in training")
    x = x.reshape(len(x), -1).astype(np.float64, copy=False)
    _require_finite(x, name)
    return x


def _validate_images(x: Array, image: ImageFormat, name: str) -> Array:
    """An array of images as numbers [examples, inputs] of any type."""
    inputs = image.to_inputs(x)
    if inputs is None:
        shapes = " or ".join(f"[examples, {', '.join(map(str, shape))}]" for shape in image.array_shapes())
        raise ConfigError(f"{name}: has shape {list(x.shape)}; expected {shapes}, as in training")
    if inputs.dtype.kind == "f":
        _require_finite(inputs, name)
        if image.white > 1 and 0 < inputs.max() <= 1:
            raise ConfigError(
                f"{name}: has values up to {inputs.max():g}, and the images of training had pixels up to "
                f"{image.white}; multiply by {image.white}"
            )
    return inputs


def _require_finite(x: Array, name: str) -> None:
    invalid = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(invalid):
        raise ConfigError(f"{name}[{invalid[0]}]: contains NaN or Inf; remove or replace it")


def read_array(path: str, name: str) -> Array:
    """The array in an npy file, or one of an npz file by its name.

    Raises:
        ConfigError: The file cannot be read, or does not contain the array.
    """
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
