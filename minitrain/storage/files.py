"""A run's directory on disk: claimed by one run, written so that a kill at any moment loses nothing.

    .hydra/{config,hydra,overrides}.yaml   minitrain.log
    metrics.csv        step, lr, train_loss, and at evaluations val_loss, val_accuracy, what `metrics` asks for
    summary.json       status, final and best metrics, seconds, versions
    loss.png loss.svg  diagnostics.png diagnostics.svg
    checkpoints/last.npz best.npz

Every file but metrics.csv is written beside its place and renamed; metrics.csv only grows, and a resumed run
cuts it back to its checkpoint. A directory may be a stranger's: whatever is read is held against what it should be
before it is used, and RecordError tells in a line what is wrong.
"""

from __future__ import annotations

import csv
import errno
import io
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from minitrain.errors import RecordError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside its place, flush it to the disk, and rename it: it is whole or not there.

    Raises OSError that names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_atomically` for text, in UTF-8; what has no such form, as half a surrogate pair, becomes a ?."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8", "replace")))


def read_text(path: Path, longest: float = math.inf) -> str:
    """The text of a file of so many bytes at most. Raises OSError and ValueError.

    A pipe or a device, which a stranger's directory may hold, is none: it could go on for ever.
    """
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    if path.stat().st_size > longest:
        raise ValueError(f"longer than {longest:,} bytes")
    return path.read_text(encoding="utf-8")


def reject_special_files(directory: Path) -> None:
    """Raise RecordError for what no run leaves in a directory, which is to be written to: links, pipes, devices.

    What a link leads to is outside, and another's. The directory itself may be one.
    """
    for path in directory.rglob("*"):
        if path.is_symlink():
            raise RecordError(f"{path}: is a link; a run's files are its own: put what it leads to in its place")
        if not (path.is_file() or path.is_dir()):
            raise RecordError(f"{path}: is neither a file nor a folder; no run leaves such; take it away")


def format_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows by column name as CSV, with a header; a cell that a row lacks is empty.

    >>> format_csv(["run", "note"], [{"run": 0, "note": "a, b"}, {"run": 1}])
    'run,note\\n0,"a, b"\\n1,\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_folder(path: Path, texts: Mapping[str, str]) -> None:
    """Write a folder of small files beside its place, and rename it: it is whole or not there.

    Raises FileExistsError where there is one already.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.mkdir(parents=True, exist_ok=True)
    try:
        for name, text in texts.items():
            write_text(beside / name, text)
        beside.rename(path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        raise FileExistsError(f"{path} is there already") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
