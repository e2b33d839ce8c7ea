"""Convolution and pooling in one and two dimensions: windows side by side, then one product or reduction."""

from __future__ import annotations

from math import inf, prod

from minitrain.autograd.functional.arrays import pad
from minitrain.autograd.tensor import Tensor, TensorLike, to_tensor

Sizes = int | tuple[int, ...]  # one for all axes, or one per axis


def conv1d(
    x: TensorLike, weight: TensorLike, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0
) -> Tensor:
    """Cross-correlation along one axis: x: [batch, in, n], weight: [out, in, k], bias: [out] -> [batch, out, m].

    result[b, o, i] = bias[o] + Σ x[b, c, stride i + j - padding] weight[o, c, j] over c and j, as in PyTorch, where
    m = (n + 2 padding - k) // stride + 1. Both sides are padded with 0.

    Raises:
        ValueError: The shapes do not match, or the kernel is longer than the padded input.

    >>> conv1d([[[1.0, 2.0, 4.0]]], [[[1.0, -1.0]]]).numpy()
    array([[[-1., -2.]]])
    """
    return _convolution("conv1d", 1, x, weight, bias, stride, padding)


def conv2d(
    x: TensorLike, weight: TensorLike, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0
) -> Tensor:
    """Cross-correlation over two axes: x: [batch, in, h, w], weight: [out, in, kh, kw] -> [batch, out, h', w'].

    As `conv1d`, along both axes; stride and padding may be pairs (for h, for w). The windows are copied side by side,
    which takes kh kw / stride² times the memory of x, and multiplied in one matrix product.

    Raises:
        ValueError: The shapes do not match, or the kernel is larger than the padded input.

    >>> conv2d([[[[1.0, 2.0], [3.0, 4.0]]]], [[[[1.0, 0.0], [0.0, 10.0]]]]).numpy()
    array([[[[41.]]]])
    """
    return _convolution("conv2d", 2, x, weight, bias, stride, padding)


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
    what: str, dims: int, x: TensorLike, weight: TensorLike, bias: Tensor | None, stride: Sizes, padding: Sizes
) -> Tensor:
    x, weight = to_tensor(x), to_tensor(weight)
    if (x.ndim, weight.ndim) != (dims + 2, dims + 2) or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"{what}: input {list(x.shape)}, weight {list(weight.shape)}: expected [batch, in, "
            f"{dims} more] and [out, in, {dims} more], with equal `in`"
        )
    out, kernel = weight.shape[0], weight.shape[2:]
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"{what}: bias {list(bias.shape)}, expected [{out}], one entry per output of the weight")
    windows = _windows(
        what, x, kernel, _per_axis(what, "stride", stride, dims), _per_axis(what, "padding", padding, dims)
    )
    batch, positions, entries = x.shape[0], windows.shape[-dims:], prod(weight.shape[1:])
    rows = weight.reshape(out, entries).broadcast_to((batch, out, entries))
    result = rows.matmul(windows.reshape(batch, entries, prod(positions)))
    result = result if bias is None else result + bias.reshape(out, 1)
    return result.reshape(batch, out, *positions)


def _pooled(
    what: str, dims: int, x: TensorLike, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, value: float
) -> Tensor:
    """The windows of each channel: [batch, channels, *sizes] -> [batch, channels, entries, *positions]."""
    x = to_tensor(x)
    if x.ndim != dims + 2:
        raise ValueError(f"{what}: input {list(x.shape)}: expected [batch, channels, {dims} more]")
    sizes, margins = _per_axis(what, "kernel_size", kernel_size, dims), _per_axis(what, "padding", padding, dims)
    if any(2 * p > k for p, k in zip(margins, sizes, strict=True)):
        raise ValueError(
            f"{what}: padding={padding} with kernel_size={kernel_size}: expected at most half the kernel size"
        )
    steps = sizes if stride is None else _per_axis(what, "stride", stride, dims)
    windows = _windows(what, x, sizes, steps, margins, value)
    return windows.reshape(*x.shape[:2], prod(sizes), *windows.shape[-dims:])


def _windows(
    what: str,
    x: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    value: float = 0.0,
) -> Tensor:
    """All windows of the padded input: [batch, channels, *sizes] -> [batch, channels, *kernel, *positions]."""
    if any(padding):
        x = pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)], value)
    sizes = x.shape[2:]
    if min(stride) < 1 or min(kernel) < 1 or any(k > n for k, n in zip(kernel, sizes, strict=True)):
        raise ValueError(
            f"{what}: kernel_size {list(kernel)}, stride {list(stride)}, padded input {list(sizes)}: expected sizes of "
            "at least 1 and a kernel no larger than the input; increase padding, or reduce the kernel"
        )
    return x.unfold(kernel, stride)


def _per_axis(what: str, name: str, value: Sizes, dims: int) -> tuple[int, ...]:
    sizes = (value,) * dims if isinstance(value, int) else tuple(value)
    if len(sizes) != dims or min(sizes) < 0:
        raise ValueError(f"{what}: {name}={value} given, expected an integer of at least 0, or {dims} of them")
    return sizes
