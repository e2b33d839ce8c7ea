"""Writing metrics.csv while a run trains, and reading it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import SupportsFloat

import numpy as np

from minitrain.errors import RecordError
from minitrain.storage.files import read_text, write_text
from minitrain.typing import Array

LARGEST = 1e100  # values beyond it are not drawn or compared: sums, and the margins of logarithmic axes, overflow
Row = dict[str, SupportsFloat]  # column -> value


class MetricsWriter:
    """Appends rows to metrics.csv. Rows are buffered until `flush` or `close`.

    Numbers are written as the shortest decimals that round-trip, so that equal runs write equal bytes.

    Args:
        path: The file. Its rows for steps before `from_step` are kept, in the new columns, and all others are removed,
            a row that was cut off by a kill included.
        columns: The columns; the first one is `step`.
        from_step: The step that the run starts or resumes from.
    """

    def __init__(self, path: Path, columns: Sequence[str], from_step: int) -> None:
        self.columns = list(columns)
        header, *lines = read_text(path).splitlines(keepends=True) if from_step and path.exists() else [""]
        earlier = [line for line in lines if line.endswith("\n") and float(line.split(",", 1)[0]) < from_step]
        new_header = ",".join(columns) + "\n"
        if header != new_header:  # an earlier version had other columns
            earlier = [_realign(line, header.strip().split(","), columns) for line in earlier]
        write_text(path, "".join([new_header, *earlier]))
        self._file = path.open("a", encoding="utf-8", newline="")

    def write(self, row: Row) -> None:
        """Append a row; cells that it does not have are empty."""
        self._file.write(",".join(str(row.get(column, "")) for column in self.columns) + "\n")

    def flush(self) -> None:
        """Write the buffered rows."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()


def _realign(line: str, columns: Sequence[str], new_columns: Sequence[str]) -> str:
    """A row with the cells of other columns; those that it does not have are empty."""
    cells = dict(zip(columns, line.strip().split(","), strict=False))
    return ",".join(cells.get(column, "") for column in new_columns) + "\n"


def read_metrics(directory: Path) -> dict[str, Array]:
    """Read metrics.csv of a run's directory.

    Returns:
        Column -> values [rows], NaN where a cell is empty. A last row that was cut off by a kill is ignored.

    Raises:
        RecordError: The file is missing, or it is not a table of numbers whose first column is `step`.
    """
    path = directory / "metrics.csv"
    try:
        header, _, body = read_text(path).partition("\n")
        columns = header.split(",")
        lines = body.split("\n")[:-1]
        if any(line.count(",") != len(columns) - 1 for line in lines):
            raise ValueError(f"expected {len(columns)} cells in each row, as in the header")
        values = [float(cell or "nan") for cell in ",".join(lines).split(",")] if lines else []
        table = np.array(values, np.float64).reshape(len(lines), len(columns))
        if columns[0] != "step" or len(set(columns)) < len(columns):
            raise ValueError("expected step as the first column, and distinct column names")
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: not a valid table of metrics ({error})") from error
    return {name: table[:, i] for i, name in enumerate(columns)}


def finite_points(metrics: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    """The points of a metric's curve that are finite.

    Returns:
        Steps and values, [points] each; empty if there is no such column.
    """
    values = metrics.get(name, np.empty(0))
    finite = np.isfinite(values)
    return metrics["step"][: len(values)][finite], values[finite]
