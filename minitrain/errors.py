"""The errors that minitrain raises, and how their messages are shortened."""

from __future__ import annotations

from typing import Any


class ConfigError(ValueError):
    """A person's mistake in a config; its message is one line: key=value, and what is allowed."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message that says something; its type where none does."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def abbreviate(value: Any) -> str:
    """A value as a message names it."""
    try:
        text = "null" if value is None else str(value)
    except ValueError:  # Python writes out no integer of more than 4300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:59] + "…"


class RecordError(Exception):
    """A file of a run that cannot be read as what it should be; its message is one line."""


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop, and has written everything that resuming it needs."""


class TracingError(TypeError):
    """What was done cannot be replayed: it would depend on a value that changes from step to step."""
