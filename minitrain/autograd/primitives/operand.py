"""The operations of Tensors that derivatives are written in, as a Protocol, because Tensor imports the primitives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

from minitrain.typing import Axis, DType, Shape


class Operand(Protocol):
    """A gradient, a result or an input, as a derivative sees it: a Tensor, so that its result can be differentiated."""

    @property
    def shape(self) -> Shape:
        """The size of every axis."""

    @property
    def size(self) -> int:
        """The number of entries."""

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
    def __floordiv__(self, other: Self | float, /) -> Self: ...
    def __neg__(self) -> Self: ...
    def __invert__(self) -> Self: ...
    def __pow__(self, other: Self | float, /) -> Self: ...
    def __rpow__(self, other: float, /) -> Self: ...
    def __gt__(self, other: Self | float, /) -> Self: ...
    def __lt__(self, other: Self | float, /) -> Self: ...
    def __le__(self, other: Self | float, /) -> Self: ...
    def __ge__(self, other: Self | float, /) -> Self: ...
    def __eq__(self, other: Self | float, /) -> Self: ...  # type: ignore[override]  # elementwise, as in NumPy

    def exp(self) -> Self:
        """The exponential."""

    def log(self) -> Self:
        """The natural logarithm."""

    def sqrt(self) -> Self:
        """The square root."""

    def abs(self) -> Self:
        """The absolute value."""

    def floor(self) -> Self:
        """The largest integers that are at most the entries."""

    def round(self, decimals: int = 0) -> Self:
        """The closest integers, or numbers of some decimals."""

    def sigmoid(self) -> Self:
        """The logistic function."""

    def isfinite(self) -> Self:
        """Whether entries are neither infinite nor nan."""

    def where(self, a: Self | float, b: Self | float) -> Self:
        """Elementwise `a` where this condition holds, else `b`."""

    def _masks(self, x: Self) -> Self:
        """Elementwise `x` where this condition holds, else 0."""

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """The sum over some axes."""

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """The mean over some axes."""

    def max(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """The largest entry over some axes."""

    def min(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """The smallest entry over some axes."""

    def var(self, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> Self:
        """The variance over some axes."""

    def argmax(self, axis: int | None = -1) -> Self:
        """The index of the largest entry along an axis."""

    def cumsum(self, axis: int | None = -1, backward: bool = False) -> Self:
        """Cumulative sums along an axis."""

    def sort(self, axis: int | None = -1, descending: bool = False) -> Self:
        """The entries along an axis in order."""

    def argsort(self, axis: int | None = -1, descending: bool = False) -> Self:
        """The indices that sort the entries along an axis."""

    def reshape(self, shape: Sequence[int], /) -> Self:
        """The same entries in another shape."""

    def transpose(self, axes: Sequence[int], /) -> Self:
        """The axes in another order."""

    def _repeat(self, shape: Shape) -> Self:
        """The entries repeated to a shape, which fits."""

    def narrow(self, axis: int, start: int, length: int) -> Self:
        """Some entries along an axis."""

    def detach(self) -> Self:
        """The same value without its graph."""

    def astype(self, dtype: Any) -> Self:
        """The value converted to another dtype."""

    def _matmul(self, other: Self, transpose_self: bool = False, transpose_other: bool = False) -> Self:
        """The product of two stacks of matrices."""

    def _as_float(self) -> Self:
        """The value itself if it is floating-point, else converted to float64."""

    def _join(self, *others: Self, axis: int) -> Self:
        """This value and others, one after another along an axis."""

    def _along(self, indices: Self, axis: int) -> Self:
        """The entries at some indices along an axis; the other sizes are broadcast."""

    def _slice(self, key: tuple[slice, ...]) -> Self:
        """The entries at one slice per axis."""

    def _unslice(self, key: tuple[slice, ...], shape: Shape) -> Self:
        """Zeros of a shape with this value at the slices."""

    def _take(self, rows: Self) -> Self:
        """Rows by number."""

    def _scatter_add(self, rows: Self, size: int) -> Self:
        """Zeros of `size` rows, to which each row is added at its number."""

    def _unfold(self, kernel: Shape, stride: Shape, dilation: Shape) -> Self:
        """All windows."""

    def _fold(self, sizes: Shape, stride: Shape, dilation: Shape) -> Self:
        """Windows added up at their positions."""
