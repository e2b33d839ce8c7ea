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


def _positions(kernel: Shape, stride: Shape, positions: Shape) -> Iterator[tuple[Index, Index]]:
    """For each entry of the kernel, its index in the windows, and in the array for all window positions."""
    for entry in np.ndindex(kernel):
        starts = zip(entry, stride, positions, strict=True)
        at = tuple(slice(i, i + step * n, step) for i, step, n in starts)
        yield (..., *entry, *(slice(None),) * len(kernel)), (..., *at)


def _windows(x: Typed, kernel: Shape, stride: Shape) -> ResultType:
    d = len(kernel)
    positions = tuple((n - k) // step + 1 for n, k, step in zip(x.shape[-d:], kernel, stride, strict=True))
    return (*x.shape[:-d], *kernel, *positions), x.dtype


@kernel(
    "unfold({0}, {kernel}, stride={stride})",
    lambda g, out, x, kernel, stride: g.fold(x.shape[-len(kernel) :], stride),
    result=_windows,
)
def unfold(out: Array, x: Array, kernel: Shape, stride: Shape) -> Iterator[Call]:
    """All windows, side by side: [..., *sizes] -> [..., *kernel, *positions]."""
    for window, array in _positions(kernel, stride, out.shape[-len(kernel) :]):
        yield np.copyto, out[window], x[array]


@kernel(
    "fold({0}, {sizes}, stride={stride})",
    lambda g, out, x, sizes, stride: g.unfold(x.shape[-2 * len(sizes) : -len(sizes)], stride),
    result=lambda x, sizes, stride: ((*x.shape[: -2 * len(sizes)], *sizes), x.dtype),
)
def fold(out: Array, x: Array, sizes: Shape, stride: Shape) -> Iterator[Call]:
    """Windows added up at their positions: [..., *kernel, *positions] -> [..., *sizes]."""
    d = len(sizes)
    yield out.fill, 0
    for window, array in _positions(x.shape[-2 * d : -d], stride, x.shape[-d:]):
        yield np.add, out[array], x[window], out[array]
