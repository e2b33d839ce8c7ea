"""Tables in text files, which may be compressed: the dialect from the first lines, the cells by pyarrow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.data.dialect import INVALID, MISSING_NUMBERS, Dialect, TextOptions, is_number, sniff_comments
from minitrain.data.reading import open_file, reporting_errors
from minitrain.data.tables import Header, Table, TextColumn
from minitrain.errors import ConfigError, abbreviate, plural
from minitrain.typing import Array

HEAD_SIZE = 2**16  # bytes that the dialect is found from
CHUNK_SIZE = 2**22  # bytes that are parsed at once
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UNNAMED = re.compile(r"Unnamed: \d+")  # pandas names such columns so


HeaderRule = Callable[[Sequence[Sequence[str]], str], bool]  # (first rows, decimal mark) -> the first names the columns
CommentRule = Callable[[Sequence[str]], bool]  # (names in the comment above the first row) -> they name the columns


@dataclass(frozen=True)
class TextFile:
    """A table as text; see `TableFile`.

    Attributes:
        key: The option or argument that names the file.
        name: The path as the user wrote it.
        path: The file.
        dialect: How it is divided into cells.
        header: Its columns.
        start: The number of lines before the first example.
        first_rows: The first examples.
    """

    key: str
    name: str
    path: Path
    dialect: Dialect
    header: Header
    start: int
    first_rows: Sequence[Sequence[str]]

    def sample(self, column: str) -> Sequence[str]:
        """The cells of a column in the first rows."""
        index = self.header.columns.index(column)
        return [row[index] for row in self.first_rows]

    def location(self, example: int) -> str:
        """The location of an example: `people.csv row 3`."""
        return f"{self.name} row {self._row(example)[0]}"

    def cell(self, example: int, column: str) -> str:
        """The text of a cell."""
        return self._row(example)[1][self.header.columns.index(column)]

    def _row(self, example: int) -> tuple[int, list[str]]:
        return next(islice(self._rows(), example, None))

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """The number and the cells of each row."""
        return ((self.start + line, cells) for line, cells in self.dialect.rows(self._chunks()))

    def _chunks(self) -> Iterator[bytes]:
        """The lines after the header, divided between rows."""
        with open_file(self.path) as file:
            for _ in range(self.start):
                file.readline()
            chunk = b"" if self.start else file.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
            while chunk := chunk + file.read(CHUNK_SIZE) + file.readline():
                in_quotes = chunk.count(b'"') % 2
                lines = [chunk]
                while in_quotes and (line := file.readline()):
                    lines.append(line)
                    in_quotes ^= line.count(b'"') % 2
                yield b"".join(lines)
                chunk = b""

    def read(self, numbers: Sequence[str], texts: Sequence[str] = ()) -> Table:
        """Read columns as numbers and columns as strings.

        Raises:
            ConfigError: The file cannot be read, or rows have different numbers of cells.
        """
        reader = _Reader(self, numbers, texts)
        with reporting_errors(self.key, self.path, "a table of UTF-8 text"):
            for chunk in self._chunks():
                try:
                    reader.add(self.dialect.clean(chunk))
                except ValueError:  # pyarrow does not state the row
                    self._require_equal_rows()
                    self._require_unicode([*numbers, *texts])
                    raise
            return reader.table()

    def _require_equal_rows(self) -> None:
        expected = len(self.header.columns)
        for number, cells in self._rows():
            if len(cells) != expected:
                first = f"as in row {self.start}" if self.start else "as in most rows"
                raise ConfigError(
                    f"{self.name} row {number}: {plural(len(cells), 'cell')}; expected {expected}, {first}; "
                    "correct the row, or set data.delimiter"
                )

    def _require_unicode(self, names: Sequence[str]) -> None:
        """Raise ConfigError for the first cell of some columns that is not UTF-8; rows have equal numbers of cells."""
        indices = {name: self.header.columns.index(name) for name in names}
        for number, cells in self._rows():
            for name, i in indices.items():
                if INVALID in cells[i]:
                    raise ConfigError(
                        f"{self.name} row {number}, column {name}: {abbreviate(repr(cells[i]))} is not UTF-8; save the "
                        "file as UTF-8, or list the column in data.drop"
                    )


class _Reader:
    """Collects columns from the parts of a text file."""

    def __init__(self, file: TextFile, numbers: Sequence[str], texts: Sequence[str]) -> None:
        self.file = file
        self.numbers, self.texts = list(numbers), list(texts)
        self.values = np.empty((0, len(numbers)))
        self.cells: dict[str, list[Any]] = {name: [] for name in texts}  # pyarrow's arrays of strings
        self.invalid: dict[str, int] = {}

    def add(self, text: bytes) -> None:
        """Add the rows of a part of the file."""
        import pyarrow as pa  # a run on other data does not need it

        if not text.strip():
            return
        try:
            columns = self._parse(text, pa.float64())
            for batch in columns.select(self.numbers).to_batches():
                values = batch.to_tensor(null_to_nan=True).to_numpy() if self.numbers else np.empty((len(batch), 0))
                self._append(values, np.isinf(values))
        except pa.ArrowInvalid:  # a cell is not a number, has spaces around it, or is missing in another way
            columns = self._parse(text, pa.string())
            self._append(*self._parse_numbers(columns))
        for name in self.texts:
            self.cells[name] += columns.column(name).chunks

    def _append(self, values: Array, invalid: Array) -> None:
        """Add numbers, and which of them are invalid: [rows, columns] each."""
        start = len(self.values)
        for i in np.flatnonzero(invalid.any(axis=0)).tolist():
            self.invalid.setdefault(self.numbers[i], start + int(invalid[:, i].argmax()))
        self.values.resize((start + len(values), len(self.numbers)), refcheck=False)  # does not copy large arrays
        self.values[start:] = values

    def _parse(self, text: bytes, numbers: Any) -> Any:
        """The columns as pyarrow's table; `numbers` is the type of the columns of numbers."""
        import pyarrow as pa
        from pyarrow import csv

        dialect = self.file.dialect
        names = [*self.numbers, *self.texts]
        kinds = dict.fromkeys(self.numbers, numbers) | dict.fromkeys(self.texts, pa.string())
        return csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(column_names=list(self.file.header.columns)),
            csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=b'"' in text),
            csv.ConvertOptions(
                column_types=kinds,
                include_columns=names,
                null_values=sorted(MISSING_NUMBERS),
                decimal_point=dialect.decimal,
            ),
        )

    def _parse_numbers(self, columns: Any) -> tuple[Array, Array]:
        """The columns of numbers of a table of strings, and which cells are invalid: [rows, columns] each."""
        parsed = [text_column(columns.column(name).chunks).numbers(self.file.dialect.decimal) for name in self.numbers]
        return np.stack([values for values, _ in parsed], axis=1), np.stack([invalid for _, invalid in parsed], axis=1)

    def table(self) -> Table:
        """The rows that were added."""
        import pyarrow as pa

        texts = {name: text_column(cells) for name, cells in self.cells.items()}
        pa.default_memory_pool().release_unused()
        return Table(self.file, tuple(self.numbers), self.values, texts, self.invalid)


