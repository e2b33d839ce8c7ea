"""The dialect of a table in a text file, from its first lines: delimiter, decimal mark, comments, and header or not."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from minitrain.errors import ConfigError, abbreviate

INVALID = "\ufffd"  # Unicode's replacement character
SPACES = " "  # as a delimiter: any number of spaces and tabs
DELIMITERS = (",", "\t", ";", "|", SPACES)
DECIMAL_MARKS = (".", ",")

# Cells without a value. Text columns have fewer: None and - can be categories and classes.
MISSING = frozenset(["", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "NULL", "null", "Null"])
MISSING_NUMBERS = MISSING | {"None", "none", "na", "-", "--", "."}

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_BLANK = re.compile(rb"^ +\r?$", re.MULTILINE)
_BLANK_OR_COMMENT = re.compile(rb"^ *#.*$|^ +\r?$", re.MULTILINE)


@dataclass(frozen=True)
class Dialect:
    """How the text of a file is divided into cells, and how these are read.

    Attributes:
        delimiter: The character between columns; a space stands for any number of spaces and tabs.
        decimal: The decimal mark of numbers, `.` or `,`.
        comments: Whether lines that begin with # are left out.
    """

    delimiter: str = ","
    decimal: str = "."
    comments: bool = True

    def clean(self, text: bytes) -> bytes:
        """Lines of a file in which comments and lines of spaces are empty, and spaces as a delimiter are single."""
        if b" " in text or (self.comments and b"#" in text):
            text = (_BLANK_OR_COMMENT if self.comments else _BLANK).sub(b"", text)
        if self.delimiter == SPACES:
            text = b"\n".join(b" ".join(line.split()) for line in text.splitlines()) + b"\n"
        return text

    def rows(self, texts: Iterable[bytes]) -> Iterator[tuple[int, list[str]]]:
        """The rows of parts of a file that are not empty: the number of the last line of each, and its cells.

        Bytes that are not UTF-8 are replaced by `INVALID`; a column that is read must not have any.
        """
        lines = (line.decode(errors="replace") for text in texts for line in self.clean(text).splitlines(keepends=True))
        reader = csv.reader(lines, delimiter=self.delimiter)
        return ((reader.line_num, [cell.strip() for cell in row]) for row in reader if row)


def parse_number(text: str, decimal: str = ".") -> float:
    """A string as a finite number, or NaN if it is none; underscores, which Python allows, are not accepted.

    >>> parse_number("4e1"), parse_number("1_000"), parse_number("inf"), parse_number("1,5", decimal=",")
    (40.0, nan, nan, 1.5)
    """
    if decimal != ".":
        text = "" if "." in text else text.replace(decimal, ".")
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a string is a finite number."""
    return not math.isnan(parse_number(text, decimal))


# Delimiter


def validate_delimiter(delimiter: str) -> str:
    r"""The value of `data.delimiter` as a character; a backslash and a t stand for a tab.

    Raises:
        ConfigError: It is not one character.
    """
    character = delimiter.replace("\\t", "\t")
    if len(character) != 1 or character in '"\r\n' or not character.isascii():
        raise ConfigError(
            f"data.delimiter={delimiter}: expected one ASCII character, \\t for a tab, ' ' for spaces and tabs, or auto"
        )
    return character


def sniff_delimiter(text: bytes, comments: bool = True, expected: str = ",") -> str:
    r"""The delimiter that divides most lines into the same number of cells, which contain no other delimiter.

    Args:
        text: The first lines of a file.
        comments: Whether lines that begin with # are left out.
        expected: The delimiter if several are equally likely, or none is.

    >>> sniff_delimiter(b"1,5;2,5\n3,0;1,5\n"), sniff_delimiter(b"a  b\n1   2\n")
    (';', ' ')
    """
    candidates = sorted(DELIMITERS, key=lambda delimiter: delimiter != expected)
    return max(candidates, key=lambda delimiter: _fitness(Dialect(delimiter, comments=comments), text))


def sniff_comments(text: bytes) -> bool:
    r"""Whether lines that begin with # are comments; they are rows if most lines do, and all have as many cells.

    >>> sniff_comments(b"# made by hand\na,b\n1,2\n"), sniff_comments(b"color,y\n#ff0000,1\n#00ff00,2\n")
    (True, False)
    """
    lines = [line for line in text.splitlines() if line.strip()]
    hashes = sum(line.startswith(b"#") for line in lines)
    return 2 * hashes <= len(lines) or max(_fitness(Dialect(d, comments=False), text) for d in DELIMITERS) < 1


def _fitness(dialect: Dialect, text: bytes) -> float:
    """The fraction of rows of the most frequent length, times the fraction of cells without a delimiter; 0 to 1."""
    rows = [cells for _, cells in dialect.rows([text])]
    if not rows:
        return 0.0
    columns, count = Counter(map(len, rows)).most_common(1)[0]
    if columns == 1:
        return 0.0
    cells = [cell for row in rows for cell in row]
    return count / len(rows) * sum(not _has_delimiter(cell) for cell in cells) / len(cells)


