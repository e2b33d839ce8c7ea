"""The dataset of arrays and data frames that a Python program gives; see `ArrayData`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from minitrain.data.arrow_tables import FrameTable, is_frame, to_arrow
from minitrain.data.dataset import Dataset
from minitrain.data.files import ArrayOptions, NamedArray, join_arrays, split_arrays
from minitrain.data.rows import row_blocks
from minitrain.data.table_dataset import CSV
from minitrain.data.targets import FileOptions
from minitrain.errors import ConfigError, first_line
from minitrain.options import option, options
from minitrain.registry import register
from minitrain.typing import Array

EXAMPLES = ("x", "y", "x_val", "y_val")  # the fields that contain examples


@register("data", "arrays")
@dataclass(frozen=True, eq=False, repr=False)
class ArrayData(ArrayOptions):
    """Arrays or data frames from a Python program: `ArrayData(x, y)`.

    Arrays and lists are treated as those of an npz file, and data frames as the tables of `data=csv`, with names of
    columns, categories and missing cells: bits and fingerprint are those of a file with the same content. A data frame
    is one of pandas (without its index), polars or pyarrow, any object with Arrow's stream
    interface, a dict of columns, or an array with named fields. Inputs that are strings, categories or truth values
    are encoded one-hot. Rows of x and y belong together by position.

    The config that a run stores has the options, and not the examples. A run is resumed by giving the same examples
    again, as below; `data.json` in its directory has their fingerprint, so that others are refused. `predict` and
    `load_model` do not need them.

    Args:
        x: Inputs: [examples, ...] numbers, or a data frame.
        y: Targets: [examples] or [examples, outputs] numbers or strings; a series; or a data frame. It may be left out
            if x is a data frame that contains the target.
        x_val, y_val: Examples for validation, like x and y; if they are given, no others are held out.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from minitrain.components.networks import MLPConfig
    >>> from minitrain.config.schema import RunConfig
    >>> from minitrain.inference.model import restore_model
    >>> from minitrain.optim import SGDRule
    >>> from minitrain.optim.schedules import Constant
    >>> from minitrain.training.experiment import build_experiment
    >>> from minitrain.training.loop import train
    >>> flowers = {"petal": [1.4, 1.3, 1.5, 4.7, 4.5, 4.9], "site": ["wood", "wood", None, "wood", "field", "field"]}
    >>> species = ["setosa", "setosa", "setosa", "versicolor", "versicolor", "versicolor"]
    >>> data = ArrayData(flowers, species, validation=0)
    >>> config = RunConfig(data, MLPConfig([8]), SGDRule(), Constant(), lr=0.3, batch_size=None, steps=50)
    >>> directory = Path(mkdtemp())
    >>> train(build_experiment(config), directory, bar=False).status
    <Status.COMPLETED: 'completed'>
    >>> restore_model(config, directory).predict({"site": ["field"], "petal": [5.0]}).labels.tolist()
    ['versicolor']

    The same run is resumed, here for more steps. If its directory has its config,
    `minitrain.config.loading.read_run_config(directory)` reads that.

    >>> from dataclasses import replace
    >>> longer = replace(config, steps=100, data=replace(config.data, x=flowers, y=species))
    >>> train(build_experiment(longer), directory, resume=True, bar=False).step
    100
    """

    x: Any = None
    y: Any = None
    x_val: Any = None
    y_val: Any = None
    target: str | list[str] | None = option(
        None, "name of the target's column in a data frame x without y, or a list of several; null: the last column"
    )
    categories: str | list[str] = option(
        "auto",
        "names of the columns of a data frame that are encoded one-hot; auto: strings, categories and truth values",
    )
    drop: str | list[str] = option([], "names of columns of a data frame that are not used")
    missing: str = option(
        "mean",
        "what to do with missing cells of a data frame; mean: an input is the mean of the training examples, and "
        "examples without a target are left out; drop: examples are left out; error: reject the data",
        choices=("mean", "drop", "error"),
    )

    def __post_init__(self) -> None:
        for name in EXAMPLES:
            value = getattr(self, name)
            if value is not None:
                converted = to_arrow(value, name, name[0]) if is_frame(value) else _to_array(value, name)
                object.__setattr__(self, name, converted)

    def __repr__(self) -> str:
        defaults: dict[str, object] = {name: known.default for name, known in options(ArrayData).items()}
        defaults["expected_target"] = None
        shown = [f"{name}={getattr(self, name)!r}" for name, value in defaults.items() if getattr(self, name) != value]
        return f"ArrayData({', '.join([*shown, f'sha256={self.sha256!r}'])})"

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, ArrayData) and repr(self) == repr(other))

    def __hash__(self) -> int:
        return hash(repr(self))

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the examples as they were given, by which equal data are recognized."""
        digest = hashlib.sha256()
        for name in EXAMPLES:
            digest.update(name.encode())
            _update(digest, getattr(self, name))
        return digest.hexdigest()

    def load(self) -> Dataset:
        """Encode and split the examples.

        Raises:
            ConfigError: The examples are missing or invalid.
        """
        if self.x is None:
            raise ConfigError(
                "data=arrays: the examples of such a run are given from Python and are not stored; train or resume it "
                "there with minitrain.data.ArrayData(x, y), whose help shows how, or use data=csv, data=npz or data=npy"
            )
        if (self.y_val is not None) != (self.x_val is not None and self.y is not None):
            raise ConfigError("x_val, y_val: expected both, as x and y, or neither")
        return self._load_arrays() if isinstance(self.x, np.ndarray) else self._load_table()

    # Arrays

    def _load_arrays(self) -> Dataset:
        x = self._named("x")
        if self.y is None:
            raise ConfigError("y: not given; expected the targets of the examples in x")
        for name, known in options(ArrayData).items():
            if name in ("target", "categories", "drop") and getattr(self, name) != known.default:
                raise ConfigError(f"{name}={getattr(self, name)}: x is an array, which has no names; leave it out")
        columns = () if isinstance(self.y, np.ndarray) else self.y.column_names
        train = x, self._named("y")
        if self.x_val is None:
            return split_arrays(self, *train, columns)
        return join_arrays(self, train, (self._named("x_val"), self._named("y_val")), columns)

    def _named(self, name: str) -> NamedArray:
        """A field as an array."""
        value = getattr(self, name)
        if not isinstance(value, np.ndarray):
            if name.startswith("x"):
                raise ConfigError(f"{name}: is a data frame, and x is an array; expected the same type")
            value = np.column_stack([_to_array(column.to_pylist(), name) for column in value.columns])
        if name.startswith("x") and value.dtype.kind not in "biuf":
            raise ConfigError(
                f"{name}: has type {value.dtype}; expected numbers, or a data frame, whose columns may contain strings "
                "and missing cells"
            )
        return NamedArray(name, value)

    # Data frames

    def _load_table(self) -> Dataset:
        if self.axes is not None:
            raise ConfigError(f"axes={self.axes}: x is a data frame; expected an array of images")
        table, targets = self._join_columns("x", "y")
        first_of_validation = None
        if self.x_val is not None:
            import pyarrow as pa

            first_of_validation = len(table)
            val, _ = self._join_columns("x_val", "y_val")
            if val.column_names != table.column_names:
                raise ConfigError(
                    f"x_val: has the columns {', '.join(val.column_names)}; expected {', '.join(table.column_names)}"
                )
            table = pa.concat_tables([table, val], promote_options="permissive")
        values = {name: getattr(self, name) for name in ("categories", "drop", "missing")}
        values |= {f.name: getattr(self, f.name) for f in fields(FileOptions)}
        csv = CSV(target=targets or self.target, **values)
        return csv.load_table(FrameTable.of("x", table), first_of_validation)

    def _join_columns(self, x: str, y: str) -> tuple[Any, list[str]]:
        """The columns of inputs and targets as one table of pyarrow, and the names of the targets, if y is given."""
        import pyarrow as pa

        table, target = getattr(self, x), getattr(self, y)
        if isinstance(table, np.ndarray):
            raise ConfigError(f"{x}: is an array, and x is a data frame; expected the same type")
        if target is None:
            return table, []
        if self.target is not None:
            raise ConfigError(f"target={self.target}: y is given, too; leave one of them out")
        if isinstance(target, np.ndarray):
            if target.ndim not in (1, 2):
                raise ConfigError(f"{y}: has shape {list(target.shape)}; expected [examples] or [examples, outputs]")
            columns = [target] if target.ndim == 1 else list(target.T)
            names = ["y"] if len(columns) == 1 else [f"y{i}" for i in range(len(columns))]
            target = pa.table(dict(zip(names, map(pa.array, columns), strict=True)))
        if len(target) != len(table):
            raise ConfigError(f"{x} has {len(table)} rows and {y} has {len(target)}; expected the same number")
        for name in target.column_names:
            if name in table.column_names:
                raise ConfigError(f"{y}: {x} has a column {name}, too; leave it out of {x}, or rename it")
            table = table.append_column(name, target.column(name))
        return table, target.column_names


