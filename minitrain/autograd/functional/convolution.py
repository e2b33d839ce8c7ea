"""Convolution and pooling in one and two dimensions: the windows side by side, then one product or reduction."""

from __future__ import annotations

from math import inf, prod
from typing import Any

from minitrain.autograd.functional.arrays import linear, pad
from minitrain.autograd.tensor import Tensor, to_tensor

Sizes = int | tuple[int, ...]  # one for all axes, or one for each


def conv1d(x: Any, weight: Any, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0) -> Tensor:
    """Cross-correlation along one axis: x: [batch, in, n], weight: [out, in, k], bias: [out] -> [batch, out, m].

    result[b, o, i] = bias[o] + Σ x[b, c, stride i + j - padding] weight[o, c, j] over c and j, as PyTorch's;
    m = (n + 2 padding - k) // stride + 1. Padding is with 0, on both sides.
    Raises ValueError where the shapes do not go together, or the kernel is longer than the padded input.

    >>> conv1d([[[1.0, 2.0, 4.0]]], [[[1.0, -1.0]]]).numpy()
    array([[[-1., -2.]]])
    """
    return _convolution("conv1d", 1, x, weight, bias, stride, padding)


def conv2d(x: Any, weight: Any, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0) -> Tensor:
    """Cross-correlation over two axes: x: [batch, in, h, w], weight: [out, in, kh, kw] -> [batch, out, h', w'].

    As `conv1d`, along both axes; stride and padding may be (for h, for w). The windows, copied side by side, take
    kh kw / stride² times the memory of x, and are then one matrix product.
    Raises ValueError where the shapes do not go together, or the kernel is larger than the padded input.

    >>> conv2d([[[[1.0, 2.0], [3.0, 4.0]]]], [[[[1.0, 0.0], [0.0, 10.0]]]]).numpy()
    array([[[[41.]]]])
    """
    return _convolution("conv2d", 2, x, weight, bias, stride, padding)


def max_pool1d(x: Any, kernel: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Tensor:
    """The largest of each window: x: [batch, channels, n] -> [batch, channels, (n + 2 padding - kernel) // stride + 1].

    stride: the kernel's size where it is None; padding: with -inf, at most half the kernel
    Tied entries share the gradient evenly; PyTorch gives it to the first.
    Raises ValueError where the kernel is larger than the padded input, and for more padding than that.

    >>> max_pool1d([[[1.0, 5.0, 2.0, 3.0]]], 2).numpy()
    array([[[5., 3.]]])
    """
    return _pooled("max_pool1d", 1, x, kernel, stride, padding, -inf).max(-1)


def max_pool2d(x: Any, kernel: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Tensor:
    """The largest of each window: x: [batch, channels, h, w] -> [batch, channels, h', w'].

    As `max_pool1d`, along both axes; kernel, stride and padding may be (for h, for w).

    >>> max_pool2d([[[[1.0, 5.0], [2.0, 3.0]]]], 2).numpy()
    array([[[[5.]]]])
    """
    return _pooled("max_pool2d", 2, x, kernel, stride, padding, -inf).max(-1)


def avg_pool1d(x: Any, kernel: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Tensor:
    """The mean of each window: x: [batch, channels, n] -> [batch, channels, (n + 2 padding - kernel) // stride + 1].

    stride: the kernel's size where it is None; padding: with 0, at most half the kernel
    The zeros of the padding count as entries, as by PyTorch's default.
    Raises ValueError where the kernel is larger than the padded input, and for more padding than that.

    >>> avg_pool1d([[[1.0, 5.0, 2.0, 4.0]]], 2).numpy()
    array([[[3., 3.]]])
    """
    return _pooled("avg_pool1d", 1, x, kernel, stride, padding, 0.0).mean(-1)


def avg_pool2d(x: Any, kernel: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Tensor:
    """The mean of each window: x: [batch, channels, h, w] -> [batch, channels, h', w'].

    As `avg_pool1d`, along both axes; kernel, stride and padding may be (for h, for w).

    >>> avg_pool2d([[[[1.0, 5.0], [2.0, 4.0]]]], 2).numpy()
    array([[[[3.]]]])
    """
    return _pooled("avg_pool2d", 2, x, kernel, stride, padding, 0.0).mean(-1)


def _convolution(
    what: str, dims: int, x: Any, weight: Any, bias: Tensor | None, stride: Sizes, padding: Sizes
) -> Tensor:
    x, weight = to_tensor(x), to_tensor(weight)
    if (x.ndim, weight.ndim) != (dims + 2, dims + 2) or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"{what}: input {list(x.shape)}, weight {list(weight.shape)}: expected [batch, in, "
            f"{dims} more] and [out, in, {dims} more], with equal `in`"
        )
    out, kernel = weight.shape[0], weight.shape[2:]
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"{what}: bias {list(bias.shape)}, expected [{out}], one for each output of the weight")
    windows = _windows(what, x, kernel, _each(what, "stride", stride, dims), _each(what, "padding", padding, dims))
    places, entries = windows.shape[: dims + 1], windows.shape[dims + 1 :]
    columns, rows = windows.reshape(prod(places), prod(entries)), weight.reshape(out, prod(entries))
    return linear(columns, rows, bias).reshape(*places, out).transpose(0, -1, *range(1, dims + 1))


def _pooled(what: str, dims: int, x: Any, kernel: Sizes, stride: Sizes | None, padding: Sizes, value: float) -> Tensor:
    """The windows of each channel: [batch, channels, *sizes] -> [batch, channels, *places, entries]."""
    x = to_tensor(x)
    if x.ndim != dims + 2:
        raise ValueError(f"{what}: input {list(x.shape)}: expected [batch, channels, {dims} more]")
    sizes, margins = _each(what, "kernel", kernel, dims), _each(what, "padding", padding, dims)
    if any(2 * p > k for p, k in zip(margins, sizes, strict=True)):
        raise ValueError(f"{what}: padding={padding} of kernel={kernel}: expected at most half the kernel")
    steps = sizes if stride is None else _each(what, "stride", stride, dims)
    one_by_one = x.reshape(x.shape[0] * x.shape[1], 1, *x.shape[2:])
    windows = _windows(what, one_by_one, sizes, steps, margins, value)
    return windows.reshape(*x.shape[:2], *windows.shape[1 : dims + 1], prod(sizes))


def _windows(
    what: str,
    x: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    value: float = 0.0,
) -> Tensor:
    """Every window of the padded input: [batch, channels, *sizes] -> [batch, *places, channels, *kernel]."""
    if any(padding):
        x = pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)], value)
    sizes = x.shape[2:]
    if min(stride) < 1 or min(kernel) < 1 or any(k > n for k, n in zip(kernel, sizes, strict=True)):
        raise ValueError(
            f"{what}: kernel {list(kernel)}, stride {list(stride)}, padded input {list(sizes)}: expected sizes of at "
            "least 1 and a kernel no larger than the input; pad more, or take a smaller kernel"
        )
    return x.unfold(kernel, stride)


def _each(what: str, name: str, value: Sizes, dims: int) -> tuple[int, ...]:
    sizes = (value,) * dims if isinstance(value, int) else tuple(value)
    if len(sizes) != dims or min(sizes) < 0:
        raise ValueError(f"{what}: {name}={value} given, expected a whole number, or {dims} of them, of at least 0")
    return sizes
