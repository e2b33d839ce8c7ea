"""An exclusive lock on the directory of a run or a sweep, so that one process at a time writes to it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minitrain.errors import DirectoryInUseError, RecordError

LOCK_FILE = ".lock"
PID_OFFSET = 1  # Windows locks the first byte of the file against reading
LONGEST_PID = 20  # digits

_held: set[Path] = set()  # by this process


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock on a directory. It is released on exit, and by the operating system when the process dies.

    A process that holds the lock may enter again. The file `.lock` contains the process id of the holder, and is
    removed on exit.

    Raises:
        DirectoryInUseError: Another process holds the lock.
        RecordError: The file `.lock` is a link, or not a regular file.
        OSError: The file cannot be created.
    """
    path = directory.resolve() / LOCK_FILE
    if path in _held:
        yield
        return
    descriptor = _acquire(path, directory)
    _held.add(path)
    try:
        _write_holder(descriptor)
        yield
    finally:
        _held.discard(path)
        with suppress(OSError):  # Windows does not remove open files; the directory may have been removed
            path.unlink()
        os.close(descriptor)


def _acquire(path: Path, directory: Path) -> int:
    """Open and lock a lock file; returns its descriptor, which holds the lock until it is closed."""
    from filelock import lock_descriptor  # imported here: what only reads directories does not need it

    while True:
        descriptor, is_acquired = _open(path), False
        try:
            if not lock_descriptor(descriptor, blocking=False):
                raise DirectoryInUseError(f"{directory}: in use by {_read_holder(descriptor)}; wait for it or stop it")
            is_acquired = _is_at(path, descriptor)  # if not, its former holder has removed the file in the meantime
        finally:
            if not is_acquired:
                os.close(descriptor)
        if is_acquired:
            return descriptor


def _open(path: Path) -> int:
    """Open or create a lock file, without following links: the directory may be untrusted."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with suppress(FileNotFoundError):
        _require_regular(path, path.lstat())
    descriptor = os.open(path, flags, 0o644)
    try:
        _require_regular(path, os.fstat(descriptor))
    except RecordError:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RecordError(f"{path}: is not a regular file; remove it")


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write_holder(descriptor: int) -> None:
    with suppress(OSError):  # a full disk: the lock holds without it
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b" " * PID_OFFSET + f"{os.getpid()}\n".encode())


def _read_holder(descriptor: int) -> str:
    """The process that holds the lock on an open file, as a text for messages."""
    os.lseek(descriptor, PID_OFFSET, os.SEEK_SET)
    pid = os.read(descriptor, LONGEST_PID).strip()
    return f"process {pid.decode()}" if pid.isdigit() else "another process"
