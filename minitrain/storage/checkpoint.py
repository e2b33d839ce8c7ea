"""Checkpoints: arrays by name and progress, with a checksum."""

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


def save_checkpoint(path: Path, arrays: Mapping[str, Array], progress: RunProgress) -> None:
    """Write arrays by name and the progress of a run, as an npz with a checksum over all of it, without pickle."""
    members = {**arrays, "meta": np.frombuffer(json.dumps(asdict(progress)).encode(), np.uint8)}
    checksum = np.frombuffer(_checksum(members), np.uint8)
    write_atomically(path, lambda file: np.savez(file, **members, checksum=checksum))  # type: ignore[arg-type]


def load_checkpoint(path: Path) -> tuple[dict[str, Array], RunProgress]:
    """The arrays of a checkpoint by name, and the progress of its run. Raises RecordError where it is missing, damaged or none."""
    if not path.is_file():
        raise RecordError(f"{path}: not a checkpoint that can be used (not a regular file)")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            _check_sizes(archive.zip, path.stat().st_size)
            members = {name: archive[name] for name in archive.files}
        checksum = members.pop("checksum").tobytes()
        if checksum != _checksum(members):
            raise ValueError("its checksum is wrong")
        meta = json.loads(members.pop("meta").tobytes())
    except Exception as error:  # what a damaged archive raises, down to NotImplementedError, has no end
        reason = error if "checksum" in str(error) else "damaged, or no npz file of plain arrays"
        raise RecordError(f"{path}: not a checkpoint that can be used ({reason})") from error
    try:
        return members, parse_progress(meta)
    except ValueError as error:
        raise RecordError(f"{path}: not the checkpoint of a run ({error})") from error


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse what would take more memory than the file has bytes: nothing in a checkpoint is compressed."""
    for info in archive.infolist():
        with archive.open(info) as member:
            header = np.lib.format
            version = header.read_magic(member)
            read = header.read_array_header_1_0 if version == (1, 0) else header.read_array_header_2_0
            shape, _, dtype = read(member)
        fits = math.prod(shape) * dtype.itemsize <= info.file_size <= size
        if info.compress_type != zipfile.ZIP_STORED or not fits:
            raise ValueError("larger inside than outside")


def _checksum(members: Mapping[str, Array]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(members):
        array = np.asarray(members[name], order="C")
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.digest()
