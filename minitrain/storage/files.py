"""Writing files atomically, and reading files of untrusted directories."""

from __future__ import annotations

import csv
import errno
import io
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from minitrain.errors import RecordError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that readers see either its old or its new content.

    The content is written to a temporary file in the same directory, synced to disk, and renamed. Missing parent
    directories are created.

    Args:
        path: The file to write.
        write: Writes the content to the open temporary file.

    Raises:
        OSError: The file cannot be written; the error names `path`, not the temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text atomically, in UTF-8; characters that UTF-8 cannot encode (lone surrogates) become `?`."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8", "replace")))


def read_text(path: Path, max_bytes: float = math.inf) -> str:
    """Read a text file in UTF-8.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is larger than `max_bytes`, not UTF-8, or not a regular file: reading a pipe or a device may
            never end.
    """
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    size = path.stat().st_size
    if size > max_bytes:
        raise ValueError(f"{size:,} bytes, expected at most {max_bytes:,}")
    return path.read_text(encoding="utf-8")


def reject_special_files(directory: Path) -> None:
    """Check that a directory contains only regular files and directories, before it is written to.

    Symbolic links may point outside the run directory. The directory itself may be a link.

    Raises:
        RecordError: There is a symbolic link, a pipe, a device or a socket in it.
    """
    for path in directory.rglob("*"):
        if path.is_symlink():
            raise RecordError(
                f"{path}: is a symbolic link, which may point outside the run directory; replace it with a copy of its "
                "target"
            )
        if not (path.is_file() or path.is_dir()):
            raise RecordError(f"{path}: unexpected file type, neither a regular file nor a directory; remove it")


def format_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    r"""Format rows as CSV with a header; cells that a row does not have are empty.

    >>> format_csv(["run", "note"], [{"run": 0, "note": "a, b"}, {"run": 1}])
    'run,note\n0,"a, b"\n1,\n'
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_folder(path: Path, texts: Mapping[str, str]) -> None:
    """Write a directory of small text files atomically: to a temporary directory, which is then renamed.

    Args:
        path: The directory to create.
        texts: File name -> content.

    Raises:
        FileExistsError: The directory already exists.
        OSError: A file cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.mkdir(parents=True, exist_ok=True)
    try:
        for name, text in texts.items():
            write_text(temporary / name, text)
        temporary.rename(path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        raise FileExistsError(f"{path} already exists") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
