"""Windows of a convolution: `unfold` and `fold`, each the derivative of the other.

They are primitives because the derivative of windows selected by index would add up entry by entry (`np.add.at`),
while these need one array operation per entry of the kernel. The positions are the last axes, so that NumPy copies
stretches as long as the width of an image instead of the width of a kernel (measured: five times as fast).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minitrain.autograd.primitives.table import Call, ResultType, kernel
from minitrain.typing import Array, Shape, Typed

Index = tuple[Any, ...]  # what NumPy takes in brackets


def _positions(kernel: Shape, stride: Shape, dilation: Shape, positions: Shape) -> Iterator[tuple[Index, Index]]:
    """For each entry of the kernel, its index in the windows, and in the array for all window positions."""
    for entry in np.ndindex(kernel):
        starts = zip(entry, dilation, stride, positions, strict=True)
        at = tuple(slice(i * apart, i * apart + step * n, step) for i, apart, step, n in starts)
        yield (..., *entry, *(slice(None),) * len(kernel)), (..., *at)


def _windows(x: Typed, kernel: Shape, stride: Shape, dilation: Shape) -> ResultType:
    d = len(kernel)
    axes = zip(x.shape[-d:], kernel, stride, dilation, strict=True)
    positions = tuple((n - (k - 1) * apart - 1) // step + 1 for n, k, step, apart in axes)
    return (*x.shape[:-d], *kernel, *positions), x.dtype


@kernel(
    "unfold({0}, {kernel}, stride={stride}, dilation={dilation})",
    lambda g, out, x, kernel, stride, dilation: g._fold(x.shape[-len(kernel) :], stride, dilation),
    result=_windows,
)
def unfold(out: Array, x: Array, kernel: Shape, stride: Shape, dilation: Shape) -> Iterator[Call]:
    """All windows, side by side: [..., *sizes] -> [..., *kernel, *positions].

    `stride` is the distance between windows, `dilation` that between the entries of a window.
    """
    for window, array in _positions(kernel, stride, dilation, out.shape[-len(kernel) :]):
        yield np.copyto, out[window], x[array]


@kernel(
    "fold({0}, {sizes}, stride={stride}, dilation={dilation})",
    lambda g, out, x, sizes, stride, dilation: g._unfold(x.shape[-2 * len(sizes) : -len(sizes)], stride, dilation),
    result=lambda x, sizes, stride, dilation: ((*x.shape[: -2 * len(sizes)], *sizes), x.dtype),
)
def fold(out: Array, x: Array, sizes: Shape, stride: Shape, dilation: Shape) -> Iterator[Call]:
    """Windows added up at their positions: [..., *kernel, *positions] -> [..., *sizes]."""
    d = len(sizes)
    yield out.fill, 0
    for window, array in _positions(x.shape[-2 * d : -d], stride, dilation, x.shape[-d:]):
        yield np.add, out[array], x[window], out[array]