def _has_delimiter(cell: str) -> bool:
    """Whether a cell looks like several: `1;2`, `a,`, `1 2`; but not `1,5` or `New York`."""
    if is_number(cell) or _DECIMAL_COMMA.fullmatch(cell):
        return False
    words = cell.split()
    return any(mark in cell for mark in ",;|\t") or (len(words) > 1 and all(map(is_number, words)))


# Decimal mark


def sniff_decimal(path: str, rows: Sequence[Sequence[str]], expected: str | None = None) -> str:
    """The decimal mark of most numbers that have one.

    Args:
        path: The file, for messages.
        rows: The first rows of the file.
        expected: The decimal mark if the numbers do not tell.

    Raises:
        ConfigError: The commas can separate thousands as well, and no mark is expected.
    """
    cells = [cell for row in rows for cell in row if "," in cell or "." in cell]
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell) or _THOUSANDS.fullmatch(cell)]
    points = sum(bool(_DECIMAL_POINT.fullmatch(cell)) for cell in cells)
    if len(commas) == points:
        return expected or "."
    if len(commas) < points:
        return "."
    if not all(map(_THOUSANDS.fullmatch, commas)):
        return ","
    if expected is None:
        raise ConfigError(
            f"{path}: the comma of {commas[0]} can be a decimal mark or separate thousands; set data.decimal=',', "
            "or remove separators of thousands"
        )
    return expected


# Header


def sniff_header(path: str, rows: Sequence[Sequence[str]], decimal: str = ".") -> bool:
    """Whether the first row names the columns.

    A text above numbers is a name, and so is every cell beside an empty one above row numbers, as pandas writes them. A
    number above numbers is a value, unless several are consecutive, and so is a text that its column has again.

    Args:
        path: The file, for messages.
        rows: The first rows of the file, of equal length.
        decimal: The decimal mark.

    Raises:
        ConfigError: There is evidence for both, or for neither.

    >>> sniff_header("", [["a", "b"], ["1", "x"]]), sniff_header("", [["1", "x"], ["2", "x"]])
    (True, False)
    """
    first, rest = rows[0], rows[1:]
    if not rest:
        return not any(is_number(cell, decimal) for cell in first)
    columns = list(zip(*rest, strict=True))
    numeric = [_is_numeric(column, decimal) for column in columns]
    above = [
        cell for cell, is_numeric in zip(first, numeric, strict=True) if is_numeric and cell not in MISSING_NUMBERS
    ]
    numbers = [cell for cell in above if is_number(cell, decimal)]
    has_row_numbers = first[0] == "" and columns[0][:2] == ("0", "1")[: len(rest)]
    recurs = any(
        cell in column and cell not in MISSING for cell, column, n in zip(first, columns, numeric, strict=True) if not n
    )
    has_repetitions = any(len(set(column)) < len(column) for column in columns)
    texts = len(above) - len(numbers)
    names = has_row_numbers or texts > 0 or (not any(numeric) and has_repetitions and not recurs)
    values = recurs or (bool(numbers) and not has_row_numbers and not _are_consecutive(numbers, 3 if texts == 0 else 2))
    if names == values:
        raise ConfigError(
            f"{path} row 1: {abbreviate(', '.join(first))}: can be the names of the columns or an example; "
            "set data.header=true or data.header=false"
        )
    return names


def _is_numeric(column: Sequence[str], decimal: str) -> bool:
    """Whether at least half of the values of a column are numbers."""
    values = [cell for cell in column if cell not in MISSING_NUMBERS]
    return bool(values) and 2 * sum(is_number(cell, decimal) for cell in values) >= len(values)


def _are_consecutive(numbers: Sequence[str], at_least: int) -> bool:
    """Whether some numbers are consecutive integers, such as years or the names that pandas gives columns."""
    if len(numbers) < at_least or not all(map(str.isdecimal, numbers)):
        return False
    first = int(numbers[0])
    return [int(number) for number in numbers] == list(range(first, first + len(numbers)))


# Options


@dataclass(frozen=True)
class TextOptions:
    """What is known of a text file before it is read.

    Attributes:
        delimiter, decimal: The characters, or auto.
        likely_delimiter, likely_decimal: Those of similar files, for what the first lines do not tell; None if there is
            no such file.
    """

    delimiter: str = "auto"
    decimal: str = "auto"
    likely_delimiter: str | None = None
    likely_decimal: str | None = None

    def find_delimiter(self, head: bytes, comments: bool) -> str:
        """The delimiter of a file by its first lines."""
        if self.delimiter != "auto":
            return validate_delimiter(self.delimiter)
        return sniff_delimiter(head, comments, self.likely_delimiter or ",")

    def find_decimal(self, name: str, rows: Sequence[Sequence[str]]) -> str:
        """The decimal mark of a file by its first rows; `name` is its path, for messages."""
        return sniff_decimal(name, rows, self.likely_decimal) if self.decimal == "auto" else self.decimal
