"""Log messages: on the console, and in the file minitrain.log of a run."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from minitrain.errors import printable

log = logging.getLogger("minitrain")
file_log = logging.getLogger("minitrain.file")  # messages for minitrain.log only, such as tracebacks


def set_up_logging(stream: TextIO | None = None) -> None:
    """Log to a stream, by default standard output."""
    console = logging.StreamHandler(sys.stdout if stream is None else stream)
    console.setFormatter(_PrintableFormatter())
    console.handleError = _handle_console_error  # type: ignore[method-assign]
    console.addFilter(lambda record: record.name == "minitrain")
    log.handlers = [console]
    log.setLevel(logging.INFO)
    log.propagate = False


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Append messages, with the time, to a file as well."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_PrintableFormatter("%(asctime)s %(levelname)s %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk: no traceback for each line
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


class _PrintableFormatter(logging.Formatter):
    """Escapes what a terminal would act on: names and values may come from untrusted files."""

    def format(self, record: logging.LogRecord) -> str:
        """The message; lines and tabs stay."""
        return printable(super().format(record), keep="\n\t")


def _handle_console_error(record: logging.LogRecord) -> None:
    """Training continues if standard output is closed, as by `head`, or its disk is full."""
    if isinstance(sys.exc_info()[1], BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
