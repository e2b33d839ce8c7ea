"""Shapes, axes and indexes, worked out and checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import prod
from typing import Any

import numpy as np

from minitrain.autograd.primitives.movement import Key
from minitrain.typing import Array


def joint_shape(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that all can be repeated to, None where there is none (np.broadcast_shapes takes 10 times longer).

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


def fitting_shape(shape: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape to reshape to, with the size that -1 stands for.

    >>> fitting_shape((2, 6), (3, -1))
    (3, 4)
    """
    size, known = prod(shape), prod(n for n in sizes if n != -1)
    if -1 in sizes and known and size % known == 0:
        sizes = tuple(size // known if n == -1 else n for n in sizes)
    if min(sizes, default=0) < 0 or prod(sizes) != size:
        raise ValueError(f"reshape: {list(shape)} has {size} entries, they do not fit {list(sizes)}")
    return sizes


def axes_from_end(what: str, shape: tuple[int, ...], axis: int | Sequence[int] | None) -> tuple[int, ...]:
    """Axes counted from the end, in order; all of them for None.

    >>> axes_from_end("sum", (2, 3, 4), (0, -1))
    (-3, -1)
    """
    ndim = len(shape)
    given = range(ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    for each in given:
        if not -ndim <= each < ndim:
            raise ValueError(f"{what}: axis {each} of shape {list(shape)}: expected {-ndim} to {ndim - 1}")
    return tuple(sorted({each if each < 0 else each - ndim for each in given}))


def slices_of(shape: tuple[int, ...], keys: tuple[Any, ...]) -> tuple[Key | None, list[int]] | None:
    """One slice per axis and the shape that remains, for integers, slices, None and `...`.

    The slices are None where they take everything; the answer is None for an index with arrays.

    >>> slices_of((4, 5), (0, slice(1, 3)))
    ((slice(0, 1, None), slice(1, 3, None)), [2])
    """
    if not all(k is None or k is Ellipsis or isinstance(k, (int, np.integer, slice)) for k in keys):
        return None
    missing = len(shape) - sum(k is not None and k is not Ellipsis for k in keys)
    if missing < 0:
        raise IndexError(
            f"index: {len(shape) - missing} indexes given for shape {list(shape)}; give at most {len(shape)}"
        )
    at = keys.index(Ellipsis) if Ellipsis in keys else len(keys)
    slices: list[slice] = []
    remaining: list[int] = []
    for k in keys[:at] + (slice(None),) * missing + keys[at + 1 :]:
        if k is None:
            remaining.append(1)
            continue
        axis, size = len(slices), shape[len(slices)]
        if isinstance(k, slice):
            slices.append(k)
            remaining.append(len(range(*k.indices(size))))
        elif -size <= k < size:
            slices.append(slice(int(k) % size, int(k) % size + 1))
        else:
            raise IndexError(
                f"index: {k} is out of range for axis {axis} of size {size}; expected {-size} to {size - 1}"
            )
    everything = all(k.indices(n) == (0, n, 1) for k, n in zip(slices, shape, strict=True))
    return None if everything else tuple(slices), remaining


def row_numbers(rows: Array, size: int, axis: int = 0) -> Array:
    """Places along an axis from 0 on; negative ones count from the end.

    >>> row_numbers(np.array([0, -1]), 4)
    array([0, 3])
    """
    wrong = rows[(rows < -size) | (rows >= size)]
    if wrong.size:
        raise IndexError(
            f"index: {wrong[0]} is out of range for axis {axis} of size {size}; expected {-size} to {size - 1}"
        )
    return np.where(rows < 0, rows + size, rows)
