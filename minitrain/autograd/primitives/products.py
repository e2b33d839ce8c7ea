"""Matrix products."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minitrain.autograd.primitives.operand import Operand
from minitrain.autograd.primitives.table import Call, ResultType, kernel
from minitrain.typing import Array, Typed


def _left_derivative(g: Operand, out: Operand, a: Operand, b: Operand, transpose_a: bool, transpose_b: bool) -> Operand:
    if transpose_a:
        return b._matmul(g, transpose_b, True)
    return g._matmul(b, False, not transpose_b)


def _right_derivative(
    g: Operand, out: Operand, a: Operand, b: Operand, transpose_a: bool, transpose_b: bool
) -> Operand:
    if transpose_b:
        return g._matmul(a, True, transpose_a)
    return a._matmul(g, not transpose_a, False)


def _product(a: Typed, b: Typed, transpose_a: bool, transpose_b: bool) -> ResultType:
    return (*a.shape[:-2], a.shape[-1 if transpose_a else -2], b.shape[-2 if transpose_b else -1]), a.dtype


@kernel("{0:tight} @ {1:tight}", _left_derivative, _right_derivative, result=_product)
def matmul(out: Array, a: Array, b: Array, transpose_a: bool, transpose_b: bool) -> Iterator[Call]:
    """The product of [..., m, k] and [..., k, n]; a factor is stored transposed if its flag is set."""
    if np.may_share_memory(a, b):
        copy = np.empty_like(b)
        yield np.copyto, copy, b  # BLAS uses another routine (syrk) for a matrix times itself, with other bits
        b = copy
    a = a.swapaxes(-1, -2) if transpose_a else a
    b = b.swapaxes(-1, -2) if transpose_b else b
    if a.shape[-1] == 1:
        yield np.multiply, a, b, out
    elif a.ndim == b.ndim == 2:
        yield a.dot, b, out  # the same bits as np.matmul, and 0.3 us faster
    else:
        yield np.matmul, a, b, out
