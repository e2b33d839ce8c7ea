"""New examples with their targets from a file, as a trained network is evaluated on them."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from minitrain.data.idx import is_idx
from minitrain.data.idx_dataset import open_pair
from minitrain.data.image_files import is_image
from minitrain.data.inputs import encode_inputs, open_examples, read_array, read_named_inputs, validate_inputs
from minitrain.data.preprocessing import Preprocessing, TableFormat
from minitrain.data.tables import Table, TableFile
from minitrain.data.targets import as_texts, known_classes, numbers_of_target
from minitrain.errors import ConfigError, plural
from minitrain.typing import Array

log = logging.getLogger("minitrain")


def read_examples(
    path: str, preprocessing: Preprocessing, targets: Sequence[str] = (), arrays: tuple[str, str] = ("x", "y")
) -> tuple[Array, Array]:
    """The inputs and the targets in a table, an npz or idx file, or a folder of image files.

    Columns of a table are identified by name if both the file and the dataset have names, otherwise by position; if the
    dataset is not a table, the target follows the inputs. Rows without a target are left out, and their number is
    logged; see `read_inputs` for the inputs. The labels of an idx file are in the one beside it, those of image files
    are the names of their folders.

    Args:
        path: The file.
        preprocessing: How the examples were encoded in training; they have a target.
        targets: The names of the target's columns in a table.
        arrays: The names of the inputs and of the targets in an npz file.

    Returns:
        The inputs, not scaled: [examples, inputs]; and the classes [examples], the labels as truth values
        [examples, labels], or the numbers [examples, targets].

    Raises:
        ConfigError: The file cannot be read, has other columns, or a class that the dataset does not have.
    """
    if path.endswith(".npy"):
        raise ConfigError(
            f"{path}: an npy file has no target; expected a table, or an npz file with arrays {' and '.join(arrays)}"
        )
    if path.endswith(".npz"):
        x = validate_inputs(read_array(path, arrays[0]), preprocessing, f"{path} {arrays[0]}")
        return x, _encode_array(read_array(path, arrays[1]), len(x), preprocessing, f"{path} {arrays[1]}")
    if os.path.isdir(path) or is_image(Path(path)):
        return _read_folder(path, preprocessing)
    if os.path.isfile(path) and is_idx(Path(path)):
        images, labels = open_pair("FILE", Path(path), "FILE", advice="give an npz file with images and labels")
        x = validate_inputs(images.read(), preprocessing, path)
        return x, _encode_array(labels.read(), len(x), preprocessing, str(labels.path))
    return _read_table(path, _with_table(preprocessing), targets)


# Arrays and images


def _read_folder(path: str, preprocessing: Preprocessing) -> tuple[Array, Array]:
    """The inputs and classes of image files in a folder for each class."""
    x, files = read_named_inputs(path, preprocessing)
    names = [file.rpartition("/")[0] for file in files]
    if not os.path.isdir(path) or "" in names or preprocessing.classes is None:
        raise ConfigError(f"{path}: expected a folder with a folder of images for each class, whose name is the class")
    values, classes = np.unique(names, return_inverse=True)
    return x, known_classes(values.tolist(), preprocessing.labels, path)[classes]


def _encode_array(y: Array, examples: int, preprocessing: Preprocessing, name: str) -> Array:
    """The targets in an array."""
    columns = 1 if y.ndim == 1 else y.shape[-1]
    count = _target_columns(preprocessing)
    expected = {1, preprocessing.classes} if preprocessing.classes is not None else {count}
    if y.ndim not in (1, 2) or len(y) != examples or columns not in expected:
        shape = f"[{examples}]" if 1 in expected else f"[{examples}, {count}]"
        raise ConfigError(f"{name}: has shape {list(y.shape)}; expected {shape}, a target for each example")
    if preprocessing.classes is not None and columns == 1:
        values, classes = np.unique(y.ravel(), return_inverse=True)
        return known_classes(as_texts(values), preprocessing.labels, name)[classes]
    if y.dtype.kind not in "biuf" or not np.isfinite(y).all():
        raise ConfigError(f"{name}: contains values that are not finite numbers; correct or remove them")
    return _encode_numbers(y.reshape(examples, columns).astype(np.float64), preprocessing, name)


def _encode_numbers(y: Array, preprocessing: Preprocessing, name: str) -> Array:
    """Numbers [examples, columns] as they are, as labels, or the classes of one-hot rows."""
    if preprocessing.multilabel:
        if not np.isin(y, (0, 1)).all():
            raise ConfigError(f"{name}: expected labels, each 0 or 1, as in training")
        return y == 1
    if preprocessing.classes is None:
        return y
    if not np.isin(y, (0, 1)).all() or (y.sum(axis=1) != 1).any():
        raise ConfigError(f"{name}: expected one-hot rows (a single 1, else 0), as in training")
    return y.argmax(axis=1)


def _target_columns(preprocessing: Preprocessing) -> int:
    """The number of columns of the target; one-hot classes may have more."""
    return preprocessing.targets or len(preprocessing.multilabel) or 1


# Tables


def _with_table(preprocessing: Preprocessing) -> Preprocessing:
    """The preprocessing with a table in which the target follows the inputs, if the dataset is not a table."""
    if preprocessing.table.width:
        return preprocessing
    targets = range(preprocessing.inputs, preprocessing.inputs + _target_columns(preprocessing))
    return replace(preprocessing, table=TableFormat(width=targets.stop, targets=tuple(targets)))


def _read_table(path: str, preprocessing: Preprocessing, targets: Sequence[str]) -> tuple[Array, Array]:
    file, inputs = open_examples(path, preprocessing)
    names = _find_targets(file, preprocessing, targets)
    is_text = preprocessing.classes is not None and len(names) == 1
    texts = [name for name, column in inputs.items() if column.categories]
    texts += names if is_text or preprocessing.multilabel else []
    table = file.read([name for name in (*inputs, *names) if name not in texts], texts)
    table.require_numbers()
    rows = _rows_with_target(table, names)
    x, source = encode_inputs(table, inputs, preprocessing)[rows], f"{path} column {', '.join(names)}"
    if not is_text:
        return x, _encode_numbers(
            np.stack([numbers_of_target(table, name) for name in names], axis=1)[rows], preprocessing, source
        )
    column, options = table.texts[names[0]], preprocessing.table.options
    decimals = options.likely_decimal or ".", file.dialect.decimal
    return x, known_classes(column.values, preprocessing.labels, source, decimals)[column.codes[rows]]


def _find_targets(file: TableFile, preprocessing: Preprocessing, targets: Sequence[str]) -> list[str]:
    """The names of the target's columns in a file."""
    columns = file.header.columns
    if file.header.has_names and preprocessing.target:
        if missing := [name for name in targets if name not in columns]:
            raise ConfigError(
                f"{file.name}: has no column {', '.join(missing)}, the target; columns: {', '.join(columns)}"
            )
        return list(targets)
    table = preprocessing.table
    if len(columns) != table.width:
        raise ConfigError(
            f"{file.name}: {plural(len(columns), 'column')}; expected {table.width}, the inputs and the target in the "
            "order of training"
        )
    return [columns[i] for i in table.targets]


def _rows_with_target(table: Table, names: Sequence[str]) -> Array:
    """The rows in which no cell of the target is missing."""
    missing = np.any([table.is_missing(name) for name in names], axis=0)
    if missing.all():
        raise ConfigError(f"{table.file.name}: no row has a target; expected values in column {', '.join(names)}")
    if missing.any():
        log.info("%s without a target left out", plural(int(missing.sum()), "row"))
    return np.flatnonzero(~missing)
