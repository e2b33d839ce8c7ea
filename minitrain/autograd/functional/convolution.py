"""Convolution and pooling in one and two dimensions: windows side by side, then one product or reduction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, prod

import numpy as np

from minitrain.autograd.functional.arrays import pad
from minitrain.autograd.shapes import shape_of
from minitrain.autograd.tensor import Tensor, TensorLike, as_tensor, pair, to_tensor

Sizes = int | Sequence[int]  # one for all axes, or one per axis


def conv1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation along one axis: x: [batch, in, n], weight: [out, in, k], bias: [out] -> [batch, out, m].

    result[b, o, i] = bias[o] + Σ x[b, c, stride i + dilation j - padding] weight[o, c, j] over c and j, as in PyTorch,
    where m = (n + 2 padding - dilation (k - 1) - 1) // stride + 1. Both sides are padded with 0.

    Args:
        x: [batch, in, n].
        weight: [out, in / groups, k].
        bias: [out], or None for 0.
        stride: The distance between windows.
        padding: The number of zeros added on both sides.
        dilation: The distance between the entries of a window.
        groups: The inputs and outputs are divided into this many groups, and an output is computed from the inputs of
            its group.

    Raises:
        ValueError: The shapes do not match, or the kernel is longer than the padded input.

    >>> conv1d([[[1.0, 2.0, 4.0]]], [[[1.0, -1.0]]]).numpy()
    array([[[-1., -2.]]])
    """
    return _convolution("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation over two axes: x: [batch, in, h, w], weight: [out, in, kh, kw] -> [batch, out, h', w'].

    As `conv1d`, along both axes; stride, padding and dilation may be pairs (for h, for w). The windows are copied side
    by side, which takes kh kw / stride² times the memory of x, and multiplied in one matrix product.

    Raises:
        ValueError: The shapes do not match, or the kernel is larger than the padded input.

    >>> conv2d([[[[1.0, 2.0], [3.0, 4.0]]]], [[[[1.0, 0.0], [0.0, 10.0]]]]).numpy()
    array([[[[41.]]]])
    """
    return _convolution("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


def max_pool1d(x: TensorLike, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Tensor:
    """The largest entry of each window: x: [batch, channels, n] -> [batch, channels, m].

    m = (n + 2 padding - kernel_size) // stride + 1.
    Tied entries share the gradient evenly; PyTorch assigns it to the first.

    Args:
        x: [batch, channels, n].
        kernel_size: The size of a window.
        stride: The distance between windows; the kernel size if it is None.
        padding: The number of entries of value -inf added on both sides, at most half the kernel size.

    Raises:
        ValueError: The kernel is larger than the padded input, or the padding exceeds half the kernel size.

    >>> max_pool1d([[[1.0, 5.0, 2.0, 3.0]]], 2).numpy()
    array([[[5., 3.]]])
    """
    return _pooled("max_pool1d", 1, x, kernel_size, stride, padding, -inf).max(2)


def max_pool2d(x: TensorLike, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Tensor:
    """The largest entry of each window: x: [batch, channels, h, w] -> [batch, channels, h', w'].

    As `max_pool1d`, along both axes; kernel_size, stride and padding may be pairs (for h, for w).

    >>> max_pool2d([[[[1.0, 5.0], [2.0, 3.0]]]], 2).numpy()
    array([[[[5.]]]])
    """
    return _pooled("max_pool2d", 2, x, kernel_size, stride, padding, -inf).max(2)


def avg_pool1d(x: TensorLike, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Tensor:
    """The mean of each window: x: [batch, channels, n] -> [batch, channels, m].

    m = (n + 2 padding - kernel_size) // stride + 1.
    The zeros of the padding count as entries, the default of PyTorch.

    Args:
        x: [batch, channels, n].
        kernel_size: The size of a window.
        stride: The distance between windows; the kernel size if it is None.
        padding: The number of entries of value 0 added on both sides, at most half the kernel size.

    Raises:
        ValueError: The kernel is larger than the padded input, or the padding exceeds half the kernel size.

    >>> avg_pool1d([[[1.0, 5.0, 2.0, 4.0]]], 2).numpy()
    array([[[3., 3.]]])
    """
    return _pooled("avg_pool1d", 1, x, kernel_size, stride, padding, 0.0).mean(2)


def avg_pool2d(x: TensorLike, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Tensor:
    """The mean of each window: x: [batch, channels, h, w] -> [batch, channels, h', w'].

    As `avg_pool1d`, along both axes; kernel_size, stride and padding may be pairs (for h, for w).

    >>> avg_pool2d([[[[1.0, 5.0], [2.0, 4.0]]]], 2).numpy()
    array([[[[3.]]]])
    """
    return _pooled("avg_pool2d", 2, x, kernel_size, stride, padding, 0.0).mean(2)


def _convolution(
    what: str,
    dims: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Tensor:
    x, weight = pair(x, weight)
    if (x.ndim, weight.ndim) != (dims + 2, dims + 2) or groups < 1 or x.shape[1] != weight.shape[1] * groups:
        in_size = "equal `in`" if groups == 1 else f"`in` of the input {groups} times that of the weight (groups)"
        raise ValueError(
            f"{what}: input {list(x.shape)}, weight {list(weight.shape)}, groups {groups}: expected [batch, in, "
            f"{dims} more] and [out, in, {dims} more], with {in_size}"
        )
    out, kernel = weight.shape[0], weight.shape[2:]
    if out % groups:
        raise ValueError(f"{what}: weight {list(weight.shape)}: {out} outputs cannot be divided into {groups} groups")
    bias = None if bias is None else as_tensor(bias, weight)
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"{what}: bias {list(bias.shape)}, expected [{out}], one entry per output of the weight")
    steps, margins = _per_axis(what, "stride", stride, dims), _per_axis(what, "padding", padding, dims)
    windows = _windows(what, x, kernel, steps, margins, _per_axis(what, "dilation", dilation, dims))
    batch, positions, entries = x.shape[0], windows.shape[-dims:], prod(weight.shape[1:])
    group = () if groups == 1 else (groups,)
    rows = weight.reshape(*group, out // groups, entries).broadcast_to((batch, *group, out // groups, entries))
    result = rows._matmul(windows.reshape(batch, *group, entries, prod(positions)))
    result = result.reshape(batch, out, prod(positions))
    result = result if bias is None else result + bias.reshape(out, 1)
    return result.reshape(batch, out, *positions)


def _pooled(
    what: str, dims: int, x: TensorLike, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, value: float
) -> Tensor:
    """The windows of each channel: [batch, channels, *sizes] -> [batch, channels, entries, *positions]."""
    x = to_tensor(x)
    if value and x.dtype.kind != "f":  # the smallest value that integers or booleans have
        value = False if x.dtype == bool else int(np.iinfo(x.dtype).min)
    if x.ndim != dims + 2:
        raise ValueError(f"{what}: input {list(x.shape)}: expected [batch, channels, {dims} more]")
    sizes, margins = _per_axis(what, "kernel_size", kernel_size, dims), _per_axis(what, "padding", padding, dims)
    if any(2 * p > k for p, k in zip(margins, sizes, strict=True)):
        raise ValueError(
            f"{what}: padding={padding} with kernel_size={kernel_size}: expected at most half the kernel size"
        )
    steps = sizes if stride is None else _per_axis(what, "stride", stride, dims)
    windows = _windows(what, x, sizes, steps, margins, (1,) * dims, value)
    return windows.reshape(*x.shape[:2], prod(sizes), *windows.shape[-dims:])


def _windows(
    what: str,
    x: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    value: float = 0.0,
) -> Tensor:
    """All windows of the padded input: [batch, channels, *sizes] -> [batch, channels, *kernel, *positions]."""
    if any(padding):
        x = pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)], value)
    sizes = x.shape[2:]
    spread = [(k - 1) * apart + 1 for k, apart in zip(kernel, dilation, strict=True)]
    if min(*stride, *kernel, *dilation) < 1 or any(k > n for k, n in zip(spread, sizes, strict=True)):
        spacing = "" if set(dilation) == {1} else f"dilation {list(dilation)}, "
        raise ValueError(
            f"{what}: kernel_size {list(kernel)}, stride {list(stride)}, {spacing}padded input {list(sizes)}: expected "
            "sizes of at least 1 and a kernel no larger than the input; increase padding, or reduce the kernel"
        )
    return x._unfold(kernel, stride, dilation)


def _per_axis(what: str, name: str, value: Sizes, dims: int) -> tuple[int, ...]:
    sizes = shape_of(what, value)
    sizes = sizes * dims if len(sizes) == 1 and not isinstance(value, Iterable) else sizes
    if len(sizes) != dims or min(sizes) < 0:
        raise ValueError(f"{what}: {name}={value} given, expected an integer of at least 0, or {dims} of them")
    return sizes
