"""Types that every room uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]
Shape = tuple[int, ...]
Axis = int | Sequence[int] | None  # one axis, several, or all


class Typed(Protocol):
    """Anything with a shape and a dtype: an array, a Tensor, or the type of one."""

    @property
    def shape(self) -> Shape:
        """The size of every axis."""

    @property
    def dtype(self) -> DType:
        """The type of the entries."""
