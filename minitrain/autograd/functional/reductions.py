"""Reductions over axes (x: [...] -> the shape without `axis`, or with size 1 there for keepdims), and softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.shapes import axes_from_end
from minitrain.autograd.tensor import Tensor, TensorLike, to_tensor

Axis = int | Sequence[int] | None


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over one axis, several axes, or all.

    >>> sum([[1.0, 2.0], [3.0, 4.0]], axis=0).numpy()
    array([4., 6.])
    """
    return to_tensor(x).sum(axis, keepdims)


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several axes, or all.

    >>> mean([1.0, 2.0, 6.0]).item()
    3.0
    """
    return to_tensor(x).mean(axis, keepdims)


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest entry over one axis, several axes, or all; tied entries share the gradient evenly.

    >>> max([1.0, 5.0, 2.0]).item()
    5.0
    """
    return to_tensor(x).max(axis, keepdims)


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest entry over one axis, several axes, or all; tied entries share the gradient evenly.

    >>> min([1.0, 5.0, 2.0]).item()
    1.0
    """
    return -(-to_tensor(x)).max(axis, keepdims)


def var(x: TensorLike, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> Tensor:
    """The variance Σ (x - mean)² / (n - correction) over one axis, several axes, or all.

    Args:
        x: [...].
        axis: One axis, several axes, or None for all.
        correction: 1, the default of PyTorch, estimates the variance from a sample; 0, the default of NumPy and JAX,
            is the mean square.
        keepdims: Whether to keep the reduced axes with size 1.

    Raises:
        ValueError: n - correction is not positive; PyTorch returns nan.

    >>> var([1.0, 3.0]).item(), var([1.0, 3.0], correction=0).item()
    (2.0, 1.0)
    """
    x = to_tensor(x)
    axes = axes_from_end("var", x.shape, axis)
    count = math.prod(x.shape[a] for a in axes)
    if count <= correction:
        raise ValueError(
            f"var: {count} values with correction={correction}: the divisor would not be positive; pass more "
            "values or a smaller correction"
        )
    # Subtracting an entry does not change the variance, and makes that of equal values exactly 0.
    first = x
    for a in axes:
        first = first.narrow(a, 0, 1)
    shifted = x - first
    centered = shifted - shifted.mean(axis, keepdims=True)
    return (centered * centered).sum(axis, keepdims) / (count - correction)


def std(x: TensorLike, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> Tensor:
    """The standard deviation √var, over one axis, several axes, or all; of equal values it is 0 with derivative 0.

    Args:
        x: [...].
        axis: One axis, several axes, or None for all.
        correction: As in `var`.
        keepdims: Whether to keep the reduced axes with size 1.

    Raises:
        ValueError: n - correction is not positive; PyTorch returns nan.

    >>> std([1.0, 3.0], correction=0).item()
    1.0
    """
    return _root(var(x, axis, correction, keepdims))


def norm(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The Euclidean norm √Σ x² over one axis, several axes, or all; of zeros it is 0 with derivative 0.

    >>> norm([3.0, 4.0]).item()
    5.0
    """
    x = to_tensor(x)
    return _root((x * x).sum(axis, keepdims))


def _root(squares: Tensor) -> Tensor:
    """The square root of a sum of squares; its derivative is 0 where all of them are 0."""
    zero = squares == 0.0
    return zero.where(0.0, zero.where(1.0, squares).sqrt())


def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product over one axis, several axes, or all; its derivatives of any order are correct where entries are 0.

    The first half is multiplied by the second half until one entry remains, so no derivative divides by an entry.

    >>> prod([2.0, 3.0, 4.0]).item()
    24.0
    """
    x = to_tensor(x)
    axes = axes_from_end("prod", x.shape, axis)
    other_axes = tuple(a for a in range(-x.ndim, 0) if a not in axes)
    shape = tuple(x.shape[a] for a in other_axes)
    factors = x.transpose(other_axes + axes).reshape(*shape, math.prod(x.shape[a] for a in axes))
    one = Tensor(np.ones((*shape, 1), x.dtype))
    while (count := factors.shape[-1]) != 1:
        if count == 0 or count % 2:
            factors = concatenate([factors, one], axis=-1)
        else:
            factors = factors.narrow(-1, 0, count // 2) * factors.narrow(-1, count // 2, count // 2)
    return factors.reshape([1 if i - x.ndim in axes else n for i, n in enumerate(x.shape)] if keepdims else shape)


def cumsum(x: TensorLike, axis: int = -1) -> Tensor:
    """Cumulative sums along an axis: entry i is the sum of entries 0 to i.

    >>> cumsum([1.0, 2.0, 3.0]).numpy()
    array([1., 3., 6.])
    """
    return to_tensor(x).cumsum(axis)


def argmax(x: TensorLike, axis: int = -1) -> Tensor:
    """The index of the largest entry along an axis: x: [..., n] -> integers [...].

    >>> argmax([1.0, 5.0, 2.0]).item()
    1
    """
    return to_tensor(x).argmax(axis)


def largest(x: Tensor, axis: Axis) -> Tensor:
    """The largest entry along axes, to subtract before exp: a constant, with keepdims; 0 where it is infinite."""
    peak = x.detach().max(axis, keepdims=True)
    return peak.isfinite().masks(peak)


def logsumexp(x: TensorLike, axis: Axis = -1, keepdims: bool = False) -> Tensor:
    """The value log sum exp(x), without overflow: the largest entry is subtracted first; -inf if all entries are.

    >>> round(logsumexp([1000.0, 1000.0]).item(), 10)
    1000.6931471806
    """
    x = to_tensor(x)
    shift = largest(x, axis)
    result = (x - shift).exp().sum(axis, keepdims=True).log() + shift
    return result if keepdims else result.reshape(x.sum(axis).shape)


def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """Softmax along an axis: exp(x) / sum exp(x).

    >>> softmax([0.0, 0.0]).numpy()
    array([0.5, 0.5])
    """
    x = to_tensor(x)
    e = (x - largest(x, axis)).exp()
    return e / e.sum(axis, keepdims=True)


def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """The logarithm of softmax along an axis: x - logsumexp(x).

    >>> log_softmax([1000.0, 0.0]).numpy()
    array([    0., -1000.])
    """
    x = to_tensor(x)
    z = x - largest(x, axis)
    return z - z.exp().sum(axis, keepdims=True).log()
