"""The exceptions that minitrain raises, with the exit status of each, and helpers for one-line messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode's categories: control, format, surrogate, line and paragraph
LONGEST_VALUE = 60  # characters of a value in a message


class MinitrainError(Exception):
    """Base class of minitrain's exceptions; the message is one line.

    Attributes:
        exit_status: The exit status of a command line that ends with this exception.
    """

    exit_status: ClassVar[int] = 1


class ConfigError(MinitrainError, ValueError):
    """Invalid user configuration: the message names the key, the value and what is expected."""

    exit_status = 2


class RecordError(MinitrainError):
    """A file in the directory of a run or a sweep is missing, damaged, or not what it should be."""

    exit_status = 2


class NewerVersionError(RecordError):
    """A later version of minitrain wrote a run in a format that this version does not read."""


class DirectoryInUseError(RecordError):
    """Another process writes to the directory of a run or a sweep."""


class TracingError(MinitrainError, TypeError):
    """A step cannot be compiled: it depends on a value that changes from step to step."""


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop, and has written everything that resuming it requires."""

    exit_status: ClassVar[int] = 130


@contextmanager
def naming_run(number: int, overrides: Sequence[str]) -> Iterator[None]:
    """Add to a ConfigError which run of a sweep it concerns.

    Args:
        number: The number of the run.
        overrides: The overrides in which it differs from other runs; an error of the only run is not changed.

    >>> with naming_run(2, ["data=iris"]):
    ...     raise ConfigError("batch_size=128: expected at most 120")
    Traceback (most recent call last):
    minitrain.errors.ConfigError: batch_size=128: expected at most 120 (run 2: data=iris)
    """
    try:
        yield
    except ConfigError as error:
        if not overrides:
            raise
        raise ConfigError(f"{error} (run {number}: {abbreviate(' '.join(overrides))})") from error


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "run"), plural(2000, "run")
    ('1 run', '2,000 runs')
    """
    return f"{count:,} {noun}" + ("s" if count != 1 else "")


def first_line(error: BaseException) -> str:
    r"""The first non-empty line of an exception's message, with the next one if it ends in a colon.

    If there is none, that of the exception which caused it, or else the name of its type.

    >>> first_line(ValueError("in a.yaml:\n  a number\n  at line 3")), first_line(KeyError())
    ('in a.yaml: a number', 'KeyError')
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return first_line(error.__cause__) if error.__cause__ is not None else type(error).__name__
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])


def printable(text: str, keep: str = "") -> str:
    r"""A text with escapes for characters that a terminal or a figure would not show as they are.

    These are control characters, marks that change the direction of text, and bytes that are no Unicode.

    Args:
        text: The text.
        keep: Control characters that are not escaped, such as the newline of a table.

    >>> printable("größe \x1b[31m \u202e \udce9")
    'größe \\x1b[31m \\u202e \\udce9'
    """
    if text.isascii() and text.isprintable():
        return text
    import unicodedata  # few texts need it

    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in UNPRINTABLE and char not in keep else char for char in text
    )


def abbreviate(value: object) -> str:
    """A value as text for a message, cut off after `LONGEST_VALUE` characters."""
    try:
        text = "null" if value is None else str(value)
    except ValueError:  # Python does not convert integers of more than 4300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
