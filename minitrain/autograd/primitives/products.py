"""Matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minitrain.autograd.primitives.table import Call, kernel
from minitrain.typing import Array

# Products


def _left_derivative(g: Any, out: Any, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
    if transpose_a:
        return b.matmul(g, transpose_b, True)
    return g.matmul(b, False, not transpose_b)


def _right_derivative(g: Any, out: Any, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
    if transpose_b:
        return g.matmul(a, True, transpose_a)
    return a.matmul(g, not transpose_a, False)


def _product(a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> tuple[tuple[int, ...], Any]:
    return (*a.shape[:-2], a.shape[-1 if transpose_a else -2], b.shape[-2 if transpose_b else -1]), a.dtype


@kernel("{0:tight} @ {1:tight}", _left_derivative, _right_derivative, result=_product)
def matmul(out: Array, a: Array, b: Array, transpose_a: bool, transpose_b: bool) -> Iterator[Call]:
    """The product of [..., m, k] and [..., k, n], each stored transposed where its flag says so."""
    if np.may_share_memory(a, b):
        own = np.empty_like(b)
        yield np.copyto, own, b  # BLAS takes another road (syrk) for a matrix times itself
        b = own
    a = a.swapaxes(-1, -2) if transpose_a else a
    b = b.swapaxes(-1, -2) if transpose_b else b
    if a.shape[-1] == 1:
        yield np.multiply, a, b, out
    elif a.ndim == b.ndim == 2:
        yield a.dot, b, out  # the same bits as np.matmul, 0.3 us earlier
    else:
        yield np.matmul, a, b, out
