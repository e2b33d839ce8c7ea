"""Tables as columns of pyarrow: the base class of those from files, and data frames in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitrain.data.dialect import Dialect
from minitrain.data.tables import Header, Table, TextColumn
from minitrain.data.text_files import text_column
from minitrain.errors import ConfigError, first_line
from minitrain.typing import Array

SAMPLE = 1000  # rows


@dataclass(frozen=True)
class ArrowTable(ABC):
    """A table whose columns have types; see `TableFile`. Times and other types are read as strings.

    Attributes:
        name: Its name in messages.
        header: Its columns.
    """

    name: str
    header: Header

    @property
    def dialect(self) -> Dialect:
        """How strings are read."""
        return Dialect()

    @abstractmethod
    def load_column(self, name: str) -> Any:
        """A column as pyarrow's ChunkedArray."""

    @abstractmethod
    def location(self, example: int) -> str:
        """The location of an example, which is counted from 0, for messages."""

    def sample(self, column: str) -> Sequence[str]:
        """The cells of a column in the first rows."""
        return self._convert(column, lambda cells: _to_strings(cells.slice(0, SAMPLE))).to_pylist()

    def cell(self, example: int, column: str) -> str:
        """The text of a cell."""
        return str(self._convert(column, lambda cells: _to_strings(cells.slice(example, 1)))[0])

    def _convert(self, name: str, function: Callable[[Any], Any]) -> Any:
        """The result of a function of a column."""
        column = self.load_column(name)
        try:
            return function(column)
        except MemoryError:
            raise
        except Exception as error:
            raise ConfigError(
                f"{self.name} column {name}: has type {column.type} ({first_line(error)}); expected numbers or "
                "strings, or the column in data.drop"
            ) from error

    def read(self, numbers: Sequence[str], texts: Sequence[str] = ()) -> Table:
        """Read columns as numbers and columns as strings.

        Raises:
            ConfigError: The table cannot be read, or has no rows.
        """
        values: Array | None = None
        invalid = {}
        for i, name in enumerate(numbers):
            column, is_invalid = self._convert(name, _to_numbers)
            if values is None:
                values = np.empty((len(column), len(numbers)))
            values[:, i] = column
            if is_invalid.any():
                invalid[name] = int(is_invalid.argmax())
        columns = {name: self._convert(name, _to_text) for name in texts}
        if values is None:
            values = np.empty((len(columns[texts[0]].codes), 0))
        if not len(values):
            raise ConfigError(f"{self.name}: has no rows; expected one row per example")
        return Table(self, tuple(numbers), values, columns, invalid)


@dataclass(frozen=True)
class FrameTable(ArrowTable):
    """A data frame in memory.

    Attributes:
        columns: The columns as pyarrow's table.
    """

    columns: Any

    @classmethod
    def of(cls, name: str, columns: Any) -> FrameTable:
        """The table of pyarrow's columns."""
        return cls(name, arrow_header(name, columns.schema), columns)

    def load_column(self, name: str) -> Any:
        """A column as pyarrow's ChunkedArray."""
        return decoded(self.columns.column(name))

    def location(self, example: int) -> str:
        """The location of an example: `x[2]`."""
        return f"{self.name}[{example}]"


def arrow_header(name: str, schema: Any, ignored: Sequence[str] = ()) -> Header:
    """The columns of pyarrow's schema.

    Args:
        name: The name of the table in messages.
        schema: The schema.
        ignored: Columns that are not used.

    Raises:
        ConfigError: Several columns have one name, or there is none.
    """
    import pyarrow as pa  # most runs do not need it

    if not schema.names:
        raise ConfigError(f"{name}: has no columns; expected one column per input")
    column, occurrences = Counter(schema.names).most_common(1)[0]
    if occurrences > 1:
        raise ConfigError(f"{name}: {occurrences} columns are named {column!r}; rename them")
    return Header(
        tuple(schema.names),
        ignored=tuple(name for name in schema.names if name in ignored),
        numeric=tuple(field.name for field in schema if _is_numeric(field.type)),
        categorical=tuple(field.name for field in schema if pa.types.is_dictionary(field.type)),
    )


def decoded(column: Any) -> Any:
    """Pyarrow's column, in which categories are replaced by their strings."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return column
    return pa.chunked_array([_to_strings(chunk.dictionary).take(chunk.indices) for chunk in column.chunks], pa.string())


# Data frames


def is_frame(value: object) -> bool:
    """Whether a value has columns: a data frame, a series, a dict of columns, or an array with named fields."""
    is_structured = isinstance(value, np.ndarray) and value.dtype.names is not None
    has_columns = hasattr(value, "__arrow_c_stream__") or hasattr(value, "__dataframe__")
    return is_structured or has_columns or isinstance(value, Mapping) or _is_series(value)


def _is_series(value: object) -> bool:
    return hasattr(value, "to_frame") and hasattr(value, "name")


def to_arrow(value: Any, name: str, column: str = "x") -> Any:
    """A data frame as pyarrow's table, without the index of pandas.

    Args:
        value: A data frame of pandas, polars, pyarrow or any library with Arrow's stream interface; a series of pandas
            or polars; a dict of columns; or an array with named fields.
        name: Its name in messages.
        column: The name of the column of a series without a name.

    Raises:
        ConfigError: It cannot be converted.
    """
    import pyarrow as pa

    try:
        if _is_series(value):
            column = value.name if isinstance(value.name, str) and value.name else column
            return _without_index(pa.table(value.to_frame())).rename_columns([column])
        if isinstance(value, np.ndarray):
            value = {field: value[field] for field in value.dtype.names or ()}
        if isinstance(value, Mapping):
            value = {str(key): column for key, column in value.items()}
        return _without_index(pa.table(value))
    except MemoryError:
        raise
    except Exception as error:  # of any library
        raise ConfigError(
            f"{name}: cannot be converted to a table ({first_line(error)}); expected a data frame with one value per "
            "cell, a number or a string"
        ) from error


def _without_index(table: Any) -> Any:
    """Pyarrow's table without the columns that were the index of a pandas data frame."""
    metadata = table.schema.pandas_metadata or {}
    index = [name for name in metadata.get("index_columns", ()) if isinstance(name, str) and name in table.column_names]
    return table.drop_columns(index) if index else table


# Types


def _is_numeric(type_: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(type_) or pa.types.is_floating(type_)


def _to_numbers(column: Any) -> tuple[Array, Array]:
    """Pyarrow's column as numbers, NaN for null, and which are invalid: [rows] each."""
    import pyarrow as pa

    if _is_numeric(column.type) or pa.types.is_boolean(column.type):
        values = column.cast(pa.float64(), safe=False).to_numpy()
        return values, np.isinf(values)
    return _to_text(column).numbers()


def _to_text(column: Any) -> TextColumn:
    return text_column(_to_strings(column).chunks)


def _to_strings(column: Any) -> Any:
    """Pyarrow's column as strings, which are empty for null; truth values as pandas and NumPy write them."""
    import pyarrow as pa
    from pyarrow import compute

    strings = compute.if_else(column, "True", "False") if pa.types.is_boolean(column.type) else column.cast(pa.string())
    return strings.fill_null("")
