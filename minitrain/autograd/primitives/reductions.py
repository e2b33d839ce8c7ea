"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minitrain.autograd.primitives.operand import Operand
from minitrain.autograd.primitives.table import Call, kernel
from minitrain.typing import Array, DType, Shape, Typed


def _spread(g: Operand, x: Operand, axes: tuple[int, ...]) -> Operand:
    """Repeat a reduced `g` along the axes that the reduction of `x` removed."""
    keepdims_shape = tuple(1 if i - x.ndim in axes else size for i, size in enumerate(x.shape))
    return g.reshape(keepdims_shape)._repeat(x.shape)


def _without(x: Typed, axes: tuple[int, ...]) -> Shape:
    """The shape of x without some axes."""
    return tuple(size for i, size in enumerate(x.shape) if i - len(x.shape) not in axes)


def sum_dtype(dtype: DType) -> DType:
    """Sums of integers and booleans are int64; those of uint64 stay, because int64 ends at half of it."""
    return dtype if dtype.kind == "f" or dtype == np.uint64 else np.dtype(np.int64)


@kernel(
    "sum({0}, axis={axes})",
    lambda g, out, x, axes: _spread(g, x, axes),
    result=lambda x, axes: (_without(x, axes), sum_dtype(x.dtype)),
)
def sum_(out: Array, x: Array, axes: tuple[int, ...]) -> Iterator[Call]:
    """The sum over some axes; x has at least two, so that a leading axis of runs does not change how it is computed."""
    if x.dtype.kind == "f" and axes == (-2,):
        ones = np.ones((1, x.shape[-2]), x.dtype)
        yield (ones.dot, x, out[None]) if x.ndim == 2 else (np.matmul, ones, x, out[..., None, :])
    elif x.dtype.kind == "f" and axes == (-1,):
        ones = np.ones((x.shape[-1], 1), x.dtype)
        yield (x.dot, ones, out[:, None]) if x.ndim == 2 else (np.matmul, x, ones, out[..., None])
    else:
        yield np.add.reduce, x, axes, out.dtype, out


def _max_derivative(g: Operand, out: Operand, x: Operand, axes: tuple[int, ...]) -> Operand:
    # Tied entries share the gradient evenly.
    tied = (x == _spread(out, x, axes)).astype(x.dtype)
    return _spread(g / tied.sum(axes), x, axes) * tied


SHORT = 64  # for rows of up to this many entries, NumPy's maximum is two to ten times as fast over columns


@kernel("max({0}, axis={axes})", _max_derivative, result=lambda x, axes: (_without(x, axes), x.dtype))
def max_(out: Array, x: Array, axes: tuple[int, ...]) -> Iterator[Call]:
    """The largest entry over some axes."""
    if axes == (-1,) and x.ndim > 1 and 0 < x.shape[-1] <= SHORT:
        columns = np.empty((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
        yield np.copyto, columns, x.swapaxes(-1, -2)
        yield np.maximum.reduce, columns, -2, None, out
    else:
        yield np.maximum.reduce, x, axes, None, out


@kernel("argmax({0}, axis={axis})", result=lambda x, axis: (_without(x, (axis,)), np.dtype(np.intp)))
def argmax(out: Array, x: Array, axis: int) -> Iterator[Call]:
    """The index of the largest entry along an axis; the first of equal ones."""
    yield np.argmax, x, axis, out


def _write_argsort(x: Array, axis: int, out: Array) -> None:
    np.copyto(out, np.argsort(x, axis, kind="stable"))


@kernel("argsort({0}, axis={axis})", result=lambda x, axis: (x.shape, np.dtype(np.intp)))
def argsort(out: Array, x: Array, axis: int) -> Iterator[Call]:
    """The indices that sort x along an axis, nan last; equal entries keep their order."""
    yield _write_argsort, x, axis, out


@kernel(
    "cumsum({0}, axis={axis})",
    lambda g, out, x, axis, backward: g.cumsum(axis, not backward),
    result=lambda x, axis, backward: (x.shape, sum_dtype(x.dtype)),
)
def cumsum(out: Array, x: Array, axis: int, backward: bool) -> Iterator[Call]:
    """Cumulative sums along an axis, from its end if `backward`; a triangular product would take n² additions."""
    if backward:
        x, out = np.flip(x, axis), np.flip(out, axis)
    yield np.add.accumulate, x, axis, out.dtype, out
