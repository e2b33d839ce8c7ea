"""Log messages: on the console, and in minitrain.log of a run."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("minitrain")


# What is told


file_log = logging.getLogger("minitrain.file")


def set_up_logging() -> None:
    """Messages to standard output; while a run goes on, to its minitrain.log with the time, too."""
    console = logging.StreamHandler(sys.stdout)
    console.handleError = _not_told  # type: ignore[method-assign]
    console.addFilter(lambda record: record.name == "minitrain")
    log.handlers = [console]
    log.setLevel(logging.INFO)
    log.propagate = False


def _not_told(record: logging.LogRecord) -> None:
    """Nobody reads any more, as `head` that has seen enough, or the disk is full: what is trained goes on."""
    if isinstance(sys.exc_info()[1], BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # on a full disk: no traceback for each line
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
