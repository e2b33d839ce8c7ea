"""The dataset of a table: which columns are inputs and targets, categories, and missing values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from minitrain.data.dataset import Dataset, with_label_names
from minitrain.data.dialect import MISSING_NUMBERS, TextOptions, is_number, parse_number, sniff_header
from minitrain.data.partition import Partition
from minitrain.data.preprocessing import Column, TableFormat
from minitrain.data.rows import mean_of_columns
from minitrain.data.table_files import open_table
from minitrain.data.tables import Table, TableFile, require_columns
from minitrain.data.targets import FileOptions, Target, numbers_of_target
from minitrain.data.text_files import TextFile
from minitrain.errors import ConfigError, plural
from minitrain.options import option
from minitrain.registry import register
from minitrain.typing import Array


@register("data", "csv")
@dataclass(frozen=True)
class CSV(FileOptions):
    """A table as UTF-8 text, also compressed, or as parquet: one row per example, one column per input, and the target.

    Columns contain numbers or, if listed in `categories`, strings, which are encoded one-hot. A target of strings is a
    class. Errors name the file, the row and the column; rows are counted from 1, including the header.
    """

    path: str | None = option(None, "path of the file, relative to the current directory; required", is_path=True)
    target: str | list[str] | None = option(
        None, "name of the target's column, or a list of several; null: the last column"
    )
    header: bool | str = option(
        "auto",
        "whether the first row names the columns, otherwise they are named 1, 2, ...; auto: by the cells below it, or "
        "by a comment above it that has a name for each column",
        choices=("auto",),
    )
    categories: str | list[str] = option(
        [], "names of the columns that are encoded one-hot; auto: those that contain strings"
    )
    delimiter: str = option(
        "auto",
        "character between columns; \\t for a tab, a space for any number of spaces and tabs; auto: by the first rows",
    )
    decimal: str = option("auto", "decimal mark of numbers; auto: by the first rows", choices=("auto", ".", ","))
    drop: str | list[str] = option([], "names of columns that are not used")
    missing: str = option(
        "mean",
        "what to do with cells without a value (empty, ?, NA, nan, null); mean: an input is the mean of the training "
        "examples, and examples without a target are left out; drop: examples are left out; error: reject the file",
        choices=("mean", "drop", "error"),
    )

    def load(self) -> Dataset:
        """Read the file.

        Raises:
            ConfigError: The file, a column or a cell is missing or invalid.
        """
        rules = self._is_header, lambda names: self.header == "auto"
        return self.load_table(open_table("data.path", self.path, self._text_options, *rules))

    @property
    def _text_options(self) -> TextOptions:
        return TextOptions(self.delimiter, self.decimal)

    def load_table(self, file: TableFile, first_of_validation: int | None = None) -> Dataset:
        """The dataset of a table that is open.

        Args:
            file: The table.
            first_of_validation: The first row of the validation examples, which are the last ones; None: they are drawn
                at random.

        Raises:
            ConfigError: A column or a cell is missing or invalid.
        """
        targets, inputs = self._choose_columns(file)
        table = self._read(file, inputs, targets)
        without_values = table.columns_without_values()
        notes = [f"column {name} has no name and is not used" for name in file.header.ignored]
        notes += [f"column {name} has no values and is not used" for name in inputs if name in without_values]
        columns = {name: self._describe_column(table, name) for name in inputs if name not in without_values}
        if not columns:
            raise ConfigError(f"{file.name}: no column of inputs has values; expected inputs beside the target")
        data, more_notes = self._split_table(table, columns, targets, first_of_validation)
        preprocessing = replace(
            data.preprocessing,
            columns=tuple(columns.values()),
            target=", ".join(targets) if file.header.has_names else "",
            table=TableFormat(
                replace(
                    self._text_options,
                    likely_delimiter=file.dialect.delimiter,
                    likely_decimal=file.dialect.decimal,
                ),
                len(file.header.columns),
                tuple(map(file.header.columns.index, targets)),
            ),
        )
        return replace(data, preprocessing=preprocessing, notes=(*notes, *more_notes))

    def _split_table(
        self, table: Table, columns: Mapping[str, Column], targets: Sequence[str], first_of_validation: int | None
    ) -> tuple[Dataset, Sequence[str]]:
        """The examples of a table, without missing values, and notes about these."""
        x = table.inputs({name: column.categories for name, column in columns.items()})
        missing = np.isnan(x)
        rows, target = self._encode_target(table, targets, np.any(missing, axis=1))
        notes = []
        if len(rows) < len(x):
            notes.append(f"{plural(len(x) - len(rows), 'row')} with missing cells left out")
            x, missing = x[rows], missing[rows]
        partition = self._choose_partition(table, target.values, rows, first_of_validation)
        means = mean_of_columns(x, partition.train)
        if missing.any():
            count = sum(int(table.is_missing(name)[rows].sum()) for name in columns)
            notes.append(f"{plural(count, 'missing cell')} replaced by means")
            x = np.where(missing, means, x)
        data = with_label_names(self.split(x, target.values, partition), target.names)
        return replace(data, preprocessing=replace(data.preprocessing, means=tuple(means.tolist()))), notes

    def _choose_partition(self, table: Table, y: Array, rows: Array, first_of_validation: int | None) -> Partition:
        """The partition of the examples, whose rows in the table are `rows`."""
        if first_of_validation is None:
            return self.draw_partition(y)
        training = int(np.searchsorted(rows, first_of_validation))
        if not training:
            raise ConfigError(f"{table.file.name}: no training example has a target; only validation examples have")
        return self.take_partition(y, training)

    @staticmethod
    def _describe_column(table: Table, name: str) -> Column:
        header = table.file.header
        categories = table.texts[name].values if name in table.texts else ()
        return Column(name if header.has_names else "", header.columns.index(name), categories)

    def _is_header(self, rows: Sequence[Sequence[str]], decimal: str) -> bool:
        if isinstance(self.header, bool):
            return self.header
        return len(rows[0]) == 1 or sniff_header(str(self.path), rows, decimal)

    # Columns

    def _choose_columns(self, file: TableFile) -> tuple[list[str], list[str]]:
        """The names of the targets and of the inputs."""
        header = file.header
        categories, drop, targets = self._listed_categories, _as_list(self.drop), self.target_names
        for key, names in {"target": targets, "categories": categories, "drop": drop}.items():
            require_columns(f"data.{key}", names, file)
        used = {*targets, *categories}
        for name in drop:
            if name in used:
                raise ConfigError(f"data.drop={name}: data.target or data.categories name the column, too; choose one")
        available = [name for name in header.columns if name in used or name not in (*header.ignored, *drop)]
        targets = targets or available[-1:]
        inputs = [name for name in available if name not in targets]
        if not inputs:
            problem = f"{targets[0]} is the only column" if targets else "no column has values"
            advice = "expected inputs beside the target"
            if isinstance(file, TextFile):
                problem += f" with data.delimiter={self.delimiter!r}"
                advice += ", and the character between them as data.delimiter"
            raise ConfigError(f"{file.name}: {problem}; {advice}")
        return targets, inputs

    @property
    def target_names(self) -> list[str]:
        """The names of the target's columns as `target` lists them; empty for the last column."""
        return _as_list(self.target)

    @property
    def _listed_categories(self) -> list[str]:
        return [] if self.categories == "auto" else _as_list(self.categories)

    def _read(self, file: TableFile, inputs: Sequence[str], targets: Sequence[str]) -> Table:
        """The columns of inputs and targets, as strings or as numbers."""
        texts = [name for name in inputs if name in self._listed_categories]
        if self.categories == "auto":
            categorical = file.header.categorical
            texts += [name for name in inputs if name in categorical or not _has_numbers(file, name)]
        if len(targets) > 1:
            texts += [name for name in targets if not _has_numbers(file, name)]
        elif not self._is_quantity(file, targets[0]):
            texts += targets
        columns = [*inputs, *targets]
        table = file.read([name for name in columns if name not in texts], texts)
        unseen = [name for name in inputs if name in table.invalid and name not in file.header.numeric]
        if self.categories == "auto" and unseen:
            texts += unseen  # strings below the rows of the sample
            table = file.read([name for name in columns if name not in texts], texts)
        table.require_numbers(", or list the column in data.categories, which can be auto, or in data.drop")
        return table

    def _is_quantity(self, file: TableFile, target: str) -> bool:
        """Whether the first cells of a target show that it is not a class: they are numbers, and not all integers."""
        if self._has_class(file, target) or not _has_numbers(file, target):
            return False
        numbers = [parse_number(cell, file.dialect.decimal) for cell in file.sample(target)]
        return any(not number.is_integer() for number in numbers if not math.isnan(number))

    def _has_class(self, file: TableFile, target: str) -> bool:
        """Whether the options, or the type of its column, say that a target is a class."""
        is_categorical = self.task == "auto" and target in file.header.categorical
        return is_categorical or target in self._listed_categories or self.task == "classification"

    # Examples

    def _encode_target(self, table: Table, targets: Sequence[str], lacks_input: Array) -> tuple[Array, Target]:
        """The rows that are examples, and their target."""
        name, decimal = f"{table.file.name} column {', '.join(targets)}", table.file.dialect.decimal
        if len(targets) > 1 or targets[0] not in table.texts:
            y = np.stack([numbers_of_target(table, target) for target in targets], axis=1)
            rows = self._choose_rows(table, np.isnan(y).any(axis=1), lacks_input)
            return rows, self.encode_array(y[rows], name, targets, lambda i: table.file.location(rows[i]))
        column = table.texts[targets[0]]
        numbers, invalid = column.numbers(decimal)
        options = replace(self, task="classification") if self._has_class(table.file, targets[0]) else self
        if options.task == "classification" or (self.task == "auto" and np.isnan(numbers).all()):
            rows = self._choose_rows(table, column.codes < 0, lacks_input)
        else:
            if invalid.any():
                raise table.number_error(int(invalid.argmax()), targets[0], ", or set data.task=classification")
            rows = self._choose_rows(table, np.isnan(numbers), lacks_input)
        return rows, options.encode_text(column.take(rows), decimal, name)

    def _choose_rows(self, table: Table, lacks_target: Array, lacks_input: Array) -> Array:
        """The rows that are examples by `missing`."""
        lacks_cell = lacks_target | lacks_input
        if self.missing == "error" and lacks_cell.any():
            raise table.missing_error(int(lacks_cell.argmax()), ", or set data.missing=mean or data.missing=drop")
        rows = np.flatnonzero(~(lacks_target if self.missing == "mean" else lacks_cell))
        if not len(rows):
            advice = "a target" if lacks_target.all() else "all cells; set data.missing=mean"
            raise ConfigError(f"{table.file.name}: no row has {advice}")
        return rows


def _as_list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _has_numbers(file: TableFile, name: str) -> bool:
    """Whether the type of a column, or the first cells, say that it contains numbers or missing cells."""
    if name in file.header.numeric:
        return True
    return all(is_number(cell, file.dialect.decimal) or cell in MISSING_NUMBERS for cell in file.sample(name))
