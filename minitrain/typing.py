"""Types that every room uses."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]
Shape = tuple[int, ...]


class Typed(Protocol):
    """Anything with a shape and a dtype: an array, a Tensor, or the type of one."""

    @property
    def shape(self) -> Shape:
        """The size of every axis."""

    @property
    def dtype(self) -> DType:
        """The type of the entries."""
