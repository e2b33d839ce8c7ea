"""Types of values: shape and dtype, without the values."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

_SHORT = {"float": "f", "int": "i", "uint": "u"}


@dataclass(frozen=True)
class Type:
    """What an array is: its shape and the type of its entries. Its layout is C-contiguous, always.

    >>> print(Type((64, 10), np.dtype("float32")), Type((), np.dtype("int64")))
    f32[64,10] i64[]
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        name = self.dtype.name
        kind = name.rstrip("0123456789")
        return f"{_SHORT.get(kind, kind)}{name[len(kind) :]}[{','.join(map(str, self.shape))}]"


def type_of(array: Any) -> Type:
    return Type(array.shape, array.dtype)
