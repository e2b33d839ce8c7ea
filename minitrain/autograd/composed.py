"""Methods of Tensor that are composed of other methods of it, so that they have derivatives of any order.

They are written for any `Operand`, because Tensor inherits them. Functions of the same names in `functional` document
their arguments.
"""

from __future__ import annotations

from math import inf, prod
from typing import Generic, TypeVar

from minitrain.autograd.primitives.operand import Operand
from minitrain.autograd.primitives.reductions import sum_dtype
from minitrain.autograd.shapes import axes_from_end, axis_from_end
from minitrain.autograd.value import Value
from minitrain.typing import Axis, Shape

R = TypeVar("R", bound=Operand)


class Composed(Value, Generic[R]):
    """The methods of Tensor that need no primitive of their own."""

    __slots__ = ()

    def _this(self) -> R:
        """This value by its own class."""
        return self  # type: ignore[return-value]  # Tensor is the only class

    # Rounding

    def ceil(self) -> R:
        """The smallest integer that is at least x; integers and booleans stay as they are."""
        x = self._this()
        return -((-x).floor()) if x.dtype.kind == "f" else x

    def __round__(self, decimals: int = 0) -> R:
        x = self._this()
        return x.round(decimals)

    # Reductions

    def min(self, axis: Axis = None, keepdims: bool = False) -> R:
        """The smallest entry over axes; tied entries share its gradient evenly."""
        x = self._this()
        if x.dtype.kind == "f":
            return -((-x).max(axis, keepdims))
        return ~((~x).max(axis, keepdims))  # -x overflows

    def argmin(self, axis: int | None = -1) -> R:
        """The index of the smallest entry along an axis; the first of equal ones."""
        x = self._this()
        return (-x if x.dtype.kind == "f" else ~x).argmax(axis)

    def var(self, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> R:
        """The variance Σ (x - mean)² / (n - correction) over axes."""
        x = self._this()._as_float()
        axes = axes_from_end("var", x.shape, axis)
        count = prod(x.shape[a] for a in axes)
        if count <= correction:
            raise ValueError(
                f"var: {count} values with correction={correction}: the divisor would not be positive; pass more "
                "values or a smaller correction"
            )
        # Subtracting an entry does not change the variance, and makes that of equal values exactly 0.
        first = x
        for a in axes:
            first = first.narrow(a, 0, 1)
        shifted = x - first
        centered = shifted - shifted.mean(axis, keepdims=True)
        return (centered * centered).sum(axis, keepdims) / (count - correction)

    def std(self, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> R:
        """The standard deviation √var over axes; of equal values it is 0 with derivative 0."""
        x = self._this()
        return _root(x.var(axis, correction, keepdims))

    def norm(self, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> R:
        """The norm of a given order over axes; of zeros it is 0 with derivative 0."""
        if not isinstance(ord, (int, float)):
            raise TypeError(f"norm: ord={ord!r}: expected a number, inf or -inf; the Euclidean norm is 2")
        x = self._this()._as_float()
        if ord == 2:
            return _root((x * x).sum(axis, keepdims))
        size = x.abs()
        if ord == 1:
            return size.sum(axis, keepdims)
        if ord in (inf, -inf):
            return size.max(axis, keepdims) if ord > 0 else size.min(axis, keepdims)
        if ord == 0:
            return (~(size <= 0.0)).astype(x.dtype).sum(axis, keepdims)
        if not ord > 0:
            return (size**ord).sum(axis, keepdims) ** (1 / ord)
        return _power_or_zero(_power_or_zero(size, ord).sum(axis, keepdims), 1 / ord)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> R:
        """The product over axes; its derivatives of any order are correct where entries are 0."""
        x = self._this()
        x = x.astype(sum_dtype(x.dtype))
        axes = axes_from_end("prod", x.shape, axis)
        others = tuple(a for a in range(-x.ndim, 0) if a not in axes)
        shape = tuple(x.shape[a] for a in others)
        factors = x.transpose(others + axes).reshape((*shape, prod(x.shape[a] for a in axes)))
        # The first half is multiplied by the second half until one entry remains: no derivative divides by an entry.
        while (count := factors.shape[-1]) != 1:
            half = count // 2
            if count == 0:
                factors = factors.sum(-1, keepdims=True) + 1
            else:
                products = factors.narrow(-1, 0, half) * factors.narrow(-1, count - half, half)
                factors = products._join(factors.narrow(-1, half, 1), axis=-1) if count % 2 else products
        return factors.reshape(reduced_shape(x.shape, axes, keepdims))

    def cumprod(self, axis: int | None = -1) -> R:
        """Cumulative products along an axis; their derivatives of any order are correct where entries are 0."""
        x = self._this()
        x = x.astype(sum_dtype(x.dtype)) if axis is not None else x.astype(sum_dtype(x.dtype)).reshape((-1,))
        axis = axis_from_end("cumprod", x.shape, -1 if axis is None else axis)
        size, distance = x.shape[axis], 1
        # After k rounds, each entry is the product of the last 2^k: no derivative divides by an entry.
        while distance < size:
            rest = size - distance
            products = x.narrow(axis, distance, rest) * x.narrow(axis, 0, rest)
            x = x.narrow(axis, 0, distance)._join(products, axis=axis)
            distance *= 2
        return x

    def logsumexp(self, axis: Axis = -1, keepdims: bool = False) -> R:
        """log Σ exp(x) over axes, without overflow."""
        x = self._this()._as_float()
        shift = largest(x, axis)
        result = (x - shift).exp().sum(axis, keepdims=True).log() + shift
        return result if keepdims else result.reshape(reduced_shape(x.shape, axes_from_end("logsumexp", x.shape, axis)))

    def softmax(self, axis: int = -1) -> R:
        """Softmax along an axis: exp(x) / Σ exp(x)."""
        x = self._this()._as_float()
        axis = axis_from_end("softmax", x.shape, axis)
        e = (x - largest(x, axis)).exp()
        return e / e.sum(axis, keepdims=True)

    def log_softmax(self, axis: int = -1) -> R:
        """The logarithm of softmax along an axis: x - log Σ exp(x)."""
        x = self._this()._as_float()
        axis = axis_from_end("log_softmax", x.shape, axis)
        z = x - largest(x, axis)
        return z - z.exp().sum(axis, keepdims=True).log()

    # Order

    def sort(self, axis: int | None = -1, descending: bool = False) -> R:
        """The entries along an axis in ascending or descending order; nan is the largest."""
        x = self._this()
        if axis is None:
            return x.reshape((-1,)).sort(-1, descending)
        return x._along(x.argsort(axis, descending), axis)

    def topk(self, k: int, axis: int = -1, largest: bool = True) -> tuple[R, R]:
        """The k largest or smallest entries along an axis, in order, and their indices."""
        x = self._this()
        axis = axis_from_end("topk", x.shape, axis)
        if not 0 <= k <= x.shape[axis]:
            raise ValueError(f"topk: k={k} of {x.shape[axis]} entries: expected 0 to {x.shape[axis]}")
        indices = x.argsort(axis, largest).narrow(axis, 0, k)
        return x._along(indices, axis), indices

    # Shapes

    def flatten(self, start: int = 0, end: int = -1) -> R:
        """Join the axes from `start` to `end`; all by default."""
        x = self._this()
        if x.ndim == 0:
            return x.reshape((1,))
        first, last = (axis_from_end("flatten", x.shape, a) for a in (start, end))
        if first > last:
            raise ValueError(f"flatten: axes {start} to {end} of shape {list(x.shape)}: expected start before end")
        behind = x.shape[last:][1:]
        return x.reshape((*x.shape[:first], prod(x.shape[first : last + 1 or None]), *behind))

    def squeeze(self, axis: Axis = None) -> R:
        """Remove axes of size 1: those given, or all."""
        x = self._this()
        if axis is None:
            return x.reshape([n for n in x.shape if n != 1])
        axes = axes_from_end("squeeze", x.shape, axis)
        if any(x.shape[a] != 1 for a in axes):
            raise ValueError(f"squeeze: axis {axis} of shape {list(x.shape)}: expected axes of size 1")
        return x.reshape(reduced_shape(x.shape, axes))

    def expand_dims(self, axis: int) -> R:
        """Insert an axis of size 1, at position `axis` of the result."""
        x = self._this()
        at = axis_from_end("expand_dims", (*x.shape, 1), axis) + x.ndim + 1
        return x.reshape((*x.shape[:at], 1, *x.shape[at:]))

    def swapaxes(self, a: int, b: int) -> R:
        """Exchange two axes."""
        x = self._this()
        axes = list(range(-x.ndim, 0))
        a, b = (axis_from_end("swapaxes", x.shape, axis) for axis in (a, b))
        axes[a], axes[b] = b, a
        return x.transpose(axes)


def largest(x: R, axis: Axis) -> R:
    """The largest entry along axes, to subtract before exp: a constant, with keepdims; 0 where it is infinite.

    It is 0 along empty axes, too, whose sum of exponentials is 0.
    """
    constant = x.detach()
    if 0 in [x.shape[a] for a in axes_from_end("logsumexp", x.shape, axis)]:
        return constant.sum(axis, keepdims=True)
    peak = constant.max(axis, keepdims=True)
    return peak.isfinite()._masks(peak)


def reduced_shape(shape: Shape, axes: Shape, keepdims: bool = False) -> Shape:
    """A shape without some axes, or with size 1 there for keepdims."""
    if keepdims:
        return tuple(1 if i - len(shape) in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i - len(shape) not in axes)


def _root(squares: R) -> R:
    """The square root of a sum of squares; its derivative is 0 where all of them are 0."""
    zero = squares <= 0.0
    return zero.where(0.0, zero.where(1.0, squares).sqrt())


def _power_or_zero(size: R, exponent: float) -> R:
    """size ** exponent for sizes of at least 0; its derivative is 0 where the size is 0."""
    zero = size <= 0.0
    return zero.where(0.0, zero.where(1.0, size) ** exponent)
