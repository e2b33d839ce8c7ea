"""Entries of the table for the windows of a convolution: each is the other's derivative.

They are primitives because the derivative of windows taken by index would add up entry by entry
(`np.add.at`), where these need one operation on arrays per place in the kernel. Places come last: the runs
that NumPy copies are then as long as an image is wide, not as a kernel is (measured: five times as fast).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minitrain.autograd.primitives.table import Call, kernel
from minitrain.typing import Array

Sizes = tuple[int, ...]  # one for each axis that a window moves along


def _places(kernel: Sizes, stride: Sizes, places: Sizes) -> Iterator[tuple[Any, Any]]:
    """For each entry of the kernel, its index among the windows, and where it lies in the array at every place."""
    for entry in np.ndindex(kernel):
        starts = zip(entry, stride, places, strict=True)
        at = tuple(slice(i, i + step * n, step) for i, step, n in starts)
        yield (..., *entry, *(slice(None),) * len(kernel)), (..., *at)


def _windows(x: Any, kernel: Sizes, stride: Sizes) -> tuple[tuple[int, ...], Any]:
    d = len(kernel)
    places = tuple((n - k) // step + 1 for n, k, step in zip(x.shape[-d:], kernel, stride, strict=True))
    return (*x.shape[:-d], *kernel, *places), x.dtype


@kernel(
    "unfold({0}, {kernel}, stride={stride})",
    lambda g, out, x, kernel, stride: g.fold(x.shape[-len(kernel) :], stride),
    result=_windows,
)
def unfold(out: Array, x: Array, kernel: Sizes, stride: Sizes) -> Iterator[Call]:
    """Every window, side by side: [..., *sizes] -> [..., *kernel, *places]."""
    for window, array in _places(kernel, stride, out.shape[-len(kernel) :]):
        yield np.copyto, out[window], x[array]


@kernel(
    "fold({0}, {sizes}, stride={stride})",
    lambda g, out, x, sizes, stride: g.unfold(x.shape[-2 * len(sizes) : -len(sizes)], stride),
    result=lambda x, sizes, stride: ((*x.shape[: -2 * len(sizes)], *sizes), x.dtype),
)
def fold(out: Array, x: Array, sizes: Sizes, stride: Sizes) -> Iterator[Call]:
    """Windows added up where they came from: [..., *kernel, *places] -> [..., *sizes]."""
    d = len(sizes)
    yield out.fill, 0
    for window, array in _places(x.shape[-2 * d : -d], stride, x.shape[-d:]):
        yield np.add, out[array], x[window], out[array]
