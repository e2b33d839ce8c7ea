"""Checkpoints: npz files of arrays and the progress of a run, with a checksum and without pickle."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from minitrain.errors import RecordError
from minitrain.storage.files import write_atomically
from minitrain.storage.summary import RunProgress, parse_progress
from minitrain.typing import Array


class _ChecksumError(ValueError):
    """The content of a checkpoint does not match its checksum."""


def save_checkpoint(path: Path, arrays: Mapping[str, Array], progress: RunProgress) -> None:
    """Write a checkpoint atomically. Equal arrays and progress give equal bytes.

    Args:
        path: The npz file.
        arrays: Name -> array; the names `meta` and `checksum` are reserved.
        progress: Stored as JSON in the member `meta`.
    """
    members = {**arrays, "meta": np.frombuffer(json.dumps(asdict(progress)).encode(), np.uint8)}
    checksum = np.frombuffer(_checksum(members), np.uint8)
    # NumPy's stubs take the names of arrays for savez's option allow_pickle.
    write_atomically(path, lambda file: np.savez(file, **members, checksum=checksum))  # type: ignore[arg-type]


def load_checkpoint(path: Path) -> tuple[dict[str, Array], RunProgress]:
    """Read a checkpoint, which may be untrusted.

    Returns:
        The arrays by name, and the progress of the run.

    Raises:
        RecordError: The file is missing, damaged, or not a checkpoint of a run.
    """
    if not path.is_file():
        raise RecordError(f"{path}: not a usable checkpoint (not a regular file)")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            _check_sizes(archive.zip, path.stat().st_size)
            members = {name: archive[name] for name in archive.files}
        checksum = members.pop("checksum").tobytes()
        if checksum != _checksum(members):
            raise _ChecksumError
        meta = json.loads(members.pop("meta").tobytes())
    except _ChecksumError as error:
        raise RecordError(f"{path}: not a usable checkpoint (its checksum is wrong)") from error
    except Exception as error:  # damaged archives raise many types, NotImplementedError and zlib.error among them
        raise RecordError(f"{path}: not a usable checkpoint (damaged, or no npz file of plain arrays)") from error
    try:
        return members, parse_progress(meta)
    except ValueError as error:
        raise RecordError(f"{path}: not the checkpoint of a run ({error})") from error


def lost_checkpoint(directory: Path) -> str | None:
    """The message about a run that has trained and has no checkpoint; None if it has one, or has not begun."""
    path = directory / "checkpoints" / "last.npz"
    if path.exists() or not (directory / "metrics.csv").exists():
        return None
    return f"{path}: no such file, so the run starts over at step 0"


def _check_sizes(archive: zipfile.ZipFile, file_size: int) -> None:
    """Reject archives that would take more memory than the file has bytes: checkpoints are not compressed."""
    header = np.lib.format
    for info in archive.infolist():
        with archive.open(info) as member:
            version = header.read_magic(member)
            read_header = header.read_array_header_1_0 if version == (1, 0) else header.read_array_header_2_0
            shape, _, dtype = read_header(member)
        fits = math.prod(shape) * dtype.itemsize <= info.file_size <= file_size
        if info.compress_type != zipfile.ZIP_STORED or not fits:
            raise ValueError("declared size exceeds file size")


def _checksum(members: Mapping[str, Array]) -> bytes:
    """SHA-256 of the names, types, shapes and contents of arrays."""
    digest = hashlib.sha256()
    for name in sorted(members):
        array = np.asarray(members[name], order="C")
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.digest()
