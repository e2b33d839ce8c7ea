"""Entries of the table for the windows of a convolution: each is the other's derivative.

They are primitives because the derivative of a window taken by index would add up entry by entry
(`np.add.at`), where `fold` needs one addition of arrays per place in the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minitrain.autograd.primitives import Array, primitive

Sizes = tuple[int, ...]  # one for each axis that a window moves along


@primitive(
    "unfold({0}, {kernel}, stride={stride})",
    lambda g, out, x, kernel, stride: g.fold(x.shape[-len(kernel) :], stride),
)
def unfold(x: Array, kernel: Sizes, stride: Sizes) -> Array:
    """Every window, side by side: [..., channels, *sizes] -> [..., *places, channels, *kernel]."""
    d = len(kernel)
    windows = sliding_window_view(x, kernel, tuple(range(-d, 0)))
    key: tuple[Any, ...] = (..., *(slice(None, None, s) for s in stride), *(slice(None),) * d)
    return np.moveaxis(windows[key], -2 * d - 1, -d - 1).copy(order="C")


@primitive(
    "fold({0}, {sizes}, stride={stride})",
    lambda g, out, x, sizes, stride: g.unfold(x.shape[-len(sizes) :], stride),
)
def fold(x: Array, sizes: Sizes, stride: Sizes) -> Array:
    """Windows added up where they came from: [..., *places, channels, *kernel] -> [..., channels, *sizes]."""
    d = len(sizes)
    windows = np.moveaxis(x, -d - 1, -2 * d - 1)
    places, kernel = windows.shape[-2 * d : -d], windows.shape[-d:]
    result = np.zeros(windows.shape[: -2 * d] + sizes, x.dtype)
    for offset in np.ndindex(kernel):
        steps = (slice(o, o + s * n, s) for o, s, n in zip(offset, stride, places, strict=True))
        at: tuple[Any, ...] = (..., *steps)
        result[at] += windows[(..., *offset)]
    return result