def _to_array(value: Any, name: str) -> Array:
    """Numbers or strings as an array, which is not copied if it is one."""
    try:
        if np.ma.isMaskedArray(value):
            raise ConfigError(f"{name}: is a masked array; fill the masked values, or give a data frame")
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
        array = np.array(array.tolist()) if array.dtype.kind in "OT" else array
    except (ConfigError, MemoryError):
        raise
    except Exception as error:  # lists of different lengths, and whatever another library raises
        raise ConfigError(
            f"{name}: cannot be converted to an array ({first_line(error)}); expected numbers or strings, one row per "
            "example"
        ) from error
    if array.dtype.kind == "O":
        raise ConfigError(f"{name}: has type object; expected numbers or strings; a data frame may have missing cells")
    return array


def _update(digest: Any, value: Any) -> None:
    """Add an array, or a table of pyarrow, to a digest."""
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype};{value.shape};".encode())
        rows = np.atleast_1d(value)
        for block in row_blocks(rows):
            digest.update(np.ascontiguousarray(rows[block]).view(np.uint8).data)
    elif value is not None:
        import pyarrow as pa

        content = pa.BufferOutputStream()
        with pa.ipc.new_stream(content, value.schema) as stream:
            stream.write_table(value)
        digest.update(content.getvalue())
