"""Primitives that reshape, repeat, move and gather entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minitrain.autograd.primitives.operand import Operand
from minitrain.autograd.primitives.table import Call, ResultType, elementwise, kernel, quiet
from minitrain.typing import Array, Shape, Typed


@elementwise("{0}", lambda g, out, x: g)
def identity(x: Array) -> Array:
    """A copy of x."""
    return np.positive(x)


_convert = quiet(np.copyto)  # 1e300 is inf in float32, and a nan any integer


@kernel("{0}", lambda g, out, x, dtype: g.astype(x.dtype), result=lambda x, dtype: (x.shape, np.dtype(dtype)))
def cast(out: Array, x: Array, dtype: str) -> Iterator[Call]:
    """The entries of x converted to another dtype."""
    yield (np.copyto if x.dtype == dtype else _convert), out, x, "unsafe"


@kernel(
    "{0}",
    result=lambda x, dtype: (x.shape, np.dtype(dtype)),
    view=lambda x, dtype, lead=0: x.view(dtype),
)
def reinterpret(out: Array, x: Array, dtype: str) -> Iterator[Call]:
    """The same bits as numbers of another dtype of the same size."""
    yield np.copyto, out, x.view(dtype)


def _reshaped(x: Array, shape: Shape, lead: int = 0) -> Array:
    return x.reshape(x.shape[:lead] + shape)


@kernel("{0}", lambda g, out, x, shape: g.reshape(x.shape), result=lambda x, shape: (shape, x.dtype), view=_reshaped)
def reshape(out: Array, x: Array, shape: Shape) -> Iterator[Call]:
    """The same entries in another shape."""
    yield np.copyto, out, x.reshape(out.shape)


def _broadcast_derivative(g: Operand, out: Operand, x: Operand, shape: Shape) -> Operand:
    """Sum over every axis along which x was repeated."""
    new = len(shape) - x.ndim
    repeated = tuple(i - len(shape) for i, n in enumerate(shape) if i < new or (n != 1 and x.shape[i - new] == 1))
    return g.sum(repeated).reshape(x.shape)


@kernel("{0}", _broadcast_derivative, result=lambda x, shape: (shape, x.dtype))
def broadcast(out: Array, x: Array, shape: Shape) -> Iterator[Call]:
    """The entries of x repeated along new leading axes and axes of size 1."""
    lead = out.ndim - len(shape)
    yield np.copyto, out, x.reshape(x.shape[:lead] + (1,) * (out.ndim - x.ndim) + x.shape[lead:])


@kernel(
    "{0:tight}ᵀ",
    lambda g, out, x, axes: g.transpose([int(i) for i in np.argsort([a % x.ndim for a in axes])]),
    result=lambda x, axes: (tuple(x.shape[a] for a in axes), x.dtype),
)
def transpose(out: Array, x: Array, axes: tuple[int, ...]) -> Iterator[Call]:
    """The axes of x in another order."""
    lead = out.ndim - len(axes)
    yield np.copyto, out, x.transpose(*range(lead), *(a + out.ndim for a in axes))


Key = tuple[slice, ...]  # one slice per axis
Index = tuple[Any, ...]  # what NumPy takes in brackets


def _behind_runs(key: Key) -> Index:
    """The index of a key in an array that may have a leading axis of runs."""
    return (..., *key)


def _along(axis: int, start: int, length: int) -> Index:
    return (..., slice(start, start + length), *(slice(None),) * (-axis - 1))


def _concatenated(*xs: Typed, axis: int) -> ResultType:
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return tuple(shape), xs[0].dtype


@kernel(
    "concatenate({all}, axis={axis})",
    lambda g, out, *xs, axis, index: g.narrow(axis, sum(x.shape[axis] for x in xs[:index]), xs[index].shape[axis]),
    result=_concatenated,
    variadic=True,
)
def concatenate(out: Array, *xs: Array, axis: int) -> Iterator[Call]:
    """Arrays one after another along an axis."""
    start = 0
    for x in xs:
        yield np.copyto, out[_along(axis, start, x.shape[axis])], x
        start += x.shape[axis]


def _sliced(x: Array, key: Key, lead: int = 0) -> Array | None:
    """x[key] as a view, where it is contiguous in the memory of each run."""
    part = x[(slice(None),) * lead + key]
    inner = part[(0,) * lead] if part.size else part
    return part if inner.flags.c_contiguous else None


@kernel(
    "{0:tight}[{key}]",
    lambda g, out, x, key: g._unslice(key, x.shape),
    result=lambda x, key: (tuple(len(range(*k.indices(n))) for k, n in zip(key, x.shape, strict=True)), x.dtype),
    view=_sliced,
)
def slice_(out: Array, x: Array, key: Key) -> Iterator[Call]:
    """x[key] for a tuple of slices, one per axis."""
    yield np.copyto, out, x[_behind_runs(key)]


@kernel(
    "unslice({0}, {key})", lambda g, out, x, key, shape: g._slice(key), result=lambda x, key, shape: (shape, x.dtype)
)
def unslice(out: Array, x: Array, key: Key, shape: Shape) -> Iterator[Call]:
    """Zeros of the given shape with x at [key]: the derivative of `slice`."""
    yield out.fill, 0
    yield np.copyto, out[_behind_runs(key)], x


@kernel(
    "{0:tight}[{1}]",
    lambda g, out, x, rows: g._scatter_add(rows, x.shape[0]),
    result=lambda x, rows: (rows.shape + x.shape[1:], x.dtype),
    together=lambda x, rows: not x,
)
def take(out: Array, x: Array, rows: Array) -> Iterator[Call]:
    """The rows x[rows] for an integer array of any shape: [n, ...] -> [*rows.shape, ...].

    All numbers are in range: callers check them, so `clip` changes none, and the default mode takes 3.5 times as long.
    """
    yield np.take, x, rows, 0, out, "clip"


@kernel(
    "scatter_add({0}, {1})",
    lambda g, out, x, rows, size: g._take(rows),
    result=lambda x, rows, size: ((size, *x.shape[len(rows.shape) :]), x.dtype),
    together=lambda x, rows: False,
)
def scatter_add(out: Array, x: Array, rows: Array, size: int) -> Iterator[Call]:
    """Zeros of `size` rows, to which each row of x is added at its number: the derivative of `take`."""
    yield out.fill, 0
    yield np.add.at, out, rows, x