def text_column(cells: Sequence[Any]) -> TextColumn:
    """Pyarrow's arrays of strings as one column."""
    import pyarrow as pa

    encoded = pa.chunked_array(cells, pa.string()).combine_chunks().dictionary_encode()
    return TextColumn.encode(encoded.dictionary.to_pylist(), encoded.indices.to_numpy())


# The first lines


def open_text_file(
    key: str, name: str, path: Path, options: TextOptions, is_header: HeaderRule, is_comment_header: CommentRule
) -> TextFile:
    """Find the dialect and the columns of a file from its first lines.

    Args:
        key: The option or argument that names the file, for messages.
        name: The path as the user wrote it.
        path: The file.
        options: What is known of the file.
        is_header: Decides whether the first row names the columns.
        is_comment_header: Decides whether the comment above the first row names the columns, as `numpy.savetxt` writes
            them, if the first row does not.

    Raises:
        ConfigError: The file is empty, not UTF-8, an option is invalid, or the lines can be understood in several ways.
    """
    with reporting_errors(key, path, "a table of UTF-8 text"), open_file(path) as file:
        lines = file.readlines(HEAD_SIZE)
        lines += islice(file, 10) if len(lines) < 10 else []
        head = b"".join(lines).removeprefix(BYTE_ORDER_MARK)
        if head.startswith(UTF_16):
            raise ConfigError(f"{name}: is UTF-16; save it as UTF-8")
        comments = sniff_comments(head)
        dialect = Dialect(options.find_delimiter(head, comments), comments=comments)
        numbered_rows = list(dialect.rows([head]))
    rows = [cells for _, cells in numbered_rows]
    if not rows:
        raise ConfigError(f"{name}: the file is empty; expected one row per example")
    dialect = replace(dialect, decimal=options.find_decimal(name, rows))
    names = _complete_names(rows)
    body = [row for row in rows[1:] if len(row) == len(names)]
    comment = _names_in_comment(head, numbered_rows[0][0], dialect, _width(rows))
    if not is_comment_header(comment):
        comment = []
    try:
        has_names = is_header([names, *body], dialect.decimal)
    except ConfigError:  # the first row can be either
        if not comment:
            raise
        has_names = False
    if has_names and len(rows) == 1:
        advice = "; if the first row is an example, set data.header=false" if key.startswith("data.") else ""
        raise ConfigError(f"{name}: has a header but no other rows{advice}")
    if not has_names:
        width = _width(rows)
        body, names = [row for row in rows if len(row) == width], comment or [""] * width
    if any(INVALID in column for column in names):
        first = abbreviate(", ".join(names))
        raise ConfigError(f"{name} row {numbered_rows[0][0]}: {first}: is not UTF-8; save the file as UTF-8")
    header = _build_header(name, names, body, has_names or bool(comment))
    return TextFile(key, name, path, dialect, header, numbered_rows[0][0] if has_names else 0, body)


