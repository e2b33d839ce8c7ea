"""Types of values: shape and dtype, without the values."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from minitrain.typing import DType, Shape, Typed

_ABBREVIATIONS = {"float": "f", "int": "i", "uint": "u"}


@dataclass(frozen=True)
class Type:
    """The shape and dtype of an array, whose layout is always C-contiguous.

    >>> import numpy as np
    >>> print(Type((64, 10), np.dtype("float32")), Type((), np.dtype("int64")))
    f32[64,10] i64[]
    """

    shape: Shape
    dtype: DType

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of entries."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The memory of all entries, in bytes."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        name = self.dtype.name
        kind = name.rstrip("0123456789")
        return f"{_ABBREVIATIONS.get(kind, kind)}{name[len(kind) :]}[{','.join(map(str, self.shape))}]"


def type_of(array: Typed) -> Type:
    """The type of an array or Tensor."""
    return Type(array.shape, array.dtype)
