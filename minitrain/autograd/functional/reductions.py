"""Functions over axes: x: [...] -> the shape without `axis`, or with size 1 there for keepdims; and softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.shapes import axes_from_end
from minitrain.autograd.tensor import Tensor, to_tensor

Axis = int | Sequence[int] | None


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over one axis, several, or all.

    >>> sum([[1.0, 2.0], [3.0, 4.0]], axis=0).numpy()
    array([4., 6.])
    """
    return to_tensor(x).sum(axis, keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several, or all.

    >>> mean([1.0, 2.0, 6.0]).item()
    3.0
    """
    return to_tensor(x).mean(axis, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest entry over one axis, several, or all; tied entries share the gradient evenly.

    >>> max([1.0, 5.0, 2.0]).item()
    5.0
    """
    return to_tensor(x).max(axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest entry over one axis, several, or all; tied entries share the gradient evenly.

    >>> min([1.0, 5.0, 2.0]).item()
    1.0
    """
    return -(-to_tensor(x)).max(axis, keepdims)


def var(x: Any, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> Tensor:
    """The variance Σ (x - mean)² / (n - correction) over one axis, several, or all.

    correction: 1 estimates it from a sample, as PyTorch's default (NumPy's and JAX's is 0, the mean square)
    Raises ValueError where n - correction is not positive: PyTorch gives nan.

    >>> var([1.0, 3.0]).item(), var([1.0, 3.0], correction=0).item()
    (2.0, 1.0)
    """
    x = to_tensor(x)
    axes = axes_from_end("var", x.shape, axis)
    count = math.prod(x.shape[a] for a in axes)
    if count <= correction:
        raise ValueError(f"var: {count} values with correction={correction}: nothing is left to divide by; give more")
    # Shifted by an entry first, which leaves a variance as it is: of equal values it is then exactly 0.
    first = x
    for each in axes:
        first = first.narrow(each, 0, 1)
    shifted = x - first
    centred = shifted - shifted.mean(axis, keepdims=True)
    return (centred * centred).sum(axis, keepdims) / (count - correction)


def std(x: Any, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> Tensor:
    """The standard deviation √var, over one axis, several, or all; of equal values it is 0 with derivative 0.

    correction: as for `var`
    Raises ValueError where n - correction is not positive: PyTorch gives nan.

    >>> std([1.0, 3.0], correction=0).item()
    1.0
    """
    return _root(var(x, axis, correction, keepdims))


def norm(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The Euclidean norm √Σ x² over one axis, several, or all; of zeros it is 0 with derivative 0.

    >>> norm([3.0, 4.0]).item()
    5.0
    """
    x = to_tensor(x)
    return _root((x * x).sum(axis, keepdims))


def _root(squares: Tensor) -> Tensor:
    """The square root of a sum of squares, whose derivative is 0 where all of them are."""
    zero = squares == 0.0
    return zero.where(0.0, zero.where(1.0, squares).sqrt())


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product over one axis, several, or all; its derivatives of any order are right where entries are 0.

    The first half is multiplied with the second until one is left: no derivative divides by an entry.

    >>> prod([2.0, 3.0, 4.0]).item()
    24.0
    """
    x = to_tensor(x)
    axes = axes_from_end("prod", x.shape, axis)
    kept = tuple(a for a in range(-x.ndim, 0) if a not in axes)
    shape = tuple(x.shape[a] for a in kept)
    factors = x.transpose(kept + axes).reshape(*shape, math.prod(x.shape[a] for a in axes))
    one = Tensor(np.ones((*shape, 1), x.dtype))
    while (count := factors.shape[-1]) != 1:
        if count == 0 or count % 2:
            factors = concatenate([factors, one], axis=-1)
        else:
            factors = factors.narrow(-1, 0, count // 2) * factors.narrow(-1, count // 2, count // 2)
    return factors.reshape([1 if i - x.ndim in axes else n for i, n in enumerate(x.shape)] if keepdims else shape)


def cumsum(x: Any, axis: int = -1) -> Tensor:
    """Running sums along an axis: entry i is the sum of entries 0 to i.

    >>> cumsum([1.0, 2.0, 3.0]).numpy()
    array([1., 3., 6.])
    """
    return to_tensor(x).cumsum(axis)


def argmax(x: Any, axis: int = -1) -> Tensor:
    """The index of the largest entry along an axis: x: [..., n] -> integers [...].

    >>> argmax([1.0, 5.0, 2.0]).item()
    1
    """
    return to_tensor(x).argmax(axis)


def largest(x: Tensor, axis: Axis) -> Tensor:
    """The largest entry along axes, which are kept, as a constant; 0 where it is infinite: subtracted before exp."""
    peak = x.detach().max(axis, keepdims=True)
    return peak.isfinite().masks(peak)


def logsumexp(x: Any, axis: Axis = -1, keepdims: bool = False) -> Tensor:
    """Log sum exp(x) without overflow: the largest entry is taken out first; all -inf give -inf.

    >>> round(logsumexp([1000.0, 1000.0]).item(), 10)
    1000.6931471806
    """
    x = to_tensor(x)
    shift = largest(x, axis)
    result = (x - shift).exp().sum(axis, keepdims=True).log() + shift
    return result if keepdims else result.reshape(x.sum(axis).shape)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) / sum exp(x) along an axis.

    >>> softmax([0.0, 0.0]).numpy()
    array([0.5, 0.5])
    """
    x = to_tensor(x)
    e = (x - largest(x, axis)).exp()
    return e / e.sum(axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """X - logsumexp(x) along an axis.

    >>> log_softmax([1000.0, 0.0]).numpy()
    array([    0., -1000.])
    """
    x = to_tensor(x)
    z = x - largest(x, axis)
    return z - z.exp().sum(axis, keepdims=True).log()