def _names_in_comment(head: bytes, row: int, dialect: Dialect, width: int) -> list[str]:
    """The names of the columns in the comment above the first row; empty if it does not have one for each column.

    Args:
        head: The first lines of the file.
        row: The number of the line of the first row.
        dialect: How the file is divided into cells.
        width: The number of columns.
    """
    above = [line for line in head.splitlines()[: row - 1] if line.strip()]
    if not above or not above[-1].lstrip().startswith(b"#") or not dialect.comments or width == 1:
        return []
    rows = list(replace(dialect, comments=False).rows([above[-1].lstrip(b"# ")]))
    names = rows[0][1] if rows else []
    are_names = len(names) == len(set(names)) == width and not any(name == "" or is_number(name) for name in names)
    return names if are_names else []


def _width(rows: Sequence[Sequence[str]]) -> int:
    """The most frequent number of cells."""
    return Counter(map(len, rows)).most_common(1)[0][0]


def _complete_names(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first row, with an empty name for a column that only the other rows have."""
    first, rest = list(rows[0]), rows[1:]
    body = [row for row in rest if len(row) == len(first) + 1]
    if len(body) < len(rest) or not body:
        return first
    if all(row[-1] == "" for row in body):
        return [*first, ""]  # a delimiter at the end of each row
    if len(body) > 1 and all(row[0].isdecimal() or not is_number(row[0]) for row in body):
        return ["", *first]  # names of the rows, as R writes them
    return first


def _build_header(name: str, names: Sequence[str], rows: Sequence[Sequence[str]], has_names: bool) -> Header:
    """The columns of a file.

    Args:
        name: The path of the file, for messages.
        names: The name of each column, empty if it has none.
        rows: Examples.
        has_names: Whether the file has a header.
    """
    unnamed = [column == "" or bool(_UNNAMED.fullmatch(column)) for column in names]
    numbers = [str(i) if str(i) not in names else f"#{i}" for i in range(1, len(names) + 1)]
    columns = [
        number if is_unnamed else column for number, is_unnamed, column in zip(numbers, unnamed, names, strict=True)
    ]
    column, occurrences = Counter(columns).most_common(1)[0]
    if occurrences > 1:
        raise ConfigError(
            f"{name} row 1: {occurrences} columns are named {column!r}; rename them, or set data.header=false if the "
            "row is an example"
        )
    is_empty = [bool(rows) and all(row[i] == "" for row in rows) for i in range(len(columns))]
    ignored = [c for i, c in enumerate(columns) if unnamed[i] and (is_empty[i] or (has_names and i == 0))]
    return Header(tuple(columns), has_names, tuple(ignored))
