"""Read an index as NumPy means it: slices and a shape, or row numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitrain.autograd.primitives import Array, Key


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


def row_numbers(rows: Array, size: int) -> Array:
    """Row numbers from 0 on; negative ones count from the end.

    >>> row_numbers(np.array([0, -1]), 4)
    array([0, 3])
    """
    wrong = rows[(rows < -size) | (rows >= size)]
    if wrong.size:
        raise IndexError(f"index: {wrong[0]} is out of range for axis 0 of size {size}; expected {-size} to {size - 1}")
    return np.where(rows < 0, rows + size, rows)
