"""The IDX format of MNIST: an array of numbers, most significant byte first, after a header with its type and shape.

References:
    LeCun, Cortes and Burges: The MNIST database, "File formats for the MNIST database".
"""

from __future__ import annotations

import io
import math
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minitrain.data.reading import reporting_errors
from minitrain.errors import ConfigError
from minitrain.typing import Array, DType, Shape

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}  # third byte of the file -> type
GZIP = b"\x1f\x8b"
LARGEST_EXPANSION = 100  # of a compressed file in memory; MNIST expands 5 times
LARGEST_SMALL_SIZE = 2**24  # bytes that any compressed file may expand to
CHUNK = 2**20  # bytes read at once: gzip copies each
EXPECTED = "an IDX file, such as train-images-idx3-ubyte"


@dataclass(frozen=True)
class IDXFile:
    """An IDX file whose header has been read.

    Attributes:
        path: The file.
        key: The option that names it, for messages.
        shape: The shape of the array.
        dtype: The type of its numbers.
    """

    path: Path
    key: str
    shape: Shape
    dtype: DType

    def describe(self) -> str:
        """Shape and type as text."""
        return f"shape {list(self.shape)} of type {self.dtype}"

    def read(self, out: Array | None = None) -> Array:
        """Read the array, into `out` if that is not None.

        Raises:
            ConfigError: The file is damaged, or its size is not what the header declares.
        """
        array = np.empty(self.shape, self.dtype) if out is None else out
        with reporting_errors(self.key, self.path, EXPECTED), _open(self.path) as file:
            file.seek(_header_size(self.shape))
            buffer, position = array.reshape(-1).view(np.uint8).data, 0
            while position < len(buffer) and (count := file.readinto(buffer[position : position + CHUNK])):
                position += count
            if position < len(buffer):
                raise self._size_error(f"{position:,}")
            if file.read(1):
                raise self._size_error("more")
        if sys.byteorder == "little":
            array.byteswap(inplace=True)
        return array

    def check_size(self) -> None:
        """Check what the header declares against the size of the file, before memory is allocated for it.

        Raises:
            ConfigError: The file is too small or too large, or a compressed file would expand beyond measure.
        """
        declared, size = math.prod(self.shape) * self.dtype.itemsize, self.path.stat().st_size
        if not _is_compressed(self.path):
            if size - _header_size(self.shape) != declared:
                raise self._size_error(f"{size - _header_size(self.shape):,}")
        elif declared > max(LARGEST_SMALL_SIZE, LARGEST_EXPANSION * size):
            raise ConfigError(
                f"{self.key}={self.path}: declares {declared:,} bytes, more than {LARGEST_EXPANSION} times its size of "
                f"{size:,}; if that is right, decompress it with gunzip"
            )

    def _size_error(self, size: str) -> ConfigError:
        declared = math.prod(self.shape) * self.dtype.itemsize
        return ConfigError(
            f"{self.key}={self.path}: has {size} bytes after its header, which declares {declared:,}, shape "
            f"{list(self.shape)} of {self.dtype.itemsize} bytes each; expected a complete IDX file"
        )


def open_idx(key: str, path: Path) -> IDXFile:
    """Read the header of an IDX file, which may be compressed by gzip.

    Args:
        key: The option or argument that names the file, for messages.
        path: The file.

    Raises:
        ConfigError: It is not an IDX file, or it is damaged.
    """
    with reporting_errors(key, path, EXPECTED), _open(path) as file:
        start = file.read(4)
        if not _is_magic(start):
            raise ConfigError(
                f"{key}={path}: begins with the bytes {start.hex(' ') or 'of an empty file'}; expected {EXPECTED}, "
                "which begins with 00 00, a type from 08 to 0e and the number of dimensions"
            )
        sizes = file.read(4 * start[3])
        if len(sizes) < 4 * start[3]:
            raise ConfigError(f"{key}={path}: ends within its header; expected a complete IDX file")
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    if 0 in shape:
        raise ConfigError(f"{key}={path}: has shape {list(shape)}; expected at least one example")
    result = IDXFile(path, key, shape, np.dtype(TYPES[start[2]]))
    result.check_size()
    return result


def is_idx(path: Path) -> bool:
    """Whether a file begins like an IDX file; False if it cannot be read."""
    try:
        with _open(path) as file:
            return _is_magic(file.read(4))
    except (OSError, EOFError, zlib.error):
        return False


def _is_magic(start: bytes) -> bool:
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in TYPES and start[3] > 0


def _header_size(shape: Shape) -> int:
    return 4 + 4 * len(shape)


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == GZIP


@contextmanager
def _open(path: Path) -> Iterator[io.BufferedIOBase]:
    if _is_compressed(path):
        import gzip  # only compressed files need it

        with gzip.open(path) as file:
            yield file
    else:
        with path.open("rb") as plain:
            yield plain
