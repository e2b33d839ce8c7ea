"""Files of tables by their content: parquet, or text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minitrain.data.arrow_tables import ArrowTable, arrow_header, decoded
from minitrain.data.dialect import TextOptions
from minitrain.data.reading import reporting_errors, require_file
from minitrain.data.tables import TableFile
from minitrain.data.text_files import CommentRule, HeaderRule, open_text_file

PANDAS_INDEX = "__index_level_0__"  # the name that pandas gives row numbers


def open_table(
    key: str, name: str | None, options: TextOptions, is_header: HeaderRule, is_comment_header: CommentRule
) -> TableFile:
    """Open a file that contains a table.

    Args:
        key: The option or argument that names the file, for messages.
        name: The path, relative to the current directory.
        options: What is known of the file, if it is text.
        is_header: Decides whether the first row of text names the columns.
        is_comment_header: Decides whether the comment above the first row of text names the columns, if that does not.

    Raises:
        ConfigError: The file cannot be read, has no rows, or its columns are not clear.
    """
    path = require_file(key, name, "a csv file")
    with reporting_errors(key, path, "a table as UTF-8 text or parquet"):
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        if not is_parquet:
            return open_text_file(key, str(name), path, options, is_header, is_comment_header)
        from pyarrow import parquet  # a text file does not need it

        header = arrow_header(str(name), parquet.read_schema(path), ignored=[PANDAS_INDEX])
        return ParquetFile(str(name), header, key, path)


@dataclass(frozen=True)
class ParquetFile(ArrowTable):
    """A table as parquet.

    Attributes:
        key: The option or argument that names the file.
        path: The file.
    """

    key: str
    path: Path

    def location(self, example: int) -> str:
        """The location of an example: `people.parquet row 3`."""
        return f"{self.name} row {example + 1}"

    def load_column(self, name: str) -> Any:
        """A column as pyarrow's ChunkedArray."""
        from pyarrow import parquet

        with reporting_errors(self.key, self.path, "a parquet file"):
            return decoded(parquet.read_table(self.path, columns=[name]).column(0))
