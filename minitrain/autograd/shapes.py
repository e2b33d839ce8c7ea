"""Shapes, axes and indices, resolved and validated before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from math import prod
from typing import Any

import numpy as np

from minitrain.autograd.primitives.movement import Key
from minitrain.typing import Array, Shape


def joint_shape(*shapes: Shape) -> Shape | None:
    """The shape that all shapes can be broadcast to, or None; np.broadcast_shapes takes 10 times as long.

    >>> joint_shape((3, 1), (4,)), joint_shape((3,), (4,))
    ((3, 4), None)
    """
    joint: list[int] = []
    for sizes in zip_longest(*[shape[::-1] for shape in shapes], fillvalue=1):
        larger = {n for n in sizes if n != 1}
        if len(larger) > 1:
            return None
        joint.append(larger.pop() if larger else 1)
    return tuple(joint[::-1])


def broadcast_shape(operation: str, *shapes: Shape) -> Shape:
    """The shape that the operands of an operation are broadcast to.

    Raises:
        ValueError: There is none.
    """
    shape = joint_shape(*shapes)
    if shape is None:
        operands = ", ".join(str(list(s)) for s in shapes)
        raise ValueError(
            f"{operation}: shapes {operands} cannot be broadcast: aligned at the last axis, sizes must be equal or 1"
        )
    return shape


def product_shapes(a: Shape, b: Shape) -> tuple[Shape, Shape, Shape]:
    """The shapes that the factors of a matrix product are broadcast to, and the shape of the result.

    Raises:
        ValueError: A factor is a scalar, the inner sizes differ, or the leading axes cannot be broadcast.

    >>> product_shapes((5, 2, 3), (3,))
    ((5, 2, 3), (5, 3, 1), (5, 2))
    """
    factors = f"matmul: left {list(a)}, right {list(b)}"
    if not a or not b:
        raise ValueError(f"{factors}: a scalar has no inner size; use * to multiply by a scalar")
    left, right = (a if len(a) > 1 else (1, *a)), (b if len(b) > 1 else (*b, 1))
    if left[-1] != right[-2]:
        raise ValueError(
            f"{factors}: inner sizes {left[-1]} and {right[-2]} differ; the last axis of the left factor must be as "
            "long as the second-last axis of the right factor"
        )
    batch = joint_shape(left[:-2], right[:-2])
    if batch is None:
        raise ValueError(f"{factors}: the leading axes cannot be broadcast; their sizes must be equal or 1")
    rows = left[-2:-1] if len(a) > 1 else ()
    columns = right[-1:] if len(b) > 1 else ()
    return batch + left[-2:], batch + right[-2:], batch + rows + columns


def fitting_shape(shape: Shape, sizes: Shape) -> Shape:
    """The sizes to reshape to, with -1 replaced by the size that it stands for.

    Raises:
        ValueError: The number of entries differs.

    >>> fitting_shape((2, 6), (3, -1))
    (3, 4)
    """
    size, known = prod(shape), prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and known and size % known == 0:
        sizes = tuple(size // known if n == -1 else n for n in sizes)
    if min(sizes, default=0) < 0 or prod(sizes) != size:
        raise ValueError(f"reshape: {list(shape)} has {size} entries, which do not fit shape {list(sizes)}")
    return sizes


def axes_from_end(operation: str, shape: Shape, axis: int | Sequence[int] | None) -> tuple[int, ...]:
    """The axes counted from the end, in order; all axes for None.

    A value without axes may be reduced over axis 0 or -1, as in NumPy and PyTorch.

    Raises:
        TypeError: An axis is not an integer.
        ValueError: There is no such axis, or an axis is given twice.

    >>> axes_from_end("sum", (2, 3, 4), (0, -1))
    (-3, -1)
    """
    ndim = len(shape)
    if axis is None:
        return tuple(range(-ndim, 0))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis if axis < 0 else axis - ndim,)
    axes = []
    for a in axis if isinstance(axis, Sequence) else [axis]:
        if not _is_integer(a):
            raise TypeError(f"{operation}: axis {axis!r}: expected an integer, several integers or None")
        if not -max(ndim, 1) <= a < max(ndim, 1):
            raise ValueError(f"{operation}: axis {a} of shape {list(shape)}: expected {-ndim} to {max(ndim - 1, 0)}")
        axes.append(int(a) if a < 0 else int(a) - max(ndim, 1))
    if len(set(axes)) < len(axes):
        raise ValueError(f"{operation}: axis {axis} of shape {list(shape)}: an axis is given twice")
    return tuple(sorted(axes)) if ndim else ()


def axis_from_end(operation: str, shape: Shape, axis: int) -> int:
    """One axis, counted from the end.

    Raises:
        TypeError: The axis is not an integer.
        ValueError: There is no such axis.
    """
    if not _is_integer(axis):
        raise TypeError(f"{operation}: axis {axis!r}: expected an integer")
    if not shape:
        raise ValueError(f"{operation}: axis {axis} of shape []: the value has no axes")
    return axes_from_end(operation, shape, axis)[0]


def shape_of(operation: str, sizes: object) -> Shape:
    """A shape that is given as one integer or as several.

    Raises:
        TypeError: A size is not an integer.

    >>> shape_of("broadcast_to", 3), shape_of("broadcast_to", [2, np.int64(3)])
    ((3,), (2, 3))
    """
    shape = sizes if type(sizes) is tuple else tuple(sizes) if isinstance(sizes, Iterable) else (sizes,)
    if {*map(type, shape)} <= {int}:
        return shape
    if not all(map(_is_integer, shape)):
        raise TypeError(f"{operation}: shape {sizes!r}: expected integers")
    return tuple(map(int, shape))


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def slices_of(shape: Shape, keys: tuple[Any, ...]) -> tuple[Key | None, list[int]] | None:
    """Convert an index of integers, slices, None and `...` to slices.

    Returns:
        One slice per axis, or None if they select everything; and the shape of the result. None for an index that has
        arrays or booleans.

    Raises:
        IndexError: There are too many indices, or one is out of range.

    >>> slices_of((4, 5), (0, slice(1, 3)))
    ((slice(0, 1, None), slice(1, 3, None)), [2])
    """
    if not all(k is None or k is Ellipsis or _is_integer(k) or isinstance(k, slice) for k in keys):
        return None
    slices: list[slice] = []
    result_shape: list[int] = []
    for k in _expand_ellipsis(shape, keys):
        if k is None:
            result_shape.append(1)
            continue
        axis, size = len(slices), shape[len(slices)]
        if isinstance(k, slice):
            slices.append(k)
            result_shape.append(len(range(*k.indices(size))))
        else:
            slices.append(_slice_of_integer(k, axis, size))
    everything = all(k.indices(n) == (0, n, 1) for k, n in zip(slices, shape, strict=True))
    return None if everything else tuple(slices), result_shape


def _expand_ellipsis(shape: Shape, keys: tuple[Any, ...]) -> tuple[Any, ...]:
    """The keys with full slices in place of `...`, or at the end: one key per axis, beside None."""
    missing = len(shape) - sum(k is not None and k is not Ellipsis for k in keys)
    if missing < 0:
        raise IndexError(
            f"index: {len(shape) - missing} indices given for shape {list(shape)}; expected at most {len(shape)}"
        )
    at = keys.index(Ellipsis) if Ellipsis in keys else len(keys)
    return keys[:at] + (slice(None),) * missing + keys[at + 1 :]


def _slice_of_integer(index: int, axis: int, size: int) -> slice:
    if not -size <= index < size:
        raise IndexError(
            f"index: {index} is out of range for axis {axis} of size {size}; expected {-size} to {size - 1}"
        )
    return slice(int(index) % size, int(index) % size + 1)


def row_numbers(rows: Array, size: int, axis: int = 0) -> Array:
    """Indices along an axis, with negative ones counted from its end.

    Raises:
        IndexError: An index is out of range.

    >>> row_numbers(np.array([0, -1]), 4)
    array([0, 3])
    """
    invalid = rows[(rows < -size) | (rows >= size)]
    if invalid.size:
        raise IndexError(
            f"index: {invalid[0]} is out of range for axis {axis} of size {size}; expected {-size} to {size - 1}"
        )
    return np.where(rows < 0, rows + size, rows)
