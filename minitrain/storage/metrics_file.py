"""metrics.csv: written while a run trains, and read back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.errors import RecordError
from minitrain.storage.files import read_text, write_text
from minitrain.typing import Array


class MetricsWriter:
    """metrics.csv while a run writes it: rows are buffered, and on disk within a second.

    Numbers are written in full (the shortest text that gives them back), so that equal runs give equal bytes.
    """

    def __init__(self, path: Path, columns: list[str], from_step: int) -> None:
        """Keep the rows of the steps before `from_step`, and go on from there."""
        self.columns = columns
        header = ",".join(columns) + "\n"
        lines = read_text(path).splitlines(keepends=True)[1:] if from_step and path.exists() else []
        kept = [line for line in lines if line.endswith("\n") and float(line.split(",", 1)[0]) < from_step]
        write_text(path, "".join([header, *kept]))
        self._file = path.open("a", encoding="utf-8", newline="")
        self._flushed = time.monotonic()

    def write(self, row: Mapping[str, Any]) -> None:
        self._file.write(",".join(str(row.get(column, "")) for column in self.columns) + "\n")

    def flush(self, at_most_every: float = 0.0) -> None:
        """Put the rows on disk, unless that was done less than so many seconds ago."""
        now = time.monotonic()
        if now - self._flushed >= at_most_every:
            self._file.flush()
            self._flushed = now

    def close(self) -> None:
        self._file.close()


def read_metrics(directory: Path) -> dict[str, Array]:
    """The columns of metrics.csv by name, nan where a cell is empty; a row cut off by a kill is left out.

    Raises RecordError where the file is missing or is no table of numbers.
    """
    path = directory / "metrics.csv"
    try:
        header, _, body = read_text(path).partition("\n")
        columns = header.split(",")
        lines = body.split("\n")[:-1]
        if any(line.count(",") != len(columns) - 1 for line in lines):
            raise ValueError("rows of other lengths than the header's")
        values = [float(cell or "nan") for cell in ",".join(lines).split(",")] if lines else []
        table = np.array(values, np.float64).reshape(len(lines), len(columns))
        if columns[0] != "step" or len(set(columns)) < len(columns):
            raise ValueError("its first column is not step, or a name is there twice")
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: not a table of metrics ({error})") from error
    return {name: table[:, i] for i, name in enumerate(columns)}


def finite_points(metrics: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    """Steps and values of one metric where it is finite: [points] each; none where there is no such column."""
    values = metrics.get(name, np.empty(0))
    finite = np.isfinite(values)
    return metrics["step"][: len(values)][finite], values[finite]
