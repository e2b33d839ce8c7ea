"""Methods of Tensor that reshape, move and select entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.operators import Operators, R
from minitrain.autograd.primitives import windows
from minitrain.autograd.primitives.movement import Key
from minitrain.autograd.shapes import axis_from_end, fitting_shape, joint_shape, row_numbers, shape_of, slices_of
from minitrain.autograd.value import TensorLike, Value, inspectable
from minitrain.typing import Array, Shape


class Rearranging(Operators[R]):
    """The methods of Tensor that reshape, move and select entries."""

    __slots__ = ()

    # Shapes

    def reshape(self, *shape: int | Iterable[int]) -> R:
        """The same entries in another shape; one size may be -1."""
        x = self._this()
        sizes = fitting_shape(x.shape, shape_of("reshape", _unpacked(shape)))
        return x if sizes == x.shape else x._apply(P.reshape, shape=sizes)

    def transpose(self, *axes: int | Iterable[int]) -> R:
        """The axes in the given order; reversed if no axes are given."""
        x = self._this()
        order = shape_of("transpose", _unpacked(axes)) if axes else tuple(range(x.ndim)[::-1])
        in_range = all(-x.ndim <= a < x.ndim for a in order)
        if not in_range or sorted(a % x.ndim for a in order) != list(range(x.ndim)):
            raise ValueError(f"transpose: axes {list(order)} given, expected each of the {x.ndim} axes once")
        return x._apply(P.transpose, axes=tuple(a % x.ndim - x.ndim for a in order))

    @property
    def T(self) -> R:  # noqa: N802  # NumPy's name
        """The tensor with its axes reversed."""
        return self.transpose()

    def broadcast_to(self, shape: int | Sequence[int]) -> R:
        """The entries repeated along new leading axes and along axes of size 1: [n] -> [m, n]."""
        x = self._this()
        shape = shape_of("broadcast_to", shape)
        if joint_shape(x.shape, shape) != shape:
            raise ValueError(
                f"broadcast_to: {list(x.shape)} cannot be broadcast to {list(shape)}; sizes must be equal or 1"
            )
        return self._repeat(shape)

    def _repeat(self, shape: Shape) -> R:
        """`broadcast_to` a shape that is known to fit."""
        x = self._this()
        return x if shape == x.shape else x._apply(P.broadcast, shape=shape)

    # Indexing

    def __getitem__(self, key: Any) -> R:
        """Index as NumPy does: integers, slices, None, ..., integer and boolean arrays.

        The gradient of an entry that is selected more than once is the sum over its uses.
        """
        x = self._this()
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) == 1 and isinstance(key, Value) and key.dtype.kind in "iu" and inspectable(key) is None:
            return self.take(key)
        keys = tuple(k.numpy() if isinstance(k, Value) else k for k in keys)
        plan = slices_of(x.shape, keys)
        if plan is not None:
            slices, shape = plan
            return (x if slices is None else x._slice(slices)).reshape(shape)
        if len(keys) == 1 and x.ndim and np.asarray(keys[0]).dtype.kind in "iu":
            return self.take(np.asarray(keys[0]))
        positions = np.arange(x.size).reshape(x.shape)[keys]
        return x.reshape((-1,))._take(x._constant(np.asarray(positions)))

    def narrow(self, axis: int, start: int, length: int) -> R:
        """`length` entries along one axis, from `start` on.

        Raises:
            IndexError: They end past the end of the axis.
        """
        x = self._this()
        axis = axis_from_end("narrow", x.shape, axis)
        if not 0 <= start <= start + length <= x.shape[axis]:
            raise IndexError(
                f"narrow: {length} entries from {start} on, of {x.shape[axis]} along axis {axis}: expected a start "
                "of at least 0, and an end within the axis"
            )
        key = [slice(None)] * x.ndim
        key[axis] = slice(start, start + length)
        return x._slice(tuple(key))

    def take(self, rows: TensorLike) -> R:
        """Rows by number, negative ones from the end: [n, ...] and integers [*k] -> [*k, ...].

        Raises:
            TypeError: The numbers are not integers.
            IndexError: A number is out of range.
        """
        x = self._this()
        if not x.ndim:
            raise ValueError("take: a 0-d tensor has no rows")
        return x._take(self._row_numbers("take", rows, 0))

    def _row_numbers(self, what: str, indices: TensorLike, axis: int) -> R:
        """Indices along an axis, with negative ones counted from its end."""
        x = self._this()
        numbers = x._operand(indices) if isinstance(indices, Value) else x._constant(_as_indices(indices))
        if numbers.dtype.kind not in "iu":
            raise TypeError(f"{what}: {numbers.dtype} given, expected integers, e.g. array.astype('int64')")
        values = inspectable(numbers)
        if values is None:
            return (numbers < 0).where(numbers + x.shape[axis], numbers)
        return x._constant(np.asarray(row_numbers(values, x.shape[axis], axis), np.intp))

    def _along(self, indices: R, axis: int) -> R:
        """The entries at indices along an axis, which are in range; the other sizes are broadcast."""
        x = self._this()
        # Positions in the flattened value: those of the first entries along the axis, plus the index times the stride.
        first = np.arange(x.size).reshape(x.shape).take([0] if x.shape[axis] else [], axis)
        stride = prod(x.shape[axis:][1:])
        return x.reshape((-1,))._take(indices * stride + x._constant(first))

    def _take(self, rows: R) -> R:
        return self._this()._apply(P.take, rows)

    def _scatter_add(self, rows: R, size: int) -> R:
        return self._this()._apply(P.scatter_add, rows, size=size)

    def _slice(self, key: Key) -> R:
        return self._this()._apply(P.slice_, key=key)

    def _unslice(self, key: Key, shape: Shape) -> R:
        return self._this()._apply(P.unslice, key=key, shape=shape)

    def _join(self, *others: R, axis: int) -> R:
        return self._this()._apply(P.concatenate, *others, axis=axis)

    def _unfold(self, kernel: Shape, stride: Shape, dilation: Shape) -> R:
        return self._this()._apply(windows.unfold, kernel=kernel, stride=stride, dilation=dilation)

    def _fold(self, sizes: Shape, stride: Shape, dilation: Shape) -> R:
        return self._this()._apply(windows.fold, sizes=sizes, stride=stride, dilation=dilation)


def _as_indices(indices: object) -> Array:
    """Indices as an array that nothing else writes to; an empty list has integers."""
    array = np.array(indices)
    return array.astype(np.intp) if isinstance(indices, (list, tuple)) and not array.size else array


def _unpacked(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Arguments that are given one by one, or as one sequence."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], Iterable) else sizes
