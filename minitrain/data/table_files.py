"""Files of tables by their content: parquet, or text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.data.dialect import Dialect, TextOptions
from minitrain.data.reading import reporting_errors, require_file
from minitrain.data.tables import Header, Table, TableFile, TextColumn
from minitrain.data.text_files import HeaderRule, open_text_file, text_column
from minitrain.errors import ConfigError
from minitrain.typing import Array

SAMPLE = 1000  # rows
PANDAS_INDEX = "__index_level_0__"  # the name that pandas gives row numbers


def open_table(key: str, name: str | None, options: TextOptions, is_header: HeaderRule) -> TableFile:
    """Open a file that contains a table.

    Args:
        key: The option or argument that names the file, for messages.
        name: The path, relative to the current directory.
        options: What is known of the file, if it is text.
        is_header: Decides whether the first row of text names the columns.

    Raises:
        ConfigError: The file cannot be read, has no rows, or its columns are not clear.
    """
    path = require_file(key, name, "a csv file")
    with reporting_errors(key, path, "a table as UTF-8 text or parquet"):
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        if not is_parquet:
            return open_text_file(key, str(name), path, options, is_header)
        from pyarrow import parquet  # a text file does not need it

        columns = parquet.read_schema(path).names
        column, occurrences = Counter(columns).most_common(1)[0]
        if occurrences > 1:
            raise ConfigError(f"{name}: {occurrences} columns are named {column!r}; rename them")
        ignored = tuple(column for column in columns if column == PANDAS_INDEX)
        return ParquetFile(key, str(name), path, Header(tuple(columns), ignored=ignored))


@dataclass(frozen=True)
class ParquetFile:
    """A table as parquet; see `TableFile`. Times and other types are read as strings."""

    key: str
    name: str
    path: Path
    header: Header

    @property
    def dialect(self) -> Dialect:
        """How strings are read."""
        return Dialect()

    def sample(self, column: str) -> Sequence[str]:
        """The cells of a column in the first rows."""
        return _to_strings(self._column(column).slice(0, SAMPLE)).to_pylist()

    def location(self, example: int) -> str:
        """The location of an example, for messages."""
        return f"{self.name} row {example + 1}"

    def cell(self, example: int, column: str) -> str:
        """The text of a cell."""
        return str(_to_strings(self._column(column).slice(example, 1))[0])

    def _column(self, column: str) -> Any:
        from pyarrow import parquet

        with reporting_errors(self.key, self.path, "a parquet file"):
            return parquet.read_table(self.path, columns=[column]).column(0)

    def read(self, numbers: Sequence[str], texts: Sequence[str] = ()) -> Table:
        """Read columns as numbers and columns as strings."""
        values: Array | None = None
        invalid = {}
        for i, name in enumerate(numbers):
            column, is_invalid = _to_numbers(self._column(name))
            if values is None:
                values = np.empty((len(column), len(numbers)))
            values[:, i] = column
            if is_invalid.any():
                invalid[name] = int(is_invalid.argmax())
        columns = {name: _to_text(self._column(name)) for name in texts}
        if values is None:
            values = np.empty((len(columns[texts[0]].codes), 0))
        if not len(values):
            raise ConfigError(f"{self.name}: has no rows; expected one row per example")
        return Table(self, tuple(numbers), values, columns, invalid)


def _to_numbers(column: Any) -> tuple[Array, Array]:
    """Pyarrow's column as numbers, NaN for null, and which are invalid: [rows] each."""
    import pyarrow as pa

    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
        values = column.cast(pa.float64(), safe=False).to_numpy()
        return values, np.isinf(values)
    return _to_text(column).numbers()


def _to_text(column: Any) -> TextColumn:
    return text_column(_to_strings(column).chunks)


def _to_strings(column: Any) -> Any:
    """Pyarrow's column as strings, which are empty for null."""
    import pyarrow as pa

    return column.cast(pa.string()).fill_null("")
