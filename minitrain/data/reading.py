"""Files of the user: finding and opening them, arrays in npz archives, and one-line errors for damaged files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minitrain.errors import ConfigError, abbreviate, first_line
from minitrain.paths import find_file
from minitrain.typing import Array


def require_file(key: str, path: str | None, kind: str, or_folder: bool = False) -> Path:
    """The path of an existing file.

    Args:
        key: The option or argument that names the file, for messages.
        path: The path, relative to the current directory; None if the option was not set.
        kind: What is expected, for messages: `a csv file`.
        or_folder: Whether it may also be a folder.

    Raises:
        ConfigError: The path was not set, does not exist, or cannot be accessed.
    """
    if path is None:
        raise ConfigError(f"{key}=null: expected the path of {kind}; set {key}={'FOLDER' if or_folder else 'FILE'}")
    try:
        file = find_file(path)
        kind_of_path = _kind(file)
    except (OSError, RuntimeError) as error:  # the name is too long, the directory not accessible, the user unknown
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{key}={abbreviate(path)}: cannot be read ({reason}); expected the path of {kind}"
        ) from error
    if kind_of_path == "nothing":
        raise ConfigError(
            f"{key}={path}: no such file; expected a path relative to the current directory, {Path.cwd()}"
        )
    if kind_of_path != "a file" and not (or_folder and kind_of_path == "a directory"):
        raise ConfigError(f"{key}={path}: {kind_of_path}, not a regular file; expected the path of {kind}")
    return file


def open_file(path: Path) -> BinaryIO:
    """A file for reading, decompressed if it begins like a gzip, bzip2 or xz file.

    Raises:
        ConfigError: It is a zip archive, which may contain several files.
    """
    with path.open("rb") as file:
        start = file.read(2**16)
    if start.startswith(b"PK\x03\x04"):
        raise ConfigError(f"{path}: is an Excel workbook or a zip archive; save it as csv, or extract the file")
    for magic, module in (b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ", "lzma"):
        if start.startswith(magic):
            return import_module(module).open(path)
    if b"\r" in start and b"\n" not in start:  # lines of old Macintosh programs
        return io.BytesIO(path.read_bytes().replace(b"\r", b"\n"))
    return path.open("rb")


def _kind(path: Path) -> str:
    """What a path names.

    >>> _kind(Path("."))
    'a directory'
    """
    kinds: dict[str, Callable[[], bool]] = {
        "a file": path.is_file,
        "a directory": path.is_dir,
        "a pipe": path.is_fifo,
        "a socket": path.is_socket,
        "a device": lambda: path.is_char_device() or path.is_block_device(),
    }
    return next((kind for kind, test in kinds.items() if test()), "nothing")


@contextmanager
def reporting_errors(key: str, path: Path, expected: str) -> Iterator[None]:
    """Convert every error of a reader into a ConfigError of one line.

    Damaged files raise many types of exceptions: those of zipfile, tokenize and struct among others.

    Args:
        key: The option or argument that names the file.
        path: The file.
        expected: What the file should contain.
    """
    try:
        yield
    except (ConfigError, MemoryError):
        raise
    except Exception as error:
        reason = first_line(error)
        if "allow_pickle" in str(error):  # NumPy recommends to load the file unsafely
            reason = "not a file of plain arrays"
        raise ConfigError(f"{key}={path}: cannot be read ({reason}); expected {expected}") from error


def validate_array(member: object, name: str) -> Array:
    """A member of an npz archive as an array.

    Raises:
        ValueError: It is not an array: NumPy returns the bytes of other members.
    """
    if not isinstance(member, np.ndarray):
        raise ValueError(f"{name} is not an array")
    return member
