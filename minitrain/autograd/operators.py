"""Methods of Tensor whose result or domain depends on the type of the values: integers, booleans or floats."""

from __future__ import annotations

from typing import Any, Protocol, Self, TypeVar

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.composed import Composed, reduced_shape
from minitrain.autograd.node import Traceable
from minitrain.autograd.primitives.operand import Operand
from minitrain.autograd.primitives.table import Primitive
from minitrain.autograd.shapes import axes_from_end, axis_from_end
from minitrain.autograd.value import FLOATS, TensorLike, inspectable
from minitrain.typing import Array, Axis, Shape


class Applicable(Operand, Traceable, Protocol):
    """An operand that primitives can be applied to: what the methods here and in `rearranging` need of a Tensor."""

    def _apply(self, primitive: Primitive, *others: Self, **options: Any) -> Self:
        """Apply a primitive to this value and others."""

    def _combine(self, primitive: Primitive, other: Any) -> Self:
        """Apply a primitive of two operands, which are converted to one dtype and broadcast to one shape."""

    def _operand(self, other: Any) -> Self:
        """Another operand beside this value, as a Tensor."""

    def _pair(self, other: Any) -> tuple[Self, Self]:
        """This value and another operand, of one dtype."""

    def _constant(self, data: Array) -> Self:
        """A Tensor of an array that nothing else writes to."""


R = TypeVar("R", bound=Applicable)


