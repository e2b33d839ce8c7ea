"""The operations of Tensors that derivatives are written in, as a Protocol, because Tensor imports the primitives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

from minitrain.typing import DType, Shape


class Operand(Protocol):
    """A gradient, a result or an input, as a derivative sees it: a Tensor, so that its result can be differentiated."""

    @property
    def shape(self) -> Shape:
        """The size of every axis."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    @property
    def dtype(self) -> DType:
        """The type of the entries."""

    def __add__(self, other: Self | float, /) -> Self: ...
    def __radd__(self, other: float, /) -> Self: ...
    def __sub__(self, other: Self | float, /) -> Self: ...
    def __rsub__(self, other: float, /) -> Self: ...
    def __mul__(self, other: Self | float, /) -> Self: ...
    def __truediv__(self, other: Self | float, /) -> Self: ...
    def __pow__(self, other: Self | float, /) -> Self: ...
    def __rpow__(self, other: float, /) -> Self: ...
    def __gt__(self, other: Self | float, /) -> Self: ...
    def __ge__(self, other: Self | float, /) -> Self: ...
    def __eq__(self, other: Self | float, /) -> Self: ...  # type: ignore[override]  # elementwise, as in NumPy

    def exp(self) -> Self:
        """The exponential."""

    def log(self) -> Self:
        """The natural logarithm."""

    def sigmoid(self) -> Self:
        """The logistic function."""

    def where(self, a: Self | float, b: Self | float) -> Self:
        """Elementwise `a` where this condition holds, else `b`."""

    def masks(self, x: Self) -> Self:
        """Elementwise `x` where this condition holds, else 0."""

    def sum(self, axis: Sequence[int]) -> Self:
        """The sum over some axes."""

    def reshape(self, shape: Sequence[int], /) -> Self:
        """The same entries in another shape."""

    def broadcast_to(self, shape: Sequence[int]) -> Self:
        """The entries repeated to a shape."""

    def astype(self, dtype: Any) -> Self:
        """The value converted to another dtype."""

    def matmul(self, other: Self, transpose_self: bool, transpose_other: bool) -> Self:
        """The product of two stacks of matrices."""