class Operators(Composed[R]):
    """The methods of Tensor whose result or domain depends on the type of the values."""

    __slots__ = ()

    # Numbers

    def __pos__(self) -> R:
        return self._this()

    def __floordiv__(self, other: TensorLike) -> R:
        x = self._this()
        return _divided(P.floor_divide, *x._pair(other))

    def __rfloordiv__(self, other: TensorLike) -> R:
        x = self._this()
        return _divided(P.floor_divide, *x._operand(other)._pair(x))

    def __mod__(self, other: TensorLike) -> R:
        x = self._this()
        return _divided(P.remainder, *x._pair(other))

    def __rmod__(self, other: TensorLike) -> R:
        x = self._this()
        return _divided(P.remainder, *x._operand(other)._pair(x))

    def __pow__(self, other: TensorLike) -> R:
        x = self._this()
        if not isinstance(other, (int, float, np.integer, np.floating)):
            return _raised(*x._pair(other))
        if x.dtype in FLOATS:
            return x._apply(P.power, exponent=float(other))
        if isinstance(other, (int, np.integer)) and other >= 0:
            return _counted(x)._apply(P.power, exponent=int(other))
        return x._as_float()._apply(P.power, exponent=float(other))

    def __rpow__(self, other: TensorLike) -> R:
        x = self._this()
        return _raised(*x._operand(other)._pair(x))

    def floor(self) -> R:
        """The largest integer that is at most x; integers and booleans stay as they are. It carries no gradient."""
        x = self._this()
        return x._apply(P.floor) if x.dtype in FLOATS else x

    def round(self, decimals: int = 0) -> R:
        """The closest integer, the even one of two, or number of some decimals. It carries no gradient."""
        x = self._this()
        if not isinstance(decimals, (int, np.integer)):
            raise TypeError(f"round: decimals={decimals!r}: expected an integer")
        if x.dtype not in FLOATS:
            if decimals < 0:
                raise TypeError(f"round: decimals={decimals} of {x.dtype}: convert it with .astype('float64') first")
            return x
        if decimals == 0:
            return x._apply(P.round_)
        scale = 10.0 ** abs(decimals)
        return (x * scale)._apply(P.round_) / scale if decimals > 0 else (x / scale)._apply(P.round_) * scale

    def clip(self, low: TensorLike | None = None, high: TensorLike | None = None) -> R:
        """The value limited to two bounds, either of which may be None; the derivative at a bound is 1."""
        x = self._this()
        if low is None and high is None:
            raise ValueError("clip: no bound given; pass low, high or both")
        result = x
        if low is not None:
            bound = result._operand(low)
            result = (result < bound).where(bound, result)
        if high is not None:
            bound = result._operand(high)
            result = (result > bound).where(bound, result)
        return result

    def minimum(self, other: TensorLike) -> R:
        """The elementwise minimum; equal values share the gradient evenly."""
        x = self._this()
        a, b = x._pair(other)
        return -((-a)._combine(P.maximum, -b)) if a.dtype in FLOATS else ~((~a)._combine(P.maximum, ~b))

    # Bits

    def __invert__(self) -> R:
        x = self._this()
        _check_bits("~", x)
        return x._apply(P.invert)

    def __and__(self, other: TensorLike) -> R:
        x = self._this()
        a, b = x._pair(other)
        _check_bits("&", a)
        return _both(a, b)

    def __or__(self, other: TensorLike) -> R:
        x = self._this()
        a, b = x._pair(other)
        _check_bits("|", a)
        return _either(a, b)

    def __xor__(self, other: TensorLike) -> R:
        x = self._this()
        a, b = x._pair(other)
        _check_bits("^", a)
        return _both(_either(a, b), ~_both(a, b))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    # Reductions

    def sum(self, axis: Axis = None, keepdims: bool = False) -> R:
        """The sum over one axis, several axes, or all."""
        return self._reduce(P.sum_, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> R:
        """The mean over one axis, several axes, or all."""
        x = self._this()
        total = x._as_float().sum(axis, keepdims)
        return total / (x.size / max(total.size, 1))

    def max(self, axis: Axis = None, keepdims: bool = False) -> R:
        """The largest entry along axes; tied entries share its gradient evenly."""
        x = self._this()
        check_entries("max", x.shape, axes_from_end("max", x.shape, axis))
        return self._reduce(P.max_, axis, keepdims)

    def cumsum(self, axis: int | None = -1, backward: bool = False) -> R:
        """Cumulative sums along an axis, or of all entries in order; from the end if `backward`."""
        x = self._this()
        if axis is None:
            return x.reshape((-1,)).cumsum(-1, backward)
        return x._apply(P.cumsum, axis=axis_from_end("cumsum", x.shape, axis), backward=backward)

    def _reduce(self, reduction: Primitive, axis: Axis, keepdims: bool) -> R:
        x = self._this()
        axes = axes_from_end(reduction.name, x.shape, axis)
        rows = x.reshape((1, -1)) if x.ndim == 1 else x  # the primitive `sum` requires at least two axes
        result = (
            rows._apply(reduction, axes=tuple(range(-rows.ndim, 0)) if len(axes) == x.ndim else axes)
            if axes
            else x.astype(P.sum_dtype(x.dtype) if reduction is P.sum_ else x.dtype)
        )
        return result.reshape(reduced_shape(x.shape, axes, keepdims)) if keepdims else result

    # Order

    def argmax(self, axis: int | None = -1) -> R:
        """The index of the largest entry along an axis, or of all entries in order; the first of equal ones."""
        x = self._this()
        if axis is None:
            return x.reshape((-1,)).argmax()
        axis = axis_from_end("argmax", x.shape, axis)
        check_entries("argmax", x.shape, (axis,))
        return x._apply(P.argmax, axis=axis)

    def argsort(self, axis: int | None = -1, descending: bool = False) -> R:
        """The indices that sort the entries along an axis, nan as the largest; equal entries keep their order."""
        x = self._this()
        if axis is None:
            return x.reshape((-1,)).argsort(-1, descending)
        axis = axis_from_end("argsort", x.shape, axis)
        if not descending:
            return x._apply(P.argsort, axis=axis)
        backward = (*(slice(None),) * (x.ndim + axis), slice(None, None, -1), *(slice(None),) * (-axis - 1))
        return x.shape[axis] - 1 - x._slice(backward)._apply(P.argsort, axis=axis)._slice(backward)


def check_entries(what: str, shape: Shape, axes: Shape) -> None:
    """Check that axes have entries, where a function has no value for none.

    Raises:
        ValueError: An axis is empty.
    """
    if 0 in [shape[a] for a in axes]:
        raise ValueError(f"{what}: shape {list(shape)}, axes {list(axes)}: no entries, of which none is the largest")


def _check_bits(what: str, t: Operand) -> None:
    if t.dtype in FLOATS:
        raise TypeError(f"{what}: {t.dtype} given, expected integers or booleans, e.g. x > 0")


def _both(a: R, b: R) -> R:
    return a._combine(P.bitwise_and, b)


def _either(a: R, b: R) -> R:
    return ~_both(~a, ~b)


def _counted(t: R) -> R:
    """Booleans as integers; other values as they are."""
    return t.astype(np.int64) if t.dtype == bool else t


def _divided(primitive: Primitive, a: R, b: R) -> R:
    divisors = inspectable(b)
    if b.dtype not in FLOATS and divisors is not None and not divisors.all():
        raise ZeroDivisionError(f"{primitive.name}: integers divided by 0; convert them with .astype('float64') first")
    return _counted(a)._combine(primitive, _counted(b))


def _raised(base: R, exponent: R) -> R:
    exponents = inspectable(exponent)
    if exponent.dtype.kind == "i" and exponents is not None and (exponents < 0).any():
        raise ValueError("pow: an integer to a negative power; convert the base with .astype('float64') first")
    return _counted(base)._combine(P.pow_, _counted(exponent))
